/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"
#include "ident/key.h"
#include "net/carrier.h"

/*
 * Two carriers over loopback in one loop, each with an owner that sends a
 * pseudo-random stream and checks what it receives.
 */

struct side {
	struct cn_tlsctx *tls;
	struct cn_carrier_shared shared;
	struct cn_carrier *carrier;
	uint8_t id[CN_IDENTITY_BYTES];

	struct cn_hello heard;
	bool has_heard;
	bool is_live;
	int why; /* of on_end; 1: did not come */
	enum cn_gate_end gate_end;
	bool answers; /* at once, with status */
	uint32_t status;

	struct cn_prng to_send, to_hear;
	uint64_t left; /* bytes still to be sent */
	uint64_t heard_bytes;
	size_t piece;  /* fragment size that it pulls */
	size_t hold;   /* takes whole multiples of this alone */
	bool is_sated; /* wants no more bytes */
	unsigned paths;
	uint64_t path_rate, path_rtt;
};

static uv_loop_t loop;
static struct side dialler, acceptor;

/* ---- the owners ---- */

static struct cn_hello
make_hello(uint32_t status)
{
	struct cn_hello hello = {
		.version_min = 1,
		.version_max = 1,
		.status = status,
		.workers = 2,
		.credit_floor = CN_CREDIT_FLOOR_MIN,
		.lanes = 16,
		.lane_window_log = 17,
		.streams_max = 100,
		.generation = 1,
	};

	memcpy(hello.name, "test", 5);
	return hello;
}

static void
on_hello(struct cn_carrier *carrier, const struct cn_hello *hello)
{
	struct side *side = cn_carrier_owner(carrier);
	struct cn_hello answer = make_hello(side->status);

	side->heard = *hello;
	side->has_heard = true;
	if (side == &dialler) {
		if (hello->status == CN_CLOSE_OK) {
			cn_carrier_go(carrier);
			side->is_live = true;
			assert_int_equal(cn_carrier_flush(carrier), CN_OK);
		}
	} else if (side->answers) {
		assert_int_equal(cn_carrier_answer(carrier, &answer), CN_OK);
		side->is_live = side->status == CN_CLOSE_OK;
		assert_int_equal(cn_carrier_flush(carrier), CN_OK);
	}
}

static int
on_bytes(
    struct cn_carrier *carrier, const uint8_t *bytes, size_t len, size_t *used)
{
	struct side *side = cn_carrier_owner(carrier);
	uint8_t expected[512];
	size_t take = side->hold > 1 ? len - len % side->hold : len;

	*used = take;
	if (side->is_sated) {
		return CN_EBUSY;
	}
	side->heard_bytes += take;
	while (take > 0) {
		size_t n = CN_MIN(take, sizeof(expected));

		/* Whole words, so that both generators stay in step. */
		assert_int_equal(n % 8, 0);
		cn_prng_bytes(&side->to_hear, expected, n);
		assert_memory_equal(bytes, expected, n);
		bytes += n;
		take -= n;
	}
	return CN_OK;
}

static void
on_writable(struct cn_carrier *carrier)
{
	assert_int_equal(cn_carrier_flush(carrier), CN_OK);
}

static void
on_path(struct cn_carrier *carrier, uint64_t rate, uint64_t rtt)
{
	struct side *side = cn_carrier_owner(carrier);

	side->paths++;
	side->path_rate = rate;
	side->path_rtt = rtt;
}

static void
on_end(struct cn_carrier *carrier, int why)
{
	struct side *side = cn_carrier_owner(carrier);

	assert_int_equal(side->why, 1);
	side->why = why;
	side->gate_end = cn_carrier_gate_end(carrier);
	cn_carrier_close(&side->carrier, NULL, 0);
}

static size_t
pull(struct cn_carrier *carrier, uint8_t *out, size_t cap)
{
	struct side *side = cn_carrier_owner(carrier);
	size_t n = CN_MIN(CN_MIN(side->left, side->piece), cap);

	cn_prng_bytes(&side->to_send, out, n);
	side->left -= n;
	return n;
}

