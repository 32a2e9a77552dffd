/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "gateway/sandbox.h"

#define WELL 42

/* Run it in a child, inside the sandbox; returns how the child ended. */
static int
run_inside(void (*probe)(void))
{
	pid_t child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0) {
		if (cn_sandbox_drop() == CN_OK &&
		    cn_sandbox_filter() == CN_OK) {
			probe();
			_exit(WELL);
		}
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void
must_die(void (*probe)(void))
{
	int status = run_inside(probe);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void
execute(void)
{
	char name[] = "true";
	char *args[] = { name, NULL };
	char *env[] = { NULL };

	(void)execve("/bin/true", args, env);
}

static void
make_process(void)
{
	(void)syscall(SYS_fork);
}

static void
trace(void)
{
	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void
regain(void)
{
	if (setuid(0) != 0) {
		_exit(4);
	}
}

static void
set_dumpable(void)
{
	(void)prctl(PR_SET_DUMPABLE, 1);
}

static void
test_what_kills(void **state)
{
	(void)state;
	must_die(execute);
	must_die(make_process);
	must_die(trace);
	must_die(regain);
	must_die(set_dumpable);
}

static void *
in_thread(void *arg)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	*(int *)arg = fd >= 0 && close(fd) == 0;
	return NULL;
}

/* What a gateway does for a living. */
static void
live(void)
{
	pthread_t thread;
	int has_worked = 0;
	int fds[2];
	char byte = 'x';

	if (pthread_create(&thread, NULL, in_thread, &has_worked) != 0 ||
	    pthread_join(thread, NULL) != 0 || !has_worked) {
		_exit(2);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0 ||
	    write(fds[0], &byte, 1) != 1 || read(fds[1], &byte, 1) != 1) {
		_exit(3);
	}
}

static void
test_what_lives(void **state)
{
	int status = run_inside(live);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), WELL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_kills),
		cmocka_unit_test(test_what_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
