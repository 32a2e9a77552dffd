/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/reasons.h"

#include <stdatomic.h>
#include <string.h>

#include "base/err.h"
#include "control/why.h"
#include "gateway/daemon.h"
#include "gateway/depot.h"
#include "gateway/picture.h"

/* What of the configuration stands around it. */
struct around {
	const struct cn_plan_service *service; /* NULL: it is no service's */
	const struct cn_plan_offer *offer;     /* NULL: nor an offer's */
	enum cn_why_reason unstored; /* what it means that nothing is kept */
};

static enum cn_why_reason
why_unstored(const struct cn_plan_service *service)
{
	if (service == NULL) {
		return CN_WHY_PEER_RULE;
	}
	return service->config->scope == CN_CONFIG_SCOPE_CONNECTION
	    ? CN_WHY_SCOPE
	    : CN_WHY_DEDUP_OFF;
}

static void
look_around(const struct cn_plan *plan, const char *name, bool is_ours,
    struct around *ret)
{
	ret->service = is_ours ? cn_plan_service(plan, name) : NULL;
	ret->offer = is_ours ? NULL : cn_plan_offer(plan, name);
	ret->unstored = is_ours && ret->service == NULL
	    ? CN_WHY_DEDUP_OFF
	    : why_unstored(ret->service);
	if (ret->offer != NULL && !ret->offer->config->coding.dedup) {
		ret->unstored = CN_WHY_DEDUP_OFF;
	}
}

static bool
has_unix_listener(const struct cn_config_addresses *addresses)
{
	for (size_t i = 0; i < addresses->count; i++) {
		if (addresses->item[i].kind == CN_CONFIG_ADDRESS_UNIX) {
			return true;
		}
	}
	return false;
}

static void
fill_service(const struct cn_plan_service *service, struct cn_why_facts *facts,
    struct cn_snap_why *ret)
{
	const struct cn_config_service *config = service->config;

	cn_snap_text(ret->peer, sizeof(ret->peer), config->peer);
	cn_snap_text(ret->profile, sizeof(ret->profile), config->profile);
	cn_snap_text(
	    ret->scope, sizeof(ret->scope), cn_picture_scope(config->scope));
	facts->coalesce_us = config->coding.coalesce_us;
	facts->opened = atomic_load(&service->tally->opened);
	facts->has_unix_eof = has_unix_listener(&config->listen);
}

static void
fill_offer(const struct cn_plan_offer *offer, struct cn_why_facts *facts,
    struct cn_snap_why *ret)
{
	const struct cn_config_offer *config = offer->config;

	cn_snap_text(ret->profile, sizeof(ret->profile), config->profile);
	facts->coalesce_us = config->coding.coalesce_us;
	facts->opened = atomic_load(&offer->tally->opened);
	facts->has_unix_eof = config->to.kind == CN_CONFIG_ADDRESS_UNIX;
}

static void
fill_around(struct cn_daemon *daemon, const struct around *around,
    struct cn_why_facts *facts, struct cn_snap_why *ret)
{
	struct cn_snap_store store;

	if (around->service != NULL) {
		fill_service(around->service, facts, ret);
	} else if (around->offer != NULL) {
		fill_offer(around->offer, facts, ret);
	}
	cn_depot_snap(daemon->depot, &store);
	facts->profile = ret->profile;
	facts->scope = ret->scope;
	facts->peer = ret->peer;
	facts->store_memory = store.memory_cap;
	facts->store_disk = store.disk_cap;
	facts->store_evicted = store.evicted;
	facts->store_oldest_us = store.oldest_us;
}

int
cn_reasons_stream(struct cn_daemon *daemon, const struct cn_report *reports,
    size_t count, struct cn_snap_why *ret)
{
	struct cn_why_facts facts = { 0 };
	const struct cn_report *report = NULL;
	const struct cn_snap_stream *stream;
	struct around around;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < count; i++) {
		report = reports[i].is_found ? &reports[i] : report;
	}
	if (report == NULL) {
		return CN_ENOENT;
	}
	stream = report->streams;
	ret->stream = stream->id;
	ret->is_ours = stream->is_ours;
	cn_snap_text(ret->service, sizeof(ret->service), stream->service);
	look_around(daemon->plan, stream->service, stream->is_ours, &around);
	fill_around(daemon, &around, &facts, ret);
	cn_snap_text(ret->peer, sizeof(ret->peer), stream->peer);
	facts.sent = stream->sent;
	facts.received = stream->received;
	facts.has_other_clients = report->has_other_clients;
	cn_costs_tell(&report->sent_costs, true, around.unstored, &facts);
	cn_costs_tell(&report->received_costs, false, around.unstored, &facts);
	return cn_why_find(&facts, ret);
}

/* Do the workers know clients from different places? */
static bool
has_other_clients(const struct cn_report *reports, size_t count)
{
	const char *first = "";

	for (size_t i = 0; i < count; i++) {
		const char *client = reports[i].client;

		if (reports[i].has_other_clients ||
		    (client[0] != '\0' && first[0] != '\0' &&
			strcmp(client, first) != 0)) {
			return true;
		}
		first = first[0] == '\0' ? client : first;
	}
	return false;
}

/* Streams that are gone, and live ones. */
static void
sum_costs(const struct cn_tally *tally, const struct cn_report *reports,
    size_t count, struct cn_costs *sent, struct cn_costs *received)
{
	cn_costs_take(sent, &tally->sent_costs);
	cn_costs_take(received, &tally->received_costs);
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < reports[i].tallies_count; j++) {
			const struct cn_report_tally *live =
			    &reports[i].tallies[j];

			if (live->tally == tally) {
				cn_costs_join(sent, &live->sent_costs);
				cn_costs_join(received, &live->received_costs);
			}
		}
	}
}

int
cn_reasons_service(struct cn_daemon *daemon, const struct cn_report *reports,
    size_t count, const char *name, struct cn_snap_why *ret)
{
	struct cn_costs sent = { 0 }, received = { 0 };
	struct cn_why_facts facts = { 0 };
	const struct cn_tally *tally;
	struct around around;

	memset(ret, 0, sizeof(*ret));
	ret->is_ours = cn_plan_service(daemon->plan, name) != NULL;
	look_around(daemon->plan, name, ret->is_ours, &around);
	if (around.service == NULL && around.offer == NULL) {
		return CN_ENOENT;
	}
	tally = around.service != NULL ? around.service->tally
				       : around.offer->tally;
	cn_snap_text(ret->service, sizeof(ret->service), name);
	fill_around(daemon, &around, &facts, ret);
	facts.has_other_clients = has_other_clients(reports, count);
	cn_picture_sum(tally, reports, count, &facts.sent, &facts.received);
	sum_costs(tally, reports, count, &sent, &received);
	cn_costs_tell(&sent, true, around.unstored, &facts);
	cn_costs_tell(&received, false, around.unstored, &facts);
	return cn_why_find(&facts, ret);
}
