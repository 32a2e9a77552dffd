/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "gateway/linkhost.h"
#include "gateway/session.h"
#include "net/tcpinfo.h"

#define TALLIES_FIRST 16u

/* ---- links ---- */

static void
to_hex(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15u];
	}
	out[2 * len] = '\0';
}

static void
name_socket(int fd, bool is_local, char *out, size_t cap)
{
	struct cn_sockaddr at = { .len = sizeof(at.u) };
	int err = is_local ? getsockname(fd, &at.u.any, &at.len)
			   : getpeername(fd, &at.u.any, &at.len);

	if (err == 0) {
		(void)cn_sockaddr_format(&at, true, out, cap);
	}
}

static enum cn_snap_state
slot_state(const struct cn_linkhost_slot *slot)
{
	if (slot->is_live) {
		return CN_SNAP_UP;
	}
	if (slot->carrier != NULL || slot->dial != NULL) {
		return CN_SNAP_DIALLING;
	}
	return slot->dial_us != 0 ? CN_SNAP_WAITING : CN_SNAP_DOWN;
}

static void
report_carrier(const struct cn_linkhost_slot *slot, uint64_t now,
    struct cn_snap_carrier *ret)
{
	struct cn_tcpinfo tcp;
	struct cn_carrier_stats stats = { 0 };

	ret->slot = slot->index;
	ret->state = slot_state(slot);
	ret->is_dialler = slot->host->is_dialler;
	ret->generation = slot->generation;
	ret->wan_sent = slot->wan_out;
	ret->wan_received = slot->wan_in;
	cn_snap_text(ret->error, sizeof(ret->error), slot->error);
	if (slot->dial_us > now) {
		ret->redial_us = slot->dial_us - now;
	}
	if (slot->carrier == NULL) {
		return;
	}
	cn_carrier_stats(slot->carrier, &stats);
	if (cn_tcpinfo_get(cn_carrier_fd(slot->carrier), &tcp) == CN_OK) {
		ret->segments_data = tcp.segments_data;
		ret->segments_resent = tcp.segments_resent;
	}
	ret->wan_sent += stats.bytes_out;
	ret->wan_received += stats.bytes_in;
	name_socket(
	    cn_carrier_fd(slot->carrier), true, ret->local, sizeof(ret->local));
	name_socket(cn_carrier_fd(slot->carrier), false, ret->remote,
	    sizeof(ret->remote));
	if (slot->is_live) {
		ret->age_us = now - slot->up_us;
		ret->rtt_us = stats.rtt_us;
		ret->rate_bps = stats.rate_bps;
	}
}

/* Has the slot anything to tell? */
static bool
is_used(const struct cn_linkhost_slot *slot)
{
	return slot->generation != 0 || slot->carrier != NULL ||
	    slot->dial != NULL || slot->dial_us != 0;
}

static enum cn_snap_state
link_state(const struct cn_linkhost *host, const struct cn_snap_link *link)
{
	size_t up = 0;
	bool is_dialling = false;

	for (size_t i = 0; i < link->carriers_count; i++) {
		up += link->carriers[i].state == CN_SNAP_UP;
		is_dialling |= link->carriers[i].state == CN_SNAP_DIALLING;
	}
	if (up > 0) {
		return host->entry->is_draining ? CN_SNAP_DRAINING
		    : up < link->carriers_count ? CN_SNAP_DEGRADED
						: CN_SNAP_UP;
	}
	if (host->was_up) {
		return CN_SNAP_RESUMING;
	}
	return is_dialling ? CN_SNAP_DIALLING : CN_SNAP_WAITING;
}

static int
report_carriers(
    const struct cn_linkhost *host, uint64_t now, struct cn_report_link *ret)
{
	struct cn_snap_link *link = &ret->link;

	link->carriers = cn_calloc(CN_LINK_SLOTS_MAX, sizeof(*link->carriers));
	if (link->carriers == NULL) {
		return CN_ENOMEM;
	}
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		const struct cn_linkhost_slot *slot = &host->slot[i];
		struct cn_snap_carrier *carrier =
		    &link->carriers[link->carriers_count];

		if (!is_used(slot)) {
			continue;
		}
		link->carriers_count++;
		report_carrier(slot, now, carrier);
		link->sent.wan += carrier->wan_sent;
		link->received.wan += carrier->wan_received;
		if (carrier->rtt_us != 0 &&
		    (ret->rtt_us == 0 || carrier->rtt_us < ret->rtt_us)) {
			ret->rtt_us = carrier->rtt_us;
		}
	}
	return CN_OK;
}

