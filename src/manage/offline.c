/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/offline.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "codec/codec.h"
#include "codec/dedup.h"
#include "link/link.h"
#include "store/store.h"

/* As a worker of the gateway has them by default. */
#define POOL_BYTES (UINT64_C(256) * 1024 * 1024)
#define CONTEXTS_BYTES (POOL_BYTES / 4)
#define LANES 25u
#define LANE_LEVEL 3
#define CREDIT_FLOOR (16u * 1024u)
#define WINDOW_BYTES (4u * 1024u * 1024u)
#define RESUME_US UINT64_C(60000000)

/* Records under way on one way of the line. */
#define PARCELS 1024u
/* The carrier takes more while less than so much waits for the line. */
#define QUEUE_US UINT64_C(4000)
#define TICK_US UINT64_C(1000000)
#define START_US UINT64_C(1000000)
/* Who waited for the line catches up with as much at most. */
#define LATE_US UINT64_C(1000000)
/* After so long on its clock nothing moves any more. */
#define SETTLE_US UINT64_C(600000000)

struct parcel {
	uint64_t due_us;
	size_t len;
	uint8_t *bytes; /* owned; CN_FRAGMENT_MAX, made on first use */
};

/* From one gateway to the other. */
struct way {
	struct parcel parcel[PARCELS]; /* a ring */
	size_t first, count;
	uint8_t *rest; /* owned: bytes that are no whole fragment yet */
	size_t rest_len;
	uint64_t free_us; /* when the line has sent all that it took */
	struct cn_offline_line line;
};

struct side {
	struct cn_pool *pool;
	struct cn_codec *codec;
	struct cn_store *store;
	struct cn_dedup_scratch *scratch;
	struct cn_dedup *dedup;
	struct cn_link *link;
	struct cn_hello hello;
	bool is_woken;
};

struct cn_offline_flow {
	struct cn_list item; /* of the flows */
	uint64_t id;
	struct cn_stream *stream[CN_OFFLINE_WAYS]; /* NULL: not yet, gone */
	struct cn_offline_bill *bill;              /* borrowed */
	bool is_finished[CN_OFFLINE_WAYS];
	bool was_finished[CN_OFFLINE_WAYS]; /* the engine knows */
	bool is_ended[CN_OFFLINE_WAYS];
	bool is_reset;
	bool is_left; /* the caller has finished both ways */
};

struct cn_offline {
	struct cn_offline_config config;
	struct side side[CN_OFFLINE_WAYS];
	struct way way[CN_OFFLINE_WAYS]; /* from side[i] */
	struct cn_list flows;
	struct cn_map by_id;
	uint64_t now;
	uint64_t tick_us;
	uint64_t time_us; /* of the traffic, last; 0: none yet */
	uint64_t due_us;  /* the same on our clock, which may be late */
	size_t left;      /* flows that end by themselves now */
	int err;          /* CN_OK, or why nothing goes on */
};

static void
on_wake(void *arg)
{
	struct side *side = arg;

	side->is_woken = true;
}

/* ---- life ---- */

static int
make_store(struct cn_offline *o, int i)
{
	struct side *side = &o->side[i];
	uint8_t peer[CN_IMAGE_PEER_BYTES];
	struct cn_config whole = {
		.store.memory_bytes = o->config.store_bytes,
	};
	struct cn_store_config config = {
		.memory_bytes = o->config.store_bytes,
		.index_bytes = cn_config_store_index(&whole),
		/* Nobody outside ever sees these. */
		.epoch = UINT64_C(0x636f6d7072657373) + (unsigned)i,
		.key = { (uint8_t)(i + 1) },
	};
	int err = cn_store_create(&config, o->now, &side->store);

	if (err == CN_OK) {
		err = cn_dedup_scratch_create(side->store, &side->scratch);
	}
	if (err == CN_OK) {
		memset(peer, 2 - i, sizeof(peer));
		err = cn_dedup_create(side->store, side->scratch, peer, on_wake,
		    side, &side->dedup);
	}
	memset(side->hello.boot_id, i + 1, sizeof(side->hello.boot_id));
	return err;
}

