/* SPDX-License-Identifier: Apache-2.0 */
#include "config/manual.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "config/config.h"
#include "config/config_box.h"
#include "config/scalar.h"
#include "config/schema.h"

/* ---- JSON Schema ---- */

#define NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"

static int
json_text(const char *text, struct cn_buf *out)
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
json_choices(const char *const *choices, struct cn_buf *out)
{
	int err = cn_buf_printf(out, "\"enum\": [");

	for (size_t i = 0; choices[i] != NULL && err == CN_OK; i++) {
		err = cn_buf_printf(
		    out, "%s\"%s\"", i == 0 ? "" : ", ", choices[i]);
	}
	return err != CN_OK ? err : cn_buf_append(out, "]", 1);
}

/* One value, or a list of them. */
static int
json_one_or_more(const char *item, unsigned max, struct cn_buf *out)
{
	return cn_buf_printf(out,
	    "\"oneOf\": [%s, {\"type\": \"array\", \"minItems\": 1, "
	    "\"maxItems\": %u, \"items\": %s}]",
	    item, max, item);
}

static int
json_type(const struct cn_schema_key *key, struct cn_buf *out)
{
	switch (key->type) {
	case CN_SCHEMA_BOOL:
		return cn_buf_printf(out, "\"type\": \"boolean\"");
	case CN_SCHEMA_COUNT:
		return cn_buf_printf(out,
		    "\"type\": \"integer\", \"minimum\": %" PRIu64
		    ", \"maximum\": %" PRIu64,
		    key->min, key->max);
	case CN_SCHEMA_SIZE:
		return cn_buf_printf(out,
		    "\"type\": [\"integer\", \"string\"], \"pattern\": "
		    "\"^[0-9]+ *(B|kB|KiB|MB|MiB|GB|GiB|TB|TiB)?$\"");
	case CN_SCHEMA_DURATION:
		return cn_buf_printf(out,
		    "\"type\": [\"integer\", \"string\"], \"maximum\": 0, "
		    "\"pattern\": \"^(0|[0-9]+ *(us|ms|s|m|h|d))$\"");
	case CN_SCHEMA_CHOICE:
		return json_choices(key->choices, out);
	case CN_SCHEMA_NAME:
		return cn_buf_printf(out,
		    "\"type\": \"string\", \"pattern\": \"" NAME_PATTERN "\"");
	case CN_SCHEMA_WORD:
		return cn_buf_printf(out,
		    "\"type\": \"string\", "
		    "\"pattern\": \"^[A-Za-z0-9_-]{1,15}$\"");
	case CN_SCHEMA_IDENTITY:
		return cn_buf_printf(out,
		    "\"type\": \"string\", "
		    "\"pattern\": \"^[A-Za-z0-9 -]{56,128}$\"");
	case CN_SCHEMA_PATH:
		return cn_buf_printf(
		    out, "\"type\": \"string\", \"pattern\": \"^/.\"");
	case CN_SCHEMA_LEVEL:
		return cn_buf_printf(out,
		    "\"type\": [\"integer\", \"string\"], \"minimum\": 1, "
		    "\"maximum\": %d, "
		    "\"pattern\": \"^[0-9]+([.][.][0-9]+)?$\"",
		    CN_CONFIG_LEVEL_MAX);
	case CN_SCHEMA_TARGET:
		return cn_buf_printf(
		    out, "\"type\": \"string\", \"minLength\": 1");
	case CN_SCHEMA_LISTEN:
		return json_one_or_more(
		    "{\"type\": \"string\", \"minLength\": 1}",
		    CN_CONFIG_ADDRESSES_MAX, out);
	case CN_SCHEMA_NAMES:
		return json_one_or_more(
		    "{\"type\": \"string\", \"pattern\": \"" NAME_PATTERN "\"}",
		    CN_CONFIG_NAMES_MAX, out);
	case CN_SCHEMA_SECTION:
	case CN_SCHEMA_ENTRIES:
		break;
	}
	return CN_OK;
}

static int
json_line(size_t depth, struct cn_buf *out)
{
	return cn_buf_printf(out, "\n%*s", (int)depth * 2, "");
}

