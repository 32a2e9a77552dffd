/* SPDX-License-Identifier: Apache-2.0 */
#include "net/gate.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rand.h"

/* One attempt, in the unit of debts: it wears off at rate a second. */
#define ATTEMPT 1000000u

struct source {
	struct cn_list item; /* in known or strangers, last used at the end */
	uint64_t key;
	uint64_t debt; /* millionths of an attempt */
	uint64_t seen_us;
	bool is_known;
};

struct cn_gate {
	uv_mutex_t lock;
	uint64_t seed;
	struct cn_map sources; /* owns them */
	struct cn_list known;
	struct cn_list strangers;
	uint32_t known_count, strangers_count;
	struct cn_gate_stats stats;
};

int
cn_gate_create(struct cn_gate **ret)
{
	struct cn_gate *gate = cn_calloc(1, sizeof(*gate));

	if (gate == NULL) {
		return CN_ENOMEM;
	}
	if (uv_mutex_init(&gate->lock) != 0) {
		cn_free(gate);
		return CN_ENOMEM;
	}
	cn_rand_bytes(&gate->seed, sizeof(gate->seed));
	cn_map_init(&gate->sources);
	cn_list_init(&gate->known);
	cn_list_init(&gate->strangers);
	*ret = gate;
	return CN_OK;
}

void
cn_gate_free(struct cn_gate **gp)
{
	struct cn_gate *gate = *gp;
	size_t pos = 0;
	uint64_t key;
	void *value;

	*gp = NULL;
	if (gate == NULL) {
		return;
	}
	while (cn_map_next(&gate->sources, &pos, &key, &value)) {
		cn_free(value);
	}
	cn_map_fini(&gate->sources);
	uv_mutex_destroy(&gate->lock);
	cn_free(gate);
}

/* ---- sources ---- */

/* Who counts as one: an IPv4 address, or the /64 that one host may own. */
static uint64_t
source_key(const struct cn_gate *gate, const struct sockaddr *from)
{
	const struct sockaddr_in6 *v6;
	const struct sockaddr_in *v4;

	if (from->sa_family == AF_INET) {
		v4 = (const struct sockaddr_in *)(const void *)from;
		return cn_hash64(&v4->sin_addr, 4, gate->seed);
	}
	if (from->sa_family == AF_INET6) {
		v6 = (const struct sockaddr_in6 *)(const void *)from;
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			return cn_hash64(
			    v6->sin6_addr.s6_addr + 12, 4, gate->seed);
		}
		return cn_hash64(v6->sin6_addr.s6_addr, 8, gate->seed);
	}
	return 0;
}

static void
forget(struct cn_gate *gate, struct source *source)
{
	cn_list_remove(&source->item);
	if (source->is_known) {
		gate->known_count--;
	} else {
		gate->strangers_count--;
	}
	cn_map_remove(&gate->sources, source->key);
	cn_free(source);
}

/* Make room in a list by dropping who was not seen for longest. */
static void
trim(struct cn_gate *gate, struct cn_list *list)
{
	struct cn_list *oldest = cn_list_first(list);

	assert(oldest != NULL);
	forget(gate, CN_LIST_ENTRY(oldest, struct source, item));
}

static uint32_t
rate_of(const struct source *source)
{
	return source->is_known ? CN_GATE_RATE * CN_GATE_KNOWN_TIMES
				: CN_GATE_RATE;
}

/* The source, moved to the end of its list, its debt as of now; NULL when
 * there is no memory for it. */
static struct source *
look_up(struct cn_gate *gate, uint64_t key, uint64_t now)
{
	struct source *source = cn_map_get(&gate->sources, key);
	uint64_t worn;

	if (source == NULL) {
		source = cn_calloc(1, sizeof(*source));
		if (source == NULL) {
			return NULL;
		}
		source->key = key;
		source->seen_us = now;
		if (cn_map_put(&gate->sources, key, source) != CN_OK) {
			cn_free(source);
			return NULL;
		}
		if (gate->strangers_count == CN_GATE_SOURCES_MAX) {
			trim(gate, &gate->strangers);
		}
		cn_list_append(&gate->strangers, &source->item);
		gate->strangers_count++;
		return source;
	}
	/* Threads may come in another order than their clocks. */
	now = CN_MAX(now, source->seen_us);
	worn = (now - source->seen_us) * rate_of(source);
	source->debt -= worn < source->debt ? worn : source->debt;
	source->seen_us = now;
	cn_list_remove(&source->item);
	cn_list_append(
	    source->is_known ? &gate->known : &gate->strangers, &source->item);
	return source;
}

