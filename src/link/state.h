/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_LINK_STATE_H
#define CN_LINK_STATE_H

/*
 * The engine's own structures; nothing outside src/link includes this.
 *
 * Who does what:
 *   link.c      life, carriers, time, events, statistics
 *   stream.c    streams: birth, ends, what is due, what the peer said
 *   owner.c     streams seen from the local socket
 *   compose.c   what goes out: control, lane blocks
 *   bulk.c      what goes out: whose batch is next, its fragments
 *   encode.c    what goes out: one batch as copies, coded or raw
 *   receive.c   what comes in: fragments, lane blocks
 *   decode.c    what comes in: batches, also those that wait for the store
 *   reconcile.c both: who holds what of the pair's logs
 *   dispatch.c  what comes in: frames
 *   deliver.c   what comes in: reassembly, FIN, credit
 *   sent.c      block -> frames, until BLOCK_ACK or NACK
 *   lanes.c     lanes of a carrier, both ways
 *   losses.c    what bytes are, and why they were not less on the wire
 *
 * The one idea: no frame is queued.  A stream has `due' bits; each says that
 * a frame of a kind must be made from the stream's state the next time its
 * carrier composes.  Losing a block or a carrier only sets bits again.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/ranges.h"
#include "codec/codec.h"
#include "codec/dedup.h"
#include "codec/policy.h"
#include "link/history.h"
#include "link/link.h"
#include "link/ring.h"
#include "wire/block.h"
#include "wire/frame.h"
#include "wire/limits.h"

/* Pending pieces of a stream out of order, and re-send ranges. */
#define CN_LINK_GAPS_MAX 64u
/* Holes in the set of stream ids seen. */
#define CN_LINK_SEEN_MAX 4096u
/* Stateless answers (DONE, RESET) that wait at a time in a slot. */
#define CN_LINK_REPLIES_MAX 65536u
/* Runs of blocks left out of BLOCK_ACK; one such frame tells the first. */
#define CN_LINK_WITHHELD_MAX 4096u
/* Starved streams that one tick looks at. */
#define CN_LINK_STARVED_LOOKS 256u
/* Streams of each side that are over without the other's DONE: a peer that
 * never says it gets no new ones. */
#define CN_LINK_TOMBS_MAX 65536u
/* Blocks and their entries that a carrier remembers until BLOCK_ACK. */
#define CN_SENT_BLOCKS 4096u
#define CN_SENT_ENTRIES 16384u
/* References of the peer to what it may not name, in the life of a link,
 * that are borne as damage. */
#define CN_LINK_BAD_REFS_MAX 8u
/* Batches that wait for the store at a time. */
#define CN_LINK_PARKED_MAX 64u
/* Blocks that come behind one that waits: a peer forgets what it sent in
 * order alone, so its table would fill, and all of the carrier wait. */
#define CN_LINK_PARKED_BLOCKS (CN_SENT_BLOCKS / 4u)
/* Questions of the peer about what we hold that a carrier answers. */
#define CN_LINK_WANTS_MAX 65536u

/* Times, microseconds. */
#define CN_LINK_ACK_DELAY_US UINT64_C(20000)
#define CN_LINK_PING_US UINT64_C(5000000)
#define CN_LINK_DEAD_US UINT64_C(15000000)
#define CN_LINK_MOVE_US UINT64_C(1000000)
#define CN_LINK_HISTORY_SEND_US UINT64_C(2000000)
#define CN_LINK_HISTORY_RECEIVE_US UINT64_C(4000000)
#define CN_LINK_LANE_IDLE_US UINT64_C(30000000)
#define CN_LINK_BAD_HASH_US UINT64_C(600000000)
#define CN_LINK_BAD_HASHES 3u
#define CN_LINK_BULK_US UINT64_C(1000000)
/* Longest that a batch waits for the disk: to be sent with copies, to be
 * taken instead of asked for again. */
#define CN_LINK_STORE_SEND_US UINT64_C(60000)
#define CN_LINK_STORE_TAKE_US UINT64_C(2000000)
#define CN_LINK_DRAIN_US UINT64_C(100000)
/* Fewer pulls than these in that time tell nothing of the carrier. */
#define CN_LINK_DRAIN_PULLS 4u
#define CN_LINK_STARVED_US UINT64_C(10000)
#define CN_LINK_LANES_PAUSE_US UINT64_C(1000000)

