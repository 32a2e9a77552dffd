/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/invite.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/rand.h"
#include "gateway/amend.h"
#include "gateway/daemon.h"
#include "gateway/reload.h"
#include "net/pairing.h"

/* Between two lines of the log about those who were refused. */
#define REFUSED_US 1000000u

enum state {
	NONE,
	OPEN,
	USED,
	EXPIRED,
	VOID,
};

struct offer {
	char name[CN_SNAP_NAME];
	char to[CN_REQUEST_ITEM_MAX]; /* "": it is there already */
};

struct invitation {
	enum state state;
	bool is_busy; /* a joiner has shown its proof */
	struct cn_token_trace trace;
	uint64_t until_us;
	unsigned wrong; /* proofs */
	char peer[CN_SNAP_NAME];
	struct offer offers[CN_REQUEST_ITEMS_MAX];
	size_t offers_count;
};

enum step {
	AWAIT_PROOF,
	AWAIT_READY,
	AWAIT_WRITTEN,
};

/* One that joins. */
struct joiner {
	struct cn_list item;
	struct cn_invite *invite;
	struct cn_pairing *pairing; /* owned */
	struct cn_sockaddr from;
	char from_text[CN_ADDR_TEXT_MAX];
	enum step step;
	struct invitation *invitation; /* once it is proved */
	char gateway[CN_NAME_MAX + 1];
	/* The managed file before, and its etag after, to go back. */
	struct cn_amend_file before;
	bool has_before;
	char etag[CN_MANAGED_FILE_ETAG_MAX];
};

struct cn_invite {
	struct cn_daemon *daemon; /* borrowed */
	struct invitation invitations[CN_INVITE_MAX];
	struct cn_list joiners;
	struct cn_log_limit refused_limit;
};

/* ---- invitations ---- */

static void
set_door(struct cn_invite *invite)
{
	bool is_inviting = false;

	for (size_t i = 0; i < CN_INVITE_MAX; i++) {
		is_inviting |= invite->invitations[i].state == OPEN;
	}
	cn_tlsctx_invite(invite->daemon->shared.tls, is_inviting);
}

static void
conclude(
    struct cn_invite *invite, struct invitation *invitation, enum state state)
{
	static const char *const names[] = { "none", "open", "used", "expired",
		"void" };

	invitation->state = state;
	explicit_bzero(invitation->trace.key, sizeof(invitation->trace.key));
	CN_LOG(state == USED ? CN_LOG_INFO : CN_LOG_WARN, "invitation-over",
	    "peer=%s reason=%s", invitation->peer, names[state]);
	set_door(invite);
}

void
cn_invite_tick(struct cn_invite *invite, uint64_t now)
{
	for (size_t i = 0; i < CN_INVITE_MAX; i++) {
		struct invitation *invitation = &invite->invitations[i];

		/* Who is at it may end it. */
		if (invitation->state == OPEN && !invitation->is_busy &&
		    now >= invitation->until_us) {
			conclude(invite, invitation, EXPIRED);
		}
	}
}

/* A place for a new one: unused, else the oldest that is over. */
static struct invitation *
find_place(struct cn_invite *invite)
{
	struct invitation *best = NULL;

	for (size_t i = 0; i < CN_INVITE_MAX; i++) {
		struct invitation *at = &invite->invitations[i];

		if (at->state == NONE) {
			return at;
		}
		if (at->state != OPEN && !at->is_busy &&
		    (best == NULL || at->until_us < best->until_us)) {
			best = at;
		}
	}
	return best;
}

static int CN_PRINTF(3, 4) refuse(struct cn_invite_refusal *why,
    enum cn_reply_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(why->text, sizeof(why->text), fmt, args);
	va_end(args);
	why->code = code;
	return CN_EINVAL;
}

