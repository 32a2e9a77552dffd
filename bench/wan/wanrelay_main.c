/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cn-wanrelay: the emulated WAN of src/manage/wanrelay.h as a program, for
 * tests and measurements.  What it has to say goes to stdout, one JSON object
 * a line; SIGUSR1 prints the counters, SIGTERM and SIGINT end it.
 */

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/err.h"
#include "manage/wanrelay.h"
#include "wanunits.h"

#define LINE_MAX_BYTES 256u
#define WORDS_MAX 4u

struct program {
	uv_loop_t loop;
	uv_signal_t on_usr1;
	uv_signal_t on_term;
	uv_signal_t on_int;
	uv_pipe_t input;
	struct cn_wanrelay *relay;
	bool takes_commands;
	char line[LINE_MAX_BYTES];
	size_t line_len;
	char chunk[LINE_MAX_BYTES];
};

static const char usage_text[] =
    "usage: cn-wanrelay --listen ADDRESS:PORT --to ADDRESS:PORT [OPTIONS]\n"
    "  --rate RATE        each way: 10mbit, 500kbit (default: no limit)\n"
    "  --delay TIME       one way: 20ms, 500us (default 0)\n"
    "  --queue SIZE       before the wire, each way (default 64KiB)\n"
    "  --cut-every TIME   reset all connections about so often\n"
    "  --flip-every SIZE  flip a bit in about each so many bytes\n"
    "  --seed N           of the faults (default 1)\n"
    "  --stdin            take commands; end with the input:\n"
    "      cut | stall [TIME] | resume | line RATE DELAY | stats | quit\n";

static void
print_stats(const struct program *program, const char *event)
{
	struct cn_wanrelay_stats stats;

	cn_wanrelay_stats(program->relay, &stats);
	printf("{\"event\": \"%s\", \"up_in\": %" PRIu64
	       ", \"up_out\": %" PRIu64 ", \"down_in\": %" PRIu64
	       ", \"down_out\": %" PRIu64 ", \"accepted\": %" PRIu64
	       ", \"failed\": %" PRIu64 ", \"live\": %" PRIu64
	       ", \"cuts\": %" PRIu64 ", \"cut_connections\": %" PRIu64
	       ", \"flips\": %" PRIu64 "}\n",
	    event, stats.up_in, stats.up_out, stats.down_in, stats.down_out,
	    stats.accepted, stats.failed, stats.live, stats.cuts,
	    stats.cut_connections, stats.flips);
	fflush(stdout);
}

static void
finish(struct program *program)
{
	if (!program->relay) {
		return;
	}
	print_stats(program, "end");
	cn_wanrelay_close(&program->relay, NULL, NULL);
	uv_close((uv_handle_t *)&program->on_usr1, NULL);
	uv_close((uv_handle_t *)&program->on_term, NULL);
	uv_close((uv_handle_t *)&program->on_int, NULL);
	if (program->takes_commands) {
		uv_close((uv_handle_t *)&program->input, NULL);
	}
}

static void
on_signal(uv_signal_t *handle, int signum)
{
	struct program *program = handle->data;

	if (signum != SIGUSR1) {
		finish(program);
	} else if (program->relay) {
		print_stats(program, "stats");
	}
}

/* Returns false for what is no command. */
static bool
run_command(struct program *program, size_t count, char **word)
{
	uint64_t rate = 0, time = 0;

	if (count == 1 && strcmp(word[0], "cut") == 0) {
		cn_wanrelay_cut(program->relay);
	} else if (count == 1 && strcmp(word[0], "stall") == 0) {
		cn_wanrelay_stall(program->relay, 0);
	} else if (count == 2 && strcmp(word[0], "stall") == 0 &&
	    cn_wanunits_time(word[1], &time)) {
		cn_wanrelay_stall(program->relay, time);
	} else if (count == 1 && strcmp(word[0], "resume") == 0) {
		cn_wanrelay_resume(program->relay);
	} else if (count == 3 && strcmp(word[0], "line") == 0 &&
	    cn_wanunits_rate(word[1], &rate) &&
	    cn_wanunits_time(word[2], &time)) {
		cn_wanrelay_set_line(program->relay, rate, time);
	} else if (count == 1 && strcmp(word[0], "stats") == 0) {
		print_stats(program, "stats");
		return true;
	} else if (count == 1 && strcmp(word[0], "quit") == 0) {
		finish(program);
		return true;
	} else {
		return false;
	}
	printf("{\"event\": \"done\", \"command\": \"%s\"}\n", word[0]);
	fflush(stdout);
	return true;
}

