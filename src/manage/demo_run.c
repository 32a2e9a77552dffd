/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/demo_run.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "manage/cli.h"
#include "manage/demo_data.h"
#include "manage/demo_pair.h"
#include "manage/demo_transfer.h"
#include "manage/human.h"
#include "manage/wanrelay.h"

/* Until both gateways have met; once more, should a port be taken. */
#define MEET_US (UINT64_C(12) * 1000 * 1000)
#define TRIES 2
#define TICK_MS 50u
#define SENDERS 4u
#define LOG_US (UINT64_C(3) * 1000 * 1000)
/* How long to look for a dead gateway behind a failed connection. */
#define ENDED_US UINT64_C(500000)
/* Acknowledgements that follow the last byte belong to it. */
#define SETTLE_US (UINT64_C(150) * 1000)
/* Time for the transfers alone, if nothing could be compressed. */
#define TRANSFERS_US (UINT64_C(36) * 1000 * 1000)
#define FILES_MIN (16u * 1024u)

struct demo {
	struct cn_demo_plan *plan; /* borrowed */
	uint64_t started_us;
	uv_loop_t loop;
	uv_timer_t ticker;
	uv_signal_t signals[3];
	struct cn_demo_sink *sink;
	struct cn_wanrelay *wan;  /* between the gateways */
	struct cn_wanrelay *bare; /* straight to the sink */
	struct cn_demo_transfer *transfer;
	struct cn_demo_pair pair;
	struct cn_demo_ports ports;
	struct cn_demo_data data[CN_DEMO_STEPS]; /* AGAIN has none */
	/* Of the transfer that goes on now, for the progress line. */
	const char *name;
	size_t len;
	bool is_bare;
	uint64_t sink_before, wan_before;
	bool is_live; /* stderr is a terminal */
};

static void CN_PRINTF(2, 3) talk(const struct demo *demo, const char *fmt, ...)
{
	va_list args;

	if (!demo->plan->is_quiet) {
		va_start(args, fmt);
		(void)vfprintf(stderr, fmt, args);
		va_end(args);
		(void)fflush(stderr);
	}
}

static uint64_t
bytes_over(const struct cn_wanrelay *relay)
{
	struct cn_wanrelay_stats stats;

	cn_wanrelay_stats(relay, &stats);
	return stats.up_in + stats.down_in;
}

static void
clear_line(const struct demo *demo)
{
	if (demo->is_live) {
		(void)fputs("\r\x1b[K", stderr);
	}
}

static void
print_progress(const struct demo *demo)
{
	uint64_t lan = cn_demo_sink_bytes(demo->sink) - demo->sink_before;
	unsigned percent = (unsigned)(100 * CN_MIN(lan, demo->len) / demo->len);
	uint64_t us = cn_demo_transfer_us(demo->transfer);
	char bar[21];

	for (unsigned i = 0; i < sizeof(bar) - 1; i++) {
		bar[i] = i * 5 < percent ? '#' : '.';
	}
	bar[sizeof(bar) - 1] = '\0';
	clear_line(demo);
	(void)fprintf(stderr, "  %-12s %s  LAN %8s", demo->name, bar,
	    cn_human_bytes(lan).text);
	if (demo->is_bare) {
		(void)fprintf(stderr, "  bare link");
	} else {
		uint64_t wan = bytes_over(demo->wan) - demo->wan_before;

		(void)fprintf(stderr, "  WAN %8s  %6s",
		    cn_human_bytes(wan).text, cn_human_ratio(lan, wan).text);
	}
	(void)fprintf(stderr, "  %s", cn_human_duration(us).text);
	(void)fflush(stderr);
}

static void
tick(uv_timer_t *timer)
{
	const struct demo *demo = timer->data;

	if (demo->is_live && demo->transfer != NULL) {
		print_progress(demo);
	}
}

static void
interrupt(uv_signal_t *handle, int number)
{
	struct demo *demo = handle->data;

	(void)number;
	demo->plan->is_interrupted = true;
}

static int
open_loop(struct demo *demo)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	int err = uv_loop_init(&demo->loop);

	if (err != 0) {
		return err;
	}
	(void)uv_timer_init(&demo->loop, &demo->ticker);
	demo->ticker.data = demo;
	err = uv_timer_start(&demo->ticker, tick, TICK_MS, TICK_MS);
	for (size_t i = 0; i < CN_ARRAY_LEN(numbers); i++) {
		(void)uv_signal_init(&demo->loop, &demo->signals[i]);
		demo->signals[i].data = demo;
		if (err == 0) {
			err = uv_signal_start(
			    &demo->signals[i], interrupt, numbers[i]);
		}
	}
	return err;
}

