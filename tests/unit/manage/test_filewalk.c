/* SPDX-License-Identifier: Apache-2.0 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "manage/filewalk.h"

/* What a walk met, as text. */
struct met {
	char text[4096];
	unsigned files, bad;
	unsigned files_max; /* then it ends; 0: never */
	int err;            /* of the last bad one */
};

static char root[64];

static void
note(struct met *met, const char *path, const char *what)
{
	size_t len = strlen(met->text);

	if (strncmp(path, root, strlen(root)) == 0) {
		path += strlen(root);
	}
	(void)snprintf(
	    met->text + len, sizeof(met->text) - len, "%s%s ", path, what);
}

static bool
on_file(void *arg, const char *path, int fd, uint64_t size)
{
	struct met *met = arg;
	char byte;

	assert_int_equal(read(fd, &byte, 1), size > 0);
	note(met, path, "");
	met->files++;
	return met->files != met->files_max;
}

static void
on_bad(void *arg, const char *path, int err)
{
	struct met *met = arg;

	note(met, path, "!");
	met->bad++;
	met->err = err;
}

static bool
walk(struct met *met, const char *path)
{
	struct cn_filewalk walk = { on_file, on_bad, met };

	return cn_filewalk_run(&walk, path);
}

static const char *
in_root(const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static void
make_file(const char *name)
{
	FILE *file = fopen(in_root(name), "w");

	assert_non_null(file);
	assert_true(fputs(name, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int
set_up(void **state)
{
	(void)state;
	(void)snprintf(root, sizeof(root), "%s", "/tmp/cn-test-XXXXXX");
	return mkdtemp(root) == NULL ? -1 : 0;
}

static int
remove_one(const char *path, const struct stat *st CN_UNUSED,
    int kind CN_UNUSED, struct FTW *where CN_UNUSED)
{
	return remove(path);
}

static int
tear_down(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
make_tree(void)
{
	assert_int_equal(mkdir(in_root("b"), 0755), 0);
	assert_int_equal(mkdir(in_root("b/empty"), 0755), 0);
	make_file("b/2");
	make_file("b/10");
	make_file("c");
	make_file("a");
	assert_int_equal(mkdir(in_root("outside"), 0755), 0);
	make_file("outside/x");
	assert_int_equal(symlink("../outside", in_root("b/link")), 0);
	assert_int_equal(symlink("../outside/x", in_root("b/file")), 0);
	assert_int_equal(symlink("nowhere", in_root("dangling")), 0);
	assert_int_equal(mkfifo(in_root("fifo"), 0600), 0);
}

static void
test_order(void **state)
{
	struct met met = { 0 };

	(void)state;
	make_tree();
	assert_true(walk(&met, root));
	assert_string_equal(met.text, "/a /b/10 /b/2 /c /outside/x ");
	assert_int_equal(met.bad, 0);
}

/* What is named itself. */
static void
test_named(void **state)
{
	struct met met = { 0 };

	(void)state;
	make_tree();
	assert_true(walk(&met, in_root("c")));
	assert_true(walk(&met, in_root("b/link")));
	assert_true(walk(&met, in_root("b/file")));
	assert_true(walk(&met, in_root("b/")));
	assert_string_equal(met.text, "/c /b/link/x /b/file /b/10 /b/2 ");
	met = (struct met){ 0 };
	assert_true(walk(&met, in_root("fifo")));
	assert_int_equal(met.err, CN_EINVAL);
	assert_true(walk(&met, in_root("dangling")));
	assert_int_equal(met.err, CN_ENOENT);
	assert_true(walk(&met, "/dev/null"));
	assert_int_equal(met.err, CN_EINVAL);
	assert_true(walk(&met, ""));
	assert_int_equal(met.bad, 4);
	assert_int_equal(met.files, 0);
}

static void
test_ended(void **state)
{
	struct met met = { .files_max = 2 };

	(void)state;
	make_tree();
	assert_false(walk(&met, root));
	assert_string_equal(met.text, "/a /b/10 ");
}

static void
test_limits(void **state)
{
	static char path[CN_FILEWALK_PATH_MAX + 1];
	struct met met = { 0 };
	size_t len = strlen(root);

	(void)state;
	memset(path, 'x', CN_FILEWALK_PATH_MAX);
	assert_true(walk(&met, path));
	assert_int_equal(met.err, CN_ENAMETOOLONG);
	memcpy(path, root, len);
	for (unsigned i = 0; i < CN_FILEWALK_DEPTH_MAX; i++) {
		memcpy(path + len, "/d", 3);
		len += 2;
		assert_int_equal(mkdir(path, 0755), 0);
	}
	met = (struct met){ 0 };
	assert_true(walk(&met, root));
	assert_int_equal(met.bad, 1);
	assert_int_equal(met.err, CN_ELIMIT);
}

/* Without memory something is told, and nothing is kept. */
static void
test_memory(void **state)
{
	uint64_t used = 0;

	(void)state;
	make_tree();
	for (uint64_t nth = 1;; nth++) {
		struct met met = { 0 };

		cn_alloc_fail_at(nth);
		assert_true(walk(&met, root));
		cn_alloc_fail_at(0);
		if (met.bad == 0) {
			assert_int_equal(met.files, 5);
			used = nth;
			break;
		}
		assert_int_equal(met.err, CN_ENOMEM);
		assert_true(met.files < 5);
	}
	assert_true(used > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ended, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
