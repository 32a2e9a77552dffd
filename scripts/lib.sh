# SPDX-License-Identifier: Apache-2.0
# Sourced by ./run and .ci/run: packages, builds, parts of a test run and
# their sum.  A part prints its output as it goes, indented; what counts is
# added up by scripts/tally.py from the reports of the test programs.
# shellcheck shell=bash

# Debian's python3: the one that has Debian's python3-* modules.
PY=/usr/bin/python3
CHILD=

. scripts/packages.sh

interrupted() {
	trap '' INT TERM HUP
	if [ -n "$CHILD" ]; then
		kill -TERM "$CHILD" 2>/dev/null
		wait "$CHILD" 2>/dev/null
	fi
	exit 130
}
trap interrupted INT TERM HUP

# configure DIR [MESON OPTION..]: set a build folder up, or change it.
configure() {
	local dir=$1
	shift
	local opts=("-Dwerror=$([ -n "${CN_WERROR:-}" ] && echo true ||
		echo false)" "$@")
	if [ -f "$dir/build.ninja" ]; then
		meson configure "$dir" "${opts[@]}"
	else
		rm -rf "$dir"
		meson setup "$dir" "${opts[@]}"
	fi
}

tally_start() {
	mkdir -p build-logs
	: >build-logs/tally
}

# count PART PASSED FAILED
count() {
	printf '%s %d %d\n' "$1" "$2" "$3" >>build-logs/tally
	printf -- '-- %s: passed %d, failed %d\n' "$1" "$2" "$3"
}

# The sum of all parts, as the last line; the exit status says the same.
tally_end() {
	local name passed failed all_passed=0 all_failed=0
	echo
	while read -r name passed failed; do
		printf -- '-- %-20s %6d %6d\n' "$name" "$passed" "$failed"
		all_passed=$((all_passed + passed))
		all_failed=$((all_failed + failed))
	done <build-logs/tally
	[ $((all_passed + all_failed)) -gt 0 ] || all_failed=1
	printf '%d passed, %d failed\n' "$all_passed" "$all_failed"
	[ "$all_failed" -eq 0 ]
	exit
}

# guarded NAME SECONDS COMMAND..: run it in a session of its own, log to
# build-logs/NAME.log, kill all that it started when it ends or we do.
guarded() {
	local name=$1 limit=$2
	shift 2
	"$PY" scripts/guard.py --limit "$limit" \
		--log "build-logs/$name.log" -- "$@" </dev/null &
	CHILD=$!
	wait "$CHILD"
	local status=$?
	CHILD=
	return "$status"
}

# part NAME SECONDS COMMAND..: one thing that passes or fails as a whole.
part() {
	echo "== $1"
	if guarded "$@"; then
		count "$1" 1 0
	else
		count "$1" 0 1
		return 1
	fi
}

# tallied NAME KIND REPORT SECONDS COMMAND..: count the cases of a report.
tallied() {
	local name=$1 kind=$2 report=$3 limit=$4 status sums
	shift 4
	echo "== $name"
	rm -f "$report"
	guarded "$name" "$limit" "$@"
	status=$?
	sums=$("$PY" scripts/tally.py "$kind" "$report" "$status") ||
		sums="0 1"
	# shellcheck disable=SC2086 # two words
	count "$name" $sums
}

pytests() {
	local name=$1 limit=$2
	shift 2
	tallied "$name" junit "build-logs/$name.xml" "$limit" \
		env CN_BUILD="$PWD/build" "$PY" -m pytest -q -ra \
		-p no:cacheprovider --junitxml="build-logs/$name.xml" "$@"
}

# unit_tests NAME BUILD-DIR TIMEOUT-FACTOR
unit_tests() {
	tallied "$1" meson "$2/meson-logs/testlog.json" 900 \
		meson test -C "$2" --no-rebuild --print-errorlogs \
		--suite unit --suite corpus -t "$3"
}

# simulation NAME BUILD-DIR SEEDS SECONDS
simulation() {
	tallied "$1" plain "build-logs/$1.log" "$4" \
		"$2/tests/sim/sim" --seeds "$3"
}

parts_test() {
	part checks 60 scripts/check-all || true
	pytests checks-selftest 120 tests/checks
	part compile 900 scripts/compile build -Dtests=enabled || return
	unit_tests unit build 2
	simulation simulation build 1000 600
	pytests spec 300 tests/spec
	part web-modules 300 scripts/web-modules build || true
	pytests end-to-end 1200 tests/e2e
}

# parts_sanitized KINDS SEEDS
parts_sanitized() {
	local dir="build-${1//,/-}" name="${1//,/-}"
	export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	part "compile-$name" 1200 scripts/compile "$dir" -Dtests=enabled \
		-Db_sanitize="$1" -Db_lundef=false || return
	unit_tests "unit-$name" "$dir" 6
	simulation "simulation-$name" "$dir" "$2" 900
	unset ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS
}

# parts_fuzz SECONDS: each harness for so long, two at a time.
parts_fuzz() {
	part compile-fuzz 900 env CC=clang scripts/compile build-fuzz \
		-Dtests=enabled -Dfuzz=true -Db_sanitize=address,undefined \
		-Db_lundef=false || return
	tallied fuzz plain build-logs/fuzz.log \
		$(($1 * 30 + 300)) "$PY" scripts/fuzz.py build-fuzz "$1"
}

# parts_soak SEEDS: what takes hours rather than minutes.
parts_soak() {
	parts_sanitized thread 1000
	parts_sanitized address,undefined 10000
	part compile 900 scripts/compile build -Dtests=enabled || return
	tallied valgrind meson build/meson-logs/testlog-valgrind.json 3600 \
		meson test -C build --no-rebuild --print-errorlogs \
		--suite unit -t 20 --logbase testlog --wrapper \
		'valgrind -q --error-exitcode=9 --leak-check=full'
	part analyzer 3600 scripts/check-analyzer
	part compile-clang 900 env CC=clang scripts/compile build-clang \
		-Dtests=disabled
	part clang-tidy 3600 scripts/check-tidy build-clang
	simulation simulation build "$1" 36000
}