/* Let the loop turn once; CN_OK while the demonstration may go on. */
static int
turn(struct demo *demo)
{
	if (demo->plan->is_interrupted) {
		return CN_ECANCELED;
	}
	if (cn_clock_us() - demo->started_us > CN_DEMO_WHOLE_US) {
		clear_line(demo);
		cn_cli_error("its minute is over: the machine is too busy, or "
			     "the link too slow for so much data");
		cn_cli_hint("--size sends less");
		return CN_ETIMEDOUT;
	}
	(void)uv_run(&demo->loop, UV_RUN_ONCE); /* the ticker ends it */
	return CN_OK;
}

static int
turn_for(struct demo *demo, uint64_t us)
{
	uint64_t until = cn_clock_us() + us;
	int err = CN_OK;

	while (err == CN_OK && cn_clock_us() < until) {
		err = turn(demo);
	}
	return err;
}

/* ---- what is sent ---- */

/* Files and log, so much that the slowest case fits into the time. */
static int
collect(struct demo *demo)
{
	struct cn_demo_plan *plan = demo->plan;
	double rate = (double)plan->rate_bps / 8e6; /* bytes a microsecond */
	double us = (double)TRANSFERS_US - 40.0 * (double)plan->delay_us;
	/* Three times the files and twice a log of a quarter of them. */
	uint64_t fits = (uint64_t)(rate * us / 3.6);
	uint64_t files = CN_MIN(plan->files_bytes, fits);
	uint64_t log = CN_MIN(files / 4, (uint64_t)(rate * LOG_US * 0.8));

	files = CN_MAX(files, FILES_MIN);
	log = CN_MAX(log, FILES_MIN / 4);
	if (files < plan->files_bytes) {
		talk(demo, "at this rate %s of files fit into a minute\n",
		    cn_human_bytes(files).text);
	}
	int err = cn_demo_data_files(files, &demo->data[CN_DEMO_FILES]);
	if (err == CN_ENOENT) {
		cn_cli_error("no files of this machine can be read");
	}
	if (err == CN_OK) {
		err = cn_demo_data_log(log, 1992, &demo->data[CN_DEMO_LOG]);
	}
	if (err == CN_OK) {
		plan->files = demo->data[CN_DEMO_FILES].files;
		talk(demo,
		    "data: %zu files of this machine, %s, and %s of log "
		    "lines\n",
		    plan->files,
		    cn_human_bytes(demo->data[CN_DEMO_FILES].len).text,
		    cn_human_bytes(demo->data[CN_DEMO_LOG].len).text);
	}
	return err;
}

/* ---- the two gateways ---- */

static int
open_relay(struct demo *demo, uint16_t target, struct cn_wanrelay **ret)
{
	char to[32];
	const struct cn_wanrelay_config config = { .listen = "127.0.0.1:0",
		.to = to,
		.rate_bps = demo->plan->rate_bps,
		.delay_us = demo->plan->delay_us };

	(void)snprintf(to, sizeof(to), "127.0.0.1:%u", target);
	return cn_wanrelay_open(&demo->loop, &config, ret);
}

static int
meet_once(struct demo *demo)
{
	struct cn_demo_ports *ports = &demo->ports;
	uint64_t until = cn_clock_us() + MEET_US;

	ports->service = cn_demo_free_port();
	ports->carrier = cn_demo_free_port();
	ports->target = cn_demo_sink_port(demo->sink);
	int err = open_relay(demo, ports->carrier, &demo->wan);
	if (err == CN_OK) {
		ports->wan = cn_wanrelay_port(demo->wan);
		err = cn_demo_pair_start(&demo->pair, ports);
	}
	while (err == CN_OK) {
		err = turn_for(demo, UINT64_C(1000) * TICK_MS);
		if (err < 0) {
			break;
		}
		int up = cn_demo_pair_is_up(&demo->pair);
		if (up != CN_EAGAIN) {
			return up;
		}
		err = cn_clock_us() < until ? CN_OK : CN_ETIMEDOUT;
	}
	return err;
}

