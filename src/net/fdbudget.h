/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_FDBUDGET_H
#define CN_NET_FDBUDGET_H

/*
 * How many descriptors streams may use, counted over the whole process.
 *
 * Accepted and dialled sockets of streams draw on one budget, so that a
 * gateway that serves both ends cannot accept what it could not dial.  It is
 * the process's limit less a reserve, from which carriers, files and the
 * control socket live: these are not counted here.
 *
 * Life:       cn_fdbudget_init() once before the first listener or dial.
 * Thread:     any; atomic.
 * Invariants: used <= limit, but for a limit that was lowered meanwhile.
 */

#include <stdbool.h>
#include <stdint.h>

/*
 * Raise the soft limit of descriptors to the hard one and budget what is
 * left after the reserve; at least a quarter of all, where the limit is low.
 *
 * Returns the budget.
 */
uint32_t cn_fdbudget_init(uint32_t reserve);

/* Set the budget by hand. */
void cn_fdbudget_set_limit(uint32_t limit);

/* Take n descriptors out of the budget; false and nothing taken if it has
 * not so many. */
bool cn_fdbudget_take(uint32_t n);
/* Give n back; asserts that they were taken. */
void cn_fdbudget_give(uint32_t n);

uint32_t cn_fdbudget_used(void);
uint32_t cn_fdbudget_limit(void);

#endif /* CN_NET_FDBUDGET_H */
