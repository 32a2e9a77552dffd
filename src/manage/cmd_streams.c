/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "manage/ask.h"
#include "manage/view.h"

static const struct cn_table_column columns[] = { { "ID", true },
	{ "SERVICE", false }, { "PEER", false }, { "STATE", false },
	{ "AGE", true }, { "IDLE", true }, { "LAN", true }, { "WAN", true },
	{ "SAVED", true }, { "RATIO", true }, { "WHY", false },
	{ "CLIENT", false } };

/* What of a listing is wanted, and how far it has come. */
struct listing {
	const char *service, *peer; /* NULL: all */
	uint64_t left;              /* may still be shown */
	uint64_t shown;
	uint64_t total; /* in the gateway */
	struct cn_table table;
	bool is_json, is_bold;
};

static bool
is_wanted(const struct listing *listing, const struct cn_snap_stream *stream)
{
	return (listing->service == NULL ||
		   strcmp(listing->service, stream->service) == 0) &&
	    (listing->peer == NULL || strcmp(listing->peer, stream->peer) == 0);
}

static void
add_row(struct cn_table *table, const struct cn_snap_stream *stream)
{
	struct cn_snap_bytes sum = stream->sent;
	char id[24];

	cn_snap_bytes_add(&sum, &stream->received);
	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)stream->id);
	const struct cn_human age = cn_human_duration(stream->age_us);
	const struct cn_human idle = cn_human_duration(stream->idle_us);
	const struct cn_human lan = cn_human_bytes(sum.lan);
	const struct cn_human wan = cn_human_bytes(sum.wan);
	const struct cn_human saved = cn_human_saved(sum.lan, sum.wan);
	const struct cn_human ratio = cn_human_ratio(sum.lan, sum.wan);
	cn_table_row(table,
	    (const char *const[]){ id, stream->service, stream->peer,
		cn_snap_state_name(stream->state), age.text, idle.text,
		lan.text, wan.text, saved.text, ratio.text, stream->why,
		stream->client });
}

