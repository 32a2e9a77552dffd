/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_KEYFILE_H
#define CN_MANAGE_KEYFILE_H

/*
 * Files of 32 random bytes, the keys of exports.
 *
 * Thread: any.
 */

#include <stdint.h>

#include "base/attr.h"

#define CN_KEYFILE_BYTES 32u

/*
 * Make one, mode 0600; a file that is there stays.
 *
 * Returns CN_OK, CN_EEXIST or what the system said.
 */
int cn_keyfile_make(const char *path) CN_MUSTCHECK;

/*
 * Returns CN_OK; CN_EKEY: not a file of just that many bytes; CN_EACCES:
 * others than its owner may read or write it, or we may not; or what the
 * system said.
 */
int cn_keyfile_read(
    const char *path, uint8_t key[CN_KEYFILE_BYTES]) CN_MUSTCHECK;

#endif /* CN_MANAGE_KEYFILE_H */