/* Where we are reached, with a port. */
static int
take_address(
    const char *text, char *ret, size_t cap, struct cn_invite_refusal *why)
{
	struct cn_addr addr;
	const char *reason = "";
	int err = cn_addr_parse(text, CN_ADDR_TO_REACH, &addr, &reason);
	size_t len = strlen(text);

	if (len + sizeof(":65535") > cap) {
		return refuse(
		    why, CN_REPLY_BAD_REQUEST, "the address is too long");
	}
	memcpy(ret, text, len + 1);
	if (err != CN_OK) {
		(void)snprintf(
		    ret + len, cap - len, ":%u", CN_CONFIG_CARRIER_PORT);
		err = cn_addr_parse(ret, CN_ADDR_TO_REACH, &addr, NULL);
	}
	if (err == CN_OK && addr.kind == CN_ADDR_UNIX) {
		reason = "it must be reached over a network";
		err = CN_EINVAL;
	}
	if (err != CN_OK) {
		return refuse(
		    why, CN_REPLY_BAD_REQUEST, "address %s: %s", text, reason);
	}
	return CN_OK;
}

static int
take_offers(const struct cn_request *request, struct invitation *ret,
    struct cn_invite_refusal *why)
{
	for (uint32_t i = 0; i < request->items_count; i++) {
		struct offer *offer = &ret->offers[ret->offers_count++];
		const char *item = request->items[i];
		size_t len = strcspn(item, "=");

		if (len == 0 || len >= sizeof(offer->name)) {
			return refuse(why, CN_REPLY_BAD_REQUEST,
			    "offer '%.80s': NAME=HOST:PORT is expected, or "
			    "the NAME of an offer that there is",
			    item);
		}
		memcpy(offer->name, item, len);
		(void)snprintf(offer->to, sizeof(offer->to), "%s",
		    item[len] == '=' ? item + len + 1 : "");
	}
	return CN_OK;
}

/* What the managed file gets, once the joiner's identity is known. */
static struct cn_amend
amend_of(const struct invitation *invitation, const char *identity,
    struct cn_managed_offer offers[CN_REQUEST_ITEMS_MAX])
{
	for (size_t i = 0; i < invitation->offers_count; i++) {
		const struct offer *offer = &invitation->offers[i];

		offers[i] = (struct cn_managed_offer){
			.name = offer->name,
			.to = offer->to[0] != '\0' ? offer->to : NULL,
			.peer = invitation->peer,
		};
	}
	return (struct cn_amend){
		.peer = { .name = invitation->peer, .identity = identity },
		.offers = offers,
		.offers_count = invitation->offers_count,
	};
}

/* Would it be a good configuration?  With an identity that stands for the
 * one that is not known yet. */
static int
try_out(struct cn_invite *invite, const struct invitation *invitation,
    struct cn_diag_list *diags, struct cn_invite_refusal *why)
{
	struct cn_managed_offer offers[CN_REQUEST_ITEMS_MAX];
	uint8_t identity[CN_IDENTITY_BYTES];
	char text[CN_IDENTITY_TEXT_MAX];
	struct cn_amend amend;
	int err;

	cn_rand_bytes(identity, sizeof(identity));
	cn_identity_format(identity, text);
	if (cn_config_peer(invite->daemon->plan->config, invitation->peer) !=
	    NULL) {
		return refuse(why, CN_REPLY_CONFIG,
		    "there is a peer '%s' already: `compressnet peers remove' "
		    "takes it out, or choose another name",
		    invitation->peer);
	}
	amend = amend_of(invitation, text, offers);
	err = cn_amend_try(invite->daemon, &amend, diags);
	return err != CN_ECONFIG ? err
				 : refuse(why, CN_REPLY_CONFIG,
				       "with this peer the configuration "
				       "would have errors");
}

static int
prepare(struct cn_invite *invite, const struct cn_request *request,
    struct invitation *ret, struct cn_diag_list *diags,
    struct cn_invite_refusal *why)
{
	int err;

	if (invite->daemon->plan->carriers_count == 0) {
		return refuse(why, CN_REPLY_CONFIG,
		    "this gateway does not listen for peers: set "
		    "gateway.listen (for instance \"0.0.0.0:3\") and restart "
		    "it");
	}
	cn_snap_text(ret->peer, sizeof(ret->peer), request->peer);
	err = take_offers(request, ret, why);
	return err != CN_OK ? err : try_out(invite, ret, diags, why);
}

int
cn_invite_open(struct cn_invite *invite, const struct cn_request *request,
    struct cn_diag_list *diags, struct cn_invite_refusal *why,
    struct cn_snap_invite *ret)
{
	struct invitation fresh = { .state = OPEN };
	struct invitation *place;
	struct cn_token token;
	uint64_t lasts_us = (uint64_t)request->expires_s * 1000000u;
	char text[CN_TOKEN_TEXT_MAX];
	int err;

