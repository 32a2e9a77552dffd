# SPDX-License-Identifier: Apache-2.0
# Which Debian packages each command needs.  Sourced by lib.sh.
# shellcheck shell=bash

packages_of() {
	case $1 in
	build)
		echo gcc libc6-dev lowdown make meson ninja-build pkgconf python3 \
			libxxhash-dev libzstd-dev libssl-dev libuv1-dev \
			libfyaml-dev libjansson-dev libseccomp-dev \
			libcap-ng-dev libncurses-dev libpcap-dev
		;;
	test)
		echo libcmocka-dev python3-pytest python3-xxhash \
			python3-zstandard postgresql postgresql-client rsync \
			nginx-light curl openssh-server openssh-client \
			openssl iproute2 procps mandoc tmux util-linux \
			nftables prometheus chromium \
			$(command -v npm >/dev/null || echo npm)
		;;
	bench)
		echo python3 haproxy socat stunnel4 zstd openssl \
			openssh-server openssh-client iproute2 \
			libc6-dev libicu-dev libssl-dev libstdc++-12-dev \
			linux-libc-dev llvm-14-dev postgresql xz-utils
		;;
	ci)
		echo clang clang-format clang-tidy libclang-rt-14-dev llvm \
			valgrind libcmocka-dev
		;;
	*)
		echo "./run deps: no such group: $1" >&2
		exit 2
		;;
	esac
}

# need_packages GROUP..: install what is missing, and only that.
need_packages() {
	local group missing=() list=()
	if ! command -v dpkg-query >/dev/null; then
		echo "this is not a Debian system; see doc/MAINTAINING.md for" \
			"the list of libraries" >&2
		exit 2
	fi
	for group in "$@"; do
		# shellcheck disable=SC2207 # one word a package
		list+=($(packages_of "$group")) || exit 2
	done
	for package in "${list[@]}"; do
		case $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" \
			2>/dev/null) in
		ii*) ;;
		*) missing+=("$package") ;;
		esac
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	# shellcheck disable=SC2207
	missing=($(printf '%s\n' "${missing[@]}" | sort -u))
	echo "== packages: ${missing[*]}"
	if [ "$(id -u)" -eq 0 ]; then
		scripts/install-packages "${missing[@]}" || exit 1
	elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true; } \
		2>/dev/null; then
		sudo scripts/install-packages "${missing[@]}" || exit 1
	else
		echo "these packages are missing; as root, run:" >&2
		echo "  $PWD/scripts/install-packages ${missing[*]}" >&2
		exit 2
	fi
}
