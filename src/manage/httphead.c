/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/httphead.h"

#include <string.h>

#include "base/err.h"

#define CR '\r'
#define LF '\n'

/* What is left of the head while it is read. */
struct cursor {
	const char *at;
	const char *end;
};

int
cn_http_head_find(const char *bytes, size_t len, size_t *from, size_t *ret)
{
	size_t most = CN_MIN(len, (size_t)CN_HTTP_HEAD_MAX);

	/* The empty line may have begun in what was looked at. */
	for (size_t i = *from > 3 ? *from - 3 : 0; i + 4 <= most; i++) {
		if (memcmp(bytes + i, "\r\n\r\n", 4) == 0) {
			*ret = i + 4;
			return CN_OK;
		}
	}
	*from = most;
	return len >= CN_HTTP_HEAD_MAX ? CN_ELIMIT : CN_EAGAIN;
}

static int
refuse(struct cn_http_head *head, unsigned status, const char *why)
{
	head->status = status;
	head->why = why;
	return CN_EPROTO;
}

/* RFC 9110, 5.6.2: what names are made of. */
static bool
is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* A line without its CR LF; false: there is none, or a stray CR or LF. */
static bool
take_line(struct cursor *in, struct cn_http_text *ret)
{
	const char *lf = memchr(in->at, LF, (size_t)(in->end - in->at));

	if (lf == NULL || lf == in->at || lf[-1] != CR) {
		return false;
	}
	ret->at = in->at;
	ret->len = (size_t)(lf - in->at) - 1;
	in->at = lf + 1;
	return memchr(ret->at, CR, ret->len) == NULL;
}

static bool
same_name(struct cn_http_text text, const char *lower)
{
	if (text.len != strlen(lower)) {
		return false;
	}
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (c >= 'A' && c <= 'Z') {
			c = (char)(c - 'A' + 'a');
		}
		if (c != lower[i]) {
			return false;
		}
	}
	return true;
}

bool
cn_http_is(struct cn_http_text text, const char *other)
{
	return text.at != NULL && text.len == strlen(other) &&
	    memcmp(text.at, other, text.len) == 0;
}

static enum cn_http_method
method_of(struct cn_http_text text)
{
	static const char *const names[] = { "GET", "HEAD", "POST", "PUT",
		"DELETE" };

	for (size_t i = 0; i < CN_ARRAY_LEN(names); i++) {
		if (cn_http_is(text, names[i])) {
			return (enum cn_http_method)i;
		}
	}
	return CN_HTTP_OTHER;
}

/* Up to the next space, which is taken too. */
static struct cn_http_text
take_word(struct cn_http_text *line)
{
	const char *space = memchr(line->at, ' ', line->len);
	struct cn_http_text word = *line;

	if (space == NULL) {
		line->at += line->len;
		line->len = 0;
		return word;
	}
	word.len = (size_t)(space - line->at);
	line->at = space + 1;
	line->len -= word.len + 1;
	return word;
}

static int
read_target(struct cn_http_head *head, struct cn_http_text target)
{
	const char *mark;

	if (target.len > CN_HTTP_TARGET_MAX) {
		return refuse(head, 414, "the target is too long");
	}
	if (target.len == 0 || target.at[0] != '/') {
		return refuse(
		    head, 400, "the target must be a path that begins with /");
	}
	for (size_t i = 0; i < target.len; i++) {
		if (target.at[i] <= ' ' || target.at[i] > '~' ||
		    target.at[i] == '#') {
			return refuse(head, 400,
			    "the target has a character that must be escaped");
		}
	}
	head->path = target;
	mark = memchr(target.at, '?', target.len);
	head->query = (struct cn_http_text){ target.at + target.len, 0 };
	if (mark != NULL) {
		head->path.len = (size_t)(mark - target.at);
		head->query.at = mark + 1;
		head->query.len = target.len - head->path.len - 1;
	}
	return CN_OK;
}