	memset(ret, 0, sizeof(*ret));
	memset(&token, 0, sizeof(token));
	cn_invite_tick(invite, cn_clock_us());
	place = find_place(invite);
	if (place == NULL) {
		return refuse(why, CN_REPLY_BUSY,
		    "%u invitations are open already", CN_INVITE_MAX);
	}
	err = take_address(
	    request->address, token.endpoint, sizeof(token.endpoint), why);
	if (err == CN_OK) {
		err = prepare(invite, request, &fresh, diags, why);
	}
	if (err != CN_OK) {
		return err;
	}
	cn_rand_bytes(token.secret, sizeof(token.secret));
	memcpy(token.identity, invite->daemon->shared.own, CN_IDENTITY_BYTES);
	err = cn_token_trace(token.secret, &fresh.trace);
	if (err == CN_OK) {
		cn_token_format(&token, text);
		cn_snap_text(ret->token, sizeof(ret->token), text);
		cn_snap_text(ret->peer, sizeof(ret->peer), fresh.peer);
		cn_snap_text(
		    ret->address, sizeof(ret->address), token.endpoint);
		ret->expires_us = lasts_us;
		fresh.until_us = cn_clock_us() + lasts_us;
		*place = fresh;
		set_door(invite);
		CN_LOG(CN_LOG_INFO, "invitation-open",
		    "peer=%s address=%s offers=%zu seconds=%u", fresh.peer,
		    CN_LOG_STR(token.endpoint), fresh.offers_count,
		    request->expires_s);
	}
	explicit_bzero(&token, sizeof(token));
	explicit_bzero(&fresh.trace, sizeof(fresh.trace));
	explicit_bzero(text, sizeof(text));
	return err;
}

/* ---- joiners ---- */

/* The gate hears how the attempt to authenticate went, once. */
static void
leave_gate(struct joiner *joiner, enum cn_gate_end how)
{
	cn_gate_leave(joiner->invite->daemon->gate, &joiner->from.u.any, how,
	    cn_clock_us());
}

/* Another may come with the invitation, if it was not used. */
static void
let_go(struct joiner *joiner)
{
	if (joiner->invitation != NULL) {
		joiner->invitation->is_busy = false;
		joiner->invitation = NULL;
	}
}

static void
free_joiner(struct joiner *joiner)
{
	if (joiner->step == AWAIT_PROOF) {
		leave_gate(joiner, CN_GATE_JOIN);
	}
	let_go(joiner);
	cn_pairing_close(&joiner->pairing);
	if (joiner->has_before) {
		cn_amend_file_fini(&joiner->before);
	}
	cn_list_remove(&joiner->item);
	cn_free(joiner);
}

