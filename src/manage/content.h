/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_CONTENT_H
#define CN_MANAGE_CONTENT_H

/*
 * What the bytes of one direction are, as far as compression is concerned:
 * plain, encrypted, or compressed already.  Looked at as they come, with the
 * probe that the gateway's coder uses.
 *
 *   TLS, SSH       by their first bytes; TLS also where it begins later, as
 *                  with STARTTLS; then all that follows
 *   HTTP           bodies whose Content-Encoding names a compression
 *   formats        by the first bytes of the direction; then all of it
 *   random         what has no pattern
 *
 * Pure; the state is a few bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/probe.h"

/* One more than the probe knows: bodies that HTTP says are compressed. */
#define CN_CONTENT_HTTP CN_PROBE_MAX
#define CN_CONTENT_KINDS (CN_PROBE_MAX + 1)

/* Bytes by kind; an index is enum cn_probe, or CN_CONTENT_HTTP. */
struct cn_content_bytes {
	uint64_t kind[CN_CONTENT_KINDS];
};

/* All zero to begin with. */
struct cn_content {
	unsigned settled;   /* kind of all that follows; 0: none yet */
	uint64_t seen;      /* bytes so far */
	uint64_t http_left; /* of a coded body; UINT64_MAX: to the next head */
	unsigned last;      /* verdict of the last piece that had one */
};

/* The next bytes, as they were sent together; adds them to sum. */
void cn_content_take(struct cn_content *content, const uint8_t *bytes,
    size_t len, struct cn_content_bytes *sum);

void cn_content_add(
    struct cn_content_bytes *sum, const struct cn_content_bytes *more);
/* TLS and SSH. */
uint64_t cn_content_encrypted(const struct cn_content_bytes *bytes);
/* Known formats and coded bodies. */
uint64_t cn_content_compressed(const struct cn_content_bytes *bytes);
/* The kind with the most bytes of those that are not plain; 0: none. */
unsigned cn_content_main(const struct cn_content_bytes *bytes);
/* "TLS", "gzip", "HTTP content-encoding", "random" … */
const char *cn_content_name(unsigned kind);

#endif /* CN_MANAGE_CONTENT_H */
