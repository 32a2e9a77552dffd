/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry.h"

#include <assert.h>
#include <string.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"

/* An own link is taken while it has at most so many streams more than the
 * least loaded: a handover costs a wake-up of the other worker. */
#define OWN_SLACK 8u

struct peer {
	struct cn_list item;
	uint8_t identity[CN_IDENTITY_BYTES];
	bool is_planned; /* in the plan now */
	bool is_drained; /* nothing new, either way */
	bool has_address;
	uint32_t workers;                  /* of the peer; 0: unknown */
	uint8_t boot_id[CN_BOOT_ID_BYTES]; /* of the last hello */
	bool has_boot_id;
	uint64_t dial_us; /* no dial before */
	struct cn_list links;
	uint32_t outgoing, incoming;
	struct cn_snap_bytes sent, received; /* of links that ended */
	uint64_t resumes;
	char gateway[CN_NAME_MAX + 1];
	char error[CN_TEXT_MAX + 1];
};

struct cn_registry {
	uv_mutex_t lock;
	uint8_t own[CN_IDENTITY_BYTES];
	uint32_t workers;
	uint32_t *load; /* owned: links of each worker */
	struct cn_list peers;
	bool is_draining;
};

int
cn_registry_create(const uint8_t own[CN_IDENTITY_BYTES], uint32_t workers,
    struct cn_registry **ret)
{
	struct cn_registry *registry = cn_calloc(1, sizeof(*registry));

	if (registry == NULL) {
		return CN_ENOMEM;
	}
	registry->load = cn_calloc(workers, sizeof(*registry->load));
	if (registry->load == NULL || uv_mutex_init(&registry->lock) != 0) {
		cn_free(registry->load);
		cn_free(registry);
		return CN_ENOMEM;
	}
	memcpy(registry->own, own, CN_IDENTITY_BYTES);
	registry->workers = workers;
	cn_list_init(&registry->peers);
	*ret = registry;
	return CN_OK;
}

static void
free_peer(struct peer *peer)
{
	struct cn_list *item;

	while ((item = cn_list_first(&peer->links)) != NULL) {
		cn_list_remove(item);
		cn_free(CN_LIST_ENTRY(item, struct cn_registry_link, item));
	}
	cn_list_remove(&peer->item);
	cn_free(peer);
}

void
cn_registry_free(struct cn_registry **rp)
{
	struct cn_registry *registry = *rp;
	struct cn_list *item;

	*rp = NULL;
	if (registry == NULL) {
		return;
	}
	while ((item = cn_list_first(&registry->peers)) != NULL) {
		free_peer(CN_LIST_ENTRY(item, struct peer, item));
	}
	uv_mutex_destroy(&registry->lock);
	cn_free(registry->load);
	cn_free(registry);
}

static struct peer *
find(struct cn_registry *registry, const uint8_t identity[CN_IDENTITY_BYTES])
{
	struct cn_list *item;

	CN_LIST_EACH(&registry->peers, item)
	{
		struct peer *peer = CN_LIST_ENTRY(item, struct peer, item);

		if (cn_identity_equal(peer->identity, identity)) {
			return peer;
		}
	}
	return NULL;
}

/* ---- plans ---- */

static struct peer *
add_peer(struct cn_registry *registry, const struct cn_plan_peer *from)
{
	struct peer *peer = cn_calloc(1, sizeof(*peer));

	if (peer != NULL) {
		memcpy(peer->identity, from->identity, CN_IDENTITY_BYTES);
		cn_list_init(&peer->item);
		cn_list_init(&peer->links);
		cn_list_append(&registry->peers, &peer->item);
	}
	return peer;
}

static bool
we_are_lower(const struct cn_registry *registry, const struct peer *peer)
{
	return cn_identity_compare(registry->own, peer->identity) < 0;
}

static void
update_peer(struct cn_registry *registry, struct peer *peer,
    const struct cn_plan_peer *from, uint64_t now)
{
	if (!peer->is_planned || !peer->has_address) {
		peer->dial_us = we_are_lower(registry, peer)
		    ? 0
		    : now + CN_REGISTRY_YIELD_US;
	}
	peer->is_planned = true;
	peer->has_address = from->has_address;
}

