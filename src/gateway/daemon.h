/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_DAEMON_H
#define CN_GATEWAY_DAEMON_H

/*
 * The process: starts the workers, owns the running plan, obeys signals and
 * the control socket.
 *
 *   start -> RUNNING --SIGTERM--> DRAINING --no streams, time, SIGTERM-->
 *            STOPPING -> end
 *
 * SIGHUP reads the configuration again: it is taken over whole, or refused
 * whole with its diagnostics in the log.
 *
 * Life:   one, on main()'s stack.
 * Thread: the main thread's, which has a loop of its own and carries no
 *         data.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/attr.h"
#include "base/buf.h"
#include "config/config.h"
#include "config/paths.h"
#include "control/access.h"
#include "gateway/lookout.h"
#include "gateway/mailbox.h"
#include "gateway/plan.h"
#include "gateway/worker.h"
#include "ident/key.h"

struct cn_ctl;
struct cn_depot;
struct cn_enlist;
struct cn_invite;

/* How long SIGTERM waits for streams to end. */
#define CN_DAEMON_DRAIN_US 30000000u
/* Looks at what a drain waits for. */
#define CN_DAEMON_DRAIN_LOOK_MS 50u
/* Descriptors kept for all but streams: fixed, and for each carrier that the
 * peers may have. */
#define CN_DAEMON_RESERVE 128u
#define CN_DAEMON_RESERVE_PEER 32u
#define CN_DAEMON_RESERVE_MAX 4096u

/* Exit codes, as of the command line. */
enum cn_exit {
	CN_EXIT_OK = 0,
	CN_EXIT_FAILED = 1,
	CN_EXIT_USAGE = 2,
	CN_EXIT_CONFIG = 3,
};

struct cn_daemon_options {
	const char *config; /* path of the main file */
	const struct cn_paths *paths;
	bool no_sandbox;
	uint64_t rekey_bytes, rekey_us; /* of tests; 0: the defaults */
};

enum cn_daemon_state {
	CN_DAEMON_STARTING,
	CN_DAEMON_RUNNING,
	CN_DAEMON_DRAINING,
	CN_DAEMON_STOPPING,
};

struct cn_daemon {
	const struct cn_daemon_options *options;
	enum cn_daemon_state state;
	uv_loop_t loop;
	struct cn_mailbox mailbox;
	uv_signal_t hangup, terminate, interrupt;
	uv_timer_t tick;      /* each second */
	uv_timer_t drain;     /* while draining */
	uv_timer_t watchdog;  /* where the service manager asks for it */
	struct cn_plan *plan; /* counted */
	struct cn_gate *gate;
	struct cn_worker_shared shared;
	struct cn_ctl *ctl;                     /* owned */
	struct cn_depot *depot;                 /* owned; NULL: no store */
	struct cn_invite *invite;               /* owned */
	struct cn_enlist *enlist;               /* owned; NULL: joins nobody */
	uint8_t store_key[CN_KEY_SECRET_BYTES]; /* until the depot has it */
	uint64_t started_us, started_wall_us;
	uint64_t config_us;     /* when it was last taken over */
	char config_error[200]; /* of the last reload; "" */
	struct cn_lookout lookout;
	uint64_t drain_us; /* since when */
	uint64_t memory_limit;
	struct cn_counters *counters; /* owned; the main thread's */
	uint32_t pongs;               /* workers that the watchdog waits for */
	uint64_t gate_logged_us;
	struct cn_gate_stats gate_logged;
};

/* Run until told to end.  Returns an exit code. */
enum cn_exit cn_daemon_run(const struct cn_daemon_options *options);

/* Check a configuration as far as that is possible without running it, and
 * say on standard error what is wrong.  Returns an exit code. */
enum cn_exit cn_daemon_check(const char *config);

/*
 * What was made ready is obeyed from now on (gateway/reload.h).
 *
 * @plan  taken on success
 *
 * Returns CN_OK or CN_ENOMEM.
 */
int cn_daemon_obey(struct cn_daemon *daemon, struct cn_plan *plan) CN_MUSTCHECK;

#endif /* CN_GATEWAY_DAEMON_H */
