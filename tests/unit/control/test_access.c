/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "control/access.h"

static const struct cn_access_rule rule = {
	.owner = 900,
	.has_read_group = true,
	.read_group = 50,
	.has_change_group = true,
	.change_group = 51,
};

static enum cn_access
grant(uid_t uid, gid_t gid, gid_t second, gid_t third)
{
	struct cn_access_caller caller = { .uid = uid,
		.gid = gid,
		.groups = { second, third },
		.groups_count = 2 };

	return cn_access_grant(&rule, &caller);
}

static void
test_who_may_what(void **state)
{
	(void)state;
	assert_int_equal(grant(0, 0, 0, 0), CN_ACCESS_CHANGE);
	assert_int_equal(grant(900, 900, 900, 900), CN_ACCESS_CHANGE);
	assert_int_equal(grant(1000, 1000, 1000, 51), CN_ACCESS_CHANGE);
	assert_int_equal(grant(1000, 51, 1000, 1000), CN_ACCESS_CHANGE);
	assert_int_equal(grant(1000, 50, 51, 1000), CN_ACCESS_CHANGE);
	assert_int_equal(grant(1000, 1000, 50, 1000), CN_ACCESS_READ);
	assert_int_equal(grant(1000, 50, 1000, 1000), CN_ACCESS_READ);
	assert_int_equal(grant(1000, 1000, 1000, 1000), CN_ACCESS_NONE);
	/* The number of the owner's user says nothing as a group. */
	assert_int_equal(grant(1000, 900, 0, 1000), CN_ACCESS_NONE);
}

static void
test_groups_that_are_not_there(void **state)
{
	/* The fields are zero then, and so is root's group. */
	static const struct cn_access_rule bare = { .owner = 900 };
	const struct cn_access_caller caller = { .uid = 1000, .gid = 0 };

	(void)state;
	assert_int_equal(cn_access_grant(&bare, &caller), CN_ACCESS_NONE);
}

static void
test_ourselves(void **state)
{
	struct cn_access_rule own;
	struct cn_access_caller caller;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(cn_access_caller_of(fds[0], &caller), CN_OK);
	assert_int_equal(caller.uid, geteuid());
	assert_int_equal(caller.pid, getpid());
	assert_int_equal(getgroups(0, NULL), caller.groups_count);
	cn_access_rule_init(&own);
	assert_int_equal(cn_access_grant(&own, &caller), CN_ACCESS_CHANGE);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
	assert_true(cn_access_caller_of(-1, &caller) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_may_what),
		cmocka_unit_test(test_groups_that_are_not_there),
		cmocka_unit_test(test_ourselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
