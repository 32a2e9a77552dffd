/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/assembly.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"

/* A segment further off than a window can reach is none of ours. */
#define FAR (INT32_C(1) << 30)
#define KEY_SEED UINT64_C(0x7463702f6970)

/* Bytes that came before their turn; [seq, seq + len) of its way. */
struct piece {
	struct piece *next;
	uint32_t seq;
	uint32_t len;
	bool is_pushed;
	uint8_t bytes[];
};

/* One way of a connection. */
struct way {
	bool is_known;  /* the two that follow mean something */
	uint32_t begin; /* sequence number of its first byte */
	uint32_t next;  /* … of the byte that comes next */
	bool has_fin;
	uint32_t fin;        /* sequence number of the end */
	struct piece *first; /* owned; ascending, not overlapping */
};

struct flow {
	struct cn_list item; /* of the assembly, the longest idle first */
	struct cn_assembly_flow out;
	uint64_t key;
	uint64_t time_us; /* of its last packet */
	struct way way[CN_ASSEMBLY_WAYS];
	size_t kept; /* bytes */
	unsigned pieces;
	bool is_open; /* opened() was called */
	bool is_midway;
};

struct cn_assembly {
	struct cn_assembly_ops ops;
	void *arg;
	struct cn_map by_key;
	struct cn_list flows;
	size_t kept;
	uint64_t time_us; /* latest */
	struct cn_assembly_stats stats;
};

int
cn_assembly_create(
    const struct cn_assembly_ops *ops, void *arg, struct cn_assembly **ret)
{
	struct cn_assembly *a = cn_calloc(1, sizeof(*a));

	if (a == NULL) {
		return CN_ENOMEM;
	}
	a->ops = *ops;
	a->arg = arg;
	cn_map_init(&a->by_key);
	cn_list_init(&a->flows);
	*ret = a;
	return CN_OK;
}

void
cn_assembly_stats(const struct cn_assembly *a, struct cn_assembly_stats *ret)
{
	*ret = a->stats;
}

/* ---- giving out ---- */

static void
open_flow(struct cn_assembly *a, struct flow *f)
{
	if (!f->is_open) {
		f->is_open = true;
		a->stats.flows++;
		a->stats.midway += f->is_midway;
		if (a->ops.opened != NULL) {
			a->ops.opened(a->arg, &f->out);
		}
	}
}

static void
give(struct cn_assembly *a, struct flow *f, int i, const uint8_t *bytes,
    size_t len, bool is_pushed)
{
	if (len == 0) {
		return;
	}
	open_flow(a, f);
	f->way[i].next += (uint32_t)len;
	a->stats.bytes += len;
	a->ops.bytes(
	    a->arg, &f->out, (enum cn_assembly_way)i, bytes, len, is_pushed);
}

static void
drop_first(struct cn_assembly *a, struct flow *f, int i)
{
	struct piece *piece = f->way[i].first;

	f->way[i].first = piece->next;
	f->kept -= piece->len;
	f->pieces--;
	a->kept -= piece->len;
	cn_free(piece);
}

/* Give out the pieces whose turn it is. */
static void
give_pieces(struct cn_assembly *a, struct flow *f, int i)
{
	struct way *w = &f->way[i];

	while (w->first != NULL && (int32_t)(w->first->seq - w->next) <= 0) {
		struct piece *piece = w->first;
		uint32_t past = w->next - piece->seq;

		if (past < piece->len) {
			give(a, f, i, piece->bytes + past, piece->len - past,
			    piece->is_pushed);
		}
		drop_first(a, f, i);
	}
}

/* What stands before the first piece does not come any more. */
static void
skip_gap(struct cn_assembly *a, struct flow *f, int i)
{
	struct way *w = &f->way[i];

	if (w->first != NULL) {
		a->stats.missing += w->first->seq - w->next;
		w->next = w->first->seq;
		give_pieces(a, f, i);
	}
}

/* ---- flows ---- */

static void
free_flow(struct cn_assembly *a, struct flow *f)
{
	for (int i = 0; i < CN_ASSEMBLY_WAYS; i++) {
		while (f->way[i].first != NULL) {
			drop_first(a, f, i);
		}
	}
	cn_list_remove(&f->item);
	(void)cn_map_remove(&a->by_key, f->key);
	cn_free(f);
}

