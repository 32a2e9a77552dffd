/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_CONFIG_H
#define CN_CONFIG_CONFIG_H

/*
 * A whole configuration, checked, as plain structs.
 *
 * Life:       made by cn_config_load() or cn_config_parse() with one
 *             reference; cn_config_ref() for each further holder,
 *             cn_config_unref() by each; the last frees everything that it
 *             points to.
 * Thread:     immutable after load, so any thread may read it; the count of
 *             references is atomic.
 * Invariants: every cross reference holds (a service's peer and profile
 *             exist, an offer's peers exist); entries of each kind are
 *             sorted by name, names are unique; every value lies within the
 *             range of its row in the schema table (config/schema.h);
 *             values that were not given hold their defaults.
 *
 * What each key means, its unit, range and default: doc/config.md, which is
 * generated from the same table.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "config/diag.h"

/* Bytes of one file, of all files together, and files in conf.d. */
#define CN_CONFIG_FILE_MAX (1024u * 1024u)
#define CN_CONFIG_TOTAL_MAX (8u * 1024u * 1024u)
#define CN_CONFIG_FILES_MAX 256u
/* Entries of one kind: peers, services, offers, profiles. */
#define CN_CONFIG_ENTRIES_MAX 4096u
/* Addresses in a list of them; names in a list of them. */
#define CN_CONFIG_ADDRESSES_MAX 16u
#define CN_CONFIG_NAMES_MAX 256u
/* Longest name of a gateway, peer, service, offer or profile, bytes. */
#define CN_CONFIG_NAME_MAX 63u
/* Least sizes of the store's parts, bytes. */
#define CN_CONFIG_STORE_MEMORY_MIN (UINT64_C(16) << 20)
#define CN_CONFIG_STORE_INDEX_MIN (UINT64_C(1) << 20)
#define CN_CONFIG_STORE_QUOTA_MIN (UINT64_C(1) << 20)
/* Longest path of a Unix socket (sun_path less its final zero). */
#define CN_CONFIG_UNIX_PATH_MAX 107u
/* The port of carriers where an address names none. */
#define CN_CONFIG_CARRIER_PORT 3u

/* Where a value stands, for messages at run time. */
struct cn_config_place {
	uint32_t file; /* index into cn_config.files */
	uint32_t line; /* from 1; 0: nowhere, it is a default */
	uint32_t column;
};

/* First member of every section and entry. */
struct cn_config_entry {
	const char *name;             /* "" for the sections without one */
	struct cn_config_place place; /* of the name */
	/* One for each key of the section, in the order of its table. */
	struct cn_config_place *keys;
};

enum cn_config_address_kind {
	CN_CONFIG_ADDRESS_NONE, /* not given */
	CN_CONFIG_ADDRESS_TCP,
	CN_CONFIG_ADDRESS_UNIX,
};

/*
 * An address.  A listening one is numeric or "*": "*" takes IPv4 and IPv6,
 * an address of IPv6 takes IPv6 alone (IPV6_V6ONLY), port 0 is any free one.
 * A target may be a name.
 */
struct cn_config_address {
	enum cn_config_address_kind kind;
	uint16_t port;    /* TCP */
	uint8_t family;   /* TCP: 4, 6, or 0 when host is a name */
	const char *host; /* TCP: without brackets */
	const char *path; /* UNIX: absolute */
	const char *text; /* as to show it: "[::1]:80", "unix:/run/x" */
	struct cn_config_place place;
};

struct cn_config_addresses {
	struct cn_config_address *item;
	size_t count;
};

struct cn_config_names {
	const char **item;
	struct cn_config_place *places; /* one for each */
	size_t count;
};

/* zstd levels; not set: the profile's. */
struct cn_config_level {
	bool is_set;
	int min, max; /* 1..CN_CONFIG_LEVEL_MAX; equal: fixed */
};

/* Greatest zstd level: libzstd 1.5.4 corrupts data at higher ones. */
#define CN_CONFIG_LEVEL_MAX 15

/* How to trade bytes against delay, with everything resolved. */
struct cn_config_coding {
	uint32_t coalesce_us;
	int level_min; /* 0 and 0: never code */
	int level_max;
	bool dedup; /* refer to what the peer has, and store */
};

enum cn_config_scope {
	CN_CONFIG_SCOPE_CONNECTION,
	CN_CONFIG_SCOPE_CLIENT,
	CN_CONFIG_SCOPE_SERVICE,
	CN_CONFIG_SCOPE_PEER,
};

enum cn_config_peer_down {
	CN_CONFIG_PEER_DOWN_RESET, /* refuse: reset the client at once */
	CN_CONFIG_PEER_DOWN_QUEUE, /* open, wait within resume_window */
};

enum cn_config_log_level {
	CN_CONFIG_LOG_ERROR,
	CN_CONFIG_LOG_WARN,
	CN_CONFIG_LOG_INFO,
	CN_CONFIG_LOG_DEBUG,
};

struct cn_config_gateway {
	struct cn_config_entry entry;
	const char *name;
	struct cn_config_addresses listen; /* TCP only; may be empty */
	const char *key; /* path; NULL: cn_paths.key (config/paths.h) */
};

struct cn_config_peer {
	struct cn_config_entry entry;
	struct cn_config_address address; /* NONE: the peer dials us */
	const char *identity; /* text; only its alphabet was checked */
	uint32_t carriers;    /* 1..8 */
};