static uint64_t
sum(const uint64_t *values, size_t count)
{
	uint64_t total = 0;

	for (size_t i = 0; i < count; i++) {
		total += values[i];
	}
	return total;
}

static int
report_link(struct cn_linkhost *host, uint64_t now, struct cn_report_link *ret)
{
	struct cn_snap_link *link = &ret->link;
	struct cn_link_stats stats;
	int err;

	cn_link_stats(host->link, &stats);
	memcpy(ret->peer, host->peer, CN_IDENTITY_BYTES);
	to_hex(host->id, CN_LINK_ID_BYTES, link->id);
	link->worker = host->worker->index;
	link->age_us = now - host->born_us;
	link->down_us = host->down_us == 0 ? 0 : now - host->down_us;
	link->streams = cn_link_streams(host->link);
	link->streams_opened = stats.streams_opened;
	link->streams_accepted = stats.streams_accepted;
	link->resumes = stats.resumes;
	link->resent = stats.resent;
	link->nacks_sent = sum(stats.nacks_sent, CN_NACK_MAX);
	link->nacks_received = sum(stats.nacks_received, CN_NACK_MAX);
	link->misses_sent = stats.misses_sent;
	link->misses_received = stats.misses_received;
	link->is_coding_off = stats.is_coding_off;
	cn_tally_snap(&stats.sent, &link->sent);
	cn_tally_snap(&stats.received, &link->received);
	/* Of a link, wan is what its sockets moved. */
	link->sent.wan = link->received.wan = 0;
	err = report_carriers(host, now, ret);
	link->state = link_state(host, link);
	return err;
}

void
cn_report_count(const struct cn_link *link, uint64_t *counters)
{
	struct cn_link_stats stats;

	cn_link_stats(link, &stats);
	counters[CN_COUNTER_BLOCKS_SENT] += stats.blocks_sent;
	counters[CN_COUNTER_BLOCKS_RECEIVED] += stats.blocks_received;
	counters[CN_COUNTER_NACKS_SENT] += sum(stats.nacks_sent, CN_NACK_MAX);
	counters[CN_COUNTER_NACKS_RECEIVED] +=
	    sum(stats.nacks_received, CN_NACK_MAX);
	counters[CN_COUNTER_MISSES_SENT] += stats.misses_sent;
	counters[CN_COUNTER_MISSES_RECEIVED] += stats.misses_received;
	counters[CN_COUNTER_LACKS_SENT] += stats.lacks_sent;
	counters[CN_COUNTER_LACKS_RECEIVED] += stats.lacks_received;
	counters[CN_COUNTER_HOSTILE_REFERENCES] += stats.bad_refs;
	counters[CN_COUNTER_COPIED_OUT] += stats.sent.copied;
	counters[CN_COUNTER_COPIED_IN] += stats.received.copied;
}

/* ---- sums over live streams ---- */

static struct cn_report_tally *
find_tally(struct cn_report *report, struct cn_tally *tally)
{
	struct cn_report_tally *grown;
	size_t cap;

	/* Streams of one service mostly come in a row. */
	for (size_t i = report->tallies_count; i > 0; i--) {
		if (report->tallies[i - 1].tally == tally) {
			return &report->tallies[i - 1];
		}
	}
	if (report->tallies_count == report->tallies_cap) {
		cap = CN_MAX(TALLIES_FIRST, report->tallies_cap * 2);
		grown = cn_realloc(report->tallies, cap * sizeof(*grown));
		if (grown == NULL) {
			report->err = CN_ENOMEM;
			return NULL;
		}
		report->tallies = grown;
		report->tallies_cap = cap;
	}
	grown = &report->tallies[report->tallies_count++];
	memset(grown, 0, sizeof(*grown));
	grown->tally = cn_tally_ref(tally);
	return grown;
}

