/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "gateway/amend.h"
#include "gateway/ctl_private.h"
#include "gateway/daemon.h"
#include "gateway/reload.h"

/* Text of the changes of a reload, and of a whole configuration. */
#define CHANGES_MAX (256u * 1024u)
#define YAML_MAX (CN_REPLY_MAX / 2)

static int
cannot_read(struct cn_ctl_caller *caller, uint64_t id,
    const struct cn_amend_file *disk, int err)
{
	return err == CN_ENOMEM
	    ? err
	    : cn_reply_error(&caller->reply, id, CN_REPLY_INTERNAL, NULL,
		  "cannot read %s: %s", disk->path, cn_err_text(err));
}

static int
reply_config(struct cn_ctl_caller *caller, uint64_t id)
{
	struct cn_daemon *daemon = caller->ctl->daemon;
	struct cn_reply_config config = { .file = daemon->options->config };
	struct cn_amend_file disk;
	struct cn_buf yaml;
	int err = cn_amend_file_read(daemon, &disk);

	cn_buf_init(&yaml, YAML_MAX);
	if (err != CN_OK) {
		err = cannot_read(caller, id, &disk, err);
		goto fail;
	}
	err = cn_config_dump(daemon->plan->config, &yaml);
	if (err == CN_OK) {
		config.yaml = (const char *)yaml.data;
		config.yaml_len = yaml.len;
		config.etag = disk.etag;
		config.managed = (const char *)disk.text.data;
		config.managed_len = disk.text.len;
		err = cn_reply_config(&caller->reply, id, &config);
	}
fail:
	cn_buf_fini(&yaml);
	cn_amend_file_fini(&disk);
	return err;
}

/* ---- changes ---- */

/* What a change, or an attempt at one, has to say. */
struct outcome {
	struct cn_diag_list diags;
	struct cn_buf changes;
};

static void
begin(struct outcome *outcome)
{
	cn_diag_init(&outcome->diags);
	cn_buf_init(&outcome->changes, CHANGES_MAX);
}

/* Reply with what err says of it, and free it. */
static int
conclude(
    struct cn_ctl_caller *caller, uint64_t id, int err, struct outcome *outcome)
{
	if (err == CN_OK) {
		err = cn_buf_append(&outcome->changes, "", 1);
	}
	if (err == CN_OK) {
		err = cn_reply_reload(&caller->reply, id,
		    (const char *)outcome->changes.data, &outcome->diags);
	} else if (err == CN_ECONFIG) {
		err = cn_reply_error(&caller->reply, id, CN_REPLY_CONFIG,
		    &outcome->diags,
		    "the configuration has errors; the one in force is "
		    "unchanged");
	} else if (err == CN_EBUSY) {
		err = cn_reply_error(&caller->reply, id, CN_REPLY_BUSY, NULL,
		    "the gateway goes down");
	}
	cn_buf_fini(&outcome->changes);
	cn_diag_fini(&outcome->diags);
	return err;
}

static int
reload(struct cn_ctl_caller *caller, uint64_t id)
{
	struct outcome outcome;

	begin(&outcome);
	return conclude(caller, id,
	    cn_reload_files(
		caller->ctl->daemon, &outcome.diags, &outcome.changes),
	    &outcome);
}

static int
diff(struct cn_ctl_caller *caller, uint64_t id)
{
	struct outcome outcome;
	int err;

	begin(&outcome);
	err = cn_reload_diff(
	    caller->ctl->daemon, &outcome.diags, &outcome.changes);
	if (err == CN_ECONFIG) {
		err = cn_reply_error(&caller->reply, id, CN_REPLY_CONFIG,
		    &outcome.diags, "the files have errors");
		cn_buf_fini(&outcome.changes);
		cn_diag_fini(&outcome.diags);
		return err;
	}
	return conclude(caller, id, err, &outcome);
}

