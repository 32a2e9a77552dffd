/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_CARRIER_PRIVATE_H
#define CN_NET_CARRIER_PRIVATE_H

/*
 * The inside of a carrier, shared by carrier.c (life and loop),
 * carrier_handshake.c (all before the data), carrier_data.c (what moves once
 * it is live) and carrier_path.c (what the kernel is told and asked about
 * the connection).  Nobody else's business.
 */

#include "base/clock.h"
#include "net/carrier.h"
#include "net/inflight.h"
#include "wire/limits.h"

/* Wanted from the socket in one wake-up; others get their turn. */
#define CN_CARRIER_WAKE_MAX (1024u * 1024u)
/* Kernel bytes taken at once by TLS when live. */
#define CN_CARRIER_READ_AHEAD (64u * 1024u)
/* What may wait in the kernel before the rate is known. */
#define CN_CARRIER_UNSENT_START (32u * 1024u)
/* Between two looks at the path. */
#define CN_CARRIER_PATH_US 50000u

enum cn_carrier_state {
	CN_CARRIER_SNIFF,  /* waits for the first bytes */
	CN_CARRIER_TLS,    /* handshake */
	CN_CARRIER_HELLO,  /* waits for the peer's hello */
	CN_CARRIER_ANSWER, /* waits for the owner's decision */
	CN_CARRIER_LIVE,
	CN_CARRIER_ENDED,  /* on_end was called; inert */
	CN_CARRIER_LINGER, /* closed by the owner; says its last word */
	CN_CARRIER_CLOSED, /* closed; waits for the loop */
};

struct cn_carrier {
	struct cn_carrier_shared *shared; /* borrowed */
	const struct cn_carrier_ops *ops; /* borrowed */
	void *owner;                      /* borrowed */
	enum cn_carrier_state state;
	bool is_dialler;
	bool is_full;      /* waits for the socket to take bytes */
	bool is_held;      /* waits for bytes under way to arrive */
	bool is_deaf;      /* the owner wants no more bytes */
	bool has_deadline; /* the timer is the handshake's */
	int fd;            /* owned */
	SSL *ssl;          /* owned; NULL while sniffing */
	struct cn_tlsctx_peer peer;
	struct cn_hello hello; /* dialled: ours; accepted: theirs */
	union {
		struct sockaddr any;
		struct sockaddr_storage room;
	} address;
	uv_poll_t poll;
	int polled; /* events that the poll is set to */
	uv_timer_t timer;
	unsigned handles; /* open in the loop; the last close frees */

	/* Received and not taken yet, less than a fragment once live. */
	uint8_t *rest; /* owned; CN_FRAGMENT_MAX bytes, or NULL */
	size_t rest_len;
	/* Pulled and not written yet: one record. */
	uint8_t *out; /* owned; CN_FRAGMENT_MAX bytes, or NULL */
	size_t out_len;

	/* Of LINGER: still to be written; its length is 0 when it was. */
	uint8_t *farewell; /* owned */
	size_t farewell_len;

	size_t unpolled; /* written since the kernel last had room */
	size_t unsent_max;
	size_t unasked; /* written since the kernel was last seen empty */
	struct cn_inflight inflight;
	size_t under_way; /* while it is limited: bytes, last counted */
	uint64_t path_us; /* when the path was last looked at */
	uint64_t rate_bps, rtt_us;
	bool is_congestion_set;

	uint64_t keyed_us;    /* when our sending key was last changed */
	uint64_t keyed_bytes; /* what had been sent then */
	uint64_t rekeys;
	uint64_t flood_us; /* start of the minute in which KeyUpdates count */
	uint64_t born_us, heard_us, busy_us;

	const char *detail; /* static */
	enum cn_gate_end gate_end;
};

/* ---- carrier.c ---- */

/* It is over: tell the owner, once. */
void cn_carrier_end(struct cn_carrier *carrier, int why);
/* Set the poll to these events, if it is not yet. */
void cn_carrier_poll(struct cn_carrier *carrier, int events);
/* Write what waits in out.  CN_OK: all went; CN_EAGAIN: is_full now. */
int cn_carrier_write_out(struct cn_carrier *carrier) CN_MUSTCHECK;

/* ---- carrier_handshake.c ---- */

/* Which error a failed SSL call stands for; CN_EAGAIN when it only has to
 * wait.  Clears OpenSSL's queue. */
int cn_carrier_ssl_error(struct cn_carrier *carrier, int n);
/* End before the carrier was live; the second finds the gate's word. */
void cn_carrier_fail(struct cn_carrier *carrier, int why, enum cn_gate_end end);
void cn_carrier_fail_tls(struct cn_carrier *carrier, int why);
/* Steps of the states before ANSWER. */
void cn_carrier_sniff(struct cn_carrier *carrier);
int cn_carrier_start_tls(struct cn_carrier *carrier) CN_MUSTCHECK;
void cn_carrier_handshake(struct cn_carrier *carrier);
void cn_carrier_read_hello(struct cn_carrier *carrier);
/* Complete what is ours to know in a hello, and send it. */
int cn_carrier_say(
    struct cn_carrier *carrier, const struct cn_hello *hello) CN_MUSTCHECK;

/* ---- carrier_data.c ---- */

/* The hellos are exchanged: begin with data. */
void cn_carrier_start_data(struct cn_carrier *carrier);
void cn_carrier_read(struct cn_carrier *carrier);

/* ---- carrier_path.c ---- */

/* Options of a new socket. */
void cn_carrier_tune(struct cn_carrier *carrier);
/* May more be written?  False: is_held, and the timer looks again. */
bool cn_carrier_may_write(struct cn_carrier *carrier);
/* Look at the path, if it is time; tells the owner. */
void cn_carrier_look(struct cn_carrier *carrier, uint64_t now);

#endif /* CN_NET_CARRIER_PRIVATE_H */