static int json_section(
    const struct cn_schema_section *section, size_t depth, struct cn_buf *out);

static int
json_fallback(const struct cn_schema_key *key, struct cn_buf *out)
{
	bool is_bare =
	    key->type == CN_SCHEMA_BOOL || key->type == CN_SCHEMA_COUNT;
	int err;

	if (key->fallback == NULL) {
		return CN_OK;
	}
	err = cn_buf_printf(out, ", \"default\": ");
	if (err != CN_OK) {
		return err;
	}
	return is_bare ? cn_buf_printf(out, "%s", key->fallback)
		       : json_text(key->fallback, out);
}

static int
json_key(const struct cn_schema_key *key, size_t depth, struct cn_buf *out)
{
	int err;

	assert(key->sub != NULL || key->help != NULL);
	if (key->sub != NULL && key->type == CN_SCHEMA_SECTION) {
		return json_section(key->sub, depth, out);
	}
	err = cn_buf_printf(out, "{\"description\": ");
	if (err == CN_OK) {
		err = json_text(
		    key->sub != NULL ? key->sub->help : key->help, out);
	}
	if (err == CN_OK) {
		err = cn_buf_append(out, ", ", 2);
	}
	if (err == CN_OK && key->sub != NULL) {
		err = cn_buf_printf(out,
		    "\"type\": [\"object\", \"null\"], \"maxProperties\": %u, "
		    "\"propertyNames\": {\"pattern\": \"" NAME_PATTERN "\"}, "
		    "\"additionalProperties\": ",
		    CN_CONFIG_ENTRIES_MAX);
		if (err == CN_OK) {
			err = json_section(key->sub, depth, out);
		}
	} else if (err == CN_OK) {
		err = json_type(key, out);
		if (err == CN_OK) {
			err = json_fallback(key, out);
		}
	}
	return err != CN_OK ? err : cn_buf_append(out, "}", 1);
}

static int
json_required(const struct cn_schema_section *section, struct cn_buf *out)
{
	const char *before = ", \"required\": [";
	bool has_any = false;
	int err = CN_OK;

	for (size_t i = 0; i < section->count && err == CN_OK; i++) {
		if ((section->keys[i].flags & CN_SCHEMA_REQUIRED) == 0) {
			continue;
		}
		err = cn_buf_printf(
		    out, "%s\"%s\"", before, section->keys[i].name);
		before = ", ";
		has_any = true;
	}
	if (err == CN_OK && has_any) {
		err = cn_buf_append(out, "]", 1);
	}
	return err;
}

/* The members of an object; its opening brace was written. */
static int
json_members(
    const struct cn_schema_section *section, size_t depth, struct cn_buf *out)
{
	int err;

	err = cn_buf_printf(out, "\"description\": ");
	if (err == CN_OK) {
		err = json_text(section->help, out);
	}
	if (err == CN_OK) {
		err = cn_buf_printf(out,
		    ", \"type\": \"object\", "
		    "\"additionalProperties\": false");
	}
	if (err == CN_OK) {
		err = json_required(section, out);
	}
	if (err == CN_OK) {
		err = cn_buf_printf(out, ", \"properties\": {");
	}
	for (size_t i = 0; i < section->count && err == CN_OK; i++) {
		err = json_line(depth + 1, out);
		if (err == CN_OK) {
			err = cn_buf_printf(
			    out, "\"%s\": ", section->keys[i].name);
		}
		if (err == CN_OK) {
			err = json_key(&section->keys[i], depth + 1, out);
		}
		if (err == CN_OK && i + 1 < section->count) {
			err = cn_buf_append(out, ",", 1);
		}
	}
	return err != CN_OK ? err : cn_buf_append(out, "}}", 2);
}

static int
json_section(
    const struct cn_schema_section *section, size_t depth, struct cn_buf *out)
{
	int err = cn_buf_append(out, "{", 1);

	return err != CN_OK ? err : json_members(section, depth, out);
}

