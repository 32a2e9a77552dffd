/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_MANAGED_H
#define CN_CONFIG_MANAGED_H

/*
 * The part of a configuration that programs write, conf.d/managed.yaml, as
 * something that can be edited: peers, services and offers come and go, and
 * what else stands in it (written through the API, say) stays.
 *
 * It is edited as a tree and written from it, never as text.  Comments and
 * layout are not kept: hand-written settings belong into another file.
 * Whether the result is a good configuration is found by reading it together
 * with the other files (cn_config_load_managed()).
 *
 * Life:       parse, edits, write, fini.
 * Thread:     one at a time.
 * Invariants: what cn_managed_write() writes reads as the same tree.
 */

#include "base/attr.h"
#include "base/buf.h"
#include "config/arena.h"
#include "config/config.h"
#include "config/diag.h"

struct cn_yaml_node;

struct cn_managed {
	struct cn_arena arena; /* of all that follows */
	struct cn_yaml_node *root;
};

/*
 * Read a text.
 *
 * @ret  to be freed by cn_managed_fini() in any case
 *
 * Returns CN_OK; CN_ECONFIG (the reason is in diags); CN_ENOMEM.
 */
int cn_managed_parse(const struct cn_config_text *text,
    struct cn_diag_list *diags, struct cn_managed *ret) CN_MUSTCHECK;
void cn_managed_fini(struct cn_managed *managed);

/* All texts are copied. */
struct cn_managed_peer {
	const char *name;
	const char *identity;
	const char *address; /* NULL: it dials us */
};

struct cn_managed_service {
	const char *name;
	const char *listen;
	const char *peer;
	const char *offer;
};

struct cn_managed_offer {
	const char *name;
	const char *to;   /* NULL: the offer is there already */
	const char *peer; /* who may use it, with those who may already */
};

/*
 * Add an entry.  One that is there with the same identity (of an offer: the
 * same target; of a service: the same peer) takes the new values, so that an
 * addition may be repeated.
 *
 * Returns CN_OK; CN_EEXIST: the name is taken by something else; CN_ENOENT:
 * there is no such offer; CN_EINVAL: what stands under that name is no entry;
 * CN_ENOMEM.
 */
int cn_managed_add_peer(struct cn_managed *managed,
    const struct cn_managed_peer *peer) CN_MUSTCHECK;
int cn_managed_add_service(struct cn_managed *managed,
    const struct cn_managed_service *service) CN_MUSTCHECK;
int cn_managed_add_offer(struct cn_managed *managed,
    const struct cn_managed_offer *offer) CN_MUSTCHECK;

/*
 * Take a peer out, with the services that go to it and its place in offers;
 * offers that nobody else may use go, too.
 *
 * Returns CN_OK, CN_ENOENT.
 */
int cn_managed_remove_peer(
    struct cn_managed *managed, const char *name) CN_MUSTCHECK;

/* Is there an entry of that name?  @kind  "peers", "services", "offers" */
bool cn_managed_has(
    const struct cn_managed *managed, const char *kind, const char *name);

/* Append it as YAML.  Returns CN_OK, CN_ENOMEM or CN_ELIMIT. */
int cn_managed_write(
    const struct cn_managed *managed, struct cn_buf *out) CN_MUSTCHECK;

#endif /* CN_CONFIG_MANAGED_H */