static void
run_line(struct program *program)
{
	char *word[WORDS_MAX], *rest = NULL, *next;
	size_t count = 0;

	program->line[program->line_len] = '\0';
	program->line_len = 0;
	next = strtok_r(program->line, " \t\r", &rest);
	while (next && count < WORDS_MAX) {
		word[count++] = next;
		next = strtok_r(NULL, " \t\r", &rest);
	}
	if (count > 0 && !run_command(program, count, word)) {
		printf(
		    "{\"event\": \"error\", \"text\": \"no such command\"}\n");
		fflush(stdout);
	}
}

static void
give_chunk(uv_handle_t *handle, size_t hint CN_UNUSED, uv_buf_t *buf)
{
	struct program *program = handle->data;

	*buf = uv_buf_init(program->chunk, sizeof(program->chunk));
}

static void
on_input(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct program *program = stream->data;

	if (n < 0) {
		finish(program);
		return;
	}
	for (ssize_t i = 0; i < n && program->relay; i++) {
		if (buf->base[i] == '\n') {
			run_line(program);
		} else if (program->line_len + 1 < sizeof(program->line)) {
			program->line[program->line_len++] = buf->base[i];
		}
	}
}

/* Returns false for options that make no sense. */
static bool
parse_options(int argc, char **argv, struct cn_wanrelay_config *config,
    bool *takes_commands)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "to", required_argument, NULL, 't' },
		{ "rate", required_argument, NULL, 'r' },
		{ "delay", required_argument, NULL, 'd' },
		{ "queue", required_argument, NULL, 'q' },
		{ "cut-every", required_argument, NULL, 'c' },
		{ "flip-every", required_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' },
		{ "stdin", no_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	bool ok = true;
	uint64_t queue = 0;
	int option;

	while (
	    ok && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			config->listen = optarg;
			break;
		case 't':
			config->to = optarg;
			break;
		case 'r':
			ok = cn_wanunits_rate(optarg, &config->rate_bps);
			break;
		case 'd':
			ok = cn_wanunits_time(optarg, &config->delay_us);
			break;
		case 'q':
			ok = cn_wanunits_size(optarg, &queue);
			break;
		case 'c':
			ok = cn_wanunits_time(optarg, &config->cut_every_us);
			break;
		case 'f':
			ok = cn_wanunits_size(optarg, &config->flip_every);
			break;
		case 's':
			ok = cn_wanunits_count(optarg, &config->seed);
			break;
		case 'i':
			*takes_commands = true;
			break;
		default:
			ok = false;
			break;
		}
	}
	config->queue_bytes = (size_t)queue;
	return ok && optind == argc && config->listen && config->to;
}

static void
watch_signal(struct program *program, uv_signal_t *handle, int signum)
{
	uv_signal_init(&program->loop, handle);
	handle->data = program;
	uv_signal_start(handle, on_signal, signum);
}

int
main(int argc, char **argv)
{
	static struct program program;
	struct cn_wanrelay_config config = { .seed = 1 };
	int err;

	if (!parse_options(argc, argv, &config, &program.takes_commands)) {
		fputs(usage_text, stderr);
		return 2;
	}
	uv_loop_init(&program.loop);
	err = cn_wanrelay_open(&program.loop, &config, &program.relay);
	if (err != CN_OK) {
		fprintf(stderr, "cn-wanrelay: %s\n", cn_err_text(err));
		uv_loop_close(&program.loop);
		return 1;
	}
	watch_signal(&program, &program.on_usr1, SIGUSR1);
	watch_signal(&program, &program.on_term, SIGTERM);
	watch_signal(&program, &program.on_int, SIGINT);
	if (program.takes_commands) {
		uv_pipe_init(&program.loop, &program.input, 0);
		program.input.data = &program;
		uv_pipe_open(&program.input, STDIN_FILENO);
		uv_read_start(
		    (uv_stream_t *)&program.input, give_chunk, on_input);
	}
	printf("{\"event\": \"listening\", \"port\": %u}\n",
	    (unsigned)cn_wanrelay_port(program.relay));
	fflush(stdout);
	uv_run(&program.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&program.loop) == 0 ? 0 : 1;
}
