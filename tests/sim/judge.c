/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/attr.h"
#include "codec/dedup.h"
#include "world.h"

/* Steps that one measured sending may take, and that pass after it. */
#define SENDING_STEPS 60000
#define PAUSE_STEPS 60
#define PAUSE_US 3000
/* A scope that nothing else in the world has. */
#define SCOPE_MEASURED 77u
#define SCOPE_APART 78u

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
	uint64_t copied, misses;
	bool is_coding_off;
};

static struct sent
so_far(const struct world *w, int side)
{
	struct cn_link_stats stats;

	cn_link_stats(w->proc[side].link, &stats);
	return (struct sent){ stats.sent.copied, stats.misses_received,
		stats.is_coding_off };
}

/* Nothing happens but time, acknowledgements and the disks' work. */
static void
pause_world(struct world *w)
{
	for (int i = 0; i < PAUSE_STEPS && !w->is_failed; i++) {
		w->now += PAUSE_US;
		world_step(w);
	}
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
	return after;
}

/* Can anything be asked of this world's references? */
static bool
is_measurable(const struct world *w)
{
	for (int side = 0; side < 2; side++) {
		const struct cn_store_config *config =
		    &w->proc[side].store_config;

		if (w->proc[side].link == NULL || w->proc[side].dedup == NULL ||
		    (config->quota_bytes > 0 &&
			config->quota_bytes < UINT64_C(4) << 20)) {
			return false;
		}
	}
	return !w->is_over && !w->is_cut_off && w->fate != FATE_DRAIN &&
	    w->fate != FATE_POOR && w->flows + 6 <= SIM_STREAMS &&
	    w->config.window_max >= 65536;
}

static void
check_copied(struct world *w, const char *what, const struct sent *sent,
    uint64_t length)
{
	if (!w->is_failed && sent->copied * 10 < length * 9) {
		world_fail(w, "%s: only %llu of %llu bytes were copied", what,
		    (unsigned long long)sent->copied,
		    (unsigned long long)length);
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
	content_own(&content, w->seed << 20 | 0xfffff, length,
	    cn_prng_chance(&w->prng, 1, 2) ? KIND_NOISE : KIND_TEXT);
	pause_world(w);
	carry(w, from, SCOPE_MEASURED, &content);
	carry(w, from, SCOPE_MEASURED, &content);
	sent = carry(w, from, SCOPE_MEASURED, &content);
	if (!w->is_failed && sent.misses > 0) {
		world_fail(w, "%llu misses in the third sending",
		    (unsigned long long)sent.misses);
	}
	w->tally.healed++;
	if (sent.is_coding_off) {
		return;
	}
	check_copied(w, "third sending", &sent, length);
	w->tally.measured++;
	sent = carry(w, 1 - from, SCOPE_MEASURED, &content);
	if (!sent.is_coding_off) {
		check_copied(w, "sending back", &sent, length);
		w->tally.back++;
	}
	sent = carry(w, from, SCOPE_APART, &content);
	/* Words of 64 bytes repeat themselves in a text, hardly in noise. */
	if (!w->is_failed &&
	    sent.copied > (content.part[0].kind == KIND_TEXT ? 20000 : 0)) {
		world_fail(w, "%llu bytes were copied from another scope",
		    (unsigned long long)sent.copied);
	}
	w->tally.apart++;
}
