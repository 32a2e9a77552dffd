/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "config/config.h"
#include "config/config_box.h"
#include "config/scalar.h"
#include "config/schema.h"

/*
 * Texts are written in quotes unless every reader of YAML takes them for
 * texts: "no" and "3" are something else to some.
 */
static int
dump_text(const char *text, struct cn_buf *out)
{
	int err = cn_buf_append(out, "\"", 1);

	for (const char *at = text; *at != '\0' && err == CN_OK; at++) {
		if (*at == '"' || *at == '\\') {
			err = cn_buf_append(out, "\\", 1);
		}
		if (err == CN_OK) {
			err = cn_buf_append(out, at, 1);
		}
	}
	return err != CN_OK ? err : cn_buf_append(out, "\"", 1);
}

static int
dump_level(const struct cn_config_level *level, struct cn_buf *out)
{
	if (!level->is_set) {
		return CN_OK;
	}
	if (level->min == level->max) {
		return cn_buf_printf(out, "%d", level->min);
	}
	return cn_buf_printf(out, "%d..%d", level->min, level->max);
}

static int
dump_addresses(const struct cn_config_addresses *list, struct cn_buf *out)
{
	int err = CN_OK;

	for (size_t i = 0; i < list->count && err == CN_OK; i++) {
		err = cn_buf_append(out, i == 0 ? "[" : ", ", i == 0 ? 1 : 2);
		if (err == CN_OK) {
			err = dump_text(list->item[i].text, out);
		}
	}
	if (err == CN_OK && list->count > 0) {
		err = cn_buf_append(out, "]", 1);
	}
	return err;
}

static int
dump_names(const struct cn_config_names *list, struct cn_buf *out)
{
	int err = CN_OK;

	for (size_t i = 0; i < list->count && err == CN_OK; i++) {
		err = cn_buf_append(out, i == 0 ? "[" : ", ", i == 0 ? 1 : 2);
		if (err == CN_OK) {
			err = dump_text(list->item[i], out);
		}
	}
	if (err == CN_OK && list->count > 0) {
		err = cn_buf_append(out, "]", 1);
	}
	return err;
}

static int
dump_number(enum cn_schema_type type, const void *field, struct cn_buf *out)
{
	char text[CN_SCALAR_TEXT_MAX];

	if (type == CN_SCHEMA_COUNT) {
		return cn_buf_printf(out, "%" PRIu32, *(const uint32_t *)field);
	}
	if (type == CN_SCHEMA_SIZE) {
		cn_scalar_size_text(*(const uint64_t *)field, text);
	} else {
		cn_scalar_duration_text(*(const uint64_t *)field, text);
	}
	return cn_buf_append(out, text, strlen(text));
}

int
cn_config_dump_value(
    const struct cn_schema_key *key, const void *section, struct cn_buf *out)
{
	const void *field = cn_config_field(section, key->offset);
	const struct cn_config_address *address;
	const char *text;

	switch (key->type) {
	case CN_SCHEMA_BOOL:
		return cn_buf_printf(
		    out, "%s", *(const bool *)field ? "true" : "false");
	case CN_SCHEMA_COUNT:
	case CN_SCHEMA_SIZE:
	case CN_SCHEMA_DURATION:
		return dump_number(key->type, field, out);
	case CN_SCHEMA_CHOICE:
		return dump_text(key->choices[*(const unsigned *)field], out);
	case CN_SCHEMA_NAME:
	case CN_SCHEMA_WORD:
	case CN_SCHEMA_IDENTITY:
	case CN_SCHEMA_PATH:
		text = *(const char *const *)field;
		return text == NULL ? CN_OK : dump_text(text, out);
	case CN_SCHEMA_LEVEL:
		return dump_level(field, out);
	case CN_SCHEMA_TARGET:
		address = field;
		return address->kind == CN_CONFIG_ADDRESS_NONE
		    ? CN_OK
		    : dump_text(address->text, out);
	case CN_SCHEMA_LISTEN:
		return dump_addresses(field, out);
	case CN_SCHEMA_NAMES:
		return dump_names(field, out);
	case CN_SCHEMA_SECTION:
	case CN_SCHEMA_ENTRIES:
		break;
	}
	return CN_OK;
}

static int
dump_indent(size_t depth, struct cn_buf *out)
{
	static const char spaces[] = "        ";

	return cn_buf_append(out, spaces, depth * 2);
}

static int dump_section(const struct cn_schema_section *section,
    const void *fields, size_t depth, struct cn_buf *out);

/* "name: value", or nothing when there is no value. */
static int
dump_key(const struct cn_schema_key *key, const void *fields, size_t depth,
    struct cn_buf *out)
{
	size_t start = out->len, filled;
	int err = dump_indent(depth, out);

	if (err == CN_OK) {
		err = cn_buf_printf(out, "%s: ", key->name);
	}
	filled = out->len;
	if (err == CN_OK) {
		err = cn_config_dump_value(key, fields, out);
	}
	if (err == CN_OK && out->len == filled) {
		out->len = start; /* no value: as if nothing was written */
		return CN_OK;
	}
	return err != CN_OK ? err : cn_buf_append(out, "\n", 1);
}

/* Built-in profiles are no part of what a file may say. */
static bool
is_shown(const struct cn_schema_key *key, const void *entry)
{
	const struct cn_config_profile *profile = entry;

	return key->offset != offsetof(struct cn_config, profiles) ||
	    !profile->is_builtin;
}

static int
dump_entries(
    const struct cn_schema_key *key, const void *fields, struct cn_buf *out)
{
	const void *items =
	    *(void *const *)cn_config_field(fields, key->offset);
	size_t count = *(const size_t *)cn_config_field(
	    fields, key->offset + sizeof(void *));
	bool is_first = true;
	int err = CN_OK;

	for (size_t i = 0; i < count && err == CN_OK; i++) {
		const struct cn_config_entry *entry =
		    cn_config_field(items, i * key->sub->size);

		if (!is_shown(key, entry)) {
			continue;
		}
		if (is_first) {
			err = cn_buf_printf(out, "%s:\n", key->name);
			is_first = false;
		}
		if (err == CN_OK) {
			err = cn_buf_printf(out, "  \"%s\":\n", entry->name);
		}
		if (err == CN_OK) {
			err = dump_section(key->sub, entry, 2, out);
		}
	}
	return err;
}

static int
dump_section(const struct cn_schema_section *section, const void *fields,
    size_t depth, struct cn_buf *out)
{
	int err = CN_OK;

	for (size_t i = 0; i < section->count && err == CN_OK; i++) {
		const struct cn_schema_key *key = &section->keys[i];
		size_t start = out->len, filled;

		if (key->type == CN_SCHEMA_ENTRIES) {
			err = dump_entries(key, fields, out);
			continue;
		}
		if (key->type != CN_SCHEMA_SECTION) {
			err = dump_key(key, fields, depth, out);
			continue;
		}
		err = cn_buf_printf(out, "%s:\n", key->name);
		filled = out->len;
		if (err == CN_OK) {
			err = dump_section(key->sub,
			    cn_config_field(fields, key->offset), depth + 1,
			    out);
		}
		if (out->len == filled) {
			out->len = start; /* a section without values */
		}
	}
	return err;
}

int
cn_config_dump(const struct cn_config *config, struct cn_buf *out)
{
	return dump_section(cn_schema_root(), config, 0, out);
}
