/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_ASKER_H
#define CN_MANAGE_ASKER_H

/*
 * Questions to the gateway on behalf of many: identical reads within a short
 * time are one question, and those who come while it is asked wait for the
 * same answer.  So what the gateway is asked depends on what there is to
 * see, not on how many look.
 *
 * Reads go over one connection, one after the other; each change, and what
 * takes long, over one of its own.
 *
 * Life:   cn_asker_create(), any number of cn_asker_ask(),
 *         cn_asker_free() after the last thread has ended.
 * Thread: any.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

/* Answers kept, and their bytes together. */
#define CN_ASKER_SLOTS 64u
#define CN_ASKER_BYTES_MAX (64u * 1024u * 1024u)
/* A failure is kept no longer than this. */
#define CN_ASKER_FAILURE_US UINT64_C(250000)
/* Changes and long questions at the same time. */
#define CN_ASKER_OWN_MAX 8u
/* Command and fields of a question, as text. */
#define CN_ASKER_KEY_MAX 768u

struct cn_question {
	const char *command;
	const json_t *fields;         /* borrowed; NULL: none */
	const struct cn_buf *payload; /* borrowed; NULL: none */
	uint64_t max_age_us;          /* 0: never from the cache */
	bool is_change;               /* what was known is no longer true */
	uint64_t timeout_us;          /* 0: that of reads */
};

/* What came of it: constant once made. */
struct cn_answer {
	_Atomic unsigned holders;
	unsigned status; /* of HTTP: 200, or that of the problem */
	json_t *data;    /* NULL unless 200; to be read only */
	uint64_t next;   /* cursor of the following page; 0: none */
	char *body;      /* JSON: data and next, or the problem */
	size_t len;
	char etag[80]; /* of a configuration; "" */
};

struct cn_asker; /* opaque */

/*
 * @socket      path of the control socket; copied
 * @timeout_us  for the answer to a read
 */
int cn_asker_create(const char *socket, uint64_t timeout_us,
    struct cn_asker **ret) CN_MUSTCHECK;
void cn_asker_free(struct cn_asker **ap);

/*
 * Ask.  A gateway that does not answer is an answer too: a problem.
 *
 * Returns CN_OK or CN_ENOMEM.  ret: the caller's until cn_answer_free().
 */
int cn_asker_ask(struct cn_asker *asker, const struct cn_question *question,
    struct cn_answer **ret) CN_MUSTCHECK;
void cn_answer_free(struct cn_answer **ap);

/* Questions that went to the gateway. */
uint64_t cn_asker_asked(struct cn_asker *asker);

#endif /* CN_MANAGE_ASKER_H */
