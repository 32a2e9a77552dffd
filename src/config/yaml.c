/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libfyaml scans and parses; its events become nodes here.  Its own document
 * tree is not used: aliases would be resolved in it, and duplicate keys and
 * depth would be judged by its rules.
 */
#include "config/yaml.h"

#include <libfyaml.h>
#include <string.h>

#include "base/err.h"
#include "config/arena.h"

/* A source line is shown only where its interesting part is near. */
#define SHOWN_COLUMN_MAX 160u
#define SHOWN_WIDTH_MAX 60u
/* Brackets that are open anywhere, those in quotes and comments included. */
#define OPEN_MAX 1000u

struct reader {
	const struct cn_config_text *text;
	uint32_t order;
	struct cn_arena *arena;
	struct cn_diag_list *diags;
	struct fy_parser *parser;
	struct fy_diag *diag;

	/* Where the last place was found; the next is near it. */
	size_t at;
	size_t line_start;
	uint32_t line, column; /* from 1 */

	struct cn_yaml_node *open[CN_YAML_DEPTH_MAX]; /* maps and lists */
	struct cn_yaml_node *key[CN_YAML_DEPTH_MAX];  /* of a map, pending */
	size_t depth;
	size_t nodes;
	struct cn_yaml_node *root;
};

/* ---- places ---- */

static bool
is_line_end(const struct cn_config_text *text, size_t at)
{
	if (text->text[at] == '\n') {
		return true;
	}
	/* A carriage return ends a line unless a line feed follows it. */
	return text->text[at] == '\r' &&
	    (at + 1 == text->len || text->text[at + 1] != '\n');
}

static bool
is_inside_character(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Start of the line that holds a byte. */
static size_t
line_start(const struct cn_config_text *text, size_t at)
{
	while (at > 0 && !is_line_end(text, at - 1)) {
		at--;
	}
	return at;
}

/* Move the reader's cursor to a byte of the text. */
static void
locate(struct reader *reader, size_t at)
{
	const struct cn_config_text *text = reader->text;

	at = CN_MIN(at, text->len);
	while (reader->at > at) {
		reader->at--;
		if (reader->at < reader->line_start) {
			reader->line--;
			reader->line_start = line_start(text, reader->at);
			reader->column = 1;
			for (size_t i = reader->line_start; i < reader->at;
			     i++) {
				reader->column +=
				    !is_inside_character(text->text[i]);
			}
		} else if (!is_inside_character(text->text[reader->at])) {
			reader->column--;
		}
	}
	while (reader->at < at) {
		if (is_line_end(text, reader->at)) {
			reader->line++;
			reader->line_start = reader->at + 1;
			reader->column = 1;
		} else if (!is_inside_character(text->text[reader->at])) {
			reader->column++;
		}
		reader->at++;
	}
}

/* Characters of the word, or of the quoted text, that begins at a byte. */
static uint32_t
word_width(const char *line, size_t len)
{
	char quote = '\0';
	uint32_t width = 0;

	if (len > 0 && (line[0] == '"' || line[0] == '\'')) {
		quote = line[0];
	}
	for (size_t i = 0; i < len && width < SHOWN_WIDTH_MAX; i++) {
		if (quote != '\0' && i > 0 && line[i] == quote) {
			return width + 1;
		}
		if (quote == '\0' &&
		    (strchr(" \t\r\n,[]{}#", line[i]) != NULL ||
			(line[i] == ':' &&
			    (i + 1 == len ||
				strchr(" \t\r\n", line[i + 1]) != NULL)))) {
			break;
		}
		width += !is_inside_character(line[i]);
	}
	return CN_MAX(width, 1u);
}

/* The text behind a byte order mark, which editors of some systems put. */
static struct cn_config_text
without_mark(const struct cn_config_text *text)
{
	struct cn_config_text body = *text;

	if (body.len >= 3 && memcmp(body.text, "\xef\xbb\xbf", 3) == 0) {
		body.text += 3;
		body.len -= 3;
	}
	return body;
}

void
cn_yaml_place(const struct cn_config_text *text, uint32_t order, uint32_t line,
    uint32_t column, struct cn_diag_place *ret)
{
	struct cn_config_text body = without_mark(text);
	size_t at = 0, start, end;

	*ret = (struct cn_diag_place){ .file = text->name,
		.order = order,
		.line = line,
		.column = column,
		.width = 1 };
	if (line == 0 || column > SHOWN_COLUMN_MAX) {
		return;
	}
	for (uint32_t i = 1; i < line && at < body.len; at++) {
		i += is_line_end(&body, at);
	}
	start = at;
	end = start;
	while (end < body.len && body.text[end] != '\n' &&
	    body.text[end] != '\r') {
		end++;
	}
	for (uint32_t i = 1; i < column && at < end;) {
		at++;
		i += at == end || !is_inside_character(body.text[at]);
	}
	ret->width = word_width(body.text + at, end - at);
	ret->source = body.text + start;
	ret->source_len = end - start;
}

static void
complain(struct reader *reader, uint32_t line, uint32_t column,
    const char *message, const char *hint)
{
	struct cn_diag_place place;

	cn_yaml_place(reader->text, reader->order, line, column, &place);
	cn_diag_add(reader->diags, CN_DIAG_ERROR, &place, hint, "%s", message);
}

static void
complain_at(
    struct reader *reader, size_t at, const char *message, const char *hint)
{
	locate(reader, at);
	complain(reader, reader->line, reader->column, message, hint);
}

/* ---- before the parser sees it ---- */

/*
 * Bytes of the character at a place: 0 when it is not UTF-8 or is a control
 * character.  *is_text says which.
 */
static size_t
check_character(const unsigned char *p, size_t left, bool *is_text)
{
	uint32_t code;
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	*is_text = false;
	if (len > left || (len > 1 && (p[0] < 0xc2 || p[0] > 0xf4))) {
		return 0;
	}
	code = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff)) {
		return 0;
	}
	*is_text = true;
	if ((code < 0x20 && code != '\t' && code != '\n' && code != '\r') ||
	    (code >= 0x7f && code < 0xa0)) {
		return 0;
	}
	return len;
}

