/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/guest.h"

#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/events.h"
#include "gateway/invite.h"
#include "gateway/linkhost.h"
#include "net/gate.h"

struct guest {
	struct cn_list item; /* in the worker's guests */
	struct cn_worker *worker;
	struct cn_carrier *carrier; /* owned */
	struct cn_sockaddr from;
};

static void
leave(struct guest *guest, enum cn_gate_end end)
{
	cn_gate_leave(guest->worker->shared->gate, &guest->from.u.any, end,
	    cn_clock_us());
	cn_list_remove(&guest->item);
	cn_free(guest);
}

static void
count_end(struct cn_worker *worker, enum cn_gate_end end)
{
	cn_counter_add(worker->counters,
	    end == CN_GATE_TIMEOUT        ? CN_COUNTER_HANDSHAKE_TIMEOUTS
		: end == CN_GATE_UNPINNED ? CN_COUNTER_UNKNOWN_PEERS
		: end == CN_GATE_HELLO    ? CN_COUNTER_HELLO_REFUSALS
					  : CN_COUNTER_HANDSHAKE_FAILURES,
	    1);
}

/* An owner of an old token wonders; strangers do not fill the log. */
static void
log_uninvited(const struct guest *guest)
{
	static const struct cn_log_limit each_ten = { .interval_us =
							  10000000u };
	static _Thread_local struct cn_log_limit limit;
	char from[CN_ADDR_TEXT_MAX];

	if (limit.interval_us == 0) {
		limit = each_ten;
	}
	if (!cn_log_limited(&limit, cn_clock_us())) {
		CN_LOG(CN_LOG_WARN, "join-refused", "from=%s reason=closed",
		    cn_sockaddr_format(&guest->from, true, from, sizeof(from)));
	}
}

static void
tell_stranger(const struct guest *guest)
{
	struct cn_events_about about = { 0 };
	char from[CN_ADDR_TEXT_MAX];

	about.source =
	    cn_sockaddr_format(&guest->from, false, from, sizeof(from));
	cn_events_add(guest->worker->shared->events, CN_EVENT_HANDSHAKE_REFUSED,
	    &about, "from %.100s: its identity is of no peer here", from);
}

static void
on_end(struct cn_carrier *carrier, int why)
{
	struct guest *guest = cn_carrier_owner(carrier);
	enum cn_gate_end end = cn_carrier_gate_end(carrier);

	(void)why;
	count_end(guest->worker, end);
	if (end == CN_GATE_UNPINNED) {
		tell_stranger(guest);
	} else if (end == CN_GATE_JOIN) {
		log_uninvited(guest);
	}
	cn_carrier_close(&guest->carrier, NULL, 0);
	leave(guest, end);
}

/* ---- to its link ---- */

/* Runs in the worker that owns the link, or shall. */
static void
settle(struct cn_worker *worker, struct cn_carrier **cp)
{
	struct cn_hello hello = *cn_carrier_hello(*cp);
	bool is_new = (hello.flags & CN_HELLO_NEW_LINK) != 0;
	struct cn_linkhost *host =
	    cn_linkhost_find(worker, hello.identity, hello.link_id);
	struct cn_registry_link *entry;
	int err;

	if (host != NULL && is_new) {
		/* The peer never heard that it was made: begin afresh. */
		cn_linkhost_end(host, CN_RESET_LINK_LOST, CN_CLOSE_REPLACED);
		host = NULL;
	}
	if (host == NULL && !is_new) {
		cn_linkhost_refuse(
		    worker, cp, CN_CLOSE_LINK_UNKNOWN, "no such link any more");
		return;
	}
	if (host == NULL) {
		entry = cn_registry_claim(worker->shared->registry,
		    hello.identity, hello.link_id, worker->index);
		err = entry == NULL ? CN_ENOMEM
				    : cn_linkhost_create(worker, entry, &host);
		if (err != CN_OK) {
			cn_registry_remove(
			    worker->shared->registry, &entry, cn_clock_us());
			cn_linkhost_refuse(
			    worker, cp, CN_CLOSE_LIMIT, cn_err_text(err));
			return;
		}
	}
	(void)cn_linkhost_accept(host, cp);
}

struct handover {
	struct cn_task task;
	struct cn_carrier_parcel *parcel; /* owned */
};

static void
drop_handover(struct cn_task *task)
{
	struct handover *handover =
	    CN_CONTAINER_OF(task, struct handover, task);

	cn_carrier_parcel_free(&handover->parcel);
	cn_free(handover);
}