static void
close_flow(struct cn_assembly *a, struct flow *f)
{
	for (int i = 0; i < CN_ASSEMBLY_WAYS; i++) {
		while (f->way[i].first != NULL) {
			skip_gap(a, f, i);
		}
	}
	if (f->is_open && a->ops.closed != NULL) {
		a->ops.closed(a->arg, &f->out);
	}
	free_flow(a, f);
}

void
cn_assembly_finish(struct cn_assembly *a)
{
	struct cn_list *it;

	while ((it = cn_list_first(&a->flows)) != NULL) {
		close_flow(a, CN_LIST_ENTRY(it, struct flow, item));
	}
}

void
cn_assembly_free(struct cn_assembly **ap)
{
	struct cn_assembly *a = *ap;
	struct cn_list *it;

	*ap = NULL;
	if (a == NULL) {
		return;
	}
	while ((it = cn_list_first(&a->flows)) != NULL) {
		free_flow(a, CN_LIST_ENTRY(it, struct flow, item));
	}
	assert(a->kept == 0);
	cn_map_fini(&a->by_key);
	cn_free(a);
}

static int
compare_ends(const struct cn_packet_end *a, const struct cn_packet_end *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order != 0 ? order : (int)a->port - (int)b->port;
}

/* The same for both directions. */
static uint64_t
key_of(const struct cn_packet *p)
{
	const struct cn_packet_end *low = &p->from, *high = &p->to;
	uint8_t bytes[36];

	if (compare_ends(low, high) > 0) {
		low = &p->to;
		high = &p->from;
	}
	memcpy(bytes, low->address, 16);
	memcpy(bytes + 16, high->address, 16);
	bytes[32] = (uint8_t)(low->port >> 8);
	bytes[33] = (uint8_t)low->port;
	bytes[34] = (uint8_t)(high->port >> 8);
	bytes[35] = (uint8_t)high->port;
	return cn_hash64(bytes, sizeof(bytes), KEY_SEED);
}

/* Who sent the packet: 0 the client, 1 the server, -1 another connection
 * with the same hash. */
static int
way_of(const struct flow *f, const struct cn_packet *p)
{
	if (compare_ends(&p->from, &f->out.client) == 0 &&
	    compare_ends(&p->to, &f->out.server) == 0) {
		return CN_ASSEMBLY_UP;
	}
	if (compare_ends(&p->from, &f->out.server) == 0 &&
	    compare_ends(&p->to, &f->out.client) == 0) {
		return CN_ASSEMBLY_DOWN;
	}
	return -1;
}

/* Without its SYN the lower port is the server's: clients are given high
 * ones. */
static bool
is_from_client(const struct cn_packet *p)
{
	if ((p->flags & CN_PACKET_SYN) != 0) {
		return (p->flags & CN_PACKET_ACK) == 0;
	}
	return p->from.port >= p->to.port;
}

static void
evict(struct cn_assembly *a)
{
	struct cn_list *it;

	while ((it = cn_list_first(&a->flows)) != NULL) {
		struct flow *f = CN_LIST_ENTRY(it, struct flow, item);
		bool is_idle = a->time_us > f->time_us &&
		    a->time_us - f->time_us > CN_ASSEMBLY_IDLE_US;

		if (!is_idle &&
		    cn_map_count(&a->by_key) < CN_ASSEMBLY_FLOWS_MAX) {
			return;
		}
		a->stats.evicted += f->is_open;
		close_flow(a, f);
	}
}

static int
make_flow(struct cn_assembly *a, const struct cn_packet *p, uint64_t key,
    struct flow **ret)
{
	struct flow *f;
	int err;

	evict(a);
	f = cn_calloc(1, sizeof(*f));
	if (f == NULL) {
		return CN_ENOMEM;
	}
	f->key = key;
	f->out.client = is_from_client(p) ? p->from : p->to;
	f->out.server = is_from_client(p) ? p->to : p->from;
	f->is_midway = (p->flags & CN_PACKET_SYN) == 0;
	err = cn_map_put(&a->by_key, key, f);
	if (err != CN_OK) {
		cn_free(f);
		return err;
	}
	cn_list_append(&a->flows, &f->item);
	*ret = f;
	return CN_OK;
}

