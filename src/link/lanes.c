/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

#define LANE_WORDS (CN_LANES_MAX / 64u)

void
cn_lane_init(struct cn_lane *lane, uint64_t scope)
{
	memset(lane, 0, sizeof(*lane));
	lane->scope = scope;
	cn_list_init(&lane->streams);
	cn_list_init(&lane->ready_item);
	cn_list_init(&lane->used_item);
}

struct cn_lane *
cn_lane_get(struct cn_slot *slot, uint64_t scope)
{
	struct cn_lane *lane = cn_map_get(&slot->lanes, scope);

	if (lane != NULL) {
		return lane;
	}
	lane = cn_alloc(sizeof(*lane));
	if (lane == NULL) {
		return &slot->no_lane;
	}
	cn_lane_init(lane, scope);
	if (cn_map_put(&slot->lanes, scope, lane) != CN_OK) {
		cn_free(lane);
		return &slot->no_lane;
	}
	return lane;
}

struct cn_lane *
cn_lane_by_id(struct cn_slot *slot, uint32_t id)
{
	for (struct cn_list *it = slot->lanes_used.next;
	     it != &slot->lanes_used; it = it->next) {
		struct cn_lane *lane =
		    CN_CONTAINER_OF(it, struct cn_lane, used_item);

		if (lane->id == id) {
			return lane;
		}
	}
	return NULL;
}

/* Take the context away; the object stays while streams point to it. */
static void
lane_shut(struct cn_slot *slot, struct cn_lane *lane)
{
	if (lane->enc == NULL) {
		return;
	}
	slot->lane_ids[lane->id / 64] &= ~(UINT64_C(1) << (lane->id % 64));
	cn_lane_enc_free(&lane->enc);
	cn_list_remove(&lane->used_item);
}

void
cn_lane_drop_if_idle(struct cn_slot *slot, struct cn_lane *lane)
{
	if (lane->enc == NULL && cn_list_is_empty(&lane->streams)) {
		cn_list_remove(&lane->ready_item);
		if (lane == &slot->no_lane) {
			return;
		}
		cn_map_remove(&slot->lanes, lane->scope);
		cn_free(lane);
	}
}

/* False: LANE_CLOSE finds no room, so the lane stays. */
static bool
lane_close(struct cn_slot *slot, struct cn_lane *lane)
{
	if (!cn_compose_reply(
		slot, CN_FRAME_LANE_CLOSE, lane->id, lane->generation, 0)) {
		return false;
	}
	lane_shut(slot, lane);
	cn_lane_drop_if_idle(slot, lane);
	return true;
}

/* The lowest free id, or UINT32_MAX at the peer's limit. */
static uint32_t
take_id(struct cn_slot *slot)
{
	uint32_t limit = CN_MIN(slot->peer_lanes, CN_LANES_MAX);

	for (uint32_t id = 0; id < limit; id++) {
		uint64_t bit = UINT64_C(1) << (id % 64);

		if ((slot->lane_ids[id / 64] & bit) == 0) {
			slot->lane_ids[id / 64] |= bit;
			return id;
		}
	}
	return UINT32_MAX;
}

static bool
ids_ready(struct cn_slot *slot)
{
	if (slot->lane_ids == NULL) {
		slot->lane_ids = cn_calloc(LANE_WORDS, sizeof(uint64_t));
	}
	if (slot->lane_generations == NULL) {
		slot->lane_generations =
		    cn_calloc(CN_LANES_MAX, sizeof(uint64_t));
	}
	return slot->lane_ids != NULL && slot->lane_generations != NULL;
}

/* Close the slot's lane that was used longest ago, but not just now. */
static bool
evict(struct cn_slot *slot, uint64_t now)
{
	struct cn_list *oldest = cn_list_first(&slot->lanes_used);
	struct cn_lane *lane;

	if (oldest == NULL) {
		return false;
	}
	lane = CN_CONTAINER_OF(oldest, struct cn_lane, used_item);
	if (now - lane->used_us < CN_LINK_BULK_US) {
		return false;
	}
	return lane_close(slot, lane);
}

bool
cn_lane_open(struct cn_link *link, struct cn_slot *slot, struct cn_lane *lane,
    uint64_t now)
{
	int r;

	if (lane->enc == NULL) {
		if (slot->peer_lanes == 0 || lane == &slot->no_lane ||
		    now < slot->lanes_pause_us || !ids_ready(slot)) {
			return false;
		}
		r = cn_lane_enc_create(link->config.codec, &lane->enc);
		if (r == CN_EBUSY && evict(slot, now)) {
			r = cn_lane_enc_create(link->config.codec, &lane->enc);
		}
		if (r != CN_OK) {
			lane->enc = NULL;
			return false;
		}
		lane->id = take_id(slot);
		if (lane->id == UINT32_MAX && evict(slot, now)) {
			lane->id = take_id(slot);
		}
		if (lane->id == UINT32_MAX) {
			cn_lane_enc_free(&lane->enc);
			return false;
		}
		lane->generation = ++slot->lane_generations[lane->id];
		lane->sequence = 0;
	}
	lane->used_us = now;
	cn_list_remove(&lane->used_item);
	cn_list_append(&slot->lanes_used, &lane->used_item);
	return true;
}

