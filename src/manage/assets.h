/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_ASSETS_H
#define CN_MANAGE_ASSETS_H

/*
 * The dashboard's files, within the program: scripts/embed.py makes the
 * table of what lies in src/manage/web when the program is built.
 *
 * Life:   constant data.
 * Thread: any.
 */

#include <stddef.h>

struct cn_asset {
	const char *path; /* "/app.js"; index.html also is "/" */
	const char *type; /* Content-Type */
	const char *etag; /* with its quotes, of the plain bytes */
	const unsigned char *plain;
	size_t plain_len;
	const unsigned char *gzip;
	size_t gzip_len;
};

extern const struct cn_asset cn_assets[];
extern const size_t cn_assets_count;

#endif /* CN_MANAGE_ASSETS_H */
