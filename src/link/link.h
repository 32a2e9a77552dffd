/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_LINK_LINK_H
#define CN_LINK_LINK_H

/*
 * The engine of one link: streams, credit, scheduling, retention,
 * acknowledgement and resume over abstract carriers.
 *
 * It does no I/O and has no clock: the owner feeds it bytes, opens, closes
 * and the time, and asks it for bytes and events.  No function calls back;
 * what the owner must know comes out of cn_link_event().
 *
 * Life:       created by the owner of both ends' relation; freed by it, all
 *             its streams with it.
 * Thread:     one; nothing in it is shared but the pool and the codec of
 *             its worker.
 * Time:       every `now' is monotonic microseconds and never goes back.
 * Invariants: doc/INVARIANTS.md, "Engine".
 * Wire:       doc/protocol.md, all but "Hello".
 *
 * The owner's turn, after any call below that may change something:
 *
 *   while (cn_link_event(link, &ev))  handle it
 *   for each carrier that can take bytes:
 *           n = cn_link_pull(link, slot, buf, sizeof(buf), now)
 *           write n bytes to the carrier
 *   set a timer for cn_link_deadline(link); then cn_link_tick()
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "codec/kind.h"
#include "wire/frame.h"
#include "wire/hello.h"

struct cn_codec;
struct cn_dedup;
struct cn_pool;
struct cn_link;   /* opaque */
struct cn_stream; /* opaque */

/* Carriers that a link may have at a time. */
#define CN_LINK_SLOTS_MAX 8u
/* Lanes of a carrier that a link may be made to decode at a time. */
#define CN_LINK_LANES_MAX 64u
/* Greatest window of a stream, bytes. */
#define CN_LINK_WINDOW_MAX (64u * 1024u * 1024u)

struct cn_link_config {
	bool is_dialler;       /* opens even stream ids, the other odd */
	uint32_t slots;        /* carriers, 1..CN_LINK_SLOTS_MAX */
	uint32_t credit_floor; /* bytes, >= CN_CREDIT_FLOOR_MIN */
	uint32_t window_max;   /* bytes, <= CN_LINK_WINDOW_MAX */
	uint64_t streams_max;  /* live streams that the peer may open */
	uint32_t lanes; /* to decode on a carrier, 0..CN_LINK_LANES_MAX */
	uint64_t resume_window_us; /* no carrier for so long: link is lost */
	struct cn_pool *pool;      /* borrowed; memory of the worker */
	struct cn_codec *codec;    /* borrowed; coders of the worker */
	struct cn_dedup
	    *dedup; /* borrowed; NULL: nothing is kept or referred */
};

/* How a stream trades bytes against delay; from its service's profile. */
struct cn_link_profile {
	uint32_t coalesce_us; /* longest that small data waits, busy carrier */
	int level_min;        /* zstd levels that the policy may use; */
	int level_max;        /* equal: fixed.  0 and 0: never code */
	bool dedup;           /* refer to what the peer has, keep what is new */
	bool is_background;   /* bulk only when no other stream wants to send */
};

/* What opens a stream here.  All borrowed during the call. */
struct cn_link_open {
	const char *service; /* name of the offer at the peer, 1..63 bytes */
	uint64_t scope;      /* key of the scope; same key, shared history */
	const char *client;  /* text of the client's address, or NULL */
	bool is_unstored;    /* neither side keeps anything of it */
	/* Its bytes are for the peer's store alone: it reaches no target there.
	 * Not with is_unstored; needs profile.dedup. */
	bool is_warm;
	struct cn_link_profile profile;
};

