/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of /proc/net: manage/listeners.h. */
#include "manage/listeners.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../mutate.h"

/* As a machine with little endian prints 127.0.0.1:3 and [::1]:2. */
static const char tcp[] =
    "   0: 0100007F:0003 00000000:0000 0A 00000000:00000000 00:00000000 "
    "00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0\n";
static const char udp6[] =
    "  35: 00000000000000000000000001000000:0002 "
    "00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 "
    "00000000     0        0 99 2 0000000000000000 0\n";

static void
reads_listeners(void **state CN_UNUSED)
{
	struct cn_listener l;
	char text[80];

	assert_true(cn_listeners_line(tcp, false, false, &l));
	assert_int_equal(l.port, 3);
	assert_int_equal(l.uid, 1000);
	assert_int_equal(l.inode, 4711);
	cn_listeners_address(&l, text, sizeof(text));
	assert_string_equal(text, "127.0.0.1:3");
	assert_true(cn_listeners_line(udp6, true, true, &l));
	assert_int_equal(l.inode, 99);
	cn_listeners_address(&l, text, sizeof(text));
	assert_string_equal(text, "[::1]:2");
	/* That state listens in the other protocol only. */
	assert_false(cn_listeners_line(tcp, true, false, &l));
	assert_false(cn_listeners_line(udp6, false, true, &l));
	assert_false(cn_listeners_line(
	    "  sl  local_address rem_address   st tx_queue", false, false, &l));
}

static void
read_damaged(const uint8_t *bytes, size_t len, void *arg)
{
	const bool *is_v6 = arg;
	char *line = cn_alloc(len + 1);
	struct cn_listener l;

	assert_non_null(line);
	memcpy(line, bytes, len);
	line[len] = '\0';
	if (cn_listeners_line(line, *is_v6, *is_v6, &l)) {
		assert_int_equal(l.is_v6, *is_v6);
	}
	cn_free(line);
}

static void
damage_does_no_harm(void **state CN_UNUSED)
{
	bool is_v6 = false;

	cn_mutate_each((const uint8_t *)tcp, strlen(tcp), read_damaged, &is_v6);
	is_v6 = true;
	cn_mutate_each(
	    (const uint8_t *)udp6, strlen(udp6), read_damaged, &is_v6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_listeners),
		cmocka_unit_test(damage_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
