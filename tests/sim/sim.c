/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two whole gateways in one process, with a seeded adversary between them
 * and at their disks.
 *
 * Each seed makes a world: two links, most of them with stores, a few
 * carriers of bytes, a clock, and applications that write, read, half-close
 * and reset as they like.  For a while the adversary cuts carriers at any
 * byte, stalls them, hands over tiny pieces and damages blocks; it makes
 * stores forget and lie, disks fail, and processes die and come back; then it
 * rests, and everything must finish.
 *
 * The judge is a ledger: every byte read must be the byte that was written at
 * that offset; a clean end only on complete data; a reset only where one is
 * explained; no memory kept at the end; and where stores are left in peace,
 * what was sent before must go as references.
 */

#include <string.h>

#include "base/attr.h"
#include "world.h"

#include <stdlib.h>

/* Worlds that must meet with everything. */
#define COMPLETE 1000u

struct options {
	uint64_t first, seeds;
	bool is_verbose, is_twice;
};

static const char usage[] =
    "usage: sim [--seeds N] [--first SEED] [--seed SEED] [--verbose]\n"
    "           [--trace] [--twice]\n"
    "\n"
    "  --seeds N     run N worlds (100), each from a seed of its own\n"
    "  --first SEED  the first of them (1)\n"
    "  --seed SEED   run this one world\n"
    "  --verbose     tell of each world, with a digest of all bytes that\n"
    "                crossed its carriers\n"
    "  --trace       tell of what is sent again and again at the end\n"
    "  --twice       run each world twice: both must be the same\n"
    "\n"
    "A world depends on its seed alone.  To replay one that failed:\n"
    "  sim --seed SEED --verbose --trace\n"
    "To stop in a debugger where it fails: break world_fail.\n"
    "\n"
    "Prints each failing seed with the reason, what all worlds met with, then\n"
    "`N passed, N failed'; exits 1 if any failed, or if 1,000 worlds or more "
    "have\n"
    "not met with all that there is.\n";

static void
add_tally(struct tally *sum, const struct tally *one)
{
	const uint64_t *from = (const uint64_t *)(const void *)one;
	uint64_t *to = (uint64_t *)(void *)sum;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++) {
		to[i] += from[i];
	}
}

static void
tell_tally(const struct tally *t)
{
#define N(field) ((unsigned long long)t->field)
	printf("worlds %llu: with stores %llu, disks %llu; cuts %llu, flips "
	       "%llu, restarts %llu\n",
	    N(worlds), N(stores), N(disks), N(cuts), N(flips), N(restarts));
	printf("stores: forgot %llu times, lied %llu; disks: rotten %llu, "
	       "wiped %llu, rolled back %llu, swapped %llu, crashed %llu\n",
	    N(forgets), N(lies), N(rots), N(wipes), N(rollbacks), N(swaps),
	    N(torn));
	printf("segments: recovered %llu, damaged %llu, read back %llu, reads "
	       "failed %llu, writes failed %llu, evicted %llu\n",
	    N(recovered), N(damaged), N(loads), N(load_failures),
	    N(write_failures), N(evicted));
	printf("bytes: plain %llu, copied %llu; misses %llu, lacks %llu, nacks "
	       "%llu, bad references %llu\n",
	    N(plain), N(copied), N(misses), N(lacks), N(nacks), N(bad_refs));
	printf(
	    "measured: healed %llu, copied %llu, back %llu, apart %llu, after "
	    "a restart %llu, lies found %llu\n",
	    N(healed), N(measured), N(back), N(apart), N(kept), N(found));
#undef N
}

/* So many worlds meet with everything, or they test less than they say. */
static bool
is_complete(const struct tally *t)
{
	const struct {
		const char *what;
		uint64_t times;
	} must[] = {
		{ "cut", t->cuts },
		{ "flip", t->flips },
		{ "restart", t->restarts },
		{ "forgetting store", t->forgets },
		{ "lying store", t->lies },
		{ "rotten disk", t->rots },
		{ "wiped disk", t->wipes },
		{ "disk rolled back", t->rollbacks },
		{ "swapped disk", t->swaps },
		{ "crash", t->torn },
		{ "recovered segment", t->recovered },
		{ "damaged segment", t->damaged },
		{ "segment read back", t->loads },
		{ "failed read", t->load_failures },
		{ "failed write", t->write_failures },
		{ "eviction", t->evicted },
		{ "miss", t->misses },
		{ "lack", t->lacks },
		{ "bad reference", t->bad_refs },
		{ "measured world", t->measured },
		{ "sending back", t->back },
		{ "sending in another scope", t->apart },
		{ "sending after a restart", t->kept },
		{ "lie found", t->found },
	};
	bool is_all = true;

	for (size_t i = 0; i < CN_ARRAY_LEN(must); i++) {
		if (must[i].times == 0) {
			fprintf(stderr, "no %s in all worlds\n", must[i].what);
			is_all = false;
		}
	}
	return is_all;
}

static bool
run_seed(uint64_t seed, const struct options *options, struct tally *sum)
{
	static struct world w;
	bool is_good = world_run(&w, seed);

	if (is_good && options->is_twice) {
		uint64_t digest = w.digest, steps = w.steps;

		is_good = world_run(&w, seed);
		if (is_good && (w.digest != digest || w.steps != steps)) {
			world_fail(&w, "another world the second time");
			is_good = false;
		}
	}
	if (!is_good) {
		fprintf(
		    stderr, "seed %llu: %s\n", (unsigned long long)seed, w.why);
	} else if (options->is_verbose) {
		printf("seed %llu: fate %d, %d flows, %llu steps, %llu cuts, "
		       "%llu flips, %llu copied, digest %016llx\n",
		    (unsigned long long)seed, (int)w.fate, w.flows,
		    (unsigned long long)w.steps,
		    (unsigned long long)w.tally.cuts,
		    (unsigned long long)w.tally.flips,
		    (unsigned long long)w.tally.copied,
		    (unsigned long long)w.digest);
	}
	add_tally(sum, &w.tally);
	return is_good;
}

/* Numbers behind options; false for anything else. */
static bool
read_options(int argc, char **argv, struct options *ret)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--verbose") == 0) {
			ret->is_verbose = true;
			continue;
		}
		if (strcmp(argv[i], "--trace") == 0) {
			world_is_traced = true;
			continue;
		}
		if (strcmp(argv[i], "--twice") == 0) {
			ret->is_twice = true;
			continue;
		}
		if (value == NULL) {
			return false;
		}
		if (strcmp(argv[i], "--seeds") == 0) {
			ret->seeds = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i], "--first") == 0) {
			ret->first = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i], "--seed") == 0) {
			ret->first = strtoull(value, NULL, 10);
			ret->seeds = 1;
		} else {
			return false;
		}
		i++;
	}
	return true;
}

int
main(int argc, char **argv)
{
	struct options options = { .first = 1, .seeds = 100 };
	struct tally sum = { 0 };
	uint64_t failed = 0;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (!read_options(argc, argv, &options)) {
		fputs(usage, stderr);
		return 2;
	}
	for (uint64_t i = 0; i < options.seeds; i++) {
		if (!run_seed(options.first + i, &options, &sum)) {
			failed++;
		}
	}
	tell_tally(&sum);
	printf("%llu passed, %llu failed\n",
	    (unsigned long long)(options.seeds - failed),
	    (unsigned long long)failed);
	if (options.seeds >= COMPLETE && !is_complete(&sum)) {
		return 1;
	}
	return failed == 0 ? 0 : 1;
}
