/* SPDX-License-Identifier: Apache-2.0 */

/*
 * cn-wantun: an emulated WAN between two network namespaces, packet by
 * packet, for machines without netem.  It makes a TUN device in each and
 * carries packets between them with a rate, a delay, jitter, loss and a
 * bounded queue in front of the wire, which drops what does not fit.
 *
 *   cn-wantun --a /proc/11/ns/net:wan0:192.0.2.1/30
 *             --b /proc/12/ns/net:wan0:192.0.2.2/30 --rate 10mbit ...
 *
 * Lengths are those of IP packets.  Packets are never reordered: jitter only
 * moves them apart.  Which packets are lost and how much later one is follow
 * from the seed and its number in its direction alone.
 *
 * It needs CAP_NET_ADMIN and CAP_SYS_ADMIN over both namespaces (root, or
 * root of the user namespace that owns them).  What it has to say goes to
 * stdout, one JSON object a line; SIGUSR1 prints the counters.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "manage/wanline.h"
#include "wanunits.h"

#define PACKET_MAX 9216u
/* Packets read from one side before the other has its turn. */
#define READS_MAX 64u
#define QUEUE_DEFAULT 65536u
#define MTU_DEFAULT 1500u
#define COMMAND_MAX 256u
#define WORDS_MAX 4u
#define US_PER_S 1000000u
#define NS_PER_US 1000u
#define MILLION 1000000u

enum { A, B, SIDES };

/* What the command line asks for. */
struct settings {
	const char *side[SIDES];
	uint64_t rate_bps;
	uint64_t delay_us;
	uint64_t jitter_us;
	uint64_t loss_ppm;
	uint64_t queue_bytes;
	uint64_t queue_packets; /* 0: no such limit */
	uint64_t mtu;
	uint64_t seed;
	bool takes_commands;
};

/* One direction: from the side of that index to the other. */
struct way {
	struct cn_wanline line;
	struct cn_prng prng;
	uint64_t waiting; /* packets before the wire */
	uint64_t packets;
	uint64_t bytes;
	uint64_t lost;
	uint64_t dropped; /* the queue was full */
	uint64_t passed;
	uint64_t passed_bytes;
	uint64_t queued_max; /* bytes */
};

struct wan {
	struct settings settings;
	int tun[SIDES];
	struct way way[SIDES];
	uint64_t resume_at_us; /* 0: not by itself */
	bool is_done;
	char command[COMMAND_MAX];
	size_t command_len;
};

static const char usage_text[] =
    "usage: cn-wantun --a NETNS:DEVICE:ADDRESS/BITS\n"
    "                 --b NETNS:DEVICE:ADDRESS/BITS [OPTIONS]\n"
    "  --rate RATE        each way: 10mbit, 500kbit (default: no limit)\n"
    "  --delay TIME       one way: 20ms, 500us (default 0)\n"
    "  --jitter TIME      plus or minus, at most the delay (default 0)\n"
    "  --loss SHARE       of the packets: 1%, 0.1% (default 0)\n"
    "  --queue SIZE       before the wire (default 64KiB)\n"
    "  --queue-packets N  the same in packets (default: no such limit)\n"
    "  --mtu BYTES        of both devices (default 1500)\n"
    "  --seed N           of loss and jitter (default 1)\n"
    "  --stdin            take commands; end with the input:\n"
    "      line RATE DELAY | loss SHARE | stall [TIME] | resume | stats | "
    "quit\n";

static void
die(const char *what, const char *which)
{
	fprintf(stderr, "cn-wantun: %s: %s: %s\n", what, which,
	    strerrorname_np(errno));
	exit(1);
}

/*
 * Setting up.
 */

/* ADDRESS/BITS to the device of that name, in the namespace we are in. */
static void
set_address(const char *device, char *address, uint64_t mtu)
{
	struct ifreq ifr = { .ifr_mtu = 0 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	char *slash = strchr(address, '/');
	uint64_t bits = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	errno = EINVAL;
	if (fd < 0 || !slash || !cn_wanunits_count(slash + 1, &bits) ||
	    bits < 1 || bits > 32) {
		die("address", address);
	}
	*slash = '\0';
	if (inet_pton(AF_INET, address, &in.sin_addr) != 1) {
		die("address", address);
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", device);
	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	if (ioctl(fd, SIOCSIFADDR, &ifr) != 0) {
		die("SIOCSIFADDR", device);
	}
	in.sin_addr.s_addr =
	    htonl((uint32_t)(UINT64_C(0xffffffff) << (32 - bits)));
	memcpy(&ifr.ifr_netmask, &in, sizeof(in));
	if (ioctl(fd, SIOCSIFNETMASK, &ifr) != 0) {
		die("SIOCSIFNETMASK", device);
	}
	ifr.ifr_mtu = (int)mtu;
	if (ioctl(fd, SIOCSIFMTU, &ifr) != 0) {
		die("SIOCSIFMTU", device);
	}
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) != 0) {
		die("SIOCSIFFLAGS", device);
	}
	close(fd);
}