static int
check_characters(struct reader *reader)
{
	const struct cn_config_text *text = reader->text;

	size_t open = 0;

	for (size_t at = 0; at < text->len;) {
		bool is_text;
		size_t len =
		    check_character((const unsigned char *)text->text + at,
			text->len - at, &is_text);

		if (len == 0) {
			complain_at(reader, at,
			    is_text ? "a control character is not allowed here"
				    : "this is not text in UTF-8",
			    NULL);
			return CN_ECONFIG;
		}
		if (text->text[at] == '%' &&
		    (at == 0 || is_line_end(text, at - 1))) {
			complain_at(reader, at,
			    "directives (%) are not used here", NULL);
			return CN_ECONFIG;
		}
		/* libfyaml keeps what is open: 1 KiB for each bracket. */
		if (strchr("[{", text->text[at]) != NULL) {
			open++;
		} else if (strchr("]}", text->text[at]) != NULL) {
			open -= open > 0;
		}
		if (open > OPEN_MAX) {
			complain_at(
			    reader, at, "too many brackets are open", NULL);
			return CN_ECONFIG;
		}
		at += len;
	}
	return CN_OK;
}

/* ---- events to nodes ---- */

static int
add_node(
    struct reader *reader, enum cn_yaml_kind kind, struct cn_yaml_node **ret)
{
	struct cn_yaml_node *node;

	if (reader->nodes == CN_YAML_NODES_MAX) {
		complain(reader, reader->line, reader->column,
		    "too many keys and values in one file", NULL);
		return CN_ECONFIG;
	}
	reader->nodes++;
	node = cn_arena_take(reader->arena, sizeof(*node));
	if (node == NULL) {
		return CN_ENOMEM;
	}
	node->kind = kind;
	node->line = reader->line;
	node->column = reader->column;
	node->text = "";
	*ret = node;
	return CN_OK;
}

