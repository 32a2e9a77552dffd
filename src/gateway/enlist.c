/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/enlist.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/amend.h"
#include "gateway/daemon.h"
#include "net/dialer.h"
#include "net/pairing.h"

enum step {
	DIAL,
	SHAKE,
	PROVED, /* our proof is sent */
	READY,  /* we could write */
};

struct cn_enlist {
	struct cn_daemon *daemon; /* borrowed */
	void (*told)(const struct cn_enlist_end *end, void *owner);
	void *owner;
	enum step step;
	struct cn_token token;
	struct cn_token_trace trace;
	struct cn_dialer *dial;     /* owned */
	struct cn_pairing *pairing; /* owned */
	char peer[CN_SNAP_NAME];
	char identity[CN_IDENTITY_TEXT_MAX];
	/* Of the forwards: services that will be. */
	char names[CN_REQUEST_ITEMS_MAX][CN_SNAP_NAME];
	char listens[CN_REQUEST_ITEMS_MAX][CN_REQUEST_ITEM_MAX];
	size_t forwards;
	struct cn_enlist_end end;
};

/* ---- the end ---- */

static void CN_PRINTF(3, 0) set_end(struct cn_enlist_end *end,
    enum cn_reply_code code, const char *fmt, va_list args)
{
	end->code = code;
	(void)vsnprintf(end->text, sizeof(end->text), fmt, args);
}

static void
finish(struct cn_enlist *enlist)
{
	enlist->daemon->enlist = NULL;
	cn_dialer_cancel(&enlist->dial);
	cn_pairing_close(&enlist->pairing);
	if (enlist->end.code == CN_REPLY_OK) {
		CN_LOG(CN_LOG_INFO, "joined", "peer=%s gateway=%s identity=%s",
		    enlist->peer, CN_LOG_STR(enlist->end.joined.gateway),
		    enlist->identity);
	} else {
		CN_LOG(CN_LOG_WARN, "join-failed", "peer=%s address=%s text=%s",
		    CN_LOG_STR(enlist->peer),
		    CN_LOG_STR(enlist->token.endpoint),
		    CN_LOG_STR(enlist->end.text));
	}
	enlist->told(&enlist->end, enlist->owner);
	cn_diag_fini(&enlist->end.diags);
	cn_snap_join_clear(&enlist->end.joined);
	explicit_bzero(enlist, sizeof(*enlist));
	cn_free(enlist);
}

static void CN_PRINTF(3, 4) fail(
    struct cn_enlist *enlist, enum cn_reply_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set_end(&enlist->end, code, fmt, args);
	va_end(args);
	finish(enlist);
}

/* Tell the inviter that it is off, and why. */
static void
say_refused(struct cn_enlist *enlist, enum cn_join_code code, const char *text)
{
	struct cn_join message = { .type = CN_JOIN_REFUSED, .code = code };

	cn_snap_text(message.text, sizeof(message.text), text);
	/* One that is gone need not hear it. */
	(void)!cn_pairing_send(enlist->pairing, &message);
}

/* ---- what we would write ---- */

static struct cn_amend
amend_of(struct cn_enlist *enlist,
    struct cn_managed_service services[CN_REQUEST_ITEMS_MAX])
{
	for (size_t i = 0; i < enlist->forwards; i++) {
		services[i] = (struct cn_managed_service){
			.name = enlist->names[i],
			.listen = enlist->listens[i],
			.peer = enlist->peer,
			.offer = enlist->names[i],
		};
	}
	return (struct cn_amend){
		.peer = { .name = enlist->peer,
		    .identity = enlist->identity,
		    .address = enlist->token.endpoint },
		.services = services,
		.services_count = enlist->forwards,
	};
}

static bool
is_offered(const struct cn_join *welcome, const char *name)
{
	for (uint32_t i = 0; i < welcome->offers_count; i++) {
		if (strcmp(welcome->offers[i], name) == 0) {
			return true;
		}
	}
	return false;
}

static struct cn_snap_name *
copy_names(const char *names, size_t count, size_t stride)
{
	struct cn_snap_name *list = cn_calloc(count + 1, sizeof(*list));

	for (size_t i = 0; list != NULL && i < count; i++) {
		cn_snap_text(
		    list[i].name, sizeof(list[i].name), names + i * stride);
	}
	return list;
}

