/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `doctor': a checklist of the set-up, each point with what was seen and, where
 * it is not right, one line that mends it.
 */
#include "manage/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "config/diag.h"
#include "control/client.h"
#include "manage/ask.h"
#include "manage/human.h"
#include "manage/setup.h"
#include "manage/table.h"

#define CONNECT_MS 3000
#define TEXT_MAX 320u
/* Carriers need so much for a window of their own on most WANs. */
#define BUFFER_LEAST (UINT64_C(4) << 20)
#define DESCRIPTORS_LEAST 4096u
#define CARRIER_PORT "3"

enum result { GOOD, WARNING, BAD };

struct checkup {
	const struct cn_args *args;
	const char *only; /* this peer alone; or NULL */
	json_t *list;     /* owned; of what was found */
	unsigned counts[3];
	bool is_failed; /* memory ran out */
};

/* ---- findings ---- */

static void
print_finding(const struct checkup *c, enum result result, const char *subject,
    const char *evidence, const char *fix)
{
	static const char *const marks[] = { " OK ", "WARN", "FAIL" };
	static const char *const colours[] = { "\x1b[32m", "\x1b[33m",
		"\x1b[31m" };
	bool is_coloured = cn_cli_is_coloured(c->args, STDOUT_FILENO);

	printf("[%s%s%s] %-24s %s\n", is_coloured ? colours[result] : "",
	    marks[result], is_coloured ? "\x1b[0m" : "", subject, evidence);
	if (fix != NULL) {
		printf("       -> %s\n", fix);
	}
}

/*
 * @subject  what was looked at: "peer tokyo"
 * @fix      one line; NULL where it is GOOD
 * @fmt      the evidence
 */
static void CN_PRINTF(5, 6) found(struct checkup *c, enum result result,
    const char *subject, const char *fix, const char *fmt, ...)
{
	static const char *const names[] = { "ok", "warning", "failed" };
	char text[TEXT_MAX], clean[TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cn_table_clean(clean, sizeof(clean), text);
	c->counts[result]++;
	if (c->args->option[CN_OPTION_JSON] == NULL) {
		print_finding(c, result, subject, clean, fix);
	} else if (json_array_append_new(c->list,
		       json_pack("{s:s, s:s, s:s, s:s?}", "subject", subject,
			   "result", names[result], "evidence", clean, "fix",
			   fix)) != 0) {
		c->is_failed = true;
	}
}

/* ---- this host ---- */

/* The n-th number of a file of the kernel, from 0; 0: none. */
static uint64_t
read_kernel(const char *path, unsigned n)
{
	FILE *file = fopen(path, "re");
	char line[256] = "";
	char *at = line;
	uint64_t value = 0;

	if (file == NULL) {
		return 0;
	}
	if (fgets(line, sizeof(line), file) == NULL) {
		line[0] = '\0';
	}
	(void)fclose(file);
	for (unsigned i = 0; i <= n; i++) {
		char *end;

		value = strtoull(at, &end, 10);
		if (end == at) {
			return 0;
		}
		at = end;
	}
	return value;
}

static void
check_buffers(struct checkup *c)
{
	static const struct {
		const char *path, *name;
	} rows[] = {
		{ "/proc/sys/net/ipv4/tcp_wmem", "net.ipv4.tcp_wmem" },
		{ "/proc/sys/net/ipv4/tcp_rmem", "net.ipv4.tcp_rmem" },
	};

	for (size_t i = 0; i < CN_ARRAY_LEN(rows); i++) {
		uint64_t most = read_kernel(rows[i].path, 2);
		char fix[TEXT_MAX];

		(void)snprintf(fix, sizeof(fix),
		    "sysctl -w %s=\"4096 131072 16777216\" (and in "
		    "/etc/sysctl.d)",
		    rows[i].name);
		if (most == 0) {
			continue; /* not to be seen in here */
		}
		found(c, most < BUFFER_LEAST ? WARNING : GOOD, rows[i].name,
		    most < BUFFER_LEAST ? fix : NULL,
		    "at most %s: enough for %s at a round trip of 100 ms",
		    cn_human_memory(most).text,
		    cn_human_rate(most * 10, 1000000).text);
	}
}

static void
check_config(struct checkup *c)
{
	const char *file = c->args->option[CN_OPTION_CONFIG];
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	struct cn_paths paths;
	int err;

	if (cn_setup_paths(&paths) != CN_EXIT_OK) {
		return;
	}
	file = file != NULL ? file : paths.config;
	cn_diag_init(&diags);
	err = cn_setup_load(file, &diags, &config);
	if (err == CN_OK) {
		found(c, GOOD, "configuration", NULL,
		    "%s: %zu peers, %zu services, %zu offers", file,
		    config->peers_count, config->services_count,
		    config->offers_count);
	} else {
		found(c, BAD, "configuration",
		    "run `compressnet config check' and mend what it says",
		    "%s: %s", file, cn_err_text(err));
	}
	cn_config_unref(&config);
	cn_diag_fini(&diags);
}