static void
make_known(struct cn_gate *gate, struct source *source)
{
	if (source->is_known) {
		return;
	}
	source->is_known = true;
	cn_list_remove(&source->item);
	gate->strangers_count--;
	if (gate->known_count == CN_GATE_KNOWN_MAX) {
		trim(gate, &gate->known);
	}
	cn_list_append(&gate->known, &source->item);
	gate->known_count++;
}

/* ---- the door ---- */

static int
try_enter(struct cn_gate *gate, struct source *source)
{
	bool is_known = source != NULL && source->is_known;
	uint32_t max = CN_GATE_FLIGHT;

	if (!is_known) {
		max -= max / 4;
	}
	if (gate->stats.in_flight >= max) {
		gate->stats.ends[CN_GATE_FULL]++;
		return CN_EBUSY;
	}
	/* Without memory for its source, the limit in flight must do. */
	if (source != NULL) {
		if (source->debt + ATTEMPT >
		    (uint64_t)rate_of(source) * ATTEMPT) {
			gate->stats.ends[CN_GATE_RATE_LIMIT]++;
			return CN_ELIMIT;
		}
		source->debt += ATTEMPT;
	}
	gate->stats.in_flight++;
	return CN_OK;
}

int
cn_gate_enter(struct cn_gate *gate, const struct sockaddr *from, uint64_t now)
{
	int err;

	uv_mutex_lock(&gate->lock);
	err = try_enter(gate, look_up(gate, source_key(gate, from), now));
	uv_mutex_unlock(&gate->lock);
	return err;
}

void
cn_gate_leave(struct cn_gate *gate, const struct sockaddr *from,
    enum cn_gate_end end, uint64_t now)
{
	struct source *source;

	uv_mutex_lock(&gate->lock);
	assert(gate->stats.in_flight > 0);
	gate->stats.in_flight--;
	gate->stats.ends[end]++;
	if (end == CN_GATE_ACCEPTED) {
		source = look_up(gate, source_key(gate, from), now);
		if (source != NULL) {
			source->debt -=
			    source->debt < ATTEMPT ? source->debt : ATTEMPT;
			make_known(gate, source);
		}
	}
	uv_mutex_unlock(&gate->lock);
}

void
cn_gate_stats(struct cn_gate *gate, struct cn_gate_stats *ret)
{
	uv_mutex_lock(&gate->lock);
	*ret = gate->stats;
	uv_mutex_unlock(&gate->lock);
}

/* ---- first bytes ---- */

static bool
begins_with(const uint8_t *bytes, size_t len, const char *word)
{
	size_t word_len = strlen(word);
	size_t n = len < word_len ? len : word_len;

	return n > 0 && memcmp(bytes, word, n) == 0;
}

enum cn_gate_end
cn_gate_sniff(const uint8_t *bytes, size_t len)
{
	static const char *const methods[] = { "GET ", "POST ", "HEAD ", "PUT ",
		"OPTIONS ", "CONNECT ", "DELETE ", "PATCH ", "PRI ", "TRACE " };

	/* A TLS record of a handshake, any 3.x in its legacy version. */
	if (len == 0 || (bytes[0] == 0x16 && (len < 2 || bytes[1] == 0x03))) {
		return CN_GATE_ACCEPTED;
	}
	if (begins_with(bytes, len, "SSH-")) {
		return CN_GATE_SSH;
	}
	for (size_t i = 0; i < CN_ARRAY_LEN(methods); i++) {
		if (begins_with(bytes, len, methods[i])) {
			return CN_GATE_HTTP;
		}
	}
	return CN_GATE_GARBAGE;
}

const char *
cn_gate_end_name(enum cn_gate_end end)
{
	static const char *const names[CN_GATE_END_MAX] = {
		[CN_GATE_ACCEPTED] = "accepted",
		[CN_GATE_FULL] = "full",
		[CN_GATE_RATE_LIMIT] = "rate-limit",
		[CN_GATE_TIMEOUT] = "timeout",
		[CN_GATE_CUT] = "cut",
		[CN_GATE_GARBAGE] = "garbage",
		[CN_GATE_HTTP] = "http",
		[CN_GATE_SSH] = "ssh",
		[CN_GATE_NO_ALPN] = "no-alpn",
		[CN_GATE_TLS] = "tls",
		[CN_GATE_UNPINNED] = "unpinned",
		[CN_GATE_TOO_LONG] = "too-long",
		[CN_GATE_HELLO] = "hello",
		[CN_GATE_JOIN] = "join",
	};

	return end < CN_GATE_END_MAX ? names[end] : "unknown";
}
