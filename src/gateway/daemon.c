/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/notify.h"
#include "base/rand.h"
#include "control/message.h"
#include "gateway/ctl.h"
#include "gateway/depot.h"
#include "gateway/enlist.h"
#include "gateway/events.h"
#include "gateway/headroom.h"
#include "gateway/invite.h"
#include "gateway/reload.h"
#include "gateway/sandbox.h"
#include "ident/key.h"
#include "net/fdbudget.h"
#include "net/tlsctx.h"

#define MINUTE_US 60000000u
/* Room for rendered diagnostics and changes. */
#define TEXT_MAX (256u * 1024u)

/* ---- words ---- */

/* As compilers do, for who starts us by hand. */
static void
print_diags(const struct cn_diag_list *diags)
{
	struct cn_buf text;

	cn_buf_init(&text, TEXT_MAX);
	if (cn_diag_render_all(diags, isatty(STDERR_FILENO) == 1, &text) !=
	    CN_OK) {
		cn_reload_log_diags(diags);
	} else {
		(void)!write(STDERR_FILENO, text.data, text.len);
	}
	cn_buf_fini(&text);
}

/* Is standard error the journal's? */
static bool
is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char here[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0) {
		return false;
	}
	(void)snprintf(here, sizeof(here), "%llu:%llu",
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return strcmp(stream, here) == 0;
}

static enum cn_log_level
log_level(const struct cn_config *config)
{
	switch (config->log.level) {
	case CN_CONFIG_LOG_ERROR:
		return CN_LOG_ERROR;
	case CN_CONFIG_LOG_WARN:
		return CN_LOG_WARN;
	case CN_CONFIG_LOG_INFO:
		return CN_LOG_INFO;
	case CN_CONFIG_LOG_DEBUG:
		return CN_LOG_DEBUG;
	}
	return CN_LOG_INFO;
}

/* ---- taking a plan over ---- */

static int
pin_peers(struct cn_daemon *daemon, const struct cn_plan *plan)
{
	uint8_t *pins = cn_alloc(plan->peers_count * CN_IDENTITY_BYTES + 1);
	int err;

	if (pins == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < plan->peers_count; i++) {
		memcpy(pins + i * CN_IDENTITY_BYTES, plan->peers[i].identity,
		    CN_IDENTITY_BYTES);
	}
	err = cn_tlsctx_pin(daemon->shared.tls, pins, plan->peers_count);
	cn_free(pins);
	return err;
}

int
cn_daemon_obey(struct cn_daemon *daemon, struct cn_plan *plan)
{
	uint64_t now = cn_clock_us();
	int err = cn_registry_plan(daemon->shared.registry, plan, now);

	if (err == CN_OK) {
		err = pin_peers(daemon, plan);
	}
	for (uint32_t i = 0; i < daemon->shared.workers && err == CN_OK; i++) {
		err = cn_worker_plan(daemon->shared.worker[i], plan);
	}
	if (err != CN_OK) {
		return err;
	}
	cn_log_set_level(log_level(plan->config));
	cn_plan_unref(&daemon->plan);
	daemon->plan = plan;
	daemon->config_us = now;
	daemon->config_error[0] = '\0';
	cn_worker_make_links(&daemon->shared);
	uv_update_time(&daemon->loop);
	/* Soon again, for peers whose own dial is given a moment. */
	(void)uv_timer_start(&daemon->tick, daemon->tick.timer_cb,
	    CN_REGISTRY_YIELD_US / 1000 + 10, CN_WORKER_TICK_MS);
	return CN_OK;
}

/* ---- signals ---- */

static void
on_hangup(uv_signal_t *signal, int number CN_UNUSED)
{
	struct cn_daemon *daemon = signal->data;
	struct cn_diag_list diags;
	int err;

	cn_diag_init(&diags);
	err = cn_reload_files(daemon, &diags, NULL);
	if (err == CN_EBUSY) {
		CN_LOG(CN_LOG_WARN, "reload-refused", "text=%s",
		    CN_LOG_STR("the gateway goes down"));
	}
	cn_diag_fini(&diags);
}

/* ---- going down ---- */

static void
stop(struct cn_daemon *daemon)
{
	if (daemon->state == CN_DAEMON_STOPPING) {
		return;
	}
	daemon->state = CN_DAEMON_STOPPING;
	CN_LOG(CN_LOG_INFO, "stopping", "streams=%llu",
	    (unsigned long long)atomic_load(&daemon->shared.sessions));
	cn_ctl_close(&daemon->ctl);
	cn_enlist_cancel(daemon);
	cn_invite_free(&daemon->invite);
	for (uint32_t i = 0; i < daemon->shared.workers; i++) {
		/* Without memory for this order the end is not graceful. */
		if (cn_worker_stop(daemon->shared.worker[i]) != CN_OK) {
			abort();
		}
	}
	uv_stop(&daemon->loop);
}

