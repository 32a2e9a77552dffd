/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/builtin.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"

#define SPANS_MAX 16u
#define SOURCE "/source/"

enum kind { ECHO, SINK, SOURCE_OF };

struct cn_builtin {
	enum kind kind;
	bool is_finished;     /* our direction */
	uint64_t left;        /* SOURCE_OF: bytes to send */
	struct cn_prng bytes; /* SOURCE_OF */
};

const struct cn_link_profile cn_builtin_profile = {
	.coalesce_us = 2000,
	.level_min = 1,
	.level_max = 9,
	.dedup = true,
};

bool
cn_builtin_is_name(const char *service)
{
	return service[0] == '/';
}

/* Digits alone, at most CN_BUILTIN_SOURCE_MAX. */
static bool
read_count(const char *text, uint64_t *ret)
{
	uint64_t count = 0;

	if (text[0] == '\0') {
		return false;
	}
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9') {
			return false;
		}
		count = count * 10 + (uint64_t)(*text - '0');
		if (count > CN_BUILTIN_SOURCE_MAX) {
			return false;
		}
	}
	*ret = count;
	return true;
}

static bool
read_name(const char *service, enum kind *kind, uint64_t *count)
{
	*count = 0;
	if (strcmp(service, "/echo") == 0) {
		*kind = ECHO;
		return true;
	}
	if (strcmp(service, "/sink") == 0) {
		*kind = SINK;
		return true;
	}
	*kind = SOURCE_OF;
	return strncmp(service, SOURCE, strlen(SOURCE)) == 0 &&
	    read_count(service + strlen(SOURCE), count);
}

int
cn_builtin_create(const char *service, struct cn_builtin **ret)
{
	struct cn_builtin *builtin;
	enum kind kind;
	uint64_t count;

	if (!read_name(service, &kind, &count)) {
		return CN_ENOENT;
	}
	builtin = cn_calloc(1, sizeof(*builtin));
	if (builtin == NULL) {
		return CN_ENOMEM;
	}
	builtin->kind = kind;
	builtin->left = count;
	cn_prng_init(&builtin->bytes, count);
	*ret = builtin;
	return CN_OK;
}

void
cn_builtin_free(struct cn_builtin **bp)
{
	cn_free(*bp);
	*bp = NULL;
}

static size_t
sum_of(const struct cn_span *spans, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		len += spans[i].len;
	}
	return len;
}

static void
throw_away(struct cn_stream *stream, uint64_t now)
{
	struct cn_span spans[SPANS_MAX];
	size_t n;

	while ((n = cn_stream_read_spans(stream, spans, SPANS_MAX)) > 0) {
		cn_stream_consume(stream, sum_of(spans, n), now);
	}
}

/* From the first span that was read into the first that may be filled. */
static void
give_back(struct cn_stream *stream, uint64_t now)
{
	struct cn_span from, to;

	while (cn_stream_read_spans(stream, &from, 1) > 0 &&
	    cn_stream_fill_spans(stream, &to, 1) > 0) {
		size_t len = CN_MIN(from.len, to.len);

		memcpy(to.data, from.data, len);
		cn_stream_consume(stream, len, now);
		cn_stream_fill(stream, len,
		    cn_stream_read_spans(stream, &from, 1) == 0, now);
	}
}

static void
pour(struct cn_builtin *builtin, struct cn_stream *stream, uint64_t now)
{
	struct cn_span to;

	while (builtin->left > 0 && cn_stream_fill_spans(stream, &to, 1) > 0) {
		size_t len = (size_t)CN_MIN((uint64_t)to.len, builtin->left);

		cn_prng_bytes(&builtin->bytes, to.data, len);
		builtin->left -= len;
		cn_stream_fill(stream, len, builtin->left == 0, now);
	}
}

static void
finish(struct cn_builtin *builtin, struct cn_stream *stream, uint64_t now)
{
	if (!builtin->is_finished) {
		builtin->is_finished = true;
		cn_stream_finish(stream, now);
	}
}

void
cn_builtin_step(
    struct cn_builtin *builtin, struct cn_stream *stream, uint64_t now)
{
	bool is_over;

	switch (builtin->kind) {
	case ECHO:
		give_back(stream, now);
		break;
	case SINK:
		throw_away(stream, now);
		break;
	case SOURCE_OF:
		throw_away(stream, now);
		pour(builtin, stream, now);
		if (builtin->left == 0) {
			finish(builtin, stream, now);
		}
		break;
	}
	is_over = cn_stream_at_end(stream);
	if (is_over) {
		cn_stream_shut(stream, now);
	}
	if (is_over && builtin->kind != SOURCE_OF) {
		finish(builtin, stream, now);
	}
}
