/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/notify.h"
#include "manage/api.h"
#include "manage/openapi.h"
#include "manage/servetls.h"
#include "manage/setup.h"

#define BACKLOG 4096
/* The first descriptor that a service manager hands over. */
#define HANDED_FIRST 3

struct serve {
	struct cn_serve_plan *plan; /* borrowed */
	struct cn_api api;
	struct cn_httpd_options options;
	struct cn_buf openapi;
};

/* ---- sockets ---- */

static int
open_listener(const struct cn_config_address *address)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	bool is_any = strcmp(address->host, "*") == 0;
	bool is_six = is_any || address->family == 6;
	int on = 1, off = is_any ? 0 : 1;
	int fd = socket(is_six ? AF_INET6 : AF_INET,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0) {
		return cn_err_from_errno(errno);
	}
	six.sin6_port = four.sin_port = htons(address->port);
	if (!is_any) {
		(void)inet_pton(is_six ? AF_INET6 : AF_INET, address->host,
		    is_six ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (is_six) {
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	}
	err = is_six
	    ? bind(fd, (const struct sockaddr *)(const void *)&six, sizeof(six))
	    : bind(fd, (const struct sockaddr *)(const void *)&four,
		  sizeof(four));
	if (err != 0 || listen(fd, BACKLOG) != 0) {
		err = cn_err_from_errno(errno);
		(void)close(fd);
		return err;
	}
	return fd;
}

/* Is a handed socket bound to loopback? */
static bool
is_local(int fd)
{
	struct sockaddr_storage at = { 0 };
	socklen_t len = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)(void *)&at, &len) != 0) {
		return false;
	}
	if (at.ss_family == AF_INET) {
		const struct sockaddr_in *four =
		    (const struct sockaddr_in *)(const void *)&at;

		return (ntohl(four->sin_addr.s_addr) >> 24) == 127;
	}
	return at.ss_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(
		&((const struct sockaddr_in6 *)(const void *)&at)->sin6_addr);
}

/* Sockets of the service manager (sd_listen_fds(3)). */
static size_t
take_handed(struct serve *serve)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	long count = 0;

	if (pid != NULL && fds != NULL &&
	    strtol(pid, NULL, 10) == (long)getpid()) {
		count = strtol(fds, NULL, 10);
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	for (long i = 0; i < count && i < (long)CN_HTTPD_LISTENERS_MAX; i++) {
		int fd = HANDED_FIRST + (int)i;

		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		serve->options.listener[serve->options.listeners++] = fd;
		serve->plan->is_tls = serve->plan->is_tls || !is_local(fd);
	}
	return serve->options.listeners;
}

static enum cn_exit
open_listeners(struct serve *serve)
{
	const struct cn_serve_plan *plan = serve->plan;

	if (take_handed(serve) > 0) {
		return CN_EXIT_OK;
	}
	for (size_t i = 0; i < plan->listens; i++) {
		int fd = open_listener(&plan->listen[i]);

		if (fd < 0) {
			cn_cli_error("cannot listen on %s: %s",
			    plan->listen[i].text, cn_err_text(fd));
			if (fd == CN_EACCES) {
				cn_cli_hint("ports below 1024 need "
					    "CAP_NET_BIND_SERVICE or socket "
					    "activation; or --listen "
					    "127.0.0.1:8002");
			}
			return CN_EXIT_FAILED;
		}
		serve->options.listener[serve->options.listeners++] = fd;
	}
	return CN_EXIT_OK;
}

/* ---- what SIGHUP reads again ---- */

static int
load_guard(struct serve *serve, const struct cn_serve_plan *plan, char *why)
{
	const struct cn_config_serve *config =
	    plan->config != NULL ? &plan->config->serve : NULL;
	struct cn_guard_options options = {
		.token_file = plan->token_file,
		.read_token_file = plan->read_token_file,
		.code_folder = plan->code_folder,
	};

	if (config != NULL) {
		options.hosts = config->hosts.item;
		options.hosts_count = config->hosts.count;
	}
	atomic_store(&serve->api.is_metrics_open,
	    config != NULL && config->metrics_open);
	return cn_guard_load(serve->api.guard, &options, why);
}

static int
load_tls(struct serve *serve, const struct cn_serve_plan *plan, char *why)
{
	SSL_CTX *tls = NULL;
	int err;

	if (!serve->plan->is_tls) {
		return CN_OK;
	}
	err = cn_servetls_load(
	    plan->certificate, plan->key, plan->has_own_certificate, why, &tls);
	if (err == CN_OK) {
		cn_httpd_set_tls(serve->api.httpd, tls);
		SSL_CTX_free(tls);
	}
	return err;
}

static void
reload(struct serve *serve, const struct cn_args *args)
{
	char why[CN_GUARD_WHY_MAX] = "the configuration has errors";
	struct cn_serve_plan plan;
	int err = CN_ECONFIG;

	cn_notify_reloading();
	if (cn_serve_plan(args, &plan) == CN_EXIT_OK) {
		err = load_guard(serve, &plan, why);
	}
	if (err == CN_OK) {
		err = load_tls(serve, &plan, why);
	}
	cn_serve_plan_fini(&plan);
	if (err == CN_OK) {
		CN_LOG(CN_LOG_INFO, "reloaded", "%s", "");
	} else {
		CN_LOG(
		    CN_LOG_ERROR, "reload-failed", "error=%s", CN_LOG_STR(why));
	}
	cn_notify_ready();
}

