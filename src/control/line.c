/* SPDX-License-Identifier: Apache-2.0 */
#include "control/line.h"

#include "base/err.h"

struct sink {
	struct cn_buf *out;
	int err;
};

static int
append(const char *text, size_t len, void *arg)
{
	struct sink *sink = arg;

	sink->err = cn_buf_append(sink->out, text, len);
	return sink->err < 0 ? -1 : 0;
}

int
cn_line_append(struct cn_buf *out, const json_t *json)
{
	struct sink sink = { .out = out, .err = CN_OK };
	size_t before = out->len;
	int failed = json_dump_callback(json, append, &sink, JSON_COMPACT);

	if (failed == 0) {
		sink.err = cn_buf_append(out, "\n", 1);
	} else if (sink.err == CN_OK) {
		sink.err = CN_ENOMEM; /* jansson's own, for nested objects */
	}
	if (sink.err < 0) {
		out->len = before;
	}
	return sink.err;
}
