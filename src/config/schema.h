/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_SCHEMA_H
#define CN_CONFIG_SCHEMA_H

/*
 * The table of every configuration key: name, type, unit, range, default,
 * whether a reload takes it over, and what it means.
 *
 * Validation, `config schema' (JSON Schema), doc/config.md, `config show'
 * and the comparison of two configurations all come from it.  A new key is
 * one row in schema.c, one field in config.h, and a line in
 * doc/examples/compressnet.yaml (a test asks for it).
 *
 * Life:       constant data.
 * Thread:     any.
 * Invariants: a section has at most CN_SCHEMA_KEYS_MAX keys; an offset
 *             names a field of the C type that stands beside the key's type
 *             below; a default lies within its range (a test loads all).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Keys of one section: they are counted in a 32-bit mask. */
#define CN_SCHEMA_KEYS_MAX 32u

enum cn_schema_type {       /* field in config.h */
	CN_SCHEMA_BOOL,     /* bool */
	CN_SCHEMA_COUNT,    /* uint32_t */
	CN_SCHEMA_SIZE,     /* uint64_t, bytes */
	CN_SCHEMA_DURATION, /* uint64_t, microseconds */
	CN_SCHEMA_CHOICE,   /* unsigned: the index in choices */
	CN_SCHEMA_NAME,     /* const char * */
	CN_SCHEMA_WORD,     /* const char *: letters, digits, - _ */
	CN_SCHEMA_IDENTITY, /* const char * */
	CN_SCHEMA_PATH,     /* const char *: absolute */
	CN_SCHEMA_LEVEL,    /* struct cn_config_level: 3 or 1..9 */
	CN_SCHEMA_TARGET,   /* struct cn_config_address */
	CN_SCHEMA_LISTEN,   /* struct cn_config_addresses: one or more */
	CN_SCHEMA_NAMES,    /* struct cn_config_names: one or more */
	CN_SCHEMA_SECTION,  /* a struct that begins with an entry */
	CN_SCHEMA_ENTRIES,  /* pointer to such structs, then a size_t */
};

/* When a changed value is obeyed. */
enum cn_schema_reload {
	CN_SCHEMA_RELOAD_NOW,     /* at once */
	CN_SCHEMA_RELOAD_NEW,     /* by new streams and new links */
	CN_SCHEMA_RELOAD_RESTART, /* by the next start */
};

/* Flags of a key. */
#define CN_SCHEMA_REQUIRED 0x01u
/* Addresses: "unix:/path" is allowed. */
#define CN_SCHEMA_UNIX 0x02u
/* Addresses: the port may be left out (CN_CONFIG_CARRIER_PORT). */
#define CN_SCHEMA_CARRIER 0x04u

struct cn_schema_section;

struct cn_schema_key {
	const char *name;
	enum cn_schema_type type;
	unsigned flags;
	uint64_t min, max;          /* of COUNT, SIZE, DURATION */
	const char *fallback;       /* default as in YAML; NULL: none */
	const char *fallback_words; /* a default in words, or NULL */
	enum cn_schema_reload reload;
	size_t offset;
	const char *const *choices;          /* NULL-terminated, or NULL */
	const struct cn_schema_section *sub; /* SECTION, ENTRIES, or NULL */
	const char *example;                 /* as in YAML, or NULL */
	const char *help;
};

struct cn_schema_section {
	const char *name; /* "peers"; "" for the root */
	const char *noun; /* of one entry: "peer"; NULL: a plain section */
	size_t size;      /* of its struct */
	const struct cn_schema_key *keys;
	size_t count;
	const char *help;
};

/* The root of the table. */
const struct cn_schema_section *cn_schema_root(void);

/* The key of a section by name; NULL: there is none. */
const struct cn_schema_key *cn_schema_key(
    const struct cn_schema_section *section, const char *name);

/* "size", "duration", ... as the manual calls a type. */
const char *cn_schema_type_text(enum cn_schema_type type);
/* "at once", "new streams and links", "restart". */
const char *cn_schema_reload_text(enum cn_schema_reload reload);

#endif /* CN_CONFIG_SCHEMA_H */
