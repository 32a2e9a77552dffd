/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cn-echoload: the servers and clients of the bench kit.  Results go to
 * stdout, one JSON object a line.
 */

#include "echoload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/rand.h"

static const char usage_text[] =
    "usage: cn-echoload COMMAND ADDRESS:PORT [OPTIONS]\n"
    "servers\n"
    "  echo      send back what comes\n"
    "  sink      take transfers, answer with their length and digest\n"
    "            [--file FILE]: give this to who fetches\n"
    "clients\n"
    "  rtt       --count N --size BYTES --inflight N --gap US\n"
    "            round trips over one connection to an echo server\n"
    "  connects  --count N --size BYTES\n"
    "            each round trip over a new connection\n"
    "  send      --file FILE [--count N]: transfers to a sink, verified\n"
    "            --bytes N [--seed N]: random bytes in place of a file\n"
    "            [--rate N --size BYTES]: bytes a second, in such writes\n"
    "  fetch     --file FILE: a sink's file, which must be the same\n"
    "  messages  --file FILE --count N --size BYTES --inflight N\n"
    "            pieces of a file to an echo server, over one connection\n"
    "  calls     the same, each piece over a new connection\n"
    "  idle      --count N: that many connections, one round trip each,\n"
    "            then silence until the end of the input\n"
    "  storm     --streams N --seconds S [--bytes N] [--seed N]\n"
    "            [--patience S] [--ahead BYTES]: all streams send and receive "
    "at once and\n"
    "            check each byte that comes back\n";

void
cn_load_die(const char *what)
{
	fprintf(stderr, "cn-echoload: %s: %s\n", what, strerrorname_np(errno));
	exit(1);
}

int
cn_load_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0) {
		cn_load_die("socket");
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int
cn_load_connect(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0) {
		cn_load_die("socket");
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0) {
		cn_load_die("connect");
	}
	return fd;
}

size_t
cn_load_pattern(uint64_t seed, uint64_t stream, uint64_t offset, uint8_t *out)
{
	size_t skip = offset % CN_LOAD_PATTERN;
	uint64_t block[CN_LOAD_PATTERN / sizeof(uint64_t)];
	struct cn_prng prng;

	cn_prng_init(&prng, seed ^ (stream << 40) ^ (offset / CN_LOAD_PATTERN));
	for (size_t i = 0; i < CN_ARRAY_LEN(block); i++) {
		block[i] = (cn_prng_u64(&prng) & UINT64_C(0x0f0f0f0f0f0f0f0f)) +
		    UINT64_C(0x6161616161616161);
	}
	memcpy(out, (const uint8_t *)block + skip, sizeof(block) - skip);
	return sizeof(block) - skip;
}

void
cn_load_put64(uint8_t *out, uint64_t value)
{
	for (size_t i = 0; i < 8; i++) {
		out[i] = (uint8_t)(value >> (56 - 8 * i));
	}
}

uint64_t
cn_load_get64(const uint8_t *in)
{
	uint64_t value = 0;

	for (size_t i = 0; i < 8; i++) {
		value = value << 8 | in[i];
	}
	return value;
}

static bool
parse_address(const char *text, struct sockaddr_in *ret)
{
	const char *colon = strrchr(text, ':');
	char host[64], *end;
	unsigned long port;

	if (!colon || (size_t)(colon - text) >= sizeof(host)) {
		return false;
	}
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	port = strtoul(colon + 1, &end, 10);
	ret->sin_family = AF_INET;
	ret->sin_port = htons((uint16_t)port);
	return *end == '\0' && port <= UINT16_MAX &&
	    inet_pton(AF_INET, host, &ret->sin_addr) == 1;
}

static bool
parse_number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

/* Returns false for options that make no sense. */
static bool
parse_options(int argc, char **argv, struct cn_load_options *options)
{
	static const char *const names[] = { "count", "size", "inflight", "gap",
		"streams", "seconds", "bytes", "seed", "ahead", "patience",
		"rate" };
	uint64_t *const values[] = { &options->count, &options->size,
		&options->inflight, &options->gap_us, &options->streams,
		&options->seconds, &options->bytes, &options->seed,
		&options->ahead, &options->patience_s, &options->rate };

	if (argc < 3 || !parse_address(argv[2], &options->address)) {
		return false;
	}
	options->command = argv[1];
	for (int i = 3; i < argc; i += 2) {
		size_t k = 0;

		if (i + 1 >= argc || strncmp(argv[i], "--", 2) != 0) {
			return false;
		}
		if (strcmp(argv[i], "--file") == 0) {
			options->file = argv[i + 1];
			continue;
		}
		while (k < CN_ARRAY_LEN(names) &&
		    strcmp(argv[i] + 2, names[k]) != 0) {
			k++;
		}
		if (k == CN_ARRAY_LEN(names) ||
		    !parse_number(argv[i + 1], values[k])) {
			return false;
		}
	}
	return options->size > 0 && options->inflight > 0;
}

/* As many descriptors as the system lets us have. */
static void
raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct cn_load_options *options);
	} commands[] = {
		{ "echo", cn_load_serve_echo },
		{ "sink", cn_load_serve_sink },
		{ "rtt", cn_load_rtt },
		{ "connects", cn_load_connects },
		{ "send", cn_load_send },
		{ "fetch", cn_load_fetch },
		{ "messages", cn_load_messages },
		{ "calls", cn_load_calls },
		{ "idle", cn_load_idle },
		{ "storm", cn_load_storm },
	};
	struct cn_load_options options = { .count = 1,
		.size = 64,
		.inflight = 1,
		.streams = 1,
		.seed = 1,
		.patience_s = 30 };

	if (!parse_options(argc, argv, &options)) {
		fputs(usage_text, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_limit();
	for (size_t i = 0; i < CN_ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, options.command) == 0) {
			return commands[i].run(&options);
		}
	}
	fputs(usage_text, stderr);
	return 2;
}