/* NETNS:DEVICE:ADDRESS/BITS; leaves this process in that namespace. */
static int
open_tun(const char *side, uint64_t mtu)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	char text[COMMAND_MAX], *device, *address;
	int netns, fd;

	snprintf(text, sizeof(text), "%s", side);
	device = strchr(text, ':');
	address = device ? strchr(device + 1, ':') : NULL;
	if (!address) {
		errno = EINVAL;
		die("NETNS:DEVICE:ADDRESS/BITS", side);
	}
	*device++ = '\0';
	*address++ = '\0';
	netns = open(text, O_RDONLY | O_CLOEXEC);
	if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) {
		die("namespace", text);
	}
	close(netns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		die("open", "/dev/net/tun");
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", device);
	if (ioctl(fd, TUNSETIFF, &ifr) != 0) {
		die("TUNSETIFF", device);
	}
	set_address(device, address, mtu);
	return fd;
}

static void
set_up(struct wan *wan)
{
	const struct settings *settings = &wan->settings;

	for (size_t i = 0; i < SIDES; i++) {
		struct way *way = &wan->way[i];

		wan->tun[i] = open_tun(settings->side[i], settings->mtu);
		cn_wanline_init(&way->line, settings->rate_bps,
		    settings->delay_us - settings->jitter_us,
		    (size_t)settings->queue_bytes);
		cn_prng_init(&way->prng, settings->seed * SIDES + i);
	}
}

/*
 * Packets.
 */

static void
take_in(struct wan *wan, struct way *way, const uint8_t *data, size_t len)
{
	const struct settings *settings = &wan->settings;
	struct cn_wanline *line = &way->line;
	struct cn_wanline_piece *piece;
	/* Both for each packet, lost or not: its number alone decides. */
	bool is_lost = cn_prng_chance(&way->prng, settings->loss_ppm, MILLION);
	uint64_t extra = cn_prng_below(&way->prng, 2 * settings->jitter_us + 1);

	way->packets++;
	way->bytes += len;
	if (is_lost) {
		way->lost++;
		return;
	}
	if (line->queued + len > settings->queue_bytes ||
	    (settings->queue_packets != 0 &&
		way->waiting >= settings->queue_packets) ||
	    line->held >= CN_WANLINE_HELD_MAX) {
		way->dropped++;
		return;
	}
	piece = cn_wanline_piece_create(NULL, CN_WANLINE_DATA, (uint32_t)len);
	if (!piece) {
		way->dropped++;
		return;
	}
	memcpy(piece->data, data, len);
	piece->extra_us = extra;
	cn_wanline_put(line, piece, cn_clock_us());
	if (line->queued > way->queued_max) {
		way->queued_max = line->queued;
	}
}

/* How many pieces wait for the wire. */
static uint64_t
count_waiting(const struct cn_wanline *line)
{
	const struct cn_wanline_piece *piece = line->departing;
	uint64_t n = 0;

	while (piece) {
		n++;
		piece = piece->next;
	}
	return n;
}

static void
deliver(struct wan *wan, size_t from, uint64_t now)
{
	struct way *way = &wan->way[from];
	struct cn_wanline_piece *piece;

	while ((piece = cn_wanline_take(&way->line, now)) != NULL) {
		if (write(wan->tun[from == A ? B : A], piece->data,
			piece->len) == (ssize_t)piece->len) {
			way->passed++;
			way->passed_bytes += piece->len;
		}
		cn_wanline_piece_free(&piece);
	}
}

static void
read_side(struct wan *wan, size_t from)
{
	struct way *way = &wan->way[from];
	uint8_t packet[PACKET_MAX];

	for (unsigned i = 0; i < READS_MAX; i++) {
		ssize_t n = read(wan->tun[from], packet, sizeof(packet));

		if (n <= 0) {
			break;
		}
		/* What has left meanwhile makes room. */
		deliver(wan, from, cn_clock_us());
		if (wan->settings.queue_packets != 0) {
			way->waiting = count_waiting(&way->line);
		}
		take_in(wan, way, packet, (size_t)n);
	}
}

