/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/view.h"

#include <stdio.h>
#include <string.h>

struct sum {
	struct cn_human lan, wan, saved, ratio;
};

/* Both directions as texts. */
static struct sum
sum_of(const struct cn_snap_bytes *sent, const struct cn_snap_bytes *received)
{
	struct cn_snap_bytes sum = *sent;

	cn_snap_bytes_add(&sum, received);
	return (struct sum){ cn_human_bytes(sum.lan), cn_human_bytes(sum.wan),
		cn_human_saved(sum.lan, sum.wan),
		cn_human_ratio(sum.lan, sum.wan) };
}

static struct cn_human
number(uint64_t value)
{
	struct cn_human human;

	(void)snprintf(
	    human.text, sizeof(human.text), "%llu", (unsigned long long)value);
	return human;
}

void
cn_view_line(const char *name, const char *text)
{
	char clean[CN_SNAP_PATH + 1];

	cn_table_clean(clean, sizeof(clean), text);
	printf("%-16s %s\n", name, clean[0] != '\0' ? clean : "-");
}

/* Reasons below a table, each by its name. */
static void
print_errors(const char *name, const char *error)
{
	char who[CN_SNAP_NAME], why[CN_SNAP_TEXT];

	if (error[0] == '\0') {
		return;
	}
	cn_table_clean(who, sizeof(who), name);
	cn_table_clean(why, sizeof(why), error);
	printf("  %s: %s\n", who, why);
}

void
cn_view_peers(const struct cn_snap_peer *peers, size_t count, bool is_bold)
{
	static const struct cn_table_column columns[] = { { "PEER", false },
		{ "STATE", false }, { "RTT", true }, { "STREAMS", true },
		{ "LAN", true }, { "WAN", true }, { "SAVED", true },
		{ "RATIO", true }, { "RESUMES", true } };
	struct cn_table table;

	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	for (size_t i = 0; i < count; i++) {
		const struct cn_snap_peer *peer = &peers[i];
		const struct sum sum = sum_of(&peer->sent, &peer->received);
		const struct cn_human rtt = cn_human_rtt(peer->rtt_us);
		const struct cn_human streams = number(peer->streams);
		const struct cn_human resumes = number(peer->resumes);

		cn_table_row(&table,
		    (const char *const[]){ peer->name,
			cn_snap_state_name(peer->state), rtt.text, streams.text,
			sum.lan.text, sum.wan.text, sum.saved.text,
			sum.ratio.text, resumes.text });
	}
	cn_table_print(&table, stdout, is_bold, 0);
	cn_table_fini(&table);
	for (size_t i = 0; i < count; i++) {
		print_errors(peers[i].name, peers[i].error);
	}
}

static void
print_carriers(const struct cn_snap_link *link, bool is_bold)
{
	static const struct cn_table_column columns[] = { { "CARRIER", true },
		{ "STATE", false }, { "RTT", true }, { "RATE", true },
		{ "UP", true }, { "SENT", true }, { "RECEIVED", true },
		{ "FROM", false }, { "TO", false } };
	struct cn_table table;

	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	for (size_t i = 0; i < link->carriers_count; i++) {
		const struct cn_snap_carrier *carrier = &link->carriers[i];
		const struct cn_human slot = number(carrier->slot);
		const struct cn_human rtt = cn_human_rtt(carrier->rtt_us);
		const struct cn_human up = cn_human_rtt(carrier->age_us);
		const struct cn_human out = cn_human_bytes(carrier->wan_sent);
		const struct cn_human in =
		    cn_human_bytes(carrier->wan_received);
		struct cn_human rate = { "-" };

		if (carrier->rate_bps > 0) {
			rate = cn_human_rate(carrier->rate_bps, 1000000);
		}
		cn_table_row(&table,
		    (const char *const[]){ slot.text,
			cn_snap_state_name(carrier->state), rtt.text, rate.text,
			up.text, out.text, in.text,
			carrier->is_dialler ? carrier->local : carrier->remote,
			carrier->is_dialler ? carrier->remote
					    : carrier->local });
	}
	cn_table_print(&table, stdout, is_bold, 2);
	cn_table_fini(&table);
	for (size_t i = 0; i < link->carriers_count; i++) {
		const struct cn_snap_carrier *carrier = &link->carriers[i];
		char why[CN_SNAP_TEXT];

		if (carrier->state == CN_SNAP_UP || carrier->error[0] == '\0') {
			continue;
		}
		cn_table_clean(why, sizeof(why), carrier->error);
		printf("  carrier %u: %s", carrier->slot, why);
		if (carrier->redial_us > 0) {
			printf("; dials again in %s",
			    cn_human_duration(carrier->redial_us).text);
		}
		(void)putchar('\n');
	}
}

