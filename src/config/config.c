/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/err.h"
#include "config/config_box.h"
#include "config/yaml.h"

/* Up to here an index for every chunk costs too little to save on. */
#define INDEX_PLAIN_MAX (UINT64_C(64) << 20)

struct cn_config_box *
cn_config_box_create(void)
{
	struct cn_config_box *box = cn_calloc(1, sizeof(*box));

	if (box != NULL) {
		cn_arena_init(&box->arena);
		atomic_init(&box->holders, 1);
	}
	return box;
}

struct cn_config *
cn_config_ref(struct cn_config *config)
{
	struct cn_config_box *box =
	    CN_CONTAINER_OF(config, struct cn_config_box, config);

	atomic_fetch_add_explicit(&box->holders, 1, memory_order_relaxed);
	return config;
}

void
cn_config_unref(struct cn_config **cp)
{
	struct cn_config_box *box;

	if (*cp == NULL) {
		return;
	}
	box = CN_CONTAINER_OF(*cp, struct cn_config_box, config);
	*cp = NULL;
	if (atomic_fetch_sub_explicit(&box->holders, 1, memory_order_acq_rel) ==
	    1) {
		cn_arena_fini(&box->arena);
		cn_free(box);
	}
}

void *
cn_config_field(const void *section, size_t offset)
{
	return (void *)((uintptr_t)section + offset);
}

/* Every entry begins with its name: one search serves all kinds. */
static const void *
find(const void *items, size_t count, size_t size, const char *name)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct cn_config_entry *entry =
		    cn_config_field(items, middle * size);
		int order = strcmp(name, entry->name);

		if (order == 0) {
			return entry;
		}
		if (order < 0) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return NULL;
}

const struct cn_config_peer *
cn_config_peer(const struct cn_config *config, const char *name)
{
	return find(
	    config->peers, config->peers_count, sizeof(*config->peers), name);
}

const struct cn_config_service *
cn_config_service(const struct cn_config *config, const char *name)
{
	return find(config->services, config->services_count,
	    sizeof(*config->services), name);
}

const struct cn_config_offer *
cn_config_offer(const struct cn_config *config, const char *name)
{
	return find(config->offers, config->offers_count,
	    sizeof(*config->offers), name);
}

const struct cn_config_profile *
cn_config_profile(const struct cn_config *config, const char *name)
{
	return find(config->profiles, config->profiles_count,
	    sizeof(*config->profiles), name);
}

bool
cn_config_offer_allows(const struct cn_config_offer *offer, const char *peer)
{
	for (size_t i = 0; i < offer->peers.count; i++) {
		if (strcmp(offer->peers.item[i], peer) == 0) {
			return true;
		}
	}
	return false;
}

static uint64_t
power_of_two(uint64_t bytes)
{
	uint64_t power = CN_CONFIG_STORE_INDEX_MIN;

	while (power < bytes) {
		power *= 2;
	}
	return power;
}

uint64_t
cn_config_store_index(const struct cn_config *config)
{
	const struct cn_config_store *store = &config->store;
	uint64_t bytes = store->memory_bytes;
	uint64_t all, hooks;

	if (bytes == 0 || store->index_bytes != 0) {
		return bytes == 0 ? 0 : store->index_bytes;
	}
	if (store->path != NULL) {
		bytes = CN_MAX(bytes, store->size_bytes);
	}
	/* 8 bytes for each chunk of 2 KiB, and a fifth empty. */
	all = power_of_two(bytes / 205);
	hooks = power_of_two(bytes / 205 / 8);
	return CN_MIN(all, CN_MAX(hooks, INDEX_PLAIN_MAX));
}

void
cn_config_complain(const struct cn_config_sources *sources,
    struct cn_diag_list *diags, enum cn_diag_severity severity,
    const struct cn_config_place *place, const char *hint, const char *fmt, ...)
{
	char message[CN_DIAG_TEXT_MAX];
	struct cn_diag_place at;
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	cn_yaml_place(&sources->texts[place->file], place->file, place->line,
	    place->column, &at);
	cn_diag_add(diags, severity, &at, hint, "%s", message);
}