/* Bytes. */
#define CN_LINK_BULK_BYTES ((size_t)16 * 1024)   /* pending: bulk */
#define CN_LINK_BULK_RATE ((size_t)64 * 1024)    /* in a second: bulk */
#define CN_LINK_AHEAD ((size_t)512 * 1024)       /* read beyond credit */
#define CN_LINK_ACK_BYTES ((uint64_t)256 * 1024) /* written: ACK at once */
#define CN_LINK_PREFIX_MAX ((size_t)1024 * 1024) /* that we keep */

/* A frame of that kind must be made from the stream's state. */
enum cn_due {
	CN_DUE_OPEN = 1u << 0,
	CN_DUE_FIN = 1u << 1,
	CN_DUE_CREDIT = 1u << 2,
	CN_DUE_ACK = 1u << 3,
	CN_DUE_ACK_FIN = 1u << 4,
	CN_DUE_END = 1u << 5, /* END, or RESET if outcome is not NONE */
	CN_DUE_RESUME = 1u << 6,
	CN_DUE_ASK = 1u << 7, /* that RESUME asks for the peer's */
	CN_DUE_NOW = 1u << 8, /* no frame: do not wait with the lazy ones */
};
/* These may wait for company until the slot's lazy deadline: nobody's bytes
 * and no end of file wait for them.  END is one of them, RESET is not. */
#define CN_DUE_LAZY                                                            \
	((unsigned)CN_DUE_CREDIT | (unsigned)CN_DUE_ACK |                      \
	    (unsigned)CN_DUE_ACK_FIN)

/* Bits of a stream's events, in the order in which they are told. */
enum cn_told {
	CN_TOLD_OPEN = 1u << 0,
	CN_TOLD_READABLE = 1u << 1,
	CN_TOLD_WRITABLE = 1u << 2,
	CN_TOLD_ENDED = 1u << 3,
	CN_TOLD_RESET = 1u << 4,
};

enum cn_stream_state {
	CN_STREAM_LIVE,
	CN_STREAM_ENDING, /* over here; END or RESET waits for DONE */
	CN_STREAM_OVER,   /* nothing to tell; waits for its release */
};

/* Bytes that came before those in front of them. */
struct cn_piece {
	struct cn_list item;
	uint64_t offset;
	struct cn_page *page; /* owned */
};

struct cn_stream {
	struct cn_link *link; /* borrowed */
	void *owner;          /* not ours; never read */
	uint64_t id;
	uint64_t scope;
	char *service; /* owned */
	char *client;  /* owned; NULL: none */
	struct cn_link_profile profile;
	uint64_t opened_us;

	enum cn_stream_state state;
	enum cn_reset outcome;
	uint32_t slot;
	bool is_ours;
	bool is_held;      /* the owner has the handle */
	bool is_confirmed; /* the peer knows it */
	bool was_opened;   /* an OPEN went out, on whatever carrier */
	bool is_waiting;   /* for the peer's RESUME */
	bool is_unstored;  /* nothing of it is kept or referred to */
	bool is_warm;      /* it is for the receiver's store alone */

	unsigned due;         /* enum cn_due */
	unsigned told;        /* enum cn_told */
	uint32_t store_wakes; /* the link's wakes when it began to wait */
	uint32_t parked_look; /* the link's look at which one went on waiting */
	unsigned piece_count; /* in pieces */
	struct cn_list due_item;     /* in the slot's urgent or lazy */
	struct cn_list small_item;   /* in the lane's streams */
	struct cn_list bulk_item;    /* in the slot's bulk or background */
	struct cn_list event_item;   /* in the link's events */
	struct cn_list order_item;   /* in the link's order */
	struct cn_list starved_item; /* in the link's starved */
	struct cn_list send_hist_item, recv_hist_item; /* in the link's */

