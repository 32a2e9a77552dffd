/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "manage/ask.h"
#include "manage/keyfile.h"
#include "manage/storewalk.h"
#include "manage/view.h"

/* ---- status ---- */

static enum cn_exit
makes_no_sense(int err)
{
	cn_cli_error(
	    "the gateway's answer makes no sense: %s", cn_err_text(err));
	return CN_EXIT_FAILED;
}

enum cn_exit
cn_cmd_store_status(const struct cn_args *args)
{
	struct cn_snap_store store = { 0 };
	struct cn_reply reply;
	enum cn_exit code = cn_ask_once(args, CN_COMMAND_STORE, &reply);
	int err;

	if (code != CN_EXIT_OK) {
		return code;
	}
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
		cn_reply_fini(&reply);
		return code;
	}
	err = cn_shape_decode(&cn_snap_store_shape, reply.data, &store);
	cn_reply_fini(&reply);
	if (err < 0) {
		return makes_no_sense(err);
	}
	cn_view_store(&store);
	return CN_EXIT_OK;
}

/* ---- verify ---- */

static enum cn_exit
tell_verified(const struct cn_args *args, const struct cn_snap_walk *sum)
{
	enum cn_exit code = CN_EXIT_OK;

	if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_storewalk_print(sum);
	} else {
		printf("%llu segments were read and checked, %llu were "
		       "damaged\n",
		    (unsigned long long)sum->segments,
		    (unsigned long long)sum->damaged);
	}
	if (sum->damaged > 0) {
		cn_cli_hint("what was damaged is no longer in the store; it "
			    "comes again over the WAN when it is needed");
		return CN_EXIT_FINDINGS;
	}
	return code;
}

enum cn_exit
cn_cmd_store_verify(const struct cn_args *args)
{
	struct cn_request request = { .command = CN_COMMAND_STORE_VERIFY };
	struct cn_storewalk walk;
	enum cn_exit code = cn_storewalk_open(&walk, args, "verified");

	while (code == CN_EXIT_OK) {
		code = cn_storewalk_step(&walk, &request, NULL, NULL, NULL);
		if (request.cursor == 0) {
			break;
		}
	}
	cn_storewalk_close(&walk);
	return code == CN_EXIT_OK ? tell_verified(args, &walk.sum) : code;
}

/* ---- trim ---- */

static enum cn_exit
trim(const struct cn_args *args, uint64_t bytes)
{
	struct cn_request request = {
		.command = CN_COMMAND_STORE_TRIM,
		.bytes = bytes,
	};
	struct cn_reply reply;
	struct cn_ask ask;
	enum cn_exit code = cn_ask_open(&ask, args);

	if (code == CN_EXIT_OK) {
		code = cn_ask_call(&ask, &request, &reply);
		if (code == CN_EXIT_OK) {
			cn_reply_fini(&reply);
		}
	}
	cn_ask_close(&ask);
	return code;
}

enum cn_exit
cn_cmd_store_trim(const struct cn_args *args)
{
	enum cn_exit code;
	uint64_t bytes;

	if (cn_human_parse_size(args->word[0], &bytes) != CN_OK ||
	    bytes > INT64_MAX) {
		return cn_cli_usage(args,
		    "'%s' is no size; write 10GiB, 500MB or bytes",
		    args->word[0]);
	}
	code = trim(args, bytes);
	if (code == CN_EXIT_OK) {
		(void)fprintf(stderr, "the store holds at most %s now\n",
		    cn_human_memory(bytes).text);
	}
	return code;
}

enum cn_exit
cn_cmd_store_clear(const struct cn_args *args)
{
	enum cn_exit code = trim(args, 0);

	if (code == CN_EXIT_OK) {
		(void)fputs("the store is empty\n", stderr);
	}
	return code;
}

/* ---- key ---- */

enum cn_exit
cn_cmd_store_key(const struct cn_args *args)
{
	const char *path = args->word[0];
	int err = cn_keyfile_make(path);

	if (err == CN_EEXIST) {
		cn_cli_error("%s is there already and is kept", path);
		return CN_EXIT_FAILED;
	}
	if (err != CN_OK) {
		cn_cli_error("cannot write %s: %s", path, cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	(void)fprintf(stderr,
	    "wrote %s: who has this file can read what is exported with it\n",
	    path);
	return CN_EXIT_OK;
}
