/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/picture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/daemon.h"
#include "gateway/depot.h"
#include "gateway/headroom.h"
#include "net/fdbudget.h"

static void
append_text(char *out, size_t cap, const char *text)
{
	size_t len = strlen(out);

	cn_snap_text(out + len, cap - len, len > 0 ? "," : "");
	len = strlen(out);
	cn_snap_text(out + len, cap - len, text);
}

static void
join_addresses(char *out, size_t cap, const struct cn_config_addresses *from)
{
	for (size_t i = 0; i < from->count; i++) {
		append_text(out, cap, from->item[i].text);
	}
}

/* ---- peers ---- */

static enum cn_snap_state
peer_state(const struct cn_snap_peer *peer, uint32_t wanted)
{
	size_t up = 0;
	bool is_resuming = false, is_dialling = false, is_draining = false;

	for (size_t i = 0; i < peer->links_count; i++) {
		switch (peer->links[i].state) {
		case CN_SNAP_UP:
			up++;
			break;
		case CN_SNAP_DRAINING:
			is_draining = true;
			break;
		case CN_SNAP_DEGRADED:
			return CN_SNAP_DEGRADED;
		case CN_SNAP_RESUMING:
			is_resuming = true;
			break;
		case CN_SNAP_DIALLING:
			is_dialling = true;
			break;
		case CN_SNAP_UNKNOWN:
		case CN_SNAP_STARTING:
		case CN_SNAP_WAITING:
		case CN_SNAP_DOWN:
		case CN_SNAP_PAUSED:
		case CN_SNAP_FAILED:
		case CN_SNAP_OPENING:
		case CN_SNAP_HALF:
		case CN_SNAP_ENDING:
			break;
		}
	}
	if (up > 0) {
		return up < CN_MAX(peer->links_count, wanted) ? CN_SNAP_DEGRADED
							      : CN_SNAP_UP;
	}
	return is_draining ? CN_SNAP_DRAINING
	    : is_resuming  ? CN_SNAP_RESUMING
	    : is_dialling  ? CN_SNAP_DIALLING
			   : CN_SNAP_WAITING;
}

/* Take the links of one peer out of the reports. */
static int
take_links(struct cn_report *reports, size_t count,
    const struct cn_plan_peer *from, struct cn_snap_peer *peer)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		n += reports[i].links_count;
	}
	peer->links = cn_calloc(n + 1, sizeof(*peer->links));
	if (peer->links == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < reports[i].links_count; j++) {
			struct cn_report_link *link = &reports[i].links[j];

			if (!cn_identity_equal(link->peer, from->identity)) {
				continue;
			}
			peer->links[peer->links_count++] = link->link;
			link->link.carriers = NULL;
			peer->streams += link->link.streams;
			peer->resumes += link->link.resumes;
			cn_snap_bytes_add(&peer->sent, &link->link.sent);
			cn_snap_bytes_add(
			    &peer->received, &link->link.received);
			if (link->rtt_us != 0 &&
			    (peer->rtt_us == 0 ||
				link->rtt_us < peer->rtt_us)) {
				peer->rtt_us = link->rtt_us;
			}
		}
	}
	return CN_OK;
}

static int
fill_peer(struct cn_daemon *daemon, struct cn_report *reports, size_t count,
    const struct cn_plan_peer *from, struct cn_snap_peer *ret)
{
	struct cn_registry_peer_info info;
	char identity[CN_IDENTITY_TEXT_MAX];
	uint32_t wanted;
	int err;

	cn_snap_text(ret->name, sizeof(ret->name), from->config->entry.name);
	cn_identity_format(from->identity, identity);
	cn_snap_text(ret->identity, sizeof(ret->identity), identity);
	if (from->has_address) {
		cn_snap_text(ret->address, sizeof(ret->address),
		    from->config->address.text);
	}
	(void)cn_registry_peer_info(
	    daemon->shared.registry, from->identity, &info);
	cn_snap_text(ret->gateway, sizeof(ret->gateway), info.gateway);
	ret->sent = info.sent;
	ret->received = info.received;
	ret->resumes = info.resumes;
	err = take_links(reports, count, from, ret);
	wanted = CN_MAX(daemon->shared.workers, info.workers);
	ret->state = peer_state(ret, info.workers == 0 ? 1 : wanted);
	ret->is_drained = info.is_drained;
	if (ret->is_drained && ret->state == CN_SNAP_UP) {
		ret->state = CN_SNAP_DRAINING;
	}
	if (ret->state != CN_SNAP_UP) {
		cn_snap_text(ret->error, sizeof(ret->error), info.error);
	}
	return err;
}

static int
fill_peers(struct cn_daemon *daemon, struct cn_report *reports, size_t count,
    struct cn_snap_peer **peers, size_t *peers_count)
{
	const struct cn_plan *plan = daemon->plan;
	int err = CN_OK;