int
cn_manual_json_schema(struct cn_buf *out)
{
	int err;

	err = cn_buf_printf(out,
	    "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\","
	    "\n\"title\": \"CompressNET configuration\", \"required\": "
	    "[\"gateway\"], ");
	if (err == CN_OK) {
		err = json_members(cn_schema_root(), 0, out);
	}
	return err != CN_OK ? err : cn_buf_append(out, "\n", 1);
}

/* ---- the reference page ---- */

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "This page is made from the table that the program itself validates\n"
    "with (`src/config/schema.c`); `compressnet config schema --markdown`\n"
    "prints it. An annotated file with every key is\n"
    "[examples/compressnet.yaml](examples/compressnet.yaml).\n"
    "\n"
    "## Files\n"
    "\n"
    "A configuration is one YAML file, by default\n"
    "`/etc/compressnet/compressnet.yaml` (for a user other than root:\n"
    "`~/.config/compressnet/compressnet.yaml`), and after it every file\n"
    "`conf.d/*.yaml` beside it, in the order of their names. Peers,\n"
    "services, offers and profiles of all files come together; a name or\n"
    "a key that is given twice is an error, wherever the two stand.\n"
    "One of these files, `conf.d/managed.yaml`, is written by the gateway\n"
    "itself (`compressnet join`, `invite`, `peers remove` and the control\n"
    "socket); the others are never changed.\n"
    "\n"
    "All errors are told at once, each with its place:\n"
    "\n"
    "```\n"
    "compressnet.yaml:5:5: error: unknown key 'adress' in peers.tokyo; "
    "did you mean 'address'?\n"
    "    5 |     adress: \"tokyo.example.net:3\"\n"
    "      |     ^~~~~~\n"
    "```\n"
    "\n"
    "Of YAML, these are not used and are refused: anchors and aliases,\n"
    "tags, several documents in one file, keys that are not plain words.\n"
    "A file is UTF-8, at most 1 MiB, at most 16 levels deep.\n"
    "\n"
    "## Values\n"
    "\n"
    "| type | looks like |\n"
    "|---|---|\n"
    "| size | bytes, or a whole number with B, kB, KiB, MB, MiB, GB, GiB, "
    "TB or TiB: `1000`, `64KiB`, `10GiB` |\n"
    "| duration | a whole number with us, ms, s, m, h or d: `5ms`, `60s`, "
    "`1m`; or `0` |\n"
    "| address | `host:port`, `[2001:db8::1]:port`, and where the key says "
    "so `unix:/path`. To listen: an address, or `*` for all of this host. "
    "Quote what holds brackets or begins with `*` |\n"
    "| name | a letter or digit, then letters, digits, `.`, `-`, `_`; at "
    "most 63 |\n"
    "| level or range | one level of zstd, `3`, or a range, `1..9`; 1 to "
    "15 |\n"
    "| true or false | these two words |\n"
    "\n"
    "*Reload* says when a changed value is obeyed after SIGHUP or\n"
    "`compressnet config reload`: at once, by new streams and links only,\n"
    "or not before a restart. A configuration with errors is not taken\n"
    "over; the running one stays.\n"
    "\n"
    "## Profiles\n"
    "\n"
    "| profile | coalesce | levels | dedup |\n"
    "|---|---|---|---|\n";

static int
page_profiles(struct cn_buf *out)
{
	size_t count;
	const struct cn_config_profile *profile = cn_config_builtin(&count);
	int err = CN_OK;

	for (size_t i = 0; i < count && err == CN_OK; i++, profile++) {
		char coalesce[CN_SCALAR_TEXT_MAX];

		cn_scalar_duration_text(profile->coalesce_us, coalesce);
		err = cn_buf_printf(
		    out, "| `%s` | %s | ", profile->entry.name, coalesce);
		if (err == CN_OK && profile->level_max == 0) {
			err = cn_buf_printf(
			    out, "none: all bytes go as they are | ");
		} else if (err == CN_OK) {
			err =
			    cn_buf_printf(out, "%" PRIu32 " to %" PRIu32 " | ",
				profile->level_min, profile->level_max);
		}
		if (err == CN_OK) {
			err = cn_buf_printf(
			    out, "%s |\n", profile->dedup ? "yes" : "no");
		}
	}
	return err != CN_OK ? err : cn_buf_append(out, "\n", 1);
}

