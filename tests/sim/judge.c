/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/attr.h"
#include "codec/dedup.h"
#include "world.h"

/* Steps that one measured sending may take, and that pass after it. */
#define SENDING_STEPS 60000
#define PAUSE_STEPS 60
#define PAUSE_US 3000
#define PAUSE_FIRST_US UINT64_C(11000000)
/* Stores with less are not asked to copy. */
#define QUOTA_LEAST (UINT64_C(4) << 20)
#define HOOK_BITS_MOST 2u
/* With less, few segments can be open, and one that stands in the way may do
 * so for the two seconds after which it is closed. */
#define MEMORY_LEAST (UINT64_C(12) << 20)
/* Bytes of a stream that may go as interactive ones. */
#define SMALL_MOST 32768u
/* A scope that nothing else in the world has. */
#define SCOPE_MEASURED 77u
#define SCOPE_APART 78u
#define SCOPE_LIES 79u
/* Sendings that are measured in one world. */
#define SENDINGS 12
/* Wrong places, and sendings until none of them is referred to any more: a
 * link bears three, and then codes no more. */
#define LIES_TOLD 6u
#define LIES_BELIEVED 4

/* ---- the ledger ---- */

void
judge_flows(struct world *w)
{
	for (int i = 0; i < w->flows && !w->is_failed; i++) {
		struct flow *f = &w->flow[i];
		bool is_reset = w->may_lose || f->is_lost ||
		    f->end[0].did_reset || f->end[1].did_reset;

		for (int side = 0; side < 2; side++) {
			struct end *e = &f->end[side];

			if (e->stream != NULL || !f->is_open ||
			    (!f->is_accepted && side != f->opener)) {
				continue;
			}
			if (e->how == HOW_NOT ||
			    (e->how == HOW_RESET && !is_reset)) {
				world_fail(w, "flow %u: side %d ended as %d",
				    f->key, side, (int)e->how);
			}
		}
	}
}

static void
tell_end(const struct flow *f, int side, FILE *out)
{
	const struct end *e = &f->end[side];
	struct cn_stream_stats st;

	if (e->stream == NULL) {
		return;
	}
	cn_stream_stats(e->stream, &st);
	fprintf(out,
	    "  flow %u side %d: wrote %llu/%llu read %llu of %llu%s%s "
	    "unacked %llu window %llu unread %llu slot %u%s\n",
	    f->key, side, (unsigned long long)e->written,
	    (unsigned long long)e->content.length, (unsigned long long)e->read,
	    (unsigned long long)f->end[1 - side].content.length,
	    e->is_finished ? " finished" : "", e->is_shut ? " shut" : "",
	    (unsigned long long)st.unacked, (unsigned long long)st.window_sent,
	    (unsigned long long)st.unread, st.slot,
	    st.is_confirmed ? "" : " unconfirmed");
}

void
judge_tell_stuck(const struct world *w, FILE *out)
{
	for (int i = 0; i < w->flows; i++) {
		tell_end(&w->flow[i], 0, out);
		tell_end(&w->flow[i], 1, out);
	}
}

void
judge_count(struct world *w, int side)
{
	struct cn_link_stats stats;

	if (w->proc[side].link == NULL) {
		return;
	}
	cn_link_stats(w->proc[side].link, &stats);
	w->tally.plain += stats.sent.literal + stats.sent.raw;
	w->tally.copied += stats.sent.copied;
	w->tally.misses += stats.misses_sent;
	w->tally.lacks += stats.lacks_sent;
	w->tally.bad_refs += stats.bad_refs;
	for (unsigned i = 0; i < CN_NACK_MAX; i++) {
		w->tally.nacks += stats.nacks_sent[i];
	}
}

/* ---- measured sendings ---- */

struct sent {
	uint64_t copied, misses, nacks;
	bool is_coding_off;
};

static struct sent
so_far(const struct world *w, int side)
{
	struct cn_link_stats stats;

	cn_link_stats(w->proc[side].link, &stats);
	return (struct sent){ stats.sent.copied, stats.misses_received,
		stats.nacks_received[CN_NACK_HASH] +
		    stats.nacks_received[CN_NACK_CODING],
		stats.is_coding_off };
}

/* Nothing happens but time, acknowledgements and the disks' work.  It is long
 * enough for a store to seal what a lost carrier left with holes. */
static void
pause_world(struct world *w)
{
	w->now += PAUSE_FIRST_US;
	for (int i = 0; i < PAUSE_STEPS && !w->is_failed; i++) {
		w->now += PAUSE_US;
		world_step(w);
	}
}