	/* Sending.  acked <= next <= ring.end; next <= credit. */
	struct cn_ring tx;          /* [acked, filled) */
	struct cn_digest tx_digest; /* of [0, filled) */
	struct cn_ranges resend;    /* below next, to be sent again, raw */
	struct cn_history tx_hist;
	uint64_t next;       /* first offset never sent on this carrier */
	uint64_t moved;      /* one past the highest that the peer has */
	uint64_t sent_max;   /* one past the highest ever sent */
	uint64_t credit;     /* the peer takes bytes below this */
	uint64_t pending_us; /* since when bytes wait to be sent */
	uint64_t rate_us;    /* start of the second of rate_bytes */
	size_t rate_bytes;
	int64_t deficit;
	double ratio;     /* plain / coded of the last batches */
	bool is_finished; /* local end of file: filled is the length */
	bool is_fin_sent; /* on the present carrier */
	bool is_fin_acked;
	bool is_drained;   /* the socket was empty at the last read */
	bool is_bulk;      /* moved much lately, and is not a dialogue */
	bool is_answering; /* received something since the last read */
	bool is_opaque;    /* small data looked random lately */
	bool was_raw;      /* its last batch was */
	bool is_roomless;  /* the owner found no room and waits to be told */
	struct cn_match_state match; /* where the last batch's copies end */
	uint64_t store_us; /* a batch waits for the store till then; 0: no */

	/* Receiving.  ring.start = consumed, ring.end = received. */
	struct cn_ring rx;
	struct cn_digest rx_digest; /* of [0, received) */
	struct cn_list pieces;      /* out of order, by offset */
	struct cn_history rx_hist;
	uint64_t send_hist_us, recv_hist_us; /* last use of the histories */
	uint64_t granted;                    /* credit told or to be told */
	uint64_t window;                     /* bytes, promised by the pool */
	uint64_t grew_us;                    /* last growth */
	uint64_t acked_told;                 /* last ACK made */
	uint64_t fin_length;
	uint8_t fin_digest[CN_DIGEST_BYTES];
	bool is_fin_known;
	bool is_fin_verified;
	bool is_shut;    /* the owner shut the local socket down */
	bool is_keeping; /* the sender asked to keep history */
	uint8_t parked;  /* batches that wait for the store */
	uint8_t sent_kind, received_kind; /* enum cn_kind */

	size_t walk; /* its place, for cn_link_next_stream() */
	struct cn_link_bytes sent, received_bytes;
	struct cn_loss_sums *losses; /* owned; NULL: nothing was lost yet */
	uint64_t resent;
};

/* Of the batches and raw small data of a stream, by direction. */
struct cn_loss_sums {
	uint64_t sent[CN_LOSS_MAX], received[CN_LOSS_MAX];
};

/* A lane that we send on, or a scope that has none now. */
struct cn_lane {
	uint64_t scope;
	uint32_t id; /* < peer's lanes; valid while enc */
	uint64_t generation;
	uint64_t sequence;
	struct cn_lane_enc *enc;   /* owned; NULL: not now */
	struct cn_list streams;    /* with small data or OPEN to send */
	struct cn_list ready_item; /* in the slot's ready */
	struct cn_list used_item;  /* in the slot's lanes, oldest first */
	uint64_t used_us;
};

/* A lane that we receive on. */
struct cn_lane_in {
	struct cn_lane_dec *dec; /* owned */
	uint64_t generation;
	uint64_t sequence; /* expected next */
	bool is_failed;    /* drop blocks of this generation */
};

/* What one block carried, for making it again. */
struct cn_entry {
	uint64_t stream; /* or block number of a NACK, or lane */
	uint64_t offset; /* or reason, or generation */
	uint32_t len;
	uint8_t type;  /* enum cn_frame_type; DATA for batches too */
	uint8_t flags; /* of HAVE, WANT, EXTENTS and LACK */
};
/* No frame: a piece of our log that the block stored, at offset. */
#define CN_ENTRY_STORE 0xffu

struct cn_sent_block {
	uint64_t lane_generation;
	uint32_t lane;    /* CN_SENT_NO_LANE: not coded in one */
	uint32_t entries; /* at the block's place in the entries' ring */
	bool is_settled;
	bool is_lost;    /* settled by making its frames again */
	bool has_stores; /* entries CN_ENTRY_STORE among its own */
};
#define CN_SENT_NO_LANE UINT32_MAX

struct cn_sent {
	struct cn_sent_block *block; /* owned rings, grown on demand */
	struct cn_entry *entry;
	size_t block_cap, entry_cap;
	uint64_t first_block, next_block; /* numbers */
	uint64_t first_entry, next_entry;
};