enum cn_link_event_type {
	/*
	 * The peer opened a stream.  The owner reads cn_stream_service()
	 * and so on, then uses it, or refuses by cn_stream_reset().
	 */
	CN_LINK_EVENT_OPEN,
	/* cn_stream_read() has bytes or its end is reached; edge. */
	CN_LINK_EVENT_READABLE,
	/* There is room again after cn_stream_fill_spans() gave none; once. */
	CN_LINK_EVENT_WRITABLE,
	/*
	 * Both directions ended and were verified and acknowledged: close
	 * the local socket cleanly, then cn_stream_release().
	 */
	CN_LINK_EVENT_ENDED,
	/* Reset by the peer or by the engine: reset the local socket, then
	 * cn_stream_release().  event.reason says why.  A stream whose OPEN
	 * was not told yet vanishes without this. */
	CN_LINK_EVENT_RESET,
	/*
	 * The engine gave up the carrier in event.slot: write out what
	 * cn_link_farewell() gives if it is easily done, close it, dial
	 * again.  It is detached already.  event.reason is enum cn_close.
	 */
	CN_LINK_EVENT_CARRIER,
	/* The peer opens nothing more and wants no new streams. */
	CN_LINK_EVENT_DRAINING,
	/*
	 * The resume window ended: every stream was reset (their events came
	 * first).  The owner frees the link.
	 */
	CN_LINK_EVENT_LOST,
};

struct cn_link_event {
	enum cn_link_event_type type;
	struct cn_stream *stream; /* for the stream events, else NULL */
	uint64_t reason;
	uint32_t slot;
};

/* Bytes in memory, borrowed until the next call on the same stream. */
struct cn_span {
	uint8_t *data;
	size_t len;
};

/*
 * Create a link without carriers.
 *
 * Returns CN_OK, CN_ENOMEM, or CN_EINVAL when the config breaks a range.
 */
int cn_link_create(const struct cn_link_config *config, uint64_t now,
    struct cn_link **ret) CN_MUSTCHECK;

/* The limits of the config, as the hello announces them; the rest stays. */
void cn_link_limits(
    const struct cn_link_config *config, struct cn_hello *hello);

/* Free *@lp and all its streams; clears it; NULL is fine. */
void cn_link_free(struct cn_link **lp);

/*
 * A carrier of that slot is up: both hellos were exchanged and accepted.
 * An older carrier in the slot is forgotten at once; the owner must have
 * closed it and reads nothing more from it.
 *
 * @generation  must be above that of any earlier carrier of the slot
 * @peer        the peer's hello, for its limits; borrowed
 *
 * Returns CN_OK, CN_EINVAL (slot), CN_ESTALE (generation), CN_ENOMEM.
 */
int cn_link_attach(struct cn_link *link, uint32_t slot, uint64_t generation,
    const struct cn_hello *peer, uint64_t now) CN_MUSTCHECK;

/* The carrier died or was closed.  Its streams wait for the next. */
void cn_link_detach(struct cn_link *link, uint32_t slot, uint64_t now);

/* True while the slot has a live carrier; its generation (0: none yet). */
bool cn_link_is_up(const struct cn_link *link, uint32_t slot);
uint64_t cn_link_generation(const struct cn_link *link, uint32_t slot);

/*
 * Bytes came from a carrier.  Takes whole fragments only; the owner keeps
 * the rest (less than CN_FRAGMENT_MAX) and gives it again with what follows.
 *
 * @used  bytes taken
 *
 * Returns CN_OK; CN_EPROTO when the peer broke the protocol (the carrier is
 * detached, an event CARRIER follows); CN_ENOMEM (likewise).
 */
int cn_link_receive(struct cn_link *link, uint32_t slot, const uint8_t *bytes,
    size_t len, uint64_t now, size_t *used) CN_MUSTCHECK;

/*
 * The next bytes for a carrier: whole fragments, as many as fit.
 *
 * @cap  room; at least CN_FRAGMENT_MAX
 *
 * Returns the bytes written to out; 0 when nothing is to be sent now.  What
 * was pulled must be written before what is pulled next.
 */
size_t cn_link_pull(struct cn_link *link, uint32_t slot, uint8_t *out,
    size_t cap, uint64_t now);

/*
 * Tell what the carrier does: it steers block sizes, levels and coalescing.
 *
 * @rate_bps  measured delivery, bytes a second; 0: unknown
 * @rtt_us    smoothed round trip; 0: unknown
 * @is_busy   its queue is not empty: what is pulled now will wait
 */