static void
report_sums(const struct cn_linkhost *host, struct cn_report *ret)
{
	const struct cn_list *item;

	CN_LIST_EACH(&host->sessions, item)
	{
		const struct cn_session *session =
		    CN_LIST_ENTRY(item, struct cn_session, item);
		struct cn_report_tally *tally = find_tally(ret, session->tally);
		struct cn_stream_stats stats;
		struct cn_snap_bytes bytes;

		if (tally == NULL || session->stream == NULL) {
			continue;
		}
		cn_stream_stats(session->stream, &stats);
		cn_tally_snap(&stats.sent, &bytes);
		cn_snap_bytes_add(&tally->sent, &bytes);
		cn_tally_snap(&stats.received, &bytes);
		cn_snap_bytes_add(&tally->received, &bytes);
		ret->counters[CN_COUNTER_LAN_IN] += stats.sent.lan;
		ret->counters[CN_COUNTER_LAN_OUT] += stats.received.lan;
		ret->counters[CN_COUNTER_BYTES_RESENT] += stats.resent;
	}
}

static void
report_live_carriers(const struct cn_linkhost *host, uint64_t *counters)
{
	for (uint32_t i = 0; i < CN_LINK_SLOTS_MAX; i++) {
		struct cn_carrier_stats stats;

		if (host->slot[i].carrier == NULL) {
			continue;
		}
		cn_carrier_stats(host->slot[i].carrier, &stats);
		counters[CN_COUNTER_WAN_IN] += stats.bytes_in;
		counters[CN_COUNTER_WAN_OUT] += stats.bytes_out;
		counters[CN_COUNTER_CARRIER_REKEYS] += stats.rekeys;
	}
}

void
cn_report_status(struct cn_worker *worker, struct cn_report *ret)
{
	uint64_t now = cn_clock_us();
	struct cn_list *item;
	size_t count = 0;

	memset(ret, 0, sizeof(*ret));
	CN_LIST_EACH(&worker->hosts, item)
	{
		count++;
	}
	ret->links = cn_calloc(count + 1, sizeof(*ret->links));
	if (ret->links == NULL) {
		ret->err = CN_ENOMEM;
		return;
	}
	cn_counters_sum(worker->counters, ret->counters);
	CN_LIST_EACH(&worker->hosts, item)
	{
		struct cn_linkhost *host =
		    CN_LIST_ENTRY(item, struct cn_linkhost, item);

		if (report_link(host, now, &ret->links[ret->links_count++]) !=
		    CN_OK) {
			ret->err = CN_ENOMEM;
		}
		cn_report_count(host->link, ret->counters);
		report_sums(host, ret);
		report_live_carriers(host, ret->counters);
	}
	ret->wan_sent = ret->counters[CN_COUNTER_WAN_OUT];
	ret->wan_received = ret->counters[CN_COUNTER_WAN_IN];
	ret->pool_used = cn_pool_used(worker->pool);
	ret->pool_limit = cn_pool_limit(worker->pool);
	ret->pool_promised = cn_pool_promised(worker->pool);
}

/* ---- streams ---- */

static enum cn_snap_state
stream_state(
    const struct cn_session *session, const struct cn_stream_stats *stats)
{
	if (session->host->down_us != 0) {
		return CN_SNAP_RESUMING;
	}
	if ((session->pump == NULL && session->builtin == NULL) ||
	    !stats->is_confirmed) {
		return CN_SNAP_OPENING;
	}
	if (stats->fin_sent && stats->fin_received) {
		return CN_SNAP_ENDING;
	}
	return stats->fin_sent || stats->fin_received ? CN_SNAP_HALF
						      : CN_SNAP_UP;
}

static void
report_session(
    const struct cn_session *session, uint64_t now, struct cn_snap_stream *ret)
{
	const struct cn_linkhost *host = session->host;
	const struct cn_plan_offer *offer;
	struct cn_stream_stats stats;

	cn_stream_stats(session->stream, &stats);
	memset(ret, 0, sizeof(*ret));
	ret->id = session->id;
	ret->is_ours = session->is_ours;
	cn_snap_text(ret->service, sizeof(ret->service), session->tally->name);
	cn_snap_text(ret->peer, sizeof(ret->peer), host->name);
	cn_snap_text(ret->client, sizeof(ret->client), session->client);
	offer = session->is_ours
	    ? NULL
	    : cn_plan_offer(session->worker->plan, session->tally->name);
	if (offer != NULL) {
		cn_snap_text(
		    ret->target, sizeof(ret->target), offer->config->to.text);
	}
	ret->state = stream_state(session, &stats);
	ret->worker = session->worker->index;
	to_hex(host->id, CN_LINK_ID_BYTES, ret->link);
	ret->link_stream = cn_stream_id(session->stream);
	ret->slot = stats.slot;
	ret->age_us = now - session->born_us;
	ret->idle_us = now - CN_MIN(now, session->touched_us);
	ret->unacked = stats.unacked;
	ret->window_sent = stats.window_sent;
	ret->unread = stats.unread;
	ret->resent = stats.resent;
	ret->is_confirmed = stats.is_confirmed;
	ret->fin_sent = stats.fin_sent;
	ret->fin_received = stats.fin_received;
	cn_tally_snap(&stats.sent, &ret->sent);
	cn_tally_snap(&stats.received, &ret->received);
}

