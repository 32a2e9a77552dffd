/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/guard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rand.h"

#define HASH_BYTES SHA256_DIGEST_LENGTH
#define HOST_MAX 256u
#define COOKIE "cn_session="
/* Wrong credentials of one client: so many at once, then a few a second. */
#define FAILURES_BURST 20u
#define FAILURE_US UINT64_C(200000)
#define CLIENTS_MAX 64u
/* Codes that wait in the folder. */
#define CODES_MAX 64u

_Static_assert(2 * HASH_BYTES == CN_GUARD_DIGITS, "a hash is as long as that");

struct session {
	uint8_t hash[HASH_BYTES];
	uint64_t until_us; /* 0: free */
};

struct client {
	char remote[CN_HTTP_ADDRESS_MAX];
	uint64_t debt_us; /* when all its failures are forgiven */
};

struct cn_guard {
	pthread_mutex_t lock;
	uint8_t token[HASH_BYTES], read_token[HASH_BYTES];
	char code_folder[512];
	char host[CN_GUARD_HOSTS_MAX][HOST_MAX];
	size_t hosts;
	struct session session[CN_GUARD_SESSIONS_MAX];
	struct client client[CLIENTS_MAX];
	uint64_t failures;
	struct cn_log_limit limit;
};

int
cn_guard_create(struct cn_guard **ret)
{
	struct cn_guard *guard = cn_calloc(1, sizeof(*guard));

	if (guard == NULL) {
		return CN_ENOMEM;
	}
	(void)pthread_mutex_init(&guard->lock, NULL);
	guard->limit.interval_us = 1000000;
	*ret = guard;
	return CN_OK;
}

void
cn_guard_free(struct cn_guard **gp)
{
	struct cn_guard *guard = *gp;

	*gp = NULL;
	if (guard == NULL) {
		return;
	}
	(void)pthread_mutex_destroy(&guard->lock);
	OPENSSL_cleanse(guard, sizeof(*guard));
	cn_free(guard);
}

static void
write_hex(const uint8_t *bytes, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret[2 * len] = '\0';
}

static void
make_secret(char *ret)
{
	uint8_t bytes[HASH_BYTES];

	cn_rand_bytes(bytes, sizeof(bytes));
	write_hex(bytes, sizeof(bytes), ret);
	OPENSSL_cleanse(bytes, sizeof(bytes));
}

static void
hash_of(const char *text, size_t len, uint8_t *ret)
{
	(void)SHA256((const unsigned char *)text, len, ret);
}

/* ---- tokens ---- */

/* A new file with a new token; one that is there meanwhile is fine. */
static int
make_token_file(const char *path, const char *prefix)
{
	char text[CN_GUARD_DIGITS + 16], secret[CN_GUARD_DIGITS + 1];
	int fd, len, err = CN_OK;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		return errno == EEXIST ? CN_OK : cn_err_from_errno(errno);
	}
	make_secret(secret);
	len = snprintf(text, sizeof(text), "%s%s\n", prefix, secret);
	if (write(fd, text, (size_t)len) != len || fsync(fd) != 0) {
		err = cn_err_from_errno(errno);
		(void)unlink(path);
	}
	(void)close(fd);
	OPENSSL_cleanse(text, sizeof(text));
	OPENSSL_cleanse(secret, sizeof(secret));
	return err;
}

static bool
is_token(const char *text, size_t len)
{
	if (len < CN_GUARD_TOKEN_MIN || len > CN_GUARD_TOKEN_MAX) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] > '~' || text[i] == ',' ||
		    text[i] == ';' || text[i] == '"') {
			return false;
		}
	}
	return true;
}

static int CN_PRINTF(3, 4) fail(int err, char *why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(why, CN_GUARD_WHY_MAX, fmt, args);
	va_end(args);
	return err;
}