static void CN_PRINTF(3, 4) turn_away(
    struct joiner *joiner, enum cn_join_code code, const char *fmt, ...)
{
	struct cn_join message = { .type = CN_JOIN_REFUSED, .code = code };
	char text[CN_REPLY_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cn_snap_text(message.text, sizeof(message.text), text);
	if (!cn_log_limited(&joiner->invite->refused_limit, cn_clock_us())) {
		CN_LOG(CN_LOG_WARN, "join-refused", "from=%s reason=%s text=%s",
		    joiner->from_text, cn_join_code_name(code),
		    CN_LOG_STR(text));
	}
	/* One that is gone need not hear it. */
	(void)!cn_pairing_send(joiner->pairing, &message);
	free_joiner(joiner);
}

static struct invitation *
find(struct cn_invite *invite, const uint8_t id[CN_JOIN_ID_BYTES])
{
	for (size_t i = 0; i < CN_INVITE_MAX; i++) {
		struct invitation *at = &invite->invitations[i];

		if (at->state != NONE &&
		    memcmp(at->trace.id, id, CN_JOIN_ID_BYTES) == 0) {
			return at;
		}
	}
	return NULL;
}

/* Why nobody gets in with it; NULL: it is open. */
static const char *
closed_text(const struct invitation *invitation)
{
	if (invitation == NULL) {
		return "no such invitation: the token is wrong, or too old";
	}
	switch (invitation->state) {
	case OPEN:
		return NULL;
	case USED:
		return "the token was used already: it is good for one";
	case EXPIRED:
		return "the token has expired";
	case VOID:
		return "the token was given up after wrong proofs";
	case NONE:
		break;
	}
	return "no such invitation";
}

/* The two proofs of this connection.  CN_OK; CN_EKEY, CN_ETLS. */
static int
prove(struct joiner *joiner, const struct invitation *invitation,
    uint8_t theirs[CN_TOKEN_PROOF_BYTES], uint8_t ours[CN_TOKEN_PROOF_BYTES])
{
	struct cn_token_bond bond;
	int err = cn_pairing_exporter(joiner->pairing, bond.exporter);

	memcpy(
	    bond.joiner, cn_pairing_peer(joiner->pairing), CN_IDENTITY_BYTES);
	memcpy(bond.inviter, joiner->invite->daemon->shared.own,
	    CN_IDENTITY_BYTES);
	if (err == CN_OK) {
		err = cn_token_prove(
		    invitation->trace.key, CN_TOKEN_JOINER, &bond, theirs);
	}
	if (err == CN_OK) {
		err = cn_token_prove(
		    invitation->trace.key, CN_TOKEN_INVITER, &bond, ours);
	}
	return err;
}

static void
welcome(struct joiner *joiner, struct invitation *invitation,
    const uint8_t proof[CN_TOKEN_PROOF_BYTES])
{
	const struct cn_config *config = joiner->invite->daemon->plan->config;
	struct cn_join message = { .type = CN_JOIN_WELCOME };

	memcpy(message.proof, proof, CN_JOIN_PROOF_BYTES);
	cn_snap_text(message.name, sizeof(message.name), config->gateway.name);
	for (size_t i = 0; i < invitation->offers_count; i++) {
		cn_snap_text(message.offers[message.offers_count++],
		    sizeof(message.offers[0]), invitation->offers[i].name);
	}
	joiner->invitation = invitation;
	invitation->is_busy = true;
	leave_gate(joiner, CN_GATE_ACCEPTED);
	joiner->step = AWAIT_READY;
	cn_pairing_deadline(joiner->pairing, CN_PAIRING_WHOLE_US);
	if (cn_pairing_send(joiner->pairing, &message) != CN_OK) {
		free_joiner(joiner);
	}
}

static void
wrong_proof(struct joiner *joiner, struct invitation *invitation)
{
	invitation->wrong++;
	if (invitation->wrong >= CN_INVITE_WRONG_MAX) {
		conclude(joiner->invite, invitation, VOID);
	}
	turn_away(joiner, CN_JOIN_CODE_PROOF, "the proof is wrong");
}

static void
on_proof(struct joiner *joiner, const struct cn_join *message)
{
	uint8_t theirs[CN_TOKEN_PROOF_BYTES], ours[CN_TOKEN_PROOF_BYTES];
	struct invitation *invitation;
	const char *text;

	cn_invite_tick(joiner->invite, cn_clock_us());
	invitation = find(joiner->invite, message->id);
	text = closed_text(invitation);
	if (message->version != CN_JOIN_VERSION) {
		turn_away(joiner, CN_JOIN_CODE_VERSION,
		    "this gateway joins by version %u alone", CN_JOIN_VERSION);
	} else if (text != NULL) {
		turn_away(joiner, CN_JOIN_CODE_UNKNOWN, "%s", text);
	} else if (invitation->is_busy) {
		turn_away(joiner, CN_JOIN_CODE_BUSY,
		    "somebody joins with this token right now");
	} else if (prove(joiner, invitation, theirs, ours) != CN_OK) {
		turn_away(joiner, CN_JOIN_CODE_INTERNAL, "no proof");
	} else if (CRYPTO_memcmp(theirs, message->proof, sizeof(theirs)) != 0) {
		wrong_proof(joiner, invitation);
	} else {
		cn_snap_text(
		    joiner->gateway, sizeof(joiner->gateway), message->name);
		welcome(joiner, invitation, ours);
	}
}

/* The joiner has looked at its side: write ours. */
static int
write_peer(struct joiner *joiner, struct cn_diag_list *diags)
{
	struct cn_managed_offer offers[CN_REQUEST_ITEMS_MAX];
	struct cn_daemon *daemon = joiner->invite->daemon;
	struct cn_amend_file after;
	char identity[CN_IDENTITY_TEXT_MAX];
	struct cn_amend amend;
	int err = cn_amend_file_read(daemon, &joiner->before);

	joiner->has_before = true;
	cn_identity_format(cn_pairing_peer(joiner->pairing), identity);
	amend = amend_of(joiner->invitation, identity, offers);
	if (err == CN_OK) {
		err = cn_amend_add(daemon, &amend, diags);
	}
	if (err == CN_OK && cn_amend_file_read(daemon, &after) == CN_OK) {
		cn_snap_text(joiner->etag, sizeof(joiner->etag), after.etag);
		cn_amend_file_fini(&after);
	}
	return err;
}

static void
on_ready(struct joiner *joiner)
{
	struct cn_join message = { .type = CN_JOIN_WRITTEN };
	struct cn_diag_list diags;
	char text[CN_DIAG_TEXT_MAX];
	int err;

	cn_diag_init(&diags);
	err = write_peer(joiner, &diags);
	cn_amend_words(&diags, err, text, sizeof(text));
	cn_diag_fini(&diags);
	if (err != CN_OK) {
		turn_away(joiner, CN_JOIN_CODE_WRITE,
		    "the inviter could not write it: %s", text);
		return;
	}
	conclude(joiner->invite, joiner->invitation, USED);
	joiner->step = AWAIT_WRITTEN;
	if (cn_pairing_send(joiner->pairing, &message) != CN_OK) {
		free_joiner(joiner);
	}
}

/* The joiner could not write: we would have a peer that never comes. */
static void
undo(struct joiner *joiner)
{
	struct cn_daemon *daemon = joiner->invite->daemon;
	struct cn_amend_file now;
	struct cn_diag_list diags;
	int err;

	cn_diag_init(&diags);
	err = cn_amend_file_read(daemon, &now);
	if (err == CN_OK && strcmp(now.etag, joiner->etag) == 0) {
		err = cn_reload_managed(daemon,
		    joiner->before.text.len > 0 ? joiner->before.text.data
						: (const uint8_t *)"",
		    joiner->before.text.len, &diags, NULL);
	} else if (err == CN_OK) {
		err = cn_amend_remove(
		    daemon, joiner->invitation->peer, &diags, NULL);
	}
	CN_LOG(err == CN_OK ? CN_LOG_WARN : CN_LOG_ERROR, "join-undone",
	    "peer=%s error=%s", joiner->invitation->peer,
	    CN_LOG_STR(cn_err_text(err)));
	cn_amend_file_fini(&now);
	cn_diag_fini(&diags);
}

static void
on_refused(struct joiner *joiner, const struct cn_join *message)
{
	CN_LOG(CN_LOG_WARN, "join-given-up",
	    "peer=%s from=%s reason=%s text=%s", joiner->invitation->peer,
	    joiner->from_text, cn_join_code_name(message->code),
	    CN_LOG_STR(message->text));
	if (joiner->step == AWAIT_WRITTEN) {
		undo(joiner);
	}
	free_joiner(joiner);
}

static void
on_written(struct joiner *joiner)
{
	char identity[CN_IDENTITY_TEXT_MAX];

	cn_identity_format(cn_pairing_peer(joiner->pairing), identity);
	CN_LOG(CN_LOG_INFO, "joined", "peer=%s gateway=%s identity=%s from=%s",
	    joiner->invitation->peer, CN_LOG_STR(joiner->gateway), identity,
	    joiner->from_text);
	free_joiner(joiner);
}

static void
on_message(void *owner, const struct cn_join *message)
{
	struct joiner *joiner = owner;

	if (joiner->step == AWAIT_PROOF && message->type == CN_JOIN_PROOF) {
		on_proof(joiner, message);
	} else if (joiner->step != AWAIT_PROOF &&
	    message->type == CN_JOIN_REFUSED) {
		on_refused(joiner, message);
	} else if (joiner->step == AWAIT_READY &&
	    message->type == CN_JOIN_READY) {
		on_ready(joiner);
	} else if (joiner->step == AWAIT_WRITTEN &&
	    message->type == CN_JOIN_WRITTEN) {
		on_written(joiner);
	} else {
		turn_away(joiner, CN_JOIN_CODE_PROTOCOL, "not now");
	}
}

static void
on_end(void *owner, int why)
{
	struct joiner *joiner = owner;

	if (joiner->step == AWAIT_WRITTEN) {
		/* It has our answer, or not; it may be there or not. */
		CN_LOG(CN_LOG_WARN, "join-unconfirmed",
		    "peer=%s from=%s error=%s", joiner->invitation->peer,
		    joiner->from_text, CN_LOG_STR(cn_err_text(why)));
	} else if (!cn_log_limited(
		       &joiner->invite->refused_limit, cn_clock_us())) {
		CN_LOG(CN_LOG_WARN, "join-lost", "from=%s error=%s",
		    joiner->from_text, CN_LOG_STR(cn_err_text(why)));
	}
	free_joiner(joiner);
}

static const struct cn_pairing_ops ops = {
	.on_message = on_message,
	.on_end = on_end,
};

/* ---- from the workers ---- */

struct arrival {
	struct cn_task task;
	struct cn_gate *gate; /* borrowed */
	struct cn_carrier_tls tls;
	struct cn_sockaddr from;
};

static void
drop_arrival(struct cn_task *task)
{
	struct arrival *arrival = CN_CONTAINER_OF(task, struct arrival, task);

	cn_gate_leave(
	    arrival->gate, &arrival->from.u.any, CN_GATE_CUT, cn_clock_us());
	cn_carrier_tls_fini(&arrival->tls);
	cn_free(arrival);
}

static void
run_arrival(struct cn_task *task, void *owner)
{
	struct arrival *arrival = CN_CONTAINER_OF(task, struct arrival, task);
	struct cn_daemon *daemon = owner;
	struct joiner *joiner = NULL;

	if (daemon->invite != NULL && daemon->state == CN_DAEMON_RUNNING) {
		joiner = cn_calloc(1, sizeof(*joiner));
	}
	if (joiner == NULL ||
	    cn_pairing_adopt(&daemon->loop, &arrival->tls, &ops, joiner,
		&joiner->pairing) != CN_OK) {
		cn_free(joiner);
		drop_arrival(task);
		return;
	}
	joiner->invite = daemon->invite;
	joiner->from = arrival->from;
	cn_sockaddr_format(
	    &joiner->from, true, joiner->from_text, sizeof(joiner->from_text));
	cn_list_init(&joiner->item);
	cn_list_append(&daemon->invite->joiners, &joiner->item);
	cn_free(arrival);
}

void
cn_invite_bring(struct cn_worker_shared *shared, struct cn_carrier_tls *tls,
    const struct cn_sockaddr *from)
{
	struct arrival *arrival = cn_calloc(1, sizeof(*arrival));

	if (arrival == NULL) {
		cn_gate_leave(
		    shared->gate, &from->u.any, CN_GATE_CUT, cn_clock_us());
		cn_carrier_tls_fini(tls);
		return;
	}
	arrival->task.run = run_arrival;
	arrival->task.drop = drop_arrival;
	arrival->gate = shared->gate;
	arrival->tls = *tls;
	arrival->from = *from;
	*tls = (struct cn_carrier_tls){ .fd = -1 };
	cn_mailbox_post(shared->home, &arrival->task);
}

/* ---- life ---- */

int
cn_invite_create(struct cn_daemon *daemon, struct cn_invite **ret)
{
	struct cn_invite *invite = cn_calloc(1, sizeof(*invite));

	if (invite == NULL) {
		return CN_ENOMEM;
	}
	invite->daemon = daemon;
	invite->refused_limit.interval_us = REFUSED_US;
	cn_list_init(&invite->joiners);
	*ret = invite;
	return CN_OK;
}

void
cn_invite_free(struct cn_invite **ip)
{
	struct cn_invite *invite = *ip;
	struct cn_list *item;

	*ip = NULL;
	if (invite == NULL) {
		return;
	}
	while ((item = cn_list_first(&invite->joiners)) != NULL) {
		free_joiner(CN_LIST_ENTRY(item, struct joiner, item));
	}
	explicit_bzero(invite, sizeof(*invite));
	cn_free(invite);
}
