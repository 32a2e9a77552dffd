/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "manage/guard.h"
#include "manage/metrics.h"
#include "manage/openapi.h"
#include "manage/serve.h"
#include "manage/setup.h"

/* What serve would say of itself, without being it. */
static enum cn_exit
print_made(int (*make)(struct cn_buf *))
{
	struct cn_buf text;
	int err;

	cn_buf_init(&text, CN_OPENAPI_MAX);
	err = make(&text);
	if (err == CN_OK) {
		(void)fwrite(text.data, 1, text.len, stdout);
	} else {
		cn_cli_error("%s", cn_err_text(err));
	}
	cn_buf_fini(&text);
	return err == CN_OK ? CN_EXIT_OK : CN_EXIT_FAILED;
}

enum cn_exit
cn_cmd_serve(const struct cn_args *args)
{
	struct cn_serve_plan plan;
	enum cn_exit code;

	if (args->option[CN_OPTION_OPENAPI] != NULL) {
		return print_made(cn_openapi_make);
	}
	if (args->option[CN_OPTION_METRICS] != NULL) {
		return print_made(cn_metrics_reference);
	}
	code = cn_serve_plan(args, &plan);
	if (code == CN_EXIT_OK) {
		code = cn_serve_run(args, &plan);
	}
	cn_serve_plan_fini(&plan);
	return code;
}

enum cn_exit
cn_cmd_dashboard(const struct cn_args *args)
{
	char code_text[CN_GUARD_DIGITS + 1], host[80];
	const struct cn_config_address *address;
	struct cn_serve_plan plan;
	enum cn_exit code = cn_serve_plan(args, &plan);
	int err;

	if (code != CN_EXIT_OK) {
		cn_serve_plan_fini(&plan);
		return code;
	}
	err = cn_setup_make_folder(plan.paths.state);
	if (err == CN_OK) {
		err = cn_guard_make_code(plan.code_folder, code_text);
	}
	if (err < 0) {
		cn_cli_error("cannot leave a code in %s: %s", plan.code_folder,
		    cn_err_text(err));
		cn_cli_hint("be the user that `compressnet serve' runs as, or "
			    "root");
		cn_serve_plan_fini(&plan);
		return err == CN_EACCES ? CN_EXIT_NOT_ALLOWED : CN_EXIT_FAILED;
	}
	address = &plan.listen[0];
	if (strcmp(address->host, "*") == 0 ||
	    strcmp(address->host, "0.0.0.0") == 0 ||
	    strcmp(address->host, "::") == 0) {
		(void)snprintf(host, sizeof(host), "localhost");
	} else {
		(void)snprintf(host, sizeof(host),
		    address->family == 6 ? "[%s]" : "%s", address->host);
	}
	printf("%s://%s:%u/#code=%s\n", plan.is_tls ? "https" : "http", host,
	    (unsigned)address->port, code_text);
	fprintf(stderr, "This address works once, within five minutes.\n");
	cn_serve_plan_fini(&plan);
	return CN_EXIT_OK;
}
