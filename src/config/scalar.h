/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_SCALAR_H
#define CN_CONFIG_SCALAR_H

/*
 * Single values of a configuration as text: sizes, durations, levels,
 * names, addresses; reading and writing.
 *
 * Thread:     any; nothing is kept.
 * Invariants: what a function writes, its counterpart reads as the same
 *             value; no reader accepts what would overflow.
 *
 * Readers return CN_OK, or CN_EINVAL with a hint, a constant text that says
 * what a right value looks like.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "config/config.h"

struct cn_arena;

/* Enough for any size or duration as text. */
#define CN_SCALAR_TEXT_MAX 32u

/* "true" or "false". */
int cn_scalar_bool(const char *text, bool *ret, const char **hint) CN_MUSTCHECK;

/* Decimal digits only, 0 to 2^64-1. */
int cn_scalar_count(
    const char *text, uint64_t *ret, const char **hint) CN_MUSTCHECK;

/* "1000", "64KiB", "10GiB", "5MB": bytes. */
int cn_scalar_size(
    const char *text, uint64_t *ret, const char **hint) CN_MUSTCHECK;

/* "5ms", "60s", "1m", "250us", "24h", "1d", "0": microseconds. */
int cn_scalar_duration(
    const char *text, uint64_t *ret, const char **hint) CN_MUSTCHECK;

/* In the greatest binary unit that loses nothing. */
void cn_scalar_size_text(uint64_t bytes, char out[CN_SCALAR_TEXT_MAX]);
/* In the greatest unit that loses nothing. */
void cn_scalar_duration_text(uint64_t us, char out[CN_SCALAR_TEXT_MAX]);

/* "3" or "1..9", levels 1 to CN_CONFIG_LEVEL_MAX, in order. */
int cn_scalar_level(const char *text, struct cn_config_level *ret,
    const char **hint) CN_MUSTCHECK;

/* A letter or digit, then letters, digits, '.', '-', '_'; 63 at most. */
int cn_scalar_name(const char *text, const char **hint) CN_MUSTCHECK;

/* Letters, digits, '-', '_'; at most 15: a word of the kernel's. */
int cn_scalar_word(const char *text, const char **hint) CN_MUSTCHECK;

/* The alphabet of identities: letters, digits, '-', ' '; 56 to 128. */
int cn_scalar_identity(const char *text, const char **hint) CN_MUSTCHECK;

/* An absolute path of a file. */
int cn_scalar_path(const char *text, const char **hint) CN_MUSTCHECK;

/*
 * An address.
 *
 * @flags   CN_SCHEMA_UNIX, CN_SCHEMA_CARRIER
 * @listen  numeric or "*"; port 0 is fine
 * @arena   owns the texts of *ret
 *
 * Returns CN_OK, CN_EINVAL with a hint, CN_ENOMEM.
 */
int cn_scalar_address(const char *text, unsigned flags, bool listen,
    struct cn_arena *arena, struct cn_config_address *ret,
    const char **hint) CN_MUSTCHECK;

#endif /* CN_CONFIG_SCALAR_H */
