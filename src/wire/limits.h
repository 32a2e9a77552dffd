/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_WIRE_LIMITS_H
#define CN_WIRE_LIMITS_H

/*
 * Every limit of protocol compressnet/1 (doc/protocol.md, "Limits").
 *
 * Lengths are bytes.  A peer that exceeds one has broken the protocol.
 */

#include <stdint.h>

#define CN_WIRE_VERSION 1u
#define CN_WIRE_ALPN "compressnet/1"

/* Greatest value of a varint (RFC 9000, section 16). */
#define CN_VARINT_MAX ((UINT64_C(1) << 62) - 1)
/* Greatest offset in a direction of a stream. */
#define CN_OFFSET_MAX (CN_VARINT_MAX)

/* Plain bytes of a batch. */
#define CN_BATCH_PLAIN_MAX (256u * 1024u)
/* Prefix that a batch may name: the stream's bytes just before it. */
#define CN_BATCH_PREFIX_MAX (2048u * 1024u)
/* Coded bytes of a batch: a raw one costs its plain bytes, never more. */
#define CN_BATCH_CODED_MAX (CN_BATCH_PLAIN_MAX)
/* A whole fragment with its head: fits one full TLS record. */
#define CN_FRAGMENT_MAX 16384u
/* Plain bytes of a lane block: its raw and its coded frames together. */
#define CN_LANE_PLAIN_MAX 15360u
/* Data of one DATA frame. */
#define CN_DATA_MAX 15000u

/* Lanes that one carrier direction may have at a time, and zstd's window. */
#define CN_LANES_MAX 1024u
#define CN_LANE_WINDOW_LOG_MIN 10u
#define CN_LANE_WINDOW_LOG_MAX 20u

/*
 * Logs: positions end at 2^60; segments of 1 MiB are numbered below 2^40, have
 * 32 extents, and are agreed on by nodes of 16^level segments.
 */
#define CN_LOG_END (UINT64_C(1) << 60)
#define CN_LOG_SEGMENT_SHIFT 20u
#define CN_LOG_SEGMENT_BYTES (1u << CN_LOG_SEGMENT_SHIFT)
#define CN_LOG_SEGMENTS_MAX (CN_LOG_END >> CN_LOG_SEGMENT_SHIFT)
#define CN_LOG_EXTENTS 32u
#define CN_LOG_LEVEL_MAX 10u

/* Gap ranges in one BLOCK_ACK. */
#define CN_BLOCK_ACK_RANGES_MAX 32u
/* Text of a CLOSE frame; a service's or gateway's name; options of OPEN. */
#define CN_TEXT_MAX 200u
#define CN_NAME_MAX 63u
#define CN_OPEN_OPTIONS_MAX 512u
/* A whole hello message. */
#define CN_HELLO_MAX 1024u
/* Body of an unknown frame that may be ignored. */
#define CN_IGNORE_MAX 4096u

/* Credit that every stream has from the start, each way. */
#define CN_CREDIT_FLOOR_MIN 4096u
#define CN_CREDIT_FLOOR_MAX (1024u * 1024u)

/* Carrier slots of a link; workers that a gateway may announce. */
#define CN_SLOTS_MAX 16u
#define CN_WORKERS_MAX 1024u

#endif /* CN_WIRE_LIMITS_H */