static void
run_handover(struct cn_task *task, void *owner)
{
	struct cn_worker *worker = owner;
	struct handover *handover =
	    CN_CONTAINER_OF(task, struct handover, task);
	struct cn_carrier *carrier = NULL;

	if (!worker->is_stopping &&
	    cn_carrier_adopt(&worker->carriers, &cn_linkhost_carrier_ops, NULL,
		&handover->parcel, &carrier) == CN_OK) {
		settle(worker, &carrier);
	}
	drop_handover(task);
}

/* Give the carrier to another worker; true when it is on its way. */
static bool
hand_over(struct cn_worker *to, struct cn_carrier **cp)
{
	struct handover *handover = cn_calloc(1, sizeof(*handover));

	if (handover == NULL) {
		return false;
	}
	if (cn_carrier_part(cp, &handover->parcel) != CN_OK) {
		cn_free(handover);
		return false;
	}
	handover->task.run = run_handover;
	handover->task.drop = drop_handover;
	cn_worker_post(to, &handover->task);
	return true;
}

static void
on_hello(struct cn_carrier *carrier, const struct cn_hello *hello)
{
	struct guest *guest = cn_carrier_owner(carrier);
	struct cn_worker *worker = guest->worker;
	struct cn_registry_route route;

	cn_registry_route(worker->shared->registry, hello, &route);
	if (route.status != CN_CLOSE_OK) {
		CN_LOG(CN_LOG_INFO, "hello-refused", "from=%s status=%s",
		    CN_LOG_STR(hello->name), cn_close_name(route.status));
		cn_linkhost_refuse(
		    worker, &guest->carrier, route.status, route.text);
		/* Authenticated it is, so this is no failure to punish: a
		 * peer that restarted comes with an unknown link. */
		leave(guest, CN_GATE_ACCEPTED);
		return;
	}
	if (route.worker == worker->index) {
		settle(worker, &guest->carrier);
	} else if (hand_over(
		       worker->shared->worker[route.worker], &guest->carrier)) {
		cn_counter_add(worker->counters, CN_COUNTER_HANDOVERS, 1);
	} else {
		cn_linkhost_refuse(
		    worker, &guest->carrier, CN_CLOSE_LIMIT, "out of memory");
	}
	leave(guest, CN_GATE_ACCEPTED);
}

/* Not a peer yet: the main thread goes on, and leaves the gate. */
static void
on_join(struct cn_carrier *carrier)
{
	struct guest *guest = cn_carrier_owner(carrier);
	struct cn_worker *worker = guest->worker;
	struct cn_carrier_tls tls = { .fd = -1 };

	if (cn_carrier_yield(&guest->carrier, &tls) != CN_OK) {
		cn_carrier_close(&guest->carrier, NULL, 0);
		leave(guest, CN_GATE_CUT);
		return;
	}
	cn_invite_bring(worker->shared, &tls, &guest->from);
	cn_list_remove(&guest->item);
	cn_free(guest);
}

static const struct cn_carrier_ops guest_ops = {
	.on_hello = on_hello,
	.on_join = on_join,
	.on_end = on_end,
};

/* ---- the door ---- */

void
cn_guest_accept(
    struct cn_worker *worker, const struct cn_listener_accepted *accepted)
{
	struct cn_gate *gate = worker->shared->gate;
	uint64_t now = cn_clock_us();
	struct guest *guest;

	cn_counter_add(worker->counters, CN_COUNTER_CARRIER_ACCEPTS, 1);
	if (cn_gate_enter(gate, &accepted->peer.u.any, now) != CN_OK) {
		cn_counter_add(
		    worker->counters, CN_COUNTER_HANDSHAKE_REFUSALS, 1);
		(void)close(accepted->fd);
		return;
	}
	guest = cn_calloc(1, sizeof(*guest));
	if (guest == NULL ||
	    cn_carrier_create(&worker->carriers, &guest_ops, guest,
		accepted->fd, NULL, &guest->carrier) != CN_OK) {
		cn_free(guest);
		(void)close(accepted->fd);
		cn_gate_leave(gate, &accepted->peer.u.any, CN_GATE_CUT, now);
		return;
	}
	guest->worker = worker;
	guest->from = accepted->peer;
	cn_list_init(&guest->item);
	cn_list_append(&worker->guests, &guest->item);
}

void
cn_guest_reap(struct cn_worker *worker)
{
	struct cn_list *item;

	while ((item = cn_list_first(&worker->guests)) != NULL) {
		struct guest *guest = CN_LIST_ENTRY(item, struct guest, item);

		cn_carrier_close(&guest->carrier, NULL, 0);
		leave(guest, CN_GATE_CUT);
	}
}
