/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `probe': round trips and throughput of the path to a peer, measured through
 * the gateways with streams to the ends that the peer has by itself.
 */
#include "manage/cmd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "manage/ask.h"
#include "manage/human.h"
#include "manage/ledger.h"
#include "manage/probeline.h"
#include "manage/table.h"

#define ROUNDS 100u
#define MESSAGE 64u
#define PIECE (64u * 1024u)
/* The way back is asked for in one number of bytes; a path too slow for so
 * many in the time has sent them late, not wrong. */
#define SOURCE_LEAST UINT64_C(65536)
#define SECONDS_MAX 60u

struct flow {
	uint64_t lan, wan, us;
};

struct probing {
	const struct cn_args *args;
	const char *peer;
	uint64_t seconds;
	uint8_t *buf; /* owned: PIECE */
	/* The path, as the gateway's carriers measure it. */
	uint64_t carriers, tcp_rtt_us, tcp_rate_bps;
	/* Segments with data, those sent again: at first, then of the probe. */
	uint64_t segments, resent;
	uint64_t rtt_us[ROUNDS]; /* sorted */
	struct flow up, text, down;
};

static enum cn_exit
say_cut(const char *what, const struct cn_snap_warm *end)
{
	cn_cli_error("the stream that measures %s broke: %s", what,
	    end->reason[0] != '\0' ? end->reason : "nothing came any more");
	return CN_EXIT_FAILED;
}

/* Close a line: both ways must have ended well. */
static enum cn_exit
end_line(struct cn_probeline *line, const char *what, struct cn_snap_warm *end)
{
	enum cn_exit code;
	size_t got;
	uint8_t byte;

	memset(end, 0, sizeof(*end));
	if (!line->is_cut) {
		cn_probeline_finish(line);
		(void)cn_probeline_receive(line, &byte, 1, &got);
	}
	if (line->is_cut) {
		cn_probeline_close(line);
		return say_cut(what, end);
	}
	code = cn_probeline_end(line, end);
	cn_probeline_close(line);
	if (code == CN_EXIT_OK && !end->is_clean) {
		return say_cut(what, end);
	}
	return code;
}

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* One message at a time: what an application that asks and waits sees. */
static enum cn_exit
measure_rtt(struct probing *p)
{
	struct cn_probeline line;
	struct cn_snap_warm end;
	uint8_t back[MESSAGE];
	enum cn_exit code =
	    cn_probeline_open(&line, p->args, p->peer, "/echo", false);
	bool is_same = true;

	for (size_t i = 0; code == CN_EXIT_OK && i <= ROUNDS; i++) {
		uint64_t start = cn_clock_us();
		size_t got;

		memset(p->buf, (int)('a' + i % 26), MESSAGE);
		if (!cn_probeline_send(&line, p->buf, MESSAGE) ||
		    !cn_probeline_receive(&line, back, MESSAGE, &got)) {
			break;
		}
		is_same = is_same && got == MESSAGE &&
		    memcmp(back, p->buf, MESSAGE) == 0;
		/* The first one opens the stream. */
		if (i > 0) {
			p->rtt_us[i - 1] = cn_clock_us() - start;
		}
	}
	if (code == CN_EXIT_OK) {
		code = end_line(&line, "round trips", &end);
	} else {
		cn_probeline_close(&line);
	}
	if (code == CN_EXIT_OK && !is_same) {
		cn_cli_error("WRONG BYTES came back; run `compressnet verify "
			     "%s'",
		    p->peer);
		return CN_EXIT_FINDINGS;
	}
	qsort(p->rtt_us, ROUNDS, sizeof(p->rtt_us[0]), compare);
	return code;
}

/* Push for so many seconds; the end comes back when all has arrived. */
static enum cn_exit
measure_up(struct probing *p, enum cn_ledger_kind kind, struct flow *ret)
{
	const char *what = kind == CN_LEDGER_TEXT ? "text" : "the way there";
	struct cn_ledger ledger;
	struct cn_probeline line;
	struct cn_snap_warm end;
	enum cn_exit code =
	    cn_probeline_open(&line, p->args, p->peer, "/sink", false);
	uint64_t start = cn_clock_us();

	cn_ledger_init(&ledger, kind, cn_rand_u64());
	while (code == CN_EXIT_OK &&
	    cn_clock_us() - start < p->seconds * UINT64_C(1000000)) {
		cn_ledger_take(&ledger, p->buf, PIECE);
		if (!cn_probeline_send(&line, p->buf, PIECE)) {
			break;
		}
	}
	if (code != CN_EXIT_OK) {
		cn_probeline_close(&line);
		return code;
	}
	code = end_line(&line, what, &end);
	ret->lan = end.lan;
	ret->wan = end.wan;
	ret->us = end.us;
	return code;
}