struct cn_config_profile {
	struct cn_config_entry entry;
	uint64_t coalesce_us;
	uint32_t level_min, level_max; /* 0 and 0: never code */
	bool dedup;
	bool is_builtin;
};

struct cn_config_service {
	struct cn_config_entry entry;
	struct cn_config_addresses listen; /* one or more */
	const char *peer;
	const char *offer; /* name of the far offer; never NULL */
	const char *profile;
	enum cn_config_scope scope;
	const char *group; /* NULL: the service shares with no other */
	struct cn_config_level level;
	enum cn_config_peer_down on_peer_down;
	bool allow_unix_eof;
	struct cn_config_coding coding; /* of profile and level */
};

struct cn_config_offer {
	struct cn_config_entry entry;
	struct cn_config_address to;
	struct cn_config_names peers; /* one or more */
	const char *profile;
	struct cn_config_level level;
	uint64_t connect_timeout_us;
	bool allow_unix_eof;
	struct cn_config_coding coding; /* of profile and level */
};

struct cn_config_carrier {
	struct cn_config_entry entry;
	const char *congestion; /* TCP_CONGESTION; NULL: the system's */
	uint64_t connect_timeout_us;
	uint64_t redial_max_us;
};

struct cn_config_memory {
	struct cn_config_entry entry;
	uint64_t limit_bytes; /* of the whole process's pools together */
};

struct cn_config_store {
	struct cn_config_entry entry;
	const char *path;      /* folder; NULL: in memory only */
	uint64_t size_bytes;   /* on the disk; of no meaning without path */
	uint64_t memory_bytes; /* 0: no store at all */
	uint64_t index_bytes;  /* 0: derived, see cn_config_store_index() */
	uint64_t quota_bytes;  /* of one scope; 0: none */
};

struct cn_config_limits {
	struct cn_config_entry entry;
	uint32_t streams_per_peer;
	uint64_t window_bytes; /* of one direction of a stream */
};

struct cn_config_control {
	struct cn_config_entry entry;
	const char *socket; /* path; NULL: cn_paths.socket */
};

struct cn_config_log {
	struct cn_config_entry entry;
	enum cn_config_log_level level;
};

struct cn_config {
	struct cn_config_entry entry;
	struct cn_config_gateway gateway;
	struct cn_config_peer *peers;
	size_t peers_count;
	struct cn_config_service *services;
	size_t services_count;
	struct cn_config_offer *offers;
	size_t offers_count;
	struct cn_config_profile *profiles; /* built-in ones included */
	size_t profiles_count;
	uint64_t resume_window_us;
	uint32_t workers; /* 0: one for each processor */
	struct cn_config_memory memory;
	struct cn_config_store store;
	struct cn_config_carrier carrier;
	struct cn_config_limits limits;
	struct cn_config_control control;
	struct cn_config_log log;

	const char **files; /* names of what was read, in that order */
	size_t files_count;
};

/* A text to be read as one file.  Borrowed. */
struct cn_config_text {
	const char *name; /* shown in diagnostics */
	const char *text;
	size_t len;
};

/*
 * Read a file, and after it conf.d/<name>.yaml (in the order of the names)
 * in the folder of that file, merge, check.
 *
 * @path   the main file
 * @diags  initialised; receives every error and warning, in order
 *
 * Returns CN_OK (there may be warnings), CN_ECONFIG (one error or more in
 * diags; ret untouched), CN_ENOMEM.  Blocks on the file system.
 */
int cn_config_load(const char *path, struct cn_diag_list *diags,
    struct cn_config **ret) CN_MUSTCHECK;

/*
 * The same as if conf.d/managed.yaml were the text given.
 *
 * @managed  its name is the path of that file; borrowed during the call;
 *           NULL: as it is on the disk
 */
int cn_config_load_managed(const char *path,
    const struct cn_config_text *managed, struct cn_diag_list *diags,
    struct cn_config **ret) CN_MUSTCHECK;

/* The same from texts in memory; nothing is opened. */
int cn_config_parse(const struct cn_config_text *texts, size_t count,
    struct cn_diag_list *diags, struct cn_config **ret) CN_MUSTCHECK;

/* One more holder; returns its argument. */
struct cn_config *cn_config_ref(struct cn_config *config);
/* One holder less; clears *@cp; NULL is fine. */
void cn_config_unref(struct cn_config **cp);

/* By name; NULL: no such entry. */
const struct cn_config_peer *cn_config_peer(
    const struct cn_config *config, const char *name);
const struct cn_config_service *cn_config_service(
    const struct cn_config *config, const char *name);
const struct cn_config_offer *cn_config_offer(
    const struct cn_config *config, const char *name);
const struct cn_config_profile *cn_config_profile(
    const struct cn_config *config, const char *name);

/* May that peer reach the offer? */
bool cn_config_offer_allows(
    const struct cn_config_offer *offer, const char *peer);

/*
 * Bytes of the store's index: as given, or as much as it takes for every
 * chunk (1/205 of the store, to the next power of two), but beyond 64 MiB no
 * more than one chunk of eight needs.  0 when there is no store.
 */
uint64_t cn_config_store_index(const struct cn_config *config);

/*
 * The effective configuration as YAML, defaults included, entries in the
 * order of their names; reading it again gives an equal configuration.
 *
 * Returns CN_OK, CN_ENOMEM or CN_ELIMIT (the buffer's own cap).
 */
int cn_config_dump(
    const struct cn_config *config, struct cn_buf *out) CN_MUSTCHECK;

#endif /* CN_CONFIG_CONFIG_H */