static int
check_file(int fd, const char *path, char *why)
{
	struct stat stat;

	if (fstat(fd, &stat) != 0) {
		return fail(cn_err_from_errno(errno), why, "%s: %s", path,
		    cn_err_text(cn_err_from_errno(errno)));
	}
	if (!S_ISREG(stat.st_mode)) {
		return fail(CN_EACCES, why, "%s: is no file", path);
	}
	if ((stat.st_mode & 077) != 0) {
		return fail(CN_EACCES, why,
		    "%s: others can read or change it: chmod 600 it", path);
	}
	if (stat.st_uid != geteuid() && stat.st_uid != 0) {
		return fail(CN_EACCES, why,
		    "%s: belongs to user %u, neither ours nor root", path,
		    (unsigned)stat.st_uid);
	}
	return CN_OK;
}

static int
read_token_file(const char *path, const char *prefix, uint8_t *hash, char *why)
{
	char text[CN_GUARD_TOKEN_MAX + 2];
	ssize_t n;
	int err = make_token_file(path, prefix);
	int fd = -1;

	if (err == CN_OK) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		err = fd < 0 ? cn_err_from_errno(errno) : CN_OK;
	}
	if (err < 0) {
		return fail(err, why, "%s: %s", path, cn_err_text(err));
	}
	err = check_file(fd, path, why);
	n = err < 0 ? 0 : read(fd, text, sizeof(text));
	(void)close(fd);
	if (err < 0) {
		return err;
	}
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r')) {
		n--;
	}
	if (n < 0 || !is_token(text, (size_t)n)) {
		return fail(CN_EINVAL, why,
		    "%s: a token is one line of %u to %u printable characters "
		    "without space, comma, semicolon or quote",
		    path, CN_GUARD_TOKEN_MIN, CN_GUARD_TOKEN_MAX);
	}
	hash_of(text, (size_t)n, hash);
	OPENSSL_cleanse(text, sizeof(text));
	return CN_OK;
}

int
cn_guard_load(
    struct cn_guard *guard, const struct cn_guard_options *options, char *why)
{
	uint8_t token[HASH_BYTES], read_token[HASH_BYTES];
	int err = read_token_file(options->token_file, "cnw_", token, why);

	if (err == CN_OK) {
		err = read_token_file(
		    options->read_token_file, "cnr_", read_token, why);
	}
	if (err == CN_OK && CRYPTO_memcmp(token, read_token, HASH_BYTES) == 0) {
		err = fail(CN_EINVAL, why,
		    "%s and %s hold the same token: reading alone would grant "
		    "all",
		    options->token_file, options->read_token_file);
	}
	if (err < 0) {
		return err;
	}
	pthread_mutex_lock(&guard->lock);
	/* A session lasts as long as the token that could have begun it. */
	if (CRYPTO_memcmp(guard->token, token, HASH_BYTES) != 0) {
		memset(guard->session, 0, sizeof(guard->session));
	}
	memcpy(guard->token, token, HASH_BYTES);
	memcpy(guard->read_token, read_token, HASH_BYTES);
	(void)snprintf(guard->code_folder, sizeof(guard->code_folder), "%s",
	    options->code_folder);
	guard->hosts = CN_MIN(options->hosts_count, (size_t)CN_GUARD_HOSTS_MAX);
	for (size_t i = 0; i < guard->hosts; i++) {
		(void)snprintf(
		    guard->host[i], HOST_MAX, "%s", options->hosts[i]);
	}
	pthread_mutex_unlock(&guard->lock);
	return CN_OK;
}

/* ---- Host and Origin ---- */

/* The name in a Host, without port and brackets. */
static bool
host_name(struct cn_http_text host, char *ret, size_t size)
{
	const char *at = host.at;
	size_t len = host.len;

	if (len > 0 && at[0] == '[') {
		const char *end = memchr(at, ']', len);

		if (end == NULL) {
			return false;
		}
		at++;
		len = (size_t)(end - at);
	} else {
		const char *colon = memchr(at, ':', len);

		len = colon == NULL ? len : (size_t)(colon - at);
	}
	if (len == 0 || len >= size) {
		return false;
	}
	memcpy(ret, at, len);
	ret[len] = '\0';
	return true;
}

static bool
is_our_host(struct cn_guard *guard, const struct cn_http_conn *conn,
    struct cn_http_text host)
{
	char name[HOST_MAX];
	bool is_ours;

