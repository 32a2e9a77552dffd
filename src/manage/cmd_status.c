/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "manage/ask.h"
#include "manage/view.h"

/* What the last look saw, for rates. */
struct look {
	uint64_t at_us; /* 0: there was none */
	struct cn_snap_bytes sent, received;
};

static void
print_head(const struct cn_snap_status *status)
{
	const struct cn_snap_gateway *gateway = &status->gateway;
	char name[CN_SNAP_NAME], config[CN_SNAP_PATH];

	cn_table_clean(name, sizeof(name), gateway->name);
	cn_table_clean(config, sizeof(config), gateway->config);
	printf("%s  %s, up %s, version %.63s, pid %u, %u worker%s\n", name,
	    cn_snap_state_name(gateway->state),
	    cn_human_duration(gateway->uptime_us).text, gateway->version,
	    gateway->pid, gateway->workers, gateway->workers == 1 ? "" : "s");
	if (gateway->config_error[0] != '\0') {
		char why[CN_SNAP_TEXT];

		cn_table_clean(why, sizeof(why), gateway->config_error);
		printf("the last reload of %s was refused: %s\n", config, why);
	}
}

static void
print_totals(const struct cn_snap_status *status, const struct look *last,
    uint64_t now, bool is_bold)
{
	static const struct cn_table_column columns[] = { { "", false },
		{ "LAN", true }, { "WAN", true }, { "SAVED", true },
		{ "RATIO", true }, { "LAN NOW", true }, { "WAN NOW", true } };
	struct cn_snap_bytes total = status->sent, before = last->sent;
	uint64_t over_us = last->at_us == 0 ? 0 : now - last->at_us;
	struct cn_table table;

	cn_snap_bytes_add(&total, &status->received);
	cn_snap_bytes_add(&before, &last->received);
	/* Without an earlier look there is nothing to tell of now. */
	cn_table_init(
	    &table, columns, CN_ARRAY_LEN(columns) - (over_us == 0 ? 2 : 0));
	const struct {
		const char *name;
		const struct cn_snap_bytes *bytes, *was;
	} rows[] = { { "sent", &status->sent, &last->sent },
		{ "received", &status->received, &last->received },
		{ "together", &total, &before } };
	for (size_t i = 0; i < CN_ARRAY_LEN(rows); i++) {
		const struct cn_snap_bytes *bytes = rows[i].bytes;
		const struct cn_snap_bytes *was = rows[i].was;
		const struct cn_human lan = cn_human_bytes(bytes->lan);
		const struct cn_human wan = cn_human_bytes(bytes->wan);
		const struct cn_human saved =
		    cn_human_saved(bytes->lan, bytes->wan);
		const struct cn_human ratio =
		    cn_human_ratio(bytes->lan, bytes->wan);
		const struct cn_human lan_now = cn_human_rate(
		    bytes->lan - CN_MIN(was->lan, bytes->lan), over_us);
		const struct cn_human wan_now = cn_human_rate(
		    bytes->wan - CN_MIN(was->wan, bytes->wan), over_us);

		cn_table_row(&table,
		    (const char *const[]){ rows[i].name, lan.text, wan.text,
			saved.text, ratio.text, lan_now.text, wan_now.text });
	}
	cn_table_print(&table, stdout, is_bold, 0);
	cn_table_fini(&table);
}

/* One line; `store' tells the rest. */
static void
print_store(const struct cn_snap_store *store)
{
	if (!store->is_on) {
		return;
	}
	printf("store   %s in memory, %s on disk; %s of %s LAN bytes went as "
	       "references\n",
	    cn_human_memory(store->memory_bytes).text,
	    cn_human_memory(store->disk_bytes).text,
	    cn_human_bytes(store->copied).text,
	    cn_human_bytes(store->lan).text);
	if (store->is_disk_lost) {
		char why[CN_SNAP_TEXT];

		cn_table_clean(why, sizeof(why), store->error);
		printf("store   THE DISK IS NOT IN USE: %s\n", why);
	}
}