/* A SYN with another number on a connection that is known: its ports are
 * used again. */
static bool
is_another(const struct flow *f, const struct cn_packet *p)
{
	return (p->flags & (CN_PACKET_SYN | CN_PACKET_ACK)) == CN_PACKET_SYN &&
	    (way_of(f, p) != CN_ASSEMBLY_UP ||
		(f->way[CN_ASSEMBLY_UP].is_known &&
		    p->seq + 1 != f->way[CN_ASSEMBLY_UP].begin));
}

/* The packet's connection; NULL with CN_OK: it belongs to none. */
static int
find_flow(struct cn_assembly *a, const struct cn_packet *p, struct flow **ret)
{
	uint64_t key = key_of(p);
	struct flow *f = cn_map_get(&a->by_key, key);

	*ret = NULL;
	if (f != NULL && way_of(f, p) < 0) {
		return CN_OK;
	}
	if (f != NULL && is_another(f, p)) {
		close_flow(a, f);
		f = NULL;
	}
	if (f != NULL) {
		*ret = f;
		return CN_OK;
	}
	if ((p->flags & CN_PACKET_RST) != 0 ||
	    ((p->flags & CN_PACKET_SYN) == 0 && p->data_on_wire == 0)) {
		return CN_OK;
	}
	return make_flow(a, p, key, ret);
}

/* ---- segments ---- */

/* Keep [seq, seq + len), which fits between *at and what follows it. */
static int
keep(struct cn_assembly *a, struct flow *f, struct piece **at, uint32_t seq,
    const uint8_t *bytes, size_t len, bool is_pushed)
{
	struct piece *piece = cn_alloc(sizeof(*piece) + len);

	if (piece == NULL) {
		return CN_ENOMEM;
	}
	piece->seq = seq;
	piece->len = (uint32_t)len;
	piece->is_pushed = is_pushed;
	memcpy(piece->bytes, bytes, len);
	piece->next = *at;
	*at = piece;
	f->kept += len;
	f->pieces++;
	a->kept += len;
	return CN_OK;
}

/* Keep what of the bytes is not kept yet. */
static int
keep_new(struct cn_assembly *a, struct flow *f, int i, uint32_t seq,
    const uint8_t *bytes, size_t len, bool is_pushed)
{
	struct piece **at = &f->way[i].first;
	int err = CN_OK;

	while (len > 0 && err == CN_OK) {
		size_t part = len;

		if (*at != NULL && (int32_t)((*at)->seq - seq) <= 0) {
			uint32_t past = seq - (*at)->seq;

			if (past < (*at)->len) { /* these are here already */
				part = CN_MIN(len, (size_t)(*at)->len - past);
				a->stats.again += part;
				seq += (uint32_t)part;
				bytes += part;
				len -= part;
			}
			at = &(*at)->next;
			continue;
		}
		if (*at != NULL) {
			part = CN_MIN(len, (size_t)((*at)->seq - seq));
		}
		err = keep(a, f, at, seq, bytes, part, is_pushed);
		at = err == CN_OK ? &(*at)->next : at;
		seq += (uint32_t)part;
		bytes += part;
		len -= part;
	}
	return err;
}

static bool
is_full(const struct cn_assembly *a, const struct flow *f, size_t len)
{
	return f->kept + len > CN_ASSEMBLY_FLOW_BYTES_MAX ||
	    f->pieces + 2 > CN_ASSEMBLY_PIECES_MAX ||
	    a->kept + len > CN_ASSEMBLY_BYTES_MAX;
}

/* Make room by giving up what is missing; false: there is none all the same. */
static bool
make_room(struct cn_assembly *a, struct flow *f, int i, size_t len)
{
	while (is_full(a, f, len) && f->way[i].first != NULL) {
		skip_gap(a, f, i);
	}
	return !is_full(a, f, len);
}