	if (host.at == NULL || !host_name(host, name, sizeof(name))) {
		return false;
	}
	if (strcasecmp(name, "localhost") == 0 ||
	    strcmp(name, "127.0.0.1") == 0 || strcmp(name, "::1") == 0 ||
	    strcmp(name, conn->local) == 0) {
		return true;
	}
	pthread_mutex_lock(&guard->lock);
	is_ours = false;
	for (size_t i = 0; i < guard->hosts && !is_ours; i++) {
		is_ours = strcasecmp(name, guard->host[i]) == 0;
	}
	pthread_mutex_unlock(&guard->lock);
	return is_ours;
}

/* Does the page come from where the request goes? */
static bool
is_own_origin(struct cn_http_text origin, struct cn_http_text host)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < CN_ARRAY_LEN(schemes); i++) {
		size_t len = strlen(schemes[i]);

		if (origin.len == len + host.len &&
		    memcmp(origin.at, schemes[i], len) == 0 &&
		    strncasecmp(origin.at + len, host.at, host.len) == 0) {
			return true;
		}
	}
	return false;
}

/* ---- credentials ---- */

static enum cn_right
right_of_token(struct cn_guard *guard, struct cn_http_text token)
{
	uint8_t hash[HASH_BYTES];
	bool is_change, is_read;

	hash_of(token.at, token.len, hash);
	pthread_mutex_lock(&guard->lock);
	is_change = CRYPTO_memcmp(hash, guard->token, HASH_BYTES) == 0;
	is_read = CRYPTO_memcmp(hash, guard->read_token, HASH_BYTES) == 0;
	pthread_mutex_unlock(&guard->lock);
	return is_change ? CN_RIGHT_CHANGE
	    : is_read    ? CN_RIGHT_READ
			 : CN_RIGHT_NONE;
}

/* The session's cookie among others; .at NULL: there is none. */
static struct cn_http_text
session_cookie(const struct cn_http_head *head)
{
	struct cn_http_text cookie = cn_http_field(head, "cookie");
	size_t name = strlen(COOKIE);

	while (cookie.len > 0) {
		const char *end = memchr(cookie.at, ';', cookie.len);
		size_t len =
		    end != NULL ? (size_t)(end - cookie.at) : cookie.len;

		if (len == name + CN_GUARD_DIGITS &&
		    memcmp(cookie.at, COOKIE, name) == 0) {
			return (struct cn_http_text){ cookie.at + name,
				CN_GUARD_DIGITS };
		}
		len += end != NULL ? 1 : 0;
		cookie.at += len;
		cookie.len -= len;
		while (cookie.len > 0 && cookie.at[0] == ' ') {
			cookie.at++;
			cookie.len--;
		}
	}
	return (struct cn_http_text){ NULL, 0 };
}

/* Locked.  NULL: there is none, or it is over. */
static struct session *
find_session(struct cn_guard *guard, struct cn_http_text cookie)
{
	struct session *found = NULL;
	uint8_t hash[HASH_BYTES];
	uint64_t now = cn_clock_us();

	hash_of(cookie.at, cookie.len, hash);
	for (size_t i = 0; i < CN_GUARD_SESSIONS_MAX; i++) {
		struct session *session = &guard->session[i];

		if (session->until_us > now &&
		    CRYPTO_memcmp(session->hash, hash, HASH_BYTES) == 0) {
			found = session;
		}
	}
	return found;
}

static bool
has_session(struct cn_guard *guard, struct cn_http_text cookie)
{
	bool has_it;

	pthread_mutex_lock(&guard->lock);
	has_it = find_session(guard, cookie) != NULL;
	pthread_mutex_unlock(&guard->lock);
	return has_it;
}

