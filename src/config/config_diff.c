/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config_diff.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "config/config_box.h"

#define VALUE_MAX (64u * 1024u)
#define PATH_MAX_BYTES 256u

struct comparison {
	struct cn_config_diff diff; /* owned until it is handed out */
	size_t cap;
	struct cn_buf before, after; /* texts of one key */
};

static int
add(struct comparison *cmp, enum cn_config_change_kind kind,
    enum cn_schema_reload reload, const char *path)
{
	struct cn_config_diff *diff = &cmp->diff;
	struct cn_config_change *change;

	if (diff->count == cmp->cap) {
		size_t cap = cmp->cap == 0 ? 8 : cmp->cap * 2;
		struct cn_config_change *item =
		    cn_realloc(diff->item, cap * sizeof(*item));

		if (item == NULL) {
			return CN_ENOMEM;
		}
		diff->item = item;
		cmp->cap = cap;
	}
	change = &diff->item[diff->count++];
	*change = (struct cn_config_change){ .kind = kind, .reload = reload };
	change->path = cn_strdup(path);
	change->before = cn_strdup((const char *)cmp->before.data);
	change->after = cn_strdup((const char *)cmp->after.data);
	if (change->path == NULL || change->before == NULL ||
	    change->after == NULL) {
		return CN_ENOMEM;
	}
	diff->restarts += reload == CN_SCHEMA_RELOAD_RESTART;
	return CN_OK;
}

/* The text of a value, or nothing for a NULL section; zero-terminated. */
static int
write_value(
    const struct cn_schema_key *key, const void *section, struct cn_buf *out)
{
	int err = CN_OK;

	cn_buf_clear(out);
	if (section != NULL) {
		err = cn_config_dump_value(key, section, out);
	}
	return err != CN_OK ? err : cn_buf_append(out, "", 1);
}

static int compare_sections(struct comparison *cmp,
    const struct cn_schema_section *section, const void *before,
    const void *after, const char *where);

static int
compare_key(struct comparison *cmp, const struct cn_schema_key *key,
    const void *before, const void *after, const char *where)
{
	char path[PATH_MAX_BYTES];
	int err;

	err = write_value(key, before, &cmp->before);
	if (err == CN_OK) {
		err = write_value(key, after, &cmp->after);
	}
	if (err != CN_OK ||
	    strcmp((const char *)cmp->before.data,
		(const char *)cmp->after.data) == 0) {
		return err;
	}
	snprintf(path, sizeof(path), "%s%s%s", where,
	    where[0] != '\0' ? "." : "", key->name);
	return add(cmp, CN_CONFIG_CHANGED, key->reload, path);
}

/* An entry that one side lacks. */
static int
add_entry(
    struct comparison *cmp, enum cn_config_change_kind kind, const char *path)
{
	int err;

	cn_buf_clear(&cmp->before);
	cn_buf_clear(&cmp->after);
	err = cn_buf_append(&cmp->before, "", 1);
	if (err == CN_OK) {
		err = cn_buf_append(&cmp->after, "", 1);
	}
	return err != CN_OK ? err : add(cmp, kind, CN_SCHEMA_RELOAD_NOW, path);
}

struct entries {
	const void *items;
	size_t count, at;
};

static struct entries
entries_of(const struct cn_schema_key *key, const void *config)
{
	return (struct entries){
		.items = *(void *const *)cn_config_field(config, key->offset),
		.count = *(const size_t *)cn_config_field(
		    config, key->offset + sizeof(void *)),
	};
}

static const struct cn_config_entry *
current(const struct entries *entries, size_t size)
{
	return entries->at == entries->count
	    ? NULL
	    : cn_config_field(entries->items, entries->at * size);
}

/* Both are sorted by name: walk them side by side. */
static int
compare_entries(struct comparison *cmp, const struct cn_schema_key *key,
    const void *before, const void *after)
{
	struct entries old = entries_of(key, before);
	struct entries new = entries_of(key, after);
	char path[PATH_MAX_BYTES];
	int err = CN_OK;

	while (err == CN_OK) {
		const struct cn_config_entry *x = current(&old, key->sub->size);
		const struct cn_config_entry *y = current(&new, key->sub->size);
		int order;

		if (x == NULL && y == NULL) {
			break;
		}
		order = x == NULL ? 1
		    : y == NULL   ? -1
				  : strcmp(x->name, y->name);
		snprintf(path, sizeof(path), "%s.%s", key->name,
		    order <= 0 ? x->name : y->name);
		if (order == 0) {
			err = compare_sections(cmp, key->sub, x, y, path);
		} else {
			err = add_entry(cmp,
			    order < 0 ? CN_CONFIG_REMOVED : CN_CONFIG_ADDED,
			    path);
		}
		old.at += order <= 0;
		new.at += order >= 0;
	}
	return err;
}

static int
compare_sections(struct comparison *cmp,
    const struct cn_schema_section *section, const void *before,
    const void *after, const char *where)
{
	int err = CN_OK;

	for (size_t i = 0; i < section->count && err == CN_OK; i++) {
		const struct cn_schema_key *key = &section->keys[i];

		if (key->type == CN_SCHEMA_ENTRIES) {
			err = compare_entries(cmp, key, before, after);
		} else if (key->type == CN_SCHEMA_SECTION) {
			err = compare_sections(cmp, key->sub,
			    cn_config_field(before, key->offset),
			    cn_config_field(after, key->offset), key->name);
		} else {
			err = compare_key(cmp, key, before, after, where);
		}
	}
	return err;
}

int
cn_config_diff(const struct cn_config *before, const struct cn_config *after,
    struct cn_config_diff *ret)
{
	struct comparison cmp = { 0 };
	int err;

	cn_buf_init(&cmp.before, VALUE_MAX);
	cn_buf_init(&cmp.after, VALUE_MAX);
	err = compare_sections(&cmp, cn_schema_root(), before, after, "");
	cn_buf_fini(&cmp.before);
	cn_buf_fini(&cmp.after);
	if (err != CN_OK) {
		cn_config_diff_fini(&cmp.diff);
		return err;
	}
	*ret = cmp.diff;
	return CN_OK;
}

void
cn_config_diff_fini(struct cn_config_diff *diff)
{
	for (size_t i = 0; i < diff->count; i++) {
		cn_free(diff->item[i].path);
		cn_free(diff->item[i].before);
		cn_free(diff->item[i].after);
	}
	cn_free(diff->item);
	memset(diff, 0, sizeof(*diff));
}

int
cn_config_diff_render(const struct cn_config_diff *diff, struct cn_buf *out)
{
	int err = CN_OK;

	for (size_t i = 0; i < diff->count && err == CN_OK; i++) {
		const struct cn_config_change *change = &diff->item[i];

		if (change->kind != CN_CONFIG_CHANGED) {
			err = cn_buf_printf(out, "%s %s\n",
			    change->kind == CN_CONFIG_ADDED ? "+" : "-",
			    change->path);
			continue;
		}
		err = cn_buf_printf(out, "~ %s: %s -> %s (%s)\n", change->path,
		    change->before[0] != '\0' ? change->before : "none",
		    change->after[0] != '\0' ? change->after : "none",
		    cn_schema_reload_text(change->reload));
	}
	return err;
}
