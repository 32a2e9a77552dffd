/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

/* A log into memory. */
static int
open_log(enum cn_log_level level, bool journal_prefix)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	assert_true(fd >= 0);
	cn_log_open(level, fd, journal_prefix);
	return fd;
}

/* What was logged, as a string. */
static char *
read_log(int fd)
{
	static char text[200000];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static void
test_journal_form(void **state CN_UNUSED)
{
	int fd = open_log(CN_LOG_DEBUG, true);

	CN_LOG(CN_LOG_ERROR, "disk-full", "path=%s", "/var");
	CN_LOG(CN_LOG_WARN, "slow", "rtt_us=%u peer=%s", 7u, "tokyo");
	CN_LOG(CN_LOG_INFO, "started", "%s", "");
	CN_LOG(CN_LOG_DEBUG, "x", "a=b");
	assert_string_equal(read_log(fd),
	    "<3>error disk-full path=/var\n"
	    "<4>warn slow rtt_us=7 peer=tokyo\n"
	    "<6>info started\n"
	    "<7>debug x a=b\n");
	(void)close(fd);
}

static void
test_time_form(void **state CN_UNUSED)
{
	int fd = open_log(CN_LOG_INFO, false);
	const char *form = "dddd-dd-ddTdd:dd:dd.ddddddZ ";
	const char *line;

	CN_LOG(CN_LOG_INFO, "event", "k=v");
	line = read_log(fd);
	for (size_t i = 0; form[i] != '\0'; i++) {
		if (form[i] == 'd') {
			assert_in_range(line[i], '0', '9');
		} else {
			assert_int_equal(line[i], form[i]);
		}
	}
	assert_string_equal(line + strlen(form), "info event k=v\n");
	(void)close(fd);
}

static int evaluated;

static int
evaluate(void)
{
	return ++evaluated;
}

static void
test_level_decides(void **state CN_UNUSED)
{
	int fd = open_log(CN_LOG_WARN, true);
	enum cn_log_level level = CN_LOG_ERROR;

	evaluated = 0;
	CN_LOG(CN_LOG_INFO, "no", "n=%d", evaluate());
	cn_log_write(CN_LOG_INFO, "no", "n=%d", 0);
	assert_int_equal(evaluated, 0);
	cn_log_set_level(CN_LOG_INFO);
	CN_LOG(CN_LOG_INFO, "yes", "n=%d", evaluate());
	CN_LOG(CN_LOG_DEBUG, "no", "n=%d", evaluate());
	assert_string_equal(read_log(fd), "<6>info yes n=1\n");
	for (unsigned int i = 0; i <= CN_LOG_DEBUG; i++) {
		assert_int_equal(
		    cn_log_level_parse(cn_log_level_name(i), &level), CN_OK);
		assert_int_equal(level, i);
	}
	assert_int_equal(cn_log_level_parse("loud", &level), CN_EINVAL);
	assert_int_equal(level, CN_LOG_DEBUG);
	(void)close(fd);
}

static void
test_quoting(void **state CN_UNUSED)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "plain", "plain" },
		{ "10.0.0.1:80", "10.0.0.1:80" },
		{ "", "\"\"" },
		{ "-", "\"-\"" },
		{ NULL, "-" },
		{ "two words", "\"two words\"" },
		{ "a=b", "\"a=b\"" },
		{ "say \"x\" \\", "\"say \\\"x\\\" \\\\\"" },
		{ "l1\nl2\r\t", "\"l1\\nl2\\r\\t\"" },
		{ "\x1b[31m", "\"\\x1b[31m\"" },
		{ "\x9b\xff\x7f", "\"\\x9b\\xff\\x7f\"" },
	};
	char longer[1000], buf[CN_LOG_QUOTED_MAX];
	int fd;

	for (size_t i = 0; i < CN_ARRAY_LEN(cases); i++) {
		assert_string_equal(CN_LOG_STR(cases[i].text), cases[i].want);
	}
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	for (size_t cap = 8; cap < 40; cap++) {
		/* Each size of room ends as a whole quoted text. */
		memset(buf, 'Z', sizeof(buf));
		(void)cn_log_quote(buf, cap, longer);
		assert_true(strlen(buf) < cap);
		assert_string_equal(buf + strlen(buf) - 4, "...\"");
		(void)cn_log_quote(buf, cap,
		    "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"
		    "\n\n\n\n\n\n\n\n");
		assert_true(strlen(buf) < cap);
		assert_int_equal(buf[cap], 'Z');
	}
	assert_true(strlen(CN_LOG_STR(longer)) == CN_LOG_QUOTED_MAX - 1);
	/* What nobody quoted cannot begin a line either. */
	fd = open_log(CN_LOG_INFO, true);
	CN_LOG(CN_LOG_INFO, "e", "name=%s", "a\n<0>error forged\x1b[m");
	assert_string_equal(
	    read_log(fd), "<6>info e name=a?<0>error forged?[m\n");
	(void)close(fd);
}

