/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/linkhost.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/rand.h"

/*
 * The slots of a link: dialling, carriers that live, carriers that are lost.
 */

/* ---- carriers that live ---- */

static int
on_bytes(
    struct cn_carrier *carrier, const uint8_t *bytes, size_t len, size_t *used)
{
	struct cn_linkhost_slot *slot = cn_carrier_owner(carrier);
	int err = cn_link_receive(
	    slot->host->link, slot->index, bytes, len, cn_clock_us(), used);

	/* On errors an event tells why, in the turn. */
	cn_linkhost_touch(slot->host);
	return err;
}

static void
on_writable(struct cn_carrier *carrier)
{
	struct cn_linkhost_slot *slot = cn_carrier_owner(carrier);

	cn_linkhost_touch(slot->host);
}

static void
on_path(struct cn_carrier *carrier, uint64_t rate_bps, uint64_t rtt_us)
{
	struct cn_linkhost_slot *slot = cn_carrier_owner(carrier);

	slot->rate_bps = rate_bps;
	slot->rtt_us = rtt_us;
}

static void
on_live_end(struct cn_carrier *carrier, int why)
{
	struct cn_linkhost_slot *slot = cn_carrier_owner(carrier);

	cn_linkhost_lost(slot, why, cn_carrier_detail(carrier));
	cn_linkhost_touch(slot->host);
}

static size_t
pull(struct cn_carrier *carrier, uint8_t *out, size_t cap)
{
	struct cn_linkhost_slot *slot = cn_carrier_owner(carrier);

	cn_link_path(slot->host->link, slot->index, slot->rate_bps,
	    slot->rtt_us, cn_carrier_is_busy(carrier));
	return cn_link_pull(
	    slot->host->link, slot->index, out, cap, cn_clock_us());
}

const struct cn_carrier_ops cn_linkhost_carrier_ops = {
	.on_bytes = on_bytes,
	.on_writable = on_writable,
	.on_path = on_path,
	.on_end = on_live_end,
	.pull = pull,
};

/* The first carrier of the link is up. */
static void
tell_up(struct cn_linkhost *host, const struct cn_hello *hello, bool is_first,
    uint64_t now)
{
	if (is_first) {
		cn_linkhost_tell(host, CN_EVENT_PEER_UP,
		    "gateway %.63s, dialled %s", hello->name,
		    host->is_dialler ? "here" : "there");
	}
	if (host->was_up && host->down_us != 0) {
		cn_linkhost_tell(host, CN_EVENT_LINK_RESUMED,
		    "after %llu ms without a carrier, %zu streams",
		    (unsigned long long)((now - host->down_us) / 1000),
		    cn_link_streams(host->link));
	}
}

/* Some slot came up, or the last went down: why. */
static void
note_up(struct cn_linkhost *host, uint64_t now, const char *why)
{
	bool is_up = false;

	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		is_up |= host->slot[i].is_live;
	}
	if (is_up) {
		host->down_us = 0;
	} else if (host->down_us == 0) {
		host->down_us = now;
		if (cn_registry_down(
			host->worker->shared->registry, host->entry)) {
			cn_linkhost_tell(
			    host, CN_EVENT_PEER_DOWN, "%.160s", why);
		}
	}
}

void
cn_linkhost_live(struct cn_linkhost_slot *slot, const struct cn_hello *peer)
{
	struct cn_linkhost *host = slot->host;
	struct cn_worker *worker = host->worker;
	bool is_resume = slot->up_us != 0;
	uint64_t now = cn_clock_us();
	bool is_other, is_first;

	slot->is_live = true;
	slot->farewell = CN_CLOSE_OK;
	slot->pause_us = 0;
	slot->up_us = now;
	slot->error[0] = '\0';
	is_other = cn_registry_up(
	    worker->shared->registry, host->entry, peer, &is_first);
	tell_up(host, peer, is_first, now);
	host->was_up = true;
	note_up(host, now, "");
	if (is_other) {
		cn_worker_sweep(worker->shared, host->peer);
	}
	cn_counter_add(worker->counters, CN_COUNTER_CARRIER_UPS, 1);
	if (is_resume) {
		cn_counter_add(worker->counters, CN_COUNTER_CARRIER_RESUMES, 1);
	}
	if (!cn_log_limited(&slot->up_limit, now)) {
		CN_LOG(CN_LOG_INFO, "carrier-up",
		    "peer=%s slot=%u generation=%llu dialled=%s worker=%u",
		    host->name, slot->index,
		    (unsigned long long)slot->generation,
		    host->is_dialler ? "here" : "there", worker->index);
	}
	cn_linkhost_touch(host);
}

