/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no single key can tell: references between entries, levels within
 * profiles, listeners that are in each other's way.
 *
 * An entry with a faulty key comes here as well, so that all errors are
 * told at once: such a key's field is empty, which is no second error.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "config/config.h"
#include "config/config_box.h"
#include "config/nearest.h"
#include "config/scalar.h"
#include "config/schema.h"

#define HINT_MAX 256u

struct check {
	struct cn_config_box *box;
	struct cn_config *config;
	const struct cn_config_sources *sources;
	struct cn_diag_list *diags;
};

#define COMPLAIN(check, place, hint, ...)                                      \
	cn_config_complain((check)->sources, (check)->diags, CN_DIAG_ERROR,    \
	    place, hint, __VA_ARGS__)

/* ---- profiles ---- */

static const struct cn_config_profile builtin[] = {
	{ .entry.name = "balanced",
	    .coalesce_us = 2000,
	    .level_min = 1,
	    .level_max = 9,
	    .dedup = true,
	    .is_builtin = true },
	{ .entry.name = "max-reduction",
	    .coalesce_us = 20000,
	    .level_min = 3,
	    .level_max = 9,
	    .dedup = true,
	    .is_builtin = true },
	{ .entry.name = "min-latency",
	    .coalesce_us = 0,
	    .level_min = 1,
	    .level_max = 3,
	    .dedup = true,
	    .is_builtin = true },
	{ .entry.name = "off",
	    .coalesce_us = 0,
	    .level_min = 0,
	    .level_max = 0,
	    .dedup = false,
	    .is_builtin = true },
};

const struct cn_config_profile *
cn_config_builtin(size_t *count)
{
	*count = CN_ARRAY_LEN(builtin);
	return builtin;
}

static int
compare_profiles(const void *a, const void *b)
{
	const struct cn_config_profile *left = a, *right = b;

	return strcmp(left->entry.name, right->entry.name);
}

/* Own profiles and built-in ones, sorted, in one array. */
static int
merge_profiles(struct check *check)
{
	struct cn_config *config = check->config;
	size_t own = config->profiles_count;
	size_t count = own + CN_ARRAY_LEN(builtin);
	struct cn_config_profile *all;

	all = cn_arena_array(&check->box->arena, count, sizeof(*all));
	if (all == NULL) {
		return CN_ENOMEM;
	}
	if (own > 0) {
		memcpy(all, config->profiles, own * sizeof(*all));
	}
	memcpy(all + own, builtin, sizeof(builtin));
	for (size_t i = own; i < count; i++) {
		all[i].entry.keys = cn_arena_array(&check->box->arena,
		    CN_SCHEMA_KEYS_MAX, sizeof(*all[i].entry.keys));
		if (all[i].entry.keys == NULL) {
			return CN_ENOMEM;
		}
	}
	qsort(all, count, sizeof(*all), compare_profiles);
	config->profiles = all;
	config->profiles_count = count;
	return CN_OK;
}

static void
check_profile(struct check *check, const struct cn_config_profile *profile)
{
	const struct cn_config_place *place = &profile->entry.place;

	for (size_t i = 0; i < CN_ARRAY_LEN(builtin); i++) {
		if (strcmp(profile->entry.name, builtin[i].entry.name) == 0) {
			COMPLAIN(check, place, "choose another name",
			    "profiles.%s: this profile is built in",
			    profile->entry.name);
		}
	}
	if (profile->level_min > profile->level_max) {
		COMPLAIN(check, place, NULL,
		    "profiles.%s: level_min %u is above level_max %u",
		    profile->entry.name, profile->level_min,
		    profile->level_max);
	} else if (profile->level_min == 0 && profile->level_max != 0) {
		COMPLAIN(check, place,
		    "level_min 0 goes with level_max 0, and means that "
		    "nothing is compressed",
		    "profiles.%s: level_min is 0, level_max is not",
		    profile->entry.name);
	}
}

/* ---- references ---- */