static void
print_link(const struct cn_snap_link *link, bool is_bold)
{
	char id[CN_SNAP_NAME];

	cn_table_clean(id, sizeof(id), link->id);
	printf("\nlink %s  %s, worker %u, %llu streams, %llu resumes\n", id,
	    cn_snap_state_name(link->state), link->worker,
	    (unsigned long long)link->streams,
	    (unsigned long long)link->resumes);
	if (link->down_us > 0) {
		printf("  without a carrier for %s\n",
		    cn_human_duration(link->down_us).text);
	}
	if (link->resent > 0 || link->nacks_sent > 0 ||
	    link->nacks_received > 0 || link->is_coding_off) {
		printf("  sent again %s; negative acknowledgements sent "
		       "%llu, received %llu%s\n",
		    cn_human_bytes(link->resent).text,
		    (unsigned long long)link->nacks_sent,
		    (unsigned long long)link->nacks_received,
		    link->is_coding_off ? "; CODING IS OFF: three damaged "
					  "blocks in ten minutes"
					: "");
	}
	print_carriers(link, is_bold);
}

void
cn_view_peer(const struct cn_snap_peer *peer, bool is_bold)
{
	cn_view_peers(peer, 1, is_bold);
	(void)putchar('\n');
	cn_view_line("identity", peer->identity);
	cn_view_line("address",
	    peer->address[0] != '\0' ? peer->address : "it dials us");
	cn_view_line("calls itself", peer->gateway);
	for (size_t i = 0; i < peer->links_count; i++) {
		print_link(&peer->links[i], is_bold);
	}
}

void
cn_view_services(
    const struct cn_snap_service *services, size_t count, bool is_bold)
{
	static const struct cn_table_column columns[] = { { "SERVICE", false },
		{ "LISTEN", false }, { "PEER", false }, { "STATE", false },
		{ "STREAMS", true }, { "OPENED", true }, { "REFUSED", true },
		{ "LAN", true }, { "WAN", true }, { "SAVED", true },
		{ "RATIO", true } };
	struct cn_table table;

	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	for (size_t i = 0; i < count; i++) {
		const struct cn_snap_service *service = &services[i];
		const struct sum sum =
		    sum_of(&service->sent, &service->received);
		const struct cn_human streams = number(service->streams);
		const struct cn_human opened = number(service->opened);
		const struct cn_human refused = number(service->refused);

		cn_table_row(&table,
		    (const char *const[]){ service->name, service->listen,
			service->peer, cn_snap_state_name(service->state),
			streams.text, opened.text, refused.text, sum.lan.text,
			sum.wan.text, sum.saved.text, sum.ratio.text });
	}
	cn_table_print(&table, stdout, is_bold, 0);
	cn_table_fini(&table);
	for (size_t i = 0; i < count; i++) {
		print_errors(services[i].name, services[i].error);
	}
}

void
cn_view_offers(const struct cn_snap_offer *offers, size_t count, bool is_bold)
{
	static const struct cn_table_column columns[] = { { "OFFER", false },
		{ "TARGET", false }, { "PEERS", false }, { "STREAMS", true },
		{ "OPENED", true }, { "REFUSED", true }, { "LAN", true },
		{ "WAN", true }, { "SAVED", true }, { "RATIO", true } };
	struct cn_table table;

	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	for (size_t i = 0; i < count; i++) {
		const struct cn_snap_offer *offer = &offers[i];
		const struct sum sum = sum_of(&offer->sent, &offer->received);
		const struct cn_human streams = number(offer->streams);
		const struct cn_human opened = number(offer->opened);
		const struct cn_human refused = number(offer->refused);

		cn_table_row(&table,
		    (const char *const[]){ offer->name, offer->target,
			offer->peers, streams.text, opened.text, refused.text,
			sum.lan.text, sum.wan.text, sum.saved.text,
			sum.ratio.text });
	}
	cn_table_print(&table, stdout, is_bold, 0);
	cn_table_fini(&table);
	for (size_t i = 0; i < count; i++) {
		print_errors(offers[i].name, offers[i].error);
	}
}

void
cn_view_bytes(const struct cn_snap_bytes *sent,
    const struct cn_snap_bytes *received, bool is_bold)
{
	static const struct cn_table_column columns[] = { { "", false },
		{ "LAN", true }, { "WAN", true }, { "SAVED", true },
		{ "RATIO", true }, { "COPIED", true }, { "LITERAL", true },
		{ "RAW", true }, { "CODED", true }, { "FRAMING", true } };
	const struct {
		const char *name;
		const struct cn_snap_bytes *bytes;
	} rows[] = { { "sent", sent }, { "received", received } };
	struct cn_table table;

	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	for (size_t i = 0; i < CN_ARRAY_LEN(rows); i++) {
		const struct cn_snap_bytes *bytes = rows[i].bytes;
		const struct cn_human lan = cn_human_bytes(bytes->lan);
		const struct cn_human wan = cn_human_bytes(bytes->wan);
		const struct cn_human saved =
		    cn_human_saved(bytes->lan, bytes->wan);
		const struct cn_human ratio =
		    cn_human_ratio(bytes->lan, bytes->wan);
		const struct cn_human copied = cn_human_bytes(bytes->copied);
		const struct cn_human literal = cn_human_bytes(bytes->literal);
		const struct cn_human raw = cn_human_bytes(bytes->raw);
		const struct cn_human coded = cn_human_bytes(bytes->coded);
		const struct cn_human framing = cn_human_bytes(bytes->framing);

		cn_table_row(&table,
		    (const char *const[]){ rows[i].name, lan.text, wan.text,
			saved.text, ratio.text, copied.text, literal.text,
			raw.text, coded.text, framing.text });
	}
	cn_table_print(&table, stdout, is_bold, 0);
	cn_table_fini(&table);
}
