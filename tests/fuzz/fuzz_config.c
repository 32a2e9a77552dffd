/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any text as a configuration: it is refused with a reason, or it loads, and
 * what it loads to can be dumped, loaded again, and is found equal.
 */

#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "config/config_diff.h"

#define OUT_MAX (64u << 20)

static void
require(bool is_so)
{
	if (!is_so) {
		abort();
	}
}

static void
load_again(const struct cn_config *config)
{
	struct cn_config_text source = { .name = "again.yaml" };
	struct cn_config *copy = NULL;
	struct cn_config_diff diff;
	struct cn_diag_list diags;
	struct cn_buf out;

	cn_buf_init(&out, OUT_MAX);
	require(cn_config_dump(config, &out) == CN_OK);
	source.text = (const char *)out.data;
	source.len = out.len;
	cn_diag_init(&diags);
	/* The dump may pass the size of a file: it names every default. */
	if (out.len <= CN_CONFIG_FILE_MAX &&
	    cn_config_parse(&source, 1, &diags, &copy) == CN_OK) {
		require(cn_config_diff(config, copy, &diff) == CN_OK);
		require(diff.count == 0);
		cn_config_diff_fini(&diff);
		cn_config_unref(&copy);
	} else {
		require(out.len > CN_CONFIG_FILE_MAX / 2);
	}
	cn_diag_fini(&diags);
	cn_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cn_config_text source = { "a.yaml", (const char *)data, len };
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	struct cn_buf out;
	int err;

	cn_diag_init(&diags);
	cn_buf_init(&out, OUT_MAX);
	err = cn_config_parse(&source, 1, &diags, &config);
	require(err == CN_OK || err == CN_ECONFIG);
	if (err == CN_OK) {
		require(diags.errors == 0);
		load_again(config);
	} else {
		require(diags.count > 0);
	}
	require(cn_diag_render_all(&diags, false, &out) == CN_OK);
	cn_config_unref(&config);
	cn_diag_fini(&diags);
	cn_buf_fini(&out);
	return 0;
}
