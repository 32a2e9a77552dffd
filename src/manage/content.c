/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/content.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/attr.h"

/* TLS that begins later begins within so many bytes. */
#define LATER_BYTES 16384u
/* Shorter pieces have the verdict of the piece before. */
#define PIECE_LEAST 256u
/* Longest head of an HTTP message that is looked through. */
#define HEAD_MAX 16384u

static const char *const names[CN_CONTENT_KINDS] = {
	[CN_PROBE_COMPRESSIBLE] = "plain",
	[CN_PROBE_RANDOM] = "random",
	[CN_PROBE_TLS] = "TLS",
	[CN_PROBE_GZIP] = "gzip",
	[CN_PROBE_ZSTD] = "zstd",
	[CN_PROBE_XZ] = "xz",
	[CN_PROBE_ZIP] = "zip",
	[CN_PROBE_JPEG] = "JPEG",
	[CN_PROBE_PNG] = "PNG",
	[CN_PROBE_MP4] = "MP4",
	[CN_PROBE_BZIP2] = "bzip2",
	[CN_PROBE_SSH] = "SSH",
	[CN_CONTENT_HTTP] = "HTTP content-encoding",
};

const char *
cn_content_name(unsigned kind)
{
	return kind < CN_CONTENT_KINDS ? names[kind] : "?";
}

/* ---- HTTP ---- */

struct line {
	const char *at;
	size_t len;
};

/* The value of a header line of that name; false: it is another. */
static bool
has_name(const struct line *line, const char *name, struct line *value)
{
	size_t len = strlen(name);

	if (line->len <= len || strncasecmp(line->at, name, len) != 0 ||
	    line->at[len] != ':') {
		return false;
	}
	value->at = line->at + len + 1;
	value->len = line->len - len - 1;
	while (value->len > 0 && isspace((unsigned char)*value->at)) {
		value->at++;
		value->len--;
	}
	return true;
}

static bool
is_coding(const struct line *value)
{
	static const char *const codings[] = { "gzip", "x-gzip", "br", "zstd",
		"deflate", "compress" };

	for (size_t i = 0; i < CN_ARRAY_LEN(codings); i++) {
		size_t len = strlen(codings[i]);

		if (value->len >= len &&
		    strncasecmp(value->at, codings[i], len) == 0) {
			return true;
		}
	}
	return false;
}

/* Digits only, and not more than make sense; else UINT64_MAX. */
static uint64_t
length_of(const struct line *value)
{
	uint64_t length = 0;
	size_t i = 0;

	for (; i < value->len && i < 18 && value->at[i] >= '0' &&
	     value->at[i] <= '9';
	     i++) {
		length = length * 10 + (uint64_t)(value->at[i] - '0');
	}
	return i == 0 ? UINT64_MAX : length;
}

/*
 * Look through the head of a response.  Returns its length, or len when its
 * end is not there.
 */
static size_t
read_head(struct cn_content *content, const uint8_t *bytes, size_t len)
{
	const char *at = (const char *)bytes;
	const char *end = at + CN_MIN(len, (size_t)HEAD_MAX);
	uint64_t length = UINT64_MAX;
	bool is_coded = false;

	content->http_left = 0;
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct line line = { at, 0 }, value;

		if (stop == NULL) {
			break;
		}
		line.len = (size_t)(stop - at);
		at = stop + 1;
		if (line.len > 0 && line.at[line.len - 1] == '\r') {
			line.len--;
		}
		if (line.len == 0) {
			content->http_left = is_coded ? length : 0;
			return (size_t)(at - (const char *)bytes);
		}
		if (has_name(&line, "content-encoding", &value)) {
			is_coded = is_coding(&value);
		} else if (has_name(&line, "content-length", &value)) {
			length = length_of(&value);
		}
	}
	content->http_left = is_coded ? length : 0;
	return len;
}

/* ---- pieces ---- */

static bool
is_http(const uint8_t *bytes, size_t len)
{
	return len >= 9 && memcmp(bytes, "HTTP/1.", 7) == 0;
}

/* Is all that follows of one kind? */
static unsigned
settle(const struct cn_content *content, const uint8_t *bytes, size_t len)
{
	enum cn_probe probe;

	if (content->seen >= LATER_BYTES) {
		return 0;
	}
	probe = cn_probe_bytes(bytes, len, true);
	if (probe == CN_PROBE_TLS) {
		return probe;
	}
	return content->seen == 0 && probe != CN_PROBE_RANDOM ? (unsigned)probe
							      : 0;
}

static unsigned
look(struct cn_content *content, const uint8_t *bytes, size_t len)
{
	if (len >= PIECE_LEAST) {
		content->last = (unsigned)cn_probe_bytes(bytes, len, false);
	}
	return content->last;
}

void
cn_content_take(struct cn_content *content, const uint8_t *bytes, size_t len,
    struct cn_content_bytes *sum)
{
	size_t part = 0;

	if (len == 0) {
		return;
	}
	if (content->settled == 0) {
		content->settled = settle(content, bytes, len);
	}
	content->seen += len;
	if (content->settled != 0) {
		sum->kind[content->settled] += len;
		return;
	}
	if (is_http(bytes, len)) {
		part = read_head(content, bytes, len);
		sum->kind[CN_PROBE_COMPRESSIBLE] += part;
		bytes += part;
		len -= part;
	}
	if (content->http_left > 0) {
		part = (size_t)CN_MIN((uint64_t)len, content->http_left);
		sum->kind[CN_CONTENT_HTTP] += part;
		content->http_left -=
		    content->http_left == UINT64_MAX ? 0 : part;
		bytes += part;
		len -= part;
	}
	if (len > 0) {
		sum->kind[look(content, bytes, len)] += len;
	}
}

/* ---- sums ---- */

void
cn_content_add(
    struct cn_content_bytes *sum, const struct cn_content_bytes *more)
{
	for (size_t i = 0; i < CN_CONTENT_KINDS; i++) {
		sum->kind[i] += more->kind[i];
	}
}

uint64_t
cn_content_encrypted(const struct cn_content_bytes *bytes)
{
	return bytes->kind[CN_PROBE_TLS] + bytes->kind[CN_PROBE_SSH];
}

uint64_t
cn_content_compressed(const struct cn_content_bytes *bytes)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CN_CONTENT_KINDS; i++) {
		if (i != CN_PROBE_COMPRESSIBLE && i != CN_PROBE_RANDOM &&
		    i != CN_PROBE_TLS && i != CN_PROBE_SSH) {
			sum += bytes->kind[i];
		}
	}
	return sum;
}

unsigned
cn_content_main(const struct cn_content_bytes *bytes)
{
	unsigned best = 0;

	for (unsigned i = 1; i < CN_CONTENT_KINDS; i++) {
		if (bytes->kind[i] > 0 &&
		    (best == 0 || bytes->kind[i] > bytes->kind[best])) {
			best = i;
		}
	}
	return best;
}