void
cn_lane_restart(struct cn_slot *slot, struct cn_lane *lane)
{
	assert(lane->enc != NULL);
	cn_lane_enc_restart(lane->enc);
	lane->generation = ++slot->lane_generations[lane->id];
	lane->sequence = 0;
}

int
cn_lane_refused(struct cn_slot *slot, struct cn_lane *lane, uint64_t now)
{
	slot->lanes_pause_us = now + CN_LINK_LANES_PAUSE_US;
	return lane_close(slot, lane) ? CN_OK : CN_ELIMIT;
}

void
cn_lanes_tick(struct cn_link *link, struct cn_slot *slot, uint64_t now)
{
	struct cn_list *it;

	(void)link;
	while ((it = cn_list_first(&slot->lanes_used)) != NULL) {
		struct cn_lane *lane =
		    CN_CONTAINER_OF(it, struct cn_lane, used_item);

		if (now - lane->used_us < CN_LINK_LANE_IDLE_US) {
			break;
		}
		if (!lane_close(slot, lane)) {
			lane->used_us = now; /* later, then */
			cn_list_remove(it);
			cn_list_append(&slot->lanes_used, it);
		}
	}
}

/* Its streams stay, but are in no lane any more. */
static void
let_go(struct cn_lane *lane)
{
	struct cn_list *it;

	while ((it = cn_list_first(&lane->streams)) != NULL) {
		cn_list_remove(it);
	}
	cn_list_remove(&lane->ready_item);
}

void
cn_lanes_fini(struct cn_link *link, struct cn_slot *slot)
{
	size_t pos = 0;
	uint64_t scope;
	void *value;

	while (cn_map_next(&slot->lanes, &pos, &scope, &value)) {
		struct cn_lane *lane = value;

		lane_shut(slot, lane);
		let_go(lane);
		cn_free(lane);
	}
	let_go(&slot->no_lane);
	cn_map_fini(&slot->lanes);
	cn_map_init(&slot->lanes);
	cn_free(slot->lane_ids);
	slot->lane_ids = NULL;
	cn_free(slot->lane_generations);
	slot->lane_generations = NULL;
	if (slot->lanes_in != NULL) {
		for (uint32_t i = 0; i < link->config.lanes; i++) {
			cn_lane_dec_free(&slot->lanes_in[i].dec);
		}
		cn_free(slot->lanes_in);
		slot->lanes_in = NULL;
	}
}

/* ---- receiving ---- */

void
cn_lane_in_close(struct cn_link *link, struct cn_slot *slot, uint64_t lane,
    uint64_t generation)
{
	struct cn_lane_in *in;

	if (lane >= link->config.lanes || slot->lanes_in == NULL) {
		return;
	}
	in = &slot->lanes_in[lane];
	if (in->generation == generation) {
		cn_lane_dec_free(&in->dec);
	}
}

/*
 * CN_OK: the plain bytes are in out.  CN_EAGAIN: the block belongs to a
 * generation that failed; it is dropped in silence, its frames come again.
 * CN_ECODING: it failed, once; CN_ESTALE: blocks before it are missing, told
 * once likewise, and so CN_ENOMEM: no context for it.  CN_EPROTO: it cannot
 * be; CN_EBUSY: there is no memory even to note that it failed.
 */
int
cn_lane_in_block(struct cn_link *link, struct cn_slot *slot,
    const struct cn_lane_head *head, const uint8_t *coded, uint8_t *out)
{
	struct cn_lane_in *in;
	int r;

	if (head->lane >= link->config.lanes) {
		return CN_EPROTO;
	}
	if (slot->lanes_in == NULL) {
		slot->lanes_in =
		    cn_calloc(link->config.lanes, sizeof(*slot->lanes_in));
		if (slot->lanes_in == NULL) {
			return CN_EBUSY;
		}
	}
	in = &slot->lanes_in[head->lane];
	if (head->generation < in->generation) {
		return CN_EPROTO;
	}
	if (head->generation > in->generation) {
		in->generation = head->generation;
		in->sequence = 0;
		in->is_failed = false;
		if (in->dec != NULL) {
			cn_lane_dec_restart(in->dec);
		}
	}
	if (in->is_failed) {
		return CN_EAGAIN;
	}
	if (in->dec == NULL && head->sequence == 0) {
		r = cn_lane_dec_create(
		    link->config.codec, CN_LANE_WINDOW_LOG_MAX, &in->dec);
		if (r != CN_OK) {
			in->is_failed = true;
			return CN_ENOMEM;
		}
	}
	r = CN_ESTALE;
	if (in->dec != NULL && head->sequence == in->sequence) {
		in->sequence++;
		r = cn_lane_dec_block(
		    in->dec, coded, head->coded_len, out, head->plain_len);
	}
	if (r != CN_OK) {
		in->is_failed = true;
	}
	return r;
}
