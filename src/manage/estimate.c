/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/estimate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "manage/human.h"
#include "manage/table.h"

void
cn_estimate_init(struct cn_estimate *e)
{
	memset(e, 0, sizeof(*e));
	e->price = -1;
	e->currency = "";
}

void
cn_estimate_fini(struct cn_estimate *e)
{
	for (size_t i = 0; i < e->rows; i++) {
		cn_free(e->row[i]);
	}
	e->rows = 0;
}

struct cn_estimate_row *
cn_estimate_row(struct cn_estimate *e, const char *name, uint16_t port)
{
	struct cn_estimate_row *row;

	if (e->rows == CN_ESTIMATE_ROWS_MAX - 1) {
		name = "(others)";
		port = 0;
	}
	for (size_t i = 0; i < e->rows; i++) {
		if (e->row[i]->port == port &&
		    strcmp(e->row[i]->name, name) == 0) {
			return e->row[i];
		}
	}
	if (e->rows == CN_ESTIMATE_ROWS_MAX) {
		return e->row[e->rows - 1];
	}
	row = cn_calloc(1, sizeof(*row));
	if (row != NULL) {
		(void)snprintf(row->name, sizeof(row->name), "%s", name);
		row->port = port;
		e->row[e->rows++] = row;
	}
	return row;
}

uint64_t
cn_estimate_row_lan(
    const struct cn_estimate_row *row, enum cn_estimate_pass pass)
{
	const struct cn_offline_bill *bill = &row->bill[pass];

	return bill->way[CN_OFFLINE_UP].lan + bill->way[CN_OFFLINE_DOWN].lan;
}

uint64_t
cn_estimate_wan(const struct cn_estimate *e, enum cn_estimate_pass pass)
{
	return e->line[pass][CN_OFFLINE_UP].bytes +
	    e->line[pass][CN_OFFLINE_DOWN].bytes;
}

uint64_t
cn_estimate_row_wan(const struct cn_estimate *e,
    const struct cn_estimate_row *row, enum cn_estimate_pass pass)
{
	double wan = 0;

	for (int i = 0; i < CN_OFFLINE_WAYS; i++) {
		const struct cn_offline_line *line = &e->line[pass][i];
		uint64_t tls = line->records * CN_OFFLINE_RECORD_BYTES;

		if (line->bytes > tls) {
			wan += (double)row->bill[pass].way[i].wan *
			    (double)line->bytes / (double)(line->bytes - tls);
		}
	}
	return (uint64_t)wan;
}

static int
compare(const void *a, const void *b)
{
	const struct cn_estimate_row *left =
	    *(struct cn_estimate_row *const *)a;
	const struct cn_estimate_row *right =
	    *(struct cn_estimate_row *const *)b;
	uint64_t l = cn_estimate_row_lan(left, CN_ESTIMATE_FIRST);
	uint64_t r = cn_estimate_row_lan(right, CN_ESTIMATE_FIRST);

	return l != r ? (l < r ? 1 : -1) : strcmp(left->name, right->name);
}

void
cn_estimate_sort(struct cn_estimate *e)
{
	if (e->rows > 0) {
		qsort(
		    e->row, e->rows, sizeof(struct cn_estimate_row *), compare);
	}
}

/* ---- text ---- */

static void
sum_content(const struct cn_estimate *e, struct cn_content_bytes *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < e->rows; i++) {
		cn_content_add(ret, &e->row[i]->content);
	}
}

static uint64_t
sum_copied(const struct cn_estimate *e)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < e->rows; i++) {
		for (int w = 0; w < CN_OFFLINE_WAYS; w++) {
			sum += e->row[i]->bill[CN_ESTIMATE_FIRST].way[w].copied;
		}
	}
	return sum;
}

static uint64_t
sum_items(const struct cn_estimate *e)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < e->rows; i++) {
		sum += e->row[i]->items;
	}
	return sum;
}

static struct cn_human
percent(uint64_t part, uint64_t all)
{
	struct cn_human ret;

	if (all == 0) {
		(void)snprintf(ret.text, sizeof(ret.text), "-");
	} else {
		(void)snprintf(ret.text, sizeof(ret.text), "%.1f %%",
		    100.0 * (double)part / (double)all);
	}
	return ret;
}

static void
print_money(const struct cn_estimate *e, uint64_t lan, uint64_t wan)
{
	if (e->price >= 0) {
		(void)printf("  costs %.2f%s instead of %.2f%s",
		    (double)wan / 1e9 * e->price, e->currency,
		    (double)lan / 1e9 * e->price, e->currency);
	}
	(void)putchar('\n');
}

