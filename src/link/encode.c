/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "codec/probe.h"

/* Fewer bytes than these are not worth a look at the store, or coding. */
#define DEDUP_LEAST 64u
#define CODE_LEAST 48u
/* A delta that is shorter than the literals by more is not worth its place. */
#define DELTA_SHARE 4u
/*
 * A copy takes about so many bytes of the list, and breaks what zstd finds on
 * both sides of it: it must save more than that.
 */
#define COPY_COST 6.0
/* Greatest ratio that counts for the size of the next batch. */
#define RATIO_MAX 64.0

/* One batch in the making. */
struct making {
	struct cn_link *link;
	struct cn_slot *slot;
	struct cn_stream *s;
	struct cn_batch_head *head;
	struct cn_dedup_batch batch;
	bool is_again;
	bool is_last; /* nothing of its direction follows */
};

static bool
uses_dedup(const struct making *m)
{
	return m->link->config.dedup != NULL && m->slot->has_dedup &&
	    m->s->profile.dedup && !m->s->is_unstored &&
	    !m->link->is_coding_off && m->head->plain_len >= DEDUP_LEAST;
}

/* Find copies; without dedup the payload is the plain bytes.  What goes again
 * refers to nothing, but is stored: else the peer lacks it the next time,
 * too. */
static int
find_copies(struct making *m, size_t stores_max, uint64_t now)
{
	struct cn_stream *s = m->s;
	bool is_patient = s->store_us == 0 || now < s->store_us;
	int r;

	if (!uses_dedup(m)) {
		s->match.is_set = false;
		m->batch.payload = m->batch.literals = m->slot->plain;
		m->batch.payload_len = m->batch.literals_len =
		    m->head->plain_len;
		return CN_OK;
	}
	if (m->is_again) {
		s->match.is_set = false;
		cn_dedup_store(m->link->config.dedup, s->scope, m->slot->plain,
		    m->head->plain_len, stores_max, now, &m->batch);
		return CN_OK;
	}
	r = cn_dedup_encode(m->link->config.dedup, s->scope, &s->match,
	    m->slot->plain, m->head->plain_len, is_patient, stores_max, now,
	    &m->batch);
	if (r == CN_EAGAIN) {
		s->store_us = s->store_us == 0 ? now + CN_LINK_STORE_SEND_US
					       : s->store_us;
		s->store_wakes = m->link->wakes;
		return r;
	}
	assert(r == CN_OK);
	s->store_us = 0;
	return r;
}

static bool
has_copies(const struct making *m)
{
	return m->batch.copied > 0;
}

/*
 * Does the history follow this batch?  Not a batch that is mostly copies: its
 * neighbours are found in the logs.
 */
static bool
keeps_history(const struct making *m)
{
	return m->slot->peer_prefix_max > 0 &&
	    m->batch.copied <= m->head->plain_len / 2 &&
	    (m->s->tx_hist.len > 0 || !m->is_last);
}

/* Room behind the history with the plain bytes in it; NULL: none is kept. */
static uint8_t *
follow_history(struct making *m)
{
	struct cn_history *history = &m->s->tx_hist;
	uint8_t *room = NULL;

	if (history->len > 0 && history->end != m->head->offset) {
		cn_history_drop(history);
	}
	if (keeps_history(m)) {
		room = cn_history_room(history, m->head->plain_len);
	}
	if (room != NULL) {
		memcpy(room, m->slot->plain, m->head->plain_len);
	}
	return room;
}

/* What stands before the payload for zstd: the delta, or the history. */
static size_t
choose_prefix(
    struct making *m, int level, const uint8_t *room, const uint8_t **ret)
{
	struct cn_dedup_batch *batch = &m->batch;
	size_t len;

	if (batch->delta_len * DELTA_SHARE >= batch->literals_len &&
	    batch->delta_len > 0) {
		*ret = batch->delta;
		return batch->delta_len;
	}
	if (batch->delta_len > 0) {
		cn_dedup_no_delta(batch);
	}
	*ret = NULL;
	if (room == NULL) {
		return 0;
	}
	len = cn_codec_prefix_len(level, batch->payload_len,
	    CN_MIN((size_t)m->s->tx_hist.len, m->slot->peer_prefix_max));
	*ret = room - len;
	return len;
}

/* One coding of the payload, into slot->coded. */
struct attempt {
	const uint8_t *payload;
	const uint8_t *room; /* the plain bytes behind their history; or NULL */
	size_t prefix_len;
	size_t coded_len; /* that of the payload when it does not pay */
	uint64_t took_ns;
};