/* Complain that a name is none of a kind; entries begin with their names. */
static void
complain_missing(struct check *check, const struct cn_config_place *place,
    const char *path, const char *name, const struct cn_schema_section *kind,
    const void *items, size_t count)
{
	struct cn_nearest nearest;
	char hint[HINT_MAX];

	cn_nearest_init(&nearest, name);
	for (size_t i = 0; i < count; i++) {
		const struct cn_config_entry *entry =
		    cn_config_field(items, i * kind->size);

		cn_nearest_offer(&nearest, entry->name);
	}
	if (nearest.best != NULL) {
		snprintf(
		    hint, sizeof(hint), "did you mean '%s'?", nearest.best);
	} else {
		snprintf(hint, sizeof(hint), "add it under %s", kind->name);
	}
	COMPLAIN(check, place, hint, "%s: there is no %s '%s'", path,
	    kind->noun, name);
}

static const struct cn_schema_section *
kind_of(const char *name)
{
	return cn_schema_key(cn_schema_root(), name)->sub;
}

/* Where a key of an entry stands, or else the entry. */
static const struct cn_config_place *
place_of_key(
    const struct cn_config_entry *entry, const char *kind, const char *key)
{
	const struct cn_schema_section *section = kind_of(kind);
	const struct cn_config_place *place =
	    &entry->keys[cn_schema_key(section, key) - section->keys];

	return place->line != 0 ? place : &entry->place;
}

static void
path_text(const char *kind, const struct cn_config_entry *entry,
    const char *key, char out[HINT_MAX])
{
	snprintf(out, HINT_MAX, "%s.%s.%s", kind, entry->name, key);
}

/* Find the profile, hold the level against it, put both together. */
static void
check_coding(struct check *check, const char *kind,
    const struct cn_config_entry *entry, const char *profile_name,
    const struct cn_config_level *level, struct cn_config_coding *ret)
{
	const struct cn_config_profile *profile;
	char path[HINT_MAX];

	profile = cn_config_profile(check->config, profile_name);
	if (profile == NULL) {
		path_text(kind, entry, "profile", path);
		complain_missing(check, place_of_key(entry, kind, "profile"),
		    path, profile_name, kind_of("profiles"),
		    check->config->profiles, check->config->profiles_count);
		return;
	}
	ret->coalesce_us = (uint32_t)profile->coalesce_us;
	ret->level_min = (int)profile->level_min;
	ret->level_max = (int)profile->level_max;
	ret->dedup = profile->dedup;
	if (!level->is_set) {
		return;
	}
	if (level->min < ret->level_min || level->max > ret->level_max) {
		char hint[HINT_MAX];

		path_text(kind, entry, "level", path);
		snprintf(hint, sizeof(hint), "its levels are %d to %d",
		    ret->level_min, ret->level_max);
		COMPLAIN(check, place_of_key(entry, kind, "level"),
		    ret->level_max == 0 ? "it compresses nothing" : hint,
		    "%s is outside of profile '%s'", path, profile_name);
		return;
	}
	ret->level_min = level->min;
	ret->level_max = level->max;
}

static void
complain_unix(struct check *check, const struct cn_config_address *address,
    const char *kind, const struct cn_config_entry *entry, const char *key)
{
	char path[HINT_MAX];

	path_text(kind, entry, key, path);
	COMPLAIN(check, &address->place,
	    "if that may be, add 'allow_unix_eof: true'",
	    "%s: on a Unix socket a crash of the gateway looks like a clean "
	    "end of the stream",
	    path);
}

/* A group that nothing comes of is no error, but hardly what was meant. */
static void
check_group(struct check *check, const struct cn_config_service *service)
{
	bool is_closed = service->scope == CN_CONFIG_SCOPE_CONNECTION;

	if (service->group == NULL ||
	    (!is_closed && service->scope != CN_CONFIG_SCOPE_PEER)) {
		return;
	}
	cn_config_complain(check->sources, check->diags, CN_DIAG_WARNING,
	    place_of_key(&service->entry, "services", "group"),
	    is_closed ? "its connections share with nothing"
		      : "all services of that scope share already",
	    "services.%s.group has no effect with scope %s",
	    service->entry.name, is_closed ? "connection" : "peer");
}

