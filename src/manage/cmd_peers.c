/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "manage/ask.h"
#include "manage/view.h"

static enum cn_exit
makes_no_sense(void)
{
	cn_cli_error("the gateway's answer makes no sense");
	return CN_EXIT_FAILED;
}

static enum cn_exit
no_such_peer(const char *name)
{
	cn_cli_error("no peer '%s' in this gateway", name);
	cn_cli_hint("`compressnet peers' lists them");
	return CN_EXIT_FAILED;
}

/* The peer of that name in the reply's JSON, or NULL. */
static const json_t *
find_json(const json_t *data, const char *name)
{
	const json_t *array = json_object_get(data, "peers");

	for (size_t i = 0; i < json_array_size(array); i++) {
		const json_t *peer = json_array_get(array, i);
		const char *its =
		    json_string_value(json_object_get(peer, "name"));

		if (its != NULL && strcmp(its, name) == 0) {
			return peer;
		}
	}
	return NULL;
}

static enum cn_exit
show_one(const struct cn_snap_peers *peers, const char *name, bool is_bold)
{
	for (size_t i = 0; i < peers->peers_count; i++) {
		if (strcmp(peers->peers[i].name, name) == 0) {
			cn_view_peer(&peers->peers[i], is_bold);
			return CN_EXIT_OK;
		}
	}
	return no_such_peer(name);
}

static enum cn_exit
show_json(const json_t *data, const char *name)
{
	if (name == NULL) {
		return cn_ask_print(data, false);
	}
	const json_t *peer = find_json(data, name);
	return peer != NULL ? cn_ask_print(peer, false) : no_such_peer(name);
}

enum cn_exit
cn_cmd_peers(const struct cn_args *args)
{
	const char *name = args->words > 0 ? args->word[0] : NULL;
	bool is_bold = cn_cli_is_coloured(args, STDOUT_FILENO);
	struct cn_snap_peers peers = { 0 };
	struct cn_reply reply;
	enum cn_exit code = cn_ask_once(args, CN_COMMAND_PEERS, &reply);

	if (code != CN_EXIT_OK) {
		return code;
	}
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = show_json(reply.data, name);
	} else if (cn_shape_decode(&cn_snap_peers_shape, reply.data, &peers) <
	    0) {
		code = makes_no_sense();
	} else if (name != NULL) {
		code = show_one(&peers, name, is_bold);
	} else if (peers.peers_count == 0) {
		(void)fputs("no peers are configured\n", stderr);
	} else {
		cn_view_peers(peers.peers, peers.peers_count, is_bold);
	}
	cn_snap_peers_clear(&peers);
	cn_reply_fini(&reply);
	return code;
}

/* Ask for something about the peer of the first word. */
static enum cn_exit
ask_about(
    const struct cn_args *args, enum cn_command command, struct cn_reply *reply)
{
	struct cn_request request = { .command = command };
	struct cn_ask ask;
	enum cn_exit code;

	if (strlen(args->word[0]) >= sizeof(request.peer)) {
		return no_such_peer(args->word[0]);
	}
	memcpy(request.peer, args->word[0], strlen(args->word[0]) + 1);
	code = cn_ask_open(&ask, args);
	if (code == CN_EXIT_OK) {
		code = cn_ask_call(&ask, &request, reply);
	}
	cn_ask_close(&ask);
	return code;
}

static enum cn_exit
drain(const struct cn_args *args, enum cn_command command, const char *done)
{
	struct cn_reply reply;
	enum cn_exit code = ask_about(args, command, &reply);

	if (code == CN_EXIT_OK) {
		(void)fprintf(stderr, "%s %s\n", args->word[0], done);
		cn_reply_fini(&reply);
	}
	return code;
}

enum cn_exit
cn_cmd_peers_drain(const struct cn_args *args)
{
	return drain(args, CN_COMMAND_PEER_DRAIN, "takes nothing new");
}

enum cn_exit
cn_cmd_peers_resume(const struct cn_args *args)
{
	return drain(args, CN_COMMAND_PEER_RESUME, "takes new streams again");
}

enum cn_exit
cn_cmd_peers_remove(const struct cn_args *args)
{
	struct cn_reply reply;
	enum cn_exit code = ask_about(args, CN_COMMAND_PEER_REMOVE, &reply);
	const char *changes;

	if (code != CN_EXIT_OK) {
		return code;
	}
	changes = json_string_value(json_object_get(reply.data, "changes"));
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
	} else if (changes != NULL) {
		(void)fputs(changes, stdout);
	}
	cn_reply_fini(&reply);
	return code;
}

enum cn_exit
cn_cmd_services(const struct cn_args *args)
{
	bool is_bold = cn_cli_is_coloured(args, STDOUT_FILENO);
	struct cn_snap_services all = { 0 };
	struct cn_reply reply;
	enum cn_exit code = cn_ask_once(args, CN_COMMAND_SERVICES, &reply);

	if (code != CN_EXIT_OK) {
		return code;
	}
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
	} else if (cn_shape_decode(&cn_snap_services_shape, reply.data, &all) <
	    0) {
		code = makes_no_sense();
	} else if (all.services_count == 0 && all.offers_count == 0) {
		(void)fputs(
		    "neither services nor offers are configured\n", stderr);
	} else {
		if (all.services_count > 0) {
			cn_view_services(
			    all.services, all.services_count, is_bold);
		}
		if (all.services_count > 0 && all.offers_count > 0) {
			(void)putchar('\n');
		}
		if (all.offers_count > 0) {
			cn_view_offers(all.offers, all.offers_count, is_bold);
		}
	}
	cn_snap_services_clear(&all);
	cn_reply_fini(&reply);
	return code;
}