/* Put a node where it belongs: the root, a list, a key or its value. */
static int
place_node(struct reader *reader, struct cn_yaml_node *node)
{
	struct cn_yaml_node *parent;
	struct cn_yaml_node **key;

	if (reader->depth == 0) {
		reader->root = node;
		return CN_OK;
	}
	parent = reader->open[reader->depth - 1];
	key = &reader->key[reader->depth - 1];
	if (parent->kind == CN_YAML_MAP && *key == NULL) {
		if (node->kind != CN_YAML_SCALAR) {
			complain(reader, node->line, node->column,
			    "a key must be a plain word",
			    "quote values that hold brackets, such as "
			    "\"[::]:3\"");
			return CN_ECONFIG;
		}
		*key = node;
		return CN_OK;
	}
	if (parent->kind == CN_YAML_MAP) {
		node->key = *key;
		*key = NULL;
	}
	if (parent->last == NULL) {
		parent->child = node;
	} else {
		parent->last->next = node;
	}
	parent->last = node;
	return CN_OK;
}

static bool
is_null(const char *text, size_t len)
{
	return len == 0 || (len == 1 && text[0] == '~') ||
	    (len == 4 &&
		(memcmp(text, "null", 4) == 0 || memcmp(text, "Null", 4) == 0 ||
		    memcmp(text, "NULL", 4) == 0));
}

static bool
has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f ||
		    (c == 0xc2 && i + 1 < len &&
			(unsigned char)text[i + 1] < 0xa0)) {
			return true;
		}
	}
	return false;
}

static int
refuse(struct reader *reader, const char *message, const char *hint)
{
	complain(reader, reader->line, reader->column, message, hint);
	return CN_ECONFIG;
}

/*
 * The text of a token, at most CN_YAML_TEXT_MAX + 1 bytes of it.  Taken piece
 * by piece: in libfyaml 0.7 fy_token_get_text() leaks where a text has many
 * escapes, and fy_token_iter_read() puts all pieces in one place.
 * Returns CN_OK, CN_ENOMEM, or CN_ECONFIG when libfyaml cannot read it.
 */
static int
read_token(struct fy_token *token, char text[CN_YAML_TEXT_MAX + 1], size_t *len)
{
	struct fy_token_iter *iterator = fy_token_iter_create(token);
	const struct fy_iter_chunk *chunk = NULL;
	int err = 0;

	*len = 0;
	if (iterator == NULL) {
		return CN_ENOMEM;
	}
	while (*len <= CN_YAML_TEXT_MAX &&
	    (chunk = fy_token_iter_chunk_next(iterator, chunk, &err)) != NULL) {
		size_t room = CN_YAML_TEXT_MAX + 1 - *len;

		memcpy(text + *len, chunk->str, CN_MIN(chunk->len, room));
		*len += CN_MIN(chunk->len, room);
	}
	fy_token_iter_finish(iterator);
	fy_token_iter_destroy(iterator);
	/* It fails on a block value that ends in blanks at the file's end. */
	return err != 0 ? CN_ECONFIG : CN_OK;
}

static int
check_text(struct reader *reader, const char *text, size_t len)
{
	const char *message = NULL;

	if (len > CN_YAML_TEXT_MAX) {
		message = "a value is longer than 4096 bytes";
	} else if (has_control(text, len)) {
		message = "a value must be one line without control "
			  "characters";
	}
	if (message == NULL) {
		return CN_OK;
	}
	complain(reader, reader->line, reader->column, message, NULL);
	return CN_ECONFIG;
}

static int
on_scalar(struct reader *reader, const struct fy_event *event)
{
	struct fy_token *token = event->scalar.value;
	bool is_plain = fy_token_scalar_style(token) == FYSS_PLAIN;
	struct cn_yaml_node *node;
	char text[CN_YAML_TEXT_MAX + 1];
	size_t len = 0;
	int err;

	err = read_token(token, text, &len);
	if (err == CN_ECONFIG) {
		return refuse(reader, "this value cannot be read",
		    "remove the blanks at the end of the file");
	}
	if (err == CN_OK) {
		err = check_text(reader, text, len);
	}
	if (err == CN_OK) {
		err = add_node(reader,
		    is_plain && is_null(text, len) ? CN_YAML_EMPTY
						   : CN_YAML_SCALAR,
		    &node);
	}
	if (err != CN_OK) {
		return err;
	}
	if (node->kind == CN_YAML_SCALAR) {
		node->text = cn_arena_text(reader->arena, text, len);
		if (node->text == NULL) {
			return CN_ENOMEM;
		}
	}
	return place_node(reader, node);
}

