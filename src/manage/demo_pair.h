/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_DEMO_PAIR_H
#define CN_MANAGE_DEMO_PAIR_H

/*
 * The two gateways of the demonstration: a folder of their own with keys,
 * configurations, sockets and logs, and two real processes.
 *
 * Life:       cn_demo_pair_make() the folder; _start(); _stop() ends the
 *             processes; _remove() takes the folder away.  The last two are
 *             fine at any time and twice.
 * Thread:     main; the processes die with it (PR_SET_PDEATHSIG).
 * Invariants: nothing is written outside the folder.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"

/* The near gateway, where applications connect, and the far one. */
enum cn_demo_side { CN_DEMO_NEAR, CN_DEMO_FAR, CN_DEMO_SIDES };

struct cn_demo_pair {
	char folder[64];               /* "": none */
	char program[512];             /* compressnetd */
	pid_t pid[CN_DEMO_SIDES];      /* 0: does not run */
	int status[CN_DEMO_SIDES];     /* of waitpid(), once it ended */
	bool has_ended[CN_DEMO_SIDES]; /* by itself */
};

/* Ports on 127.0.0.1. */
struct cn_demo_ports {
	uint16_t service; /* where applications connect to the near gateway */
	uint16_t carrier; /* where the far gateway waits for carriers */
	uint16_t wan;     /* where the near one dials: the emulated WAN */
	uint16_t target;  /* what the far one offers */
};

/* Find the program and make the folder with two keys; words on stderr. */
int cn_demo_pair_make(struct cn_demo_pair *pair) CN_MUSTCHECK;

/* Write the configurations and start both.  CN_OK or a negative error. */
int cn_demo_pair_start(
    struct cn_demo_pair *pair, const struct cn_demo_ports *ports) CN_MUSTCHECK;

/*
 * Ask the near gateway whether its peer is up; blocks for 200 ms at most.
 *
 * Returns CN_OK; CN_EAGAIN: not yet; CN_ECLOSED: one of them has ended.
 */
int cn_demo_pair_is_up(struct cn_demo_pair *pair) CN_MUSTCHECK;

/* Has one of them ended by itself? */
bool cn_demo_pair_has_ended(struct cn_demo_pair *pair);

/* End both: a signal, two seconds, then by force. */
void cn_demo_pair_stop(struct cn_demo_pair *pair);

/* The last lines of both logs, on stderr. */
void cn_demo_pair_print_logs(const struct cn_demo_pair *pair);

/* Remove the folder and what is in it. */
void cn_demo_pair_remove(struct cn_demo_pair *pair);

/* A TCP port of 127.0.0.1 that nobody listens on now; 0: none. */
uint16_t cn_demo_free_port(void);

#endif /* CN_MANAGE_DEMO_PAIR_H */
