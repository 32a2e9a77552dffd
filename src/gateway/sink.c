/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sink.h"

#include "base/attr.h"
#include "link/link.h"

#define SPANS_MAX 16u

void
cn_sink_take(struct cn_stream *stream, uint64_t now)
{
	struct cn_span spans[SPANS_MAX];
	size_t n;

	while ((n = cn_stream_read_spans(stream, spans, CN_ARRAY_LEN(spans))) >
	    0) {
		size_t len = 0;

		for (size_t i = 0; i < n; i++) {
			len += spans[i].len;
		}
		cn_stream_consume(stream, len, now);
	}
	if (cn_stream_at_end(stream)) {
		cn_stream_shut(stream, now);
		cn_stream_finish(stream, now);
	}
}