/* One page of the gateway's answer; JSON goes out stream by stream. */
static enum cn_exit
show_page(struct listing *listing, const json_t *data)
{
	const json_t *array = json_object_get(data, "streams");
	struct cn_snap_streams page = { 0 };
	int err = cn_shape_decode(&cn_snap_streams_shape, data, &page);

	if (err < 0) {
		cn_cli_error("the gateway's answer makes no sense: %s",
		    cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	listing->total = page.total;
	for (size_t i = 0; i < page.streams_count && listing->left > 0; i++) {
		if (!is_wanted(listing, &page.streams[i])) {
			continue;
		}
		if (listing->is_json) {
			(void)fputs(listing->shown > 0 ? ",\n" : "\n", stdout);
			(void)json_dumpf(
			    json_array_get(array, i), stdout, JSON_COMPACT);
		} else {
			add_row(&listing->table, &page.streams[i]);
		}
		listing->shown++;
		listing->left--;
	}
	cn_snap_streams_clear(&page);
	if (!listing->is_json) {
		cn_table_print(&listing->table, stdout, listing->is_bold, 0);
	}
	return CN_EXIT_OK;
}

static enum cn_exit
list_pages(struct cn_ask *ask, struct listing *listing)
{
	struct cn_request request = { .command = CN_COMMAND_STREAMS,
		.limit = CN_SNAP_STREAMS_PAGE };
	enum cn_exit code;

	do {
		struct cn_reply reply;

		if (listing->left < request.limit && listing->service == NULL &&
		    listing->peer == NULL) {
			request.limit = (uint32_t)listing->left;
		}
		code = cn_ask_call(ask, &request, &reply);
		if (code != CN_EXIT_OK) {
			return code;
		}
		if (listing->is_json && request.cursor == 0) {
			(void)fputs("{\"streams\":[", stdout);
		}
		code = show_page(listing, reply.data);
		request.cursor = reply.next;
		cn_reply_fini(&reply);
	} while (code == CN_EXIT_OK && request.cursor != 0 &&
	    listing->left > 0 && ferror(stdout) == 0);
	return code;
}

enum cn_exit
cn_cmd_streams_list(const struct cn_args *args)
{
	struct listing listing = { .service = args->option[CN_OPTION_SERVICE],
		.peer = args->option[CN_OPTION_PEER],
		.is_json = args->option[CN_OPTION_JSON] != NULL,
		.is_bold = cn_cli_is_coloured(args, STDOUT_FILENO) };
	struct cn_ask ask;

	if (!cn_cli_number(args, CN_OPTION_LIMIT, UINT64_MAX, 1, UINT64_MAX,
		&listing.left)) {
		return CN_EXIT_USAGE;
	}
	enum cn_exit code = cn_ask_open(&ask, args);
	if (code != CN_EXIT_OK) {
		return code;
	}
	cn_table_init(&listing.table, columns, CN_ARRAY_LEN(columns));
	code = list_pages(&ask, &listing);
	cn_table_fini(&listing.table);
	cn_ask_close(&ask);
	if (code == CN_EXIT_OK && listing.is_json) {
		printf("%s],\"shown\":%llu,\"total\":%llu}\n",
		    listing.shown > 0 ? "\n" : "",
		    (unsigned long long)listing.shown,
		    (unsigned long long)listing.total);
	} else if (code == CN_EXIT_OK && listing.shown < listing.total) {
		(void)fprintf(stderr, "%llu of %llu streams\n",
		    (unsigned long long)listing.shown,
		    (unsigned long long)listing.total);
	}
	return code;
}

static void
show_stream(const struct cn_snap_stream *stream, bool is_bold)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%llu, %s, %s",
	    (unsigned long long)stream->id, cn_snap_state_name(stream->state),
	    stream->is_ours ? "opened here" : "opened by the peer");
	cn_view_line("stream", text);
	cn_view_line(stream->is_ours ? "service" : "offer", stream->service);
	cn_view_line("peer", stream->peer);
	cn_view_line("client", stream->client);
	if (!stream->is_ours) {
		cn_view_line("target", stream->target);
	}
	(void)snprintf(text, sizeof(text), "%s old, idle for %s",
	    cn_human_duration(stream->age_us).text,
	    cn_human_duration(stream->idle_us).text);
	cn_view_line("age", text);
	(void)snprintf(text, sizeof(text),
	    "worker %u, carrier %u, stream %llu of link %.32s", stream->worker,
	    stream->slot, (unsigned long long)stream->link_stream,
	    stream->link);
	cn_view_line("place", text);
	(void)snprintf(text, sizeof(text), "sent: %s, received: %s",
	    stream->fin_sent ? "ended" : "open",
	    stream->fin_received ? "ended" : "open");
	cn_view_line("directions", text);
	(void)snprintf(text, sizeof(text),
	    "%s not yet acknowledged, %s waiting for the local socket",
	    cn_human_memory(stream->unacked).text,
	    cn_human_memory(stream->unread).text);
	cn_view_line("held", text);
	(void)snprintf(text, sizeof(text), "the peer takes %s more",
	    cn_human_memory(stream->window_sent).text);
	cn_view_line("window", text);
	(void)snprintf(
	    text, sizeof(text), "%s", cn_human_bytes(stream->resent).text);
	cn_view_line("sent again", text);
	cn_view_line("why", stream->why);
	(void)putchar('\n');
	cn_view_bytes(&stream->sent, &stream->received, is_bold);
}

static enum cn_exit
ask_of_stream(
    const struct cn_args *args, enum cn_command command, struct cn_reply *reply)
{
	struct cn_request request = { .command = command };
	struct cn_ask ask;

	if (!cn_cli_stream(args, &request.stream)) {
		return CN_EXIT_USAGE;
	}
	enum cn_exit code = cn_ask_open(&ask, args);
	if (code == CN_EXIT_OK) {
		code = cn_ask_call(&ask, &request, reply);
	}
	cn_ask_close(&ask);
	return code;
}

enum cn_exit
cn_cmd_streams_show(const struct cn_args *args)
{
	struct cn_snap_stream stream = { 0 };
	struct cn_reply reply;
	enum cn_exit code = ask_of_stream(args, CN_COMMAND_STREAM_SHOW, &reply);

	if (code != CN_EXIT_OK) {
		return code;
	}
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
	} else if (cn_shape_decode(&cn_snap_stream_shape, reply.data, &stream) <
	    0) {
		cn_cli_error("the gateway's answer makes no sense");
		code = CN_EXIT_FAILED;
	} else {
		show_stream(&stream, cn_cli_is_coloured(args, STDOUT_FILENO));
	}
	cn_reply_fini(&reply);
	return code;
}

enum cn_exit
cn_cmd_streams_kill(const struct cn_args *args)
{
	struct cn_reply reply;
	enum cn_exit code = ask_of_stream(args, CN_COMMAND_STREAM_KILL, &reply);

	if (code == CN_EXIT_OK) {
		(void)fprintf(stderr, "stream %s was reset\n", args->word[0]);
		cn_reply_fini(&reply);
	}
	return code;
}
