/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The control socket's messages: the same bytes as a request and as a reply,
 * and a reply's data as every kind of snapshot.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "control/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
need(bool is_so)
{
	if (!is_so) {
		abort();
	}
}

/* What was accepted is encoded to what is accepted as the same. */
static void
try_request(const char *line, size_t len)
{
	struct cn_request request, again;
	struct cn_buf buf;

	cn_buf_init(&buf, CN_REPLY_MAX);
	if (cn_request_decode(line, len, &request) == CN_OK) {
		need(cn_request_encode(&request, &buf) == CN_OK);
		need(cn_request_decode(
			 (const char *)buf.data, buf.len - 1, &again) == CN_OK);
		need(again.id == request.id &&
		    again.command == request.command &&
		    again.stream == request.stream &&
		    again.cursor == request.cursor &&
		    again.limit == request.limit &&
		    again.bytes == request.bytes &&
		    again.payload == request.payload &&
		    memcmp(again.key, request.key, sizeof(again.key)) == 0);
	} else {
		need(cn_reply_refused(&buf, &request) == CN_OK);
	}
	cn_buf_fini(&buf);
}

static void
try_shape(const struct cn_shape *shape, const json_t *json)
{
	void *object = cn_calloc(1, shape->size);
	json_t *again;

	need(object != NULL);
	if (cn_shape_decode(shape, json, object) == CN_OK) {
		need(cn_shape_encode(shape, object, &again) == CN_OK);
		json_decref(again);
	}
	cn_shape_clear(shape, object);
	cn_free(object);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *line = (const char *)data;
	struct cn_reply reply;

	try_request(line, len);
	cn_reply_init(&reply);
	if (cn_reply_decode(line, len, &reply) == CN_OK && reply.is_ok) {
		try_shape(&cn_snap_status_shape, reply.data);
		try_shape(&cn_snap_streams_shape, reply.data);
		try_shape(&cn_snap_stream_shape, reply.data);
		try_shape(&cn_snap_peers_shape, reply.data);
		try_shape(&cn_snap_services_shape, reply.data);
		try_shape(&cn_snap_store_shape, reply.data);
		try_shape(&cn_snap_walk_shape, reply.data);
	}
	cn_reply_fini(&reply);
	return 0;
}