/* The new text is the caller's payload. */
static int
write_managed(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	struct cn_daemon *daemon = caller->ctl->daemon;
	struct outcome outcome;
	struct cn_amend_file disk;
	int err = cn_amend_file_read(daemon, &disk);

	cn_amend_file_fini(&disk);
	if (err != CN_OK) {
		return cannot_read(caller, request->id, &disk, err);
	}
	if (strcmp(disk.etag, request->etag) != 0) {
		return cn_reply_error(&caller->reply, request->id,
		    CN_REPLY_CONFLICT, NULL,
		    "%s was changed meanwhile: read it again (its etag is %s)",
		    disk.path, disk.etag);
	}
	CN_LOG(CN_LOG_INFO, "config-write", "bytes=%zu", caller->payload_len);
	begin(&outcome);
	return conclude(caller, request->id,
	    cn_reload_managed(daemon, caller->payload, caller->payload_len,
		&outcome.diags, &outcome.changes),
	    &outcome);
}

/* ---- peers ---- */

static int
no_such_peer(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	return cn_reply_error(&caller->reply, request->id, CN_REPLY_NOT_FOUND,
	    NULL, "no peer '%s' in this gateway", request->peer);
}

static int
drain(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	struct cn_daemon *daemon = caller->ctl->daemon;
	const struct cn_config_peer *peer =
	    cn_config_peer(daemon->plan->config, request->peer);
	bool is_drain = request->command == CN_COMMAND_PEER_DRAIN;

	if (peer == NULL ||
	    !cn_registry_drain_peer(daemon->shared.registry,
		daemon->plan->peers[peer - daemon->plan->config->peers]
		    .identity,
		is_drain)) {
		return no_such_peer(caller, request);
	}
	CN_LOG(CN_LOG_INFO, is_drain ? "peer-drain" : "peer-resume", "peer=%s",
	    request->peer);
	return cn_reply_done(&caller->reply, request->id);
}

/* It stands in a file that is not ours to change. */
static int
is_hand_written(struct cn_ctl_caller *caller, const struct cn_request *request,
    const struct cn_config_peer *peer)
{
	const struct cn_config *config = caller->ctl->daemon->plan->config;
	struct cn_diag_place place = {
		.file = config->files[peer->entry.place.file],
		.line = peer->entry.place.line,
		.column = peer->entry.place.column,
		.width = 1,
	};
	struct cn_diag_list diags;
	int err;

	cn_diag_init(&diags);
	cn_diag_add(&diags, CN_DIAG_ERROR, &place,
	    "take it out there, and then `compressnet config reload'",
	    "peer '%s' is written by hand", request->peer);
	err = cn_reply_error(&caller->reply, request->id, CN_REPLY_CONFIG,
	    &diags, "hand-written files are never changed");
	cn_diag_fini(&diags);
	return err;
}

static int
remove_peer(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	struct cn_daemon *daemon = caller->ctl->daemon;
	const struct cn_config_peer *peer =
	    cn_config_peer(daemon->plan->config, request->peer);
	struct outcome outcome;
	int err;

	begin(&outcome);
	err = cn_amend_remove(
	    daemon, request->peer, &outcome.diags, &outcome.changes);
	if (err == CN_OK) {
		CN_LOG(CN_LOG_INFO, "peer-remove", "peer=%s",
		    CN_LOG_STR(request->peer));
	}
	if (err == CN_ENOENT) {
		cn_diag_fini(&outcome.diags);
		cn_buf_fini(&outcome.changes);
		return peer == NULL ? no_such_peer(caller, request)
				    : is_hand_written(caller, request, peer);
	}
	return conclude(caller, request->id, err, &outcome);
}

int
cn_ctl_config(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	switch ((int)request->command) {
	case CN_COMMAND_CONFIG:
		return reply_config(caller, request->id);
	case CN_COMMAND_CONFIG_DIFF:
		return diff(caller, request->id);
	case CN_COMMAND_CONFIG_WRITE:
		return write_managed(caller, request);
	case CN_COMMAND_RELOAD:
		return reload(caller, request->id);
	case CN_COMMAND_PEER_DRAIN:
	case CN_COMMAND_PEER_RESUME:
		return drain(caller, request);
	case CN_COMMAND_PEER_REMOVE:
		return remove_peer(caller, request);
	default:
		return CN_EINVAL;
	}
}
