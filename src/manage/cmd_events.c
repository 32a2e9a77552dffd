/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "control/event.h"
#include "manage/ask.h"
#include "manage/table.h"

/* What is wanted, and how far it was shown. */
struct reading {
	const struct cn_args *args;
	enum cn_event_level least;
	bool is_json, is_follow;
	uint64_t cursor;     /* id of the last event that was read */
	uint64_t started_us; /* of the gateway that it came from; 0: none */
	json_t *shown;       /* array, where one document is printed */
	uint64_t count;      /* events shown */
};

static void
print_time(uint64_t at_us)
{
	time_t at = (time_t)(at_us / 1000000);
	struct tm local;
	char text[32] = "";

	if (localtime_r(&at, &local) != NULL) {
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &local);
	}
	printf("%s.%03u", text, (unsigned)(at_us % 1000000 / 1000));
}

static void
print_event(const struct cn_snap_event *event)
{
	char clean[CN_SNAP_TEXT];

	print_time(event->at_us);
	printf("  %-7s  %-17s", cn_event_level_name(event->level),
	    cn_event_info(event->kind)->name);
	if (event->peer[0] != '\0') {
		cn_table_clean(clean, sizeof(clean), event->peer);
		printf("  peer %s", clean);
	}
	if (event->service[0] != '\0') {
		cn_table_clean(clean, sizeof(clean), event->service);
		printf("  service %s", clean);
	}
	if (event->stream != 0) {
		printf("  stream %llu", (unsigned long long)event->stream);
	}
	cn_table_clean(clean, sizeof(clean), event->text);
	printf("  %s", clean);
	if (event->left_out != 0) {
		printf(" (%llu more like it left out before)",
		    (unsigned long long)event->left_out);
	}
	(void)putchar('\n');
}

static enum cn_exit
makes_no_sense(int err)
{
	cn_cli_error(
	    "the gateway's answer makes no sense: %s", cn_err_text(err));
	return CN_EXIT_FAILED;
}

/* One event, as the options say. */
static enum cn_exit
show(struct reading *reading, const struct cn_snap_event *event, json_t *json)
{
	if (event->level < reading->least) {
		return CN_EXIT_OK;
	}
	reading->count++;
	if (!reading->is_json) {
		print_event(event);
		return CN_EXIT_OK;
	}
	if (reading->is_follow) {
		return cn_ask_print(json, true);
	}
	if (json_array_append(reading->shown, json) != 0) {
		cn_cli_error("out of memory");
		return CN_EXIT_FAILED;
	}
	return CN_EXIT_OK;
}

/* A page.  Another process answers than before: begin with its first. */
static enum cn_exit
show_page(
    struct reading *reading, json_t *data, const struct cn_snap_events *events)
{
	json_t *array = json_object_get(data, "events");
	enum cn_exit code = CN_EXIT_OK;

	if (events->lost > 0 && reading->started_us == events->started_us) {
		(void)fprintf(stderr, "%llu older events are no longer kept\n",
		    (unsigned long long)events->lost);
	}
	reading->started_us = events->started_us;
	for (size_t i = 0; i < events->events_count && code == CN_EXIT_OK;
	     i++) {
		reading->cursor = events->events[i].id;
		code =
		    show(reading, &events->events[i], json_array_get(array, i));
	}
	return code;
}

/* All that is there. */
static enum cn_exit
read_all(struct reading *reading, struct cn_ask *ask)
{
	struct cn_request request = {
		.command = CN_COMMAND_EVENTS,
		.limit = CN_EVENT_PAGE,
	};
	struct cn_snap_events events;
	struct cn_reply reply;
	enum cn_exit code;
	bool is_more = true;
	int err;

	while (is_more) {
		request.cursor = reading->cursor;
		code = cn_ask_call(ask, &request, &reply);
		if (code != CN_EXIT_OK) {
			return code;
		}
		memset(&events, 0, sizeof(events));
		err =
		    cn_shape_decode(&cn_snap_events_shape, reply.data, &events);
		if (err == CN_OK && reading->started_us != 0 &&
		    events.started_us != reading->started_us &&
		    reading->cursor != 0) {
			reading->cursor = 0;
			reading->started_us = events.started_us;
		} else {
			is_more = reply.next != 0;
			code = err == CN_OK
			    ? show_page(reading, reply.data, &events)
			    : makes_no_sense(err);
		}
		cn_snap_events_clear(&events);
		cn_reply_fini(&reply);
		if (code != CN_EXIT_OK) {
			return code;
		}
	}
	return CN_EXIT_OK;
}

/* Ask, again and again where that is wanted. */
static enum cn_exit
follow(struct reading *reading, uint64_t interval, uint64_t count)
{
	enum cn_exit code = CN_EXIT_OK;
	bool was_there = false;
	struct cn_ask ask;

	for (uint64_t n = 0; n < count; n++) {
		if (n > 0) {
			(void)sleep((unsigned)interval);
		}
		code = cn_ask_open(&ask, reading->args);
		if (code == CN_EXIT_OK) {
			code = read_all(reading, &ask);
		}
		cn_ask_close(&ask);
		was_there |= code == CN_EXIT_OK;
		/* A gateway that is started again is waited for. */
		if (code != CN_EXIT_OK &&
		    (code != CN_EXIT_UNREACHABLE || !was_there)) {
			return code;
		}
		if (fflush(stdout) != 0) {
			return CN_EXIT_FAILED;
		}
	}
	return code;
}

static enum cn_exit
finish(struct reading *reading, enum cn_exit code)
{
	json_t *json;

	if (code == CN_EXIT_OK && reading->shown != NULL) {
		json = json_pack("{s:I, s:O}", "started_us",
		    (json_int_t)reading->started_us, "events", reading->shown);
		code = cn_ask_print(json, false);
		json_decref(json);
	} else if (code == CN_EXIT_OK && reading->count == 0 &&
	    !reading->is_follow) {
		(void)fputs("no such events\n", stderr);
	}
	json_decref(reading->shown);
	return code;
}

enum cn_exit
cn_cmd_events(const struct cn_args *args)
{
	const char *level = args->option[CN_OPTION_LEVEL];
	struct reading reading = {
		.args = args,
		.least = CN_EVENT_INFO,
		.is_json = args->option[CN_OPTION_JSON] != NULL,
		.is_follow = args->option[CN_OPTION_FOLLOW] != NULL,
	};
	uint64_t interval, count;

	if (level != NULL) {
		reading.least = cn_event_level_parse(level);
		if (reading.least == CN_EVENT_LEVEL_UNKNOWN) {
			return cn_cli_usage(
			    args, "--level is info, warning or error");
		}
	}
	if (!cn_cli_number(
		args, CN_OPTION_SINCE_ID, 0, 0, INT64_MAX, &reading.cursor) ||
	    !cn_cli_number(args, CN_OPTION_INTERVAL, 1, 1, 3600, &interval) ||
	    !cn_cli_number(args, CN_OPTION_COUNT,
		reading.is_follow ? UINT64_MAX : 1, 1, UINT64_MAX, &count)) {
		return CN_EXIT_USAGE;
	}
	if (reading.is_json && !reading.is_follow) {
		reading.shown = json_array();
	}
	return finish(&reading,
	    follow(&reading, interval, reading.is_follow ? count : 1));
}
