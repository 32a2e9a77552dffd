/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

/* Nesting of JSON that is looked into. */
#define DEPTH_MAX 32u

static const char *const words[] = { "secret", "password", "passwd",
	"passphrase", "token", "private", "credential", "api_key", "apikey" };

/* What one text goes through, line by line. */
struct scrub {
	bool is_key;   /* inside a private key */
	bool is_block; /* below a name that was redacted */
	size_t indent; /* of that name */
	struct cn_buf *out;
};

static const char *
find(const char *line, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++) {
		if (strncasecmp(line + i, word, n) == 0) {
			return line + i;
		}
	}
	return NULL;
}

/* Behind the first ':' or '=' that follows a secret's name, or NULL. */
static const char *
find_value(const char *line, size_t len)
{
	const char *first = line + len;

	for (size_t i = 0; i < CN_ARRAY_LEN(words); i++) {
		const char *at = find(line, len, words[i]);

		first = at != NULL && at < first ? at : first;
	}
	for (; first < line + len; first++) {
		if (*first == ':' || *first == '=') {
			return first + 1;
		}
	}
	return NULL;
}

/* Bytes of a user and password that begin here, "://" before them; 0. */
static size_t
userinfo(const char *line, size_t at, size_t len)
{
	if (at < 3 || strncmp(line + at - 3, "://", 3) != 0) {
		return 0;
	}
	for (size_t i = at; i < len; i++) {
		if (line[i] == '@') {
			return i - at;
		}
		if (line[i] == '/' || isspace((unsigned char)line[i])) {
			break;
		}
	}
	return 0;
}

static size_t
hex_run(const char *line, size_t at, size_t len)
{
	size_t n = 0;

	while (at + n < len && isxdigit((unsigned char)line[at + n])) {
		n++;
	}
	return n;
}

/* A line, or a text without lines, that has no secret's name. */
static int
put_line(const char *line, size_t len, struct cn_buf *out)
{
	int err = CN_OK;

	for (size_t i = 0; i < len && err == CN_OK;) {
		size_t skip = userinfo(line, i, len);
		size_t hex = hex_run(line, i, len);

		if (hex >= CN_REDACT_HEX) {
			skip = hex;
		}
		if (skip > 0) {
			err = cn_buf_printf(out, "%s", CN_REDACT_WORD);
			i += skip;
		} else {
			hex = CN_MAX(hex, 1u);
			err = cn_buf_append(out, line + i, hex);
			i += hex;
		}
	}
	return err;
}

static size_t
indent_of(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && (line[n] == ' ' || line[n] == '\t')) {
		n++;
	}
	return n;
}

static int
scrub_line(struct scrub *scrub, const char *line, size_t len)
{
	size_t indent = indent_of(line, len);
	const char *value;
	int err;

	if (scrub->is_key) {
		scrub->is_key = find(line, len, "-----END") == NULL;
		return CN_OK;
	}
	if (scrub->is_block && (indent == len || indent > scrub->indent)) {
		return CN_OK;
	}
	scrub->is_block = false;
	if (find(line, len, "-----BEGIN") != NULL &&
	    find(line, len, "PRIVATE") != NULL) {
		scrub->is_key = find(line, len, "-----END") == NULL;
		return cn_buf_printf(scrub->out, "%s\n", CN_REDACT_WORD);
	}
	value = find_value(line, len);
	if (value != NULL) {
		scrub->is_block = true;
		scrub->indent = indent;
		/* What stands before it may hold another. */
		err = put_line(line, (size_t)(value - line), scrub->out);
		return err != CN_OK
		    ? err
		    : cn_buf_printf(scrub->out, " %s\n", CN_REDACT_WORD);
	}
	err = put_line(line, len, scrub->out);
	return err != CN_OK ? err : cn_buf_append(scrub->out, "\n", 1);
}

int
cn_redact_text(const char *text, size_t len, struct cn_buf *out)
{
	struct scrub scrub = { .out = out };
	int err = CN_OK;

	while (len > 0 && err == CN_OK) {
		const char *end = memchr(text, '\n', len);
		size_t line = end != NULL ? (size_t)(end - text) : len;

		err = scrub_line(&scrub, text, line);
		line += end != NULL;
		text += line;
		len -= line;
	}
	return err;
}

/* ---- JSON ---- */

static bool
is_secret_name(const char *name)
{
	for (size_t i = 0; i < CN_ARRAY_LEN(words); i++) {
		if (find(name, strlen(name), words[i]) != NULL) {
			return true;
		}
	}
	return false;
}

static int
scrub_string(json_t *json)
{
	struct cn_buf out;
	int err;

	cn_buf_init(&out, 2 * json_string_length(json) + 64);
	err = cn_redact_text(
	    json_string_value(json), json_string_length(json), &out);
	/* The newline that a single line did not have. */
	if (err == CN_OK && out.len > 0 &&
	    json_string_setn(json, (const char *)out.data, out.len - 1) != 0) {
		err = CN_ENOMEM;
	}
	cn_buf_fini(&out);
	return err;
}

static int
scrub_json(json_t *json, unsigned depth)
{
	const char *name;
	json_t *value;
	size_t i;
	void *next;
	int err = CN_OK;

	if (json_is_string(json)) {
		return scrub_string(json);
	}
	if (depth == DEPTH_MAX) {
		return CN_ELIMIT;
	}
	json_array_foreach(json, i, value)
	{
		err = err != CN_OK ? err : scrub_json(value, depth + 1);
	}
	json_object_foreach_safe(json, next, name, value)
	{
		if (err == CN_OK && is_secret_name(name) &&
		    !json_is_number(value) && !json_is_boolean(value)) {
			err = json_object_set_new(
				  json, name, json_string(CN_REDACT_WORD)) == 0
			    ? CN_OK
			    : CN_ENOMEM;
		} else if (err == CN_OK) {
			err = scrub_json(value, depth + 1);
		}
	}
	return err;
}

int
cn_redact_json(json_t *json)
{
	return scrub_json(json, 0);
}
