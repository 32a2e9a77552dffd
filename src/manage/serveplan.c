/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/serve.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "control/client.h"
#include "manage/serve.h"
#include "manage/setup.h"

/* A file of the configuration, or one of that name in the state folder. */
static void
choose(char *ret, size_t size, const char *given, const struct cn_paths *paths,
    const char *name)
{
	if (given != NULL) {
		(void)snprintf(ret, size, "%s", given);
	} else {
		(void)snprintf(ret, size, "%s/%s", paths->state, name);
	}
}

/* "127.0.0.1:2", "[::1]:2". */
static bool
parse_listen(struct cn_serve_plan *plan, const char *text)
{
	struct cn_config_address *address = &plan->listen[0];
	const char *colon = strrchr(text, ':');
	const char *from = text;
	unsigned char raw[16];
	unsigned port = 0;
	size_t len;

	if (colon == NULL || colon == text || colon[1] == '\0') {
		return false;
	}
	for (const char *c = colon + 1; *c != '\0'; c++) {
		port = port * 10 + (unsigned)(*c - '0');
		if (*c < '0' || *c > '9' || port > UINT16_MAX) {
			return false;
		}
	}
	len = (size_t)(colon - text);
	address->family = from[0] == '[' ? 6 : 4;
	if (address->family == 6) {
		if (colon[-1] != ']') {
			return false;
		}
		from++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(plan->host)) {
		return false;
	}
	memcpy(plan->host, from, len);
	plan->host[len] = '\0';
	address->kind = CN_CONFIG_ADDRESS_TCP;
	address->port = (uint16_t)port;
	address->host = plan->host;
	address->text = text;
	plan->listens = 1;
	return inet_pton(address->family == 6 ? AF_INET6 : AF_INET, plan->host,
		   raw) == 1;
}

static bool
is_loopback(const struct cn_config_address *address)
{
	return address->family == 6
	    ? strcmp(address->host, "::1") == 0
	    : address->family == 4 && strncmp(address->host, "127.", 4) == 0;
}

static enum cn_exit
load_config(const struct cn_args *args, struct cn_serve_plan *plan)
{
	const char *file = args->option[CN_OPTION_CONFIG];
	enum cn_exit code = CN_EXIT_OK;
	struct cn_diag_list diags;
	int err;

	if (file == NULL) {
		if (access(plan->paths.config, F_OK) != 0) {
			return CN_EXIT_OK;
		}
		file = plan->paths.config;
	}
	cn_diag_init(&diags);
	err = cn_config_load(file, &diags, &plan->config);
	cn_cli_print_diags(args, &diags);
	cn_diag_fini(&diags);
	if (err < 0) {
		cn_cli_error("%s: %s", file, cn_err_text(err));
		code = err == CN_ECONFIG ? CN_EXIT_CONFIG : CN_EXIT_FAILED;
	}
	return code;
}

static enum cn_exit
plan_listen(const struct cn_args *args, struct cn_serve_plan *plan,
    const struct cn_config_serve *serve)
{
	const char *given = args->option[CN_OPTION_LISTEN];

	if (given == NULL && serve != NULL && serve->listen.count > 0) {
		for (size_t i = 0; i < serve->listen.count &&
		     plan->listens < CN_SERVE_LISTEN_MAX;
		     i++) {
			plan->listen[plan->listens++] = serve->listen.item[i];
		}
		return CN_EXIT_OK;
	}
	if (!parse_listen(
		plan, given != NULL ? given : CN_SERVE_LISTEN_DEFAULT)) {
		return cn_cli_usage(args,
		    "--listen takes ADDRESS:PORT, such as 127.0.0.1:2 or "
		    "[::1]:2");
	}
	return CN_EXIT_OK;
}

/*
 * HTTPS where a certificate is given or an address is not loopback; the two
 * do not mix, so that nobody takes the one for the other.
 */
static enum cn_exit
plan_tls(const struct cn_args *args, struct cn_serve_plan *plan,
    const struct cn_config_serve *serve)
{
	bool is_given = serve != NULL && serve->certificate != NULL;

	plan->is_tls = is_given;
	for (size_t i = 0; i < plan->listens; i++) {
		plan->is_tls = plan->is_tls || !is_loopback(&plan->listen[i]);
	}
	if (plan->is_tls && args->option[CN_OPTION_PLAIN] != NULL) {
		cn_cli_error("plain HTTP is only spoken on loopback: tokens "
			     "would cross the network for all to read");
		cn_cli_hint("leave --plain out, or listen on 127.0.0.1 and "
			    "come by `ssh -L'");
		return CN_EXIT_USAGE;
	}
	plan->has_own_certificate = !is_given;
	choose(plan->certificate, sizeof(plan->certificate),
	    is_given ? serve->certificate : NULL, &plan->paths, "serve.crt");
	choose(plan->key, sizeof(plan->key), is_given ? serve->key : NULL,
	    &plan->paths, "serve.key");
	return CN_EXIT_OK;
}

enum cn_exit
cn_serve_plan(const struct cn_args *args, struct cn_serve_plan *plan)
{
	const struct cn_config_serve *serve = NULL;
	const char *socket = args->option[CN_OPTION_SOCKET];
	uint64_t timeout_ms;
	enum cn_exit code;

	memset(plan, 0, sizeof(*plan));
	if (!cn_cli_number(
		args, CN_OPTION_TIMEOUT, 5000, 1, 600000, &timeout_ms)) {
		return CN_EXIT_USAGE;
	}
	plan->timeout_us = timeout_ms * 1000;
	code = cn_setup_paths(&plan->paths);
	if (code == CN_EXIT_OK) {
		code = load_config(args, plan);
	}
	if (code != CN_EXIT_OK) {
		return code;
	}
	if (plan->config != NULL) {
		serve = &plan->config->serve;
		if (socket == NULL) {
			socket = plan->config->control.socket;
		}
	}
	choose(plan->token_file, sizeof(plan->token_file),
	    serve != NULL ? serve->token_file : NULL, &plan->paths,
	    "api.token");
	choose(plan->read_token_file, sizeof(plan->read_token_file),
	    serve != NULL ? serve->read_token_file : NULL, &plan->paths,
	    "api-read.token");
	choose(plan->code_folder, sizeof(plan->code_folder), NULL, &plan->paths,
	    "sign-in");
	code = plan_listen(args, plan, serve);
	if (code == CN_EXIT_OK) {
		code = plan_tls(args, plan, serve);
	}
	if (code == CN_EXIT_OK &&
	    cn_client_path(socket, plan->socket, sizeof(plan->socket)) !=
		CN_OK) {
		cn_cli_error("the path of the control socket is too long");
		code = CN_EXIT_USAGE;
	}
	return code;
}

void
cn_serve_plan_fini(struct cn_serve_plan *plan)
{
	cn_config_unref(&plan->config);
}
