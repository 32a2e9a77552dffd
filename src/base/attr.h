/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_ATTR_H
#define CN_BASE_ATTR_H

/*
 * What we ask of the compiler, and the few macros that every layer needs.
 */

#include <stddef.h>
#include <stdint.h>

/* The caller must look at the result. */
#define CN_MUSTCHECK __attribute__((warn_unused_result))

/* Argument number fmt is a printf format for those from number args on. */
#define CN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* May be unused, as an argument of a callback is. */
#define CN_UNUSED __attribute__((unused))

/*
 * The struct that holds this member.  The sizeof makes the compiler compare
 * the types and costs nothing.
 */
#define CN_CONTAINER_OF(ptr, type, member)                                     \
	((type *)((uintptr_t)(ptr)-offsetof(type, member) +                    \
	    0 * sizeof((ptr) == &((type *)0)->member)))

/* Elements of an array; never of a pointer. */
#define CN_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Each argument may be evaluated twice. */
#define CN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define CN_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif /* CN_BASE_ATTR_H */