/* ---- pauses between dials ---- */

/* Half to one and a half of it, so that many do not come at once. */
static uint64_t
jitter(uint64_t pause_us)
{
	return pause_us / 2 + cn_rand_u64() % (pause_us + 1);
}

static void
dial_after(struct cn_linkhost_slot *slot, uint64_t pause_us)
{
	uint64_t now = cn_clock_us();

	slot->dial_us = now + pause_us;
	(void)uv_timer_start(
	    &slot->timer, cn_linkhost_on_timer, (pause_us + 999) / 1000, 0);
}

/* Is that an end which a further dial at once could only repeat? */
static bool
is_refusal(int why)
{
	return why == CN_EKEY || why == CN_EACCES || why == CN_EPEER ||
	    why == CN_EPROTO || why == CN_ETLS;
}

static void
back_off(struct cn_linkhost_slot *slot, bool is_refused)
{
	uint64_t max = slot->host->worker->plan->config->carrier.redial_max_us;

	if (is_refused) {
		slot->pause_us = max;
	} else if (slot->pause_us == 0) {
		slot->pause_us = CN_LINKHOST_PAUSE_US;
	} else {
		slot->pause_us = CN_MIN(slot->pause_us * 2, max);
	}
	dial_after(slot, jitter(slot->pause_us));
}

void
cn_linkhost_on_timer(uv_timer_t *timer)
{
	struct cn_linkhost_slot *slot = timer->data;

	cn_linkhost_dial(slot);
}

static void
dial_failed(struct cn_linkhost_slot *slot, bool is_refused, const char *why)
{
	struct cn_linkhost *host = slot->host;
	uint64_t now = cn_clock_us();

	(void)snprintf(slot->error, sizeof(slot->error), "%s", why);
	cn_registry_set_error(
	    host->worker->shared->registry, host->peer, slot->error);
	if (!cn_log_limited(&slot->lost_limit, now)) {
		CN_LOG(CN_LOG_WARN, "carrier-failed",
		    "peer=%s slot=%u error=%s", host->name, slot->index,
		    CN_LOG_STR(slot->error));
	}
	cn_linkhost_tell(host, CN_EVENT_CARRIER_FAILED, "slot %u: %.160s",
	    slot->index, slot->error);
	back_off(slot, is_refused);
}

/* ---- losing ---- */

/* Close the carrier, say a last word, remember what it moved. */
static void
close_carrier(struct cn_linkhost_slot *slot, enum cn_close code)
{
	struct cn_worker *worker = slot->host->worker;
	uint8_t farewell[512];
	struct cn_carrier_stats stats;
	size_t len = 0;

	if (slot->carrier == NULL) {
		return;
	}
	if (slot->is_live && code != CN_CLOSE_OK) {
		len = cn_link_farewell(
		    farewell, sizeof(farewell), code, cn_close_name(code));
	}
	cn_carrier_stats(slot->carrier, &stats);
	slot->wan_in += stats.bytes_in;
	slot->wan_out += stats.bytes_out;
	cn_counter_add(worker->counters, CN_COUNTER_WAN_IN, stats.bytes_in);
	cn_counter_add(worker->counters, CN_COUNTER_WAN_OUT, stats.bytes_out);
	cn_counter_add(
	    worker->counters, CN_COUNTER_CARRIER_REKEYS, stats.rekeys);
	cn_carrier_close(&slot->carrier, farewell, len);
}

