/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BENCH_ECHOLOAD_H
#define CN_BENCH_ECHOLOAD_H

/*
 * What the parts of cn-echoload share: options, addresses, the pattern of
 * bytes that loads carry, and the head of a transfer.
 *
 * A transfer is its length (8 bytes, big endian), then the bytes; the server
 * answers with length and digest of what it got, as soon as it has it all.
 * So it needs no half-close, which not every relay passes on.  A length of
 * CN_LOAD_FETCH asks for the server's own file: length and digest of it come
 * first, then its bytes.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

#define CN_LOAD_HEAD 8u
#define CN_LOAD_ANSWER (8u + CN_DIGEST_SIZE)
#define CN_LOAD_FETCH UINT64_MAX
/* Bytes of the pattern that are made at a time. */
#define CN_LOAD_PATTERN 4096u

struct cn_load_options {
	const char *command;
	struct sockaddr_in address; /* to listen on or to reach */
	const char *file;
	uint64_t count;    /* messages, connections */
	uint64_t size;     /* bytes of a message */
	uint64_t inflight; /* messages under way at a time */
	uint64_t gap_us;   /* pause before each message */
	uint64_t streams;
	uint64_t seconds;
	uint64_t bytes; /* of each stream; 0: as many as fit in the time */
	uint64_t seed;
	uint64_t ahead;      /* most bytes under way in a stream; 0: any */
	uint64_t patience_s; /* longest time without any progress */
	uint64_t rate;       /* bytes a second; 0: as they go */
};

/* Print what failed and end the program. */
void cn_load_die(const char *what) __attribute__((noreturn));

/* A non-blocking socket set up as the measurements want it. */
int cn_load_socket(void);

/* Connect, or end the program; blocking. */
int cn_load_connect(const struct sockaddr_in *to);

/* All of it, or the end of the program; on blocking sockets. */
void cn_load_send_all(int fd, const void *data, size_t len);
void cn_load_receive_all(int fd, void *data, size_t len);

/* Map a file for reading, or end the program; it stays mapped. */
const uint8_t *cn_load_map(const char *path, size_t *ret_len);

/* Length and digest, as the server of a transfer answers them. */
void cn_load_answer(uint8_t *out, const uint8_t *data, size_t len);

/*
 * The bytes from an offset of a stream's pattern to the next multiple of
 * CN_LOAD_PATTERN; returns how many.  Half of each byte is random.
 */
size_t cn_load_pattern(
    uint64_t seed, uint64_t stream, uint64_t offset, uint8_t *out);

void cn_load_put64(uint8_t *out, uint64_t value);
uint64_t cn_load_get64(const uint8_t *in);

/* The commands; each returns the program's exit status. */
int cn_load_serve_echo(const struct cn_load_options *options);
int cn_load_serve_sink(const struct cn_load_options *options);
int cn_load_rtt(const struct cn_load_options *options);
int cn_load_connects(const struct cn_load_options *options);
int cn_load_send(const struct cn_load_options *options);
int cn_load_fetch(const struct cn_load_options *options);
int cn_load_messages(const struct cn_load_options *options);
int cn_load_calls(const struct cn_load_options *options);
int cn_load_idle(const struct cn_load_options *options);
int cn_load_storm(const struct cn_load_options *options);

#endif /* CN_BENCH_ECHOLOAD_H */