void cn_link_path(struct cn_link *link, uint32_t slot, uint64_t rate_bps,
    uint64_t rtt_us, bool is_busy);

/* A last CLOSE block for a carrier that ends; returns its bytes. */
size_t cn_link_farewell(
    uint8_t *out, size_t cap, enum cn_close code, const char *text);

/* The wake of config.dedup was called: what waits for the store goes on. */
void cn_link_woken(struct cn_link *link, uint64_t now);

/* When cn_link_tick() is next needed; UINT64_MAX: not. */
uint64_t cn_link_deadline(const struct cn_link *link);
void cn_link_tick(struct cn_link *link, uint64_t now);

/* Take the next event; false when there is none. */
bool cn_link_event(struct cn_link *link, struct cn_link_event *ret);

/* Tell the peer to open no more; new cn_stream_open() fails here. */
void cn_link_drain(struct cn_link *link);
/* Reset all streams with a reason, as when the peer forgot the link. */
void cn_link_reset_all(
    struct cn_link *link, enum cn_reset reason, uint64_t now);
/* Live streams, tombstones not counted. */
uint64_t cn_link_streams(const struct cn_link *link);

/* ---- streams ---- */

/*
 * Open a stream.  OPEN and the first bytes travel together.
 *
 * @owner  given back by cn_stream_owner(), never read
 *
 * Returns CN_OK; CN_EBUSY (limit of streams or memory); CN_EDRAIN when
 * draining; CN_EINVAL (names); CN_ENOMEM.  Works without a live carrier, but
 * for one that is_warm: that returns CN_ENOTCONN then, CN_ENOSYS when one of
 * both sides has no store, and CN_ECODING when nothing is coded any more.
 */
int cn_stream_open(struct cn_link *link, const struct cn_link_open *open,
    void *owner, uint64_t now, struct cn_stream **ret) CN_MUSTCHECK;

void cn_stream_set_owner(struct cn_stream *stream, void *owner);
void *cn_stream_owner(const struct cn_stream *stream);
uint64_t cn_stream_id(const struct cn_stream *stream);
const char *cn_stream_service(const struct cn_stream *stream);
/* Text of the client's address as the opener gave it; "" if it did not. */
const char *cn_stream_client(const struct cn_stream *stream);
/* The opener wants what it sends to be kept, and to reach no target: consume
 * it and send nothing. */
bool cn_stream_is_warm(const struct cn_stream *stream);
void cn_stream_set_profile(
    struct cn_stream *stream, const struct cn_link_profile *profile);

/*
 * Local socket -> link.  How many bytes may be taken now: bounded by the
 * peer's credit, the send ring and the worker's memory.
 */
size_t cn_stream_room(const struct cn_stream *stream);

/*
 * Memory to read the local socket into, at most cn_stream_room() in sum.
 *
 * Returns the spans filled in (0: none now).  Follow by cn_stream_fill().
 */
size_t cn_stream_fill_spans(
    struct cn_stream *stream, struct cn_span *spans, size_t max);

/*
 * So many bytes were read into those spans.
 *
 * @len         <= the spans' sum; may be 0
 * @is_drained  the socket gave less than was asked: it is empty now
 */
void cn_stream_fill(
    struct cn_stream *stream, size_t len, bool is_drained, uint64_t now);

/* The local socket reached its end of file. */
void cn_stream_finish(struct cn_stream *stream, uint64_t now);

/* Link -> local socket.  Verified bytes in order; 0 when none. */
size_t cn_stream_read_spans(
    struct cn_stream *stream, struct cn_span *spans, size_t max);
/* The local socket accepted so many of them. */
void cn_stream_consume(struct cn_stream *stream, size_t len, uint64_t now);
/* The peer's FIN is verified and every byte was consumed: shut down the
 * local socket's sending side, then call cn_stream_shut(). */
bool cn_stream_at_end(const struct cn_stream *stream);
void cn_stream_shut(struct cn_stream *stream, uint64_t now);