static int
read_first_line(struct cn_http_head *head, struct cn_http_text line)
{
	struct cn_http_text method = take_word(&line);
	struct cn_http_text target = take_word(&line);
	int err;

	for (size_t i = 0; i < method.len; i++) {
		if (!is_token_char(method.at[i])) {
			return refuse(head, 400, "the method is no token");
		}
	}
	if (method.len == 0 || line.len == 0) {
		return refuse(head, 400, "the request line is not whole");
	}
	head->method = method_of(method);
	err = read_target(head, target);
	if (err < 0) {
		return err;
	}
	if (cn_http_is(line, "HTTP/1.1")) {
		head->is_kept = true;
	} else if (cn_http_is(line, "HTTP/1.0")) {
		head->is_old = true;
	} else if (line.len == 8 && memcmp(line.at, "HTTP/", 5) == 0) {
		return refuse(head, 505, "only HTTP/1.1 and 1.0 are spoken");
	} else {
		return refuse(head, 400, "the request line is not HTTP's");
	}
	return CN_OK;
}

static struct cn_http_text
trim(struct cn_http_text text)
{
	while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
		text.at++;
		text.len--;
	}
	while (text.len > 0 &&
	    (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t')) {
		text.len--;
	}
	return text;
}

static int
read_field(struct cn_http_head *head, struct cn_http_text line)
{
	const char *colon = memchr(line.at, ':', line.len);
	struct cn_http_field *field;

	if (head->fields == CN_HTTP_FIELDS_MAX) {
		return refuse(head, 431, "there are too many fields");
	}
	if (colon == NULL || colon == line.at) {
		return refuse(head, 400, "a field has no name");
	}
	field = &head->field[head->fields];
	field->name =
	    (struct cn_http_text){ line.at, (size_t)(colon - line.at) };
	for (size_t i = 0; i < field->name.len; i++) {
		/* Folded lines and space before the colon end here too. */
		if (!is_token_char(field->name.at[i])) {
			return refuse(head, 400, "a field's name is no token");
		}
	}
	field->value = trim(
	    (struct cn_http_text){ colon + 1, line.len - field->name.len - 1 });
	for (size_t i = 0; i < field->value.len; i++) {
		unsigned char c = (unsigned char)field->value.at[i];

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			return refuse(
			    head, 400, "a field has a control character");
		}
	}
	head->fields++;
	return CN_OK;
}

struct cn_http_text
cn_http_field(const struct cn_http_head *head, const char *name)
{
	for (size_t i = 0; i < head->fields; i++) {
		if (same_name(head->field[i].name, name)) {
			return head->field[i].value;
		}
	}
	return (struct cn_http_text){ NULL, 0 };
}

/* Fields that mean two things when they are there twice. */
static int
check_single(struct cn_http_head *head)
{
	static const char *const single[] = { "host", "content-length",
		"authorization", "cookie", "origin", "content-type", "if-match",
		"expect", "x-compressnet" };

	for (size_t n = 0; n < CN_ARRAY_LEN(single); n++) {
		unsigned count = 0;

		for (size_t i = 0; i < head->fields; i++) {
			count +=
			    same_name(head->field[i].name, single[n]) ? 1 : 0;
		}
		if (count > 1) {
			return refuse(
			    head, 400, "a field that must be single is twice");
		}
	}
	return CN_OK;
}

static int
read_length(struct cn_http_head *head)
{
	struct cn_http_text text = cn_http_field(head, "content-length");

	if (cn_http_field(head, "transfer-encoding").at != NULL) {
		return text.at != NULL
		    ? refuse(head, 400, "a body has one length, not two")
		    : refuse(head, 501,
			  "Transfer-Encoding is not taken: send "
			  "Content-Length");
	}
	if (text.at == NULL) {
		return CN_OK;
	}
	if (text.len == 0 || text.len > 15) {
		return refuse(head, 400, "Content-Length is no number");
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9') {
			return refuse(head, 400, "Content-Length is no number");
		}
		head->body = head->body * 10 + (uint64_t)(text.at[i] - '0');
	}
	return CN_OK;
}