static void
check_key(struct checkup *c)
{
	char path[CN_SNAP_PATH];
	struct stat st;

	if (cn_setup_key_path(c->args, path, sizeof(path)) != CN_EXIT_OK) {
		return;
	}
	if (stat(path, &st) != 0) {
		enum result result = errno == EACCES ? WARNING : BAD;

		found(c, result, "key",
		    result == WARNING
			? "run this as the gateway's user or as root to see it"
			: "compressnet key gen",
		    "%s: %s", path, cn_err_text(cn_err_from_errno(errno)));
	} else if ((st.st_mode & 077) != 0) {
		found(c, BAD, "key", "let only its owner read it: chmod 600",
		    "%s: others than its owner may use it (mode %03o)", path,
		    (unsigned)st.st_mode & 0777);
	} else {
		found(c, GOOD, "key", NULL, "%s, mode %03o", path,
		    (unsigned)st.st_mode & 0777);
	}
}

/* ---- the gateway ---- */

static void
check_gateway(struct checkup *c, const struct cn_snap_status *status)
{
	const struct cn_snap_gateway *g = &status->gateway;
	const struct cn_snap_memory *m = &status->memory;
	bool is_old = strcmp(g->version, CN_VERSION) != 0;
	bool is_tight = m->pool_used > m->pool_limit / 10 * 8;
	bool is_few = g->descriptors_limit < DESCRIPTORS_LEAST ||
	    g->descriptors > g->descriptors_limit / 10 * 8;

	found(c, is_old ? WARNING : GOOD, "gateway",
	    is_old ? "restart compressnetd, so that both are of one version"
		   : NULL,
	    "%s, version %s, process %" PRIu32 ", up for %s", g->name,
	    g->version, g->pid, cn_human_duration(g->uptime_us).text);
	if (g->config_error[0] != '\0') {
		found(c, BAD, "last reload",
		    "run `compressnet config check', mend it, and reload", "%s",
		    g->config_error);
	}
	found(c, is_few ? WARNING : GOOD, "descriptors",
	    is_few ? "raise LimitNOFILE= of the unit, or `ulimit -n'" : NULL,
	    "%" PRIu64 " of %" PRIu64 " in use", g->descriptors,
	    g->descriptors_limit);
	found(c, is_tight ? WARNING : GOOD, "memory",
	    is_tight ? "raise memory.limit" : NULL, "%s of %s in use",
	    cn_human_memory(m->pool_used).text,
	    cn_human_memory(m->pool_limit).text);
	if (g->log_dropped > 0) {
		found(c, WARNING, "log",
		    "have its reader keep up, or log less (log.level)",
		    "%" PRIu64 " lines were dropped", g->log_dropped);
	}
}

