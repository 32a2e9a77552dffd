/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "config_helper.h"

#include "config/paths.h"

static int
clear(void **state)
{
	(void)state;
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("STATE_DIRECTORY");
	unsetenv("RUNTIME_DIRECTORY");
	unsetenv("COMPRESSNET_SOCKET");
	setenv("HOME", "/home/u", 1);
	return 0;
}

static void
test_system(void **state)
{
	struct cn_paths paths;

	(void)state;
	unsetenv("HOME");
	assert_int_equal(cn_paths_init(&paths, CN_PATHS_SYSTEM), CN_OK);
	assert_string_equal(paths.config, "/etc/compressnet/compressnet.yaml");
	assert_string_equal(paths.state, "/var/lib/compressnet");
	assert_string_equal(paths.key, "/var/lib/compressnet/identity.key");
	assert_string_equal(paths.socket, "/run/compressnet/control.sock");
}

static void
test_user(void **state)
{
	struct cn_paths paths;

	(void)state;
	assert_int_equal(cn_paths_init(&paths, CN_PATHS_USER), CN_OK);
	assert_string_equal(
	    paths.config, "/home/u/.config/compressnet/compressnet.yaml");
	assert_string_equal(paths.state, "/home/u/.local/state/compressnet");
	assert_string_equal(
	    paths.socket, "/home/u/.local/state/compressnet/control.sock");
	setenv("XDG_CONFIG_HOME", "/x/c", 1);
	setenv("XDG_STATE_HOME", "/x/s", 1);
	setenv("XDG_RUNTIME_DIR", "/x/r", 1);
	unsetenv("HOME");
	assert_int_equal(cn_paths_init(&paths, CN_PATHS_USER), CN_OK);
	assert_string_equal(paths.config, "/x/c/compressnet/compressnet.yaml");
	assert_string_equal(paths.key, "/x/s/compressnet/identity.key");
	assert_string_equal(paths.socket, "/x/r/compressnet/control.sock");
}

static void
test_service_manager(void **state)
{
	struct cn_paths paths;

	(void)state;
	setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1);
	setenv("RUNTIME_DIRECTORY", "/run/a", 1);
	assert_int_equal(cn_paths_init(&paths, CN_PATHS_USER), CN_OK);
	assert_string_equal(paths.key, "/var/lib/a/identity.key");
	assert_string_equal(paths.socket, "/run/a/control.sock");
	setenv("COMPRESSNET_SOCKET", "/tmp/c", 1);
	assert_int_equal(cn_paths_init(&paths, CN_PATHS_SYSTEM), CN_OK);
	assert_string_equal(paths.socket, "/tmp/c");
}

static void
test_bad(void **state)
{
	struct cn_paths paths;
	char path[CN_PATHS_MAX + 1];

	(void)state;
	setenv("HOME", "relative", 1);
	assert_int_equal(cn_paths_init(&paths, CN_PATHS_USER), CN_ENOENT);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[CN_PATHS_MAX - 5] = '\0';
	setenv("HOME", path, 1);
	assert_int_equal(cn_paths_init(&paths, CN_PATHS_USER), CN_ELIMIT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_system, clear),
		cmocka_unit_test_setup(test_user, clear),
		cmocka_unit_test_setup(test_service_manager, clear),
		cmocka_unit_test_setup(test_bad, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
