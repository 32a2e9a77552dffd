/* SPDX-License-Identifier: Apache-2.0 */
#include "config/scalar.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "config/arena.h"
#include "config/schema.h"

#define KIB UINT64_C(1024)
#define KB UINT64_C(1000)
#define SECOND UINT64_C(1000000)

#define WORD_MAX 15u /* TCP_CA_NAME_MAX less its zero */
#define IDENTITY_MIN 56u
#define IDENTITY_MAX 128u
/* Of DNS: a whole name. */
#define HOST_MAX 253u
#define PORT_MAX 65535u
/* Of a file: PATH_MAX less its zero. */
#define PATH_TEXT_MAX 4095u
/* Of an interface: IFNAMSIZ less its zero. */
#define IF_NAME_MAX 15u

#define UNIX_PREFIX "unix:"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Binary ones from the greatest on: the writer takes the first that fits. */
static const struct unit size_units[] = {
	{ "TiB", KIB *KIB *KIB *KIB },
	{ "GiB", KIB *KIB *KIB },
	{ "MiB", KIB *KIB },
	{ "KiB", KIB },
	{ "TB", KB *KB *KB *KB },
	{ "GB", KB *KB *KB },
	{ "MB", KB *KB },
	{ "kB", KB },
	{ "B", 1 },
	{ "", 1 },
};
#define SIZE_UNITS_BINARY 4u

static const struct unit duration_units[] = {
	{ "d", 24 * 3600 * SECOND },
	{ "h", 3600 * SECOND },
	{ "m", 60 * SECOND },
	{ "s", SECOND },
	{ "ms", 1000 },
	{ "us", 1 },
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int
cn_scalar_bool(const char *text, bool *ret, const char **hint)
{
	if (strcmp(text, "true") == 0) {
		*ret = true;
		return CN_OK;
	}
	if (strcmp(text, "false") == 0) {
		*ret = false;
		return CN_OK;
	}
	*hint = "write true or false";
	return CN_EINVAL;
}

/* Digits at *text, which moves past them; false: none, or too many. */
static bool
take_number(const char **text, uint64_t *ret)
{
	uint64_t value = 0;
	const char *at = *text;

	if (!is_digit(*at)) {
		return false;
	}
	while (is_digit(*at)) {
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(
			value, (uint64_t)(*at - '0'), &value)) {
			return false;
		}
		at++;
	}
	*text = at;
	*ret = value;
	return true;
}

int
cn_scalar_count(const char *text, uint64_t *ret, const char **hint)
{
	uint64_t value;

	if (!take_number(&text, &value) || *text != '\0') {
		*hint = "write a whole number, such as 4";
		return CN_EINVAL;
	}
	*ret = value;
	return CN_OK;
}

static int
take_quantity(
    const char *text, const struct unit *units, size_t count, uint64_t *ret)
{
	uint64_t value;

	if (!take_number(&text, &value)) {
		return CN_EINVAL;
	}
	while (*text == ' ') {
		text++;
	}
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, units[i].name) == 0) {
			if (__builtin_mul_overflow(
				value, units[i].factor, &value)) {
				return CN_EINVAL;
			}
			*ret = value;
			return CN_OK;
		}
	}
	return CN_EINVAL;
}

int
cn_scalar_size(const char *text, uint64_t *ret, const char **hint)
{
	*hint = "write a whole number of bytes, or one with a unit "
		"(B, kB, KiB, MB, MiB, GB, GiB, TB, TiB), such as 64MiB";
	return take_quantity(text, size_units, CN_ARRAY_LEN(size_units), ret);
}

int
cn_scalar_duration(const char *text, uint64_t *ret, const char **hint)
{
	if (strcmp(text, "0") == 0) {
		*ret = 0;
		return CN_OK;
	}
	*hint = "write a whole number and a unit (us, ms, s, m, h, d), "
		"such as 5ms or 60s";
	return take_quantity(
	    text, duration_units, CN_ARRAY_LEN(duration_units), ret);
}

void
cn_scalar_size_text(uint64_t bytes, char out[CN_SCALAR_TEXT_MAX])
{
	for (size_t i = 0; i < SIZE_UNITS_BINARY; i++) {
		const struct unit *unit = &size_units[i];

		if (bytes != 0 && bytes % unit->factor == 0) {
			snprintf(out, CN_SCALAR_TEXT_MAX, "%" PRIu64 "%s",
			    bytes / unit->factor, unit->name);
			return;
		}
	}
	snprintf(out, CN_SCALAR_TEXT_MAX, "%" PRIu64, bytes);
}