static void
on_drain_look(uv_timer_t *timer)
{
	struct cn_daemon *daemon = timer->data;

	if (atomic_load(&daemon->shared.sessions) == 0 ||
	    cn_clock_us() - daemon->drain_us >= CN_DAEMON_DRAIN_US) {
		stop(daemon);
	}
}

static void
on_terminate(uv_signal_t *signal, int number CN_UNUSED)
{
	struct cn_daemon *daemon = signal->data;

	if (daemon->state != CN_DAEMON_RUNNING) {
		stop(daemon); /* told twice: now */
		return;
	}
	daemon->state = CN_DAEMON_DRAINING;
	daemon->drain_us = cn_clock_us();
	cn_notify_stopping();
	CN_LOG(CN_LOG_INFO, "draining", "streams=%llu",
	    (unsigned long long)atomic_load(&daemon->shared.sessions));
	cn_events_add(daemon->shared.events, CN_EVENT_DRAINING, NULL,
	    "%llu streams are left",
	    (unsigned long long)atomic_load(&daemon->shared.sessions));
	cn_registry_drain(daemon->shared.registry);
	cn_plan_shut(daemon->plan);
	for (uint32_t i = 0; i < daemon->shared.workers; i++) {
		if (cn_worker_drain(daemon->shared.worker[i]) != CN_OK) {
			stop(daemon);
			return;
		}
	}
	(void)uv_timer_start(&daemon->drain, on_drain_look,
	    CN_DAEMON_DRAIN_LOOK_MS, CN_DAEMON_DRAIN_LOOK_MS);
}

/* ---- each second ---- */

/* One line a minute for all that knocked at the carriers' port in vain. */
static void
log_gate(struct cn_daemon *daemon, uint64_t now)
{
	struct cn_gate_stats stats;
	struct cn_buf line;
	uint64_t strangers = 0;

	if (now - daemon->gate_logged_us < MINUTE_US) {
		return;
	}
	daemon->gate_logged_us = now;
	cn_gate_stats(daemon->gate, &stats);
	cn_buf_init(&line, 1024);
	for (enum cn_gate_end e = CN_GATE_ACCEPTED + 1; e < CN_GATE_END_MAX;
	     e++) {
		uint64_t n = stats.ends[e] - daemon->gate_logged.ends[e];

		strangers += n;
		if (n > 0 &&
		    cn_buf_printf(&line, " %s=%llu", cn_gate_end_name(e),
			(unsigned long long)n) != CN_OK) {
			break; /* the rest is in the counters */
		}
	}
	if (strangers > 0 && line.len > 0) {
		CN_LOG(CN_LOG_INFO, "strangers", "count=%llu%.*s",
		    (unsigned long long)strangers, (int)line.len,
		    (const char *)line.data);
	}
	cn_buf_fini(&line);
	daemon->gate_logged = stats;
}

static void
on_tick(uv_timer_t *timer)
{
	struct cn_daemon *daemon = timer->data;

	cn_worker_make_links(&daemon->shared);
	cn_depot_tick(daemon->depot, cn_clock_us());
	if (daemon->invite != NULL) {
		cn_invite_tick(daemon->invite, cn_clock_us());
	}
	log_gate(daemon, cn_clock_us());
	cn_lookout_tick(daemon);
}

/* ---- watchdog: alive is who can still run a task in every worker ---- */

struct ping {
	struct cn_task task;
	struct cn_daemon *daemon;
};

static void
drop_ping(struct cn_task *task)
{
	cn_free(CN_CONTAINER_OF(task, struct ping, task));
}

static void
pong(struct cn_task *task, void *owner)
{
	struct cn_daemon *daemon = owner;

	assert(daemon->pongs > 0);
	daemon->pongs--;
	if (daemon->pongs == 0) {
		cn_notify_alive();
	}
	drop_ping(task);
}

static void
ping(struct cn_task *task, void *owner CN_UNUSED)
{
	struct ping *self = CN_CONTAINER_OF(task, struct ping, task);

	task->run = pong;
	cn_mailbox_post(&self->daemon->mailbox, task);
}