void
cn_linkhost_lost(struct cn_linkhost_slot *slot, int why, const char *detail)
{
	struct cn_linkhost *host = slot->host;
	uint64_t now = cn_clock_us();

	assert(slot->is_live && slot->carrier != NULL);
	cn_counter_add(host->worker->counters, CN_COUNTER_CARRIER_LOSSES, 1);
	if (!cn_log_limited(&slot->lost_limit, now)) {
		CN_LOG(CN_LOG_INFO, "carrier-lost",
		    "peer=%s slot=%u error=%s detail=%s", host->name,
		    slot->index, CN_LOG_STR(cn_err_text(why)),
		    CN_LOG_STR(detail));
	}
	cn_linkhost_tell(host, CN_EVENT_CARRIER_LOST, "slot %u: %s%s%.100s",
	    slot->index, cn_err_text(why), detail != NULL ? ": " : "",
	    detail != NULL ? detail : "");
	close_carrier(slot, slot->farewell);
	slot->is_live = false;
	cn_link_detach(host->link, slot->index, now);
	note_up(host, now, detail != NULL ? detail : cn_err_text(why));
	if (host->is_dialler && !host->is_ended) {
		if (why == CN_EPROTO) {
			dial_failed(slot, true,
			    detail != NULL ? detail : cn_err_text(why));
		} else {
			dial_after(slot, 0); /* at once, from the loop */
		}
	}
	cn_linkhost_touch(host);
}

void
cn_linkhost_shut(struct cn_linkhost_slot *slot, enum cn_close code)
{
	struct cn_linkhost *host = slot->host;
	uint64_t now = cn_clock_us();

	cn_dialer_cancel(&slot->dial);
	(void)uv_timer_stop(&slot->timer);
	slot->dial_us = 0;
	close_carrier(slot, code);
	if (slot->is_live) {
		slot->is_live = false;
		cn_link_detach(host->link, slot->index, now);
		note_up(host, now, cn_close_name(code));
	}
}

/* ---- dialling ---- */

static void on_hello(struct cn_carrier *carrier, const struct cn_hello *hello);

static void
on_shake_end(struct cn_carrier *carrier, int why)
{
	struct cn_linkhost_slot *slot = cn_carrier_owner(carrier);
	const char *detail = cn_carrier_detail(carrier);
	const char *text = cn_err_text(why);

	switch (why) {
	case CN_EKEY:
		text = "the gateway there has another key than the "
		       "identity in the configuration";
		break;
	case CN_EACCES:
		text = "the gateway there does not know our identity";
		break;
	case CN_EPIPE:
	case CN_ECLOSED:
		text = "the connection was closed during the handshake";
		break;
	case CN_ETIMEDOUT:
		text = "the handshake took too long";
		break;
	case CN_EPEER:
	case CN_EPROTO:
	case CN_ETLS:
		text = detail != NULL ? detail : text;
		break;
	default:
		break;
	}
	cn_counter_add(
	    slot->host->worker->counters, CN_COUNTER_HANDSHAKE_FAILURES, 1);
	close_carrier(slot, CN_CLOSE_OK);
	dial_failed(slot, is_refusal(why), text);
}

static const struct cn_carrier_ops shake_ops = {
	.on_hello = on_hello,
	.on_bytes = on_bytes,
	.on_writable = on_writable,
	.on_path = on_path,
	.on_end = on_shake_end,
	.pull = pull,
};

/* The peer has forgotten the link, or is another process: all is lost. */
static void
forgotten(struct cn_linkhost *host)
{
	struct cn_worker *worker = host->worker;

	CN_LOG(CN_LOG_WARN, "link-lost", "peer=%s reason=unknown-to-peer",
	    host->name);
	cn_linkhost_tell(host, CN_EVENT_LINK_LOST,
	    "the gateway there does not know it any more");
	cn_counter_add(worker->counters, CN_COUNTER_LINKS_LOST, 1);
	cn_linkhost_end(host, CN_RESET_LINK_LOST, CN_CLOSE_LINK_UNKNOWN);
	cn_worker_make_links(worker->shared);
}