static int
on_open(struct reader *reader, enum cn_yaml_kind kind)
{
	struct cn_yaml_node *node;
	int err;

	if (reader->depth == CN_YAML_DEPTH_MAX) {
		complain(reader, reader->line, reader->column,
		    "too many levels inside one another", NULL);
		return CN_ECONFIG;
	}
	err = add_node(reader, kind, &node);
	if (err == CN_OK) {
		err = place_node(reader, node);
	}
	if (err == CN_OK) {
		reader->open[reader->depth] = node;
		reader->key[reader->depth] = NULL;
		reader->depth++;
	}
	return err;
}

/* Anchors and tags hang on values of every kind. */
static int
check_decoration(struct reader *reader, const struct fy_event *event)
{
	const struct fy_token *anchor = NULL, *tag = NULL;

	if (event->type == FYET_SCALAR) {
		anchor = event->scalar.anchor;
		tag = event->scalar.tag;
	} else if (event->type == FYET_MAPPING_START) {
		anchor = event->mapping_start.anchor;
		tag = event->mapping_start.tag;
	} else if (event->type == FYET_SEQUENCE_START) {
		anchor = event->sequence_start.anchor;
		tag = event->sequence_start.tag;
	}
	if (anchor != NULL) {
		return refuse(reader, "anchors (&) are not used here",
		    "write the value out in each place");
	}
	if (tag != NULL) {
		return refuse(reader, "tags (!) are not used here", NULL);
	}
	return CN_OK;
}

/* Where an event begins; a quoted text at its quote. */
static void
locate_event(struct reader *reader, struct fy_event *event)
{
	const struct fy_mark *mark = fy_event_start_mark(event);
	size_t at;

	if (mark == NULL) {
		return; /* an empty value: stay behind its key */
	}
	at = mark->input_pos;
	if (event->type == FYET_SCALAR && at > 0 && at <= reader->text->len) {
		enum fy_scalar_style style =
		    fy_token_scalar_style(event->scalar.value);

		if (style == FYSS_SINGLE_QUOTED ||
		    style == FYSS_DOUBLE_QUOTED) {
			at--;
		}
	}
	locate(reader, at);
}

static int
on_event(struct reader *reader, struct fy_event *event)
{
	int err;

	locate_event(reader, event);
	err = check_decoration(reader, event);
	if (err != CN_OK) {
		return err;
	}
	switch (event->type) {
	case FYET_SCALAR:
		return on_scalar(reader, event);
	case FYET_MAPPING_START:
		return on_open(reader, CN_YAML_MAP);
	case FYET_SEQUENCE_START:
		return on_open(reader, CN_YAML_LIST);
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		if (reader->depth == 0) {
			return refuse(
			    reader, "this bracket closes nothing", NULL);
		}
		reader->depth--;
		return CN_OK;
	case FYET_ALIAS:
		return refuse(reader, "aliases (*) are not used here",
		    "write the value out, or quote it if it is a text");
	case FYET_DOCUMENT_START:
		if (reader->root != NULL) {
			return refuse(reader,
			    "one file holds one document: a second --- is "
			    "not allowed",
			    NULL);
		}
		return CN_OK;
	case FYET_NONE:
	case FYET_STREAM_START:
	case FYET_STREAM_END:
	case FYET_DOCUMENT_END:
		return CN_OK;
	}
	return CN_OK;
}

/* ---- the parser's own complaints ---- */

static const struct {
	const char *message; /* part of libfyaml's */
	const char *hint;
} known_errors[] = {
	{ "tab character", "indent with spaces" },
	{ "invalid nested block mapping", "quote a value that holds ': '" },
	{ "invalid value after mapping",
	    "quote values that hold brackets, such as \"[::]:3\"" },
	{ "invalid mapping in plain multiline",
	    "keys of one section must begin in the same column" },
	{ "expected node content",
	    "a value or a closing bracket is missing before this" },
	{ "cannot start with", "put the value into quotes" },
};