static void
print_pass(
    const struct cn_estimate *e, const char *name, enum cn_estimate_pass pass)
{
	uint64_t lan = e->lan[pass], wan = cn_estimate_wan(e, pass);

	if (lan == 0) {
		(void)printf("  %-12s not measured\n", name);
		return;
	}
	(void)printf("  %-12s LAN %9s  WAN %9s  saved %7s  %7s", name,
	    cn_human_bytes(lan).text, cn_human_bytes(wan).text,
	    cn_human_saved(lan, wan).text, cn_human_ratio(lan, wan).text);
	print_money(e, lan, wan);
}

static void
print_content(const struct cn_estimate *e)
{
	struct cn_content_bytes content;
	uint64_t lan = e->lan[CN_ESTIMATE_FIRST];
	bool is_first = true;

	sum_content(e, &content);
	(void)printf("  %-12s %s encrypted, %s compressed, %s without a "
		     "pattern",
	    "already", percent(cn_content_encrypted(&content), lan).text,
	    percent(cn_content_compressed(&content), lan).text,
	    percent(content.kind[CN_PROBE_RANDOM], lan).text);
	for (unsigned i = 1; i < CN_CONTENT_KINDS; i++) {
		if (content.kind[i] > 0) {
			(void)printf("%s%s %s", is_first ? " (" : ", ",
			    cn_content_name(i),
			    cn_human_bytes(content.kind[i]).text);
			is_first = false;
		}
	}
	(void)printf("%s\n", is_first ? "" : ")");
}

static void
print_rows(const struct cn_estimate *e, size_t limit, bool is_bold)
{
	static const struct cn_table_column files[] = { { "TYPE", false },
		{ "FILES", true }, { "LAN", true }, { "WAN", true },
		{ "SAVED", true }, { "AGAIN", true }, { "SAVED", true },
		{ "OPAQUE", true } };
	static const struct cn_table_column ports[] = { { "PORT", false },
		{ "CONNS", true }, { "UP", true }, { "DOWN", true },
		{ "WAN", true }, { "SAVED", true }, { "AGAIN", true },
		{ "SAVED", true }, { "OPAQUE", true } };
	struct cn_table table;

	cn_table_init(&table, e->is_capture ? ports : files,
	    e->is_capture ? CN_ARRAY_LEN(ports) : CN_ARRAY_LEN(files));
	for (size_t i = 0; i < e->rows && i < limit; i++) {
		const struct cn_estimate_row *row = e->row[i];
		const struct cn_offline_bill *bill = &row->bill[0];
		uint64_t lan = cn_estimate_row_lan(row, CN_ESTIMATE_FIRST);
		uint64_t wan = cn_estimate_row_wan(e, row, CN_ESTIMATE_FIRST);
		uint64_t lan2 = cn_estimate_row_lan(row, CN_ESTIMATE_REPEAT);
		uint64_t wan2 = cn_estimate_row_wan(e, row, CN_ESTIMATE_REPEAT);
		uint64_t opaque = cn_content_encrypted(&row->content) +
		    cn_content_compressed(&row->content) +
		    row->content.kind[CN_PROBE_RANDOM];
		struct cn_human items, cell[8];
		size_t n = 0;

		(void)snprintf(items.text, sizeof(items.text), "%llu",
		    (unsigned long long)row->items);
		if (e->is_capture) {
			cell[n++] = cn_human_bytes(bill->way[0].lan);
			cell[n++] = cn_human_bytes(bill->way[1].lan);
		} else {
			cell[n++] = cn_human_bytes(lan);
		}
		cell[n++] = cn_human_bytes(wan);
		cell[n++] = cn_human_saved(lan, wan);
		cell[n++] = cn_human_bytes(wan2);
		cell[n++] = cn_human_saved(lan2, wan2);
		cell[n++] = percent(opaque, lan);
		const char *texts[CN_TABLE_COLUMNS_MAX] = { row->name,
			items.text };
		for (size_t k = 0; k < n; k++) {
			texts[k + 2] = cell[k].text;
		}
		cn_table_row(&table, texts);
	}
	cn_table_print(&table, stdout, is_bold, 2);
	cn_table_fini(&table);
	if (e->rows > limit) {
		(void)printf("  and %zu more\n", e->rows - limit);
	}
}

static void
print_advice(const struct cn_estimate *e, size_t limit)
{
	bool is_first = true;

	for (size_t i = 0; i < e->rows && i < limit; i++) {
		const char *text = cn_estimate_advice(e->row[i]);
		char name[CN_ESTIMATE_NAME_MAX];

		if (text != NULL) {
			cn_table_clean(name, sizeof(name), e->row[i]->name);
			(void)printf("%s  %s: %s\n",
			    is_first ? "\nWhat to change\n" : "", name, text);
			is_first = false;
		}
	}
}