static bool
note_welcome(struct cn_enlist *enlist, const struct cn_join *welcome)
{
	struct cn_snap_join *joined = &enlist->end.joined;

	cn_snap_text(joined->peer, sizeof(joined->peer), enlist->peer);
	cn_snap_text(joined->gateway, sizeof(joined->gateway), welcome->name);
	cn_snap_text(
	    joined->address, sizeof(joined->address), enlist->token.endpoint);
	cn_snap_text(
	    joined->identity, sizeof(joined->identity), enlist->identity);
	joined->offers = copy_names(welcome->offers[0], welcome->offers_count,
	    sizeof(welcome->offers[0]));
	joined->services = copy_names(
	    enlist->names[0], enlist->forwards, sizeof(enlist->names[0]));
	if (joined->offers == NULL || joined->services == NULL) {
		return false;
	}
	joined->offers_count = welcome->offers_count;
	joined->services_count = enlist->forwards;
	return true;
}

/* Is it the inviter that knows the secret, too? */
static bool
is_proved(struct cn_enlist *enlist, const struct cn_join *welcome)
{
	struct cn_token_bond bond;
	uint8_t proof[CN_TOKEN_PROOF_BYTES];

	memcpy(bond.joiner, enlist->daemon->shared.own, CN_IDENTITY_BYTES);
	memcpy(bond.inviter, enlist->token.identity, CN_IDENTITY_BYTES);
	return cn_pairing_exporter(enlist->pairing, bond.exporter) == CN_OK &&
	    cn_token_prove(enlist->trace.key, CN_TOKEN_INVITER, &bond, proof) ==
	    CN_OK &&
	    CRYPTO_memcmp(proof, welcome->proof, sizeof(proof)) == 0;
}

/* ---- steps ---- */

static void
on_welcome(struct cn_enlist *enlist, const struct cn_join *welcome)
{
	struct cn_managed_service services[CN_REQUEST_ITEMS_MAX];
	struct cn_join message = { .type = CN_JOIN_READY };
	struct cn_amend amend = amend_of(enlist, services);
	char text[CN_DIAG_TEXT_MAX];
	int err;

	if (!is_proved(enlist, welcome)) {
		fail(enlist, CN_REPLY_REFUSED,
		    "the other gateway does not know the token's secret");
		return;
	}
	for (size_t i = 0; i < enlist->forwards; i++) {
		if (!is_offered(welcome, enlist->names[i])) {
			say_refused(enlist, CN_JOIN_CODE_CONFIG,
			    "a forward to what is not offered");
			fail(enlist, CN_REPLY_REFUSED,
			    "the other gateway does not offer '%s'; nothing "
			    "was written, and the token is still good",
			    enlist->names[i]);
			return;
		}
	}
	err = note_welcome(enlist, welcome)
	    ? cn_amend_try(enlist->daemon, &amend, &enlist->end.diags)
	    : CN_ENOMEM;
	if (err != CN_OK) {
		cn_amend_words(&enlist->end.diags, err, text, sizeof(text));
		say_refused(enlist, CN_JOIN_CODE_CONFIG, text);
		fail(enlist,
		    err == CN_ECONFIG ? CN_REPLY_CONFIG : CN_REPLY_INTERNAL,
		    "with this peer the configuration would have errors; "
		    "nothing was written, and the token is still good");
		return;
	}
	enlist->step = READY;
	err = cn_pairing_send(enlist->pairing, &message);
	if (err != CN_OK) {
		fail(enlist, CN_REPLY_REFUSED, "the other gateway is gone: %s",
		    cn_err_text(err));
	}
}