/* The bytes at seq, of which those before their turn are cut off already. */
static int
take_new(struct cn_assembly *a, struct flow *f, int i, uint32_t seq,
    const uint8_t *bytes, size_t len, bool is_pushed)
{
	struct way *w = &f->way[i];
	int err;

	if (seq == w->next && w->first == NULL) {
		give(a, f, i, bytes, len, is_pushed);
		return CN_OK;
	}
	if (!make_room(a, f, i, len)) {
		/* The others hold all of it. */
		a->stats.missing += seq - w->next;
		w->next = seq;
		give(a, f, i, bytes, len, is_pushed);
		return CN_OK;
	}
	if ((int32_t)(seq - w->next) < 0) { /* the gap was behind it */
		a->stats.strange += len;
		return CN_OK;
	}
	err = keep_new(a, f, i, seq, bytes, len, is_pushed);
	give_pieces(a, f, i);
	return err;
}

/* The data of a packet that stands at seq. */
static int
take_data(struct cn_assembly *a, struct flow *f, int i,
    const struct cn_packet *p, uint32_t seq)
{
	struct way *w = &f->way[i];
	uint32_t end = seq + p->data_on_wire;
	int32_t ahead = (int32_t)(seq - w->next);
	uint32_t past = 0;
	int err = CN_OK;

	if (ahead >= FAR || ahead <= -FAR) {
		a->stats.strange += p->data_len;
		return CN_OK;
	}
	if (ahead < 0) {
		past = CN_MIN((uint32_t)-ahead, p->data_on_wire);
		/* A single byte before its turn keeps a connection alive. */
		a->stats.again += p->data_on_wire == 1 ? 0 : past;
	}
	if (past < p->data_len) {
		err = take_new(a, f, i, seq + past, p->data + past,
		    p->data_len - past, (p->flags & CN_PACKET_PSH) != 0);
	}
	/* A short snapshot: the rest will never come. */
	if (p->data_len < p->data_on_wire &&
	    (int32_t)(w->next - (seq + p->data_len)) >= 0 &&
	    (int32_t)(end - w->next) > 0) {
		open_flow(a, f);
		a->stats.missing += end - w->next;
		w->next = end;
		give_pieces(a, f, i);
	}
	return err;
}

/* The other end has what stands before ack: what is missing there was sent,
 * and not captured. */
static void
take_ack(struct cn_assembly *a, struct flow *f, int i, uint32_t ack)
{
	struct way *w = &f->way[i];

	while (w->is_known && w->first != NULL &&
	    (int32_t)(ack - w->first->seq) > 0 &&
	    (int32_t)(ack - w->first->seq) < FAR) {
		skip_gap(a, f, i);
	}
}

static bool
is_over(const struct flow *f)
{
	for (int i = 0; i < CN_ASSEMBLY_WAYS; i++) {
		const struct way *w = &f->way[i];

		if (!w->has_fin || (int32_t)(w->next - w->fin) < 0) {
			return false;
		}
	}
	return true;
}

int
cn_assembly_packet(
    struct cn_assembly *a, const struct cn_packet *p, uint64_t time_us)
{
	bool is_syn = (p->flags & CN_PACKET_SYN) != 0;
	uint32_t seq = p->seq + is_syn;
	struct flow *f;
	struct way *w;
	int err, i;

	a->time_us = CN_MAX(a->time_us, time_us);
	err = find_flow(a, p, &f);
	if (f == NULL) {
		return err;
	}
	i = way_of(f, p);
	w = &f->way[i];
	f->time_us = CN_MAX(f->time_us, time_us);
	cn_list_remove(&f->item);
	cn_list_append(&a->flows, &f->item);
	if (!w->is_known) {
		w->is_known = true;
		w->begin = w->next = seq;
	}
	if ((p->flags & CN_PACKET_ACK) != 0) {
		take_ack(a, f, 1 - i, p->ack);
	}
	if (p->data_on_wire > 0) {
		err = take_data(a, f, i, p, seq);
	}
	if ((p->flags & CN_PACKET_FIN) != 0) {
		w->has_fin = true;
		w->fin = seq + p->data_on_wire;
	}
	if ((p->flags & CN_PACKET_RST) != 0 || is_over(f)) {
		close_flow(a, f);
	}
	return err;
}
