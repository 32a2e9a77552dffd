/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/tally.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/err.h"

/* Streams of which the last mean is made, and the mean of short ones. */
#define MEAN_OF 8u
#define SHORT_BYTES ((uint64_t)1024 * 1024)

int
cn_tally_create(const char *name, bool is_offer, struct cn_tally **ret)
{
	struct cn_tally *tally = cn_calloc(1, sizeof(*tally));

	if (tally == NULL) {
		return CN_ENOMEM;
	}
	atomic_init(&tally->refs, 1);
	tally->is_offer = is_offer;
	cn_snap_text(tally->name, sizeof(tally->name), name);
	*ret = tally;
	return CN_OK;
}

struct cn_tally *
cn_tally_ref(struct cn_tally *tally)
{
	atomic_fetch_add_explicit(&tally->refs, 1, memory_order_relaxed);
	return tally;
}

void
cn_tally_unref(struct cn_tally **tp)
{
	struct cn_tally *tally = *tp;
	uint32_t before;

	*tp = NULL;
	if (tally == NULL) {
		return;
	}
	before =
	    atomic_fetch_sub_explicit(&tally->refs, 1, memory_order_acq_rel);
	assert(before > 0);
	if (before == 1) {
		cn_free(tally);
	}
}

static void
grow(_Atomic uint64_t *sum, uint64_t n)
{
	atomic_fetch_add_explicit(sum, n, memory_order_relaxed);
}

static void
add(struct cn_tally_bytes *sum, const struct cn_link_bytes *bytes)
{
	grow(&sum->lan, bytes->lan);
	grow(&sum->wan, bytes->coded + bytes->raw + bytes->framing);
	grow(&sum->literal, bytes->literal);
	grow(&sum->raw, bytes->raw);
	grow(&sum->copied, bytes->copied);
	grow(&sum->coded, bytes->coded);
	grow(&sum->framing, bytes->framing);
}

static uint64_t
get(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

void
cn_tally_add(struct cn_tally *tally, const struct cn_stream_stats *stats)
{
	uint64_t bytes = stats->sent.lan + stats->received.lan + 1;
	uint64_t mean = get(&tally->mean);

	add(&tally->sent, &stats->sent);
	add(&tally->received, &stats->received);
	cn_costs_sum_add(&tally->sent_costs, &stats->sent_losses);
	cn_costs_sum_add(&tally->received_costs, &stats->received_losses);
	/* Two workers at once lose one of two: it is a mean of many. */
	mean = mean == 0 ? bytes : mean - mean / MEAN_OF + bytes / MEAN_OF;
	atomic_store_explicit(&tally->mean, mean, memory_order_relaxed);
}

bool
cn_tally_is_short(const struct cn_tally *tally)
{
	uint64_t mean = get(&tally->mean);

	return mean != 0 && mean <= SHORT_BYTES;
}

static void
read_bytes(const struct cn_tally_bytes *from, struct cn_snap_bytes *ret)
{
	ret->lan = get(&from->lan);
	ret->wan = get(&from->wan);
	ret->literal = get(&from->literal);
	ret->raw = get(&from->raw);
	ret->copied = get(&from->copied);
	ret->coded = get(&from->coded);
	ret->framing = get(&from->framing);
}

void
cn_tally_bytes(const struct cn_tally *tally, struct cn_snap_bytes *sent,
    struct cn_snap_bytes *received)
{
	read_bytes(&tally->sent, sent);
	read_bytes(&tally->received, received);
}

void
cn_tally_snap(const struct cn_link_bytes *bytes, struct cn_snap_bytes *ret)
{
	ret->lan = bytes->lan;
	ret->wan = bytes->coded + bytes->raw + bytes->framing;
	ret->literal = bytes->literal;
	ret->raw = bytes->raw;
	ret->copied = bytes->copied;
	ret->coded = bytes->coded;
	ret->framing = bytes->framing;
}
