/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_FRAME_H
#define CN_WIRE_FRAME_H

/*
 * Frames: the units of multiplexing inside a lane block.
 *
 * Pure encoders and decoders: no I/O, no clock, no heap.
 *
 * A frame is a type byte and its fields, varints in their shortest form
 * unless said otherwise.  A type with CN_FRAME_MAY_IGNORE set is followed by
 * a varint length and so many bytes; who does not know it skips it.  Any
 * other unknown type breaks the protocol.
 *
 * Invariants: what decodes encodes again to the same bytes;
 *             every offset + length <= CN_OFFSET_MAX.
 * Wire:       doc/protocol.md, "Frames".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "wire/limits.h"

#define CN_FRAME_MAY_IGNORE 0x80u

enum cn_frame_type {
	CN_FRAME_OPEN = 0x01,      /* a new stream */
	CN_FRAME_DATA = 0x02,      /* bytes of a stream */
	CN_FRAME_FIN = 0x03,       /* total length and digest of a direction */
	CN_FRAME_RESET = 0x04,     /* the stream ended badly */
	CN_FRAME_END = 0x05,       /* the stream ended well, both ways */
	CN_FRAME_DONE = 0x06,      /* RESET or END was understood */
	CN_FRAME_CREDIT = 0x07,    /* may send up to this offset */
	CN_FRAME_ACK = 0x08,       /* written to the far socket up to here */
	CN_FRAME_ACK_FIN = 0x09,   /* all written, FIN verified */
	CN_FRAME_BLOCK_ACK = 0x0a, /* blocks decoded and verified */
	CN_FRAME_NACK = 0x0b,      /* a block could not be used */
	CN_FRAME_MISS = 0x0c,      /* a batch needs what is not here */
	CN_FRAME_PING = 0x0d,
	CN_FRAME_PONG = 0x0e,
	CN_FRAME_LANE_CLOSE = 0x0f, /* the sender ended a lane */
	CN_FRAME_RESUME = 0x10,     /* where a stream stands on a new carrier */
	CN_FRAME_RESUME_END = 0x11, /* all streams of the carrier were told */
	CN_FRAME_DRAIN = 0x12,      /* no new streams on this link */
	CN_FRAME_CLOSE = 0x13,      /* the carrier ends: code and text */
	/* With CN_FEATURE_DEDUP in force only: */
	CN_FRAME_HAVE = 0x14,    /* hash of what the sender has of a log */
	CN_FRAME_WANT = 0x15,    /* tell more of that: it is not the same */
	CN_FRAME_EXTENTS = 0x16, /* hashes of a segment's extents */
	CN_FRAME_LACK = 0x17,    /* the sender does not have this of a log */
};

/* Why a stream was reset; on the wire and in logs and counters. */
enum cn_reset {
	CN_RESET_NONE = 0,
	CN_RESET_BY_APPLICATION = 1, /* the local socket was reset */
	CN_RESET_REFUSED = 2,        /* the target refused the connection */
	CN_RESET_UNREACHABLE = 3,    /* no route, host down, no address */
	CN_RESET_TIMEOUT = 4,        /* the target did not answer in time */
	CN_RESET_NO_SERVICE = 5,     /* no such offer for this peer */
	CN_RESET_BUSY = 6,           /* a limit: streams, memory, descriptors */
	CN_RESET_LINK_LOST = 7, /* the resume window ended, peer restarted */
	CN_RESET_DIGEST = 8,    /* length or digest did not match */
	CN_RESET_PROTOCOL = 9,  /* the peer broke the protocol here */
	CN_RESET_ADMIN = 10,    /* killed by hand, service removed */
	CN_RESET_SHUTDOWN = 11, /* the gateway goes down */
	CN_RESET_INTERNAL = 12, /* an invariant failed */
	CN_RESET_MAX
};

enum cn_nack_reason {
	CN_NACK_HASH = 1,       /* hash of the plain bytes did not match */
	CN_NACK_CODING = 2,     /* zstd refused, or length did not match */
	CN_NACK_GENERATION = 3, /* unknown lane generation or sequence gap */
	CN_NACK_NO_STREAM = 4,  /* data of a stream whose OPEN is missing */
	CN_NACK_MEMORY = 5,     /* no memory to take it now */
	CN_NACK_GAPS = 6,       /* too many gaps in a stream */
	CN_NACK_MAX
};

/* Flags of OPEN; others are zero and ignored. */
#define CN_OPEN_INTERACTIVE 0x01u /* small messages are expected */
#define CN_OPEN_NO_STORE 0x02u    /* nothing of this stream is stored */
/* Only what its batches store matters: the receiver reaches no target and
 * throws the bytes away.  Only where CN_FEATURE_DEDUP is in force, and never
 * with NO_STORE. */
#define CN_OPEN_WARM 0x04u

/* Options of OPEN are {varint type, varint length, bytes}, types ascending. */
enum cn_open_option {
	CN_OPEN_CLIENT = 1, /* clean text, <= CN_TEXT_MAX: client's address */
};

struct cn_frame_open {
	uint64_t stream;     /* id: opener's parity, never reused in a link */
	uint64_t credit;     /* the peer may send up to this offset at once */
	uint64_t scope;      /* key of the scope; fixed 8 bytes, big endian */
	uint64_t flags;      /* CN_OPEN_INTERACTIVE and so on */
	const char *service; /* borrowed from the input; not terminated */
	size_t service_len;  /* 1..CN_NAME_MAX */
	const uint8_t *options; /* borrowed; checked TLVs */
	size_t options_len;
};

struct cn_frame_data {
	uint64_t stream;
	uint64_t offset;
	const uint8_t *data; /* borrowed from the input */
	size_t len;          /* 1..CN_DATA_MAX */
};

