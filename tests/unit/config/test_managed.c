/* SPDX-License-Identifier: Apache-2.0 */
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
#include "config/managed.h"
#include "config/managed_file.h"
#include "mutate.h"

static int
parse(const char *text, size_t len, struct cn_managed *ret)
{
	const struct cn_config_text one = { "managed.yaml", text, len };
	struct cn_diag_list diags;
	int err;

	cn_diag_init(&diags);
	err = cn_managed_parse(&one, &diags, ret);
	assert_true((err == CN_ECONFIG) == (diags.errors > 0));
	cn_diag_fini(&diags);
	return err;
}

static void
write_text(const struct cn_managed *managed, struct cn_buf *out)
{
	cn_buf_init(out, CN_CONFIG_FILE_MAX);
	assert_int_equal(cn_managed_write(managed, out), CN_OK);
	assert_int_equal(cn_buf_append(out, "", 1), CN_OK);
	out->len--;
}

static const struct cn_managed_peer tokyo = { "tokyo", "AAAA-BBBB", "t:3" };
static const struct cn_managed_service db = { "db", "127.0.0.1:5432", "tokyo",
	"db" };
static const struct cn_managed_offer web = { "web", "10.0.0.1:80", "tokyo" };

/* What comes goes again; what else stands there stays. */
static void
test_edits(void **state)
{
	static const char before[] =
	    "log: {level: debug}\n"
	    "peers: {paris: {identity: X, carriers: 2}}\n"
	    "services:\n  mine: {listen: '*:1', peer: paris}\n"
	    "offers:\n  both: {to: 'a:1', peers: [paris]}\n"
	    "  one: {to: 'a:2', peers: paris}\n";
	struct cn_managed_offer both = { "both", NULL, "tokyo" };
	struct cn_managed_offer one = { "one", "a:2", "tokyo" };
	struct cn_managed_offer none = { "none", NULL, "tokyo" };
	struct cn_managed managed;
	struct cn_buf text, again;

	(void)state;
	assert_int_equal(parse(before, sizeof(before) - 1, &managed), CN_OK);
	write_text(&managed, &again);
	assert_int_equal(cn_managed_add_peer(&managed, &tokyo), CN_OK);
	assert_int_equal(cn_managed_add_peer(&managed, &tokyo), CN_OK);
	assert_int_equal(cn_managed_add_service(&managed, &db), CN_OK);
	assert_int_equal(cn_managed_add_service(&managed, &db), CN_OK);
	assert_int_equal(cn_managed_add_offer(&managed, &web), CN_OK);
	assert_int_equal(cn_managed_add_offer(&managed, &both), CN_OK);
	assert_int_equal(cn_managed_add_offer(&managed, &both), CN_OK);
	assert_int_equal(cn_managed_add_offer(&managed, &one), CN_OK);
	assert_int_equal(cn_managed_add_offer(&managed, &none), CN_ENOENT);
	write_text(&managed, &text);
	assert_non_null(strstr((char *)text.data, "    carriers: 2\n"));
	assert_non_null(strstr(
	    (char *)text.data, "    peers:\n      - paris\n      - tokyo\n"));
	assert_non_null(
	    strstr((char *)text.data, "    listen: \"127.0.0.1:5432\"\n"));
	cn_buf_fini(&text);
	assert_true(cn_managed_has(&managed, "services", "db"));
	assert_int_equal(cn_managed_remove_peer(&managed, "tokyo"), CN_OK);
	assert_int_equal(cn_managed_remove_peer(&managed, "tokyo"), CN_ENOENT);
	assert_false(cn_managed_has(&managed, "services", "db"));
	assert_false(cn_managed_has(&managed, "offers", "web"));
	assert_true(cn_managed_has(&managed, "offers", "both"));
	write_text(&managed, &text);
	/* But for `one', whose peers are a list now. */
	assert_non_null(strstr((char *)text.data,
	    "  one:\n    to: \"a:2\"\n    peers:\n      - paris\n"));
	assert_int_equal(cn_managed_remove_peer(&managed, "paris"), CN_OK);
	assert_false(cn_managed_has(&managed, "offers", "one"));
	assert_false(cn_managed_has(&managed, "services", "mine"));
	cn_buf_fini(&text);
	write_text(&managed, &text);
	assert_non_null(strstr((char *)text.data, "log:\n  level: debug\n"));
	assert_null(strstr((char *)text.data, "\npeers:"));
	cn_buf_fini(&text);
	cn_buf_fini(&again);
	cn_managed_fini(&managed);
}

static void
test_taken(void **state)
{
	static const char before[] = "peers: {tokyo: {identity: OTHER}}\n"
				     "services: {db: {peer: paris}}\n"
				     "offers: {web: 7}\n";
	struct cn_managed managed;

	(void)state;
	assert_int_equal(parse(before, sizeof(before) - 1, &managed), CN_OK);
	assert_int_equal(cn_managed_add_peer(&managed, &tokyo), CN_EEXIST);
	assert_int_equal(cn_managed_add_service(&managed, &db), CN_EEXIST);
	assert_int_equal(cn_managed_add_offer(&managed, &web), CN_EINVAL);
	cn_managed_fini(&managed);
	assert_int_equal(parse("[1]\n", 4, &managed), CN_ECONFIG);
	cn_managed_fini(&managed);
	assert_int_equal(parse("a: &b 1\n", 8, &managed), CN_ECONFIG);
	cn_managed_fini(&managed);
	assert_int_equal(parse("", 0, &managed), CN_OK);
	assert_int_equal(cn_managed_add_peer(&managed, &tokyo), CN_OK);
	cn_managed_fini(&managed);
}

