/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_COSTS_H
#define CN_GATEWAY_COSTS_H

/*
 * What bytes on the wire were lost to, of one direction of a stream, or
 * summed; and the same in the words of control/why.h.
 *
 * Life:   the caller's.
 * Thread: struct cn_costs any; a struct cn_costs_sum all at once, each number
 *         for itself.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "codec/kind.h"
#include "control/why.h"
#include "link/link.h"

/* Those of CN_LOSS_OPAQUE stand by what they are, and only there. */
struct cn_costs {
	uint64_t wan[CN_LOSS_MAX];
	uint64_t opaque[CN_KIND_MAX];
};

struct cn_costs_sum {
	_Atomic uint64_t wan[CN_LOSS_MAX];
	_Atomic uint64_t opaque[CN_KIND_MAX];
};

void cn_costs_add(struct cn_costs *costs, const struct cn_link_losses *losses);
void cn_costs_sum_add(
    struct cn_costs_sum *sum, const struct cn_link_losses *losses);
/* Add what stands in the sum. */
void cn_costs_take(struct cn_costs *costs, const struct cn_costs_sum *sum);
void cn_costs_join(struct cn_costs *costs, const struct cn_costs *more);

/*
 * As reasons.
 *
 * @unstored  what it means that nothing is kept
 */
void cn_costs_tell(const struct cn_costs *costs, bool is_sent,
    enum cn_why_reason unstored, struct cn_why_facts *facts);

#endif /* CN_GATEWAY_COSTS_H */