/*
 * End a stream badly and give its handle back: no event follows.
 */
void cn_stream_reset(
    struct cn_stream *stream, enum cn_reset reason, uint64_t now);

/* Give the handle back after an event ENDED or RESET. */
void cn_stream_release(struct cn_stream *stream);

/* ---- what it did, for status and metrics ---- */

/* Bytes by fate, one direction of a stream, or summed over a link. */
struct cn_link_bytes {
	uint64_t lan;     /* plain bytes of the applications */
	uint64_t literal; /* of these: went through zstd */
	uint64_t raw;     /* of these: went as they are */
	uint64_t copied;  /* of these: went as references */
	uint64_t coded;   /* wire bytes that carried the literal ones */
	uint64_t framing; /* wire bytes of heads, frames and control */
};

/* Why bytes were not copies, or not even coded. */
enum cn_loss {
	/* They went as they are: */
	CN_LOSS_OPAQUE, /* encrypted or compressed already */
	CN_LOSS_RULE,   /* the profile says so */
	CN_LOSS_DAMAGE, /* coding is off after damaged blocks */
	CN_LOSS_MEMORY, /* there was no context for them */
	CN_LOSS_AGAIN,  /* they were lost, and went again */
	CN_LOSS_SHORT,  /* too few between copies */
	CN_LOSS_PEER,   /* received: the peer chose to, and they would code */
	/* They were no copies: */
	CN_LOSS_NEW,      /* neither side had seen them */
	CN_LOSS_GONE,     /* they had been in the store (of these, some raw) */
	CN_LOSS_UNSTORED, /* the service's rule, or the peer's, is not to */
	CN_LOSS_NO_STORE, /* we have no store */
	CN_LOSS_PEER_STORE, /* the peer has none */
	CN_LOSS_UNSAID,     /* received: the peer knows why */
	CN_LOSS_MAX
};

/* One direction: the wire bytes of batches, and of raw small data, by what
 * kept them from being less; coded small data is the rest. */
struct cn_link_losses {
	uint64_t wan[CN_LOSS_MAX];
	enum cn_kind kind; /* of the bytes, as far as they were recognised */
};

struct cn_stream_stats {
	struct cn_link_bytes sent;
	struct cn_link_bytes received;
	struct cn_link_losses sent_losses, received_losses;
	uint64_t opened_us;
	uint64_t unacked;     /* bytes retained */
	uint64_t window_sent; /* credit that the peer gave beyond acked */
	uint64_t unread;      /* bytes waiting for the local socket */
	uint64_t resent;      /* bytes sent more than once */
	uint32_t slot;        /* its carrier */
	bool is_ours;         /* opened here */
	bool is_confirmed;    /* the peer knows it */
	bool fin_sent, fin_received;
};

struct cn_link_stats {
	struct cn_link_bytes sent; /* closed streams included */
	struct cn_link_bytes received;
	uint64_t streams_opened, streams_accepted;
	uint64_t resets[CN_RESET_MAX]; /* streams that ended so */
	uint64_t nacks_sent[CN_NACK_MAX], nacks_received[CN_NACK_MAX];
	uint64_t misses_sent, misses_received;
	uint64_t lacks_sent, lacks_received; /* places that one side lacks */
	uint64_t bad_refs; /* references that the peer may not make */
	uint64_t resumes;  /* carriers attached after the first of a slot */
	uint64_t blocks_sent, blocks_received;
	uint64_t resent;    /* bytes sent more than once */
	bool is_coding_off; /* three bad hashes in ten minutes */
	uint64_t rtt_us;    /* by ping, last; 0: unknown */
};

void cn_stream_stats(
    const struct cn_stream *stream, struct cn_stream_stats *ret);
void cn_link_stats(const struct cn_link *link, struct cn_link_stats *ret);

/* Walk the live streams in no order; NULL starts; NULL: no more. */
struct cn_stream *cn_link_next_stream(
    struct cn_link *link, struct cn_stream *after);

#endif /* CN_LINK_LINK_H */