/*
 * A frame that no stream's state makes.
 *
 *   DONE, RESET           stream, value = reason
 *   NACK                  stream = block, value = reason
 *   MISS                  stream, value = offset, len
 *   LANE_CLOSE            stream = lane, value = generation
 *   HAVE, WANT            stream = index, value = epoch, len = level, flags
 *   EXTENTS               stream = sequence, value = epoch, flags
 *   LACK                  stream = pos, value = epoch, len, flags
 */
struct cn_reply {
	uint64_t stream;
	uint64_t value;
	uint32_t len;
	uint8_t type; /* enum cn_frame_type */
	uint8_t flags;
};

/* A batch that came, whole or in the making. */
struct cn_batch_in {
	struct cn_batch_head head; /* its ext is ours, or NULL */
	struct cn_page *page; /* owned: where plain bytes go; NULL: small */
	uint8_t *coded;       /* its bytes, if they are not plain ones */
	uint64_t number;      /* of the block */
	bool has_copies;
};

/* One that waits for the store. */
struct cn_parked {
	struct cn_list item; /* in the link's parked, in order of arrival */
	struct cn_batch_in in;
	struct cn_page *coded; /* owned: where in.coded points; or NULL */
	uint32_t slot;
	uint64_t since_us;
};

/* One carrier slot of a link. */
struct cn_slot {
	bool is_up;
	uint64_t generation;
	uint64_t down_us; /* since when not up */
	/* The peer's limits. */
	uint32_t peer_lanes; /* 0 too when its windows are below ours */
	size_t peer_prefix_max;
	bool has_dedup; /* both sides can refer to the logs of the pair */
	uint32_t wants; /* of the peer, answered on this carrier */

	/* Sending. */
	struct cn_list urgent;      /* streams with due bits */
	struct cn_list lazy;        /* streams with only lazy due bits */
	struct cn_list marker;      /* in urgent: RESUME_END goes here */
	uint64_t lazy_us;           /* when lazy must go; UINT64_MAX */
	struct cn_list ready;       /* lanes with small data */
	struct cn_list bulk;        /* streams with bulk data */
	struct cn_list background;  /* those that give way to all others */
	struct cn_map lanes;        /* scope -> struct cn_lane, owned */
	struct cn_list lanes_used;  /* those with a context, oldest first */
	struct cn_lane no_lane;     /* raw only: without memory for another */
	uint64_t *lane_ids;         /* bitmap of ids in use */
	uint64_t *lane_generations; /* last of each id */
	struct cn_reply *replies;   /* owned ring */
	size_t reply_first, reply_count, reply_cap;
	size_t lazy_replies; /* DONEs among them that may wait till lazy_us */
	struct cn_sent sent;
	struct cn_policy policy;
	uint64_t rate_bps, rtt_us; /* as the owner measured */
	/*
	 * What the carrier took while it was busy nearly all the time: a proxy
	 * on the way hides the path's rate from the socket, not from this.
	 */
	struct {
		uint64_t since_us, bytes;
		uint64_t busy_us;     /* when it last was */
		uint32_t pulls, busy; /* with something to send; of them busy */
		uint64_t bps;         /* 0: it was not busy enough to tell */
	} drain;
	uint64_t ping_rtt_us; /* as the last PING did; 0: unknown */
	bool is_busy;
	bool is_ping_due, is_pong_due, is_drain_due;
	bool was_lane;        /* the last fragment was a lane block */
	bool is_hold_over;    /* hold_us has passed */
	uint64_t small_us;    /* when small data last went; 0: never */
	uint64_t small_block; /* in which block */
	uint64_t hold_us;     /* small data is collected until then; 0: not */
	uint64_t pause_us;    /* the peer has no memory: no batch before */
	uint64_t lanes_pause_us; /* … nor for lanes: none is opened before */
	uint64_t bulk_hold_us;   /* bulk may be ready then; UINT64_MAX */
	uint64_t pong_token;
	uint64_t ping_us; /* when the last PING went; 0: none is out */
	uint64_t next_ping_us;
	/* The batch being sent. */
	struct {
		struct cn_stream *stream; /* NULL: none, or it is gone */
		const uint8_t *bytes;     /* coded */
		size_t len, sent;
		struct cn_batch_head head;
		bool is_active;
		bool is_begun; /* its first fragment went out */
	} batch;
	uint8_t *plain; /* owned: CN_BATCH_PLAIN_MAX, lazily */
	uint8_t *coded; /* owned: likewise */