	*peers = cn_calloc(plan->peers_count + 1, sizeof(**peers));
	if (*peers == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < plan->peers_count && err == CN_OK; i++) {
		err = fill_peer(daemon, reports, count, &plan->peers[i],
		    &(*peers)[(*peers_count)++]);
	}
	return err;
}

int
cn_picture_peers(struct cn_daemon *daemon, struct cn_report *reports,
    size_t count, struct cn_snap_peers *ret)
{
	memset(ret, 0, sizeof(*ret));
	return fill_peers(
	    daemon, reports, count, &ret->peers, &ret->peers_count);
}

/* ---- services and offers ---- */

/* Ended streams and live ones. */
static void
sum_bytes(const struct cn_tally *tally, const struct cn_report *reports,
    size_t count, struct cn_snap_bytes *sent, struct cn_snap_bytes *received)
{
	cn_tally_bytes(tally, sent, received);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < reports[i].tallies_count; j++) {
			const struct cn_report_tally *live =
			    &reports[i].tallies[j];

			if (live->tally == tally) {
				cn_snap_bytes_add(sent, &live->sent);
				cn_snap_bytes_add(received, &live->received);
			}
		}
	}
}

static void
last_refusal(const struct cn_tally *tally, char *out, size_t cap)
{
	uint32_t reason = atomic_load(&tally->refusal);

	if (reason != CN_RESET_NONE) {
		(void)snprintf(out, cap, "the last refused connection: %s",
		    cn_reset_name(reason));
	}
}

static void
fill_service(struct cn_daemon *daemon, const struct cn_report *reports,
    size_t count, const struct cn_plan_service *from,
    struct cn_snap_service *ret)
{
	static const char *const scopes[] = {
		[CN_CONFIG_SCOPE_CONNECTION] = "connection",
		[CN_CONFIG_SCOPE_CLIENT] = "client",
		[CN_CONFIG_SCOPE_SERVICE] = "service",
		[CN_CONFIG_SCOPE_PEER] = "peer",
	};
	const struct cn_config_service *config = from->config;
	struct cn_registry_peer_info info;

	cn_snap_text(ret->name, sizeof(ret->name), config->entry.name);
	cn_snap_text(ret->way, sizeof(ret->way), "forward");
	join_addresses(ret->listen, sizeof(ret->listen), &config->listen);
	cn_snap_text(ret->peer, sizeof(ret->peer), config->peer);
	cn_snap_text(ret->offer, sizeof(ret->offer), config->offer);
	cn_snap_text(ret->profile, sizeof(ret->profile), config->profile);
	cn_snap_text(ret->scope, sizeof(ret->scope), scopes[config->scope]);
	ret->streams = atomic_load(&from->tally->live);
	ret->opened = atomic_load(&from->tally->opened);
	ret->refused = atomic_load(&from->tally->refused);
	ret->resets = atomic_load(&from->tally->resets);
	sum_bytes(from->tally, reports, count, &ret->sent, &ret->received);
	last_refusal(from->tally, ret->error, sizeof(ret->error));
	ret->state =
	    daemon->state == CN_DAEMON_RUNNING ? CN_SNAP_UP : CN_SNAP_DRAINING;
	if (ret->state == CN_SNAP_UP &&
	    cn_registry_peer_info(
		daemon->shared.registry, from->peer->identity, &info) &&
	    info.links_up == 0) {
		ret->state = CN_SNAP_DEGRADED;
		cn_snap_text(ret->error, sizeof(ret->error),
		    "no carrier to the peer is up");
	}
	if (ret->state == CN_SNAP_UP &&
	    cn_registry_is_drained(
		daemon->shared.registry, from->peer->identity)) {
		ret->state = CN_SNAP_DRAINING;
		cn_snap_text(ret->error, sizeof(ret->error),
		    "its peer is drained: compressnet peers resume");
	}
	for (size_t i = 0; i < from->inlets_count; i++) {
		struct cn_listener_stats stats;

		cn_listener_stats(from->inlets[i]->listener, &stats);
		if (stats.paused > 0) {
			ret->state = CN_SNAP_PAUSED;
			cn_snap_text(ret->error, sizeof(ret->error),
			    "out of descriptors or memory");
		}
	}
}

static void
fill_offer(const struct cn_report *reports, size_t count,
    const struct cn_plan_offer *from, struct cn_snap_offer *ret)
{
	const struct cn_config_offer *config = from->config;

	cn_snap_text(ret->name, sizeof(ret->name), config->entry.name);
	cn_snap_text(ret->target, sizeof(ret->target), config->to.text);
	for (size_t i = 0; i < config->peers.count; i++) {
		append_text(
		    ret->peers, sizeof(ret->peers), config->peers.item[i]);
	}
	ret->streams = atomic_load(&from->tally->live);
	ret->opened = atomic_load(&from->tally->opened);
	ret->refused = atomic_load(&from->tally->refused);
	ret->resets = atomic_load(&from->tally->resets);
	sum_bytes(from->tally, reports, count, &ret->sent, &ret->received);
	last_refusal(from->tally, ret->error, sizeof(ret->error));
}

