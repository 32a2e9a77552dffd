/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_NET_SOCKOPT_H
#define CN_NET_SOCKOPT_H

/*
 * The options of connected sockets, and the ways to end them truthfully.
 *
 * A socket is armed from its first moment: SO_LINGER{1,0}, so that a close
 * by a crash of this process resets the connection and the application never
 * takes a cut for an end.  Only an end that was verified disarms it.  A Unix
 * socket has no reset: there a crash reads as an end of file.
 *
 * Thread:     any; no state.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * Arm a connected or listening socket: linger {1,0}, TCP_NODELAY,
 * keep-alive, urgent data in line (else its byte would be lost).  What an
 * option's family does not know is left out.  Never fails: an option that
 * cannot be set is not worth the connection, but for the linger one, whose
 * failure is asserted.
 */
void cn_sockopt_arm(int fd);

/* Undo the linger: the next close() ends the connection cleanly. */
void cn_sockopt_disarm(int fd);

/* Bytes that the kernel holds for the peer, unacknowledged ones included;
 * 0 for Unix sockets. */
size_t cn_sockopt_unsent(int fd);

/* Bytes that the kernel has not sent even once; 0 for Unix sockets. */
size_t cn_sockopt_queued(int fd);

/* True for a TCP socket. */
bool cn_sockopt_is_tcp(int fd);

/* True if the connection is dead by now: reset, timed out. Clears nothing. */
bool cn_sockopt_is_dead(int fd);

/*
 * Close *fd, set it to -1 and give its place in the budget back: a reset for
 * the peer unless it was disarmed.  -1 is fine.
 */
void cn_sockopt_close(int *fd);

#endif /* CN_NET_SOCKOPT_H */