static int
page_type(const struct cn_schema_key *key, struct cn_buf *out)
{
	char min[CN_SCALAR_TEXT_MAX], max[CN_SCALAR_TEXT_MAX];
	int err;

	err = cn_buf_printf(out, "%s", cn_schema_type_text(key->type));
	for (size_t i = 0;
	     err == CN_OK && key->choices != NULL && key->choices[i] != NULL;
	     i++) {
		err = cn_buf_printf(
		    out, "%s`%s`", i == 0 ? " " : ", ", key->choices[i]);
	}
	if (err == CN_OK && (key->flags & CN_SCHEMA_UNIX) != 0) {
		err = cn_buf_printf(out, ", also `unix:/path`");
	}
	if (err != CN_OK || key->max == 0) {
		return err;
	}
	if (key->type == CN_SCHEMA_SIZE) {
		cn_scalar_size_text(key->min, min);
		cn_scalar_size_text(key->max, max);
	} else if (key->type == CN_SCHEMA_DURATION) {
		cn_scalar_duration_text(key->min, min);
		cn_scalar_duration_text(key->max, max);
	} else {
		snprintf(min, sizeof(min), "%" PRIu64, key->min);
		snprintf(max, sizeof(max), "%" PRIu64, key->max);
	}
	return cn_buf_printf(out, ", %s to %s", min, max);
}

static int
page_fallback(const struct cn_schema_key *key, struct cn_buf *out)
{
	if ((key->flags & CN_SCHEMA_REQUIRED) != 0) {
		return cn_buf_printf(out, "**required**");
	}
	if (key->fallback != NULL) {
		return cn_buf_printf(out, "`%s`", key->fallback);
	}
	return cn_buf_printf(out, "%s", key->fallback_words);
}

static int
page_key(const struct cn_schema_key *key, struct cn_buf *out)
{
	int err = cn_buf_printf(out, "| `%s` | ", key->name);

	if (err == CN_OK) {
		err = page_type(key, out);
	}
	if (err == CN_OK) {
		err = cn_buf_append(out, " | ", 3);
	}
	if (err == CN_OK) {
		err = page_fallback(key, out);
	}
	if (err == CN_OK) {
		err = cn_buf_printf(out, " | %s | %s |\n",
		    cn_schema_reload_text(key->reload), key->help);
	}
	return err;
}

static int
page_section(const struct cn_schema_section *section, struct cn_buf *out)
{
	bool is_root = section->name[0] == '\0';
	bool has_table = false;
	int err;

	err = cn_buf_printf(out, "## %s%s\n\n%s\n\n",
	    is_root ? "Keys of no section" : section->name,
	    section->noun != NULL ? ".NAME" : "",
	    is_root ? "These stand at the left margin." : section->help);
	for (size_t i = 0; i < section->count && err == CN_OK; i++) {
		if (section->keys[i].sub != NULL) {
			continue;
		}
		if (!has_table) {
			err = cn_buf_printf(out,
			    "| key | type | default | reload | meaning |\n"
			    "|---|---|---|---|---|\n");
			has_table = true;
		}
		if (err == CN_OK) {
			err = page_key(&section->keys[i], out);
		}
	}
	return err != CN_OK ? err : cn_buf_append(out, "\n", 1);
}

int
cn_manual_markdown(struct cn_buf *out)
{
	const struct cn_schema_section *root = cn_schema_root();
	int err;

	err = cn_buf_append(out, introduction, strlen(introduction));
	if (err == CN_OK) {
		err = page_profiles(out);
	}
	for (size_t i = 0; i < root->count && err == CN_OK; i++) {
		if (root->keys[i].sub != NULL) {
			err = page_section(root->keys[i].sub, out);
		}
	}
	if (err == CN_OK) {
		err = page_section(root, out);
	}
	if (err == CN_OK) {
		out->len--; /* one empty line too many at the end */
	}
	return err;
}
