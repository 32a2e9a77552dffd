/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/estimating.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "manage/assembly.h"

#define SCOPE_SEED UINT64_C(0x73636f7065)
/* Between one pass and the next, on the line's clock. */
#define PAUSE_US UINT64_C(1000000)
#define SHOW_PACKETS 256u

struct conn {
	struct cn_offline_flow *flow;
	struct cn_estimate_row *row; /* borrowed */
	struct cn_content content[CN_OFFLINE_WAYS];
};

struct captures {
	struct cn_estimating *run;
	struct cn_assembly *assembly;
	enum cn_estimate_pass pass;
	uint64_t base_us, first_us, time_us; /* of the line; of the capture */
	bool has_first;
	int err; /* of the engines, or no memory */
	bool is_damaged;
};

/* ---- magic ---- */

static bool
is_magic(const uint8_t at[4])
{
	static const uint8_t known[][4] = { { 0xa1, 0xb2, 0xc3, 0xd4 },
		{ 0xd4, 0xc3, 0xb2, 0xa1 }, { 0xa1, 0xb2, 0x3c, 0x4d },
		{ 0x4d, 0x3c, 0xb2, 0xa1 }, { 0x0a, 0x0d, 0x0d, 0x0a } };

	for (size_t i = 0; i < CN_ARRAY_LEN(known); i++) {
		if (memcmp(known[i], at, 4) == 0) {
			return true;
		}
	}
	return false;
}

/* Regular files only: opening something else may wait, or do things. */
static FILE *
open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	FILE *file = NULL;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		file = fdopen(fd, "rb");
	}
	if (file == NULL && fd >= 0) {
		(void)close(fd);
	}
	return file;
}

bool
cn_estimating_is_capture(const char *path)
{
	struct stat st;
	uint8_t magic[4];
	bool is_one = false;
	FILE *file;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
		return false;
	}
	file = open_file(path);
	if (file != NULL) {
		is_one =
		    fread(magic, 1, sizeof(magic), file) == sizeof(magic) &&
		    is_magic(magic);
		(void)fclose(file);
	}
	return is_one;
}

/* ---- connections ---- */

static void
on_opened(void *arg, struct cn_assembly_flow *flow)
{
	struct captures *c = arg;
	struct cn_estimate *e = c->run->estimate;
	uint8_t scope[18];
	char name[8];
	struct conn *conn = cn_calloc(1, sizeof(*conn));
	int err;

	flow->mark = conn;
	if (conn == NULL) {
		c->err = CN_ENOMEM;
		return;
	}
	(void)snprintf(name, sizeof(name), "%u", flow->server.port);
	conn->row = cn_estimate_row(e, name, flow->server.port);
	if (conn->row == NULL) {
		c->err = CN_ENOMEM;
		return;
	}
	conn->row->items += c->pass == CN_ESTIMATE_FIRST;
	/* One service for each server, as a forward would be. */
	memcpy(scope, flow->server.address, 16);
	scope[16] = (uint8_t)(flow->server.port >> 8);
	scope[17] = (uint8_t)flow->server.port;
	err = cn_offline_open(c->run->offline,
	    cn_hash64(scope, sizeof(scope), SCOPE_SEED),
	    &conn->row->bill[c->pass], &conn->flow);
	if (err == CN_EBUSY) {
		conn->flow = NULL;
		e->refused += c->pass == CN_ESTIMATE_FIRST;
	} else if (err != CN_OK) {
		c->err = err;
	}
}

