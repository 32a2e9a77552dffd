/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counter.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* Two lines, since processors fetch them in pairs. */
#define SET_ALIGN 128u

static const struct cn_counter_info infos[] = {
#define INFO(id, name, unit, help) [CN_COUNTER_##id] = { name, unit, help },
	CN_COUNTER_TABLE(INFO)
#undef INFO
};

_Static_assert(
    CN_ARRAY_LEN(infos) == CN_COUNTER_COUNT, "a line for each counter");

const struct cn_counter_info *
cn_counter_info(enum cn_counter counter)
{
	assert(counter < CN_COUNTER_COUNT);
	return &infos[counter];
}

int
cn_counters_create(struct cn_counters **ret)
{
	/* Whole lines, so that no neighbour shares the last one. */
	size_t size =
	    (sizeof(struct cn_counters) + SET_ALIGN - 1) & ~(SET_ALIGN - 1UL);
	struct cn_counters *set = cn_alloc_aligned(SET_ALIGN, size);

	if (set == NULL) {
		return CN_ENOMEM;
	}
	memset(set, 0, size);
	*ret = set;
	return CN_OK;
}

void
cn_counters_free(struct cn_counters **cp)
{
	cn_free(*cp);
	*cp = NULL;
}

uint64_t
cn_counter_get(const struct cn_counters *set, enum cn_counter counter)
{
	assert(counter < CN_COUNTER_COUNT);
	return atomic_load_explicit(&set->value[counter], memory_order_relaxed);
}

void
cn_counters_sum(const struct cn_counters *set, uint64_t *sums)
{
	for (size_t i = 0; i < CN_COUNTER_COUNT; i++) {
		sums[i] +=
		    atomic_load_explicit(&set->value[i], memory_order_relaxed);
	}
}
