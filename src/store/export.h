/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_STORE_EXPORT_H
#define CN_STORE_EXPORT_H

/*
 * A store on its way to another place: its images in one stream of bytes,
 * sealed anew with a key that both ends were given.
 *
 *   head     128 bytes: magic, version, salts, who exports; in clear
 *   record   32 bytes in clear, then the image: sealed (AES-256-GCM)
 *   ...
 *   end      32 bytes: how many images there were
 *
 * The key of a stream is derived (HKDF-SHA256) from the caller's key and the
 * random salt of 256 bits in the head.  Kind and position of a record are its
 * nonce and authenticated with it: what is left out, moved, doubled or taken
 * from another stream does not open, and without the end it is not whole.
 *
 * The gateway that imports sees the pair from its own side: it is the peer of
 * whoever exported, and our log is the peer's.  Images of other pairs are
 * none of its business.  A gateway may import what it exported itself.
 *
 * Life:       cn_export_begin() or cn_import_begin() .. _fini(), which wipes
 *             the key.  The structs are not copied: a copy would use nonces
 *             twice.
 * Thread:     its caller's.
 * Invariants: an import that failed once takes nothing more.
 * Pure:       no I/O, no clock, no heap of ours.
 * Doc: doc/store.md, "Exports"
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "store/image.h"

#define CN_EXPORT_KEY_BYTES 32u
#define CN_EXPORT_SALT_BYTES 32u
#define CN_EXPORT_HEAD_BYTES 128u
/* In front of each image, and the whole of the end. */
#define CN_EXPORT_LEAD_BYTES 32u
#define CN_EXPORT_RECORD_MAX                                                   \
	(CN_EXPORT_LEAD_BYTES + CN_IMAGE_FOOTER_BYTES + CN_SEGMENT_BYTES)
/* Images in one stream: 4 PiB. */
#define CN_EXPORT_IMAGES_MAX (UINT64_C(1) << 32)

/*
 * A key from a passphrase: scrypt (N 2^15, r 8, p 1), a tenth of a second
 * and 32 MiB.  The salt is random and travels in the head.
 *
 * Returns CN_OK, CN_EIO (no memory, or the library failed).
 */
int cn_export_stretch(const char *passphrase,
    const uint8_t salt[CN_EXPORT_SALT_BYTES],
    uint8_t key[CN_EXPORT_KEY_BYTES]) CN_MUSTCHECK;

/* ---- writing ---- */

struct cn_export {
	uint8_t key[CN_EXPORT_KEY_BYTES]; /* of this stream */
	uint64_t count;                   /* images so far */
	bool is_open;
};

/*
 * Begin a stream.
 *
 * @key   32 bytes that nobody can guess: a key file's, or from
 *        cn_export_stretch()
 * @pass_salt  what that was given, NULL with a key file
 * @self  identity of this gateway
 * @head  set: the first bytes of the stream
 *
 * Returns CN_OK, CN_EIO.
 */
int cn_export_begin(struct cn_export *stream,
    const uint8_t key[CN_EXPORT_KEY_BYTES],
    const uint8_t pass_salt[CN_EXPORT_SALT_BYTES],
    const uint8_t self[CN_IMAGE_PEER_BYTES],
    uint8_t head[CN_EXPORT_HEAD_BYTES]) CN_MUSTCHECK;

/*
 * Add an image of the store.
 *
 * @store_key  that of the store
 * @image      CN_IMAGE_BYTES
 * @out        room for CN_EXPORT_RECORD_MAX; may not overlap
 * @len        set: what the stream goes on with
 *
 * Returns CN_OK; as cn_image_open_data() when the image is bad, and the next
 * may follow; CN_EIO, which may end the stream; CN_ELIMIT at
 * CN_EXPORT_IMAGES_MAX; CN_ECLOSED after the end.
 */
int cn_export_image(struct cn_export *stream,
    const uint8_t store_key[CN_IMAGE_KEY_BYTES], const uint8_t *image,
    uint8_t *out, size_t *len) CN_MUSTCHECK;

/* The last bytes.  Returns CN_OK, CN_EIO, CN_ECLOSED. */
int cn_export_end(
    struct cn_export *stream, uint8_t out[CN_EXPORT_LEAD_BYTES]) CN_MUSTCHECK;

/* Wipe it; at any time, also zeroed or twice. */
void cn_export_fini(struct cn_export *stream);

/* ---- reading ---- */

struct cn_import {
	uint8_t key[CN_EXPORT_KEY_BYTES]; /* of this stream */
	uint8_t self[CN_IMAGE_PEER_BYTES];
	uint8_t from[CN_IMAGE_PEER_BYTES]; /* who exported */
	uint64_t count;                    /* records taken so far */
	bool is_open;                      /* takes more */
	bool is_whole;                     /* the end was seen, and is right */
};

/*
 * What is needed to make the key: the passphrase's salt, if there is one.
 * Not authenticated yet.
 *
 * @pass_salt  set
 *
 * Returns CN_OK; CN_ENOENT: the key is a key file's; CN_ESTALE: another
 * version; CN_ECODING: not the head of a stream.
 */
int cn_import_pass_salt(const uint8_t head[CN_EXPORT_HEAD_BYTES],
    uint8_t pass_salt[CN_EXPORT_SALT_BYTES]) CN_MUSTCHECK;

/*
 * Begin with the first bytes of a stream.
 *
 * @self  identity of this gateway
 *
 * Returns CN_OK; CN_EKEY: another key, or the head is damaged; CN_ESTALE,
 * CN_ECODING as above; CN_EIO.
 */
int cn_import_begin(struct cn_import *stream,
    const uint8_t key[CN_EXPORT_KEY_BYTES],
    const uint8_t self[CN_IMAGE_PEER_BYTES],
    const uint8_t head[CN_EXPORT_HEAD_BYTES]) CN_MUSTCHECK;

/*
 * How long is the record that begins with this lead, lead included?
 *
 * @len  set: at most CN_EXPORT_RECORD_MAX; CN_EXPORT_LEAD_BYTES is the end
 *
 * Returns CN_OK; CN_ECODING: no record, or not the next one; the import has
 * failed then; CN_ECLOSED.
 */
int cn_import_length(struct cn_import *stream,
    const uint8_t lead[CN_EXPORT_LEAD_BYTES], size_t *len) CN_MUSTCHECK;

/*
 * Take an image.
 *
 * @record     len bytes, as cn_import_length() said
 * @store_key  that of the store here, for cn_store_adopt()
 * @image      CN_IMAGE_BYTES, set: sealed anew.  From another gateway it has
 *             no chunks: their keys mean nothing here, who adopts it makes
 *             them anew.  May not overlap.
 *
 * Returns CN_OK; CN_EPEER: of a pair that this gateway is no half of, leave
 * it out and go on; CN_ECODING: damaged, left out or moved, the import has
 * failed, what came before is good; CN_EIO; CN_ECLOSED.
 */
int cn_import_image(struct cn_import *stream,
    const uint8_t store_key[CN_IMAGE_KEY_BYTES], const uint8_t *record,
    size_t len, uint8_t *image) CN_MUSTCHECK;

/*
 * Take the end; sets is_whole.  Bytes behind it are no part of the stream.
 *
 * Returns CN_OK; CN_ECODING: it is not the end of this stream; CN_EIO;
 * CN_ECLOSED.
 */
int cn_import_end(
    struct cn_import *stream, const uint8_t *record, size_t len) CN_MUSTCHECK;

/* Wipe it; at any time, also zeroed or twice. */
void cn_import_fini(struct cn_import *stream);

#endif /* CN_STORE_EXPORT_H */
