/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/plan.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* ---- inlets ---- */

struct cn_inlet *
cn_inlet_ref(struct cn_inlet *inlet)
{
	atomic_fetch_add_explicit(&inlet->refs, 1, memory_order_relaxed);
	return inlet;
}

void
cn_inlet_unref(struct cn_inlet **ip)
{
	struct cn_inlet *inlet = *ip;

	*ip = NULL;
	if (inlet != NULL &&
	    atomic_fetch_sub_explicit(&inlet->refs, 1, memory_order_acq_rel) ==
		1) {
		cn_listener_close(&inlet->listener, false);
		cn_free(inlet);
	}
}

static int
open_inlet(const struct cn_addr *addr, bool is_carriers, struct cn_inlet **ret)
{
	struct cn_listener_options options = { .is_reserved = is_carriers };
	struct cn_inlet *inlet = cn_calloc(1, sizeof(*inlet));
	int err;

	if (inlet == NULL) {
		return CN_ENOMEM;
	}
	atomic_init(&inlet->refs, 1);
	inlet->addr = *addr;
	err = cn_listener_open(addr, &options, &inlet->listener);
	if (err != CN_OK) {
		cn_free(inlet);
		return err;
	}
	*ret = inlet;
	return CN_OK;
}

/* ---- what is wrong ---- */

struct maker {
	struct cn_plan *plan;
	const struct cn_plan *old; /* or NULL */
	struct cn_diag_list *diags;
};