static const struct cn_carrier_ops ops = {
	.on_hello = on_hello,
	.on_bytes = on_bytes,
	.on_writable = on_writable,
	.on_path = on_path,
	.on_end = on_end,
	.pull = pull,
};

/* ---- set-up ---- */

static void
side_init(struct side *side, uint64_t to_send, uint64_t to_hear)
{
	struct cn_key *key;

	memset(side, 0, sizeof(*side));
	assert_int_equal(cn_key_generate(&key), CN_OK);
	assert_int_equal(cn_tlsctx_create(key, &side->tls), CN_OK);
	cn_key_free(&key);
	memcpy(side->id, cn_tlsctx_identity(side->tls), sizeof(side->id));
	assert_int_equal(
	    cn_carrier_shared_init(&side->shared, &loop, side->tls), CN_OK);
	side->why = 1;
	side->answers = true;
	side->piece = CN_FRAGMENT_MAX;
	side->hold = 8;
	cn_prng_init(&side->to_send, to_send);
	cn_prng_init(&side->to_hear, to_hear);
}

static int
set_up(void **state)
{
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(uv_loop_init(&loop), 0);
	side_init(&dialler, 1, 2);
	side_init(&acceptor, 2, 1);
	assert_int_equal(cn_tlsctx_pin(dialler.tls, acceptor.id, 1), CN_OK);
	assert_int_equal(cn_tlsctx_pin(acceptor.tls, dialler.id, 1), CN_OK);
	return 0;
}

static void
side_fini(struct side *side)
{
	cn_carrier_close(&side->carrier, NULL, 0);
	while (uv_run(&loop, UV_RUN_NOWAIT) != 0) {
	}
	cn_carrier_shared_fini(&side->shared);
	cn_tlsctx_free(&side->tls);
}

static int
tear_down(void **state)
{
	(void)state;
	side_fini(&dialler);
	side_fini(&acceptor);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(cn_alloc_count(), 0);
	return 0;
}

/* A connected pair on loopback. */
static void
make_pair(int fds[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(l, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&at, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&at, len), 0);
	fds[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fds[1] >= 0);
	(void)close(l);
}

static void
make_carriers(void)
{
	struct cn_hello hello = make_hello(CN_CLOSE_OK);
	int fds[2];

	make_pair(fds);
	memcpy(hello.peer, acceptor.id, CN_IDENTITY_BYTES);
	assert_int_equal(cn_carrier_create(&dialler.shared, &ops, &dialler,
			     fds[0], &hello, &dialler.carrier),
	    CN_OK);
	assert_int_equal(cn_carrier_create(&acceptor.shared, &ops, &acceptor,
			     fds[1], NULL, &acceptor.carrier),
	    CN_OK);
}

/* Run until a condition holds; fails after a few seconds. */
#define RUN_UNTIL(condition)                                                   \
	do {                                                                   \
		uint64_t limit = uv_hrtime() + UINT64_C(8000000000);           \
		while (!(condition)) {                                         \
			assert_true(uv_hrtime() < limit);                      \
			(void)uv_run(&loop, UV_RUN_NOWAIT);                    \
		}                                                              \
	} while (0)

/* ---- tests ---- */

static void
test_bytes_cross_both_ways(void **state)
{
	struct cn_carrier_stats stats;
	const uint64_t total = 12u << 20;

	(void)state;
	dialler.left = acceptor.left = total;
	acceptor.hold = 4096;
	dialler.piece = 4096 * 3;
	make_carriers();
	RUN_UNTIL(
	    acceptor.heard_bytes == total && dialler.heard_bytes == total);
	assert_memory_equal(
	    acceptor.heard.identity, dialler.id, CN_IDENTITY_BYTES);
	assert_memory_equal(
	    dialler.heard.identity, acceptor.id, CN_IDENTITY_BYTES);
	assert_memory_equal(
	    cn_carrier_peer(acceptor.carrier), dialler.id, CN_IDENTITY_BYTES);
	cn_carrier_stats(dialler.carrier, &stats);
	assert_in_range(stats.bytes_out, total, total + total / 300 + 4096);
	assert_in_range(stats.bytes_in, total, total + total / 300 + 4096);
	assert_true(dialler.paths > 0 && dialler.path_rtt > 0);
	/* A clean end is told as such. */
	cn_carrier_close(&dialler.carrier, NULL, 0);
	RUN_UNTIL(acceptor.why != 1);
	assert_int_equal(acceptor.why, CN_ECLOSED);
}

