/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/scope.h"

#include <string.h>

#include "base/hash.h"
#include "base/rand.h"

/* Steps of the seed, so that no two kinds of a name make one key. */
enum kind {
	KIND_CLIENT = 1,
	KIND_SERVICE = 2,
	KIND_GROUP = 3,
	KIND_BUILTIN = 4,
};

static uint64_t
mix(uint64_t key, enum kind kind, const char *name, size_t len)
{
	return cn_hash64(name, len, key + kind);
}

uint64_t
cn_scope_key(const uint8_t own[CN_IDENTITY_BYTES],
    const struct cn_config_service *service, const char *client)
{
	uint64_t key = cn_hash64(own, CN_IDENTITY_BYTES, 0);
	const char *port;

	switch (service->scope) {
	case CN_CONFIG_SCOPE_CONNECTION:
		return cn_rand_u64();
	case CN_CONFIG_SCOPE_PEER:
		return key;
	case CN_CONFIG_SCOPE_CLIENT:
		/* The address without its port. */
		port = strrchr(client, ':');
		key = mix(key, KIND_CLIENT, client,
		    port != NULL ? (size_t)(port - client) : strlen(client));
		break;
	case CN_CONFIG_SCOPE_SERVICE:
		break;
	}
	if (service->group != NULL) {
		return mix(
		    key, KIND_GROUP, service->group, strlen(service->group));
	}
	return mix(key, KIND_SERVICE, service->entry.name,
	    strlen(service->entry.name));
}

uint64_t
cn_scope_builtin(const uint8_t own[CN_IDENTITY_BYTES])
{
	return mix(cn_hash64(own, CN_IDENTITY_BYTES, 0), KIND_BUILTIN, "", 0);
}

bool
cn_scope_is_unstored(const struct cn_config_service *service)
{
	return service->scope == CN_CONFIG_SCOPE_CONNECTION ||
	    !service->coding.dedup;
}