static void
check_service(struct check *check, struct cn_config_service *service)
{
	const struct cn_config_entry *entry = &service->entry;
	char path[HINT_MAX];

	if (service->offer == NULL) {
		service->offer = entry->name;
	}
	if (service->peer != NULL &&
	    cn_config_peer(check->config, service->peer) == NULL) {
		path_text("services", entry, "peer", path);
		complain_missing(check, place_of_key(entry, "services", "peer"),
		    path, service->peer, kind_of("peers"), check->config->peers,
		    check->config->peers_count);
	}
	for (size_t i = 0; i < service->listen.count; i++) {
		const struct cn_config_address *listen =
		    &service->listen.item[i];

		if (listen->kind == CN_CONFIG_ADDRESS_UNIX &&
		    !service->allow_unix_eof) {
			complain_unix(
			    check, listen, "services", entry, "listen");
		}
	}
	check_group(check, service);
	check_coding(check, "services", entry, service->profile,
	    &service->level, &service->coding);
}

static void
check_offer(struct check *check, struct cn_config_offer *offer)
{
	const struct cn_config_entry *entry = &offer->entry;
	char path[HINT_MAX];

	path_text("offers", entry, "peers", path);
	for (size_t i = 0; i < offer->peers.count; i++) {
		const char *name = offer->peers.item[i];
		bool is_twice = false;

		for (size_t j = 0; j < i && !is_twice; j++) {
			is_twice = strcmp(offer->peers.item[j], name) == 0;
		}
		if (is_twice) {
			COMPLAIN(check, &offer->peers.places[i], NULL,
			    "%s: '%s' is given twice", path, name);
		} else if (cn_config_peer(check->config, name) == NULL) {
			complain_missing(check, &offer->peers.places[i], path,
			    name, kind_of("peers"), check->config->peers,
			    check->config->peers_count);
		}
	}
	if (offer->to.kind == CN_CONFIG_ADDRESS_UNIX &&
	    !offer->allow_unix_eof) {
		complain_unix(check, &offer->to, "offers", entry, "to");
	}
	check_coding(check, "offers", entry, offer->profile, &offer->level,
	    &offer->coding);
}

/* ---- store ---- */

/* A size that is 0 or at least so large. */
static void
check_size(
    struct check *check, const char *name, uint64_t bytes, uint64_t least)
{
	const struct cn_config_store *store = &check->config->store;
	char text[CN_SCALAR_TEXT_MAX], min[CN_SCALAR_TEXT_MAX];

	if (bytes == 0 || bytes >= least) {
		return;
	}
	cn_scalar_size_text(bytes, text);
	cn_scalar_size_text(least, min);
	COMPLAIN(check, place_of_key(&store->entry, "store", name), NULL,
	    "store.%s: %s is out of range; 0, or %s and more", name, text, min);
}

static void
check_store(struct check *check)
{
	const struct cn_config_store *store = &check->config->store;

	check_size(
	    check, "memory", store->memory_bytes, CN_CONFIG_STORE_MEMORY_MIN);
	check_size(
	    check, "index", store->index_bytes, CN_CONFIG_STORE_INDEX_MIN);
	check_size(
	    check, "quota", store->quota_bytes, CN_CONFIG_STORE_QUOTA_MIN);
	if (store->path != NULL && store->memory_bytes == 0) {
		cn_config_complain(check->sources, check->diags,
		    CN_DIAG_WARNING,
		    place_of_key(&store->entry, "store", "path"),
		    "store.memory is 0", "store.path: there is no store");
	}
}

/* ---- peers ---- */

/*
 * The order of two identities as texts; upper and lower case, dashes and
 * spaces are for the reader.
 */
static int
compare_identity(const char *a, const char *b)
{
	for (;;) {
		a += strspn(a, "- ");
		b += strspn(b, "- ");
		if (*a == '\0' ||
		    toupper((unsigned char)*a) != toupper((unsigned char)*b)) {
			return toupper((unsigned char)*a) -
			    toupper((unsigned char)*b);
		}
		a++;
		b++;
	}
}

struct holder {
	const struct cn_config_peer *peer;
};