/*
 * Talk.
 */

static void
print_way(const struct way *way, const char *name)
{
	printf(", \"%s\": {\"packets\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"lost\": %" PRIu64 ", \"dropped\": %" PRIu64
	       ", \"passed\": %" PRIu64 ", \"passed_bytes\": %" PRIu64
	       ", \"queued_max\": %" PRIu64 "}",
	    name, way->packets, way->bytes, way->lost, way->dropped,
	    way->passed, way->passed_bytes, way->queued_max);
}

static void
print_stats(const struct wan *wan, const char *event)
{
	printf("{\"event\": \"%s\"", event);
	print_way(&wan->way[A], "a_to_b");
	print_way(&wan->way[B], "b_to_a");
	printf("}\n");
	fflush(stdout);
}

static void
stall(struct wan *wan, uint64_t for_us)
{
	uint64_t now = cn_clock_us();

	for (size_t i = 0; i < SIDES; i++) {
		cn_wanline_stall(&wan->way[i].line, now);
	}
	wan->resume_at_us = for_us == 0 ? 0 : now + for_us;
}

static void
resume(struct wan *wan)
{
	uint64_t now = cn_clock_us();

	for (size_t i = 0; i < SIDES; i++) {
		cn_wanline_resume(&wan->way[i].line, now);
	}
	wan->resume_at_us = 0;
}

static void
set_line(struct wan *wan, uint64_t rate_bps, uint64_t delay_us)
{
	for (size_t i = 0; i < SIDES; i++) {
		wan->way[i].line.rate_bps = rate_bps;
		wan->way[i].line.delay_us =
		    delay_us - CN_MIN(delay_us, wan->settings.jitter_us);
	}
}

/* Returns false for what is no command. */
static bool
run_command(struct wan *wan, size_t count, char **word)
{
	uint64_t value = 0, rate = 0;

	if (count == 1 && strcmp(word[0], "stats") == 0) {
		print_stats(wan, "stats");
		return true;
	}
	if (count == 1 && strcmp(word[0], "quit") == 0) {
		wan->is_done = true;
		return true;
	}
	if (count == 1 && strcmp(word[0], "stall") == 0) {
		stall(wan, 0);
	} else if (count == 2 && strcmp(word[0], "stall") == 0 &&
	    cn_wanunits_time(word[1], &value)) {
		stall(wan, value);
	} else if (count == 1 && strcmp(word[0], "resume") == 0) {
		resume(wan);
	} else if (count == 2 && strcmp(word[0], "loss") == 0 &&
	    cn_wanunits_share(word[1], &value)) {
		wan->settings.loss_ppm = value;
	} else if (count == 3 && strcmp(word[0], "line") == 0 &&
	    cn_wanunits_rate(word[1], &rate) &&
	    cn_wanunits_time(word[2], &value)) {
		set_line(wan, rate, value);
	} else {
		return false;
	}
	printf("{\"event\": \"done\", \"command\": \"%s\"}\n", word[0]);
	fflush(stdout);
	return true;
}

static void
run_line(struct wan *wan)
{
	char *word[WORDS_MAX], *rest = NULL, *next;
	size_t count = 0;

	wan->command[wan->command_len] = '\0';
	wan->command_len = 0;
	next = strtok_r(wan->command, " \t\r", &rest);
	while (next && count < WORDS_MAX) {
		word[count++] = next;
		next = strtok_r(NULL, " \t\r", &rest);
	}
	if (count > 0 && !run_command(wan, count, word)) {
		printf(
		    "{\"event\": \"error\", \"text\": \"no such command\"}\n");
		fflush(stdout);
	}
}

static void
read_commands(struct wan *wan)
{
	char text[COMMAND_MAX];
	ssize_t n = read(STDIN_FILENO, text, sizeof(text));

	if (n <= 0) {
		wan->is_done = true;
		return;
	}
	for (ssize_t i = 0; i < n && !wan->is_done; i++) {
		if (text[i] == '\n') {
			run_line(wan);
		} else if (wan->command_len + 1 < sizeof(wan->command)) {
			wan->command[wan->command_len++] = text[i];
		}
	}
}

static void
read_signal(struct wan *wan, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
		return;
	}
	if (info.ssi_signo == SIGUSR1) {
		print_stats(wan, "stats");
	} else {
		wan->is_done = true;
	}
}

static int
open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		die("signalfd", "");
	}
	return fd;
}

