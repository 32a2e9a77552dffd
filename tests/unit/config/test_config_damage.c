/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every flip, cut and doubling of samples: never a crash, always either a
 * configuration that dumps and loads again, or a reason why not.
 */

#include "config_helper.h"

#include "mutate.h"

static unsigned good, refused;

static void
load_again(const struct cn_config *config)
{
	struct cn_config_text source = { .name = "again.yaml" };
	struct cn_config *copy = NULL;
	struct cn_diag_list diags;
	struct cn_buf out;

	cn_buf_init(&out, 1u << 20);
	assert_int_equal(cn_config_dump(config, &out), CN_OK);
	source.text = (const char *)out.data;
	source.len = out.len;
	cn_diag_init(&diags);
	assert_int_equal(cn_config_parse(&source, 1, &diags, &copy), CN_OK);
	assert_int_equal(copy->services_count, config->services_count);
	cn_config_unref(&copy);
	cn_diag_fini(&diags);
	cn_buf_fini(&out);
}

static void
check(const uint8_t *bytes, size_t len, void *arg)
{
	struct cn_config_text source = { "a.yaml", (const char *)bytes, len };
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	struct cn_buf out;
	int err;

	(void)arg;
	cn_diag_init(&diags);
	cn_buf_init(&out, 1u << 20);
	err = cn_config_parse(&source, 1, &diags, &config);
	if (err == CN_OK) {
		good++;
		assert_int_equal(diags.errors, 0);
		load_again(config);
	} else {
		refused++;
		assert_int_equal(err, CN_ECONFIG);
		assert_true(diags.count > 0);
		assert_null(config);
	}
	assert_int_equal(cn_diag_render_all(&diags, true, &out), CN_OK);
	cn_config_unref(&config);
	cn_diag_fini(&diags);
	cn_buf_fini(&out);
}

static void
damage(const char *sample)
{
	good = 0;
	refused = 0;
	cn_mutate_each((const uint8_t *)sample, strlen(sample), check, NULL);
	assert_true(good > 0);
	assert_true(refused > 0);
}

static void
test_block(void **state)
{
	(void)state;
	damage("gateway:\n  name: a\n  listen: \"[::]:3\"\n"
	       "profiles:\n  p: # x\n    coalesce: 5ms\n"
	       "resume_window: 1m\n");
}

static void
test_flow(void **state)
{
	(void)state;
	damage("{\"gateway\": {name: a, listen: ['*', 1.2.3.4:5]}, "
	       "log: {level: warn}}\n");
}

static void
test_services(void **state)
{
	(void)state;
	damage("gateway: {name: a}\n"
	       "peers: {b: {address: c:1, identity: "
	       "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-"
	       "AAAA-AAAA}}\n"
	       "services: {d: {listen: unix:/e, peer: b, level: 1..3,\n"
	       "  allow_unix_eof: true}}\n");
}

/* Not YAML at all. */
static void
test_garbage(void **state)
{
	uint8_t bytes[256];
	uint32_t random = 1;

	(void)state;
	for (unsigned round = 0; round < 500; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			random = random * 1664525u + 1013904223u;
			bytes[i] = (uint8_t)(random >> 24);
			if (round % 2 == 1) { /* only what YAML is made of */
				bytes[i] =
				    (uint8_t) "{}[],:'\"\n ab-?&*!|>%@#\t"
					[bytes[i] % 24];
			}
		}
		check(bytes, sizeof(bytes), NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_flow),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