static void
print_foot(const struct cn_snap_status *status)
{
	const struct cn_snap_memory *memory = &status->memory;

	printf("\nstreams %llu (opened here %llu, by peers %llu)\n",
	    (unsigned long long)status->streams,
	    (unsigned long long)status->streams_opened,
	    (unsigned long long)status->streams_accepted);
	printf("memory  %s of %s in the pool, %s resident; descriptors %llu "
	       "of %llu; CPU %s\n",
	    cn_human_memory(memory->pool_used).text,
	    cn_human_memory(memory->pool_limit).text,
	    cn_human_memory(memory->resident).text,
	    (unsigned long long)status->gateway.descriptors,
	    (unsigned long long)status->gateway.descriptors_limit,
	    cn_human_duration(status->gateway.cpu_us).text);
	print_store(&status->store);
}

static void
print_status(const struct cn_snap_status *status, const struct look *last,
    uint64_t now, bool is_bold)
{
	print_head(status);
	(void)putchar('\n');
	print_totals(status, last, now, is_bold);
	if (status->peers_count > 0) {
		(void)putchar('\n');
		cn_view_peers(status->peers, status->peers_count, is_bold);
	}
	if (status->services_count > 0) {
		(void)putchar('\n');
		cn_view_services(
		    status->services, status->services_count, is_bold);
	}
	if (status->offers_count > 0) {
		(void)putchar('\n');
		cn_view_offers(status->offers, status->offers_count, is_bold);
	}
	print_foot(status);
}

/* One look: ask and print. */
static enum cn_exit
look(struct cn_ask *ask, struct look *last, bool is_watch)
{
	bool is_bold = cn_cli_is_coloured(ask->args, STDOUT_FILENO);
	struct cn_request request = { .command = CN_COMMAND_STATUS };
	struct cn_snap_status status = { 0 };
	struct cn_reply reply;
	enum cn_exit code = cn_ask_call(ask, &request, &reply);
	uint64_t now = cn_clock_us();

	if (code != CN_EXIT_OK) {
		return code;
	}
	if (ask->args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, is_watch);
		cn_reply_fini(&reply);
		return code;
	}
	int err = cn_shape_decode(&cn_snap_status_shape, reply.data, &status);
	cn_reply_fini(&reply);
	if (err < 0) {
		cn_cli_error("the gateway's answer makes no sense: %s",
		    cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	if (is_watch && isatty(STDOUT_FILENO) == 1) {
		(void)fputs("\x1b[H\x1b[2J", stdout);
	}
	print_status(&status, last, now, is_bold);
	last->at_us = now;
	last->sent = status.sent;
	last->received = status.received;
	cn_snap_status_clear(&status);
	return CN_EXIT_OK;
}

enum cn_exit
cn_cmd_status(const struct cn_args *args)
{
	bool is_watch = args->option[CN_OPTION_WATCH] != NULL;
	struct look last = { 0 };
	uint64_t interval, count;
	struct cn_ask ask;

	if (!cn_cli_number(args, CN_OPTION_INTERVAL, 1, 1, 3600, &interval) ||
	    !cn_cli_number(args, CN_OPTION_COUNT, is_watch ? UINT64_MAX : 1, 1,
		UINT64_MAX, &count)) {
		return CN_EXIT_USAGE;
	}
	is_watch = is_watch || count > 1;
	enum cn_exit code = cn_ask_open(&ask, args);
	while (code == CN_EXIT_OK) {
		code = look(&ask, &last, is_watch);
		if (--count == 0 || code != CN_EXIT_OK) {
			break;
		}
		if (fflush(stdout) != 0) {
			break; /* told by the caller */
		}
		(void)sleep((unsigned)interval);
		if (isatty(STDOUT_FILENO) != 1 &&
		    args->option[CN_OPTION_JSON] == NULL) {
			(void)putchar('\n');
		}
	}
	cn_ask_close(&ask);
	return code;
}