static void
tell_store(const struct world *w, int side)
{
	struct cn_store_stats st;

	if (w->proc[side].store == NULL) {
		return;
	}
	cn_store_stats(w->proc[side].store, &st);
#define N(field) ((unsigned long long)st.field)
	fprintf(stderr,
	    "    store %d: segments %llu, in memory %llu, on disk %llu, open "
	    "%llu; valid %llu, appended %llu, filled %llu, refused %llu; "
	    "evicted %llu, loads %llu, hooks %u%s\n",
	    side, N(segments), N(memory_segments), N(disk_segments),
	    N(open_segments), N(valid_bytes), N(appended), N(filled),
	    N(refused), N(evicted), N(loads), st.hook_bits,
	    st.is_disk_lost ? ", disk lost" : "");
#undef N
}

static void
tell_sending(
    const struct world *w, int from, uint64_t length, const struct sent *sent)
{
	if (!world_is_traced) {
		return;
	}
	fprintf(stderr,
	    "  side %d sent %llu: copied %llu, misses %llu, nacks "
	    "%llu%s\n",
	    from, (unsigned long long)length, (unsigned long long)sent->copied,
	    (unsigned long long)sent->misses, (unsigned long long)sent->nacks,
	    sent->is_coding_off ? ", coding off" : "");
	tell_store(w, 0);
	tell_store(w, 1);
}

/* Send that over a stream of its own, from start to clean end. */
static struct sent
carry(struct world *w, int from, uint64_t scope, const struct content *content)
{
	struct flow *f = &w->flow[w->flows];
	struct sent before = so_far(w, from), after;

	memset(f, 0, sizeof(*f));
	f->key = (uint32_t)w->flows;
	f->opener = (int)cn_prng_below(&w->prng, 2);
	f->scope = scope;
	f->is_steady = true;
	f->end[from].content = *content;
	for (int side = 0; side < 2; side++) {
		f->end[side].reset_at = UINT64_MAX;
		f->end[side].write_max = f->end[side].read_max = 400000;
	}
	w->first_flow = (uint64_t)w->flows++;
	for (int i = 0; !world_is_over(w) && !w->is_failed; i++) {
		if (w->lies_left > 0 && cn_prng_chance(&w->prng, 1, 30)) {
			stores_lie(w, 1 - from, scope);
			w->lies_left--;
		}
		world_step(w);
		if (i == SENDING_STEPS) {
			world_fail(w, "measured flow %u is stuck", f->key);
			judge_tell_stuck(w, stderr);
		}
	}
	if (!w->is_failed &&
	    (f->end[0].how != HOW_CLEAN || f->end[1].how != HOW_CLEAN)) {
		world_fail(w, "measured flow %u did not end well", f->key);
	}
	pause_world(w);
	after = so_far(w, from);
	after.copied -= before.copied;
	after.misses -= before.misses;
	after.nacks -= before.nacks;
	tell_sending(w, from, content->length, &after);
	return after;
}

/* Can a store find again what it was given?  Not with an index for so few
 * chunks, nor with so small a quota. */
static bool
is_fit(const struct proc *p, unsigned hook_bits)
{
	struct cn_store_stats stats;

	cn_store_stats(p->store, &stats);
	return stats.hook_bits <= hook_bits &&
	    p->store_config.memory_bytes >= MEMORY_LEAST &&
	    (p->store_config.quota_bytes == 0 ||
		p->store_config.quota_bytes >= QUOTA_LEAST);
}

/* Do both sides still live, with stores? */
static bool
is_measurable(const struct world *w)
{
	return w->proc[0].dedup != NULL && w->proc[1].dedup != NULL &&
	    w->proc[0].link != NULL && w->proc[1].link != NULL && !w->is_over &&
	    !w->is_cut_off && w->fate != FATE_DRAIN && w->fate != FATE_POOR &&
	    w->flows + SENDINGS <= SIM_STREAMS;
}

/* Can anything be asked of references to this in this world? */
static bool
is_strong(const struct world *w, const struct content *content)
{
	unsigned hooks =
	    content->part[0].kind == KIND_TEXT ? HOOK_BITS_MOST : 0;

	return is_fit(&w->proc[0], hooks) && is_fit(&w->proc[1], hooks) &&
	    w->config.window_max >= 65536;
}

/*
 * What a stream sends before it is bulk goes without references, and noise is
 * cut so coarsely that another batch may be over before it is recognised.
 */
