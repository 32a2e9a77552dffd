/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <string.h>

#include "base/err.h"

/* Logs of the pair that are told of at the start. */
#define TOPS_MAX 64u
/* Children of a node. */
#define NODE_WAY 16u
/* Replies that may wait when evictions are told. */
#define EVICTED_REPLIES 64u

static uint64_t
flags_of(bool is_mine)
{
	return is_mine ? 0 : CN_LOG_OF_RECEIVER;
}

/* Whose log a frame of the peer speaks of, as we see it. */
static bool
is_mine(uint64_t flags)
{
	return (flags & CN_LOG_OF_RECEIVER) != 0;
}

static void
reply_node(struct cn_slot *slot, enum cn_frame_type type,
    const struct cn_agree_node *node)
{
	/* Without room it is left out: that costs copies only. */
	(void)cn_compose_log_reply(slot, type, flags_of(node->is_mine),
	    node->epoch, node->index, node->level);
}

void
cn_reconcile_start(struct cn_link *link, struct cn_slot *slot,
    const uint8_t *boot, uint64_t now)
{
	struct cn_pair *pair = cn_dedup_pair(link->config.dedup);
	struct cn_agree_node top[TOPS_MAX];
	size_t n;

	if (!cn_pair_meet(pair, boot, now)) {
		return;
	}
	n = cn_pair_tops(pair, top, CN_ARRAY_LEN(top));
	for (size_t i = 0; i < n; i++) {
		reply_node(slot, CN_FRAME_HAVE, &top[i]);
	}
}

static struct cn_agree_node
node_of(const struct cn_frame_node *frame)
{
	return (struct cn_agree_node){
		.is_mine = is_mine(frame->flags),
		.epoch = frame->epoch,
		.level = frame->level,
		.index = frame->index,
		.hash = frame->hash,
	};
}

/* The peer has something: the same as we, or it is asked for details. */
static void
take_have(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_node *have)
{
	struct cn_agree_node node = node_of(have);

	if (cn_pair_agree(cn_dedup_pair(link->config.dedup), &node) ==
	    CN_ESTALE) {
		reply_node(slot, CN_FRAME_WANT, &node);
	}
}

static void
take_want(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_node *want)
{
	struct cn_pair *pair = cn_dedup_pair(link->config.dedup);
	struct cn_agree_node node = node_of(want);

	if (slot->wants >= CN_LINK_WANTS_MAX) {
		return;
	}
	slot->wants++;
	if (node.level == 0) {
		(void)cn_compose_log_reply(slot, CN_FRAME_EXTENTS,
		    flags_of(node.is_mine), node.epoch, node.index, 0);
		return;
	}
	node.level--;
	node.index *= NODE_WAY;
	for (unsigned i = 0; i < NODE_WAY; i++, node.index++) {
		if (cn_pair_node(pair, &node)) {
			reply_node(slot, CN_FRAME_HAVE, &node);
		}
	}
}

int
cn_reconcile_take(
    struct cn_link *link, struct cn_slot *slot, const struct cn_frame *frame)
{
	struct cn_pair *pair;

	if (!slot->has_dedup) {
		return CN_EPROTO;
	}
	pair = cn_dedup_pair(link->config.dedup);
	if (frame->type == CN_FRAME_HAVE) {
		take_have(link, slot, &frame->u.have);
	} else if (frame->type == CN_FRAME_WANT) {
		take_want(link, slot, &frame->u.want);
	} else if (frame->type == CN_FRAME_EXTENTS) {
		cn_pair_agree_extents(pair, is_mine(frame->u.extents.flags),
		    frame->u.extents.epoch, frame->u.extents.sequence,
		    frame->u.extents.hash);
	} else {
		struct cn_place place = {
			.epoch = frame->u.lack.epoch,
			.pos = frame->u.lack.pos,
			.is_mine = is_mine(frame->u.lack.flags),
		};

		link->stats.lacks_received++;
		cn_pair_lacks(pair, &place, frame->u.lack.len);
	}
	return CN_OK;
}

static bool
node_frame(struct cn_pair *pair, const struct cn_reply *reply,
    struct cn_frame_node *ret)
{
	struct cn_agree_node node = {
		.is_mine = reply->flags == 0,
		.epoch = reply->value,
		.level = reply->len,
		.index = reply->stream,
	};

	ret->flags = reply->flags;
	ret->epoch = node.epoch;
	ret->level = node.level;
	ret->index = node.index;
	if (reply->type == CN_FRAME_WANT) {
		return true;
	}
	/* It may have changed since, or be gone. */
	if (!cn_pair_node(pair, &node)) {
		return false;
	}
	ret->hash = node.hash;
	return true;
}

bool
cn_reconcile_frame(const struct cn_link *link, const struct cn_reply *reply,
    struct cn_frame *ret)
{
	struct cn_pair *pair = cn_dedup_pair(link->config.dedup);

	ret->type = (enum cn_frame_type)reply->type;
	if (ret->type == CN_FRAME_EXTENTS) {
		ret->u.extents.flags = reply->flags;
		ret->u.extents.epoch = reply->value;
		ret->u.extents.sequence = reply->stream;
		return cn_pair_extents(pair, reply->flags == 0, reply->value,
		    reply->stream, ret->u.extents.hash);
	}
	if (ret->type == CN_FRAME_LACK) {
		ret->u.lack.flags = reply->flags;
		ret->u.lack.epoch = reply->value;
		ret->u.lack.pos = reply->stream;
		ret->u.lack.len = reply->len;
		return true;
	}
	return node_frame(pair, reply,
	    ret->type == CN_FRAME_HAVE ? &ret->u.have : &ret->u.want);
}

void
cn_reconcile_lack(struct cn_link *link, struct cn_slot *slot,
    const struct cn_dedup_lack *lack)
{
	link->stats.lacks_sent++;
	(void)cn_compose_log_reply(slot, CN_FRAME_LACK,
	    flags_of(lack->place.is_mine), lack->place.epoch, lack->place.pos,
	    (uint32_t)lack->len);
}

void
cn_reconcile_evicted(struct cn_link *link, struct cn_slot *slot)
{
	struct cn_pair *pair = cn_dedup_pair(link->config.dedup);
	struct cn_dedup_lack lack;

	while (slot->reply_count < EVICTED_REPLIES &&
	    cn_pair_evicted(pair, &lack.place, &lack.len)) {
		cn_reconcile_lack(link, slot, &lack);
	}
}