static void
test_long_lines_are_cut(void **state CN_UNUSED)
{
	static char longer[3 * CN_LOG_LINE_MAX];
	int fd = open_log(CN_LOG_INFO, true);
	const char *text;

	memset(longer, 'y', sizeof(longer) - 1);
	CN_LOG(CN_LOG_INFO, "e", "k=%s", longer);
	CN_LOG(CN_LOG_INFO, longer, "k=%s", longer);
	CN_LOG(CN_LOG_INFO, "e", "k=%s", "short");
	text = read_log(fd);
	assert_int_equal(strcspn(text, "\n") + 1, CN_LOG_LINE_MAX);
	assert_memory_equal(text + CN_LOG_LINE_MAX - 5, "y...\n", 5);
	text += CN_LOG_LINE_MAX;
	assert_int_equal(strcspn(text, "\n") + 1, CN_LOG_LINE_MAX);
	assert_string_equal(text + CN_LOG_LINE_MAX, "<6>info e k=short\n");
	(void)close(fd);
}

static void
test_closed_descriptor(void **state CN_UNUSED)
{
	int fd = open_log(CN_LOG_INFO, true);
	uint64_t dropped = cn_log_dropped();

	(void)close(fd);
	errno = 77;
	CN_LOG(CN_LOG_INFO, "e", "k=%d", 1);
	assert_int_equal(errno, 77);
	assert_int_equal(cn_log_dropped(), dropped + 1);
}

static void
test_full_disk(void **state CN_UNUSED)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	uint64_t dropped = cn_log_dropped();

	if (fd < 0) {
		skip();
	}
	cn_log_open(CN_LOG_INFO, fd, true);
	CN_LOG(CN_LOG_INFO, "e", "k=%d", 1);
	errno = 77;
	CN_LOG(CN_LOG_INFO, "e", "k=%d", 2);
	assert_int_equal(errno, 77);
	assert_int_equal(cn_log_dropped(), dropped + 2);
	(void)close(fd);
}

/* A disk that takes half a line must not spoil the one after it. */
static void
test_torn_line(void **state CN_UNUSED)
{
	char path[] = "/tmp/cn-test-log.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | O_APPEND);
	struct rlimit old, small;
	uint64_t dropped = cn_log_dropped();

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 30;
	cn_log_open(CN_LOG_INFO, fd, true);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	CN_LOG(CN_LOG_INFO, "first", "k=%d", 1);
	CN_LOG(CN_LOG_INFO, "second", "k=%d", 2);
	CN_LOG(CN_LOG_INFO, "third", "k=%d", 3);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	CN_LOG(CN_LOG_INFO, "fourth", "k=%d", 4);
	CN_LOG(CN_LOG_INFO, "fifth", "k=%d", 5);
	assert_string_equal(read_log(fd),
	    "<6>info first k=1\n<6>info seco\n<6>info fourth k=4\n"
	    "<6>info fifth k=5\n");
	assert_int_equal(cn_log_dropped(), dropped + 2);
	(void)close(fd);
}