/* As many bytes as the way there would take in the time. */
static enum cn_exit
measure_down(struct probing *p)
{
	uint64_t bytes = p->up.us == 0
	    ? 0
	    : (uint64_t)((double)p->up.lan / (double)p->up.us *
		  (double)p->seconds * 1e6);
	struct cn_probeline line;
	struct cn_snap_warm end;
	char service[CN_SNAP_NAME];
	enum cn_exit code;
	size_t got = 1;

	(void)snprintf(service, sizeof(service), "/source/%" PRIu64,
	    CN_MAX(bytes, SOURCE_LEAST));
	code = cn_probeline_open(&line, p->args, p->peer, service, false);
	while (code == CN_EXIT_OK && got > 0) {
		if (!cn_probeline_receive(&line, p->buf, PIECE, &got)) {
			break;
		}
	}
	if (code != CN_EXIT_OK) {
		cn_probeline_close(&line);
		return code;
	}
	code = end_line(&line, "the way back", &end);
	p->down.lan = end.lan_received;
	p->down.wan = end.wan_received;
	p->down.us = end.us;
	return code;
}

/* ---- what the gateway knows of the path ---- */

/* Of the carriers that are up now; one that came new begins at 0. */
static void
look_at(struct probing *p, const struct cn_snap_peer *peer)
{
	uint64_t segments = 0, resent = 0;

	p->carriers = 0;
	p->tcp_rtt_us = peer->rtt_us;
	for (size_t i = 0; i < peer->links_count; i++) {
		const struct cn_snap_link *link = &peer->links[i];

		for (size_t j = 0; j < link->carriers_count; j++) {
			p->carriers += link->carriers[j].age_us != 0;
			p->tcp_rate_bps =
			    CN_MAX(p->tcp_rate_bps, link->carriers[j].rate_bps);
			segments += link->carriers[j].segments_data;
			resent += link->carriers[j].segments_resent;
		}
	}
	p->segments = segments - CN_MIN(p->segments, segments);
	p->resent = resent - CN_MIN(p->resent, resent);
}

static enum cn_exit
ask_peer(struct probing *p)
{
	struct cn_snap_peers peers = { 0 };
	struct cn_reply reply;
	const struct cn_snap_peer *peer = NULL;
	enum cn_exit code = cn_ask_once(p->args, CN_COMMAND_PEERS, &reply);
	int err;

	if (code != CN_EXIT_OK) {
		return code;
	}
	err = cn_shape_decode(&cn_snap_peers_shape, reply.data, &peers);
	cn_reply_fini(&reply);
	if (err < 0) {
		cn_cli_error("the gateway's answer makes no sense: %s",
		    cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	for (size_t i = 0; i < peers.peers_count; i++) {
		if (strcmp(peers.peers[i].name, p->peer) == 0) {
			peer = &peers.peers[i];
		}
	}
	if (peer == NULL) {
		cn_cli_error("no peer '%s'", p->peer);
		cn_cli_hint("`compressnet peers' lists them");
		code = CN_EXIT_FAILED;
	} else if (peer->state != CN_SNAP_UP &&
	    peer->state != CN_SNAP_DEGRADED) {
		char why[CN_SNAP_TEXT];

		cn_table_clean(why, sizeof(why), peer->error);
		cn_cli_error("peer '%s' is not up but %s%s%s", p->peer,
		    cn_snap_state_name(peer->state), why[0] != '\0' ? ": " : "",
		    why);
		cn_cli_hint("`compressnet doctor %s' says more", p->peer);
		code = CN_EXIT_FAILED;
	} else {
		look_at(p, peer);
	}
	cn_snap_peers_clear(&peers);
	return code;
}

/* ---- results ---- */

static json_t *
flow_json(const struct flow *flow)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "lan", (json_int_t)flow->lan,
	    "wan", (json_int_t)flow->wan, "us", (json_int_t)flow->us, "lan_bps",
	    (json_int_t)(flow->us == 0
		    ? 0
		    : (double)flow->lan * 1e6 / (double)flow->us));
}