/* The inviter has written us down: our turn. */
static void
on_written(struct cn_enlist *enlist)
{
	struct cn_managed_service services[CN_REQUEST_ITEMS_MAX];
	struct cn_join message = { .type = CN_JOIN_WRITTEN };
	struct cn_amend amend = amend_of(enlist, services);
	char text[CN_DIAG_TEXT_MAX];
	int err = cn_amend_add(enlist->daemon, &amend, &enlist->end.diags);

	if (err != CN_OK) {
		cn_amend_words(&enlist->end.diags, err, text, sizeof(text));
		say_refused(enlist, CN_JOIN_CODE_WRITE, text);
		fail(enlist,
		    err == CN_ECONFIG ? CN_REPLY_CONFIG : CN_REPLY_INTERNAL,
		    "the peer could not be written down; the other gateway "
		    "takes it back: mend this, and ask for a new token");
		return;
	}
	/* Should it not arrive, the inviter logs that and keeps us. */
	(void)!cn_pairing_send(enlist->pairing, &message);
	enlist->end.code = CN_REPLY_OK;
	finish(enlist);
}

static void
on_message(void *owner, const struct cn_join *message)
{
	struct cn_enlist *enlist = owner;

	if (message->type == CN_JOIN_REFUSED) {
		fail(enlist, CN_REPLY_REFUSED, "the other gateway says: %s",
		    message->text[0] != '\0'
			? message->text
			: cn_join_code_name(message->code));
	} else if (enlist->step == PROVED && message->type == CN_JOIN_WELCOME) {
		on_welcome(enlist, message);
	} else if (enlist->step == READY && message->type == CN_JOIN_WRITTEN) {
		on_written(enlist);
	} else {
		say_refused(enlist, CN_JOIN_CODE_PROTOCOL, "not now");
		fail(enlist, CN_REPLY_REFUSED,
		    "the other gateway speaks another protocol");
	}
}

static void
on_ready(void *owner)
{
	struct cn_enlist *enlist = owner;
	struct cn_join message = { .type = CN_JOIN_PROOF,
		.version = CN_JOIN_VERSION };
	struct cn_token_bond bond;
	int err = cn_pairing_exporter(enlist->pairing, bond.exporter);

	memcpy(bond.joiner, enlist->daemon->shared.own, CN_IDENTITY_BYTES);
	memcpy(bond.inviter, enlist->token.identity, CN_IDENTITY_BYTES);
	if (err == CN_OK) {
		err = cn_token_prove(
		    enlist->trace.key, CN_TOKEN_JOINER, &bond, message.proof);
	}
	memcpy(message.id, enlist->trace.id, CN_JOIN_ID_BYTES);
	cn_snap_text(message.name, sizeof(message.name),
	    enlist->daemon->plan->config->gateway.name);
	enlist->step = PROVED;
	if (err == CN_OK) {
		err = cn_pairing_send(enlist->pairing, &message);
	}
	if (err != CN_OK) {
		fail(enlist, CN_REPLY_REFUSED, "cannot join: %s",
		    cn_err_text(err));
	}
}

static const char *
why_text(int why)
{
	switch (why) {
	case CN_ENOENT:
		return "it has no invitation open: the token was used or has "
		       "expired; ask for a new one";
	case CN_EPEER:
		return "another gateway answers there than the one that made "
		       "the token";
	case CN_EPROTO:
		return "what answers there is no gateway that joins";
	case CN_ETIMEDOUT:
		return "it did not answer in time";
	case CN_ECLOSED:
	case CN_EPIPE:
	case CN_ECONNRESET:
		return "it hung up without a word: too many attempts perhaps, "
		       "or no gateway";
	default:
		return cn_err_text(why);
	}
}

static void
on_end(void *owner, int why)
{
	struct cn_enlist *enlist = owner;

	fail(enlist, CN_REPLY_REFUSED, "%s: %s%s", enlist->token.endpoint,
	    why_text(why),
	    enlist->step == READY
		? "; it may have written this gateway down already: "
		  "`compressnet peers remove' there, and a new token"
		: "");
}

static const struct cn_pairing_ops ops = {
	.on_ready = on_ready,
	.on_message = on_message,
	.on_end = on_end,
};

