/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/storewalk.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

/* How many segments may be met; only for the line of progress. */
static enum cn_exit
ask_total(struct cn_storewalk *walk)
{
	struct cn_request request = { .command = CN_COMMAND_STORE };
	struct cn_snap_store store = { 0 };
	struct cn_reply reply;
	enum cn_exit code = cn_ask_call(&walk->ask, &request, &reply);

	if (code != CN_EXIT_OK) {
		return code;
	}
	if (cn_shape_decode(&cn_snap_store_shape, reply.data, &store) ==
	    CN_OK) {
		walk->total = store.segments -
		    CN_MIN(store.open_segments, store.segments);
	}
	cn_reply_fini(&reply);
	return CN_EXIT_OK;
}

enum cn_exit
cn_storewalk_open(
    struct cn_storewalk *walk, const struct cn_args *args, const char *what)
{
	enum cn_exit code;

	memset(walk, 0, sizeof(*walk));
	walk->what = what;
	code = cn_ask_open(&walk->ask, args);
	return code == CN_EXIT_OK ? ask_total(walk) : code;
}

void
cn_storewalk_close(struct cn_storewalk *walk)
{
	if (walk->has_line) {
		(void)fputs("\r\x1b[K", stderr);
		walk->has_line = false;
	}
	cn_ask_close(&walk->ask);
}

static void
show(struct cn_storewalk *walk)
{
	if (isatty(STDERR_FILENO) != 1) {
		return;
	}
	(void)fprintf(stderr, "\r%llu segments %s",
	    (unsigned long long)walk->sum.segments, walk->what);
	if (walk->total >= walk->sum.segments) {
		(void)fprintf(
		    stderr, " of %llu", (unsigned long long)walk->total);
	}
	walk->has_line = true;
}

static void
add(struct cn_snap_walk *sum, const struct cn_snap_walk *step)
{
	sum->segments += step->segments;
	sum->bytes += step->bytes;
	sum->damaged += step->damaged;
	sum->known += step->known;
	sum->foreign += step->foreign;
	sum->no_room += step->no_room;
	sum->whole += step->whole;
}

enum cn_exit
cn_storewalk_step(struct cn_storewalk *walk, struct cn_request *request,
    const uint8_t *payload, const uint8_t **bytes, size_t *len)
{
	struct cn_snap_walk step = { 0 };
	const uint8_t *behind;
	struct cn_reply reply;
	enum cn_exit code =
	    cn_ask_call_raw(&walk->ask, request, payload, &reply, &behind);

	if (code != CN_EXIT_OK) {
		return code;
	}
	if (cn_shape_decode(&cn_snap_walk_shape, reply.data, &step) < 0) {
		cn_cli_error("the gateway's answer makes no sense");
		code = CN_EXIT_FAILED;
	}
	if (bytes != NULL) {
		*bytes = behind;
		*len = reply.payload;
	}
	request->cursor = reply.next;
	cn_reply_fini(&reply);
	add(&walk->sum, &step);
	show(walk);
	return code;
}

enum cn_exit
cn_storewalk_print(const struct cn_snap_walk *sum)
{
	enum cn_exit code;
	json_t *json;

	if (cn_shape_encode(&cn_snap_walk_shape, sum, &json) != CN_OK) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
		return CN_EXIT_FAILED;
	}
	code = cn_ask_print(json, false);
	json_decref(json);
	return code;
}