static int
attempt(struct making *m, struct attempt *a, int level)
{
	struct cn_codec *codec = m->link->config.codec;
	size_t len = m->batch.payload_len;
	const uint8_t *prefix;
	uint64_t t0;
	int r;

	a->prefix_len = choose_prefix(m, level, a->room, &prefix);
	t0 = cn_codec_clock_ns(codec);
	r = cn_codec_batch_encode(codec, level, prefix, a->prefix_len,
	    a->payload, len, m->slot->coded, len - len / 32, &a->coded_len);
	if (r != CN_OK) {
		a->coded_len = len;
	}
	a->took_ns = cn_codec_clock_ns(codec) - t0;
	return r;
}

/* Code at that level, and let the policy learn from it, and from a trial of
 * another one.  What has a delta tells nothing of levels. */
static int
try_levels(struct making *m, struct attempt *a, int level)
{
	struct cn_policy *policy = &m->slot->policy;
	int trial = cn_policy_trial(policy);
	int r;

	if (trial != 0 && m->batch.delta_len == 0) {
		(void)attempt(m, a, trial);
		cn_policy_tried(policy, a->coded_len, a->took_ns);
	}
	r = attempt(m, a, level);
	if (m->batch.delta_len == 0) {
		cn_policy_learn(policy, level, m->batch.payload_len,
		    a->coded_len, a->took_ns);
	}
	return r;
}

/*
 * Try to code the payload.  On success its bytes are in slot->coded and the
 * history, if kept, has grown by the batch.
 */
static bool
code_batch(struct making *m, int level)
{
	struct cn_batch_head *head = m->head;
	struct attempt a = {
		.room = follow_history(m),
		.payload = m->batch.payload,
	};

	if (a.room != NULL && !has_copies(m)) {
		a.payload = a.room; /* right behind its history */
	}
	if (try_levels(m, &a, level) != CN_OK) {
		return false;
	}
	head->coding = CN_CODING_ZSTD;
	head->coded_len = (uint32_t)a.coded_len;
	head->prefix_len = (uint32_t)a.prefix_len;
	if (a.room != NULL && !m->is_last) {
		head->flags |= CN_BATCH_KEEP;
		cn_history_keep(&m->s->tx_hist, head->plain_len,
		    head->offset + head->plain_len);
	} else {
		cn_history_drop(&m->s->tx_hist);
	}
	m->slot->batch.bytes = m->slot->coded;
	m->slot->batch.len = a.coded_len;
	return true;
}

/*
 * As it is.  A raw batch between coded ones keeps the history alive; the
 * second in a row ends it.
 */
static void
raw_batch(struct making *m)
{
	struct cn_stream *s = m->s;
	struct cn_batch_head *head = m->head;
	uint8_t *room = NULL;

	if (m->batch.delta_len > 0) {
		cn_dedup_no_delta(&m->batch);
	}
	if (!m->is_again && !s->was_raw && s->tx_hist.len > 0 &&
	    s->tx_hist.end == head->offset) {
		room = follow_history(m);
	}
	if (room != NULL) {
		cn_history_keep(&s->tx_hist, head->plain_len,
		    head->offset + head->plain_len);
		head->flags |= CN_BATCH_KEEP;
	} else {
		cn_history_drop(&s->tx_hist);
	}
	head->coding = CN_CODING_RAW;
	head->coded_len = (uint32_t)m->batch.payload_len;
	m->slot->batch.bytes = m->slot->plain;
	m->slot->batch.len = m->batch.payload_len;
	if (has_copies(m)) {
		memcpy(m->slot->coded, m->batch.payload, m->batch.payload_len);
		m->slot->batch.bytes = m->slot->coded;
	}
}

/*
 * The rate that the choice of a level may count on; 0: unknown.  The kernel's
 * is that of the next hop, which may be a proxy that takes bytes faster than
 * the path behind it, so where a busy carrier would have been measured here
 * by now, only that measure counts.
 */
static uint64_t
level_rate(const struct cn_slot *slot)
{
	bool is_measurable = slot->rate_bps > CN_LINK_DRAIN_PULLS *
		CN_FRAGMENT_MAX * (UINT64_C(1000000) / CN_LINK_DRAIN_US);

	return slot->drain.bps == 0 && is_measurable ? 0 : cn_slot_rate(slot);
}

/* The level for the literals; 0: they go as they are. */
static int
choose_level(const struct making *m, uint64_t now)
{
	const struct cn_dedup_batch *batch = &m->batch;

	if (m->is_again || m->link->is_coding_off ||
	    batch->payload_len < CODE_LEAST ||
	    cn_probe_bytes(batch->literals, batch->literals_len,
		m->head->offset == 0 && !has_copies(m)) !=
		CN_PROBE_COMPRESSIBLE) {
		return 0;
	}
	return cn_policy_level(&m->slot->policy, m->s->profile.level_min,
	    m->s->profile.level_max, level_rate(m->slot), m->slot->is_busy,
	    now);
}