static int
compare_holders(const void *a, const void *b)
{
	const struct cn_config_peer *left = ((const struct holder *)a)->peer;
	const struct cn_config_peer *right = ((const struct holder *)b)->peer;
	int order = compare_identity(left->identity, right->identity);

	return order != 0 ? order : strcmp(left->entry.name, right->entry.name);
}

/* Two peers of one identity: which of them would a carrier belong to? */
static int
check_identities(struct check *check)
{
	struct cn_config *config = check->config;
	struct holder *sorted;
	size_t count = 0;

	sorted = cn_calloc(config->peers_count + 1, sizeof(*sorted));
	if (sorted == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < config->peers_count; i++) {
		if (config->peers[i].identity != NULL) {
			sorted[count++].peer = &config->peers[i];
		}
	}
	qsort(sorted, count, sizeof(*sorted), compare_holders);
	for (size_t i = 1; i < count; i++) {
		const struct cn_config_peer *first = sorted[i - 1].peer;
		const struct cn_config_peer *peer = sorted[i].peer;

		if (compare_identity(first->identity, peer->identity) == 0) {
			COMPLAIN(check,
			    place_of_key(&peer->entry, "peers", "identity"),
			    NULL,
			    "peers.%s.identity: peer '%s' has the same one",
			    peer->entry.name, first->entry.name);
		}
	}
	cn_free(sorted);
	return CN_OK;
}

static void
check_peer(struct check *check, const struct cn_config_peer *peer)
{
	const struct cn_config_entry *entry = &peer->entry;
	const struct cn_config_entry *gateway = &check->config->gateway.entry;
	const struct cn_schema_section *section = kind_of("peers");
	size_t address =
	    (size_t)(cn_schema_key(section, "address") - section->keys);
	size_t listen = (size_t)(cn_schema_key(kind_of("gateway"), "listen") -
	    kind_of("gateway")->keys);

	if (entry->keys[address].line == 0 && gateway->keys[listen].line == 0) {
		COMPLAIN(check, &entry->place,
		    "give the peer an address, or set gateway.listen",
		    "peers.%s: neither side can dial the other", entry->name);
	}
}

/* ---- listeners ---- */

struct listener {
	const struct cn_config_address *address;
	const struct cn_config_entry *owner; /* NULL: gateway.listen */
};

static bool
is_wildcard(const struct cn_config_address *address)
{
	return strcmp(address->host, "*") == 0 ||
	    strcmp(address->host, "0.0.0.0") == 0 ||
	    strcmp(address->host, "::") == 0;
}

/*
 * Equal ones together: by port or path; of a port the wildcards first, then
 * by host; then as they stand in the files.
 */
static int
compare_listeners(const void *a, const void *b)
{
	const struct listener *left = a, *right = b;
	const struct cn_config_address *x = left->address;
	const struct cn_config_address *y = right->address;
	int order = 0;

	if (x->kind != y->kind) {
		return x->kind < y->kind ? -1 : 1;
	}
	if (x->kind == CN_CONFIG_ADDRESS_UNIX) {
		order = strcmp(x->path, y->path);
	} else if (x->port != y->port) {
		return x->port < y->port ? -1 : 1;
	} else if (is_wildcard(x) != is_wildcard(y)) {
		return is_wildcard(x) ? -1 : 1;
	} else if (!is_wildcard(x)) {
		order = strcmp(x->host, y->host);
	}
	if (order != 0) {
		return order;
	}
	if (x->place.file != y->place.file) {
		return x->place.file < y->place.file ? -1 : 1;
	}
	if (x->place.line != y->place.line) {
		return x->place.line < y->place.line ? -1 : 1;
	}
	return x->place.column < y->place.column ? -1 : 1;
}

static void
complain_listener(struct check *check, const struct listener *listener,
    const struct listener *first)
{
	char owner[HINT_MAX], path[HINT_MAX];

	snprintf(owner, sizeof(owner), "%s%s",
	    first->owner == NULL ? "gateway" : "services.",
	    first->owner == NULL ? "" : first->owner->name);
	snprintf(path, sizeof(path), "%s%s",
	    listener->owner == NULL ? "gateway" : "services.",
	    listener->owner == NULL ? "" : listener->owner->name);
	COMPLAIN(check, &listener->address->place, NULL,
	    "%s.listen: %s is taken by %s (%s, line %u)", path,
	    listener->address->text, owner,
	    check->sources->texts[first->address->place.file].name,
	    first->address->place.line);
}