static void CN_PRINTF(3, 4) complain(struct maker *maker,
    const struct cn_config_place *place, const char *fmt, ...)
{
	const struct cn_config *config = maker->plan->config;
	struct cn_diag_place at = {
		.file = place->file < config->files_count
		    ? config->files[place->file]
		    : "",
		.order = place->file,
		.line = place->line,
		.column = place->column,
		.width = 1,
	};
	char text[CN_DIAG_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cn_diag_add(maker->diags, CN_DIAG_ERROR, &at, NULL, "%s", text);
}

/* ---- parts ---- */

static bool
to_addr(struct maker *maker, const struct cn_config_address *from,
    enum cn_addr_use use, struct cn_addr *ret)
{
	const char *why = "";

	if (cn_addr_parse(from->text, use, ret, &why) != CN_OK) {
		complain(
		    maker, &from->place, "address %s: %s", from->text, why);
		return false;
	}
	return true;
}

/* An open socket of that address: the old plan's, or a new one. */
static struct cn_inlet *
find_inlet(
    struct maker *maker, const struct cn_config_address *at, bool is_carriers)
{
	const struct cn_plan *old = maker->old;
	struct cn_inlet *inlet = NULL;
	struct cn_addr addr;
	int err;

	if (!to_addr(maker, at, CN_ADDR_TO_LISTEN, &addr)) {
		return NULL;
	}
	for (size_t i = 0; old != NULL && i < old->services_count; i++) {
		const struct cn_plan_service *service = &old->services[i];

		for (size_t j = 0; !is_carriers && j < service->inlets_count;
		     j++) {
			if (cn_addr_equal(&service->inlets[j]->addr, &addr)) {
				return cn_inlet_ref(service->inlets[j]);
			}
		}
	}
	for (size_t i = 0;
	     old != NULL && is_carriers && i < old->carriers_count; i++) {
		if (cn_addr_equal(&old->carriers[i]->addr, &addr)) {
			return cn_inlet_ref(old->carriers[i]);
		}
	}
	err = open_inlet(&addr, is_carriers, &inlet);
	if (err != CN_OK) {
		complain(maker, &at->place, "cannot listen on %s: %s", at->text,
		    cn_err_text(err));
		return NULL;
	}
	return inlet;
}

/* Returns false without memory; what cannot be opened is a diagnostic. */
static bool
make_inlets(struct maker *maker, const struct cn_config_addresses *at,
    bool is_carriers, struct cn_inlet ***inlets, size_t *count)
{
	if (at->count == 0) {
		return true;
	}
	*inlets = cn_calloc(at->count, sizeof(struct cn_inlet *));
	if (*inlets == NULL) {
		return false;
	}
	for (size_t i = 0; i < at->count; i++) {
		struct cn_inlet *inlet =
		    find_inlet(maker, &at->item[i], is_carriers);

		if (inlet != NULL) {
			(*inlets)[(*count)++] = inlet;
		}
	}
	return true;
}

static struct cn_tally *
find_tally(struct maker *maker, const char *name, bool is_offer)
{
	struct cn_tally *tally = NULL;

	if (maker->old != NULL && is_offer) {
		const struct cn_plan_offer *old =
		    cn_plan_offer(maker->old, name);

		tally = old != NULL ? old->tally : NULL;
	} else if (maker->old != NULL) {
		const struct cn_plan_service *old =
		    cn_plan_service(maker->old, name);

		tally = old != NULL ? old->tally : NULL;
	}
	if (tally != NULL) {
		return cn_tally_ref(tally);
	}
	return cn_tally_create(name, is_offer, &tally) == CN_OK ? tally : NULL;
}

static struct cn_link_profile
to_profile(const struct cn_config_coding *coding)
{
	struct cn_link_profile profile = {
		.coalesce_us = coding->coalesce_us,
		.level_min = coding->level_min,
		.level_max = coding->level_max,
		.dedup = coding->dedup,
	};

	return profile;
}

static bool
make_peers(struct maker *maker)
{
	struct cn_plan *plan = maker->plan;
	const struct cn_config *config = plan->config;
	char why[CN_IDENT_WHY_MAX];

	plan->peers = cn_calloc(config->peers_count + 1, sizeof(*plan->peers));
	if (plan->peers == NULL) {
		return false;
	}
	for (size_t i = 0; i < config->peers_count; i++) {
		const struct cn_config_peer *from = &config->peers[i];
		struct cn_plan_peer *peer = &plan->peers[plan->peers_count];
		const struct cn_plan_peer *same;

		peer->config = from;
		if (cn_identity_parse(from->identity, peer->identity, why,
			sizeof(why)) != CN_OK) {
			complain(maker, &from->entry.place,
			    "identity of peer '%s': %s", from->entry.name, why);
			continue;
		}
		if (cn_identity_equal(peer->identity, plan->own)) {
			complain(maker, &from->entry.place,
			    "peer '%s' has the identity of this gateway",
			    from->entry.name);
			continue;
		}
		same = cn_plan_peer(plan, peer->identity);
		if (same != NULL) {
			complain(maker, &from->entry.place,
			    "peers '%s' and '%s' have the same identity",
			    same->config->entry.name, from->entry.name);
			continue;
		}
		if (from->address.kind != CN_CONFIG_ADDRESS_NONE) {
			peer->has_address = to_addr(maker, &from->address,
			    CN_ADDR_TO_REACH, &peer->address);
		}
		plan->peers_count++;
	}
	return true;
}

/* Plans keep the order of the configuration, so an index there is one here;
 * not while peers are missing, but then the plan fails anyway. */
static const struct cn_plan_peer *
peer_by_name(const struct cn_plan *plan, const char *name)
{
	const struct cn_config_peer *peer = cn_config_peer(plan->config, name);

	if (peer == NULL || plan->peers_count != plan->config->peers_count) {
		return NULL;
	}
	return &plan->peers[peer - plan->config->peers];
}

static bool
make_services(struct maker *maker)
{
	struct cn_plan *plan = maker->plan;
	const struct cn_config *config = plan->config;

	plan->services =
	    cn_calloc(config->services_count + 1, sizeof(*plan->services));
	if (plan->services == NULL) {
		return false;
	}
	for (size_t i = 0; i < config->services_count; i++) {
		const struct cn_config_service *from = &config->services[i];
		struct cn_plan_service *service = &plan->services[i];

		plan->services_count++;
		service->config = from;
		service->peer = peer_by_name(plan, from->peer);
		service->profile = to_profile(&from->coding);
		service->tally = find_tally(maker, from->entry.name, false);
		if (service->tally == NULL ||
		    !make_inlets(maker, &from->listen, false, &service->inlets,
			&service->inlets_count)) {
			return false;
		}
	}
	return true;
}

static bool
make_offers(struct maker *maker)
{
	struct cn_plan *plan = maker->plan;
	const struct cn_config *config = plan->config;

	plan->offers =
	    cn_calloc(config->offers_count + 1, sizeof(*plan->offers));
	if (plan->offers == NULL) {
		return false;
	}
	for (size_t i = 0; i < config->offers_count; i++) {
		const struct cn_config_offer *from = &config->offers[i];
		struct cn_plan_offer *offer = &plan->offers[i];

		plan->offers_count++;
		offer->config = from;
		offer->profile = to_profile(&from->coding);
		offer->tally = find_tally(maker, from->entry.name, true);
		if (offer->tally == NULL) {
			return false;
		}
		(void)to_addr(maker, &from->to, CN_ADDR_TO_REACH, &offer->to);
	}
	return true;
}

int
cn_plan_create(struct cn_config *config, const uint8_t own[CN_IDENTITY_BYTES],
    const struct cn_plan *old, struct cn_diag_list *diags, struct cn_plan **ret)
{
	struct cn_plan *plan = cn_calloc(1, sizeof(*plan));
	struct maker maker = { .plan = plan, .old = old, .diags = diags };
	bool has_memory;

	if (plan == NULL) {
		return CN_ENOMEM;
	}
	atomic_init(&plan->refs, 1);
	plan->config = cn_config_ref(config);
	memcpy(plan->own, own, CN_IDENTITY_BYTES);
	has_memory = make_peers(&maker) && make_services(&maker) &&
	    make_offers(&maker) &&
	    make_inlets(&maker, &config->gateway.listen, true, &plan->carriers,
		&plan->carriers_count);
	if (!has_memory || diags->errors > 0) {
		cn_plan_unref(&plan);
		return has_memory ? CN_ECONFIG : CN_ENOMEM;
	}
	*ret = plan;
	return CN_OK;
}

int
cn_plan_check(struct cn_config *config, struct cn_diag_list *diags)
{
	struct cn_plan *plan = cn_calloc(1, sizeof(*plan));
	struct maker maker = { .plan = plan, .diags = diags };
	bool has_memory;

	if (plan == NULL) {
		return CN_ENOMEM;
	}
	atomic_init(&plan->refs, 1);
	plan->config = cn_config_ref(config);
	has_memory = make_peers(&maker);
	cn_plan_unref(&plan);
	if (!has_memory) {
		return CN_ENOMEM;
	}
	return diags->errors > 0 ? CN_ECONFIG : CN_OK;
}

struct cn_plan *
cn_plan_ref(struct cn_plan *plan)
{
	atomic_fetch_add_explicit(&plan->refs, 1, memory_order_relaxed);
	return plan;
}

static void
drop_inlets(struct cn_inlet **inlets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		cn_inlet_unref(&inlets[i]);
	}
	cn_free(inlets);
}