static void
refused(struct cn_linkhost_slot *slot, const struct cn_hello *hello)
{
	struct cn_linkhost *host = slot->host;
	struct cn_worker *worker = host->worker;
	char text[CN_TEXT_MAX * 2];

	close_carrier(slot, CN_CLOSE_OK);
	switch (hello->status) {
	case CN_CLOSE_LINK_UNKNOWN:
		forgotten(host);
		return;
	case CN_CLOSE_REPLACED:
		/* It dials us: give way. */
		cn_registry_hold(worker->shared->registry, host->peer,
		    cn_clock_us() + CN_REGISTRY_HOLD_US);
		cn_linkhost_end(host, CN_RESET_LINK_LOST, CN_CLOSE_REPLACED);
		return;
	default:
		break;
	}
	(void)snprintf(text, sizeof(text), "refused by the peer: %s (%s)",
	    cn_close_name(hello->status), hello->text);
	dial_failed(slot,
	    hello->status != CN_CLOSE_STALE &&
		hello->status != CN_CLOSE_SHUTDOWN,
	    text);
}

/* The other slots follow once the link is known there. */
static void
dial_others(struct cn_linkhost *host)
{
	cn_linkhost_replan(host);
	cn_worker_make_links(host->worker->shared);
}

static void
on_hello(struct cn_carrier *carrier, const struct cn_hello *hello)
{
	struct cn_linkhost_slot *slot = cn_carrier_owner(carrier);
	struct cn_linkhost *host = slot->host;
	bool was_up = host->was_up;
	int err;

	if (hello->status != CN_CLOSE_OK) {
		refused(slot, hello);
		return;
	}
	if (was_up &&
	    memcmp(hello->boot_id, host->peer_boot, CN_BOOT_ID_BYTES) != 0) {
		forgotten(host);
		return;
	}
	err = cn_link_attach(
	    host->link, slot->index, slot->generation, hello, cn_clock_us());
	if (err != CN_OK) {
		close_carrier(slot, CN_CLOSE_OK);
		dial_failed(slot, false, cn_err_text(err));
		return;
	}
	memcpy(host->peer_boot, hello->boot_id, CN_BOOT_ID_BYTES);
	cn_carrier_set_owner(carrier, &cn_linkhost_carrier_ops, slot);
	cn_carrier_go(carrier);
	cn_linkhost_live(slot, hello);
	if (!was_up) {
		dial_others(host);
	}
}

static int
start_carrier(struct cn_linkhost_slot *slot, int fd)
{
	struct cn_linkhost *host = slot->host;
	struct cn_hello hello;

	cn_linkhost_hello(host->worker, &hello);
	memcpy(hello.peer, host->peer, CN_IDENTITY_BYTES);
	memcpy(hello.link_id, host->id, CN_LINK_ID_BYTES);
	hello.slot = slot->index;
	hello.generation = ++slot->generation;
	if (!host->was_up) {
		hello.flags |= CN_HELLO_NEW_LINK;
	}
	return cn_carrier_create(&host->worker->carriers, &shake_ops, slot, fd,
	    &hello, &slot->carrier);
}

static void
on_dialled(void *owner, const struct cn_dialer_result *result)
{
	struct cn_linkhost_slot *slot = owner;
	int fd = result->fd;
	int err;

	slot->dial = NULL;
	if (fd < 0) {
		dial_failed(slot, false,
		    result->text != NULL ? result->text
					 : cn_err_text(result->err));
		return;
	}
	err = start_carrier(slot, fd);
	if (err != CN_OK) {
		(void)close(fd);
		dial_failed(slot, false, cn_err_text(err));
	}
}

void
cn_linkhost_dial(struct cn_linkhost_slot *slot)
{
	struct cn_linkhost *host = slot->host;
	struct cn_worker *worker = host->worker;
	const struct cn_plan_peer *peer =
	    cn_plan_peer(worker->plan, host->peer);
	struct cn_dialer_options options = { .is_reserved = true };
	int err;

	assert(slot->carrier == NULL && slot->dial == NULL);
	slot->dial_us = 0;
	if (peer == NULL || !peer->has_address || worker->is_stopping) {
		return; /* a reload may change that: see replan */
	}
	options.timeout_us = worker->plan->config->carrier.connect_timeout_us;
	cn_counter_add(worker->counters, CN_COUNTER_CARRIER_DIALS, 1);
	err = cn_dialer_start(&worker->loop, &peer->address, &options,
	    on_dialled, slot, &slot->dial);
	if (err != CN_OK) {
		dial_failed(slot, false, cn_err_text(err));
	}
}