static void
on_dialled(void *owner, const struct cn_dialer_result *result)
{
	struct cn_enlist *enlist = owner;
	int err;

	enlist->dial = NULL;
	if (result->fd < 0) {
		fail(enlist, CN_REPLY_REFUSED, "cannot reach %s: %s",
		    enlist->token.endpoint,
		    result->text != NULL ? result->text
					 : cn_err_text(result->err));
		return;
	}
	enlist->step = SHAKE;
	err = cn_pairing_dial(&enlist->daemon->loop, enlist->daemon->shared.tls,
	    result->fd, enlist->token.identity, &ops, enlist, &enlist->pairing);
	if (err != CN_OK) {
		(void)close(result->fd);
		fail(enlist, CN_REPLY_INTERNAL, "%s", cn_err_text(err));
	}
}

/* ---- the beginning ---- */

static int CN_PRINTF(3, 4) refuse(
    struct cn_enlist_end *end, enum cn_reply_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set_end(end, code, fmt, args);
	va_end(args);
	return CN_EINVAL;
}

static int
take_forwards(struct cn_enlist *enlist, const struct cn_request *request,
    struct cn_enlist_end *end)
{
	for (uint32_t i = 0; i < request->items_count; i++) {
		const char *item = request->items[i];
		size_t len = strcspn(item, "=");

		if (len == 0 || len >= CN_SNAP_NAME || item[len] == '\0' ||
		    item[len + 1] == '\0') {
			return refuse(end, CN_REPLY_BAD_REQUEST,
			    "forward '%.80s': NAME=ADDRESS:PORT is expected",
			    item);
		}
		memcpy(enlist->names[i], item, len);
		cn_snap_text(
		    enlist->listens[i], CN_REQUEST_ITEM_MAX, item + len + 1);
		enlist->forwards++;
	}
	return CN_OK;
}

static int
take_request(struct cn_enlist *enlist, const struct cn_request *request,
    struct cn_addr *addr, struct cn_enlist_end *end)
{
	char why[CN_IDENT_WHY_MAX];
	const char *reason = "";

	if (enlist->daemon->enlist != NULL) {
		return refuse(end, CN_REPLY_BUSY,
		    "this gateway is joining another right now");
	}
	if (cn_token_parse(request->token, &enlist->token, why, sizeof(why)) !=
	    CN_OK) {
		return refuse(end, CN_REPLY_BAD_REQUEST, "%.300s", why);
	}
	if (cn_identity_equal(
		enlist->token.identity, enlist->daemon->shared.own)) {
		return refuse(end, CN_REPLY_BAD_REQUEST,
		    "this gateway made the token itself: give it to another");
	}
	if (cn_addr_parse(enlist->token.endpoint, CN_ADDR_TO_REACH, addr,
		&reason) != CN_OK) {
		return refuse(end, CN_REPLY_BAD_REQUEST,
		    "the token's address %s: %s", enlist->token.endpoint,
		    reason);
	}
	cn_identity_format(enlist->token.identity, enlist->identity);
	cn_snap_text(enlist->peer, sizeof(enlist->peer), request->peer);
	return take_forwards(enlist, request, end);
}

int
cn_enlist_start(struct cn_daemon *daemon, const struct cn_request *request,
    void (*told)(const struct cn_enlist_end *end, void *owner), void *owner,
    struct cn_enlist_end *end)
{
	struct cn_dialer_options options = { .is_reserved = true };
	struct cn_enlist *enlist = cn_calloc(1, sizeof(*enlist));
	struct cn_addr addr;
	int err;

	if (enlist == NULL) {
		return CN_ENOMEM;
	}
	enlist->daemon = daemon;
	enlist->told = told;
	enlist->owner = owner;
	cn_diag_init(&enlist->end.diags);
	err = take_request(enlist, request, &addr, end);
	if (err == CN_OK) {
		err = cn_token_trace(enlist->token.secret, &enlist->trace);
	}
	if (err == CN_OK) {
		err = cn_dialer_start(&daemon->loop, &addr, &options,
		    on_dialled, enlist, &enlist->dial);
	}
	if (err != CN_OK) {
		explicit_bzero(enlist, sizeof(*enlist));
		cn_free(enlist);
		return err;
	}
	daemon->enlist = enlist;
	return CN_OK;
}

void
cn_enlist_cancel(struct cn_daemon *daemon)
{
	if (daemon->enlist != NULL) {
		fail(daemon->enlist, CN_REPLY_BUSY, "the gateway goes down");
	}
}
