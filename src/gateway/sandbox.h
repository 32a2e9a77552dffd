/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_GATEWAY_SANDBOX_H
#define CN_GATEWAY_SANDBOX_H

/*
 * Giving up what a running gateway does not need: capabilities, new
 * privileges, and most system calls.  What is left is what doc/THREATS.md
 * lists.
 *
 * Thread: the main thread's, before others start: they inherit it.
 */

#include "base/attr.h"

/*
 * Drop every capability but CAP_NET_BIND_SERVICE (a reload may want a port
 * below 1024), and never gain any by exec.
 *
 * Returns CN_OK or CN_EPERM.
 */
int cn_sandbox_drop(void) CN_MUSTCHECK;

/*
 * Allow the system calls of a running gateway; any other kills the process,
 * which the kernel logs.
 *
 * Returns CN_OK, CN_ENOMEM, or what the kernel said (no seccomp in it).
 */
int cn_sandbox_filter(void) CN_MUSTCHECK;

#endif /* CN_GATEWAY_SANDBOX_H */