void
cn_plan_unref(struct cn_plan **pp)
{
	struct cn_plan *plan = *pp;

	*pp = NULL;
	if (plan == NULL ||
	    atomic_fetch_sub_explicit(&plan->refs, 1, memory_order_acq_rel) >
		1) {
		return;
	}
	for (size_t i = 0; i < plan->services_count; i++) {
		cn_tally_unref(&plan->services[i].tally);
		drop_inlets(
		    plan->services[i].inlets, plan->services[i].inlets_count);
	}
	for (size_t i = 0; i < plan->offers_count; i++) {
		cn_tally_unref(&plan->offers[i].tally);
	}
	drop_inlets(plan->carriers, plan->carriers_count);
	cn_free(plan->peers);
	cn_free(plan->services);
	cn_free(plan->offers);
	cn_config_unref(&plan->config);
	cn_free(plan);
}

/* ---- questions ---- */

const struct cn_plan_peer *
cn_plan_peer(
    const struct cn_plan *plan, const uint8_t identity[CN_IDENTITY_BYTES])
{
	for (size_t i = 0; i < plan->peers_count; i++) {
		if (cn_identity_equal(plan->peers[i].identity, identity)) {
			return &plan->peers[i];
		}
	}
	return NULL;
}

const struct cn_plan_peer *
cn_plan_peer_named(const struct cn_plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->peers_count; i++) {
		if (strcmp(plan->peers[i].config->entry.name, name) == 0) {
			return &plan->peers[i];
		}
	}
	return NULL;
}

const struct cn_plan_service *
cn_plan_service(const struct cn_plan *plan, const char *name)
{
	const struct cn_config_service *service =
	    cn_config_service(plan->config, name);

	return service != NULL
	    ? &plan->services[service - plan->config->services]
	    : NULL;
}

const struct cn_plan_offer *
cn_plan_offer(const struct cn_plan *plan, const char *name)
{
	const struct cn_config_offer *offer =
	    cn_config_offer(plan->config, name);

	return offer != NULL ? &plan->offers[offer - plan->config->offers]
			     : NULL;
}

void
cn_plan_shut(const struct cn_plan *plan)
{
	for (size_t i = 0; i < plan->services_count; i++) {
		for (size_t j = 0; j < plan->services[i].inlets_count; j++) {
			cn_listener_shut(plan->services[i].inlets[j]->listener);
		}
	}
}

bool
cn_plan_inlet(const struct cn_plan *plan, const struct cn_inlet *inlet,
    const struct cn_plan_service **ret)
{
	for (size_t i = 0; i < plan->carriers_count; i++) {
		if (plan->carriers[i] == inlet) {
			*ret = NULL;
			return true;
		}
	}
	for (size_t i = 0; i < plan->services_count; i++) {
		for (size_t j = 0; j < plan->services[i].inlets_count; j++) {
			if (plan->services[i].inlets[j] == inlet) {
				*ret = &plan->services[i];
				return true;
			}
		}
	}
	return false;
}