int
cn_picture_services(struct cn_daemon *daemon, const struct cn_report *reports,
    size_t count, struct cn_snap_services *ret)
{
	const struct cn_plan *plan = daemon->plan;

	memset(ret, 0, sizeof(*ret));
	ret->services =
	    cn_calloc(plan->services_count + 1, sizeof(*ret->services));
	ret->offers = cn_calloc(plan->offers_count + 1, sizeof(*ret->offers));
	if (ret->services == NULL || ret->offers == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < plan->services_count; i++) {
		fill_service(daemon, reports, count, &plan->services[i],
		    &ret->services[ret->services_count++]);
	}
	for (size_t i = 0; i < plan->offers_count; i++) {
		fill_offer(reports, count, &plan->offers[i],
		    &ret->offers[ret->offers_count++]);
	}
	return CN_OK;
}

/* ---- the gateway ---- */

static enum cn_snap_state
gateway_state(const struct cn_daemon *daemon)
{
	switch (daemon->state) {
	case CN_DAEMON_STARTING:
		return CN_SNAP_STARTING;
	case CN_DAEMON_RUNNING:
		return CN_SNAP_UP;
	case CN_DAEMON_DRAINING:
	case CN_DAEMON_STOPPING:
		return CN_SNAP_DRAINING;
	}
	return CN_SNAP_UNKNOWN;
}

static uint64_t
cpu_us(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0) {
		return 0;
	}
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
	    1000000u +
	    (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void
fill_gateway(struct cn_daemon *daemon, struct cn_snap_gateway *ret)
{
	const struct cn_config *config = daemon->plan->config;
	char identity[CN_IDENTITY_TEXT_MAX];
	uint64_t now = cn_clock_us();

	cn_snap_text(ret->version, sizeof(ret->version), CN_VERSION);
	cn_snap_text(ret->name, sizeof(ret->name), config->gateway.name);
	cn_identity_format(daemon->shared.own, identity);
	cn_snap_text(ret->identity, sizeof(ret->identity), identity);
	join_addresses(
	    ret->listen, sizeof(ret->listen), &config->gateway.listen);
	ret->state = gateway_state(daemon);
	ret->pid = (uint32_t)getpid();
	ret->workers = daemon->shared.workers;
	ret->uptime_us = now - daemon->started_us;
	ret->started_us = daemon->started_wall_us;
	ret->cpu_us = cpu_us();
	ret->descriptors = cn_fdbudget_used();
	ret->descriptors_limit = cn_fdbudget_limit();
	cn_snap_text(ret->config, sizeof(ret->config), daemon->options->config);
	ret->config_age_us = now - daemon->config_us;
	cn_snap_text(
	    ret->config_error, sizeof(ret->config_error), daemon->config_error);
	ret->log_dropped = cn_log_dropped();
}

/* What all streams moved, and how much of it as references. */
static void
add_share(const struct cn_snap_bytes *bytes, struct cn_snap_store *store)
{
	store->lan += bytes->lan;
	store->copied += bytes->copied;
}

static void
fill_store(struct cn_daemon *daemon, const struct cn_snap_services *services,
    struct cn_snap_store *ret)
{
	cn_depot_snap(daemon->depot, ret);
	for (size_t i = 0; i < services->services_count; i++) {
		add_share(&services->services[i].sent, ret);
		add_share(&services->services[i].received, ret);
	}
	for (size_t i = 0; i < services->offers_count; i++) {
		add_share(&services->offers[i].sent, ret);
		add_share(&services->offers[i].received, ret);
	}
}

int
cn_picture_store(struct cn_daemon *daemon, const struct cn_report *reports,
    size_t count, struct cn_snap_store *ret)
{
	struct cn_snap_services services;
	int err = cn_picture_services(daemon, reports, count, &services);

	memset(ret, 0, sizeof(*ret));
	if (err == CN_OK) {
		fill_store(daemon, &services, ret);
	}
	cn_snap_services_clear(&services);
	return err;
}

static int
fill_counters(struct cn_daemon *daemon, const struct cn_report *reports,
    size_t count, struct cn_snap_status *ret)
{
	uint64_t sums[CN_COUNTER_COUNT] = { 0 };
	struct cn_gate_stats gate;
	struct cn_snap_counter *to;

	cn_counters_sum(daemon->counters, sums);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < CN_COUNTER_COUNT; j++) {
			sums[j] += reports[i].counters[j];
		}
	}
	sums[CN_COUNTER_STORE_REFUSED] += ret->store.refused;
	sums[CN_COUNTER_STORE_EVICTED] += ret->store.evicted;
	ret->streams_opened = sums[CN_COUNTER_STREAMS_OPENED];
	ret->streams_accepted = sums[CN_COUNTER_STREAMS_ACCEPTED];
	ret->counters = cn_calloc(
	    CN_COUNTER_COUNT + CN_GATE_END_MAX, sizeof(*ret->counters));
	if (ret->counters == NULL) {
		return CN_ENOMEM;
	}
	for (enum cn_counter c = 0; c < CN_COUNTER_COUNT; c++) {
		const struct cn_counter_info *info = cn_counter_info(c);

		to = &ret->counters[ret->counters_count++];
		cn_snap_text(to->name, sizeof(to->name), info->name);
		cn_snap_text(to->unit, sizeof(to->unit), info->unit);
		cn_snap_text(to->help, sizeof(to->help), info->help);
		to->value = sums[c];
	}
	cn_gate_stats(daemon->gate, &gate);
	for (enum cn_gate_end e = 0; e < CN_GATE_END_MAX; e++) {
		to = &ret->counters[ret->counters_count++];
		(void)snprintf(to->name, sizeof(to->name), "carrier_port_%s",
		    cn_gate_end_name(e));
		cn_snap_text(to->unit, sizeof(to->unit), "1");
		cn_snap_text(to->help, sizeof(to->help),
		    "Connections on the carriers' port that ended so");
		to->value = gate.ends[e];
	}
	return CN_OK;
}