/* ---- the process ---- */

static void
raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/*
 * Nothing that comes later may do more than this process needs: no
 * privileges by exec, no core with tokens in it, and of root's powers only
 * that over files, without which root could not reach the socket of a
 * gateway that runs as another user.
 */
static void
give_up_powers(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (geteuid() == 0) {
		data[0].effective = data[0].permitted = 1u << CAP_DAC_OVERRIDE;
	}
	(void)syscall(SYS_capset, &header, data);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int
create_parts(struct serve *serve)
{
	int err = cn_asker_create(
	    serve->plan->socket, serve->plan->timeout_us, &serve->api.asker);

	if (err == CN_OK) {
		err = cn_guard_create(&serve->api.guard);
	}
	if (err == CN_OK) {
		err = cn_watch_create(serve->api.asker, &serve->api.watch);
	}
	if (err == CN_OK) {
		cn_buf_init(&serve->openapi, CN_OPENAPI_MAX);
		err = cn_openapi_make(&serve->openapi);
		serve->api.openapi = (const char *)serve->openapi.data;
		serve->api.openapi_len = serve->openapi.len;
	}
	if (err == CN_OK) {
		size_t listeners = serve->options.listeners;

		serve->options.handler = cn_api_handle;
		serve->options.refuser = cn_api_refuse;
		serve->options.owner = &serve->api;
		serve->options.listeners = listeners;
		err = cn_httpd_create(&serve->options, &serve->api.httpd);
	}
	return err;
}

static enum cn_exit
prepare(struct serve *serve)
{
	char why[CN_GUARD_WHY_MAX] = "";
	int err = cn_setup_make_folder(serve->plan->paths.state);

	if (err == CN_OK) {
		err = create_parts(serve);
	}
	if (err < 0) {
		cn_cli_error("cannot start: %s", cn_err_text(err));
		return CN_EXIT_FAILED;
	}
	serve->api.is_tls = serve->plan->is_tls;
	err = load_guard(serve, serve->plan, why);
	if (err == CN_OK) {
		err = load_tls(serve, serve->plan, why);
	}
	if (err < 0) {
		cn_cli_error("%s", why);
		return CN_EXIT_FAILED;
	}
	return CN_EXIT_OK;
}

static void
wait_for_end(
    struct serve *serve, const struct cn_args *args, const sigset_t *signals)
{
	uint64_t pause_us = cn_notify_interval_us();
	struct timespec pause = {
		.tv_sec = (time_t)(pause_us / 1000000),
		.tv_nsec = (long)(pause_us % 1000000) * 1000,
	};

	for (;;) {
		int number = pause_us > 0 ? sigtimedwait(signals, NULL, &pause)
					  : sigwaitinfo(signals, NULL);

		if (number == SIGHUP) {
			reload(serve, args);
		} else if (number == SIGTERM || number == SIGINT) {
			CN_LOG(CN_LOG_INFO, "stopping", "signal=%d", number);
			cn_notify_stopping();
			return;
		}
		if (pause_us > 0) {
			cn_notify_alive();
		}
	}
}

static void
fini(struct serve *serve)
{
	cn_httpd_free(&serve->api.httpd);
	cn_watch_free(&serve->api.watch);
	cn_guard_free(&serve->api.guard);
	cn_asker_free(&serve->api.asker);
	cn_buf_fini(&serve->openapi);
}

enum cn_exit
cn_serve_run(const struct cn_args *args, struct cn_serve_plan *plan)
{
	struct serve serve = { .plan = plan };
	enum cn_exit code;
	sigset_t signals;
	int err;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	cn_log_open(
	    CN_LOG_INFO, STDERR_FILENO, getenv("JOURNAL_STREAM") != NULL);
	cn_notify_init();
	raise_descriptors();
	code = open_listeners(&serve);
	if (code == CN_EXIT_OK) {
		give_up_powers();
		code = prepare(&serve);
	}
	if (code != CN_EXIT_OK) {
		fini(&serve);
		return code;
	}
	err = cn_watch_start(serve.api.watch);
	if (err == CN_OK) {
		err = cn_httpd_start(serve.api.httpd);
	}
	if (err == CN_OK) {
		CN_LOG(CN_LOG_INFO, "serving", "address=%s scheme=%s",
		    CN_LOG_STR(plan->listen[0].text),
		    plan->is_tls ? "https" : "http");
		cn_notify_ready();
		wait_for_end(&serve, args, &signals);
	} else {
		cn_cli_error("cannot start a thread: %s", cn_err_text(err));
	}
	cn_watch_stop(serve.api.watch);
	cn_httpd_stop(serve.api.httpd);
	fini(&serve);
	return err == CN_OK ? CN_EXIT_OK : CN_EXIT_FAILED;
}
