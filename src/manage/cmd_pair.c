/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "manage/ask.h"
#include "manage/human.h"
#include "manage/table.h"

/* A joining dials, and both gateways write: it takes longer than a look. */
#define JOIN_TIMEOUT "60000"
/* How long `join' waits for the link, and between two looks. */
#define LINK_US 10000000u
#define LOOK_MS 50

/* Copy a word into the request, or complain. */
static bool
take(const struct cn_args *args, const char *what, const char *text, char *out,
    size_t size)
{
	if (strlen(text) >= size) {
		(void)cn_cli_usage(args, "%s is too long", what);
		return false;
	}
	memcpy(out, text, strlen(text) + 1);
	return true;
}

/* All values of an option that may be given several times. */
static bool
take_items(const struct cn_args *args, enum cn_option option,
    struct cn_request *request)
{
	const char *name = cn_option_infos[option].name;

	for (size_t i = 0; i < args->repeats; i++) {
		if (args->repeat[i].option != option) {
			continue;
		}
		if (request->items_count == CN_REQUEST_ITEMS_MAX) {
			(void)cn_cli_usage(args, "at most %u times --%s",
			    CN_REQUEST_ITEMS_MAX, name);
			return false;
		}
		if (!take(args, name, args->repeat[i].value,
			request->items[request->items_count],
			CN_REQUEST_ITEM_MAX)) {
			return false;
		}
		request->items_count++;
	}
	return true;
}

enum cn_exit
cn_cmd_invite(const struct cn_args *args)
{
	struct cn_request request = { .command = CN_COMMAND_INVITE };
	const char *address = args->option[CN_OPTION_ADDRESS];
	const char *expires = args->option[CN_OPTION_EXPIRES];
	uint64_t expires_us = CN_REQUEST_EXPIRES_S * UINT64_C(1000000);
	struct cn_reply reply;
	struct cn_ask ask;
	enum cn_exit code;

	if (address == NULL) {
		return cn_cli_usage(args,
		    "--address HOST:PORT is missing: where the other gateway "
		    "reaches this one");
	}
	if (expires != NULL &&
	    (cn_human_parse_duration(expires, &expires_us) != CN_OK ||
		expires_us < 1000000 ||
		expires_us / 1000000 > CN_REQUEST_EXPIRES_MAX_S)) {
		return cn_cli_usage(args,
		    "--expires takes a time from 1s to %us, not '%s'",
		    CN_REQUEST_EXPIRES_MAX_S, expires);
	}
	request.expires_s = (uint32_t)(expires_us / 1000000);
	if (!take(args, "NAME", args->word[0], request.peer,
		sizeof(request.peer)) ||
	    !take(args, "--address", address, request.address,
		sizeof(request.address)) ||
	    !take_items(args, CN_OPTION_OFFER, &request)) {
		return CN_EXIT_USAGE;
	}
	code = cn_ask_open(&ask, args);
	if (code == CN_EXIT_OK) {
		code = cn_ask_call(&ask, &request, &reply);
	}
	cn_ask_close(&ask);
	if (code != CN_EXIT_OK) {
		return code;
	}
	const char *token =
	    json_string_value(json_object_get(reply.data, "token"));
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
	} else if (token == NULL) {
		cn_cli_error("the gateway's answer makes no sense");
		code = CN_EXIT_FAILED;
	} else {
		(void)fprintf(stderr,
		    "on the other host, within %s (it is secret, and good for "
		    "one gateway):\n"
		    "  compressnet join TOKEN NAME    NAME: what this gateway "
		    "is to be called there\nthe token:\n",
		    cn_human_duration(expires_us).text);
		printf("%s\n", token);
	}
	cn_reply_fini(&reply);
	return code;
}

/* Is there a link to the peer by now? */
static bool
is_up(struct cn_ask *ask, const char *name)
{
	struct cn_request request = { .command = CN_COMMAND_PEERS };
	struct cn_snap_peers peers = { 0 };
	struct cn_reply reply;
	bool is_there = false;

	if (cn_ask_call(ask, &request, &reply) != CN_EXIT_OK) {
		return false;
	}
	if (cn_shape_decode(&cn_snap_peers_shape, reply.data, &peers) == 0) {
		for (size_t i = 0; i < peers.peers_count; i++) {
			is_there |= strcmp(peers.peers[i].name, name) == 0 &&
			    (peers.peers[i].state == CN_SNAP_UP ||
				peers.peers[i].state == CN_SNAP_DEGRADED);
		}
	}
	cn_snap_peers_clear(&peers);
	cn_reply_fini(&reply);
	return is_there;
}

/* So that what is forwarded works when we return. */
static enum cn_exit
wait_link(struct cn_ask *ask, const char *name)
{
	uint64_t until = cn_clock_us() + LINK_US;

	while (!is_up(ask, name)) {
		if (cn_clock_us() >= until) {
			cn_cli_error("joined, but no link to '%s' has come up "
				     "yet",
			    name);
			cn_cli_hint(
			    "`compressnet peers show %s' tells why", name);
			return CN_EXIT_FAILED;
		}
		(void)poll(NULL, 0, LOOK_MS);
	}
	return CN_EXIT_OK;
}

static bool
has_name(const struct cn_snap_name *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

static void
tell_joined(const struct cn_snap_join *joined)
{
	char name[CN_SNAP_NAME];

	cn_table_clean(name, sizeof(name), joined->gateway);
	printf("joined %s, which calls itself %s\n", joined->peer, name);
	for (size_t i = 0; i < joined->services_count; i++) {
		printf("service %s is up\n", joined->services[i].name);
	}
	for (size_t i = 0; i < joined->offers_count; i++) {
		if (!has_name(joined->services, joined->services_count,
			joined->offers[i].name)) {
			cn_table_clean(
			    name, sizeof(name), joined->offers[i].name);
			(void)fprintf(stderr,
			    "it also offers %s: a service with offer: %s and "
			    "peer: %s reaches it\n",
			    name, name, joined->peer);
		}
	}
}

enum cn_exit
cn_cmd_join(const struct cn_args *args)
{
	struct cn_request request = { .command = CN_COMMAND_JOIN };
	struct cn_args patient = *args;
	struct cn_snap_join joined = { 0 };
	struct cn_reply reply;
	struct cn_ask ask;
	enum cn_exit code;

	if (!take(args, "TOKEN", args->word[0], request.token,
		sizeof(request.token)) ||
	    !take(args, "NAME", args->word[1], request.peer,
		sizeof(request.peer)) ||
	    !take_items(args, CN_OPTION_FORWARD, &request)) {
		return CN_EXIT_USAGE;
	}
	if (patient.option[CN_OPTION_TIMEOUT] == NULL) {
		patient.option[CN_OPTION_TIMEOUT] = JOIN_TIMEOUT;
	}
	code = cn_ask_open(&ask, &patient);
	if (code == CN_EXIT_OK) {
		code = cn_ask_call(&ask, &request, &reply);
	}
	if (code != CN_EXIT_OK) {
		cn_ask_close(&ask);
		return code;
	}
	if (cn_shape_decode(&cn_snap_join_shape, reply.data, &joined) < 0) {
		cn_cli_error("the gateway's answer makes no sense");
		code = CN_EXIT_FAILED;
	} else if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
	} else {
		tell_joined(&joined);
	}
	if (code == CN_EXIT_OK) {
		code = wait_link(&ask, request.peer);
	}
	cn_snap_join_clear(&joined);
	cn_reply_fini(&reply);
	cn_ask_close(&ask);
	return code;
}