static void
print_capture(const struct cn_estimate *e)
{
	uint64_t lan = e->lan[CN_ESTIMATE_FIRST];

	(void)printf("  %-12s %s of the segments' bytes came again, which a "
		     "gateway takes off the WAN\n",
	    "repeated", percent(e->again, lan + e->again).text);
	if (e->missing > 0) {
		(void)printf("  %-12s %s were sent and not captured\n",
		    "missing", cn_human_bytes(e->missing).text);
	}
	if (e->fragments + e->damaged + e->other + e->strange > 0) {
		(void)printf("  %-12s %llu packets not TCP, %llu fragments, "
			     "%llu cut or damaged\n",
		    "left out", (unsigned long long)e->other,
		    (unsigned long long)e->fragments,
		    (unsigned long long)e->damaged);
	}
	if (e->midway > 0) {
		(void)printf("  %-12s %llu connections had begun before the "
			     "capture\n",
		    "midway", (unsigned long long)e->midway);
	}
}

static void
print_notes(const struct cn_estimate *e)
{
	if (!e->is_complete) {
		(void)printf("\nStopped before the end: these are figures of "
			     "what was read until then.\n");
	}
	if (e->unread > 0) {
		(void)printf("%s%llu files or folders could not be read.\n",
		    e->is_complete ? "\n" : "", (unsigned long long)e->unread);
	}
	if (e->changed > 0) {
		(void)printf("%llu files changed while they were read.\n",
		    (unsigned long long)e->changed);
	}
	if (e->is_store_short) {
		(void)printf(
		    "The capture holds more than the store of %s: what is "
		    "sent again would\nfind more in a store on a disk "
		    "(store.path, store.size).\n",
		    cn_human_memory(e->offline.store_bytes).text);
	}
}

void
cn_estimate_print(const struct cn_estimate *e, size_t limit, bool is_bold)
{
	(void)printf("%llu %s, %s; profile %s, line of %.4g Mbit/s and %s "
		     "each way\n",
	    (unsigned long long)sum_items(e),
	    e->is_capture ? "connections" : "files",
	    cn_human_bytes(e->lan[CN_ESTIMATE_FIRST]).text, e->profile,
	    (double)e->offline.rate_bps * 8 / 1e6,
	    cn_human_duration(e->offline.delay_us).text);
	print_pass(e, "first pass", CN_ESTIMATE_FIRST);
	print_pass(e, "sent again", CN_ESTIMATE_REPEAT);
	(void)printf("  %-12s %s of the first pass were in it before\n",
	    "duplicates", percent(sum_copied(e), e->lan[0]).text);
	print_content(e);
	if (e->is_capture) {
		print_capture(e);
	}
	if (e->rows > 0) {
		(void)putchar('\n');
		print_rows(e, limit, is_bold);
		print_advice(e, limit);
	}
	print_notes(e);
}

/* ---- JSON ---- */

static void
set_number(json_t *object, const char *name, uint64_t value)
{
	(void)json_object_set_new(
	    object, name, json_integer((json_int_t)value));
}

static json_t *
bytes_json(uint64_t lan, uint64_t wan)
{
	json_t *object = json_object();

	set_number(object, "lan", lan);
	set_number(object, "wan", wan);
	(void)json_object_set_new(object, "saved",
	    lan == 0 ? json_null() : json_real(1 - (double)wan / (double)lan));
	return object;
}

static json_t *
content_json(const struct cn_content_bytes *content)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < CN_CONTENT_KINDS; i++) {
		if (content->kind[i] > 0) {
			set_number(
			    object, cn_content_name(i), content->kind[i]);
		}
	}
	return object;
}

static json_t *
pass_json(const struct cn_estimate *e, enum cn_estimate_pass pass)
{
	const struct cn_offline_line *line = e->line[pass];
	uint64_t lan = e->lan[pass], wan = cn_estimate_wan(e, pass);
	json_t *object = bytes_json(lan, wan);

	set_number(object, "wan_up", line[CN_OFFLINE_UP].bytes);
	set_number(object, "wan_down", line[CN_OFFLINE_DOWN].bytes);
	set_number(object, "tls",
	    (line[0].records + line[1].records) * CN_OFFLINE_RECORD_BYTES);
	if (e->price >= 0) {
		(void)json_object_set_new(
		    object, "money", json_real((double)wan / 1e9 * e->price));
		(void)json_object_set_new(object, "money_without",
		    json_real((double)lan / 1e9 * e->price));
	}
	return object;
}