static void
check_store(struct checkup *c, const struct cn_snap_store *store)
{
	if (!store->is_on) {
		found(c, WARNING, "store",
		    "set store.memory, or leave it out for 256MiB",
		    "there is none: what crossed before crosses again");
	} else if (store->is_disk_lost) {
		found(c, BAD, "store",
		    "mend the folder, then restart the gateway",
		    "the disk is not in use: %s", store->error);
	} else if (store->damaged > 0 || store->load_failures > 0) {
		found(c, WARNING, "store",
		    "look at the disk's health; `compressnet store verify' "
		    "reads all of it",
		    "%" PRIu64 " segments were damaged at the start, %" PRIu64
		    " could not be read back since",
		    store->damaged, store->load_failures);
	} else {
		found(c, GOOD, "store", NULL, "%s in memory, %s on disk",
		    cn_human_memory(store->memory_bytes).text,
		    cn_human_memory(store->disk_bytes).text);
	}
}

/* ---- reaching addresses ---- */

/* "host:port" or "[v6]:port", either also without a port. */
static bool
split(const char *address, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(address, ':');
	size_t len = strlen(address);

	if (address[0] == '[') {
		const char *end = strchr(address, ']');

		if (end == NULL) {
			return false;
		}
		colon = end[1] == ':' ? end + 1 : NULL;
		len = (size_t)(end - address) - 1;
		address++;
	} else if (colon != NULL) {
		len = (size_t)(colon - address);
	}
	if (len == 0 || len >= size) {
		return false;
	}
	memcpy(host, address, len);
	host[len] = '\0';
	*port = colon != NULL ? colon + 1 : CARRIER_PORT;
	return true;
}

/* 0, or the errno of the attempt. */
static int
try_connect(const struct addrinfo *to)
{
	struct pollfd poller = { .events = POLLOUT };
	int error = 0;
	socklen_t len = sizeof(error);

	poller.fd = socket(
	    to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (poller.fd < 0) {
		return errno;
	}
	if (connect(poller.fd, to->ai_addr, to->ai_addrlen) != 0) {
		error = errno;
	}
	if (error == EINPROGRESS) {
		error = ETIMEDOUT;
		if (poll(&poller, 1, CONNECT_MS) > 0) {
			(void)getsockopt(
			    poller.fd, SOL_SOCKET, SO_ERROR, &error, &len);
		}
	}
	(void)close(poller.fd);
	return error;
}

/* Look the name up and connect; what was seen goes into why. */
static bool
reach(const char *address, char *why, size_t size, const char **fix)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	char host[256];
	const char *port;
	int error = EHOSTUNREACH;
	int err;

	if (!split(address, host, sizeof(host), &port)) {
		(void)snprintf(why, size, "%s is no address", address);
		*fix = "write it as host:port";
		return false;
	}
	err = getaddrinfo(host, port, &hints, &list);
	if (err != 0) {
		(void)snprintf(why, size, "%s: %s", address, gai_strerror(err));
		*fix = "mend the name in the configuration or in the DNS";
		return false;
	}
	for (struct addrinfo *at = list; at != NULL && error != 0;
	     at = at->ai_next) {
		error = try_connect(at);
	}
	freeaddrinfo(list);
	(void)snprintf(why, size, "%s: %s", address,
	    error == 0 ? "accepts connections"
		       : cn_err_text(cn_err_from_errno(error)));
	*fix = error == ECONNREFUSED
	    ? "start what listens there, or mend the port"
	    : "open the way there: routes and firewalls on both sides";
	return error == 0;
}

/* ---- peers, services, offers ---- */

static void
check_peer_down(
    struct checkup *c, const char *subject, const struct cn_snap_peer *peer)
{
	char why[TEXT_MAX];
	const char *fix;

	if (peer->address[0] == '\0') {
		found(c, BAD, subject,
		    "start the peer; it must reach our gateway.listen and know "
		    "our identity (`compressnet key show')",
		    "%s: it dials us, and is not here%s%s",
		    cn_snap_state_name(peer->state),
		    peer->error[0] != '\0' ? ": " : "", peer->error);
		return;
	}
	if (!reach(peer->address, why, sizeof(why), &fix)) {
		found(c, BAD, subject, fix, "%s", why);
		return;
	}
	found(c, BAD, subject,
	    "compare the identities on both sides (`compressnet key show'), "
	    "and see that a compressnetd of today answers there",
	    "%s, but the link is %s%s%s", why, cn_snap_state_name(peer->state),
	    peer->error[0] != '\0' ? ": " : "", peer->error);
}