/* Peers without plan and links are forgotten. */
static void
sweep(struct cn_registry *registry)
{
	struct cn_list *item, *tmp;

	CN_LIST_EACH_SAFE(&registry->peers, item, tmp)
	{
		struct peer *peer = CN_LIST_ENTRY(item, struct peer, item);

		if (!peer->is_planned && cn_list_is_empty(&peer->links)) {
			free_peer(peer);
		}
	}
}

static int
take_plan(
    struct cn_registry *registry, const struct cn_plan *plan, uint64_t now)
{
	struct cn_list *item;

	/* All that can fail comes first. */
	for (size_t i = 0; i < plan->peers_count; i++) {
		if (find(registry, plan->peers[i].identity) == NULL &&
		    add_peer(registry, &plan->peers[i]) == NULL) {
			sweep(registry);
			return CN_ENOMEM;
		}
	}
	CN_LIST_EACH(&registry->peers, item)
	{
		struct peer *peer = CN_LIST_ENTRY(item, struct peer, item);
		const struct cn_plan_peer *from =
		    cn_plan_peer(plan, peer->identity);

		if (from == NULL) {
			peer->is_planned = false;
			peer->is_drained = false;
			peer->has_address = false;
		} else {
			update_peer(registry, peer, from, now);
		}
	}
	sweep(registry);
	return CN_OK;
}

int
cn_registry_plan(
    struct cn_registry *registry, const struct cn_plan *plan, uint64_t now)
{
	int err;

	uv_mutex_lock(&registry->lock);
	err = take_plan(registry, plan, now);
	uv_mutex_unlock(&registry->lock);
	return err;
}

void
cn_registry_drain(struct cn_registry *registry)
{
	uv_mutex_lock(&registry->lock);
	registry->is_draining = true;
	uv_mutex_unlock(&registry->lock);
}

/* ---- links ---- */

static uint32_t
least_loaded(const struct cn_registry *registry, const struct peer *peer)
{
	uint32_t own[CN_WORKERS_MAX] = { 0 };
	struct cn_list *item;
	uint32_t best = 0;

	CN_LIST_EACH(&peer->links, item)
	{
		own[CN_LIST_ENTRY(item, struct cn_registry_link, item)
			->worker]++;
	}
	for (uint32_t i = 1; i < registry->workers; i++) {
		/* Even for this peer first, then over all. */
		if (own[i] < own[best] ||
		    (own[i] == own[best] &&
			registry->load[i] < registry->load[best])) {
			best = i;
		}
	}
	return best;
}

static struct cn_registry_link *
add_link(struct cn_registry *registry, struct peer *peer, const uint8_t *id,
    uint32_t worker, bool is_dialler)
{
	struct cn_registry_link *link = cn_calloc(1, sizeof(*link));

	if (link == NULL) {
		return NULL;
	}
	cn_list_init(&link->item);
	memcpy(link->peer, peer->identity, CN_IDENTITY_BYTES);
	memcpy(link->id, id, CN_LINK_ID_BYTES);
	link->is_dialler = is_dialler;
	link->worker = worker;
	registry->load[link->worker]++;
	cn_list_append(&peer->links, &link->item);
	if (is_dialler) {
		peer->outgoing++;
	} else {
		peer->incoming++;
	}
	return link;
}

static struct cn_registry_link *
find_link(const struct peer *peer, const uint8_t *id)
{
	struct cn_list *item;

	CN_LIST_EACH(&peer->links, item)
	{
		struct cn_registry_link *link =
		    CN_LIST_ENTRY(item, struct cn_registry_link, item);

		if (memcmp(link->id, id, CN_LINK_ID_BYTES) == 0) {
			return link;
		}
	}
	return NULL;
}

static bool
is_any_up(const struct peer *peer, bool is_dialler)
{
	struct cn_list *item;

	CN_LIST_EACH(&peer->links, item)
	{
		const struct cn_registry_link *link =
		    CN_LIST_ENTRY(item, struct cn_registry_link, item);

		if (link->is_dialler == is_dialler && link->is_up) {
			return true;
		}
	}
	return false;
}

