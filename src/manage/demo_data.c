/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/demo_data.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"

/* Larger files are left out: one would be most of the data. */
#define FILE_MAX (4u * 1024u * 1024u)

static const char *const folders[] = { "/usr/include", "/usr/share/doc",
	"/usr/bin", "/usr/share", "/usr/lib" };
/* Of these, so many share the bytes; the rest stands in where they lack. */
#define FOLDERS_SHARED 3u

/* Append a file; what cannot be read is left out. */
static void
append_file(struct cn_demo_data *data, size_t limit, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t before = data->len;

	if (fd < 0) {
		return;
	}
	while (data->len < limit) {
		ssize_t n =
		    read(fd, data->bytes + data->len, limit - data->len);

		if (n > 0) {
			data->len += (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			break;
		}
	}
	(void)close(fd);
	data->files += data->len > before ? 1 : 0;
}

static int
by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Files below a folder, until the data holds limit bytes. */
static void
append_folder(struct cn_demo_data *data, size_t limit, const char *folder)
{
	char path[64];
	char *roots[] = { path, NULL };
	FTSENT *entry;

	(void)snprintf(path, sizeof(path), "%s", folder);
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	if (tree == NULL) {
		return;
	}
	/* To the end even when full: closing half-way leaks in glibc. */
	while ((entry = fts_read(tree)) != NULL) {
		if (data->len >= limit) {
			(void)fts_set(tree, entry, FTS_SKIP);
		} else if (entry->fts_info == FTS_F &&
		    entry->fts_statp != NULL && entry->fts_statp->st_size > 0 &&
		    entry->fts_statp->st_size <= (off_t)FILE_MAX) {
			append_file(data, limit, entry->fts_accpath);
		}
	}
	(void)fts_close(tree);
}

int
cn_demo_data_files(size_t limit, struct cn_demo_data *ret)
{
	struct cn_demo_data data = { .bytes = cn_alloc(limit) };

	assert(limit > 0 && limit <= CN_DEMO_DATA_MAX);
	if (data.bytes == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(folders); i++) {
		size_t shares = i < FOLDERS_SHARED ? FOLDERS_SHARED - i : 1;

		append_folder(
		    &data, data.len + (limit - data.len) / shares, folders[i]);
	}
	if (data.len == 0) {
		cn_demo_data_fini(&data);
		return CN_ENOENT;
	}
	*ret = data;
	return CN_OK;
}

/* One line as a web server writes it; returns its length. */
static size_t
log_line(char *line, size_t size, struct cn_prng *prng, uint64_t *ms)
{
	static const struct {
		const char *head, *tail;
	} requests[] = { { "GET /api/v1/orders/", "" },
		{ "GET /api/v1/customers/", "/invoices" },
		{ "GET /static/app-", ".js" },
		{ "GET /api/v1/search?q=item", "&page=1" },
		{ "POST /api/v1/orders/", "/lines" },
		{ "GET /health?probe=", "" } };
	static const char *const agents[] = {
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101",
		"orders-sync/2.4.1", "curl/7.88.1", "kube-probe/1.29"
	};
	static const unsigned codes[] = { 200, 200, 200, 200, 201, 304, 404,
		500 };
	size_t which = cn_prng_below(prng, CN_ARRAY_LEN(requests));

	*ms += cn_prng_below(prng, 9);
	int len = snprintf(line, size,
	    "2026-03-14T%02u:%02u:%02u.%03uZ web-%02u access[%u]: 10.%u.%u.%u "
	    "\"%s%u%s HTTP/1.1\" %u %u %u.%03u req=%08x \"%s\"\n",
	    (unsigned)(*ms / 3600000 % 24), (unsigned)(*ms / 60000 % 60),
	    (unsigned)(*ms / 1000 % 60), (unsigned)(*ms % 1000),
	    (unsigned)cn_prng_below(prng, 6),
	    2200 + (unsigned)cn_prng_below(prng, 6),
	    (unsigned)cn_prng_below(prng, 4), (unsigned)cn_prng_below(prng, 30),
	    (unsigned)cn_prng_below(prng, 254), requests[which].head,
	    (unsigned)cn_prng_below(prng, 90000), requests[which].tail,
	    codes[cn_prng_below(prng, CN_ARRAY_LEN(codes))],
	    (unsigned)cn_prng_below(prng, 40000), 0u,
	    (unsigned)cn_prng_below(prng, 900), (unsigned)cn_prng_u64(prng),
	    agents[cn_prng_below(prng, CN_ARRAY_LEN(agents))]);
	assert(len > 0 && (size_t)len < size);
	return (size_t)len;
}

int
cn_demo_data_log(size_t len, uint64_t seed, struct cn_demo_data *ret)
{
	struct cn_demo_data data = { .bytes = cn_alloc(len) };
	uint64_t ms = 9 * 3600000;
	struct cn_prng prng;
	char line[512];

	assert(len > 0 && len <= CN_DEMO_DATA_MAX);
	if (data.bytes == NULL) {
		return CN_ENOMEM;
	}
	cn_prng_init(&prng, seed);
	while (data.len < len) {
		size_t n = log_line(line, sizeof(line), &prng, &ms);

		n = CN_MIN(n, len - data.len);
		memcpy(data.bytes + data.len, line, n);
		data.len += n;
	}
	*ret = data;
	return CN_OK;
}

void
cn_demo_data_fini(struct cn_demo_data *data)
{
	cn_free(data->bytes);
	memset(data, 0, sizeof(*data));
}