static void
check_peer(struct checkup *c, const struct cn_snap_peer *peer)
{
	char subject[CN_SNAP_NAME + 8];

	(void)snprintf(subject, sizeof(subject), "peer %s", peer->name);
	if (peer->state == CN_SNAP_UP) {
		found(c, GOOD, subject, NULL,
		    "up, %zu links, round trip %s, identity %.9s...",
		    peer->links_count, cn_human_rtt(peer->rtt_us).text,
		    peer->identity);
	} else if (peer->state == CN_SNAP_DEGRADED) {
		found(c, WARNING, subject,
		    "`compressnet peers show NAME' shows which carriers are "
		    "down",
		    "some carriers or links are down%s%s",
		    peer->error[0] != '\0' ? ": " : "", peer->error);
	} else {
		check_peer_down(c, subject, peer);
	}
	for (size_t i = 0; i < peer->links_count; i++) {
		if (peer->links[i].is_coding_off) {
			found(c, BAD, subject,
			    "run `compressnet verify' and test the memory of "
			    "both hosts",
			    "blocks arrived damaged three times: nothing is "
			    "compressed on this link");
		}
	}
}

static void
check_service(struct checkup *c, const struct cn_snap_service *s)
{
	char subject[CN_SNAP_NAME + 16];
	const char *colon = s->error[0] != '\0' ? ": " : "";

	(void)snprintf(subject, sizeof(subject), "service %s", s->name);
	if (s->state != CN_SNAP_UP) {
		found(c, BAD, subject,
		    "see `compressnet services' and the gateway's log",
		    "%s at %s%s%s", cn_snap_state_name(s->state), s->listen,
		    colon, s->error);
	} else if (s->refused > 0) {
		found(c, WARNING, subject,
		    "see that the peer offers it to us and reaches its target: "
		    "`compressnet doctor' there",
		    "listens at %s; %" PRIu64 " of %" PRIu64
		    " connections were refused%s%s",
		    s->listen, s->refused, s->opened, colon, s->error);
	} else {
		found(c, GOOD, subject, NULL,
		    "listens at %s, %" PRIu64 " connections so far", s->listen,
		    s->opened);
	}
}

static void
check_offer(struct checkup *c, const struct cn_snap_offer *offer)
{
	char subject[CN_SNAP_NAME + 16], why[TEXT_MAX];
	const char *fix = "start what listens there";
	bool is_good;

	(void)snprintf(subject, sizeof(subject), "offer %s", offer->name);
	if (strncmp(offer->target, "unix:", 5) == 0) {
		struct stat st;

		is_good =
		    stat(offer->target + 5, &st) == 0 && S_ISSOCK(st.st_mode);
		(void)snprintf(why, sizeof(why), "%s: %s", offer->target,
		    is_good ? "is a socket" : "no socket is there");
	} else {
		is_good = reach(offer->target, why, sizeof(why), &fix);
	}
	found(
	    c, is_good ? GOOD : BAD, subject, is_good ? NULL : fix, "%s", why);
}

/* Is a name among those with commas between? */
static bool
lists(const char *names, const char *name)
{
	size_t len = strlen(name);

	while (*names != '\0') {
		size_t n;

		names += strspn(names, ", ");
		n = strcspn(names, ", ");
		if (n == len && memcmp(names, name, n) == 0) {
			return true;
		}
		names += n;
	}
	return false;
}

static void
check_ways(struct checkup *c, const struct cn_snap_status *status)
{
	for (size_t i = 0; i < status->services_count; i++) {
		const struct cn_snap_service *service = &status->services[i];

		if (c->only == NULL || strcmp(c->only, service->peer) == 0) {
			check_service(c, service);
		}
	}
	for (size_t i = 0; i < status->offers_count; i++) {
		const struct cn_snap_offer *offer = &status->offers[i];

		if (c->only == NULL || lists(offer->peers, c->only)) {
			check_offer(c, offer);
		}
	}
}

