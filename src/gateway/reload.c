/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/reload.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/notify.h"
#include "config/config_diff.h"
#include "config/managed_file.h"
#include "gateway/daemon.h"
#include "gateway/events.h"

void
cn_reload_log_diags(const struct cn_diag_list *diags)
{
	for (size_t i = 0; i < diags->count; i++) {
		const struct cn_diag *diag = &diags->item[i];

		CN_LOG(diag->severity == CN_DIAG_ERROR ? CN_LOG_ERROR
						       : CN_LOG_WARN,
		    "config", "at=%s:%u:%u text=%s", diag->file, diag->line,
		    diag->column, CN_LOG_STR(diag->message));
	}
}

static void
tell_restarts(const struct cn_config_diff *diff)
{
	for (size_t i = 0; i < diff->count; i++) {
		if (diff->item[i].reload == CN_SCHEMA_RELOAD_RESTART) {
			CN_LOG(CN_LOG_WARN, "config-needs-restart", "key=%s",
			    diff->item[i].path);
		}
	}
}

/* The differences to what is in force. */
static int
compare(struct cn_daemon *daemon, const struct cn_config *config, bool is_told,
    struct cn_buf *changes)
{
	struct cn_config_diff diff = { 0 };
	int err = cn_config_diff(daemon->plan->config, config, &diff);

	if (err == CN_OK && changes != NULL) {
		err = cn_config_diff_render(&diff, changes);
	}
	if (err == CN_OK && is_told) {
		tell_restarts(&diff);
	}
	cn_config_diff_fini(&diff);
	return err;
}

/* @managed  in place of the file, or NULL */
static int
load_plan(struct cn_daemon *daemon, const struct cn_config_text *managed,
    struct cn_diag_list *diags, struct cn_buf *changes, struct cn_plan **ret)
{
	struct cn_config *config = NULL;
	struct cn_plan *plan = NULL;
	int err = cn_config_load_managed(
	    daemon->options->config, managed, diags, &config);

	if (err != CN_OK) {
		return err;
	}
	err = cn_plan_create(
	    config, daemon->shared.own, daemon->plan, diags, &plan);
	if (err == CN_OK) {
		err = compare(daemon, config, true, changes);
	}
	if (err == CN_OK) {
		*ret = plan;
		plan = NULL;
	}
	cn_plan_unref(&plan);
	cn_config_unref(&config);
	return err;
}

/* ---- the managed file ---- */

static int
cannot_write(struct cn_diag_list *diags, const char *path, int err)
{
	struct cn_diag_place place = { .file = path };

	if (err == CN_ENOMEM) {
		return err;
	}
	cn_diag_add(diags, CN_DIAG_ERROR, &place,
	    "the user that the gateway runs as must be able to write to the "
	    "folder conf.d",
	    "cannot write: %s", cn_err_text(err));
	return CN_ECONFIG;
}

/* What the file held, to go back to. */
struct before {
	struct cn_buf bytes;
	bool is_there;
};

static int
remember(const char *path, struct before *before)
{
	int err;

	cn_buf_init(&before->bytes, CN_CONFIG_FILE_MAX + 8192u);
	err = cn_managed_file_read(path, &before->bytes);
	before->is_there = err != CN_ENOENT;
	return err == CN_ENOENT ? CN_OK : err;
}

static void
go_back(const char *path, const struct before *before)
{
	int err = before->is_there
	    ? cn_managed_file_write(path, before->bytes.data, before->bytes.len)
	    : cn_managed_file_remove(path);

	if (err != CN_OK) {
		CN_LOG(CN_LOG_ERROR, "managed-not-restored", "path=%s error=%s",
		    CN_LOG_STR(path), CN_LOG_STR(cn_err_text(err)));
	}
}

/* Write, and obey; the file goes back where that fails. */
static int
write_and_obey(struct cn_daemon *daemon, const struct cn_config_text *managed,
    struct cn_plan *plan, struct cn_diag_list *diags)
{
	struct before before;
	int err = remember(managed->name, &before);

	if (err == CN_OK) {
		err = cn_managed_file_write(
		    managed->name, managed->text, managed->len);
	}
	if (err != CN_OK) {
		err = cannot_write(diags, managed->name, err);
	} else {
		err = cn_daemon_obey(daemon, plan);
		if (err != CN_OK) {
			go_back(managed->name, &before);
		}
	}
	cn_buf_fini(&before.bytes);
	return err;
}

/* ---- taking over ---- */