static int
make_side(struct cn_offline *o, int i)
{
	struct side *side = &o->side[i];
	struct cn_codec_config codec = {
		.contexts_bytes = CONTEXTS_BYTES,
		.lane_window_log = CN_LANE_WINDOW_LOG_MAX,
		.lane_level = LANE_LEVEL,
	};
	struct cn_link_config config = {
		.is_dialler = i == CN_OFFLINE_UP,
		.slots = 1,
		.credit_floor = CREDIT_FLOOR,
		.window_max = WINDOW_BYTES,
		.streams_max = 2u * CN_OFFLINE_FLOWS_MAX,
		.lanes = LANES,
		.resume_window_us = RESUME_US,
	};
	int err = cn_pool_create(POOL_BYTES, &side->pool);

	if (err == CN_OK) {
		err = cn_codec_create(&codec, &side->codec);
	}
	if (err == CN_OK && o->config.store_bytes > 0) {
		err = make_store(o, i);
	}
	if (err != CN_OK) {
		return err;
	}
	config.pool = side->pool;
	config.codec = side->codec;
	config.dedup = side->dedup;
	cn_link_limits(&config, &side->hello);
	o->way[i].rest = cn_alloc(2u * CN_FRAGMENT_MAX);
	if (o->way[i].rest == NULL) {
		return CN_ENOMEM;
	}
	return cn_link_create(&config, o->now, &side->link);
}

int
cn_offline_create(
    const struct cn_offline_config *config, struct cn_offline **ret)
{
	struct cn_offline *o;
	int err = CN_OK;

	if (config->rate_bps == 0 || config->coding.level_max < 0) {
		return CN_EINVAL;
	}
	o = cn_calloc(1, sizeof(*o));
	if (o == NULL) {
		return CN_ENOMEM;
	}
	o->config = *config;
	o->now = o->tick_us = START_US;
	cn_list_init(&o->flows);
	cn_map_init(&o->by_id);
	for (int i = 0; i < CN_OFFLINE_WAYS && err == CN_OK; i++) {
		err = make_side(o, i);
	}
	for (int i = 0; i < CN_OFFLINE_WAYS && err == CN_OK; i++) {
		err = cn_link_attach(
		    o->side[i].link, 0, 1, &o->side[1 - i].hello, o->now);
	}
	if (err != CN_OK) {
		cn_offline_free(&o);
		return err;
	}
	*ret = o;
	return CN_OK;
}

void
cn_offline_free(struct cn_offline **op)
{
	struct cn_offline *o = *op;
	struct cn_list *it;

	*op = NULL;
	if (o == NULL) {
		return;
	}
	for (int i = 0; i < CN_OFFLINE_WAYS; i++) {
		struct side *side = &o->side[i];

		cn_link_free(&side->link);
		cn_dedup_free(&side->dedup);
		cn_dedup_scratch_free(&side->scratch);
		cn_store_free(&side->store);
		cn_codec_free(&side->codec);
		cn_pool_free(&side->pool);
		for (size_t k = 0; k < PARCELS; k++) {
			cn_free(o->way[i].parcel[k].bytes);
		}
		cn_free(o->way[i].rest);
	}
	while ((it = cn_list_first(&o->flows)) != NULL) {
		cn_list_remove(it);
		cn_free(CN_LIST_ENTRY(it, struct cn_offline_flow, item));
	}
	cn_map_fini(&o->by_id);
	cn_free(o);
}

/* ---- events of the engines ---- */

static void
set_profile(const struct cn_offline *o, struct cn_link_profile *profile)
{
	const struct cn_config_coding *coding = &o->config.coding;

	*profile = (struct cn_link_profile){
		.coalesce_us = coding->coalesce_us,
		.level_min = coding->level_min,
		.level_max = coding->level_max,
		.dedup = coding->dedup,
	};
}

/* Take what has come; nobody needs it, its digest was checked. */
static void
drain(struct cn_offline *o, struct cn_stream *stream)
{
	struct cn_span spans[8];
	size_t n;

	while ((n = cn_stream_read_spans(stream, spans, CN_ARRAY_LEN(spans))) >
	    0) {
		size_t len = 0;

		for (size_t i = 0; i < n; i++) {
			len += spans[i].len;
		}
		cn_stream_consume(stream, len, o->now);
	}
	if (cn_stream_at_end(stream)) {
		cn_stream_shut(stream, o->now);
	}
}

