/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_DEPOT_H
#define CN_GATEWAY_DEPOT_H

/*
 * The store of a process with the disk below it: opened as the configuration
 * says, looked after each second, closed within bounded time.
 *
 * A folder that cannot be used is told in the log, in the status, and leaves
 * a store in memory; it never keeps a gateway from starting.
 *
 * Life:       opened by the daemon before its workers start and after the
 *             sandbox is entered, so that the disk's threads are in it too;
 *             closed after the workers have ended.
 * Thread:     the main thread's; the store itself is for any.
 */

#include <stdint.h>
#include <uv.h>

#include "base/attr.h"
#include "base/list.h"
#include "config/config.h"
#include "control/snapshot.h"
#include "ident/identity.h"
#include "store/image.h"

struct cn_depot; /* opaque */
struct cn_depot_work;
struct cn_store;

/* How long the end may wait for the disk. */
#define CN_DEPOT_DRAIN_US 10000000u
/* Label of the store's key, see cn_key_derive(). */
#define CN_DEPOT_LABEL "compressnet store"

/*
 * Open what the configuration wants; *ret is NULL where it wants no store.
 * Reads what an earlier process has left on the disk.
 *
 * @loop  the main thread's
 * @own   identity of this gateway
 * @key   secret of the store; copied, wiped at the end
 *
 * Returns CN_OK or CN_ENOMEM.
 */
int cn_depot_open(const struct cn_config *config, uv_loop_t *loop,
    const uint8_t own[CN_IDENTITY_BYTES], const uint8_t key[CN_IMAGE_KEY_BYTES],
    struct cn_depot **ret) CN_MUSTCHECK;

/* Write what is not written, for CN_DEPOT_DRAIN_US at most, and free; clears
 * *dp, NULL is fine.  No user of the store and no work is left. */
void cn_depot_close(struct cn_depot **dp);

/* Each second. */
void cn_depot_tick(struct cn_depot *depot, uint64_t now);

/* NULL for NULL. */
struct cn_store *cn_depot_store(struct cn_depot *depot);

/* Fill in all but lan and copied; zeroes for NULL. */
void cn_depot_snap(struct cn_depot *depot, struct cn_snap_store *ret);

/* ---- long work, a step at a time in the loop's pool ---- */

enum cn_depot_step {
	CN_DEPOT_VERIFY, /* some segments above cursor are looked at */
	CN_DEPOT_TRIM,   /* down to cursor bytes */
	CN_DEPOT_EXPORT, /* the stream's next bytes: the segment above cursor */
	CN_DEPOT_IMPORT, /* the next bytes of a stream, from cursor on */
};

/*
 * An export or import under way.  A step with cursor 0 begins it anew, with
 * the work's key.
 */
struct cn_depot_stream;
/* NULL: out of memory. */
struct cn_depot_stream *cn_depot_stream_create(void);
/* Wipe and free; clears *sp, NULL is fine; no work has it. */
void cn_depot_stream_free(struct cn_depot_stream **sp);

struct cn_depot_work {
	struct cn_list item; /* the depot's while under way */
	uv_work_t work;      /* the depot's */
	struct cn_depot *depot;
	enum cn_depot_step step;
	uint64_t cursor;
	uint8_t key[CN_IMAGE_KEY_BYTES]; /* of exports; wiped when done */
	struct cn_depot_stream *stream;  /* borrowed; EXPORT, IMPORT */
	uint8_t *bytes; /* owned; taken in, or given out; NULL: none */
	size_t len;
	/* Called on the loop when it is done; the work is the owner's again. */
	void (*done)(struct cn_depot_work *work);
	void *owner;
	/*
	 * The result: CN_OK; CN_EINVAL: the cursor is not where the stream
	 * is; of an import CN_EKEY (another key), CN_ESTALE (another version),
	 * CN_ECODING (damaged, or none): what came before is in the store;
	 * CN_ENOMEM, CN_EIO, CN_ELIMIT.
	 */
	int err;
	struct cn_snap_walk walk;
	uint64_t next; /* cursor of the next step; 0: that was the last */
};

/* Take the step in the pool as soon as those before it are done. */
void cn_depot_work(struct cn_depot *depot, struct cn_depot_work *work);
/* Give up its memory. */
void cn_depot_work_free(struct cn_depot_work **wp);

#endif /* CN_GATEWAY_DEPOT_H */