void
cn_scalar_duration_text(uint64_t us, char out[CN_SCALAR_TEXT_MAX])
{
	for (size_t i = 0; i < CN_ARRAY_LEN(duration_units); i++) {
		const struct unit *unit = &duration_units[i];

		if (us != 0 && us % unit->factor == 0) {
			snprintf(out, CN_SCALAR_TEXT_MAX, "%" PRIu64 "%s",
			    us / unit->factor, unit->name);
			return;
		}
	}
	snprintf(out, CN_SCALAR_TEXT_MAX, "0");
}

int
cn_scalar_level(
    const char *text, struct cn_config_level *ret, const char **hint)
{
	uint64_t min, max;

	*hint = "write one level of zstd, such as 3, or a range, such as "
		"1..9, within 1 to 15";
	if (!take_number(&text, &min)) {
		return CN_EINVAL;
	}
	max = min;
	if (strncmp(text, "..", 2) == 0) {
		text += 2;
		if (!take_number(&text, &max)) {
			return CN_EINVAL;
		}
	}
	if (*text != '\0' || min < 1 || min > max ||
	    max > CN_CONFIG_LEVEL_MAX) {
		return CN_EINVAL;
	}
	ret->is_set = true;
	ret->min = (int)min;
	ret->max = (int)max;
	return CN_OK;
}

/* Only letters, digits and the characters of extra; min to max of them. */
static bool
is_made_of(const char *text, const char *extra, size_t min, size_t max)
{
	size_t len = strlen(text);

	if (len < min || len > max) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (!is_letter(text[i]) && !is_digit(text[i]) &&
		    strchr(extra, text[i]) == NULL) {
			return false;
		}
	}
	return true;
}

int
cn_scalar_name(const char *text, const char **hint)
{
	if (is_made_of(text, ".-_", 1, CN_CONFIG_NAME_MAX) &&
	    (is_letter(text[0]) || is_digit(text[0]))) {
		return CN_OK;
	}
	*hint = "a name is a letter or digit, then letters, digits, '.', "
		"'-' or '_', 63 at most";
	return CN_EINVAL;
}

int
cn_scalar_word(const char *text, const char **hint)
{
	if (is_made_of(text, "-_", 1, WORD_MAX)) {
		return CN_OK;
	}
	*hint = "write one word of letters, digits, '-' or '_'";
	return CN_EINVAL;
}

int
cn_scalar_identity(const char *text, const char **hint)
{
	if (is_made_of(text, "- ", IDENTITY_MIN, IDENTITY_MAX)) {
		return CN_OK;
	}
	*hint = "write what `compressnet key show` prints on the peer";
	return CN_EINVAL;
}

int
cn_scalar_path(const char *text, const char **hint)
{
	if (text[0] == '/' && text[1] != '\0' &&
	    strlen(text) <= PATH_TEXT_MAX) {
		return CN_OK;
	}
	*hint = "write a whole path, from '/' on";
	return CN_EINVAL;
}

/* ---- addresses ---- */

static int
read_unix(const char *text, struct cn_arena *arena,
    struct cn_config_address *ret, const char **hint)
{
	const char *path = text + strlen(UNIX_PREFIX);
	struct cn_config_address address = { .kind = CN_CONFIG_ADDRESS_UNIX };

	if (path[0] != '/' || path[1] == '\0') {
		*hint = "write unix: and a whole path, such as "
			"unix:/run/app.sock";
		return CN_EINVAL;
	}
	if (strlen(path) > CN_CONFIG_UNIX_PATH_MAX) {
		*hint = "the path of a Unix socket has at most 107 bytes";
		return CN_EINVAL;
	}
	address.text = cn_arena_text(arena, text, strlen(text));
	if (address.text == NULL) {
		return CN_ENOMEM;
	}
	address.path = address.text + strlen(UNIX_PREFIX);
	*ret = address;
	return CN_OK;
}

/*
 * Split "host:port", "[host]:port" and, for carriers, "host" and "[host]".
 * Host is NUL-terminated in the caller's memory.
 */
static int
split(const char *text, bool is_carrier, uint16_t *port,
    char host[HOST_MAX + 1], const char **hint)
{
	const char *end, *rest;
	uint64_t value = CN_CONFIG_CARRIER_PORT;

	*hint = is_carrier ? "write host or host:port, such as "
			     "gw.example.net:3 or [2001:db8::1]:3"
			   : "write host:port, such as 192.0.2.7:5432 or "
			     "[2001:db8::1]:5432";
	if (text[0] == '[') {
		text++;
		end = strchr(text, ']');
		if (end == NULL) {
			return CN_EINVAL;
		}
		rest = end + 1;
	} else {
		end = strchr(text, ':');
		if (end == NULL) {
			end = text + strlen(text);
		} else if (strchr(end + 1, ':') != NULL) {
			*hint = "put an address of IPv6 into brackets, "
				"such as \"[2001:db8::1]:443\"";
			return CN_EINVAL;
		}
		rest = end;
	}
	if (end == text) {
		*hint = "the host is missing; '*' listens on every address";
		return CN_EINVAL;
	}
	if (end - text > (ptrdiff_t)HOST_MAX ||
	    (*rest == '\0' && !is_carrier)) {
		return CN_EINVAL;
	}
	if (*rest != '\0') {
		if (*rest != ':') {
			return CN_EINVAL;
		}
		rest++;
		if (!take_number(&rest, &value) || *rest != '\0' ||
		    value > PORT_MAX) {
			*hint = "a port is a number from 1 to 65535";
			return CN_EINVAL;
		}
	}
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	*port = (uint16_t)value;
	return CN_OK;
}