/* Note a failure; true: this client fails too often. */
static bool
note_failure(struct cn_guard *guard, const struct cn_http_conn *conn)
{
	uint64_t now = cn_clock_us();
	struct client *client = &guard->client[0];
	bool is_often, is_quiet;

	pthread_mutex_lock(&guard->lock);
	guard->failures++;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *one = &guard->client[i];

		if (strcmp(one->remote, conn->remote) == 0) {
			client = one;
			break;
		}
		if (one->debt_us < client->debt_us) {
			client = one;
		}
	}
	if (strcmp(client->remote, conn->remote) != 0) {
		memcpy(client->remote, conn->remote, sizeof(client->remote));
		client->debt_us = 0;
	}
	client->debt_us = CN_MAX(client->debt_us, now) + FAILURE_US;
	is_often = client->debt_us - now > FAILURES_BURST * FAILURE_US;
	if (is_often) {
		client->debt_us = now + FAILURES_BURST * FAILURE_US;
	}
	is_quiet = cn_log_limited(&guard->limit, now);
	pthread_mutex_unlock(&guard->lock);
	if (!is_quiet) {
		CN_LOG(CN_LOG_WARN, "sign-in-refused",
		    "client=%s left_out=%llu", CN_LOG_STR(conn->remote),
		    (unsigned long long)guard->limit.left_out);
	}
	return is_often;
}

static void
refuse(struct cn_guard_verdict *verdict, unsigned status, const char *code,
    const char *detail)
{
	verdict->status = status;
	verdict->code = code;
	verdict->detail = detail;
}

static void
refuse_wrong(struct cn_guard *guard, const struct cn_http_conn *conn,
    struct cn_guard_verdict *verdict)
{
	if (note_failure(guard, conn)) {
		refuse(verdict, 429, "too-many-failures",
		    "this client has failed too often: wait a second");
	} else {
		refuse(verdict, 401, "wrong-token",
		    "this token is not, or is no longer, one of ours");
	}
}

/* What the request brings; false: what it brings is wrong. */
static bool
find_right(struct cn_guard *guard, const struct cn_http_head *head,
    struct cn_guard_verdict *verdict)
{
	struct cn_http_text bearer = cn_http_field(head, "authorization");
	struct cn_http_text cookie = session_cookie(head);

	if (bearer.at != NULL) {
		if (bearer.len > 7 &&
		    strncasecmp(bearer.at, "bearer ", 7) == 0) {
			bearer.at += 7;
			bearer.len -= 7;
			verdict->right = right_of_token(guard, bearer);
		}
		return verdict->right != CN_RIGHT_NONE;
	}
	/* A cookie that is over is no attack: the page signs in again. */
	if (cookie.at != NULL && has_session(guard, cookie)) {
		verdict->right = CN_RIGHT_CHANGE;
		verdict->is_by_cookie = true;
	}
	return true;
}

/* A change by cookie comes from a page of ours alone. */
static bool
is_from_page(const struct cn_http_head *head)
{
	struct cn_http_text site = cn_http_field(head, "sec-fetch-site");

	return cn_http_field(head, "origin").at != NULL &&
	    cn_http_field(head, "x-compressnet").len > 0 &&
	    (site.at == NULL || cn_http_is(site, "same-origin"));
}

void
cn_guard_check(struct cn_guard *guard, const struct cn_http_conn *conn,
    const struct cn_http_head *head, enum cn_right needed, bool is_change,
    struct cn_guard_verdict *ret)
{
	struct cn_http_text host = cn_http_field(head, "host");
	struct cn_http_text origin = cn_http_field(head, "origin");

	memset(ret, 0, sizeof(*ret));
	if (!is_our_host(guard, conn, host)) {
		refuse(ret, 403, "foreign-host",
		    "this Host is not ours: name it in serve.hosts");
	} else if (origin.at != NULL && !is_own_origin(origin, host)) {
		refuse(ret, 403, "foreign-origin",
		    "pages of other origins are not answered");
	} else if (!find_right(guard, head, ret)) {
		refuse_wrong(guard, conn, ret);
	} else if (needed != CN_RIGHT_NONE && ret->right == CN_RIGHT_NONE) {
		refuse(ret, 401, "no-token",
		    "send a token as 'Authorization: Bearer', or sign in by "
		    "`compressnet dashboard'");
	} else if (ret->right < needed) {
		refuse(ret, 403, "read-only", "this token may only read");
	} else if (is_change && ret->is_by_cookie && !is_from_page(head)) {
		refuse(ret, 403, "not-from-page",
		    "a change by cookie needs Origin and X-CompressNET");
	}
}

/* ---- sessions ---- */

static bool
is_code(const char *code)
{
	return strlen(code) == CN_GUARD_DIGITS &&
	    strspn(code, "0123456789abcdef") == CN_GUARD_DIGITS;
}