static void
on_watchdog(uv_timer_t *timer)
{
	struct cn_daemon *daemon = timer->data;

	if (daemon->pongs > 0) {
		return; /* somebody hangs: let the watchdog bite */
	}
	for (uint32_t i = 0; i < daemon->shared.workers; i++) {
		struct ping *self = cn_calloc(1, sizeof(*self));

		if (self == NULL) {
			continue;
		}
		self->daemon = daemon;
		self->task.run = ping;
		self->task.drop = drop_ping;
		daemon->pongs++;
		cn_worker_post(daemon->shared.worker[i], &self->task);
	}
}

/* ---- start ---- */

/* Memory asked for must be there: better no start than a kill later. */
static bool
has_memory(const struct cn_config *config)
{
	uint64_t room = cn_headroom_memory();
	/* Neither is more than 1 TiB, so the sum is one of 64 bits. */
	uint64_t limit = config->memory.limit_bytes;
	uint64_t store = config->store.memory_bytes;
	uint64_t index = cn_config_store_index(config);

	if (limit + store + index <= room) {
		return true;
	}
	CN_LOG(CN_LOG_ERROR, "start-refused",
	    "text=%s memory.limit=%llu store.memory=%llu store.index=%llu "
	    "available=%llu",
	    CN_LOG_STR("memory.limit, store.memory and store.index together "
		       "are more than this machine or its control group has"),
	    (unsigned long long)limit, (unsigned long long)store,
	    (unsigned long long)index, (unsigned long long)room);
	return false;
}

static int
load_key(struct cn_daemon *daemon, const struct cn_config *config)
{
	const char *path = config->gateway.key != NULL
	    ? config->gateway.key
	    : daemon->options->paths->key;
	char why[CN_IDENT_WHY_MAX] = "";
	struct cn_key *key = NULL;
	int err = cn_key_load(path, &key, why, sizeof(why));

	if (err != CN_OK) {
		CN_LOG(CN_LOG_ERROR, "start-refused", "key=%s error=%s",
		    CN_LOG_STR(path),
		    CN_LOG_STR(why[0] != '\0' ? why : cn_err_text(err)));
		return err;
	}
	memcpy(daemon->shared.own, cn_key_identity(key), CN_IDENTITY_BYTES);
	err = cn_key_derive(key, CN_DEPOT_LABEL, daemon->store_key);
	if (err == CN_OK) {
		err = cn_tlsctx_create(key, &daemon->shared.tls);
	}
	cn_key_free(&key);
	return err;
}

static int
make_workers(struct cn_daemon *daemon, const struct cn_config *config)
{
	struct cn_worker_shared *shared = &daemon->shared;
	uint32_t workers =
	    config->workers != 0 ? config->workers : cn_headroom_processors();
	int err;

	shared->workers = CN_MIN(workers, CN_WORKERS_MAX);
	cn_rand_bytes(shared->boot_id, sizeof(shared->boot_id));
	atomic_init(&shared->next_stream_id, 1);
	shared->rekey_bytes = daemon->options->rekey_bytes;
	shared->rekey_us = daemon->options->rekey_us;
	shared->gate = daemon->gate;
	shared->home = &daemon->mailbox;
	err = cn_tally_create("builtin", true, &shared->builtin);
	if (err != CN_OK) {
		return err;
	}
	err =
	    cn_registry_create(shared->own, shared->workers, &shared->registry);
	if (err != CN_OK) {
		return err;
	}
	shared->worker = cn_calloc(shared->workers, sizeof(struct cn_worker *));
	if (shared->worker == NULL) {
		return CN_ENOMEM;
	}
	daemon->memory_limit = config->memory.limit_bytes;
	for (uint32_t i = 0; i < shared->workers && err == CN_OK; i++) {
		err = cn_worker_create(shared, i,
		    config->memory.limit_bytes / shared->workers,
		    &shared->worker[i]);
	}
	return err;
}

static int
watch_signal(struct cn_daemon *daemon, uv_signal_t *signal,
    uv_signal_cb callback, int number)
{
	int err = uv_signal_init(&daemon->loop, signal);

	signal->data = daemon;
	return err != 0 ? err : uv_signal_start(signal, callback, number);
}