static void
refuse(struct cn_registry_route *route, enum cn_close status, const char *text)
{
	route->status = status;
	route->text = text;
}

static void
route(struct cn_registry *registry, const struct cn_hello *hello,
    struct cn_registry_route *ret)
{
	struct peer *peer = find(registry, hello->identity);
	bool is_new = (hello->flags & CN_HELLO_NEW_LINK) != 0;
	struct cn_registry_link *link;

	if (peer == NULL || !peer->is_planned) {
		refuse(ret, CN_CLOSE_REMOVED, "you are no peer any more");
		return;
	}
	link = find_link(peer, hello->link_id);
	if (link == NULL && !is_new) {
		refuse(ret, CN_CLOSE_LINK_UNKNOWN, "no such link");
		return;
	}
	if (link != NULL && link->is_dialler) {
		refuse(ret, CN_CLOSE_PROTOCOL, "that link is ours to dial");
		return;
	}
	if (is_new && registry->is_draining) {
		refuse(ret, CN_CLOSE_SHUTDOWN, "this gateway goes down");
		return;
	}
	if (link == NULL && peer->has_address && we_are_lower(registry, peer) &&
	    is_any_up(peer, true)) {
		refuse(ret, CN_CLOSE_REPLACED, "this gateway dials you");
		return;
	}
	if (link == NULL) {
		if (peer->incoming >= CN_REGISTRY_LINKS_MAX) {
			refuse(ret, CN_CLOSE_LIMIT, "too many links");
			return;
		}
		link = add_link(registry, peer, hello->link_id,
		    least_loaded(registry, peer), false);
		if (link == NULL) {
			refuse(ret, CN_CLOSE_LIMIT, "out of memory");
			return;
		}
	}
	ret->worker = link->worker;
	ret->status = CN_CLOSE_OK;
}

void
cn_registry_route(struct cn_registry *registry, const struct cn_hello *hello,
    struct cn_registry_route *ret)
{
	memset(ret, 0, sizeof(*ret));
	uv_mutex_lock(&registry->lock);
	route(registry, hello, ret);
	uv_mutex_unlock(&registry->lock);
}

struct cn_registry_link *
cn_registry_claim(struct cn_registry *registry,
    const uint8_t identity[CN_IDENTITY_BYTES],
    const uint8_t id[CN_LINK_ID_BYTES], uint32_t worker)
{
	struct cn_registry_link *link = NULL;
	struct peer *peer;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, identity);
	if (peer != NULL) {
		link = find_link(peer, id);
		if (link == NULL) {
			link = add_link(registry, peer, id, worker, false);
		} else if (link->worker != worker) {
			link = NULL; /* claimed anew elsewhere meanwhile */
		}
	}
	uv_mutex_unlock(&registry->lock);
	return link;
}

static bool
is_missing(
    const struct cn_registry *registry, const struct peer *peer, uint64_t now)
{
	uint32_t wanted = CN_MAX(registry->workers, peer->workers);

	if (!peer->is_planned || !peer->has_address || now < peer->dial_us) {
		return false;
	}
	if (!we_are_lower(registry, peer) && peer->incoming > 0) {
		return false; /* it dials us */
	}
	if (peer->workers == 0) {
		wanted = 1; /* the first tells how many */
	}
	return peer->outgoing < CN_MIN(wanted, CN_REGISTRY_LINKS_MAX);
}

struct cn_registry_link *
cn_registry_missing(struct cn_registry *registry, uint64_t now)
{
	struct cn_registry_link *link = NULL;
	struct cn_list *item;
	uint8_t id[CN_LINK_ID_BYTES];

	cn_rand_bytes(id, sizeof(id));
	uv_mutex_lock(&registry->lock);
	if (!registry->is_draining) {
		CN_LIST_EACH(&registry->peers, item)
		{
			struct peer *peer =
			    CN_LIST_ENTRY(item, struct peer, item);

			if (is_missing(registry, peer, now)) {
				link = add_link(registry, peer, id,
				    least_loaded(registry, peer), true);
				break;
			}
		}
	}
	uv_mutex_unlock(&registry->lock);
	return link;
}