	/* Receiving. */
	struct cn_lane_in *lanes_in; /* owned, config.lanes */
	uint64_t received_blocks;
	uint64_t settled_blocks; /* since the last BLOCK_ACK */
	/*
	 * Blocks answered NACK, while the NACK is not acknowledged, and the
	 * blocks that were dropped in its wake, and the batch being received.
	 * BLOCK_ACK leaves them out, or the peer would forget what it has to
	 * make again.
	 */
	struct cn_ranges nacked;
	struct cn_ranges withheld; /* all of these */
	bool is_block_ack_due;
	uint64_t block_ack_us; /* when it must go; UINT64_MAX */
	uint64_t heard_us;     /* when anything last came */
	uint64_t asked_us; /* since when an answer is outstanding, if one is */
	/* The batch being received. */
	struct cn_batch_in in;
	struct {
		uint8_t *coded; /* owned: collects fragments */
		uint8_t *small; /* owned: a small batch's plain bytes */
		uint8_t *ext;   /* owned: CN_BATCH_EXT_MAX, with has_dedup */
		size_t got;
		bool is_active;
	} taking;
	size_t fragment_head; /* bytes of the head of the one being taken */
};

struct cn_link {
	struct cn_link_config config;
	struct cn_slot slot[CN_LINK_SLOTS_MAX];
	struct cn_map streams; /* id -> struct cn_stream, owned */
	uint64_t now_us;       /* the latest that we were told */
	uint64_t live;
	uint64_t next_id;
	struct cn_ranges seen; /* peer's ids / 2 that were ever seen */
	uint64_t peer_streams_max;
	uint64_t ours_live, theirs_live;
	uint64_t ours_tombs, theirs_tombs; /* over, not yet forgotten */
	uint64_t peer_credit_floor;
	struct cn_list events;   /* streams with told bits */
	unsigned carrier_events; /* bit for each slot */
	uint64_t carrier_reason[CN_LINK_SLOTS_MAX];
	bool is_draining, is_peer_draining, is_drain_told;
	bool is_lost, is_lost_told;
	bool is_dead;     /* lost: nothing goes on */
	uint64_t down_us; /* since when no carrier is up; 0: one is */
	/* All streams; whose bytes reached the peer longest ago comes first,
	 * so that with carriers that never live long each has its turn. */
	struct cn_list order;
	struct cn_list starved; /* streams that wait for the pool's memory */
	uint64_t starved_us;    /* when they are told; UINT64_MAX */
	struct cn_list send_hist, recv_hist; /* streams, oldest use first */
	struct cn_list parked;               /* struct cn_parked */
	unsigned parked_count;
	unsigned parked_look; /* counts the looks at them */
	unsigned wakes;       /* counts cn_link_woken() */
	uint64_t bulk_us;     /* when a batch not of the background was made */
	uint64_t bad_hash_us[CN_LINK_BAD_HASHES];
	bool is_coding_off;
	struct cn_link_stats stats;
	uint8_t plain[CN_FRAGMENT_MAX]; /* scratch: frames of a lane block */
	uint8_t coded[CN_FRAGMENT_MAX]; /* scratch: what the lane made of it */
};

/* ---- stream.c, owner.c ---- */

struct cn_stream *cn_stream_new(
    struct cn_link *link, uint64_t id, bool is_ours, uint64_t now);
void cn_stream_destroy(struct cn_stream *s);
/* The same, but it stays in the link's map. */
void cn_stream_free(struct cn_stream *s);
/* Gone when nobody holds it and the peer knows how it ended. */
void cn_stream_drop_if_over(struct cn_stream *s);
struct cn_stream *cn_stream_find(const struct cn_link *link, uint64_t id);
/* Set due bits and put the stream where its slot will find it. */
void cn_stream_set_due(struct cn_stream *s, unsigned due, uint64_t now);
void cn_stream_tell(struct cn_stream *s, unsigned told);
/* The peer holds the bytes below offset: if that is more than was known, the
 * stream goes to the end of the link's order. */