static void
log_refused(struct cn_daemon *daemon, const struct cn_config_text *managed,
    const struct cn_diag_list *diags, int err)
{
	cn_counter_add(daemon->counters, CN_COUNTER_RELOAD_FAILURES, 1);
	if (managed == NULL) {
		/* What is on the disk is wrong, and stays so. */
		(void)snprintf(daemon->config_error,
		    sizeof(daemon->config_error), "%s",
		    diags->count > 0 ? diags->item[0].message
				     : cn_err_text(err));
	}
	CN_LOG(CN_LOG_ERROR, "reload-refused", "errors=%zu managed=%s text=%s",
	    diags->errors, managed != NULL ? "yes" : "no",
	    CN_LOG_STR("the configuration in force is unchanged"));
	cn_events_add(daemon->shared.events, CN_EVENT_RELOAD_REFUSED, NULL,
	    "%zu errors; the first: %.140s", diags->errors,
	    diags->count > 0 ? diags->item[0].message : cn_err_text(err));
}

static void
tell_taken(const struct cn_daemon *daemon, bool is_managed)
{
	if (is_managed) {
		cn_events_add(daemon->shared.events, CN_EVENT_CONFIG_WRITTEN,
		    NULL, "%s", "conf.d/managed.yaml was written");
	}
	cn_events_add(daemon->shared.events, CN_EVENT_RELOADED, NULL,
	    "%zu peers, %zu services, %zu offers", daemon->plan->peers_count,
	    daemon->plan->services_count, daemon->plan->offers_count);
}

static int
take_over(struct cn_daemon *daemon, const struct cn_config_text *managed,
    struct cn_diag_list *diags, struct cn_buf *changes)
{
	struct cn_plan *plan = NULL;
	int err;

	if (daemon->state != CN_DAEMON_RUNNING) {
		return CN_EBUSY;
	}
	cn_notify_reloading();
	err = load_plan(daemon, managed, diags, changes, &plan);
	if (err == CN_OK) {
		err = managed != NULL
		    ? write_and_obey(daemon, managed, plan, diags)
		    : cn_daemon_obey(daemon, plan);
		if (err != CN_OK) {
			cn_plan_unref(&plan);
		}
	}
	cn_reload_log_diags(diags);
	if (err != CN_OK) {
		log_refused(daemon, managed, diags, err);
	} else {
		cn_counter_add(daemon->counters, CN_COUNTER_RELOADS, 1);
		CN_LOG(CN_LOG_INFO, "reloaded",
		    "peers=%zu services=%zu "
		    "offers=%zu",
		    plan->peers_count, plan->services_count,
		    plan->offers_count);
		tell_taken(daemon, managed != NULL);
	}
	cn_notify_ready();
	return err;
}

int
cn_reload_files(struct cn_daemon *daemon, struct cn_diag_list *diags,
    struct cn_buf *changes)
{
	return take_over(daemon, NULL, diags, changes);
}

int
cn_reload_managed(struct cn_daemon *daemon, const void *yaml, size_t len,
    struct cn_diag_list *diags, struct cn_buf *changes)
{
	char path[CN_MANAGED_FILE_PATH_MAX];
	struct cn_config_text managed = { path, yaml, len };
	int err = cn_managed_file_path(daemon->options->config, path);

	return err != CN_OK ? err : take_over(daemon, &managed, diags, changes);
}

int
cn_reload_try(struct cn_daemon *daemon, const void *yaml, size_t len,
    struct cn_diag_list *diags)
{
	char path[CN_MANAGED_FILE_PATH_MAX];
	struct cn_config_text managed = { path, yaml, len };
	struct cn_config *config = NULL;
	struct cn_plan *plan = NULL;
	int err = cn_managed_file_path(daemon->options->config, path);

	if (err == CN_OK) {
		err = cn_config_load_managed(
		    daemon->options->config, &managed, diags, &config);
	}
	if (err == CN_OK) {
		err = cn_plan_create(
		    config, daemon->shared.own, daemon->plan, diags, &plan);
	}
	if (err == CN_OK) {
		err = cn_managed_file_check(path);
		if (err != CN_OK) {
			err = cannot_write(diags, path, err);
		}
	}
	cn_plan_unref(&plan);
	cn_config_unref(&config);
	return err;
}

int
cn_reload_diff(struct cn_daemon *daemon, struct cn_diag_list *diags,
    struct cn_buf *changes)
{
	struct cn_config *config = NULL;
	int err = cn_config_load(daemon->options->config, diags, &config);

	if (err == CN_OK) {
		err = cn_plan_check(config, diags);
	}
	if (err == CN_OK) {
		err = compare(daemon, config, false, changes);
	}
	cn_config_unref(&config);
	return err;
}
