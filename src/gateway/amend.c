/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/amend.h"

#include <stdio.h>

#include "base/err.h"
#include "gateway/daemon.h"
#include "gateway/reload.h"

/* The file, and what reading it needs for a moment. */
#define TEXT_MAX (CN_CONFIG_FILE_MAX + 8192u)

/* ---- the file ---- */

int
cn_amend_file_read(struct cn_daemon *daemon, struct cn_amend_file *ret)
{
	int err;

	cn_buf_init(&ret->text, TEXT_MAX);
	err = cn_managed_file_path(daemon->options->config, ret->path);
	if (err == CN_OK) {
		err = cn_managed_file_read(ret->path, &ret->text);
	}
	if (err != CN_OK && err != CN_ENOENT) {
		return err;
	}
	cn_managed_file_etag(err == CN_ENOENT ? NULL
		: ret->text.len == 0          ? ""
					      : (const char *)ret->text.data,
	    ret->text.len, ret->etag);
	return CN_OK;
}

void
cn_amend_file_fini(struct cn_amend_file *file)
{
	cn_buf_fini(&file->text);
}

/* ---- edits ---- */

static int CN_PRINTF(3, 4) complain(struct cn_diag_list *diags,
    const struct cn_diag_place *place, const char *fmt, ...)
{
	char text[CN_DIAG_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cn_diag_add(diags, CN_DIAG_ERROR, place, NULL, "%s", text);
	return CN_ECONFIG;
}

/* Words for why an entry cannot be added. */
static int
explain(const char *path, const char *kind, const char *name, int err,
    struct cn_diag_list *diags)
{
	struct cn_diag_place place = { .file = path };

	switch (err) {
	case CN_EEXIST:
		return complain(diags, &place,
		    "there is another %s '%s' already", kind, name);
	case CN_EINVAL:
		return complain(diags, &place,
		    "what stands under the name of %s '%s' is none", kind,
		    name);
	default:
		return err;
	}
}

/* Where an offer is written by hand, if it is. */
static int
explain_offer(struct cn_daemon *daemon, const char *path,
    const struct cn_managed_offer *offer, struct cn_diag_list *diags)
{
	const struct cn_config *config = daemon->plan->config;
	const struct cn_config_offer *hand =
	    cn_config_offer(config, offer->name);
	struct cn_diag_place place = { .file = path };

	if (hand == NULL) {
		return complain(diags, &place,
		    "there is no offer '%s': say where it leads, %s=HOST:PORT",
		    offer->name, offer->name);
	}
	place = (struct cn_diag_place){
		.file = config->files[hand->entry.place.file],
		.line = hand->entry.place.line,
		.column = hand->entry.place.column,
		.width = 1,
	};
	return complain(diags, &place,
	    "offer '%s' is written by hand: add '%s' to its peers there, once "
	    "it has joined",
	    offer->name, offer->peer);
}

static int
add_all(struct cn_daemon *daemon, const char *path,
    const struct cn_amend *amend, struct cn_managed *managed,
    struct cn_diag_list *diags)
{
	int err = cn_managed_add_peer(managed, &amend->peer);

	if (err != CN_OK) {
		return explain(path, "peer", amend->peer.name, err, diags);
	}
	for (size_t i = 0; i < amend->services_count; i++) {
		err = cn_managed_add_service(managed, &amend->services[i]);
		if (err != CN_OK) {
			return explain(path, "service", amend->services[i].name,
			    err, diags);
		}
	}
	for (size_t i = 0; i < amend->offers_count; i++) {
		const struct cn_managed_offer *offer = &amend->offers[i];

		err = cn_managed_add_offer(managed, offer);
		if (err == CN_ENOENT) {
			return explain_offer(daemon, path, offer, diags);
		}
		if (err != CN_OK) {
			return explain(path, "offer", offer->name, err, diags);
		}
	}
	return CN_OK;
}

/*
 * The file as it would be.
 *
 * @amend, peer  what to add, or whom to take out; the other is NULL
 * @out          initialised
 */
static int
edit(struct cn_daemon *daemon, const struct cn_amend *amend, const char *peer,
    struct cn_diag_list *diags, struct cn_buf *out)
{
	struct cn_managed managed = { .root = NULL };
	struct cn_config_text text;
	struct cn_amend_file file;
	int err = cn_amend_file_read(daemon, &file);

	if (err != CN_OK) {
		struct cn_diag_place place = { .file = file.path };

		cn_amend_file_fini(&file);
		return err == CN_ENOMEM
		    ? err
		    : complain(
			  diags, &place, "cannot read: %s", cn_err_text(err));
	}
	text = (struct cn_config_text){ file.path,
		file.text.len > 0 ? (const char *)file.text.data : "",
		file.text.len };
	err = cn_managed_parse(&text, diags, &managed);
	if (err == CN_OK) {
		err = amend != NULL
		    ? add_all(daemon, file.path, amend, &managed, diags)
		    : cn_managed_remove_peer(&managed, peer);
	}
	if (err == CN_OK) {
		err = cn_managed_write(&managed, out);
	}
	cn_managed_fini(&managed);
	cn_amend_file_fini(&file);
	return err;
}

int
cn_amend_try(struct cn_daemon *daemon, const struct cn_amend *amend,
    struct cn_diag_list *diags)
{
	struct cn_buf text;
	int err;

	cn_buf_init(&text, TEXT_MAX);
	err = edit(daemon, amend, NULL, diags, &text);
	if (err == CN_OK) {
		err = cn_reload_try(daemon, text.data, text.len, diags);
	}
	cn_buf_fini(&text);
	return err;
}

int
cn_amend_add(struct cn_daemon *daemon, const struct cn_amend *amend,
    struct cn_diag_list *diags)
{
	struct cn_buf text;
	int err;

	cn_buf_init(&text, TEXT_MAX);
	err = edit(daemon, amend, NULL, diags, &text);
	if (err == CN_OK) {
		err =
		    cn_reload_managed(daemon, text.data, text.len, diags, NULL);
	}
	cn_buf_fini(&text);
	return err;
}

int
cn_amend_remove(struct cn_daemon *daemon, const char *peer,
    struct cn_diag_list *diags, struct cn_buf *changes)
{
	struct cn_buf text;
	int err;

	cn_buf_init(&text, TEXT_MAX);
	err = edit(daemon, NULL, peer, diags, &text);
	if (err == CN_OK) {
		err = cn_reload_managed(
		    daemon, text.data, text.len, diags, changes);
	}
	cn_buf_fini(&text);
	return err;
}

void
cn_amend_words(const struct cn_diag_list *diags, int err, char *out, size_t cap)
{
	for (size_t i = 0; i < diags->count; i++) {
		const struct cn_diag *diag = &diags->item[i];

		if (diag->severity == CN_DIAG_ERROR) {
			(void)snprintf(out, cap, "%s:%u:%u: %s", diag->file,
			    diag->line, diag->column, diag->message);
			return;
		}
	}
	(void)snprintf(out, cap, "%s", cn_err_text(err));
}