static int
make_loop(struct cn_daemon *daemon)
{
	uv_loop_t *loop = &daemon->loop;
	uint64_t alive_ms = cn_notify_interval_us() / 1000;
	int err = uv_loop_init(loop);

	if (err != 0) {
		return err;
	}
	err = cn_mailbox_init(&daemon->mailbox, loop, daemon);
	if (err == 0) {
		err = watch_signal(daemon, &daemon->hangup, on_hangup, SIGHUP);
	}
	if (err == 0) {
		err = watch_signal(
		    daemon, &daemon->terminate, on_terminate, SIGTERM);
	}
	if (err == 0) {
		err = watch_signal(
		    daemon, &daemon->interrupt, on_terminate, SIGINT);
	}
	(void)uv_timer_init(loop, &daemon->tick);
	(void)uv_timer_init(loop, &daemon->drain);
	(void)uv_timer_init(loop, &daemon->watchdog);
	daemon->tick.data = daemon->drain.data = daemon;
	daemon->watchdog.data = daemon;
	(void)uv_timer_start(
	    &daemon->tick, on_tick, CN_WORKER_TICK_MS, CN_WORKER_TICK_MS);
	if (alive_ms > 0) {
		(void)uv_timer_start(
		    &daemon->watchdog, on_watchdog, 0, CN_MAX(alive_ms, 1u));
	}
	return err;
}

/* Give up what we do not need.  Without it the start fails. */
static int
enter_sandbox(const struct cn_daemon *daemon)
{
	int err;

	if (daemon->options->no_sandbox) {
		return CN_OK;
	}
	err = cn_sandbox_drop();
	if (err == CN_OK) {
		err = cn_sandbox_filter();
	}
	if (err != CN_OK) {
		CN_LOG(CN_LOG_ERROR, "start-refused", "sandbox=%s",
		    CN_LOG_STR(cn_err_text(err)));
	}
	return err;
}

/* Behind the sandbox, so that the threads of the disk are in it too. */
static int
open_store(struct cn_daemon *daemon, const struct cn_config *config)
{
	int err = cn_depot_open(config, &daemon->loop, daemon->shared.own,
	    daemon->store_key, &daemon->depot);

	explicit_bzero(daemon->store_key, sizeof(daemon->store_key));
	daemon->shared.store = cn_depot_store(daemon->depot);
	return err;
}

static const char *
control_path(const struct cn_daemon *daemon)
{
	const struct cn_config *config = daemon->plan->config;

	return config->control.socket != NULL ? config->control.socket
					      : daemon->options->paths->socket;
}

/* From a checked configuration to running workers. */
static int
start(struct cn_daemon *daemon, struct cn_config *config,
    struct cn_diag_list *diags)
{
	struct cn_plan *plan = NULL;
	int err;

	cn_fdbudget_init((uint32_t)CN_MIN(CN_DAEMON_RESERVE_MAX,
	    CN_DAEMON_RESERVE + config->peers_count * CN_DAEMON_RESERVE_PEER));
	err = load_key(daemon, config);
	if (err == CN_OK) {
		err = cn_events_create(
		    daemon->started_wall_us, &daemon->shared.events);
	}
	if (err == CN_OK) {
		err = cn_gate_create(&daemon->gate);
	}
	if (err == CN_OK) {
		err = make_workers(daemon, config);
	}
	if (err == CN_OK) {
		err = cn_invite_create(daemon, &daemon->invite);
	}
	if (err == CN_OK) {
		err = cn_plan_create(
		    config, daemon->shared.own, NULL, diags, &plan);
	}
	if (err == CN_OK) {
		err = cn_daemon_obey(daemon, plan);
		if (err != CN_OK) {
			cn_plan_unref(&plan);
		}
	}
	if (err == CN_OK) {
		err = cn_ctl_open(daemon, control_path(daemon), &daemon->ctl);
	}
	if (err == CN_OK) {
		err = enter_sandbox(daemon);
	}
	if (err == CN_OK) {
		err = open_store(daemon, config);
	}
	for (uint32_t i = 0; i < daemon->shared.workers && err == CN_OK; i++) {
		err = cn_worker_start(daemon->shared.worker[i]);
	}
	return err;
}

/* ---- the end ---- */

static void
close_handle(uv_handle_t *handle, void *arg CN_UNUSED)
{
	if (!uv_is_closing(handle)) {
		uv_close(handle, NULL);
	}
}

