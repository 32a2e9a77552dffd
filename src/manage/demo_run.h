/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_DEMO_RUN_H
#define CN_MANAGE_DEMO_RUN_H

/*
 * The demonstration itself: two gateways, an emulated WAN between them, and
 * the same bytes through the pair and over the bare link.
 *
 * Life:       cn_demo_run() does everything and leaves nothing behind but
 *             the results in its argument, and the folder if it is to stay.
 * Thread:     main.
 * Invariants: it ends within CN_DEMO_WHOLE_US, also when interrupted; a run
 *             is exact only if count and SHA-256 of every connection were
 *             equal at both ends.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* From the first byte to the last; stopping the gateways comes after. */
#define CN_DEMO_WHOLE_US (UINT64_C(54) * 1000 * 1000)

enum cn_demo_step {
	CN_DEMO_FILES, /* files, for the first time */
	CN_DEMO_AGAIN, /* the same bytes */
	CN_DEMO_LOG,   /* a paced log stream */
	CN_DEMO_STEPS
};

struct cn_demo_result {
	const char *name;
	bool is_exact, is_bare_exact; /* through the pair; without it */
	uint64_t lan;                 /* bytes that the applications sent */
	uint64_t wan;                 /* on the emulated link, both ways */
	uint64_t us, bare_us;
};

struct cn_demo_plan {
	/* What is wanted. */
	uint64_t rate_bps, delay_us; /* bits a second; one way */
	uint64_t files_bytes;        /* may be cut to fit into the time */
	bool is_kept;                /* leave the folder */
	bool is_quiet;               /* no talk but errors */
	/* What came of it. */
	size_t files;
	unsigned connections; /* whose digests were compared */
	bool is_interrupted;
	char folder[64]; /* that was left; "" */
	struct cn_demo_result results[CN_DEMO_STEPS];
};

/*
 * Do all of it.
 *
 * Returns CN_OK when every byte of every step was exact; else a negative
 * error, and the words are on stderr already.
 */
int cn_demo_run(struct cn_demo_plan *plan) CN_MUSTCHECK;

#endif /* CN_MANAGE_DEMO_RUN_H */