/* Busy is who has bytes waiting for the path, not who has just written. */
static void
test_busy_is_a_queue(void **state)
{
	const uint64_t some = 4096, more = 8u << 20;

	(void)state;
	make_carriers();
	RUN_UNTIL(dialler.is_live && acceptor.is_live);
	dialler.left = some;
	assert_int_equal(cn_carrier_flush(dialler.carrier), CN_OK);
	assert_false(cn_carrier_is_busy(dialler.carrier));
	dialler.left = more;
	assert_int_equal(cn_carrier_flush(dialler.carrier), CN_OK);
	RUN_UNTIL(acceptor.heard_bytes == some + more);
	assert_false(cn_carrier_is_busy(dialler.carrier));
	/* Who reads no more makes a queue. */
	acceptor.is_sated = true;
	dialler.left = 64u << 20;
	assert_int_equal(cn_carrier_flush(dialler.carrier), CN_OK);
	RUN_UNTIL(cn_carrier_is_busy(dialler.carrier));
	assert_true(dialler.left > 0);
}

static void
test_rekeys_while_bytes_cross(void **state)
{
	struct cn_carrier_stats stats;
	const uint64_t total = 4u << 20;

	(void)state;
	dialler.shared.rekey_bytes = 30000;
	acceptor.shared.rekey_bytes = 50000;
	dialler.left = acceptor.left = total;
	make_carriers();
	RUN_UNTIL(
	    acceptor.heard_bytes == total && dialler.heard_bytes == total);
	cn_carrier_stats(dialler.carrier, &stats);
	assert_true(stats.rekeys > 100);
	cn_carrier_stats(acceptor.carrier, &stats);
	assert_true(stats.rekeys > 50);
}

/* ---- a dialler by hand, that may lie ---- */

struct raw {
	int fd;
	SSL *ssl;
	struct cn_tlsctx_peer peer;
};

