/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONTROL_WHY_H
#define CN_CONTROL_WHY_H

/*
 * Why bytes did not become less: from what the gateway counted to sentences,
 * each with its share and what would mend it.  One table has all words.
 *
 * Life:       structs are the caller's.
 * Thread:     any; pure.
 * Document:   doc/management.md, "Why not less".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "control/snapshot.h"

enum cn_why_reason {
	CN_WHY_NONE,
	CN_WHY_TLS,
	CN_WHY_SSH,
	CN_WHY_COMPRESSED, /* of a format that is named */
	CN_WHY_MEDIA,      /* likewise */
	CN_WHY_ENCRYPTED,  /* likewise */
	CN_WHY_RANDOM,
	CN_WHY_RULE,       /* the profile does not code */
	CN_WHY_DAMAGE,     /* coding is off after damaged blocks */
	CN_WHY_MEMORY,     /* no context for it */
	CN_WHY_AGAIN,      /* lost, and sent again */
	CN_WHY_SHORT,      /* scraps between copies */
	CN_WHY_PEER_RAW,   /* received raw, though it would code */
	CN_WHY_COLD,       /* never seen before */
	CN_WHY_EVICTED,    /* seen, and gone since */
	CN_WHY_SCOPE,      /* nothing is shared with the others there are */
	CN_WHY_DEDUP_OFF,  /* the profile does not store */
	CN_WHY_STORE_OFF,  /* there is no store here */
	CN_WHY_PEER_STORE, /* nor at the peer */
	CN_WHY_PEER_RULE,  /* who opened it keeps nothing */
	CN_WHY_PEER_SAID,  /* received: the peer counted why */
	CN_WHY_SMALL,      /* heads of small messages */
	CN_WHY_UNIX_EOF,   /* no loss of bytes: a warning */
	CN_WHY_MAX
};

/* Reasons times directions, and formats: more kinds of cost are left out. */
#define CN_WHY_COSTS_MAX 96u

/* Bytes on the wire in one direction that a reason stands for. */
struct cn_why_cost {
	enum cn_why_reason reason;
	const char *format; /* static: "gzip"; or "" */
	const char *title;  /* static: "gzip data"; or "" */
	bool is_sent;
	uint64_t wan;
};

/* What the gateway knows of a stream or service. */
struct cn_why_facts {
	struct cn_snap_bytes sent, received;
	struct cn_why_cost cost[CN_WHY_COSTS_MAX];
	size_t costs;
	/* Around it, for the evidence; zero or "" where it is not known. */
	const char *profile;
	uint32_t coalesce_us;
	const char *scope;
	const char *peer;
	bool has_other_clients; /* of the same service, lately */
	uint64_t opened;        /* connections of the service so far */
	uint64_t store_memory, store_disk; /* caps */
	uint64_t store_evicted;            /* segments */
	uint64_t store_oldest_us;
	bool has_unix_eof; /* a Unix socket ends without a reset */
};

/* Add a cost; nothing when wan is 0. */
void cn_why_add(struct cn_why_facts *facts, bool is_sent,
    enum cn_why_reason reason, const char *format, const char *title,
    uint64_t wan);

/*
 * What was lost to what, the greatest first; what is below a hundredth of
 * the wire's bytes is left out.  Fates and findings of *ret are set, all else
 * stays.
 *
 * Returns CN_OK or CN_ENOMEM.
 */
int cn_why_find(
    const struct cn_why_facts *facts, struct cn_snap_why *ret) CN_MUSTCHECK;

/*
 * One word for a column: "ok", "-" where nothing moved, else the greatest
 * reason's: "tls", "gzip", "cold", "small".
 */
const char *cn_why_word(const struct cn_why_facts *facts);

/* The name of a reason: "tls". */
const char *cn_why_name(enum cn_why_reason reason);

#endif /* CN_CONTROL_WHY_H */