static json_t *
way_json(const struct cn_offline_bytes *bytes)
{
	json_t *object = json_object();

	set_number(object, "lan", bytes->lan);
	set_number(object, "literal", bytes->literal);
	set_number(object, "raw", bytes->raw);
	set_number(object, "copied", bytes->copied);
	set_number(object, "wan_before_tls", bytes->wan);
	return object;
}

static json_t *
row_json(const struct cn_estimate *e, const struct cn_estimate_row *row)
{
	json_t *object = json_object();
	const char *advice = cn_estimate_advice(row);
	char name[CN_ESTIMATE_NAME_MAX];

	cn_table_clean(name, sizeof(name), row->name);
	(void)json_object_set_new(object, "name", json_string(name));
	set_number(object, e->is_capture ? "connections" : "files", row->items);
	if (row->port != 0) {
		set_number(object, "port", row->port);
	}
	(void)json_object_set_new(object, "first",
	    bytes_json(cn_estimate_row_lan(row, CN_ESTIMATE_FIRST),
		cn_estimate_row_wan(e, row, CN_ESTIMATE_FIRST)));
	(void)json_object_set_new(object, "repeat",
	    bytes_json(cn_estimate_row_lan(row, CN_ESTIMATE_REPEAT),
		cn_estimate_row_wan(e, row, CN_ESTIMATE_REPEAT)));
	(void)json_object_set_new(object, "up",
	    way_json(&row->bill[CN_ESTIMATE_FIRST].way[CN_OFFLINE_UP]));
	(void)json_object_set_new(object, "down",
	    way_json(&row->bill[CN_ESTIMATE_FIRST].way[CN_OFFLINE_DOWN]));
	(void)json_object_set_new(
	    object, "content", content_json(&row->content));
	(void)json_object_set_new(object, "advice",
	    advice == NULL ? json_null() : json_string(advice));
	return object;
}

static json_t *
assumptions_json(const struct cn_estimate *e)
{
	json_t *object = json_object();
	const struct cn_config_coding *coding = &e->offline.coding;

	(void)json_object_set_new(object, "profile", json_string(e->profile));
	set_number(object, "level_min", (uint64_t)coding->level_min);
	set_number(object, "level_max", (uint64_t)coding->level_max);
	set_number(object, "coalesce_us", coding->coalesce_us);
	set_number(object, "rate_bps", e->offline.rate_bps);
	set_number(object, "delay_us", e->offline.delay_us);
	set_number(object, "store", e->offline.store_bytes);
	return object;
}

static json_t *
capture_json(const struct cn_estimate *e)
{
	json_t *object = json_object();

	set_number(object, "packets", e->packets);
	set_number(object, "other", e->other);
	set_number(object, "fragments", e->fragments);
	set_number(object, "damaged", e->damaged);
	set_number(object, "retransmitted", e->again);
	set_number(object, "missing", e->missing);
	set_number(object, "strange", e->strange);
	set_number(object, "midway", e->midway);
	set_number(object, "evicted", e->evicted);
	set_number(object, "refused", e->refused);
	return object;
}

json_t *
cn_estimate_json(const struct cn_estimate *e, size_t limit)
{
	json_t *object = json_object(), *rows = json_array();
	struct cn_content_bytes content;

	sum_content(e, &content);
	(void)json_object_set_new(
	    object, "kind", json_string(e->is_capture ? "capture" : "files"));
	(void)json_object_set_new(
	    object, "complete", json_boolean(e->is_complete));
	(void)json_object_set_new(object, "assumptions", assumptions_json(e));
	(void)json_object_set_new(
	    object, "first", pass_json(e, CN_ESTIMATE_FIRST));
	(void)json_object_set_new(
	    object, "repeat", pass_json(e, CN_ESTIMATE_REPEAT));
	set_number(object, "duplicates", sum_copied(e));
	(void)json_object_set_new(object, "content", content_json(&content));
	set_number(object, "unread", e->unread);
	set_number(object, "changed", e->changed);
	(void)json_object_set_new(
	    object, "store_short", json_boolean(e->is_store_short));
	if (e->is_capture) {
		(void)json_object_set_new(object, "capture", capture_json(e));
	}
	for (size_t i = 0; i < e->rows && i < limit; i++) {
		(void)json_array_append_new(rows, row_json(e, e->row[i]));
	}
	(void)json_object_set_new(
	    object, e->is_capture ? "ports" : "types", rows);
	return object;
}