void cn_stream_moved(struct cn_stream *s, uint64_t offset);
/* Put the stream in the small or bulk list as its state asks. */
void cn_stream_schedule(struct cn_stream *s, uint64_t now);
void cn_stream_unschedule(struct cn_stream *s);
/* The engine ends it: RESET to the peer if told, an event to the owner. */
void cn_stream_fail(
    struct cn_stream *s, enum cn_reset reason, bool is_peer_told, uint64_t now);
/* Both directions settled? Then END, and the event. */
void cn_stream_check_end(struct cn_stream *s, uint64_t now);
/* The peer confirmed the outcome. */
void cn_stream_done(struct cn_stream *s);
/* The peer's END or RESET came. */
void cn_stream_peer_ended(struct cn_stream *s, uint64_t now);
/* Bytes of it that could be sent now, without those to be re-sent. */
uint64_t cn_stream_sendable(const struct cn_stream *s);
/* Is FIN all that is left to send on this carrier? */
bool cn_stream_is_fin_ready(const struct cn_stream *s);
/* Go on from offset: after a resume, or when nothing better is known. */
void cn_stream_rewind(struct cn_stream *s, uint64_t offset, uint64_t now);
/* A range goes out: the highest offset, and what went more than once. */
void cn_stream_sent(struct cn_stream *s, uint64_t offset, size_t len);
/* The range was lost: send it again, raw. */
void cn_stream_resend(
    struct cn_stream *s, uint64_t offset, uint64_t len, uint64_t now);
void cn_stream_acked(struct cn_stream *s, uint64_t offset, uint64_t now);
/* Something made room: tell an owner that waits for it. */
void cn_stream_wake(struct cn_stream *s);
/* A stream waits on a new carrier of the slot for the peer's RESUME. */
void cn_stream_move(
    struct cn_stream *s, uint32_t slot, bool is_asking, uint64_t now);

/* ---- compose.c, bulk.c ---- */

struct cn_writer;
size_t cn_compose_lane_block(struct cn_link *link, struct cn_slot *slot,
    uint8_t *out, size_t cap, uint64_t now);
size_t cn_bulk_fragment(struct cn_link *link, struct cn_slot *slot,
    uint8_t *out, size_t cap, uint64_t now);
/* The stream has bulk data: it is the last to have its turn. */
void cn_bulk_append(struct cn_slot *slot, struct cn_stream *s);
/* True when a batch can start or goes on now. */
bool cn_bulk_is_ready(struct cn_link *link, struct cn_slot *slot, uint64_t now);
/*
 * A frame that no stream's state makes: about a stream that is gone, a block
 * or a lane.  Returns false when there is no room for it; the caller fails
 * the carrier if the peer cannot go on without it.
 */
bool cn_compose_reply(struct cn_slot *slot, enum cn_frame_type type,
    uint64_t stream, uint64_t value, size_t len);
/* The same about the logs of the pair; see struct cn_reply. */
bool cn_compose_log_reply(struct cn_slot *slot, enum cn_frame_type type,
    uint64_t flags, uint64_t epoch, uint64_t at, uint32_t len);

/* ---- encode.c ---- */

/*
 * Make the head and the bytes of the batch whose plain bytes stand in
 * slot->plain; head tells stream, offset and plain_len.
 *
 * @is_again    of bytes that go again: raw
 * @stores_max  pieces that it may store, entries of the block's list
 *
 * Returns CN_OK, or CN_EAGAIN: the store is being read, nothing was done.
 */
int cn_encode_batch(struct cn_link *link, struct cn_slot *slot,
    struct cn_stream *s, struct cn_batch_head *head, bool is_again,
    size_t stores_max, uint64_t now);

/* ---- receive.c, decode.c ---- */

struct cn_taken;
/* A block was settled: the peer hears of it, soon or with the next frames. */
int cn_receive_settled(struct cn_link *link, struct cn_slot *slot,
    uint64_t number, const struct cn_taken *taken, uint64_t now);
int cn_receive_withhold(struct cn_slot *slot, uint64_t number);
/* The first fragment of a batch; then its bytes. */
int cn_decode_begin(struct cn_link *link, struct cn_slot *slot,
    const struct cn_batch_head *head);