/* What kept literals from being coded. */
static enum cn_loss
why_raw(const struct making *m)
{
	return m->is_again                      ? CN_LOSS_AGAIN
	    : m->link->is_coding_off            ? CN_LOSS_DAMAGE
	    : m->s->profile.level_max <= 0      ? CN_LOSS_RULE
	    : m->batch.payload_len < CODE_LEAST ? CN_LOSS_SHORT
						: CN_LOSS_OPAQUE;
}

/* What kept them from being copies. */
static enum cn_loss
why_literal(const struct making *m)
{
	return m->is_again                              ? CN_LOSS_AGAIN
	    : m->s->is_unstored || !m->s->profile.dedup ? CN_LOSS_UNSTORED
	    : m->link->is_coding_off                    ? CN_LOSS_DAMAGE
	    : m->link->config.dedup == NULL             ? CN_LOSS_NO_STORE
	    : !m->slot->has_dedup                       ? CN_LOSS_PEER_STORE
	    : m->head->plain_len < DEDUP_LEAST          ? CN_LOSS_SHORT
							: CN_LOSS_NEW;
}

/* What the literals cost, by what kept them from being less. */
static void
account_losses(const struct making *m)
{
	bool is_raw = m->head->coding == CN_CODING_RAW;
	uint64_t literals = m->batch.literals_len;
	uint64_t gone = CN_MIN((uint64_t)m->batch.gone, literals);
	uint64_t cost = is_raw ? literals : m->head->coded_len;
	enum cn_loss loss = is_raw ? why_raw(m) : why_literal(m);

	cn_loss_look_sent(m->s, m->head->offset, m->slot->plain,
	    m->head->plain_len, is_raw && loss == CN_LOSS_OPAQUE);
	if (literals == 0) {
		return;
	}
	gone = cost * gone / literals;
	cn_loss_sent(m->s, CN_LOSS_GONE, gone);
	cn_loss_sent(m->s, loss, cost - gone);
}

/*
 * The shortest copy that pays where literals shrink as these did.  With an
 * older version before them, or few, they tell nothing of others.
 */
static void
learn_copies(const struct making *m)
{
	double least =
	    COPY_COST * (double)m->batch.payload_len / m->head->coded_len;
	struct cn_match_state *match = &m->s->match;

	if (m->batch.delta_len == 0 &&
	    m->batch.literals_len >= m->head->plain_len / 2) {
		least = CN_MIN(least, (double)CN_MATCH_LEAST_MAX);
		match->least = (uint16_t)((match->least * 3.0 + least) / 4.0);
	}
}

static void
account(const struct making *m)
{
	struct cn_link_bytes *mine = &m->s->sent;
	struct cn_link_bytes *all = &m->link->stats.sent;
	double ratio = (double)m->head->plain_len / m->head->coded_len;

	m->s->ratio += (CN_MIN(ratio, RATIO_MAX) - m->s->ratio) / 4;
	learn_copies(m);
	mine->copied += m->batch.copied;
	all->copied += m->batch.copied;
	if (m->head->coding == CN_CODING_RAW) {
		mine->raw += m->batch.literals_len;
		all->raw += m->batch.literals_len;
	} else {
		mine->literal += m->batch.literals_len;
		all->literal += m->batch.literals_len;
		mine->coded += m->head->coded_len;
		all->coded += m->head->coded_len;
	}
}

int
cn_encode_batch(struct cn_link *link, struct cn_slot *slot, struct cn_stream *s,
    struct cn_batch_head *head, bool is_again, size_t stores_max, uint64_t now)
{
	struct making m = {
		.link = link,
		.slot = slot,
		.s = s,
		.head = head,
		.is_again = is_again,
		.is_last = s->is_finished &&
		    head->offset + head->plain_len == s->tx.end,
	};
	int level, r;

	r = find_copies(&m, stores_max, now);
	if (r != CN_OK) {
		return r;
	}
	level = choose_level(&m, now);
	if (level == 0 || !code_batch(&m, level)) {
		raw_batch(&m);
	}
	s->was_raw = head->coding == CN_CODING_RAW;
	if (m.batch.refs != NULL) {
		head->ext_len =
		    cn_dedup_ext(link->config.dedup, &m.batch, &head->ext);
		for (size_t i = 0; i < m.batch.refs->stores; i++) {
			cn_sent_add_store(&slot->sent,
			    m.batch.refs->store[i].pos,
			    m.batch.refs->store[i].len);
		}
	}
	head->hash = cn_block_batch_hash(head, slot->plain, head->plain_len);
	account(&m);
	account_losses(&m);
	return CN_OK;
}
