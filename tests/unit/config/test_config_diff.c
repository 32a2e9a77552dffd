/* SPDX-License-Identifier: Apache-2.0 */
#include "config_helper.h"

#include "base/alloc.h"
#include "config/config_diff.h"

static void
must_differ(const char *before, const char *after, size_t restarts,
    const char *expected)
{
	struct cn_config *x = must_load(before), *y = must_load(after);
	struct cn_config_diff diff;
	struct cn_buf out;

	cn_buf_init(&out, 1u << 20);
	assert_int_equal(cn_config_diff(x, y, &diff), CN_OK);
	assert_int_equal(cn_config_diff_render(&diff, &out), CN_OK);
	assert_int_equal(cn_buf_append(&out, "", 1), CN_OK);
	assert_string_equal((const char *)out.data, expected);
	assert_int_equal(diff.restarts, restarts);
	cn_config_diff_fini(&diff);
	assert_int_equal(diff.count, 0);
	cn_config_unref(&x);
	cn_config_unref(&y);
	cn_buf_fini(&out);
}

static const char before[] = "gateway: {name: lima, listen: [\"*:3\"]}\n"
			     "peers: {tokyo: {identity: " TOKYO "}}\n"
			     "services:\n"
			     "  a: {listen: 127.0.0.1:1, peer: tokyo}\n"
			     "  b: {listen: 127.0.0.1:2, peer: tokyo}\n"
			     "profiles: {mine: {}}\n";

static void
test_equal(void **state)
{
	(void)state;
	must_differ(before, before, 0, "");
	/* Written in another way, meant the same. */
	must_differ(before,
	    "log: {level: info}\nprofiles: {mine: {coalesce: 2000us}}\n"
	    "gateway: {listen: \"*\", name: lima}\n"
	    "services:\n"
	    "  b: {listen: [127.0.0.1:2], peer: tokyo, offer: b}\n"
	    "  a: {listen: 127.0.0.1:1, peer: tokyo}\n"
	    "peers: {tokyo: {identity: " TOKYO "}}\n",
	    0, "");
}

static void
test_classes(void **state)
{
	(void)state;
	must_differ(before,
	    "gateway: {name: quito, listen: [\"*:3\", \"[::1]:4\"]}\n"
	    "peers:\n"
	    "  tokyo: {identity: " TOKYO ", address: t.net, carriers: 2}\n"
	    "  london: {identity: " LONDON "}\n"
	    "services:\n"
	    "  a: {listen: 127.0.0.1:1, peer: tokyo, level: 3}\n"
	    "  c: {listen: 127.0.0.1:2, peer: tokyo}\n"
	    "workers: 4\n"
	    "store: {path: /s, size: 1TiB, memory: 1GiB, index: 1GiB, "
	    "quota: 1MiB}\n"
	    "log: {level: debug}\n",
	    8,
	    "~ gateway.name: \"lima\" -> \"quito\" (restart)\n"
	    "~ gateway.listen: [\"*:3\"] -> [\"*:3\", \"[::1]:4\"] "
	    "(restart)\n"
	    "+ peers.london\n"
	    "~ peers.tokyo.address: none -> \"t.net:3\" (at once)\n"
	    "~ peers.tokyo.carriers: 1 -> 2 (new streams and links)\n"
	    "~ services.a.level: none -> 3 (new streams and links)\n"
	    "- services.b\n"
	    "+ services.c\n"
	    "- profiles.mine\n"
	    "~ workers: 0 -> 4 (restart)\n"
	    "~ store.path: none -> \"/s\" (restart)\n"
	    "~ store.size: 10GiB -> 1TiB (restart)\n"
	    "~ store.memory: 256MiB -> 1GiB (restart)\n"
	    "~ store.index: 0 -> 1GiB (restart)\n"
	    "~ store.quota: 0 -> 1MiB (restart)\n"
	    "~ log.level: \"info\" -> \"debug\" (at once)\n");
}

static void
test_memory(void **state)
{
	struct cn_config *x = must_load(before);
	struct cn_config *y = must_load("gateway: {name: quito}\n");
	uint64_t live = cn_alloc_bytes();
	int err = CN_ENOMEM;

	(void)state;
	for (uint64_t nth = 1; err != CN_OK; nth++) {
		struct cn_config_diff diff = { 0 };

		cn_alloc_fail_at(nth);
		err = cn_config_diff(x, y, &diff);
		cn_alloc_fail_at(0);
		assert_true(err == CN_OK || err == CN_ENOMEM);
		assert_true(err == CN_OK || diff.count == 0);
		assert_true(nth < 1000);
		cn_config_diff_fini(&diff);
		assert_int_equal(cn_alloc_bytes(), live);
	}
	cn_config_unref(&x);
	cn_config_unref(&y);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