static void
test_reader_that_does_not_read(void **state CN_UNUSED)
{
	char bytes[4096];
	int fds[2];
	uint64_t dropped = cn_log_dropped();

	for (int kind = 0; kind < 2; kind++) {
		int made = kind == 0
		    ? pipe2(fds, O_CLOEXEC)
		    : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);

		assert_int_equal(made, 0);
		cn_log_open(CN_LOG_INFO, fds[1], true);
		/* Far more than either holds: this would hang if it waited. */
		for (int i = 0; i < 30000; i++) {
			CN_LOG(CN_LOG_INFO, "e", "number=%d", i);
		}
		assert_true(cn_log_dropped() > dropped);
		dropped = cn_log_dropped();
		for (int i = 0; i < 200; i++) {
			ssize_t n =
			    recv(fds[0], bytes, sizeof(bytes), MSG_DONTWAIT);

			if (n < 0 && kind == 0) {
				n = read(fds[0], bytes, sizeof(bytes));
				i = n < (ssize_t)sizeof(bytes) ? 200 : i;
			}
		}
		/* Read again, it goes on. */
		CN_LOG(CN_LOG_INFO, "e", "after=%d", 1);
		assert_int_equal(cn_log_dropped(), dropped);
		/* Gone, it is a drop and no signal. */
		(void)close(fds[0]);
		CN_LOG(CN_LOG_INFO, "e", "after=%d", 2);
		assert_int_equal(cn_log_dropped(), dropped + 1);
		dropped = cn_log_dropped();
		(void)close(fds[1]);
	}
}

static void *
log_much(void *arg)
{
	for (int i = 0; i < 500; i++) {
		CN_LOG(CN_LOG_INFO, "thread", "name=%s number=%04d",
		    (const char *)arg, i);
	}
	return NULL;
}

static void
test_threads_keep_lines_whole(void **state CN_UNUSED)
{
	int fd = open_log(CN_LOG_INFO, true);
	char a[] = "aaaa", b[] = "bbbb";
	pthread_t threads[2];
	const char *text;
	size_t lines = 0;

	assert_int_equal(pthread_create(&threads[0], NULL, log_much, a), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, log_much, b), 0);
	assert_int_equal(pthread_join(threads[0], NULL), 0);
	assert_int_equal(pthread_join(threads[1], NULL), 0);
	text = read_log(fd);
	for (const char *p = text; *p != '\0'; lines++) {
		size_t len = strcspn(p, "\n");

		assert_int_equal(
		    len, strlen("<6>info thread name=aaaa number=0000"));
		assert_memory_equal(p, "<6>info thread name=", 20);
		p += len + 1;
	}
	assert_int_equal(lines, 1000);
	(void)close(fd);
}

static void
test_limit(void **state CN_UNUSED)
{
	struct cn_log_limit limit = { 0 };
	struct cn_log_limit often = { .interval_us = 10 };

	assert_false(cn_log_limited(&limit, 5));
	assert_int_equal(limit.left_out, 0);
	assert_true(cn_log_limited(&limit, 6));
	assert_true(cn_log_limited(&limit, 60000004));
	assert_false(cn_log_limited(&limit, 60000005));
	assert_int_equal(limit.left_out, 2);
	assert_false(cn_log_limited(&limit, 999999999));
	assert_int_equal(limit.left_out, 0);
	assert_false(cn_log_limited(&often, 0));
	assert_true(cn_log_limited(&often, 9));
	assert_false(cn_log_limited(&often, 10));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journal_form),
		cmocka_unit_test(test_time_form),
		cmocka_unit_test(test_level_decides),
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_long_lines_are_cut),
		cmocka_unit_test(test_closed_descriptor),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_torn_line),
		cmocka_unit_test(test_reader_that_does_not_read),
		cmocka_unit_test(test_threads_keep_lines_whole),
		cmocka_unit_test(test_limit),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	cn_log_open(CN_LOG_WARN, STDERR_FILENO, false);
	return rc;
}