/* Is a word in a list with commas? */
static bool
has_word(struct cn_http_text list, const char *lower)
{
	while (list.len > 0) {
		const char *comma = memchr(list.at, ',', list.len);
		size_t len =
		    comma != NULL ? (size_t)(comma - list.at) : list.len;

		if (same_name(
			trim((struct cn_http_text){ list.at, len }), lower)) {
			return true;
		}
		len += comma != NULL ? 1 : 0;
		list.at += len;
		list.len -= len;
	}
	return false;
}

static int
read_manner(struct cn_http_head *head)
{
	struct cn_http_text connection = cn_http_field(head, "connection");
	struct cn_http_text expect = cn_http_field(head, "expect");

	if (!head->is_old && cn_http_field(head, "host").at == NULL) {
		return refuse(head, 400, "HTTP/1.1 needs a Host");
	}
	if (has_word(connection, "close")) {
		head->is_kept = false;
	}
	if (expect.at != NULL) {
		if (!same_name(expect, "100-continue")) {
			return refuse(
			    head, 417, "only 100-continue can be expected");
		}
		head->is_waiting = !head->is_old;
	}
	return CN_OK;
}

int
cn_http_head_parse(const char *bytes, size_t len, struct cn_http_head *ret)
{
	struct cursor in = { bytes, bytes + len };
	struct cn_http_text line;
	int err;

	memset(ret, 0, sizeof(*ret));
	if (!take_line(&in, &line)) {
		return refuse(ret, 400, "lines must end in CR LF");
	}
	err = read_first_line(ret, line);
	for (;;) {
		if (err < 0) {
			return err;
		}
		if (!take_line(&in, &line)) {
			return refuse(ret, 400, "lines must end in CR LF");
		}
		if (line.len == 0) {
			break;
		}
		err = read_field(ret, line);
	}
	if (in.at != in.end) {
		return refuse(ret, 400, "the head goes on after its end");
	}
	err = check_single(ret);
	if (err == CN_OK) {
		err = read_length(ret);
	}
	return err < 0 ? err : read_manner(ret);
}

static int
digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0'
	    : c >= 'a' && c <= 'f'  ? c - 'a' + 10
	    : c >= 'A' && c <= 'F'  ? c - 'A' + 10
				    : -1;
}

/* One character of an escaped text; -1: there is something wrong. */
static int
take_char(struct cn_http_text *text)
{
	int high, low;

	if (text->at[0] != '%') {
		text->len--;
		return (unsigned char)*text->at++;
	}
	if (text->len < 3) {
		return -1;
	}
	high = digit_of(text->at[1]);
	low = digit_of(text->at[2]);
	text->at += 3;
	text->len -= 3;
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

int
cn_http_unescape(struct cn_http_text part, char *ret, size_t size)
{
	size_t len = 0;

	while (part.len > 0) {
		int c = take_char(&part);

		if (c < ' ' || c == 0x7f || len + 1 >= size) {
			return CN_EPROTO;
		}
		ret[len++] = (char)c;
	}
	ret[len] = '\0';
	return CN_OK;
}

int
cn_http_query(
    struct cn_http_text query, const char *name, char *ret, size_t size)
{
	struct cn_http_text found = { NULL, 0 };
	size_t name_len = strlen(name);

	while (query.len > 0) {
		const char *amp = memchr(query.at, '&', query.len);
		size_t len = amp != NULL ? (size_t)(amp - query.at) : query.len;

		if (len > name_len && query.at[name_len] == '=' &&
		    memcmp(query.at, name, name_len) == 0) {
			if (found.at != NULL) {
				return CN_EPROTO;
			}
			found.at = query.at + name_len + 1;
			found.len = len - name_len - 1;
		}
		len += amp != NULL ? 1 : 0;
		query.at += len;
		query.len -= len;
	}
	return found.at == NULL ? CN_ENOENT
				: cn_http_unescape(found, ret, size);
}
