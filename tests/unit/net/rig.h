/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_RIG_H
#define CN_TESTS_RIG_H

/*
 * Two pumps on one loop with a link between them, and the two applications
 * at their outer ends: what they send, and what they see of each other.
 *
 *   application 0 -- pump 0 == stream, link, stream == pump 1 -- application 1
 *
 * The link is the test's.  Asserts where the world is not as it should be.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/rand.h"
#include "net/pump.h"

/* What waits for something waits no longer than that. */
#define RIG_PATIENCE_US 8000000u

struct rig {
	uv_loop_t loop;
	uv_timer_t timer;
	struct rig_side {
		struct rig *fx;
		struct cn_pump *pump; /* NULL once closed */
		int app;              /* the application's socket */
		uint32_t closed;      /* calls of on_closed */
		struct cn_pump_end end;
	} side[2];
	uint32_t touched;
	bool is_due;
	/* Of the link between: the next event, and its own work (or NULL). */
	bool (*next_event)(struct rig *fx, struct cn_link_event *ret);
	bool (*work)(struct rig *fx); /* true: it did some */
	void *link;                   /* of the test */
};

/* One application's bytes on their way to the other. */
struct rig_flow {
	struct cn_prng out, in;
	int from, to;
	uint64_t left, due; /* to be sent, to be received */
	uint8_t pending[8192];
	size_t pending_len, pending_off;
};

extern const struct cn_pump_ops rig_ops;

/* cmocka's; the caller sets next_event, work and link. */
int rig_set_up(void **state);
int rig_tear_down(void **state);

/* Two ends of a TCP connection over loopback; the first is the gateway's. */
void rig_tcp_pair(int fds[2], int rcvbuf);
void rig_set_nonblocking(int fd);
/* Put a pump on fds[0] and the stream; fds[1] is the application's. */
void rig_attach(
    struct rig *fx, int i, const int fds[2], struct cn_stream *stream);

/* The owner's turn: events and the link's work until there is no more. */
void rig_dispatch(struct rig *fx);
/* That, and one look of the loop at the sockets. */
void rig_turn(struct rig *fx);
/* Run for a while; returns how often the loop woke up. */
uint32_t rig_run_ms(struct rig *fx, uint64_t ms);
void rig_run_until_closed(struct rig *fx);
void rig_assert_both_clean(struct rig *fx);

/* What the application sees: bytes, 0 for the end, or the errno negated. */
long app_read(struct rig *fx, int i, void *buf, size_t cap);
void app_send(struct rig *fx, int i, const char *text);
void app_gets(struct rig *fx, int i, const char *text);
void app_gets_end(struct rig *fx, int i);
/* A reset, after whatever bytes; never an end. */
void app_gets_reset(struct rig *fx, int i);
/* After an end of file a reset shows no more in reading, only in writing. */
void app_is_cut(struct rig *fx, int i);
void app_reset(struct rig *fx, int i);
void app_shut(struct rig *fx, int i);

void flow_init(struct rig_flow *flow, int from, uint64_t len);
/* One attempt each. */
void flow_send(struct rig *fx, struct rig_flow *flow);
void flow_receive(struct rig *fx, struct rig_flow *flow, size_t cap);
/* So many bytes both ways, checked byte by byte. */
void rig_carry(struct rig *fx, uint64_t len, size_t read_cap);

#endif /* CN_TESTS_RIG_H */