static const char *
hint_for(const char *message)
{
	for (size_t i = 0; i < CN_ARRAY_LEN(known_errors); i++) {
		if (strstr(message, known_errors[i].message) != NULL) {
			return known_errors[i].hint;
		}
	}
	return NULL;
}

/* libfyaml tells the same fault more than once; the first is the nearest. */
static int
report_parser(struct reader *reader)
{
	void *iterator = NULL;
	struct fy_diag_error *error =
	    fy_diag_errors_iterate(reader->diag, &iterator);
	struct cn_diag_place place;

	if (error == NULL || error->msg == NULL) {
		complain(reader, reader->line, reader->column,
		    "this is not valid YAML", NULL);
		return CN_ECONFIG;
	}
	cn_yaml_place(reader->text, reader->order,
	    error->line < 1 ? 0 : (uint32_t)error->line,
	    error->column < 1 ? 1 : (uint32_t)error->column, &place);
	cn_diag_add(reader->diags, CN_DIAG_ERROR, &place, hint_for(error->msg),
	    "%s", error->msg);
	return CN_ECONFIG;
}

/* Silence: what libfyaml would print is collected instead. */
static void
drop_output(struct fy_diag *diag CN_UNUSED, void *user CN_UNUSED,
    const char *text CN_UNUSED, size_t len CN_UNUSED)
{
}

static int
open_parser(struct reader *reader)
{
	struct fy_diag_cfg diag_cfg;
	struct fy_parse_cfg cfg = {
		.search_path = "",
		.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG |
		    FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
	};

	fy_diag_cfg_default(&diag_cfg);
	diag_cfg.fp = NULL;
	diag_cfg.output_fn = drop_output;
	diag_cfg.colorize = false;
	reader->diag = fy_diag_create(&diag_cfg);
	if (reader->diag == NULL) {
		return CN_ENOMEM;
	}
	fy_diag_set_collect_errors(reader->diag, true);
	cfg.diag = reader->diag;
	reader->parser = fy_parser_create(&cfg);
	if (reader->parser == NULL ||
	    fy_parser_set_string(
		reader->parser, reader->text->text, reader->text->len) != 0) {
		return CN_ENOMEM;
	}
	return CN_OK;
}

static int
run_parser(struct reader *reader)
{
	int err = CN_OK;
	bool is_end = false;

	while (err == CN_OK && !is_end) {
		struct fy_event *event = fy_parser_parse(reader->parser);

		if (event == NULL) {
			return report_parser(reader);
		}
		is_end = event->type == FYET_STREAM_END;
		err = on_event(reader, event);
		fy_parser_event_free(reader->parser, event);
	}
	if (err == CN_OK &&
	    (fy_parser_get_stream_error(reader->parser) ||
		reader->depth != 0)) {
		return report_parser(reader);
	}
	return err;
}

int
cn_yaml_parse(const struct cn_config_text *text, uint32_t order,
    struct cn_arena *arena, struct cn_diag_list *diags,
    struct cn_yaml_node **ret)
{
	struct cn_config_text body = without_mark(text);
	struct reader reader = {
		.text = &body,
		.order = order,
		.arena = arena,
		.diags = diags,
		.line = 1,
		.column = 1,
	};
	int err;

	if (body.len > CN_CONFIG_FILE_MAX) {
		complain(&reader, 0, 0, "the file is larger than 1 MiB", NULL);
		return CN_ECONFIG;
	}
	err = check_characters(&reader);
	if (err == CN_OK && body.len > 0) {
		locate(&reader, 0);
		err = open_parser(&reader);
		if (err == CN_OK) {
			err = run_parser(&reader);
		}
		fy_parser_destroy(reader.parser);
		fy_diag_destroy(reader.diag);
	}
	if (err == CN_OK && reader.root == NULL) {
		locate(&reader, 0);
		err = add_node(&reader, CN_YAML_EMPTY, &reader.root);
	}
	if (err == CN_OK) {
		*ret = reader.root;
	}
	return err;
}
