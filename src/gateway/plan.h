/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_PLAN_H
#define CN_GATEWAY_PLAN_H

/*
 * A configuration made ready to be obeyed: identities and addresses parsed,
 * listening sockets open, counters at hand.  A reload makes a new plan; it
 * is taken over whole or not at all.
 *
 * Life:       counted by references: the daemon's and one for each worker.
 *             What two plans share (inlets, tallies) is counted itself.
 * Thread:     immutable once made, so any.
 * Invariants: every peer, address and identity in it is valid; no two peers
 *             have one identity, none has ours.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "config/config.h"
#include "config/diag.h"
#include "gateway/tally.h"
#include "ident/identity.h"
#include "link/link.h"
#include "net/addr.h"
#include "net/listener.h"

/* A listening socket that plans and workers' watches share. */
struct cn_inlet {
	_Atomic uint32_t refs;
	struct cn_addr addr;
	struct cn_listener *listener; /* owned */
};

struct cn_inlet *cn_inlet_ref(struct cn_inlet *inlet);
/* Clears *ip; the last closes the socket once its watches are gone. */
void cn_inlet_unref(struct cn_inlet **ip);

struct cn_plan_peer {
	const struct cn_config_peer *config; /* borrowed from the plan */
	uint8_t identity[CN_IDENTITY_BYTES];
	bool has_address;
	struct cn_addr address;
};

struct cn_plan_service {
	const struct cn_config_service *config;
	const struct cn_plan_peer *peer;
	struct cn_tally *tally; /* counted */
	struct cn_link_profile profile;
	struct cn_inlet **inlets; /* owned array of counted */
	size_t inlets_count;
};

struct cn_plan_offer {
	const struct cn_config_offer *config;
	struct cn_tally *tally; /* counted */
	struct cn_link_profile profile;
	struct cn_addr to;
};

struct cn_plan {
	_Atomic uint32_t refs;
	struct cn_config *config; /* counted */
	uint8_t own[CN_IDENTITY_BYTES];
	struct cn_plan_peer *peers; /* in the configuration's order */
	size_t peers_count;
	struct cn_plan_service *services;
	size_t services_count;
	struct cn_plan_offer *offers;
	size_t offers_count;
	struct cn_inlet **carriers; /* where peers' carriers come in */
	size_t carriers_count;
};

/*
 * Make a plan.
 *
 * @config  a reference is taken
 * @own     our identity
 * @old     whose inlets and tallies are used again, or NULL
 * @diags   receives what is wrong
 *
 * Returns CN_OK; CN_ECONFIG (see diags; nothing is changed); CN_ENOMEM.
 */
int cn_plan_create(struct cn_config *config,
    const uint8_t own[CN_IDENTITY_BYTES], const struct cn_plan *old,
    struct cn_diag_list *diags, struct cn_plan **ret) CN_MUSTCHECK;

/*
 * Check what a plan would, but for what only a running gateway can know:
 * own identity, sockets.  Returns CN_OK, CN_ECONFIG (see diags), CN_ENOMEM.
 */
int cn_plan_check(
    struct cn_config *config, struct cn_diag_list *diags) CN_MUSTCHECK;

struct cn_plan *cn_plan_ref(struct cn_plan *plan);
/* Clears *pp; NULL is fine. */
void cn_plan_unref(struct cn_plan **pp);

/* NULL: there is none. */
const struct cn_plan_peer *cn_plan_peer(
    const struct cn_plan *plan, const uint8_t identity[CN_IDENTITY_BYTES]);
const struct cn_plan_peer *cn_plan_peer_named(
    const struct cn_plan *plan, const char *name);
const struct cn_plan_service *cn_plan_service(
    const struct cn_plan *plan, const char *name);
const struct cn_plan_offer *cn_plan_offer(
    const struct cn_plan *plan, const char *name);
/* No service of the plan listens any more; carriers still get in. */
void cn_plan_shut(const struct cn_plan *plan);
/* The service or, with *ret NULL and true, the carriers' port, that an inlet
 * serves; false: the plan does not know it. */
bool cn_plan_inlet(const struct cn_plan *plan, const struct cn_inlet *inlet,
    const struct cn_plan_service **ret);

#endif /* CN_GATEWAY_PLAN_H */