static int
by_id(const void *a, const void *b)
{
	const struct cn_snap_stream *x = a;
	const struct cn_snap_stream *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* The sessions of a link stand in the order of their ids: at most limit of
 * each link can be among the first. */
static size_t
report_first(const struct cn_linkhost *host, uint64_t above, size_t limit,
    uint64_t now, struct cn_snap_stream *ret)
{
	const struct cn_list *item;
	size_t count = 0;

	CN_LIST_EACH(&host->sessions, item)
	{
		const struct cn_session *session =
		    CN_LIST_ENTRY(item, struct cn_session, item);

		if (count == limit) {
			break;
		}
		if (session->id > above && session->stream != NULL) {
			report_session(session, now, &ret[count++]);
		}
	}
	return count;
}

void
cn_report_streams(struct cn_worker *worker, uint64_t above, size_t limit,
    struct cn_report *ret)
{
	uint64_t now = cn_clock_us();
	struct cn_list *item;

	memset(ret, 0, sizeof(*ret));
	/* The best so far, and behind them those of the next link. */
	ret->streams = cn_calloc(2 * limit, sizeof(*ret->streams));
	if (ret->streams == NULL) {
		ret->err = CN_ENOMEM;
		return;
	}
	CN_LIST_EACH(&worker->hosts, item)
	{
		struct cn_linkhost *host =
		    CN_LIST_ENTRY(item, struct cn_linkhost, item);

		ret->streams_count += report_first(
		    host, above, limit, now, ret->streams + ret->streams_count);
		qsort(ret->streams, ret->streams_count, sizeof(*ret->streams),
		    by_id);
		ret->streams_count = CN_MIN(ret->streams_count, limit);
	}
}

static struct cn_session *
find_session(struct cn_worker *worker, uint64_t id)
{
	struct cn_list *item, *inner;

	CN_LIST_EACH(&worker->hosts, item)
	{
		struct cn_linkhost *host =
		    CN_LIST_ENTRY(item, struct cn_linkhost, item);

		CN_LIST_EACH(&host->sessions, inner)
		{
			struct cn_session *session =
			    CN_LIST_ENTRY(inner, struct cn_session, item);

			if (session->id == id) {
				return session->stream != NULL ? session : NULL;
			}
		}
	}
	return NULL;
}

void
cn_report_stream(struct cn_worker *worker, uint64_t id, struct cn_report *ret)
{
	const struct cn_session *session = find_session(worker, id);

	memset(ret, 0, sizeof(*ret));
	if (session == NULL) {
		return;
	}
	ret->streams = cn_calloc(1, sizeof(*ret->streams));
	if (ret->streams == NULL) {
		ret->err = CN_ENOMEM;
		return;
	}
	ret->is_found = true;
	ret->streams_count = 1;
	report_session(session, cn_clock_us(), ret->streams);
}

void
cn_report_kill(struct cn_worker *worker, uint64_t id, struct cn_report *ret)
{
	struct cn_session *session = find_session(worker, id);

	memset(ret, 0, sizeof(*ret));
	if (session != NULL) {
		ret->is_found = true;
		cn_session_kill(session, CN_RESET_ADMIN);
	}
}

void
cn_report_clear(struct cn_report *report)
{
	for (size_t i = 0; i < report->links_count; i++) {
		cn_free(report->links[i].link.carriers);
	}
	for (size_t i = 0; i < report->tallies_count; i++) {
		cn_tally_unref(&report->tallies[i].tally);
	}
	cn_free(report->links);
	cn_free(report->tallies);
	cn_free(report->streams);
	memset(report, 0, sizeof(*report));
}