static uint32_t
count_up(const struct peer *peer)
{
	const struct cn_list *item;
	uint32_t up = 0;

	CN_LIST_EACH(&peer->links, item)
	{
		up += CN_LIST_ENTRY(item, struct cn_registry_link, item)->is_up;
	}
	return up;
}

/* What a hello tells of its speaker; true: it is another process. */
static bool
note_hello(struct peer *peer, const struct cn_hello *hello)
{
	bool is_other = peer->has_boot_id &&
	    memcmp(peer->boot_id, hello->boot_id, CN_BOOT_ID_BYTES) != 0;

	memcpy(peer->boot_id, hello->boot_id, CN_BOOT_ID_BYTES);
	peer->has_boot_id = true;
	peer->workers = hello->workers;
	(void)snprintf(peer->gateway, sizeof(peer->gateway), "%s", hello->name);
	peer->error[0] = '\0';
	return is_other;
}

bool
cn_registry_up(struct cn_registry *registry, struct cn_registry_link *link,
    const struct cn_hello *hello, bool *is_first)
{
	struct peer *peer;
	bool is_other = false;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, link->peer);
	*is_first = peer != NULL && count_up(peer) == 0;
	link->is_up = link->was_up = true;
	if ((hello->flags & CN_HELLO_DRAINING) != 0) {
		link->is_draining = true;
	}
	if (peer != NULL) {
		is_other = note_hello(peer, hello);
	}
	uv_mutex_unlock(&registry->lock);
	return is_other;
}

bool
cn_registry_is_outlived(struct cn_registry *registry,
    const uint8_t identity[CN_IDENTITY_BYTES],
    const uint8_t boot_id[CN_BOOT_ID_BYTES])
{
	const struct peer *peer;
	bool is_outlived = false;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, identity);
	if (peer != NULL && peer->has_boot_id) {
		is_outlived =
		    memcmp(peer->boot_id, boot_id, CN_BOOT_ID_BYTES) != 0;
	}
	uv_mutex_unlock(&registry->lock);
	return is_outlived;
}

bool
cn_registry_down(struct cn_registry *registry, struct cn_registry_link *link)
{
	const struct peer *peer;
	bool is_last;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, link->peer);
	is_last = link->is_up && peer != NULL && count_up(peer) == 1;
	link->is_up = false;
	uv_mutex_unlock(&registry->lock);
	return is_last;
}

void
cn_registry_set_draining(
    struct cn_registry *registry, struct cn_registry_link *link)
{
	uv_mutex_lock(&registry->lock);
	link->is_draining = true;
	uv_mutex_unlock(&registry->lock);
}

void
cn_registry_remove(
    struct cn_registry *registry, struct cn_registry_link **lp, uint64_t now)
{
	struct cn_registry_link *link = *lp;
	struct peer *peer;

	*lp = NULL;
	if (link == NULL) {
		return;
	}
	uv_mutex_lock(&registry->lock);
	peer = find(registry, link->peer);
	assert(peer != NULL);
	cn_list_remove(&link->item);
	assert(registry->load[link->worker] > 0);
	registry->load[link->worker]--;
	if (link->is_dialler) {
		peer->outgoing--;
	} else {
		peer->incoming--;
		/* Its dialler comes back by itself, if it can. */
		if (peer->incoming == 0 && !we_are_lower(registry, peer)) {
			peer->dial_us = now + CN_REGISTRY_YIELD_US;
		}
	}
	cn_free(link);
	sweep(registry);
	uv_mutex_unlock(&registry->lock);
}

void
cn_registry_hold(struct cn_registry *registry,
    const uint8_t identity[CN_IDENTITY_BYTES], uint64_t until)
{
	struct peer *peer;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, identity);
	if (peer != NULL) {
		peer->dial_us = CN_MAX(peer->dial_us, until);
	}
	uv_mutex_unlock(&registry->lock);
}

/* ---- peers that take nothing new ---- */