static void
tell_finish(struct cn_offline *o, struct cn_offline_flow *flow, int i)
{
	if (flow->is_finished[i] && !flow->was_finished[i] &&
	    flow->stream[i] != NULL) {
		flow->was_finished[i] = true;
		cn_stream_finish(flow->stream[i], o->now);
	}
}

static void
on_open(struct cn_offline *o, int i, struct cn_stream *stream)
{
	struct cn_offline_flow *flow =
	    cn_map_get(&o->by_id, cn_stream_id(stream));
	struct cn_link_profile profile;

	if (flow == NULL) {
		cn_stream_reset(stream, CN_RESET_INTERNAL, o->now);
		return;
	}
	set_profile(o, &profile);
	cn_stream_set_profile(stream, &profile);
	cn_stream_set_owner(stream, flow);
	flow->stream[i] = stream;
	tell_finish(o, flow, i);
	drain(o, stream);
}

static void
drop_if_over(struct cn_offline *o, struct cn_offline_flow *flow)
{
	if (flow->is_left && flow->stream[0] == NULL &&
	    flow->stream[1] == NULL &&
	    (flow->is_reset || (flow->is_ended[0] && flow->is_ended[1]))) {
		o->left--;
		cn_list_remove(&flow->item);
		(void)cn_map_remove(&o->by_id, flow->id);
		cn_free(flow);
	}
}

static void
charge(struct cn_offline_bytes *bill, const struct cn_link_bytes *sent)
{
	bill->lan += sent->lan;
	bill->literal += sent->literal;
	bill->raw += sent->raw;
	bill->copied += sent->copied;
	bill->wan += sent->coded + sent->raw + sent->framing;
}

static void
on_end(struct cn_offline *o, int i, struct cn_stream *stream, bool is_reset)
{
	struct cn_offline_flow *flow = cn_stream_owner(stream);
	struct cn_stream_stats stats;

	if (flow != NULL) {
		cn_stream_stats(stream, &stats);
		charge(&flow->bill->way[i], &stats.sent);
		flow->bill->connections += i == CN_OFFLINE_UP;
		flow->stream[i] = NULL;
		flow->is_ended[i] = true;
		flow->is_reset |= is_reset;
		drop_if_over(o, flow);
	}
	cn_stream_release(stream);
}

static bool
take_events(struct cn_offline *o, int i)
{
	struct cn_link_event event;
	bool did = false;

	while (cn_link_event(o->side[i].link, &event)) {
		did = true;
		switch (event.type) {
		case CN_LINK_EVENT_OPEN:
			on_open(o, i, event.stream);
			break;
		case CN_LINK_EVENT_READABLE:
			drain(o, event.stream);
			break;
		case CN_LINK_EVENT_ENDED:
		case CN_LINK_EVENT_RESET:
			on_end(o, i, event.stream,
			    event.type == CN_LINK_EVENT_RESET);
			break;
		case CN_LINK_EVENT_CARRIER:
		case CN_LINK_EVENT_LOST:
			o->err = CN_EPROTO;
			break;
		case CN_LINK_EVENT_WRITABLE:
		case CN_LINK_EVENT_DRAINING:
			break;
		}
	}
	return did;
}

/* ---- the line ---- */

/* What the engine has for the line goes into one record. */
static bool
pull(struct cn_offline *o, int i)
{
	struct way *way = &o->way[i];
	struct parcel *parcel =
	    &way->parcel[(way->first + way->count) % PARCELS];
	struct cn_link *link = o->side[i].link;
	size_t len;

	if (way->count == PARCELS || way->free_us > o->now + QUEUE_US) {
		return false;
	}
	if (parcel->bytes == NULL) {
		parcel->bytes = cn_alloc(CN_FRAGMENT_MAX);
		if (parcel->bytes == NULL) {
			o->err = CN_ENOMEM;
			return false;
		}
	}
	cn_link_path(link, 0, o->config.rate_bps, 2 * o->config.delay_us,
	    way->free_us > o->now);
	len = cn_link_pull(link, 0, parcel->bytes, CN_FRAGMENT_MAX, o->now);
	if (len == 0) {
		return false;
	}
	parcel->len = len;
	len += CN_OFFLINE_RECORD_BYTES;
	way->line.bytes += len;
	way->line.records++;
	way->free_us = CN_MAX(way->free_us, o->now) +
	    len * UINT64_C(1000000) / o->config.rate_bps + 1;
	parcel->due_us = way->free_us + o->config.delay_us;
	way->count++;
	return true;
}