static int
meet(struct demo *demo)
{
	uint64_t before = cn_clock_us();
	int err = CN_OK;

	for (unsigned i = 0; i < TRIES; i++) {
		err = meet_once(demo);
		/* Ended at once: perhaps somebody took a port meanwhile. */
		if (err != CN_ECLOSED || i + 1 == TRIES) {
			break;
		}
		cn_demo_pair_stop(&demo->pair);
		cn_wanrelay_close(&demo->wan, NULL, NULL);
	}
	if (err < 0) {
		if (err != CN_ECANCELED) {
			cn_cli_error("the two gateways did not meet: %s",
			    err == CN_ECLOSED ? "one of them has ended"
					      : cn_err_text(err));
		}
		return err;
	}
	talk(demo,
	    "two gateways, pids %d and %d, met over it after %s (TLS 1.3, "
	    "keys made for this)\n\n",
	    (int)demo->pair.pid[CN_DEMO_NEAR], (int)demo->pair.pid[CN_DEMO_FAR],
	    cn_human_duration(cn_clock_us() - before).text);
	return CN_OK;
}

/* ---- the steps ---- */

/* A gateway that dies resets connections a moment before it can be seen to
 * have ended; look for the cause before telling the effect. */
static int
gateways_gone(struct demo *demo, uint64_t wait_us)
{
	uint64_t until = cn_clock_us() + wait_us;
	int err = CN_OK;

	while (err == CN_OK && !cn_demo_pair_has_ended(&demo->pair)) {
		if (cn_clock_us() >= until) {
			return CN_OK;
		}
		err = turn(demo);
	}
	if (err == CN_OK) {
		clear_line(demo);
		cn_cli_error("a gateway has ended in mid-transfer");
		err = CN_ECLOSED;
	}
	return err;
}

static int
wait_for_transfer(struct demo *demo)
{
	int err = CN_OK;

	while (err == CN_OK && !cn_demo_transfer_is_done(demo->transfer)) {
		err = turn(demo);
		if (err == CN_OK) {
			err = gateways_gone(demo, 0);
		}
	}
	if (err == CN_OK && !cn_demo_transfer_is_exact(demo->transfer)) {
		err = gateways_gone(demo, ENDED_US);
	}
	if (err == CN_OK && !cn_demo_transfer_is_exact(demo->transfer)) {
		clear_line(demo);
		cn_cli_error("%s: %s", demo->name,
		    cn_demo_transfer_error(demo->transfer));
		err = CN_EIO;
	}
	return err;
}

static int
transfer(struct demo *demo, enum cn_demo_step step, uint64_t *ret_us)
{
	const struct cn_demo_data *data =
	    &demo->data[step == CN_DEMO_AGAIN ? CN_DEMO_FILES : step];
	const struct cn_demo_transfer_config config = {
		.port = demo->is_bare ? cn_wanrelay_port(demo->bare)
				      : demo->ports.service,
		.data = data->bytes,
		.len = data->len,
		.senders = step == CN_DEMO_LOG ? 1 : SENDERS,
		.pace_us = step == CN_DEMO_LOG ? LOG_US : 0,
	};

	demo->name = demo->plan->results[step].name;
	demo->len = data->len;
	demo->sink_before = cn_demo_sink_bytes(demo->sink);
	demo->wan_before = bytes_over(demo->wan);
	int err = cn_demo_transfer_start(&demo->loop, &config, &demo->transfer);
	if (err < 0) {
		cn_cli_error("%s: %s", demo->name, cn_err_text(err));
		return err;
	}
	err = wait_for_transfer(demo);
	*ret_us = cn_demo_transfer_us(demo->transfer);
	cn_demo_transfer_close(&demo->transfer);
	clear_line(demo);
	demo->plan->connections += err == CN_OK ? config.senders : 0;
	demo->plan->results[step].lan = data->len;
	return err;
}

/* One step through the pair. */
static int
step_pair(struct demo *demo, enum cn_demo_step step)
{
	struct cn_demo_result *result = &demo->plan->results[step];

	demo->is_bare = false;
	int err = transfer(demo, step, &result->us);
	if (err == CN_OK) {
		err = turn_for(demo, SETTLE_US + 2 * demo->plan->delay_us);
	}
	if (err < 0) {
		return err;
	}
	result->wan = bytes_over(demo->wan) - demo->wan_before;
	result->is_exact = true;
	talk(demo, "  %-12s LAN %8s  WAN %8s  %6s  in %s, exact\n",
	    result->name, cn_human_bytes(result->lan).text,
	    cn_human_bytes(result->wan).text,
	    cn_human_ratio(result->lan, result->wan).text,
	    cn_human_duration(result->us).text);
	return CN_OK;
}

