/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CODEC_PROBE_H
#define CN_CODEC_PROBE_H

/*
 * Does it pay to code these bytes?  A cheap look at samples and at known
 * first bytes.  Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cn_probe {
	CN_PROBE_COMPRESSIBLE = 0,
	CN_PROBE_RANDOM = 1, /* looks random: encrypted or compressed */
	/* Known formats, by their first bytes. */
	CN_PROBE_TLS = 2,
	CN_PROBE_GZIP = 3,
	CN_PROBE_ZSTD = 4,
	CN_PROBE_XZ = 5,
	CN_PROBE_ZIP = 6,
	CN_PROBE_JPEG = 7,
	CN_PROBE_PNG = 8,
	CN_PROBE_MP4 = 9,
	CN_PROBE_BZIP2 = 10,
	CN_PROBE_SSH = 11,
	CN_PROBE_MAX
};

/*
 * Look at a batch or at small data.
 *
 * @is_start  the bytes begin a direction of a stream: formats are looked
 *            for; a format that also looks compressible is compressible
 */
enum cn_probe cn_probe_bytes(const uint8_t *bytes, size_t len, bool is_start);
/* "compressible", "random", "tls" and so on */
const char *cn_probe_name(enum cn_probe probe);

#endif /* CN_CODEC_PROBE_H */