bool
cn_registry_drain_peer(struct cn_registry *registry,
    const uint8_t identity[CN_IDENTITY_BYTES], bool is_drained)
{
	struct peer *peer;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, identity);
	if (peer != NULL) {
		peer->is_drained = is_drained;
	}
	uv_mutex_unlock(&registry->lock);
	return peer != NULL;
}

bool
cn_registry_is_drained(
    struct cn_registry *registry, const uint8_t identity[CN_IDENTITY_BYTES])
{
	const struct peer *peer;
	bool is_drained;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, identity);
	is_drained = peer != NULL && peer->is_drained;
	uv_mutex_unlock(&registry->lock);
	return is_drained;
}

/* ---- streams ---- */

static uint32_t
streams_of(const struct cn_registry_link *link)
{
	return atomic_load_explicit(&link->streams, memory_order_relaxed);
}

int
cn_registry_pick(struct cn_registry *registry,
    const uint8_t identity[CN_IDENTITY_BYTES], uint32_t own, uint32_t *ret)
{
	const struct cn_registry_link *best = NULL;
	const struct cn_registry_link *ours = NULL;
	struct cn_list *item;
	struct peer *peer;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, identity);
	if (peer != NULL && !peer->is_drained) {
		CN_LIST_EACH(&peer->links, item)
		{
			const struct cn_registry_link *link =
			    CN_LIST_ENTRY(item, struct cn_registry_link, item);

			if (!link->was_up || link->is_draining) {
				continue;
			}
			/* One that is up goes before one that resumes. */
			if (best == NULL || link->is_up > best->is_up ||
			    (link->is_up == best->is_up &&
				streams_of(link) < streams_of(best))) {
				best = link;
			}
			if (link->worker == own &&
			    (ours == NULL || link->is_up > ours->is_up)) {
				ours = link;
			}
		}
	}
	if (best != NULL) {
		*ret = best->worker;
		if (ours != NULL && ours->is_up == best->is_up &&
		    streams_of(ours) <= streams_of(best) + OWN_SLACK) {
			*ret = own;
		}
	}
	uv_mutex_unlock(&registry->lock);
	return best != NULL ? CN_OK : CN_ENOENT;
}

/* ---- for people ---- */

void
cn_registry_set_error(struct cn_registry *registry,
    const uint8_t identity[CN_IDENTITY_BYTES], const char *text)
{
	struct peer *peer;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, identity);
	if (peer != NULL) {
		(void)snprintf(peer->error, sizeof(peer->error), "%s", text);
	}
	uv_mutex_unlock(&registry->lock);
}

void
cn_registry_account(struct cn_registry *registry,
    const uint8_t identity[CN_IDENTITY_BYTES], const struct cn_snap_bytes *sent,
    const struct cn_snap_bytes *received, uint64_t resumes)
{
	struct peer *peer;

	uv_mutex_lock(&registry->lock);
	peer = find(registry, identity);
	if (peer != NULL) {
		cn_snap_bytes_add(&peer->sent, sent);
		cn_snap_bytes_add(&peer->received, received);
		peer->resumes += resumes;
	}
	uv_mutex_unlock(&registry->lock);
}

bool
cn_registry_peer_info(struct cn_registry *registry,
    const uint8_t identity[CN_IDENTITY_BYTES],
    struct cn_registry_peer_info *ret)
{
	struct cn_list *item;
	struct peer *peer;

	memset(ret, 0, sizeof(*ret));
	uv_mutex_lock(&registry->lock);
	peer = find(registry, identity);
	if (peer != NULL) {
		memcpy(ret->gateway, peer->gateway, sizeof(ret->gateway));
		memcpy(ret->error, peer->error, sizeof(ret->error));
		ret->workers = peer->workers;
		ret->is_drained = peer->is_drained;
		ret->sent = peer->sent;
		ret->received = peer->received;
		ret->resumes = peer->resumes;
		CN_LIST_EACH(&peer->links, item)
		{
			ret->links++;
			ret->links_up +=
			    CN_LIST_ENTRY(item, struct cn_registry_link, item)
				->is_up;
		}
	}
	uv_mutex_unlock(&registry->lock);
	return peer != NULL;
}
