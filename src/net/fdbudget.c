/* SPDX-License-Identifier: Apache-2.0 */
#include "net/fdbudget.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/attr.h"

/* The one budget of the process: descriptors belong to it, not to a thread. */
static _Atomic uint32_t limit = 256;
static _Atomic uint32_t used;

uint32_t
cn_fdbudget_init(uint32_t reserve)
{
	struct rlimit rl;
	uint32_t all = 256;
	uint32_t left;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		if (rl.rlim_cur < rl.rlim_max) {
			rl.rlim_cur = rl.rlim_max;
			/* Refused: what getrlimit() says next holds. */
			(void)setrlimit(RLIMIT_NOFILE, &rl);
			(void)getrlimit(RLIMIT_NOFILE, &rl);
		}
		all =
		    rl.rlim_cur > INT32_MAX ? INT32_MAX : (uint32_t)rl.rlim_cur;
	}
	left = all > reserve ? all - reserve : 0;
	cn_fdbudget_set_limit(CN_MAX(left, CN_MAX(all / 4, 1u)));
	return cn_fdbudget_limit();
}

void
cn_fdbudget_set_limit(uint32_t value)
{
	atomic_store(&limit, value);
}

bool
cn_fdbudget_take(uint32_t n)
{
	uint32_t max = atomic_load(&limit);
	uint32_t old = atomic_load(&used);

	do {
		if (old > max || n > max - old) {
			return false;
		}
	} while (!atomic_compare_exchange_weak(&used, &old, old + n));
	return true;
}

void
cn_fdbudget_give(uint32_t n)
{
	uint32_t old = atomic_fetch_sub(&used, n);

	assert(old >= n);
	(void)old;
}

uint32_t
cn_fdbudget_used(void)
{
	return atomic_load(&used);
}

uint32_t
cn_fdbudget_limit(void)
{
	return atomic_load(&limit);
}