int cn_decode_bytes(struct cn_link *link, struct cn_slot *slot,
    const uint8_t *bytes, size_t len, uint64_t now);
/* Look again at the batches that wait; those of a slot are thrown away. */
void cn_decode_parked(struct cn_link *link, uint64_t now);
void cn_decode_drop_parked(struct cn_link *link, uint32_t slot);
/* Too many blocks came behind one that waits. */
bool cn_decode_is_overdue(const struct cn_link *link, uint32_t slot);

/* ---- reconcile.c ---- */

/* A carrier came up: ask and tell what both hold, if it is time for that. */
void cn_reconcile_start(struct cn_link *link, struct cn_slot *slot,
    const uint8_t *boot, uint64_t now);
/* HAVE, WANT, EXTENTS and LACK of the peer. */
int cn_reconcile_take(
    struct cn_link *link, struct cn_slot *slot, const struct cn_frame *frame);
/* The frame of such a reply; false when there is nothing to tell any more. */
bool cn_reconcile_frame(const struct cn_link *link,
    const struct cn_reply *reply, struct cn_frame *ret);
/* Tell the peer of places that are not here. */
void cn_reconcile_lack(struct cn_link *link, struct cn_slot *slot,
    const struct cn_dedup_lack *lack);
/* … and of what we are about to evict. */
void cn_reconcile_evicted(struct cn_link *link, struct cn_slot *slot);

/* ---- dispatch.c, deliver.c ---- */

/* What became of one block's frames. */
struct cn_taken {
	bool is_eliciting;        /* the peer wants to hear of it */
	enum cn_nack_reason nack; /* 0: none */
	enum cn_close close;      /* the peer's CLOSE; 0: none */
	bool is_closed;
	bool is_coded; /* came through a lane */
	/* Of its data a stream pays for its share, by its part of these. */
	size_t plain_len; /* bytes of frames */
	size_t coded_len; /* what the lane made of them */
	size_t head_len;  /* of the block */
};

/* Act on the frames of a verified block; CN_OK or why the carrier ends. */
int cn_dispatch_frames(struct cn_link *link, struct cn_slot *slot,
    const uint8_t *bytes, size_t len, struct cn_taken *taken, uint64_t now);
/* The live stream of that id, or NULL. */
struct cn_stream *cn_dispatch_live(const struct cn_link *link, uint64_t id);
/* Bytes for a stream that is not live: late, missing its OPEN, or absurd. */
int cn_dispatch_orphan(
    const struct cn_link *link, uint64_t id, struct cn_taken *taken);
/* Errors of delivery that only ask for the bytes again become a NACK. */
int cn_dispatch_error(int r, struct cn_taken *taken);
void cn_dispatch_count(
    struct cn_stream *s, bool is_coded, size_t len, size_t coded_len);

/* The same of a batch, the rest of whose plain bytes are copies. */
void cn_dispatch_count_batch(
    struct cn_stream *s, const struct cn_batch_head *head, size_t literals);

/* Take the batch page (owned then) or copy bytes at an offset.
 * CN_OK, CN_EPROTO (credit), CN_ENOMEM, CN_ELIMIT (gaps). */
int cn_deliver_page(
    struct cn_stream *s, uint64_t offset, struct cn_page *page, uint64_t now);
int cn_deliver_bytes(struct cn_stream *s, uint64_t offset, const uint8_t *bytes,
    size_t len, uint64_t now);
int cn_deliver_fin(
    struct cn_stream *s, const struct cn_frame_fin *fin, uint64_t now);
void cn_deliver_credit(struct cn_stream *s, uint64_t now);
void cn_deliver_pieces_fini(struct cn_stream *s);

/* ---- sent.c ---- */

void cn_sent_fini(struct cn_sent *table);
/* Start, fill, end one block; begin says whether there is room. */
bool cn_sent_has_room(const struct cn_sent *table, size_t entries);
int cn_sent_begin(struct cn_sent *table, size_t entries);
void cn_sent_add(struct cn_sent *table, enum cn_frame_type type,
    uint64_t stream, uint64_t offset, size_t len);
/* A frame that no stream's state makes. */
void cn_sent_add_reply(struct cn_sent *table, const struct cn_reply *reply);
/* A piece of our log that the block stores. */
void cn_sent_add_store(struct cn_sent *table, uint64_t pos, size_t len);
void cn_sent_end(
    struct cn_sent *table, uint32_t lane, uint64_t lane_generation);
