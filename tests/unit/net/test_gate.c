/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "base/err.h"
#include "net/gate.h"

#define SECOND 1000000u

static struct sockaddr_storage
v4(uint32_t host)
{
	struct sockaddr_storage room = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&room;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(host);
	return room;
}

static struct sockaddr_storage
v6(const char *text)
{
	struct sockaddr_storage room = { 0 };
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&room;

	in->sin6_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, text, &in->sin6_addr), 1);
	return room;
}

static int
enter(struct cn_gate *gate, struct sockaddr_storage from, uint64_t now)
{
	return cn_gate_enter(gate, (struct sockaddr *)&from, now);
}

static void
leave(struct cn_gate *gate, struct sockaddr_storage from, enum cn_gate_end end,
    uint64_t now)
{
	cn_gate_leave(gate, (struct sockaddr *)&from, end, now);
}

static void
test_flight_keeps_a_share_for_the_known(void **state)
{
	struct cn_gate *gate;
	struct cn_gate_stats stats;
	uint64_t now = SECOND;
	unsigned free_to_all = CN_GATE_FLIGHT - CN_GATE_FLIGHT / 4;

	(void)state;
	assert_int_equal(cn_gate_create(&gate), CN_OK);
	assert_int_equal(enter(gate, v4(1), now), CN_OK);
	leave(gate, v4(1), CN_GATE_ACCEPTED, now);
	for (unsigned i = 0; i < free_to_all; i++) {
		assert_int_equal(enter(gate, v4(100 + i), now), CN_OK);
	}
	assert_int_equal(enter(gate, v4(7777), now), CN_EBUSY);
	for (unsigned i = 0; i < CN_GATE_FLIGHT / 4; i++) {
		assert_int_equal(enter(gate, v4(1), now), CN_OK);
	}
	assert_int_equal(enter(gate, v4(1), now), CN_EBUSY);
	leave(gate, v4(1), CN_GATE_CUT, now);
	assert_int_equal(enter(gate, v4(1), now), CN_OK);
	cn_gate_stats(gate, &stats);
	assert_int_equal(stats.in_flight, CN_GATE_FLIGHT);
	assert_int_equal(stats.ends[CN_GATE_FULL], 2);
	assert_int_equal(stats.ends[CN_GATE_CUT], 1);
	cn_gate_free(&gate);
	assert_null(gate);
}

/* Attempts that one source may begin at this moment, all failing. */
static unsigned
failures(struct cn_gate *gate, struct sockaddr_storage from, uint64_t now)
{
	unsigned n = 0;

	while (n < 1000 && enter(gate, from, now) == CN_OK) {
		leave(gate, from, CN_GATE_GARBAGE, now);
		n++;
	}
	return n;
}

static void
test_rate_of_failures(void **state)
{
	struct cn_gate *gate;
	uint64_t now = SECOND;

	(void)state;
	assert_int_equal(cn_gate_create(&gate), CN_OK);
	assert_int_equal(failures(gate, v4(5), now), CN_GATE_RATE);
	assert_int_equal(failures(gate, v4(6), now), CN_GATE_RATE);
	assert_int_equal(
	    failures(gate, v4(5), now + SECOND / 2), CN_GATE_RATE / 2);
	assert_int_equal(
	    failures(gate, v4(5), now + 10 * SECOND), CN_GATE_RATE);
	/* Success costs nothing, and makes known. */
	now += 100 * SECOND;
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(enter(gate, v4(5), now), CN_OK);
		leave(gate, v4(5), CN_GATE_ACCEPTED, now);
	}
	assert_int_equal(
	    failures(gate, v4(5), now), CN_GATE_RATE * CN_GATE_KNOWN_TIMES);
	/* A clock of another thread that lags does no harm. */
	assert_int_equal(failures(gate, v4(5), now - 5), 0);
	cn_gate_free(&gate);
}

static void
test_who_counts_as_one_source(void **state)
{
	struct cn_gate *gate;
	uint64_t now = SECOND;

	(void)state;
	assert_int_equal(cn_gate_create(&gate), CN_OK);
	assert_int_equal(failures(gate, v6("2001:db8::1"), now), CN_GATE_RATE);
	assert_int_equal(failures(gate, v6("2001:db8::9:8"), now), 0);
	assert_int_equal(
	    failures(gate, v6("2001:db8:0:1::1"), now), CN_GATE_RATE);
	assert_int_equal(failures(gate, v4(0xc0000201), now), CN_GATE_RATE);
	assert_int_equal(failures(gate, v6("::ffff:192.0.2.1"), now), 0);
	cn_gate_free(&gate);
}

static void
test_table_is_bounded_and_known_ones_stay(void **state)
{
	struct cn_gate *gate;
	uint64_t now = SECOND;

	(void)state;
	assert_int_equal(cn_gate_create(&gate), CN_OK);
	assert_int_equal(enter(gate, v4(1), now), CN_OK);
	leave(gate, v4(1), CN_GATE_ACCEPTED, now);
	for (uint32_t i = 0; i < 3 * CN_GATE_SOURCES_MAX; i++) {
		assert_int_equal(failures(gate, v4(1000 + i), now), 10);
	}
	/* Forgotten, so it starts anew. */
	assert_int_equal(failures(gate, v4(1000), now), CN_GATE_RATE);
	assert_int_equal(failures(gate, v4(1), now), CN_GATE_RATE * 4);
	for (uint32_t i = 0; i < 2 * CN_GATE_KNOWN_MAX; i++) {
		assert_int_equal(enter(gate, v4(i << 16), now), CN_OK);
		leave(gate, v4(i << 16), CN_GATE_ACCEPTED, now);
	}
	assert_int_equal(failures(gate, v4(1), now), CN_GATE_RATE);
	cn_gate_free(&gate);
}

static enum cn_gate_end
sniff(const char *bytes)
{
	return cn_gate_sniff((const uint8_t *)bytes, strlen(bytes));
}

static void
test_sniff(void **state)
{
	(void)state;
	assert_int_equal(sniff("\x16"), CN_GATE_ACCEPTED);
	assert_int_equal(sniff("\x16\x03\x01"), CN_GATE_ACCEPTED);
	assert_int_equal(sniff("\x16\x02"), CN_GATE_GARBAGE);
	assert_int_equal(sniff("GET / HT"), CN_GATE_HTTP);
	assert_int_equal(sniff("POST /x "), CN_GATE_HTTP);
	assert_int_equal(sniff("PRI * HT"), CN_GATE_HTTP);
	assert_int_equal(sniff("SSH-2.0-"), CN_GATE_SSH);
	assert_int_equal(sniff("SS"), CN_GATE_SSH);
	assert_int_equal(sniff("EHLO x"), CN_GATE_GARBAGE);
	for (enum cn_gate_end e = 0; e < CN_GATE_END_MAX; e++) {
		assert_non_null(cn_gate_end_name(e));
	}
	assert_string_equal(cn_gate_end_name(CN_GATE_END_MAX), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flight_keeps_a_share_for_the_known),
		cmocka_unit_test(test_rate_of_failures),
		cmocka_unit_test(test_who_counts_as_one_source),
		cmocka_unit_test(test_table_is_bounded_and_known_ones_stay),
		cmocka_unit_test(test_sniff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