/* The file of a code. */
static int
code_path(const char *folder, const char *code, char *path, size_t size)
{
	char name[CN_GUARD_DIGITS + 1];
	uint8_t hash[HASH_BYTES];
	int len;

	hash_of(code, strlen(code), hash);
	write_hex(hash, sizeof(hash), name);
	len = snprintf(path, size, "%s/%s", folder, name);
	return len < 0 || (size_t)len >= size ? CN_ENAMETOOLONG : CN_OK;
}

static bool
is_young(const struct stat *stat)
{
	time_t now = time(NULL);

	return stat->st_mtime <= now + 1 &&
	    now - stat->st_mtime <= (time_t)CN_GUARD_CODE_S;
}

/* Whoever removes the file has the code. */
static int
use_code(const char *folder, const char *code)
{
	char path[1024];
	struct stat stat;
	int err;

	if (!is_code(code)) {
		return CN_EACCES;
	}
	err = code_path(folder, code, path, sizeof(path));
	if (err < 0 || lstat(path, &stat) != 0 || !S_ISREG(stat.st_mode) ||
	    (stat.st_uid != 0 && stat.st_uid != geteuid()) ||
	    unlink(path) != 0) {
		return CN_EACCES;
	}
	return is_young(&stat) ? CN_OK : CN_EACCES;
}

int
cn_guard_sign_in(struct cn_guard *guard, const struct cn_http_conn *conn,
    const char *code, char *session)
{
	struct session *oldest = &guard->session[0];
	char folder[sizeof(guard->code_folder)];

	pthread_mutex_lock(&guard->lock);
	memcpy(folder, guard->code_folder, sizeof(folder));
	pthread_mutex_unlock(&guard->lock);
	if (use_code(folder, code) != CN_OK) {
		(void)note_failure(guard, conn);
		return CN_EACCES;
	}
	make_secret(session);
	pthread_mutex_lock(&guard->lock);
	for (size_t i = 0; i < CN_GUARD_SESSIONS_MAX; i++) {
		if (guard->session[i].until_us < oldest->until_us) {
			oldest = &guard->session[i];
		}
	}
	hash_of(session, CN_GUARD_DIGITS, oldest->hash);
	oldest->until_us = cn_clock_us() + CN_GUARD_SESSION_US;
	pthread_mutex_unlock(&guard->lock);
	CN_LOG(CN_LOG_INFO, "signed-in", "client=%s", CN_LOG_STR(conn->remote));
	return CN_OK;
}

void
cn_guard_sign_out(struct cn_guard *guard, const struct cn_http_head *head)
{
	struct cn_http_text cookie = session_cookie(head);
	struct session *session;

	if (cookie.at == NULL) {
		return;
	}
	pthread_mutex_lock(&guard->lock);
	session = find_session(guard, cookie);
	if (session != NULL) {
		memset(session, 0, sizeof(*session));
	}
	pthread_mutex_unlock(&guard->lock);
}

uint64_t
cn_guard_failures(struct cn_guard *guard)
{
	uint64_t failures;

	pthread_mutex_lock(&guard->lock);
	failures = guard->failures;
	pthread_mutex_unlock(&guard->lock);
	return failures;
}

/* Remove codes that nobody used in time; how many are left. */
static size_t
sweep(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	struct stat stat;
	size_t left = 0;

	if (dir == NULL) {
		return 0;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (strlen(entry->d_name) != CN_GUARD_DIGITS ||
		    fstatat(dirfd(dir), entry->d_name, &stat,
			AT_SYMLINK_NOFOLLOW) != 0) {
			continue;
		}
		if (is_young(&stat) ||
		    unlinkat(dirfd(dir), entry->d_name, 0) != 0) {
			left++;
		}
	}
	(void)closedir(dir);
	return left;
}

int
cn_guard_make_code(const char *folder, char *code)
{
	char path[1024];
	int fd, err;

	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		return cn_err_from_errno(errno);
	}
	if (sweep(folder) >= CODES_MAX) {
		return CN_ELIMIT;
	}
	make_secret(code);
	err = code_path(folder, code, path, sizeof(path));
	if (err < 0) {
		return err;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	(void)close(fd);
	return CN_OK;
}
