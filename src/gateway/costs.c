/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/costs.h"

void
cn_costs_add(struct cn_costs *costs, const struct cn_link_losses *losses)
{
	for (unsigned i = 0; i < CN_LOSS_MAX; i++) {
		if (i != CN_LOSS_OPAQUE) {
			costs->wan[i] += losses->wan[i];
		}
	}
	costs->opaque[losses->kind] += losses->wan[CN_LOSS_OPAQUE];
}

static void
grow(_Atomic uint64_t *sum, uint64_t n)
{
	if (n > 0) {
		atomic_fetch_add_explicit(sum, n, memory_order_relaxed);
	}
}

void
cn_costs_sum_add(struct cn_costs_sum *sum, const struct cn_link_losses *losses)
{
	for (unsigned i = 0; i < CN_LOSS_MAX; i++) {
		if (i != CN_LOSS_OPAQUE) {
			grow(&sum->wan[i], losses->wan[i]);
		}
	}
	grow(&sum->opaque[losses->kind], losses->wan[CN_LOSS_OPAQUE]);
}

static uint64_t
get(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

void
cn_costs_take(struct cn_costs *costs, const struct cn_costs_sum *sum)
{
	for (unsigned i = 0; i < CN_LOSS_MAX; i++) {
		costs->wan[i] += get(&sum->wan[i]);
	}
	for (unsigned i = 0; i < CN_KIND_MAX; i++) {
		costs->opaque[i] += get(&sum->opaque[i]);
	}
}

void
cn_costs_join(struct cn_costs *costs, const struct cn_costs *more)
{
	for (unsigned i = 0; i < CN_LOSS_MAX; i++) {
		costs->wan[i] += more->wan[i];
	}
	for (unsigned i = 0; i < CN_KIND_MAX; i++) {
		costs->opaque[i] += more->opaque[i];
	}
}

static enum cn_why_reason
reason_of_kind(enum cn_kind kind)
{
	static const enum cn_why_reason classes[] = {
		[CN_KIND_PLAIN] = CN_WHY_RANDOM,
		[CN_KIND_ENCRYPTED_PATH] = CN_WHY_TLS,
		[CN_KIND_ENCRYPTED_FILE] = CN_WHY_ENCRYPTED,
		[CN_KIND_COMPRESSED] = CN_WHY_COMPRESSED,
		[CN_KIND_MEDIA] = CN_WHY_MEDIA,
	};

	return kind == CN_KIND_SSH ? CN_WHY_SSH : classes[cn_kind_class(kind)];
}

static void
tell_opaque(
    const struct cn_costs *costs, bool is_sent, struct cn_why_facts *facts)
{
	for (enum cn_kind kind = CN_KIND_NONE; kind < CN_KIND_MAX; kind++) {
		bool is_named = kind != CN_KIND_NONE;

		cn_why_add(facts, is_sent, reason_of_kind(kind),
		    is_named ? cn_kind_name(kind) : "",
		    is_named ? cn_kind_title(kind) : "", costs->opaque[kind]);
	}
}

void
cn_costs_tell(const struct cn_costs *costs, bool is_sent,
    enum cn_why_reason unstored, struct cn_why_facts *facts)
{
	static const enum cn_why_reason reasons[CN_LOSS_MAX] = {
		[CN_LOSS_RULE] = CN_WHY_RULE,
		[CN_LOSS_DAMAGE] = CN_WHY_DAMAGE,
		[CN_LOSS_MEMORY] = CN_WHY_MEMORY,
		[CN_LOSS_AGAIN] = CN_WHY_AGAIN,
		[CN_LOSS_SHORT] = CN_WHY_SHORT,
		[CN_LOSS_PEER] = CN_WHY_PEER_RAW,
		[CN_LOSS_NEW] = CN_WHY_COLD,
		[CN_LOSS_GONE] = CN_WHY_EVICTED,
		[CN_LOSS_NO_STORE] = CN_WHY_STORE_OFF,
		[CN_LOSS_PEER_STORE] = CN_WHY_PEER_STORE,
		[CN_LOSS_UNSAID] = CN_WHY_PEER_SAID,
	};

	for (enum cn_loss loss = CN_LOSS_OPAQUE; loss < CN_LOSS_MAX; loss++) {
		enum cn_why_reason reason =
		    loss == CN_LOSS_UNSTORED ? unstored : reasons[loss];

		if (loss != CN_LOSS_OPAQUE) {
			cn_why_add(
			    facts, is_sent, reason, "", "", costs->wan[loss]);
		}
	}
	tell_opaque(costs, is_sent, facts);
}