static void
receive(struct cn_offline *o, int i, const struct parcel *parcel)
{
	struct way *way = &o->way[i];
	size_t used = 0;
	int err;

	memcpy(way->rest + way->rest_len, parcel->bytes, parcel->len);
	way->rest_len += parcel->len;
	err = cn_link_receive(
	    o->side[1 - i].link, 0, way->rest, way->rest_len, o->now, &used);
	if (err != CN_OK) {
		o->err = err;
		return;
	}
	way->rest_len -= used;
	memmove(way->rest, way->rest + used, way->rest_len);
	assert(way->rest_len < CN_FRAGMENT_MAX);
}

static bool
deliver(struct cn_offline *o, int i)
{
	struct way *way = &o->way[i];
	bool did = false;

	while (way->count > 0 && o->err == CN_OK &&
	    way->parcel[way->first].due_us <= o->now) {
		receive(o, i, &way->parcel[way->first]);
		way->first = (way->first + 1) % PARCELS;
		way->count--;
		did = true;
	}
	return did;
}

/* All that is to be done now.  False: nothing was. */
static bool
turn(struct cn_offline *o)
{
	bool did = false;

	for (int i = 0; i < CN_OFFLINE_WAYS && o->err == CN_OK; i++) {
		struct side *side = &o->side[i];

		if (side->is_woken) {
			side->is_woken = false;
			cn_link_woken(side->link, o->now);
			did = true;
		}
		if (cn_link_deadline(side->link) <= o->now) {
			cn_link_tick(side->link, o->now);
		}
		did |= deliver(o, 1 - i);
		did |= take_events(o, i);
		did |= pull(o, i);
	}
	return did;
}

/* When something happens next by itself. */
static uint64_t
next_us(const struct cn_offline *o)
{
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < CN_OFFLINE_WAYS; i++) {
		const struct way *way = &o->way[i];
		uint64_t deadline = cn_link_deadline(o->side[i].link);

		if (way->count > 0) {
			next = CN_MIN(next, way->parcel[way->first].due_us);
		}
		if (way->free_us > o->now + QUEUE_US) {
			next = CN_MIN(next, way->free_us - QUEUE_US);
		}
		if (way->free_us > o->now) { /* it is idle then */
			next = CN_MIN(next, way->free_us);
		}
		next = CN_MIN(next, CN_MAX(deadline, o->now + 1));
	}
	return next;
}

static void
move_clock(struct cn_offline *o, uint64_t to)
{
	o->now = to;
	if (o->now >= o->tick_us + TICK_US) {
		o->tick_us = o->now;
		for (int i = 0; i < CN_OFFLINE_WAYS; i++) {
			if (o->side[i].store != NULL) {
				cn_store_tick(o->side[i].store, o->now);
			}
		}
	}
}

/* One step of the clock, not beyond `until'; false: it is there. */
static bool
step(struct cn_offline *o, uint64_t until)
{
	uint64_t next;

	while (turn(o)) {
	}
	if (o->err != CN_OK || o->now >= until) {
		return false;
	}
	next = next_us(o);
	move_clock(o, CN_MIN(next, until));
	return true;
}

int
cn_offline_pass(struct cn_offline *o, uint64_t time_us)
{
	if (o->time_us == 0) {
		o->due_us = o->now;
	} else if (time_us > o->time_us) {
		o->due_us += CN_MIN(time_us - o->time_us, CN_OFFLINE_IDLE_US);
	}
	o->time_us = CN_MAX(time_us, o->time_us);
	o->due_us = CN_MAX(o->due_us, o->now - CN_MIN(o->now, LATE_US));
	while (step(o, o->due_us)) {
	}
	return o->err;
}

/* ---- connections ---- */

int
cn_offline_open(struct cn_offline *o, uint64_t scope,
    struct cn_offline_bill *bill, struct cn_offline_flow **ret)
{
	struct cn_link_open open = {
		.service = "estimate",
		.scope = scope,
	};
	struct cn_offline_flow *flow;
	int err;