/* Is it a name that DNS may know, and not a mistyped address? */
static bool
is_host_name(const char *host)
{
	const char *label = host;

	if (!is_made_of(host, "-_.", 1, HOST_MAX)) {
		return false;
	}
	for (const char *at = host;; at++) {
		if (*at != '.' && *at != '\0') {
			continue;
		}
		if (at == label && !(at != host && *at == '\0')) {
			return false; /* empty label; a final dot is fine */
		}
		if (at - label > 63 || *label == '-') {
			return false;
		}
		if (*at == '\0' || at[1] == '\0') {
			break;
		}
		label = at + 1;
	}
	/* "10.0.0" and "300.1.1.1": a last label of digits is no name. */
	return strspn(label, "0123456789.") != strlen(label);
}

/* "fe80::1%eth0": the part behind the '%' is a name of an interface. */
static int
normalise_v6(char host[HOST_MAX + 1], const char **hint)
{
	struct in6_addr v6;
	char zone[IF_NAME_MAX + 2] = "";
	char *percent = strchr(host, '%');

	*hint = "between the brackets stands no address of IPv6";
	if (percent != NULL) {
		if (!is_made_of(percent + 1, "-_.", 1, IF_NAME_MAX)) {
			return CN_EINVAL;
		}
		memcpy(zone, percent, strlen(percent) + 1);
		*percent = '\0';
	}
	if (inet_pton(AF_INET6, host, &v6) != 1) {
		return CN_EINVAL;
	}
	inet_ntop(AF_INET6, &v6, host, HOST_MAX + 1);
	memcpy(host + strlen(host), zone, strlen(zone) + 1);
	return CN_OK;
}

/* Put the host into its usual form; tell its family. */
static int
normalise_host(char host[HOST_MAX + 1], bool is_bracketed, bool listen,
    uint8_t *family, const char **hint)
{
	struct in_addr v4;

	*family = 0;
	if (is_bracketed) {
		*family = 6;
		return normalise_v6(host, hint);
	}
	if (inet_pton(AF_INET, host, &v4) == 1) {
		*family = 4;
		return CN_OK;
	}
	if (listen && strcmp(host, "*") == 0) {
		return CN_OK;
	}
	if (listen) {
		*hint = "to listen, write the address itself, such as "
			"127.0.0.1:5432, or '*' for every one";
		return CN_EINVAL;
	}
	if (!is_host_name(host)) {
		*hint = "this is neither an address nor a host's name";
		return CN_EINVAL;
	}
	return CN_OK;
}

static int
read_tcp(const char *text, bool is_carrier, bool listen, struct cn_arena *arena,
    struct cn_config_address *ret, const char **hint)
{
	struct cn_config_address address = { .kind = CN_CONFIG_ADDRESS_TCP };
	char host[HOST_MAX + IF_NAME_MAX + 2];
	char whole[sizeof(host) + sizeof("[]:65535")];
	int err;

	err = split(text, is_carrier, &address.port, host, hint);
	if (err == CN_OK) {
		err = normalise_host(
		    host, text[0] == '[', listen, &address.family, hint);
	}
	if (err != CN_OK) {
		return err;
	}
	if (address.port == 0 && !listen) {
		*hint = "a port is a number from 1 to 65535";
		return CN_EINVAL;
	}
	snprintf(whole, sizeof(whole),
	    address.family == 6 ? "[%s]:%u" : "%s:%u", host, address.port);
	address.host = cn_arena_text(arena, host, strlen(host));
	address.text = cn_arena_text(arena, whole, strlen(whole));
	if (address.host == NULL || address.text == NULL) {
		return CN_ENOMEM;
	}
	*ret = address;
	return CN_OK;
}

int
cn_scalar_address(const char *text, unsigned flags, bool listen,
    struct cn_arena *arena, struct cn_config_address *ret, const char **hint)
{
	if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0) {
		return read_tcp(text, (flags & CN_SCHEMA_CARRIER) != 0, listen,
		    arena, ret, hint);
	}
	if ((flags & CN_SCHEMA_UNIX) == 0) {
		*hint = "a Unix socket cannot carry this; write an address "
			"of TCP";
		return CN_EINVAL;
	}
	return read_unix(text, arena, ret, hint);
}