/* How long until something is due; NULL: nothing is. */
static const struct timespec *
time_left(const struct wan *wan, struct timespec *ret)
{
	uint64_t at = CN_MIN(cn_wanline_deadline(&wan->way[A].line),
	    cn_wanline_deadline(&wan->way[B].line));
	uint64_t now = cn_clock_us(), left;

	if (wan->resume_at_us != 0) {
		at = CN_MIN(at, wan->resume_at_us);
	}
	if (at == CN_WANLINE_NEVER) {
		return NULL;
	}
	left = at > now ? at - now : 0;
	ret->tv_sec = (time_t)(left / US_PER_S);
	ret->tv_nsec = (long)(left % US_PER_S * NS_PER_US);
	return ret;
}

static void
carry(struct wan *wan, int signals)
{
	struct pollfd fds[] = {
		{ .fd = wan->tun[A], .events = POLLIN },
		{ .fd = wan->tun[B], .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		{ .fd = wan->settings.takes_commands ? STDIN_FILENO : -1,
		    .events = POLLIN },
	};
	struct timespec left;

	while (!wan->is_done) {
		uint64_t now = cn_clock_us();

		if (wan->resume_at_us != 0 && wan->resume_at_us <= now) {
			resume(wan);
		}
		deliver(wan, A, now);
		deliver(wan, B, now);
		if (ppoll(fds, CN_ARRAY_LEN(fds), time_left(wan, &left),
			NULL) <= 0) {
			continue;
		}
		for (size_t i = 0; i < SIDES; i++) {
			if (fds[i].revents != 0) {
				read_side(wan, i);
			}
		}
		if (fds[2].revents != 0) {
			read_signal(wan, signals);
		}
		if (fds[3].revents != 0) {
			read_commands(wan);
		}
	}
}

/* Returns false for options that make no sense. */
static bool
parse_options(int argc, char **argv, struct settings *settings)
{
	static const struct option options[] = {
		{ "a", required_argument, NULL, 'a' },
		{ "b", required_argument, NULL, 'b' },
		{ "rate", required_argument, NULL, 'r' },
		{ "delay", required_argument, NULL, 'd' },
		{ "jitter", required_argument, NULL, 'j' },
		{ "loss", required_argument, NULL, 'l' },
		{ "queue", required_argument, NULL, 'q' },
		{ "queue-packets", required_argument, NULL, 'p' },
		{ "mtu", required_argument, NULL, 'm' },
		{ "seed", required_argument, NULL, 's' },
		{ "stdin", no_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	bool ok = true;
	int option;

	while (
	    ok && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'a':
			settings->side[A] = optarg;
			break;
		case 'b':
			settings->side[B] = optarg;
			break;
		case 'r':
			ok = cn_wanunits_rate(optarg, &settings->rate_bps);
			break;
		case 'd':
			ok = cn_wanunits_time(optarg, &settings->delay_us);
			break;
		case 'j':
			ok = cn_wanunits_time(optarg, &settings->jitter_us);
			break;
		case 'l':
			ok = cn_wanunits_share(optarg, &settings->loss_ppm);
			break;
		case 'q':
			ok = cn_wanunits_size(optarg, &settings->queue_bytes);
			break;
		case 'p':
			ok =
			    cn_wanunits_count(optarg, &settings->queue_packets);
			break;
		case 'm':
			ok = cn_wanunits_size(optarg, &settings->mtu);
			break;
		case 's':
			ok = cn_wanunits_count(optarg, &settings->seed);
			break;
		case 'i':
			settings->takes_commands = true;
			break;
		default:
			ok = false;
			break;
		}
	}
	return ok && optind == argc && settings->side[A] && settings->side[B] &&
	    settings->jitter_us <= settings->delay_us && settings->mtu >= 576 &&
	    settings->mtu <= PACKET_MAX &&
	    settings->queue_bytes >= settings->mtu;
}

int
main(int argc, char **argv)
{
	static struct wan wan = {
		.settings = { .queue_bytes = QUEUE_DEFAULT,
		    .mtu = MTU_DEFAULT,
		    .seed = 1 },
	};
	int signals;

	if (!parse_options(argc, argv, &wan.settings)) {
		fputs(usage_text, stderr);
		return 2;
	}
	signals = open_signals();
	set_up(&wan);
	printf("{\"event\": \"up\"}\n");
	fflush(stdout);
	carry(&wan, signals);
	print_stats(&wan, "end");
	for (size_t i = 0; i < SIDES; i++) {
		cn_wanline_fini(&wan.way[i].line);
		close(wan.tun[i]);
	}
	close(signals);
	return 0;
}