static void
fill_sums(
    const struct cn_report *reports, size_t count, struct cn_snap_status *ret)
{
	for (size_t i = 0; i < ret->services_count; i++) {
		cn_snap_bytes_add(&ret->sent, &ret->services[i].sent);
		cn_snap_bytes_add(&ret->received, &ret->services[i].received);
	}
	for (size_t i = 0; i < ret->offers_count; i++) {
		cn_snap_bytes_add(&ret->sent, &ret->offers[i].sent);
		cn_snap_bytes_add(&ret->received, &ret->offers[i].received);
	}
	/* Of a gateway, wan is what its sockets moved. */
	ret->sent.wan = ret->received.wan = 0;
	for (size_t i = 0; i < count; i++) {
		ret->sent.wan += reports[i].wan_sent;
		ret->received.wan += reports[i].wan_received;
		ret->memory.pool_used += reports[i].pool_used;
		ret->memory.pool_limit += reports[i].pool_limit;
		ret->memory.pool_promised += reports[i].pool_promised;
	}
	ret->memory.heap = cn_alloc_bytes();
	ret->memory.resident = cn_headroom_resident();
}

int
cn_picture_status(struct cn_daemon *daemon, struct cn_report *reports,
    size_t count, struct cn_snap_status *ret)
{
	struct cn_snap_services services;
	int err;

	memset(ret, 0, sizeof(*ret));
	fill_gateway(daemon, &ret->gateway);
	ret->streams = atomic_load(&daemon->shared.sessions);
	err = cn_picture_services(daemon, reports, count, &services);
	if (err == CN_OK) {
		fill_store(daemon, &services, &ret->store);
	}
	ret->services = services.services;
	ret->services_count = services.services_count;
	ret->offers = services.offers;
	ret->offers_count = services.offers_count;
	if (err == CN_OK) {
		err = fill_counters(daemon, reports, count, ret);
	}
	if (err == CN_OK) {
		fill_sums(reports, count, ret);
		err = fill_peers(
		    daemon, reports, count, &ret->peers, &ret->peers_count);
	}
	return err;
}

/* ---- streams ---- */

static int
by_id(const void *a, const void *b)
{
	const struct cn_snap_stream *x = a;
	const struct cn_snap_stream *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int
cn_picture_streams(struct cn_daemon *daemon, const struct cn_report *reports,
    size_t count, size_t limit, struct cn_snap_streams *ret, uint64_t *next)
{
	size_t all = 0;

	memset(ret, 0, sizeof(*ret));
	*next = 0;
	ret->total = atomic_load(&daemon->shared.sessions);
	for (size_t i = 0; i < count; i++) {
		all += reports[i].streams_count;
	}
	ret->streams = cn_calloc(all + 1, sizeof(*ret->streams));
	if (ret->streams == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		if (reports[i].streams_count > 0) {
			memcpy(ret->streams + ret->streams_count,
			    reports[i].streams,
			    reports[i].streams_count * sizeof(*ret->streams));
		}
		ret->streams_count += reports[i].streams_count;
	}
	qsort(ret->streams, ret->streams_count, sizeof(*ret->streams), by_id);
	if (ret->streams_count >= limit) {
		ret->streams_count = limit;
		*next = ret->streams[limit - 1].id;
	}
	return CN_OK;
}
