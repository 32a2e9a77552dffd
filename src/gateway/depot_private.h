/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_DEPOT_PRIVATE_H
#define CN_GATEWAY_DEPOT_PRIVATE_H

/* What the files of the depot share; and what a test shortens. */

#include "gateway/depot.h"

#include "base/list.h"
#include "codec/match.h"
#include "disk/disk.h"
#include "store/store.h"

struct cn_depot_drain;

struct cn_depot {
	uv_loop_t *loop; /* borrowed */
	uint8_t own[CN_IDENTITY_BYTES];
	uint8_t key[CN_IMAGE_KEY_BYTES];
	struct cn_disk *disk;       /* owned; NULL: memory only */
	struct cn_store *store;     /* owned */
	struct cn_matcher *matcher; /* owned; of what is imported */
	char path[CN_SNAP_PATH];
	char error[CN_SNAP_TEXT]; /* why the disk is not used; "" */
	uint64_t quota_bytes;
	bool was_lost;                /* told in the log */
	uint64_t told_failures;       /* those of the disk that were told */
	uint64_t tell_us;             /* when the next may be */
	uint64_t drain_us;            /* CN_DEPOT_DRAIN_US */
	struct cn_depot_drain *drain; /* of an end that took too long */
	struct cn_list works;         /* the first one is in the pool */
};

#endif /* CN_GATEWAY_DEPOT_PRIVATE_H */