/* ---- the whole ---- */

/* False: no gateway answers, and that was said. */
static bool
ask_status(struct checkup *c, struct cn_snap_status *status)
{
	struct cn_request request = { .command = CN_COMMAND_STATUS };
	struct cn_client *client = NULL;
	struct cn_reply reply;
	char path[256] = "";
	int err;

	cn_reply_init(&reply);
	err = cn_client_path(
	    c->args->option[CN_OPTION_SOCKET], path, sizeof(path));
	if (err == CN_OK) {
		err = cn_client_open(path, 5000000, &client);
	}
	if (err == CN_OK) {
		err = cn_client_call(client, &request, &reply);
	}
	if (err == CN_OK && !reply.is_ok) {
		err = CN_EACCES;
	}
	if (err == CN_OK) {
		err =
		    cn_shape_decode(&cn_snap_status_shape, reply.data, status);
	}
	cn_reply_fini(&reply);
	cn_client_close(&client);
	if (err != CN_OK) {
		found(c, BAD, "gateway",
		    err == CN_EACCES
			? "be root, or of the group that may read the socket"
			: "start compressnetd, or say where its socket is "
			  "(--socket)",
		    "%s: %s", path, cn_err_text(err));
	}
	return err == CN_OK;
}

/* False: the one that was asked for is not there. */
static bool
check_peers(struct checkup *c, const struct cn_snap_status *status)
{
	bool is_there = false;

	for (size_t i = 0; i < status->peers_count; i++) {
		if (c->only == NULL ||
		    strcmp(c->only, status->peers[i].name) == 0) {
			is_there = true;
			check_peer(c, &status->peers[i]);
		}
	}
	if (c->only == NULL && status->peers_count == 0) {
		found(c, WARNING, "peers",
		    "add one under `peers' of the configuration",
		    "there are none: this gateway carries nothing");
	}
	return c->only == NULL || is_there;
}

static enum cn_exit
tell(struct checkup *c)
{
	enum cn_exit code = CN_EXIT_OK;

	if (c->is_failed) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
		return CN_EXIT_FAILED;
	}
	if (c->args->option[CN_OPTION_JSON] != NULL) {
		json_t *json = json_pack("{s:O, s:i, s:i, s:i}", "checks",
		    c->list, "ok", (int)c->counts[GOOD], "warnings",
		    (int)c->counts[WARNING], "failed", (int)c->counts[BAD]);

		code =
		    json != NULL ? cn_ask_print(json, false) : CN_EXIT_FAILED;
		json_decref(json);
	} else {
		printf("\n%u ok, %u warnings, %u failed\n", c->counts[GOOD],
		    c->counts[WARNING], c->counts[BAD]);
	}
	if (code == CN_EXIT_OK && c->counts[WARNING] + c->counts[BAD] > 0) {
		code = CN_EXIT_FINDINGS;
	}
	return code;
}

enum cn_exit
cn_cmd_doctor(const struct cn_args *args)
{
	struct checkup c = { .args = args, .list = json_array() };
	struct cn_snap_status status = { 0 };
	enum cn_exit code;
	bool is_known = true;

	if (c.list == NULL) {
		cn_cli_error("%s", cn_err_text(CN_ENOMEM));
		return CN_EXIT_FAILED;
	}
	c.only = args->words > 0 ? args->word[0] : NULL;
	if (c.only == NULL) {
		check_config(&c);
		check_key(&c);
		check_buffers(&c);
	}
	if (ask_status(&c, &status)) {
		if (c.only == NULL) {
			check_gateway(&c, &status);
			check_store(&c, &status.store);
		}
		is_known = check_peers(&c, &status);
		if (is_known) {
			check_ways(&c, &status);
		}
	}
	if (is_known) {
		code = tell(&c);
	} else {
		cn_cli_error("no peer '%s'", c.only);
		cn_cli_hint("`compressnet peers' lists them");
		code = CN_EXIT_FAILED;
	}
	cn_snap_status_clear(&status);
	json_decref(c.list);
	return code;
}