static void
on_bytes(void *arg, struct cn_assembly_flow *flow, enum cn_assembly_way way,
    const uint8_t *bytes, size_t len, bool is_pushed)
{
	struct captures *c = arg;
	struct conn *conn = flow->mark;
	int err;

	if (conn == NULL || conn->flow == NULL || c->err != CN_OK) {
		return;
	}
	err = cn_offline_send(c->run->offline, conn->flow,
	    way == CN_ASSEMBLY_UP ? CN_OFFLINE_UP : CN_OFFLINE_DOWN, bytes, len,
	    is_pushed);
	if (err != CN_OK) {
		c->err = err;
		return;
	}
	c->run->estimate->lan[c->pass] += len;
	if (c->pass == CN_ESTIMATE_FIRST) {
		cn_content_take(
		    &conn->content[way], bytes, len, &conn->row->content);
	}
}

static void
on_closed(void *arg, struct cn_assembly_flow *flow)
{
	struct captures *c = arg;
	struct conn *conn = flow->mark;

	if (conn != NULL && conn->flow != NULL && c->err == CN_OK) {
		cn_offline_finish(c->run->offline, conn->flow, CN_OFFLINE_UP);
		cn_offline_finish(c->run->offline, conn->flow, CN_OFFLINE_DOWN);
	}
	cn_free(conn);
	flow->mark = NULL;
}

static const struct cn_assembly_ops ops = { on_opened, on_bytes, on_closed };

/* ---- packets ---- */

static void
count_packet(struct captures *c, enum cn_packet_kind kind)
{
	struct cn_estimate *e = c->run->estimate;

	if (c->pass == CN_ESTIMATE_FIRST) {
		e->packets++;
		e->other += kind == CN_PACKET_OTHER;
		e->fragments += kind == CN_PACKET_FRAGMENT;
		e->damaged += kind == CN_PACKET_DAMAGED;
	}
}

static void
take_packet(struct captures *c, int link_type, const struct pcap_pkthdr *head,
    const uint8_t *bytes)
{
	struct cn_packet packet;
	enum cn_packet_kind kind =
	    cn_packet_read(link_type, bytes, head->caplen, &packet);
	uint64_t time_us =
	    (uint64_t)head->ts.tv_sec * 1000000u + (uint64_t)head->ts.tv_usec;

	count_packet(c, kind);
	if (!c->has_first) {
		c->has_first = true;
		c->first_us = time_us;
	}
	time_us = time_us > c->first_us ? time_us - c->first_us : 0;
	c->time_us = CN_MAX(c->time_us, time_us);
	if (kind != CN_PACKET_TCP) {
		return;
	}
	c->err = cn_offline_pass(c->run->offline, c->base_us + time_us);
	if (c->err == CN_OK) {
		int err = cn_assembly_packet(c->assembly, &packet, time_us);

		c->err = c->err != CN_OK ? c->err : err;
	}
}

static void
show(struct captures *c, FILE *file, uint64_t before)
{
	struct cn_offline_line line[CN_OFFLINE_WAYS];
	long at = ftell(file);

	cn_offline_line(c->run->offline, line);
	c->run->done = before + (at > 0 ? (uint64_t)at : 0);
	cn_progress_show(&c->run->progress,
	    c->pass == CN_ESTIMATE_FIRST ? "first pass" : "sent again",
	    c->run->done, c->run->total, line[0].bytes + line[1].bytes);
}

/* All packets of an open capture. */
static void
read_packets(struct captures *c, const char *path, pcap_t *pcap)
{
	uint64_t before = c->run->done, packets = 0;
	int link_type = pcap_datalink(pcap), n = 0;
	struct pcap_pkthdr *head;
	const u_char *bytes;

	while (c->err == CN_OK && !cn_progress_is_stopped() &&
	    (n = pcap_next_ex(pcap, &head, &bytes)) == 1) {
		take_packet(c, link_type, head, bytes);
		if (++packets % SHOW_PACKETS == 0) {
			show(c, pcap_file(pcap), before);
		}
	}
	if (n == PCAP_ERROR && c->pass == CN_ESTIMATE_FIRST) {
		cn_progress_clear(&c->run->progress);
		cn_cli_error("%s is damaged after %llu packets: %s", path,
		    (unsigned long long)packets, pcap_geterr(pcap));
		c->is_damaged = true;
	}
}