static void
raw_open(struct raw *raw)
{
	int fds[2];
	int n = 0;

	make_pair(fds);
	assert_int_equal(cn_carrier_create(&acceptor.shared, &ops, &acceptor,
			     fds[1], NULL, &acceptor.carrier),
	    CN_OK);
	raw->fd = fds[0];
	assert_int_equal(fcntl(raw->fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(cn_tlsctx_connection(
			     dialler.tls, raw->fd, true, &raw->peer, &raw->ssl),
	    CN_OK);
	RUN_UNTIL((n = SSL_do_handshake(raw->ssl)) == 1);
}

static void
raw_close(struct raw *raw)
{
	SSL_free(raw->ssl);
	(void)close(raw->fd);
}

/* A true hello, for tests to make false. */
static struct cn_hello
raw_hello(struct raw *raw)
{
	struct cn_hello hello = make_hello(CN_CLOSE_OK);

	memcpy(hello.identity, dialler.id, CN_IDENTITY_BYTES);
	memcpy(hello.peer, acceptor.id, CN_IDENTITY_BYTES);
	assert_int_equal(SSL_export_keying_material(raw->ssl, hello.exporter,
			     CN_EXPORTER_BYTES, CN_TLSCTX_EXPORTER,
			     sizeof(CN_TLSCTX_EXPORTER) - 1, NULL, 0, 0),
	    1);
	return hello;
}

static void
raw_say(struct raw *raw, const struct cn_hello *hello)
{
	uint8_t out[CN_HELLO_MAX];
	size_t len = cn_hello_encode(out, sizeof(out), hello);

	assert_int_equal(SSL_write(raw->ssl, out, (int)len), (int)len);
}

/* The acceptor's answer to a hello. */
static uint32_t
raw_status(struct raw *raw)
{
	uint8_t in[CN_HELLO_MAX];
	struct cn_hello hello;
	size_t used;
	int n = 0;

	RUN_UNTIL((n = SSL_read(raw->ssl, in, sizeof(in))) > 0);
	assert_int_equal(cn_hello_decode(in, (size_t)n, &hello, &used), CN_OK);
	return hello.status;
}

static void
test_flood_of_key_updates(void **state)
{
	struct raw raw;
	struct cn_hello hello;

	(void)state;
	raw_open(&raw);
	hello = raw_hello(&raw);
	raw_say(&raw, &hello);
	assert_int_equal(raw_status(&raw), CN_CLOSE_OK);
	assert_true(acceptor.is_live);
	for (unsigned i = 0; i < CN_TLSCTX_KEYUPDATES_MAX; i++) {
		assert_int_equal(
		    SSL_key_update(raw.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(raw.ssl), 1);
	}
	for (int i = 0; i < 20; i++) {
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(acceptor.why, 1);
	assert_int_equal(
	    SSL_key_update(raw.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
	assert_int_equal(SSL_do_handshake(raw.ssl), 1);
	RUN_UNTIL(acceptor.why != 1);
	assert_int_equal(acceptor.why, CN_EPROTO);
	raw_close(&raw);
}

/* A hello that is false is answered and never shown to the owner. */
static void
expect_refused(void (*spoil)(struct cn_hello *), uint32_t status)
{
	struct raw raw;
	struct cn_hello hello;

	acceptor.why = 1;
	raw_open(&raw);
	hello = raw_hello(&raw);
	spoil(&hello);
	raw_say(&raw, &hello);
	assert_int_equal(raw_status(&raw), status);
	assert_int_equal(acceptor.gate_end, CN_GATE_HELLO);
	assert_false(acceptor.has_heard);
	raw_close(&raw);
}

static void
spoil_exporter(struct cn_hello *hello)
{
	hello->exporter[31] ^= 1;
}

static void
spoil_identity(struct cn_hello *hello)
{
	hello->identity[0] ^= 1;
}

static void
spoil_peer(struct cn_hello *hello)
{
	hello->peer[5] ^= 0x80;
}

static void
spoil_version(struct cn_hello *hello)
{
	hello->version_min = 2;
	hello->version_max = 9;
}

static void
test_false_hellos(void **state)
{
	struct raw raw;

	(void)state;
	expect_refused(spoil_exporter, CN_CLOSE_IDENTITY);
	expect_refused(spoil_identity, CN_CLOSE_IDENTITY);
	expect_refused(spoil_peer, CN_CLOSE_IDENTITY);
	expect_refused(spoil_version, CN_CLOSE_VERSION);

	acceptor.why = 1;
	raw_open(&raw);
	assert_int_equal(SSL_write(raw.ssl, "\xff\xffxxxx", 6), 6);
	assert_int_equal(raw_status(&raw), CN_CLOSE_PROTOCOL);
	raw_close(&raw);
}

static void
test_unpinned_keys(void **state)
{
	(void)state;
	/* The acceptor does not know the dialler. */
	assert_int_equal(cn_tlsctx_pin(acceptor.tls, NULL, 0), CN_OK);
	make_carriers();
	RUN_UNTIL(acceptor.why != 1 && dialler.why != 1);
	assert_int_equal(acceptor.why, CN_EKEY);
	assert_int_equal(acceptor.gate_end, CN_GATE_UNPINNED);
	assert_int_equal(dialler.why, CN_EACCES);
	assert_false(dialler.has_heard || acceptor.has_heard);
}

static void
test_server_is_not_pinned(void **state)
{
	(void)state;
	assert_int_equal(cn_tlsctx_pin(dialler.tls, dialler.id, 1), CN_OK);
	make_carriers();
	RUN_UNTIL(acceptor.why != 1 && dialler.why != 1);
	assert_int_equal(dialler.why, CN_EKEY);
	assert_false(dialler.has_heard || acceptor.has_heard);
}

static void
test_another_peer_answers(void **state)
{
	struct cn_hello hello = make_hello(CN_CLOSE_OK);
	int fds[2];

	(void)state;
	make_pair(fds);
	/* Pinned, but not whom we dialled. */
	memset(hello.peer, 7, CN_IDENTITY_BYTES);
	assert_int_equal(cn_carrier_create(&dialler.shared, &ops, &dialler,
			     fds[0], &hello, &dialler.carrier),
	    CN_OK);
	assert_int_equal(cn_carrier_create(&acceptor.shared, &ops, &acceptor,
			     fds[1], NULL, &acceptor.carrier),
	    CN_OK);
	RUN_UNTIL(acceptor.why != 1 && dialler.why != 1);
	assert_int_equal(dialler.why, CN_EPEER);
	assert_false(acceptor.has_heard);
}

static void
test_refused_hello(void **state)
{
	(void)state;
	acceptor.status = CN_CLOSE_LINK_UNKNOWN;
	make_carriers();
	RUN_UNTIL(acceptor.has_heard);
	assert_int_equal(cn_carrier_gate_end(acceptor.carrier), CN_GATE_HELLO);
	cn_carrier_close(&acceptor.carrier, NULL, 0);
	RUN_UNTIL(dialler.has_heard);
	assert_int_equal(dialler.heard.status, CN_CLOSE_LINK_UNKNOWN);
	assert_false(dialler.is_live);
}

/* What a stranger sends, and how it is counted. */
static void
expect_quiet(const void *bytes, size_t len, enum cn_gate_end end)
{
	uint8_t reply[64];
	int fds[2];

	make_pair(fds);
	acceptor.why = 1;
	assert_int_equal(cn_carrier_create(&acceptor.shared, &ops, &acceptor,
			     fds[1], NULL, &acceptor.carrier),
	    CN_OK);
	if (len > 0) {
		assert_int_equal(send(fds[0], bytes, len, 0), (ssize_t)len);
	} else {
		(void)shutdown(fds[0], SHUT_WR);
	}
	RUN_UNTIL(acceptor.why != 1);
	assert_int_equal(acceptor.gate_end, end);
	/* Not one byte, and an end. */
	assert_true(recv(fds[0], reply, sizeof(reply), 0) <= 0);
	(void)close(fds[0]);
}

static void
test_strangers(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char ssh[] = "SSH-2.0-OpenSSH_9.2\r\n";

	(void)state;
	expect_quiet(http, sizeof(http) - 1, CN_GATE_HTTP);
	expect_quiet(ssh, sizeof(ssh) - 1, CN_GATE_SSH);
	expect_quiet("\0\0\0\0", 4, CN_GATE_GARBAGE);
	expect_quiet("", 0, CN_GATE_CUT);
	assert_false(acceptor.has_heard);
}

static void
test_too_long_before_authentication(void **state)
{
	uint8_t junk[CN_CARRIER_PREAUTH_MAX * 2];
	int fds[2];

	(void)state;
	make_pair(fds);
	assert_int_equal(cn_carrier_create(&acceptor.shared, &ops, &acceptor,
			     fds[1], NULL, &acceptor.carrier),
	    CN_OK);
	/* A ClientHello that never ends: records of a message of 64 KiB. */
	memset(junk, 0, sizeof(junk));
	for (size_t at = 0; at + 1029 <= sizeof(junk); at += 1029) {
		memcpy(junk + at, "\x16\x03\x01\x04\x00", 5);
	}
	memcpy(junk + 5, "\x01\x00\xff\xff", 4);
	assert_true(send(fds[0], junk, sizeof(junk), 0) > 0);
	RUN_UNTIL(acceptor.why != 1);
	assert_int_equal(acceptor.why, CN_ELIMIT);
	assert_int_equal(acceptor.gate_end, CN_GATE_TOO_LONG);
	(void)close(fds[0]);
}

static void
test_cut_is_no_clean_end(void **state)
{
	(void)state;
	make_carriers();
	RUN_UNTIL(dialler.is_live && acceptor.is_live);
	(void)shutdown(cn_carrier_fd(dialler.carrier), SHUT_WR);
	RUN_UNTIL(acceptor.why != 1);
	assert_int_equal(acceptor.why, CN_EPIPE);
}

/* The last word arrives behind all that was written, although the one who
 * closes leaves bytes unread. */
static void
test_farewell_is_heard(void **state)
{
	const uint64_t total = 1u << 30;
	uint8_t farewell[64];
	uint64_t sent;

	(void)state;
	dialler.left = acceptor.left = total;
	make_carriers();
	RUN_UNTIL(acceptor.heard_bytes > 1u << 20);
	cn_prng_bytes(&acceptor.to_send, farewell, sizeof(farewell));
	sent = total - acceptor.left + sizeof(farewell);
	cn_carrier_close(&acceptor.carrier, farewell, sizeof(farewell));
	RUN_UNTIL(dialler.why != 1);
	assert_int_equal(dialler.why, CN_ECLOSED);
	assert_int_equal(dialler.heard_bytes, sent);
	assert_true(dialler.left > 0);
}

static void
test_handover(void **state)
{
	struct cn_carrier_parcel *parcel = NULL;
	struct cn_hello answer = make_hello(CN_CLOSE_OK);
	const uint64_t total = 1u << 20;

	(void)state;
	acceptor.answers = false;
	dialler.left = acceptor.left = total;
	make_carriers();
	RUN_UNTIL(acceptor.has_heard);
	assert_int_equal(cn_carrier_part(&acceptor.carrier, &parcel), CN_OK);
	assert_null(acceptor.carrier);
	for (int i = 0; i < 20; i++) {
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_memory_equal(cn_carrier_parcel_hello(parcel)->identity,
	    dialler.id, CN_IDENTITY_BYTES);
	assert_int_equal(cn_carrier_adopt(&acceptor.shared, &ops, &acceptor,
			     &parcel, &acceptor.carrier),
	    CN_OK);
	assert_null(parcel);
	assert_int_equal(cn_carrier_answer(acceptor.carrier, &answer), CN_OK);
	assert_int_equal(cn_carrier_flush(acceptor.carrier), CN_OK);
	RUN_UNTIL(
	    acceptor.heard_bytes == total && dialler.heard_bytes == total);
}

static void
test_parcel_is_dropped(void **state)
{
	struct cn_carrier_parcel *parcel = NULL;

	(void)state;
	acceptor.answers = false;
	make_carriers();
	RUN_UNTIL(acceptor.has_heard);
	assert_int_equal(cn_carrier_part(&acceptor.carrier, &parcel), CN_OK);
	cn_carrier_parcel_free(&parcel);
	RUN_UNTIL(dialler.why != 1);
	assert_int_equal(dialler.why, CN_EPIPE);
}

/* The n-th allocation fails, for each n: nothing leaks, nothing crashes. */
static void
test_without_memory(void **state)
{
	struct cn_hello hello = make_hello(CN_CLOSE_OK);
	struct cn_carrier *carrier = NULL;
	int fds[2];
	int err = CN_ENOMEM;

	(void)state;
	memcpy(hello.peer, acceptor.id, CN_IDENTITY_BYTES);
	for (uint64_t n = 1; err != CN_OK; n++) {
		uint64_t before = cn_alloc_count();

		assert_true(n < 50);
		make_pair(fds);
		cn_alloc_fail_at(n);
		err = cn_carrier_create(
		    &dialler.shared, &ops, &dialler, fds[0], &hello, &carrier);
		cn_alloc_fail_at(0);
		if (err == CN_OK) {
			cn_carrier_close(&carrier, NULL, 0);
			(void)uv_run(&loop, UV_RUN_NOWAIT);
		} else {
			assert_int_equal(err, CN_ENOMEM);
			(void)close(fds[0]);
		}
		(void)close(fds[1]);
		assert_int_equal(cn_alloc_count(), before);
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_bytes_cross_both_ways),
		TEST(test_busy_is_a_queue),
		TEST(test_rekeys_while_bytes_cross),
		TEST(test_flood_of_key_updates),
		TEST(test_false_hellos),
		TEST(test_unpinned_keys),
		TEST(test_server_is_not_pinned),
		TEST(test_another_peer_answers),
		TEST(test_refused_hello),
		TEST(test_strangers),
		TEST(test_too_long_before_authentication),
		TEST(test_cut_is_no_clean_end),
		TEST(test_farewell_is_heard),
		TEST(test_handover),
		TEST(test_parcel_is_dropped),
		TEST(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
