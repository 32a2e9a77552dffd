/* SPDX-License-Identifier: Apache-2.0 */
#include "link/state.h"

#include <string.h>

#include "base/alloc.h"
#include "codec/probe.h"

/* A protocol shows within so many bytes, behind some words in the clear. */
#define LOOK_BYTES 4096u

/* Sums are made when there is something to sum: most streams never need
 * them.  Without memory a loss is not counted, and nothing else happens. */
static struct cn_loss_sums *
sums_of(struct cn_stream *s)
{
	if (s->losses == NULL) {
		s->losses = cn_calloc(1, sizeof(*s->losses));
	}
	return s->losses;
}

void
cn_loss_sent(struct cn_stream *s, enum cn_loss loss, uint64_t wan)
{
	struct cn_loss_sums *sums = wan > 0 ? sums_of(s) : NULL;

	if (sums != NULL) {
		sums->sent[loss] += wan;
	}
}

void
cn_loss_received(struct cn_stream *s, enum cn_loss loss, uint64_t wan)
{
	struct cn_loss_sums *sums = wan > 0 ? sums_of(s) : NULL;

	if (sums != NULL) {
		sums->received[loss] += wan;
	}
}

static uint8_t
look(uint8_t kind, uint64_t offset, const uint8_t *bytes, size_t len,
    bool is_opaque)
{
	if (kind != CN_KIND_NONE || (offset >= LOOK_BYTES && !is_opaque)) {
		return kind;
	}
	return (uint8_t)(offset == 0 ? cn_kind_of_start(bytes, len)
				     : cn_kind_of_inside(bytes, len));
}

void
cn_loss_look_sent(struct cn_stream *s, uint64_t offset, const uint8_t *bytes,
    size_t len, bool is_opaque)
{
	s->sent_kind = look(s->sent_kind, offset, bytes, len, is_opaque);
}

void
cn_loss_look_received(struct cn_stream *s, uint64_t offset,
    const uint8_t *bytes, size_t len, bool is_opaque)
{
	s->received_kind =
	    look(s->received_kind, offset, bytes, len, is_opaque);
}

/* Raw bytes of the peer: it had no choice if they are opaque, too. */
static bool
take_raw(struct cn_stream *s, const uint8_t *bytes, size_t len, uint64_t wan)
{
	bool is_opaque =
	    cn_probe_bytes(bytes, len, false) != CN_PROBE_COMPRESSIBLE;

	cn_loss_received(s, is_opaque ? CN_LOSS_OPAQUE : CN_LOSS_PEER, wan);
	return is_opaque;
}

void
cn_loss_take_raw(struct cn_stream *s, const uint8_t *bytes, size_t len)
{
	(void)take_raw(s, bytes, len, len);
}

/*
 * Literals that the peer stores were new to it.  Of the rest only it knows
 * why they were no copies.
 */
void
cn_loss_take_batch(struct cn_stream *s, const struct cn_batch_head *head,
    const uint8_t *plain, size_t literals)
{
	bool is_opaque = false;

	if (literals > 0 && head->coding == CN_CODING_RAW) {
		is_opaque = take_raw(s, plain, head->plain_len, literals);
	} else if (literals > 0) {
		cn_loss_received(s,
		    head->ext_len > 0 ? CN_LOSS_NEW : CN_LOSS_UNSAID,
		    head->coded_len);
	}
	cn_loss_look_received(
	    s, head->offset, plain, head->plain_len, is_opaque);
}

void
cn_loss_stats(const struct cn_stream *s, struct cn_stream_stats *ret)
{
	ret->sent_losses.kind = (enum cn_kind)s->sent_kind;
	ret->received_losses.kind = (enum cn_kind)s->received_kind;
	if (s->losses != NULL) {
		memcpy(ret->sent_losses.wan, s->losses->sent,
		    sizeof(ret->sent_losses.wan));
		memcpy(ret->received_losses.wan, s->losses->received,
		    sizeof(ret->received_losses.wan));
	}
}