static bool
read_capture(struct captures *c, const char *path)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	FILE *file = open_file(path);
	pcap_t *pcap;
	bool is_read = false;

	if (file == NULL) {
		cn_cli_error("cannot read %s: %s", path,
		    cn_err_text(cn_err_from_errno(errno)));
		return false;
	}
	pcap = pcap_fopen_offline(file, why); /* takes file on success */
	if (pcap == NULL) {
		cn_cli_error(
		    "%s is no capture that can be read: %s", path, why);
		(void)fclose(file);
		return false;
	}
	if (!cn_packet_is_known(pcap_datalink(pcap))) {
		const char *name =
		    pcap_datalink_val_to_name(pcap_datalink(pcap));

		cn_cli_error("%s was captured on a link layer that is not "
			     "understood: %s",
		    path, name != NULL ? name : "unknown");
		cn_cli_hint("Ethernet, Linux cooked, raw IP and loopback are");
	} else {
		read_packets(c, path, pcap);
		is_read = true;
	}
	pcap_close(pcap);
	return is_read;
}

static void
add_stats(const struct captures *c)
{
	struct cn_estimate *e = c->run->estimate;
	struct cn_assembly_stats stats;

	cn_assembly_stats(c->assembly, &stats);
	if (c->pass == CN_ESTIMATE_FIRST) {
		e->again += stats.again;
		e->missing += stats.missing;
		e->strange += stats.strange;
		e->midway += stats.midway;
		e->evicted += stats.evicted;
	}
}

/* One pass over one capture. */
static bool
pass_over(struct captures *c, const char *path)
{
	bool is_read = false;
	uint64_t before = c->run->done;

	c->err = cn_assembly_create(&ops, c, &c->assembly);
	if (c->err != CN_OK) {
		return false;
	}
	c->has_first = false;
	c->time_us = 0;
	is_read = read_capture(c, path);
	cn_assembly_finish(c->assembly);
	add_stats(c);
	cn_assembly_free(&c->assembly);
	c->base_us += c->time_us + PAUSE_US;
	if (c->err == CN_OK) {
		c->err = cn_estimating_count(c->run, c->pass);
	}
	c->run->done = before;
	return is_read && c->err == CN_OK;
}

static uint64_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

enum cn_exit
cn_estimating_captures(struct cn_estimating *run)
{
	struct captures c = { .run = run, .base_us = PAUSE_US };
	struct cn_estimate *e = run->estimate;
	const struct cn_args *args = run->args;
	bool is_read = true;

	e->is_capture = true;
	for (size_t i = 0; i < args->words; i++) {
		run->total += 2 * size_of(args->word[i]);
	}
	for (int pass = 0; pass < CN_ESTIMATE_PASSES && is_read; pass++) {
		c.pass = (enum cn_estimate_pass)pass;
		for (size_t i = 0;
		     i < args->words && is_read && !cn_progress_is_stopped();
		     i++) {
			is_read = pass_over(&c, args->word[i]);
			run->done += size_of(args->word[i]);
		}
		if (pass == CN_ESTIMATE_FIRST) {
			e->is_store_short =
			    cn_offline_is_store_full(run->offline);
		}
	}
	if (c.err != CN_OK) {
		return cn_estimating_failed(run, c.err);
	}
	if (!is_read) {
		return CN_EXIT_FAILED;
	}
	e->is_complete = !cn_progress_is_stopped() && !c.is_damaged;
	if (e->lan[CN_ESTIMATE_FIRST] == 0) {
		cn_progress_clear(&run->progress);
		cn_cli_error("no TCP connection in it carries any data "
			     "(%llu packets, %llu not TCP, %llu damaged)",
		    (unsigned long long)e->packets,
		    (unsigned long long)e->other,
		    (unsigned long long)e->damaged);
		return CN_EXIT_FAILED;
	}
	return CN_EXIT_OK;
}