/* What is written reads as the same, whatever was read. */
static void
check_text(const uint8_t *bytes, size_t len, void *arg)
{
	struct cn_managed managed, second;
	struct cn_buf text, again;
	size_t *whole = arg;

	if (parse((const char *)bytes, len, &managed) != CN_OK) {
		cn_managed_fini(&managed);
		return;
	}
	(*whole)++;
	write_text(&managed, &text);
	assert_int_equal(
	    parse((const char *)text.data, text.len, &second), CN_OK);
	write_text(&second, &again);
	assert_string_equal((char *)text.data, (char *)again.data);
	/* Edits of anything end well. */
	(void)!cn_managed_add_peer(&managed, &tokyo);
	(void)!cn_managed_add_service(&managed, &db);
	(void)!cn_managed_add_offer(&managed, &web);
	(void)!cn_managed_remove_peer(&managed, "tokyo");
	(void)!cn_managed_remove_peer(&managed, "p");
	cn_buf_fini(&text);
	cn_buf_fini(&again);
	cn_managed_fini(&second);
	cn_managed_fini(&managed);
}

static void
test_damage(void **state)
{
	static const char text[] = "peers: {p: {identity: \"A\\\\\\\"\"}}\n"
				   "offers:\n  o: {to: 'x:1', peers: [p, q]}\n";
	size_t whole = 0;

	(void)state;
	cn_mutate_each(
	    (const uint8_t *)text, sizeof(text) - 1, check_text, &whole);
	assert_true(whole > 100);
}

static void
test_no_memory(void **state)
{
	static const char text[] = "offers: {web: {to: 'x', peers: tokyo}}\n";
	struct cn_managed_offer more = { "web", NULL, "paris" };
	bool is_through = false;

	(void)state;
	for (uint64_t n = 1; !is_through; n++) {
		struct cn_managed managed = { .root = NULL };
		struct cn_diag_list diags;
		struct cn_buf out;
		const struct cn_config_text one = { "m", text,
			sizeof(text) - 1 };
		int err;

		cn_diag_init(&diags);
		cn_buf_init(&out, 4096);
		cn_alloc_fail_at(n);
		err = cn_managed_parse(&one, &diags, &managed);
		err =
		    err == CN_OK ? cn_managed_add_peer(&managed, &tokyo) : err;
		err =
		    err == CN_OK ? cn_managed_add_offer(&managed, &more) : err;
		err = err == CN_OK ? cn_managed_write(&managed, &out) : err;
		cn_alloc_fail_at(0);
		assert_true(err == CN_OK || err == CN_ENOMEM);
		is_through = err == CN_OK;
		cn_buf_fini(&out);
		cn_managed_fini(&managed);
		cn_diag_fini(&diags);
	}
}

/* ---- the file ---- */

static void
test_file(void **state)
{
	char folder[] = "/tmp/cn-managed-XXXXXX", config[64], conf_d[64];
	char path[CN_MANAGED_FILE_PATH_MAX];
	char first[CN_MANAGED_FILE_ETAG_MAX], second[CN_MANAGED_FILE_ETAG_MAX];
	struct cn_buf text;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(config, sizeof(config), "%s/main.yaml", folder);
	(void)snprintf(conf_d, sizeof(conf_d), "%s/conf.d", folder);
	assert_int_equal(cn_managed_file_path(config, path), CN_OK);
	cn_buf_init(&text, 4u << 20);
	assert_int_equal(cn_managed_file_read(path, &text), CN_ENOENT);
	assert_int_equal(cn_managed_file_check(path), CN_OK);
	assert_int_equal(cn_managed_file_read(path, &text), CN_ENOENT);
	assert_int_equal(cn_managed_file_write(path, "one", 3), CN_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(cn_managed_file_write(path, "two", 3), CN_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(cn_managed_file_read(path, &text), CN_OK);
	assert_int_equal(text.len, 3);
	assert_memory_equal(text.data, "two", 3);
	cn_managed_file_etag(text.data, text.len, first);
	cn_managed_file_etag("twp", 3, second);
	assert_string_not_equal(first, second);
	cn_managed_file_etag(NULL, 0, first);
	assert_string_equal(first, CN_MANAGED_FILE_ABSENT);
	cn_managed_file_etag("", 0, first);
	assert_string_not_equal(first, CN_MANAGED_FILE_ABSENT);
	assert_int_equal(cn_managed_file_remove(path), CN_OK);
	assert_int_equal(cn_managed_file_remove(path), CN_OK);
	assert_int_equal(access(path, F_OK), -1);
	/* Something else in the way. */
	assert_int_equal(mkdir(path, 0755), 0);
	assert_true(cn_managed_file_write(path, "x", 1) < 0);
	cn_buf_clear(&text);
	assert_true(cn_managed_file_read(path, &text) < 0);
	assert_int_equal(rmdir(path), 0);
	/* Nothing but the folder is left: no temporary file. */
	assert_int_equal(rmdir(conf_d), 0);
	assert_int_equal(rmdir(folder), 0);
	cn_buf_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