/* Family 0 is "*", which takes both. */
static bool
share_family(
    const struct cn_config_address *a, const struct cn_config_address *b)
{
	return a->family == b->family || a->family == 0 || b->family == 0;
}

/*
 * Would the kernel refuse to listen on one after the other?  The earlier one
 * is the neighbour, or a wildcard of the same port.
 */
static bool
is_taken(const struct cn_config_address *a, const struct cn_config_address *b)
{
	if (a->kind != b->kind) {
		return false;
	}
	if (a->kind == CN_CONFIG_ADDRESS_UNIX) {
		return strcmp(a->path, b->path) == 0;
	}
	if (a->port != b->port || a->port == 0 || !share_family(a, b)) {
		return false;
	}
	return is_wildcard(a) || is_wildcard(b) ||
	    strcmp(a->host, b->host) == 0;
}

static void
compare_neighbours(
    struct check *check, const struct listener *sorted, size_t count)
{
	/* The last wildcards seen, by family: IPv4, IPv6, both. */
	const struct listener *wild[3] = { NULL };

	for (size_t i = 0; i < count; i++) {
		const struct cn_config_address *address = sorted[i].address;
		const struct listener *first = NULL;

		if (i > 0 && is_taken(address, sorted[i - 1].address)) {
			first = &sorted[i - 1];
		}
		for (size_t j = 0; j < CN_ARRAY_LEN(wild); j++) {
			if (first == NULL && wild[j] != NULL &&
			    is_taken(address, wild[j]->address)) {
				first = wild[j];
			}
		}
		if (first != NULL) {
			complain_listener(check, &sorted[i], first);
		}
		if (address->kind == CN_CONFIG_ADDRESS_TCP &&
		    is_wildcard(address)) {
			wild[address->family == 4      ? 0
				: address->family == 6 ? 1
						       : 2] = &sorted[i];
		}
	}
}

static int
check_listeners(struct check *check)
{
	const struct cn_config *config = check->config;
	size_t total = config->gateway.listen.count, count = 0;
	struct listener *all;

	for (size_t i = 0; i < config->services_count; i++) {
		total += config->services[i].listen.count;
	}
	all = cn_calloc(total + 1, sizeof(*all));
	if (all == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < config->gateway.listen.count; i++) {
		all[count++] =
		    (struct listener){ &config->gateway.listen.item[i], NULL };
	}
	for (size_t i = 0; i < config->services_count; i++) {
		const struct cn_config_service *service = &config->services[i];

		for (size_t j = 0; j < service->listen.count; j++) {
			all[count++] =
			    (struct listener){ &service->listen.item[j],
				    &service->entry };
		}
	}
	qsort(all, count, sizeof(*all), compare_listeners);
	compare_neighbours(check, all, count);
	cn_free(all);
	return CN_OK;
}

int
cn_config_check(struct cn_config_box *box,
    const struct cn_config_sources *sources, struct cn_diag_list *diags)
{
	struct cn_config *config = &box->config;
	struct check check = {
		.box = box,
		.config = config,
		.sources = sources,
		.diags = diags,
	};
	int err;

	for (size_t i = 0; i < config->profiles_count; i++) {
		check_profile(&check, &config->profiles[i]);
	}
	err = merge_profiles(&check);
	if (err == CN_OK) {
		err = check_identities(&check);
	}
	if (err == CN_OK) {
		err = check_listeners(&check);
	}
	if (err != CN_OK) {
		return err;
	}
	check_store(&check);
	for (size_t i = 0; i < config->peers_count; i++) {
		check_peer(&check, &config->peers[i]);
	}
	for (size_t i = 0; i < config->services_count; i++) {
		check_service(&check, &config->services[i]);
	}
	for (size_t i = 0; i < config->offers_count; i++) {
		check_offer(&check, &config->offers[i]);
	}
	return CN_OK;
}