/* The same bytes with no gateways between. */
static int
step_bare(struct demo *demo, enum cn_demo_step step)
{
	struct cn_demo_result *result = &demo->plan->results[step];

	demo->is_bare = true;
	int err = transfer(demo, step, &result->bare_us);
	if (err == CN_OK) {
		result->is_bare_exact = true;
		talk(demo, "  %-12s over the bare link in %s\n", result->name,
		    cn_human_duration(result->bare_us).text);
	}
	return err;
}

static int
steps(struct demo *demo)
{
	struct cn_demo_result *results = demo->plan->results;
	int err = CN_OK;

	results[CN_DEMO_FILES].name = "files";
	results[CN_DEMO_AGAIN].name = "files again";
	results[CN_DEMO_LOG].name = "log stream";
	for (unsigned i = 0; err == CN_OK && i < CN_DEMO_STEPS; i++) {
		err = step_pair(demo, (enum cn_demo_step)i);
	}
	if (err == CN_OK) {
		err = open_relay(demo, demo->ports.target, &demo->bare);
	}
	if (err == CN_OK) {
		err = step_bare(demo, CN_DEMO_FILES);
	}
	if (err == CN_OK) {
		err = step_bare(demo, CN_DEMO_LOG);
	}
	/* The bare link does not know what it has carried before. */
	results[CN_DEMO_AGAIN].bare_us = results[CN_DEMO_FILES].bare_us;
	results[CN_DEMO_AGAIN].is_bare_exact =
	    results[CN_DEMO_FILES].is_bare_exact;
	return err;
}

/* ---- all together ---- */

static int
run_all(struct demo *demo)
{
	const struct cn_demo_plan *plan = demo->plan;
	int err = collect(demo);

	if (err == CN_OK) {
		err = cn_demo_sink_open(&demo->loop, &demo->sink);
	}
	if (err == CN_OK) {
		err = cn_demo_pair_make(&demo->pair);
	}
	if (err < 0) {
		return err;
	}
	talk(demo,
	    "emulated WAN: %.4g Mbit/s each way, %s one way; all on "
	    "127.0.0.1\n",
	    (double)plan->rate_bps / 1e6,
	    cn_human_duration(plan->delay_us).text);
	err = meet(demo);
	if (err == CN_OK) {
		err = steps(demo);
	}
	clear_line(demo);
	if (plan->is_interrupted) {
		cn_cli_error("interrupted; cleaning up");
	} else if (err < 0) {
		cn_demo_pair_print_logs(&demo->pair);
	}
	return err;
}

/* Everything that is open in the loop, then the loop itself. */
static void
close_all(struct demo *demo)
{
	cn_demo_transfer_close(&demo->transfer);
	cn_wanrelay_close(&demo->wan, NULL, NULL);
	cn_wanrelay_close(&demo->bare, NULL, NULL);
	cn_demo_sink_close(&demo->sink);
	uv_close((uv_handle_t *)&demo->ticker, NULL);
	for (size_t i = 0; i < CN_ARRAY_LEN(demo->signals); i++) {
		uv_close((uv_handle_t *)&demo->signals[i], NULL);
	}
	(void)uv_run(&demo->loop, UV_RUN_DEFAULT);
	int err = uv_loop_close(&demo->loop);
	assert(err == 0);
	(void)err;
}

int
cn_demo_run(struct cn_demo_plan *plan)
{
	struct demo demo = { .plan = plan,
		.started_us = cn_clock_us(),
		.is_live = !plan->is_quiet && isatty(STDERR_FILENO) == 1 };

	/* Children that die and readers that leave are told by errors. */
	(void)signal(SIGPIPE, SIG_IGN);
	int err = open_loop(&demo);
	if (err < 0) {
		cn_cli_error("no event loop: %s", cn_err_text(err));
		return err;
	}
	err = run_all(&demo);
	cn_demo_pair_stop(&demo.pair);
	close_all(&demo);
	if (plan->is_kept && demo.pair.folder[0] != '\0') {
		memcpy(plan->folder, demo.pair.folder, sizeof(plan->folder));
	} else {
		cn_demo_pair_remove(&demo.pair);
	}
	for (unsigned i = 0; i < CN_DEMO_STEPS; i++) {
		cn_demo_data_fini(&demo.data[i]);
	}
	return plan->is_interrupted ? CN_ECANCELED : err;
}