static void
check_copied(struct world *w, const char *what, const struct sent *sent,
    const struct content *content, uint64_t percent, uint64_t *count)
{
	uint64_t least = content->length * percent / 100;

	if (content->part[0].kind != KIND_TEXT) {
		least = CN_MIN(least, content->length / 3);
	}
	if (w->is_failed || sent->is_coding_off || !is_strong(w, content)) {
		return;
	}
	(*count)++;
	if (sent->copied + SMALL_MOST < least) {
		world_fail(w, "%s: only %llu of %llu bytes were copied", what,
		    (unsigned long long)sent->copied,
		    (unsigned long long)content->length);
	}
}

/*
 * Again after those with a disk have been down: nothing is lost.  A batch
 * that would wait for the disk for too long goes without references.
 */
static void
measure_kept(struct world *w, int from, const struct content *content)
{
	static const bool is_clean[2] = { true, true };
	bool is_down[2] = { false, false };
	struct sent sent;

	for (int side = 0; side < 2; side++) {
		struct cn_store_stats stats;

		cn_store_stats(w->proc[side].store, &stats);
		is_down[side] = stats.has_disk && !stats.is_disk_lost &&
		    cn_prng_chance(&w->prng, 2, 3);
	}
	fate_restart(w, is_down, is_clean, NULL);
	pause_world(w);
	sent = carry(w, from, SCOPE_MEASURED, content);
	if ((w->proc[0].is_disk_good || !is_down[0]) &&
	    (w->proc[1].is_disk_good || !is_down[1])) {
		check_copied(
		    w, "after a restart", &sent, content, 50, &w->tally.kept);
	}
}

/* The same bytes in a scope that never had them. */
static void
measure_apart(struct world *w, int from, const struct content *content)
{
	struct sent sent = carry(w, from, SCOPE_APART, content);
	/* Words of 64 bytes repeat themselves in a text, not in noise. */
	uint64_t most = content->part[0].kind == KIND_TEXT ? 20000 : 0;

	if (!w->is_failed && sent.copied > most) {
		world_fail(w, "%llu bytes were copied from another scope",
		    (unsigned long long)sent.copied);
	}
	w->tally.apart++;
}

/* Who heard of too much damage codes no more: links of new ones do. */
static void
begin_anew(struct world *w)
{
	static const bool nobody[2] = { false, false };

	if (so_far(w, 0).is_coding_off || so_far(w, 1).is_coding_off) {
		fate_restart(w, nobody, nobody, NULL);
	}
}

/* Now the peer's store has wrong bytes: they are found, and then avoided. */
static void
measure_lies(struct world *w, int from, const struct content *content)
{
	uint64_t before = w->tally.lies;
	struct sent sent = { .nacks = 1 };
	struct content edited;

	w->lies_left = LIES_TOLD;
	(void)carry(w, from, SCOPE_LIES, content);
	w->lies_left = 0;
	if (w->is_failed) {
		return;
	}
	/* Not all of it is referred to each time: what begins as interactive
	 * is not. */
	for (int i = 0; i < LIES_BELIEVED && sent.nacks > 0; i++) {
		begin_anew(w);
		content_edited(&edited, content, ~w->seed + (uint64_t)i, 800);
		sent = carry(w, from, SCOPE_LIES, &edited);
		if (w->is_failed) {
			return;
		}
		w->tally.found += sent.nacks;
	}
	if (w->tally.lies > before && sent.nacks > 0) {
		world_fail(w, "lies are believed again and again");
	}
}

void
judge_measure(struct world *w)
{
	struct content content;
	struct sent sent;
	int from = (int)cn_prng_below(&w->prng, 2);
	uint64_t length = 150000 + cn_prng_below(&w->prng, 150000);

	if (!is_measurable(w)) {
		return;
	}
	begin_anew(w);
	content_own(&content, w->seed << 20 | 0xfffff, length,
	    cn_prng_chance(&w->prng, 1, 2) ? KIND_NOISE : KIND_TEXT);
	pause_world(w);
	(void)carry(w, from, SCOPE_MEASURED, &content);
	(void)carry(w, from, SCOPE_MEASURED, &content);
	sent = carry(w, from, SCOPE_MEASURED, &content);
	if (!w->is_failed && sent.misses > 0) {
		world_fail(w, "%llu misses in the third sending",
		    (unsigned long long)sent.misses);
	}
	w->tally.healed++;
	check_copied(
	    w, "third sending", &sent, &content, 90, &w->tally.measured);
	sent = carry(w, 1 - from, SCOPE_MEASURED, &content);
	check_copied(w, "sending back", &sent, &content, 90, &w->tally.back);
	measure_apart(w, from, &content);
	if (!w->is_failed) {
		measure_kept(w, from, &content);
	}
	if (!w->is_failed && w->lie_chance > 0) {
		measure_lies(w, from, &content);
	}
}