	if (o->err != CN_OK) {
		return o->err;
	}
	if (cn_map_count(&o->by_id) >= CN_OFFLINE_FLOWS_MAX) {
		err = cn_offline_settle(o);
		if (err != CN_OK) {
			return err;
		}
		if (cn_map_count(&o->by_id) >= CN_OFFLINE_FLOWS_MAX) {
			return CN_EBUSY;
		}
	}
	flow = cn_calloc(1, sizeof(*flow));
	if (flow == NULL) {
		return CN_ENOMEM;
	}
	set_profile(o, &open.profile);
	err = cn_stream_open(
	    o->side[0].link, &open, flow, o->now, &flow->stream[CN_OFFLINE_UP]);
	if (err != CN_OK) {
		cn_free(flow);
		return err;
	}
	flow->id = cn_stream_id(flow->stream[CN_OFFLINE_UP]);
	flow->bill = bill;
	cn_list_append(&o->flows, &flow->item);
	err = cn_map_put(&o->by_id, flow->id, flow);
	if (err != CN_OK) {
		o->err = err;
		return err;
	}
	*ret = flow;
	return CN_OK;
}

/* Until the stream takes bytes; CN_EPIPE when there is none any more. */
static int
wait_room(struct cn_offline *o, struct cn_offline_flow *flow, int i)
{
	uint64_t patience = o->now + SETTLE_US;

	while (!flow->is_reset && !flow->is_ended[i] &&
	    (flow->stream[i] == NULL || cn_stream_room(flow->stream[i]) == 0)) {
		if (!step(o, patience)) {
			return o->err != CN_OK ? o->err : CN_EPIPE;
		}
	}
	return flow->stream[i] == NULL ? CN_EPIPE : CN_OK;
}

int
cn_offline_send(struct cn_offline *o, struct cn_offline_flow *flow,
    enum cn_offline_way way, const uint8_t *bytes, size_t len,
    bool is_last_of_burst)
{
	struct cn_span spans[8];

	while (len > 0) {
		int err = wait_room(o, flow, (int)way);
		size_t got = 0, n;

		if (err != CN_OK) {
			return err;
		}
		n = cn_stream_fill_spans(
		    flow->stream[way], spans, CN_ARRAY_LEN(spans));
		for (size_t i = 0; i < n && got < len; i++) {
			size_t part = CN_MIN(spans[i].len, len - got);

			memcpy(spans[i].data, bytes + got, part);
			got += part;
		}
		if (got == 0 && !step(o, o->now + SETTLE_US)) {
			return o->err != CN_OK ? o->err : CN_ENOMEM;
		}
		bytes += got;
		len -= got;
		if (got > 0) {
			cn_stream_fill(flow->stream[way], got,
			    is_last_of_burst && len == 0, o->now);
		}
		while (turn(o)) {
		}
	}
	return o->err;
}

void
cn_offline_finish(
    struct cn_offline *o, struct cn_offline_flow *flow, enum cn_offline_way way)
{
	flow->is_finished[way] = true;
	tell_finish(o, flow, (int)way);
	if (flow->is_finished[CN_OFFLINE_UP] &&
	    flow->is_finished[CN_OFFLINE_DOWN]) {
		flow->is_left = true;
		o->left++;
		drop_if_over(o, flow);
	}
}

/* Connections that the caller has finished are over. */
static bool
is_settled(const struct cn_offline *o)
{
	return o->left == 0 && o->way[0].count == 0 && o->way[1].count == 0;
}

int
cn_offline_settle(struct cn_offline *o)
{
	uint64_t patience = o->now + SETTLE_US;

	while (!is_settled(o)) {
		if (!step(o, patience)) {
			return o->err != CN_OK ? o->err : CN_EPIPE;
		}
	}
	return o->err;
}

void
cn_offline_line(
    const struct cn_offline *o, struct cn_offline_line ret[CN_OFFLINE_WAYS])
{
	ret[CN_OFFLINE_UP] = o->way[CN_OFFLINE_UP].line;
	ret[CN_OFFLINE_DOWN] = o->way[CN_OFFLINE_DOWN].line;
}

bool
cn_offline_is_store_full(struct cn_offline *o)
{
	struct cn_store_stats stats;

	if (o->side[0].store == NULL) {
		return false;
	}
	cn_store_stats(o->side[0].store, &stats);
	return stats.evicted > 0 || stats.refused > 0;
}
