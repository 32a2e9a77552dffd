/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_DIALER_H
#define CN_NET_DIALER_H

/*
 * Connect to a host by name or address, or to a Unix socket.
 *
 * Names are resolved in libuv's pool.  Addresses are tried in the
 * resolver's order with the families interleaved (RFC 8305): the next one
 * starts CN_DIALER_STAGGER_MS after the one before, or as soon as that one
 * failed; the first that connects wins and the others are closed.
 *
 *   resolving -> connecting (1..n attempts) -> done
 *
 * Life:       from cn_dialer_start() until its callback has run, or until
 *             cn_dialer_cancel(); the dial frees itself afterwards.
 * Thread:     its loop's.
 * Invariants: the callback runs exactly once, never inside a call of ours;
 *             after cancel it never runs; every descriptor of an attempt is
 *             closed or handed over.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/attr.h"
#include "net/addr.h"
#include "wire/frame.h"

/* Wait before the next address is tried as well. */
#define CN_DIALER_STAGGER_MS 250u
/* Addresses of one name that are tried; more are left out. */
#define CN_DIALER_ADDRS_MAX 16u
/* Wait before a Unix socket with a full queue is tried again. */
#define CN_DIALER_UNIX_RETRY_MS 10u

struct cn_dialer; /* opaque */

struct cn_dialer_options {
	uint64_t timeout_us; /* for all of it, the resolver included; 0: 10 s */
	bool is_reserved;    /* descriptors from the reserve, not the budget:
			      * for carriers */
};

struct cn_dialer_result {
	int fd;                  /* connected, armed, non-blocking; or -1 */
	enum cn_reset reason;    /* CN_RESET_NONE when connected */
	int err;                 /* CN_OK, or what went wrong, negative */
	const char *text;        /* what went wrong, in words; borrowed */
	struct cn_sockaddr peer; /* when connected */
	uint32_t attempts;       /* connects that were begun */
};

/*
 * Begin to connect.
 *
 * @addr     copied
 * @options  may be NULL: defaults
 * @on_done  owns result->fd: give it back by cn_sockopt_close() (or close()
 *           where options.is_reserved); the handle is dead when it runs
 * @ret      for cn_dialer_cancel(); must not be used once on_done ran
 *
 * Returns CN_OK, CN_ENOMEM or a negated errno from the loop; what can go
 * wrong with the address itself comes through on_done.
 */
int cn_dialer_start(uv_loop_t *loop, const struct cn_addr *addr,
    const struct cn_dialer_options *options,
    void (*on_done)(void *owner, const struct cn_dialer_result *result),
    void *owner, struct cn_dialer **ret) CN_MUSTCHECK;

/* Give up *dp and clear it; NULL is fine.  Silence follows. */
void cn_dialer_cancel(struct cn_dialer **dp);

/* The reason to tell a peer for an errno (positive) of connect(). */
enum cn_reset cn_dialer_reason(int errnum);

#endif /* CN_NET_DIALER_H */
