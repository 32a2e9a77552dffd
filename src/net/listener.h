/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_LISTENER_H
#define CN_NET_LISTENER_H

/*
 * A listening socket, opened once, and the watches by which workers' loops
 * accept from it.
 *
 * Connections are taken by readiness and accept4(), never through libuv's
 * own listener: that one answers a lack of descriptors by closing clients
 * cleanly, which would be a lie.  When descriptors or memory run out, a
 * watch stops polling, waits CN_LISTENER_PAUSE_MS and looks again; the
 * clients wait in the kernel's queue.
 *
 *               cn_listener_open/adopt
 *                        |
 *        watch (loop 1)  watch (loop 2) ...      each: polling <-> paused
 *                        |
 *               cn_listener_close, when the last watch is gone: fd closed
 *
 * Life:       a listener lives until it was closed by its opener and all
 *             its watches are gone.
 * Thread:     open and close: any.  A watch: its loop's thread.
 * Invariants: every accepted socket is non-blocking, closed on exec and
 *             armed (net/sockopt.h).
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/attr.h"
#include "net/addr.h"

/* Connections accepted in one wake-up of a watch: others get their turn. */
#define CN_LISTENER_ACCEPTS_MAX 16u
/* How long a watch rests when descriptors or memory are used up. */
#define CN_LISTENER_PAUSE_MS 50u

struct cn_listener;       /* opaque */
struct cn_listener_watch; /* opaque */

struct cn_listener_options {
	int backlog;         /* 0: SOMAXCONN */
	mode_t unix_mode;    /* of a Unix socket's file; 0: 0660 */
	bool is_reserved;    /* accepts from the reserve, not the budget:
			      * for carriers */
	bool is_transparent; /* IP_TRANSPARENT; needs CAP_NET_ADMIN */
};

/* A new connection, for the callback alone. */
struct cn_listener_accepted {
	int fd; /* given away: the callback owns it */
	struct cn_sockaddr peer;
	const char *text; /* of the peer, with port */
};

struct cn_listener_stats {
	uint64_t accepted;
	uint64_t pauses; /* times that a watch stopped for want of fds */
	uint64_t errors; /* connections that died before we had them */
	uint32_t paused; /* watches that rest now */
};

/*
 * Open a socket, bind and listen.
 *
 * A name is not resolved, "localhost" apart (127.0.0.1).  "*" takes both
 * families on one socket, IPv4 alone where the host has no IPv6; "[::]"
 * takes IPv6 alone.  A Unix socket whose file nobody listens behind any
 * more is replaced; any other file in the way is an error.
 *
 * @options  may be NULL: defaults
 *
 * Returns CN_OK or what the kernel said, negated (-EADDRINUSE, -EACCES ...);
 * CN_EINVAL for a name; CN_EEXIST when a file that is no socket is in the
 * way; CN_ENOMEM.
 */
int cn_listener_open(const struct cn_addr *addr,
    const struct cn_listener_options *options,
    struct cn_listener **ret) CN_MUSTCHECK;

/*
 * Take over a socket that already listens (socket activation, upgrade).
 *
 * @fd  owned by the listener on success only
 *
 * Returns CN_OK, CN_EINVAL when it is no listening stream socket, CN_ENOMEM.
 */
int cn_listener_adopt(int fd, const struct cn_listener_options *options,
    struct cn_listener **ret) CN_MUSTCHECK;

/*
 * Let go of *lp and clear it; NULL is fine.  The descriptor is closed when
 * the last watch is gone.
 *
 * @keep_file  leave the file of a Unix socket: another process goes on
 *             listening behind it
 */
void cn_listener_close(struct cn_listener **lp, bool keep_file);

/*
 * Stop listening at once, though watches keep the descriptor: from now on
 * clients are refused, those who wait to be accepted are reset.  Leaves an
 * adopted socket alone, which others may listen on.
 */
void cn_listener_shut(struct cn_listener *listener);

int cn_listener_fd(const struct cn_listener *listener);
/* The address that it is bound to, the port that the kernel chose included. */
void cn_listener_local(
    const struct cn_listener *listener, struct cn_sockaddr *ret);
void cn_listener_stats(
    const struct cn_listener *listener, struct cn_listener_stats *ret);

/*
 * Accept on a loop.
 *
 * @on_accept  called from the loop alone, never inside a call of ours; it
 *             owns accepted->fd: give it back by cn_sockopt_close() (or
 *             close() where options.is_reserved); unwatch is legal in it
 * @ret        owned by the caller until cn_listener_unwatch()
 *
 * Returns CN_OK, CN_ENOMEM or a negated errno from the loop.
 */
int cn_listener_watch(struct cn_listener *listener, uv_loop_t *loop,
    void (*on_accept)(void *owner, const struct cn_listener_accepted *accepted),
    void *owner, struct cn_listener_watch **ret) CN_MUSTCHECK;

/* Stop accepting for a while (memory is short), and go on. */
void cn_listener_watch_stop(struct cn_listener_watch *watch);
void cn_listener_watch_start(struct cn_listener_watch *watch);

/* End *wp and clear it; NULL is fine.  Its callback never runs again.  The
 * loop must run once more to reap it. */
void cn_listener_unwatch(struct cn_listener_watch **wp);

#endif /* CN_NET_LISTENER_H */
