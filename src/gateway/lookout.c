/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/lookout.h"

#include <stdatomic.h>

#include "gateway/daemon.h"
#include "gateway/depot.h"
#include "gateway/events.h"

static bool
is_paused(const struct cn_plan_service *service)
{
	for (size_t i = 0; i < service->inlets_count; i++) {
		struct cn_listener_stats stats;

		cn_listener_stats(service->inlets[i]->listener, &stats);
		if (stats.paused > 0) {
			return true;
		}
	}
	return false;
}

static void
look_at_service(struct cn_daemon *daemon, const struct cn_plan_service *service)
{
	struct cn_events_about about = {
		.service = service->config->entry.name,
		.peer = service->config->peer,
	};
	enum cn_tally_told now =
	    is_paused(service) ? CN_TALLY_PAUSED : CN_TALLY_LISTENING;

	if (service->tally->told == now) {
		return;
	}
	service->tally->told = now;
	if (now == CN_TALLY_PAUSED) {
		cn_events_add(daemon->shared.events, CN_EVENT_SERVICE_PAUSED,
		    &about, "accepts none now: out of descriptors or memory");
	} else {
		cn_events_add(daemon->shared.events, CN_EVENT_SERVICE_LISTENING,
		    &about, "on %.160s",
		    service->config->listen.count > 0
			? service->config->listen.item[0].text
			: "no address");
	}
}

static void
look_at_store(struct cn_daemon *daemon)
{
	struct cn_lookout *told = &daemon->lookout;
	struct cn_snap_store store;
	uint64_t failures;

	if (daemon->depot == NULL) {
		return;
	}
	cn_depot_snap(daemon->depot, &store);
	if (store.is_disk_lost && !told->is_store_lost) {
		told->is_store_lost = true;
		cn_events_add(daemon->shared.events, CN_EVENT_STORE_LOST, NULL,
		    "%.100s; in memory only until the next start",
		    store.error[0] != '\0' ? store.error : "the disk failed");
	}
	if (store.damaged > told->store_recovered) {
		cn_events_add(daemon->shared.events, CN_EVENT_STORE_DAMAGED,
		    NULL, "%llu of %llu segments found at the start",
		    (unsigned long long)store.damaged,
		    (unsigned long long)(store.recovered + store.damaged));
		told->store_recovered = store.damaged;
	}
	failures = store.load_failures + store.write_failures;
	if (failures > told->store_failures) {
		cn_events_add(daemon->shared.events, CN_EVENT_STORE_DAMAGED,
		    NULL,
		    "%llu could not be read, %llu not be written, since the "
		    "start; what they held comes again over the WAN",
		    (unsigned long long)store.load_failures,
		    (unsigned long long)store.write_failures);
		told->store_failures = failures;
	}
}

void
cn_lookout_tick(struct cn_daemon *daemon)
{
	const struct cn_plan *plan = daemon->plan;

	if (daemon->state != CN_DAEMON_RUNNING) {
		return;
	}
	for (size_t i = 0; i < plan->services_count; i++) {
		look_at_service(daemon, &plan->services[i]);
	}
	look_at_store(daemon);
}