#define CN_DIGEST_BYTES 16u

struct cn_frame_fin {
	uint64_t stream;
	uint64_t length; /* of the whole direction, bytes */
	uint8_t digest[CN_DIGEST_BYTES];
};

struct cn_frame_block_ack {
	uint64_t next;   /* every block below it is settled */
	uint64_t ranges; /* how many follow, <= CN_BLOCK_ACK_RANGES_MAX */
	struct {
		uint64_t skip; /* blocks not settled, >= 1 */
		uint64_t run;  /* blocks settled after them, >= 1 */
	} range[CN_BLOCK_ACK_RANGES_MAX];
};

/* State flags of RESUME, and the flags' known mask. */
#define CN_RESUME_FIN_KNOWN 0x01u /* the receiver holds the FIN */
#define CN_RESUME_ASK 0x02u       /* answer with your RESUME of this stream */
#define CN_RESUME_FLAGS 0x03u

struct cn_frame_resume {
	uint64_t stream;
	uint64_t received; /* contiguous bytes held or written */
	uint64_t written;  /* bytes accepted by the local socket */
	uint64_t credit;   /* absolute, >= received */
	uint64_t flags;
};

/* Flags of frames about a log, and the flags' known mask. */
#define CN_LOG_OF_RECEIVER 0x01u /* the frame's receiver writes that log */
#define CN_LOG_FLAGS 0x01u

/*
 * An aligned range of 16^level segments of a log; doc/protocol.md,
 * "Agreement".
 */
struct cn_frame_node {
	uint64_t flags; /* CN_LOG_OF_RECEIVER */
	uint64_t epoch; /* fixed 8 bytes */
	uint32_t level; /* <= CN_LOG_LEVEL_MAX */
	uint64_t index; /* in the level; < CN_LOG_SEGMENTS_MAX >> 4 * level */
	uint64_t hash;  /* fixed 8 bytes; of HAVE only */
};

struct cn_frame_extents {
	uint64_t flags;
	uint64_t epoch;
	uint64_t sequence;             /* < CN_LOG_SEGMENTS_MAX */
	uint32_t hash[CN_LOG_EXTENTS]; /* fixed 4 bytes each; 0: unused */
};

/* One decoded frame.  Which member is valid follows from type. */
struct cn_frame {
	enum cn_frame_type type;
	union {
		struct cn_frame_open open;
		struct cn_frame_data data;
		struct cn_frame_fin fin;
		struct {
			uint64_t stream;
			uint64_t reason; /* enum cn_reset, or unknown: kept */
		} reset;
		struct {
			uint64_t stream;
		} end, done;
		struct {
			uint64_t stream;
			uint64_t offset;
		} credit, ack, ack_fin;
		struct cn_frame_block_ack block_ack;
		struct {
			uint64_t block;
			uint64_t reason;
		} nack;
		struct {
			uint64_t stream;
			uint64_t offset;
			uint64_t len; /* 1..CN_BATCH_PLAIN_MAX */
		} miss;
		struct {
			uint64_t token; /* fixed 8 bytes */
		} ping, pong;
		struct {
			uint64_t lane;
			uint64_t generation;
		} lane_close;
		struct cn_frame_resume resume;
		struct {
			uint64_t code;    /* enum cn_close, wire/hello.h */
			const char *text; /* borrowed, UTF-8, not terminated */
			size_t text_len;  /* <= CN_TEXT_MAX */
		} close;
		struct cn_frame_node have, want;
		struct cn_frame_extents extents;
		struct {
			uint64_t flags;
			uint64_t epoch;
			uint64_t pos; /* < CN_LOG_END */
			uint64_t len; /* >= 1; pos + len <= CN_LOG_END */
		} lack;
	} u;
};

struct cn_cursor;
struct cn_writer;

/*
 * Decode the next frame; skips unknown ones that may be ignored.
 *
 * @in   sticky cursor over the frames of one block
 * @ret  valid on success only (else it may hold parts of a frame); its
 *       pointers borrow from the input
 *
 * Returns CN_OK; CN_EEND when the input is used up exactly; CN_EPROTO when
 * it is not a legal sequence of frames (the cursor then stays failed).
 */
int cn_frame_decode(struct cn_cursor *in, struct cn_frame *ret) CN_MUSTCHECK;

/*
 * Append one frame.  A writer that is full turns sticky-failed; nothing is
 * written in part that a reader of cn_writer_len() would see.
 * The caller keeps to the limits; asserts check them.
 */
void cn_frame_encode(struct cn_writer *out, const struct cn_frame *frame);

/* Bytes that cn_frame_encode() will append. */
size_t cn_frame_size(const struct cn_frame *frame);

/*
 * Bytes of a DATA frame's head before its data, for planning: at most
 * CN_FRAME_DATA_HEAD_MAX.
 */
#define CN_FRAME_DATA_HEAD_MAX 19u
size_t cn_frame_data_head(uint64_t stream, uint64_t offset, size_t len);

/*
 * Append the head of a DATA frame and leave len bytes, 1..CN_DATA_MAX, for
 * the caller to fill in before anything else is written.
 *
 * Returns where they go; NULL when the frame does not fit (the writer is
 * failed then and nothing was appended).
 */
uint8_t *cn_frame_data_reserve(
    struct cn_writer *out, uint64_t stream, uint64_t offset, size_t len);

/* Short lower-case name for logs and counters: "open"; "?" if unknown. */
const char *cn_frame_name(enum cn_frame_type type);
/* "refused", "by-application" …; "unknown" past the end. */
const char *cn_reset_name(uint64_t reason);
const char *cn_nack_name(uint64_t reason);

#endif /* CN_WIRE_FRAME_H */
