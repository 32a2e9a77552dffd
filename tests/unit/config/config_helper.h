/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_CONFIG_HELPER_H
#define CN_TESTS_CONFIG_HELPER_H

/* What the tests of the configuration share. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

#define LONDON                                                                 \
	"BMYF-K6U7-YTUQ-4M2Y-PWRM-P3AR-GZ4Q-NYBJ-OK54-KDSX-UDVD-G7EF-Z4MG-"    \
	"DAJI"
#define TOKYO                                                                  \
	"OCK3-VXYE-FFHH-HGF5-4IDS-YULW-TPVH-AOKC-RPKR-4Z5Q-7IBU-ZFO7-FBY3-"    \
	"VQPJ"

/* A gateway and one peer, for what follows. */
#define HEAD                                                                   \
	"gateway: {name: lima, listen: \"0.0.0.0:3\"}\n"                       \
	"peers: {tokyo: {identity: \"" TOKYO "\"}}\n"

static inline struct cn_config_text
text_of(const char *name, const char *text)
{
	return (struct cn_config_text){ name, text, strlen(text) };
}

/* Load one text that must be good. */
static inline struct cn_config *
must_load(const char *text)
{
	struct cn_config_text source = text_of("a.yaml", text);
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	struct cn_buf out;
	int err;

	cn_diag_init(&diags);
	err = cn_config_parse(&source, 1, &diags, &config);
	if (err != CN_OK || diags.count != 0) {
		cn_buf_init(&out, 1u << 20);
		assert_int_equal(cn_diag_render_all(&diags, false, &out), 0);
		print_error("%.*s", (int)out.len, (const char *)out.data);
		cn_buf_fini(&out);
	}
	assert_int_equal(err, CN_OK);
	assert_int_equal(diags.count, 0);
	cn_diag_fini(&diags);
	return config;
}

/* Load texts; the diagnostics must read so, all of them. */
static inline void
must_say(const struct cn_config_text *texts, size_t count, int expected_err,
    const char *expected)
{
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	struct cn_buf out;

	cn_diag_init(&diags);
	cn_buf_init(&out, 1u << 20);
	assert_int_equal(
	    cn_config_parse(texts, count, &diags, &config), expected_err);
	assert_true((config == NULL) == (expected_err != CN_OK));
	cn_config_unref(&config);
	for (size_t i = 0; i < diags.count; i++) {
		assert_int_equal(
		    cn_diag_render(&diags.item[i], false, &out), CN_OK);
	}
	assert_int_equal(cn_buf_append(&out, "", 1), CN_OK);
	assert_string_equal((const char *)out.data, expected);
	cn_buf_fini(&out);
	cn_diag_fini(&diags);
}

static inline void
must_fail_all(
    const struct cn_config_text *texts, size_t count, const char *expected)
{
	must_say(texts, count, CN_ECONFIG, expected);
}

/* Load one text that is good, but not without a word. */
static inline void
must_warn(const char *text, const char *expected)
{
	struct cn_config_text source = text_of("a.yaml", text);

	must_say(&source, 1, CN_OK, expected);
}

static inline void
must_fail(const char *text, const char *expected)
{
	struct cn_config_text source = text_of("a.yaml", text);

	must_fail_all(&source, 1, expected);
}

#endif /* CN_TESTS_CONFIG_HELPER_H */
