/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONTROL_SHAPE_H
#define CN_CONTROL_SHAPE_H

/*
 * Plain structs described by tables, so that one encoder and one decoder
 * serve every message of the control socket.
 *
 * Life:       shapes are constant data; the objects belong to the caller,
 *             who clears a decoded one by cn_shape_clear().
 * Thread:     any; no globals.
 * Invariants: a list never exceeds the max of its field, a text never its
 *             size; a name in JSON that the table does not know is skipped,
 *             and one that is missing leaves a zero, so that two releases
 *             can talk; a value of a wrong type is an error.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum cn_shape_type {
	CN_SHAPE_U64,    /* uint64_t; above INT64_MAX is sent as that */
	CN_SHAPE_U32,    /* uint32_t */
	CN_SHAPE_BOOL,   /* bool */
	CN_SHAPE_TEXT,   /* char[size], terminated */
	CN_SHAPE_CHOICE, /* an enum, sent as its name; 0: "unknown" */
	CN_SHAPE_STRUCT, /* a struct in place */
	CN_SHAPE_LIST,   /* pointer to structs, owned, and a size_t */
};

struct cn_shape;

struct cn_shape_field {
	const char *name;
	enum cn_shape_type type;
	size_t offset;
	size_t size;                /* TEXT: bytes of the array */
	const struct cn_shape *sub; /* STRUCT, LIST */
	size_t count_offset;        /* LIST: where the size_t stands */
	size_t max;                 /* LIST: most elements */
	const char *const *names;   /* CHOICE: NULL-terminated, [0] unknown */
};

struct cn_shape {
	size_t size; /* of the struct */
	const struct cn_shape_field *fields;
	size_t count;
};

/*
 * Make a JSON object of a struct.
 *
 * Text that is not UTF-8 is sent with '?' for each byte outside ASCII.
 *
 * Returns CN_OK, CN_ENOMEM, or CN_ELIMIT (a list is too long).
 * ret: a new reference, the caller's.
 */
int cn_shape_encode(const struct cn_shape *shape, const void *object,
    json_t **ret) CN_MUSTCHECK;

/*
 * Fill a zeroed struct from a JSON object.
 *
 * Returns CN_OK; CN_EPROTO when a value has a wrong type or range;
 * CN_ELIMIT when a text or a list is too long; CN_ENOMEM.  On failure the
 * struct is cleared.
 */
int cn_shape_decode(const struct cn_shape *shape, const json_t *json,
    void *object) CN_MUSTCHECK;

/* Free the lists in a struct and zero it. */
void cn_shape_clear(const struct cn_shape *shape, void *object);

#endif /* CN_CONTROL_SHAPE_H */