/* The peer has it, or it is lost. */
bool cn_sent_is_settled(const struct cn_sent *table, uint64_t block);
/* Blocks below `next', and the ranges, are settled.  CN_EPROTO if absurd,
 * CN_ELIMIT when what was left out cannot be told apart for want of memory. */
int cn_sent_settle(struct cn_link *link, struct cn_slot *slot,
    const struct cn_frame_block_ack *ack);
/*
 * Make again what a block carried; is_refused: the peer had no memory for it.
 * CN_EPROTO when it was never sent, CN_ELIMIT when an answer that it carried
 * finds no room, so that the carrier must end.
 */
int cn_sent_rebuild(struct cn_link *link, struct cn_slot *slot, uint64_t block,
    bool is_refused, uint64_t now);

/* ---- lanes.c ---- */

void cn_lane_init(struct cn_lane *lane, uint64_t scope);
/* Free a lane that has neither context nor streams. */
void cn_lane_drop_if_idle(struct cn_slot *slot, struct cn_lane *lane);
/* Never NULL: without memory for a lane of its own a scope goes raw. */
struct cn_lane *cn_lane_get(struct cn_slot *slot, uint64_t scope);
/* Give it a context if there can be one. */
bool cn_lane_open(struct cn_link *link, struct cn_slot *slot,
    struct cn_lane *lane, uint64_t now);
void cn_lane_restart(struct cn_slot *slot, struct cn_lane *lane);
/* The peer has no memory for it: close it, and open none for a while. */
int cn_lane_refused(struct cn_slot *slot, struct cn_lane *lane, uint64_t now);
struct cn_lane *cn_lane_by_id(struct cn_slot *slot, uint32_t id);
void cn_lanes_tick(struct cn_link *link, struct cn_slot *slot, uint64_t now);
/* Free every lane of the slot, both ways; its streams stay. */
void cn_lanes_fini(struct cn_link *link, struct cn_slot *slot);
/* Decode the coded part behind the raw frames already in out. */
int cn_lane_in_block(struct cn_link *link, struct cn_slot *slot,
    const struct cn_lane_head *head, const uint8_t *coded, uint8_t *out);
void cn_lane_in_close(struct cn_link *link, struct cn_slot *slot, uint64_t lane,
    uint64_t generation);

/* ---- losses.c ---- */

/* So many bytes on the wire could have been less but for that. */
void cn_loss_sent(struct cn_stream *s, enum cn_loss loss, uint64_t wan);
void cn_loss_received(struct cn_stream *s, enum cn_loss loss, uint64_t wan);
/* What are the bytes at that offset?  Looks at the first of a direction, and
 * later at what is opaque, until it knows. */
void cn_loss_look_sent(struct cn_stream *s, uint64_t offset,
    const uint8_t *bytes, size_t len, bool is_opaque);
void cn_loss_look_received(struct cn_stream *s, uint64_t offset,
    const uint8_t *bytes, size_t len, bool is_opaque);
/* A batch was received: why was it no less? */
void cn_loss_take_batch(struct cn_stream *s, const struct cn_batch_head *head,
    const uint8_t *plain, size_t literals);
/* Likewise raw small data. */
void cn_loss_take_raw(struct cn_stream *s, const uint8_t *bytes, size_t len);
void cn_loss_stats(const struct cn_stream *s, struct cn_stream_stats *ret);

/* ---- link.c ---- */

void cn_link_carrier_failed(struct cn_link *link, struct cn_slot *slot,
    enum cn_close reason, uint64_t now);

/* Bytes a second that the carrier takes; 0: unknown. */
static inline uint64_t
cn_slot_rate(const struct cn_slot *slot)
{
	if (slot->rate_bps == 0 || slot->drain.bps == 0) {
		return CN_MAX(slot->rate_bps, slot->drain.bps);
	}
	return CN_MIN(slot->rate_bps, slot->drain.bps);
}

static inline uint32_t
cn_slot_number(const struct cn_link *link, const struct cn_slot *slot)
{
	return (uint32_t)(slot - link->slot);
}

#endif /* CN_LINK_STATE_H */