static void
finish(struct cn_daemon *daemon)
{
	struct cn_worker_shared *shared = &daemon->shared;

	for (uint32_t i = 0; shared->worker != NULL && i < shared->workers;
	     i++) {
		if (shared->worker[i] != NULL) {
			if (daemon->state != CN_DAEMON_STOPPING &&
			    shared->worker[i]->has_thread &&
			    cn_worker_stop(shared->worker[i]) != CN_OK) {
				abort();
			}
			cn_worker_join(shared->worker[i]);
		}
	}
	for (uint32_t i = 0; shared->worker != NULL && i < shared->workers;
	     i++) {
		cn_worker_free(&shared->worker[i]);
	}
	cn_free(shared->worker);
	cn_ctl_close(&daemon->ctl);
	cn_invite_free(&daemon->invite);
	if (daemon->mailbox.owner != NULL) {
		cn_mailbox_close(&daemon->mailbox);
	}
	uv_walk(&daemon->loop, close_handle, NULL);
	(void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&daemon->loop);
	if (daemon->mailbox.owner != NULL) {
		cn_mailbox_fini(&daemon->mailbox);
	}
	cn_depot_close(&daemon->depot);
	cn_plan_unref(&daemon->plan);
	cn_registry_free(&shared->registry);
	cn_events_free(&shared->events);
	cn_gate_free(&daemon->gate);
	cn_tally_unref(&daemon->shared.builtin);
	cn_tlsctx_free(&shared->tls);
	cn_counters_free(&daemon->counters);
}

static int
load(const char *path, struct cn_diag_list *diags, struct cn_config **ret)
{
	int err = cn_config_load(path, diags, ret);

	if (err == CN_OK) {
		err = cn_plan_check(*ret, diags);
		if (err != CN_OK) {
			cn_config_unref(ret);
		}
	}
	return err;
}

enum cn_exit
cn_daemon_check(const char *path)
{
	struct cn_diag_list diags;
	struct cn_config *config = NULL;
	int err;

	cn_diag_init(&diags);
	err = load(path, &diags, &config);
	print_diags(&diags);
	cn_diag_fini(&diags);
	cn_config_unref(&config);
	if (err != CN_OK && err != CN_ECONFIG) {
		(void)fprintf(
		    stderr, "compressnetd: %s: %s\n", path, cn_err_text(err));
	}
	return err == CN_OK ? CN_EXIT_OK : CN_EXIT_CONFIG;
}

static enum cn_exit
run(struct cn_daemon *daemon, struct cn_config *config,
    struct cn_diag_list *diags)
{
	char own[CN_IDENTITY_TEXT_MAX];
	int err = start(daemon, config, diags);

	if (err != CN_OK) {
		print_diags(diags);
		CN_LOG(CN_LOG_ERROR, "start-failed", "error=%s",
		    CN_LOG_STR(cn_err_text(err)));
		return err == CN_ECONFIG ? CN_EXIT_CONFIG : CN_EXIT_FAILED;
	}
	cn_reload_log_diags(diags);
	cn_identity_format(daemon->shared.own, own);
	CN_LOG(CN_LOG_INFO, "started",
	    "version=%s name=%s identity=%s workers=%u peers=%zu "
	    "services=%zu offers=%zu",
	    CN_VERSION, CN_LOG_STR(config->gateway.name), own,
	    daemon->shared.workers, daemon->plan->peers_count,
	    daemon->plan->services_count, daemon->plan->offers_count);
	cn_events_add(daemon->shared.events, CN_EVENT_STARTED, NULL,
	    "version %s, %u workers, %zu peers, %zu services, %zu offers",
	    CN_VERSION, daemon->shared.workers, daemon->plan->peers_count,
	    daemon->plan->services_count, daemon->plan->offers_count);
	daemon->state = CN_DAEMON_RUNNING;
	cn_notify_ready();
	(void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
	return CN_EXIT_OK;
}

enum cn_exit
cn_daemon_run(const struct cn_daemon_options *options)
{
	struct cn_daemon daemon = { .options = options };
	struct cn_diag_list diags;
	struct cn_config *config = NULL;
	enum cn_exit code = CN_EXIT_FAILED;

	daemon.started_us = daemon.gate_logged_us = cn_clock_us();
	daemon.started_wall_us = cn_clock_wall_us();
	(void)signal(SIGPIPE, SIG_IGN);
	cn_map_set_seed(cn_rand_u64());
	cn_message_setup();
	cn_notify_init();
	cn_diag_init(&diags);
	if (load(options->config, &diags, &config) != CN_OK) {
		print_diags(&diags);
		cn_diag_fini(&diags);
		return CN_EXIT_CONFIG;
	}
	cn_log_open(log_level(config), STDERR_FILENO, is_journal());
	if (!has_memory(config)) {
		code = CN_EXIT_CONFIG;
	} else if (cn_counters_create(&daemon.counters) == CN_OK &&
	    make_loop(&daemon) == CN_OK) {
		code = run(&daemon, config, &diags);
		finish(&daemon);
	}
	cn_diag_fini(&diags);
	cn_config_unref(&config);
	if (code == CN_EXIT_OK) {
		CN_LOG(CN_LOG_INFO, "stopped", "%s", "");
	}
	return code;
}