static enum cn_exit
print_json(const struct probing *p)
{
	json_t *json = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, "
				 "s:{s:I, s:I, s:I, s:I}, "
				 "s:o, s:o, s:o}",
	    "peer", p->peer, "carriers", (json_int_t)p->carriers, "tcp_rtt_us",
	    (json_int_t)p->tcp_rtt_us, "tcp_rate_bps",
	    (json_int_t)p->tcp_rate_bps, "segments", (json_int_t)p->segments,
	    "segments_resent", (json_int_t)p->resent, "round_trip", "messages",
	    (json_int_t)ROUNDS, "p50_us", (json_int_t)p->rtt_us[ROUNDS / 2],
	    "p99_us", (json_int_t)p->rtt_us[ROUNDS * 99 / 100 - 1], "max_us",
	    (json_int_t)p->rtt_us[ROUNDS - 1], "sent_raw", flow_json(&p->up),
	    "received_raw", flow_json(&p->down), "sent_text",
	    flow_json(&p->text));
	enum cn_exit code;

	if (json == NULL) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
		return CN_EXIT_FAILED;
	}
	code = cn_ask_print(json, false);
	json_decref(json);
	return code;
}

static void
print_flow(const char *name, const struct flow *flow)
{
	printf("%-22s %s (%s in %s; %s on the WAN, %s)\n", name,
	    cn_human_rate(flow->lan, flow->us).text,
	    cn_human_bytes(flow->lan).text, cn_human_duration(flow->us).text,
	    cn_human_bytes(flow->wan).text,
	    cn_human_ratio(flow->lan, flow->wan).text);
}

static void
print_text(const struct probing *p)
{
	printf("%-22s %" PRIu64 ", round trip of TCP %s, rate as last "
	       "measured %s\n",
	    "carriers", p->carriers, cn_human_rtt(p->tcp_rtt_us).text,
	    p->tcp_rate_bps == 0
		? "-"
		: cn_human_rate(p->tcp_rate_bps, 1000000).text);
	printf("%-22s p50 %s, p99 %s, longest %s (%u of %u bytes)\n",
	    "round trip of streams",
	    cn_human_duration(p->rtt_us[ROUNDS / 2]).text,
	    cn_human_duration(p->rtt_us[ROUNDS * 99 / 100 - 1]).text,
	    cn_human_duration(p->rtt_us[ROUNDS - 1]).text, ROUNDS, MESSAGE);
	printf("%-22s %.2f %% of the TCP segments that we sent went again "
	       "(%" PRIu64 " of %" PRIu64 ")\n",
	    "loss",
	    p->segments == 0 ? 0.0
			     : (double)p->resent * 100.0 / (double)p->segments,
	    p->resent, p->segments);
	print_flow("sent, raw", &p->up);
	print_flow("received, raw", &p->down);
	print_flow("sent, lines of a log", &p->text);
}

enum cn_exit
cn_cmd_probe(const struct cn_args *args)
{
	struct probing p = { .args = args, .peer = args->word[0] };
	enum cn_exit code;

	if (!cn_cli_number(
		args, CN_OPTION_SECONDS, 3, 1, SECONDS_MAX, &p.seconds)) {
		return CN_EXIT_USAGE;
	}
	p.buf = cn_alloc(PIECE);
	if (p.buf == NULL) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
		return CN_EXIT_FAILED;
	}
	code = ask_peer(&p);
	if (code == CN_EXIT_OK) {
		code = measure_rtt(&p);
	}
	if (code == CN_EXIT_OK) {
		code = measure_up(&p, CN_LEDGER_RANDOM, &p.up);
	}
	if (code == CN_EXIT_OK) {
		code = measure_down(&p);
	}
	if (code == CN_EXIT_OK) {
		code = measure_up(&p, CN_LEDGER_TEXT, &p.text);
	}
	if (code == CN_EXIT_OK) {
		code = ask_peer(&p);
	}
	if (code == CN_EXIT_OK && args->option[CN_OPTION_JSON] != NULL) {
		code = print_json(&p);
	} else if (code == CN_EXIT_OK) {
		print_text(&p);
	}
	cn_free(p.buf);
	return code;
}
