/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "control/client.h"
#include "control/snapshot.h"
#include "manage/ask.h"
#include "manage/listeners.h"
#include "manage/ports_far.h"
#include "manage/table.h"

#define TIMEOUT_MS 5000u
#define PORTS_MAX 64u
#define OURS_FIRST 2u
#define OURS_LAST 3u

struct ports {
	const struct cn_args *args;
	uint16_t port[PORTS_MAX];
	size_t count;
	uint64_t timeout_ms;
	struct cn_listeners *all; /* owned */
	pid_t ours;               /* the gateway that answers; 0: none */
	char gateway[256];        /* who that is, or why nobody */
	const char *host;         /* NULL: this one */
};

/* ---- words ---- */

static bool
is_ours(uint16_t port)
{
	return port >= OURS_FIRST && port <= OURS_LAST;
}

/* What the registry says of a port. */
static void
explain(uint16_t port, char *out, size_t size)
{
	const char *range = port < 1024 ? "system port"
	    : port < 49152              ? "user port"
					: "dynamic port, never assigned";
	const struct servent *tcp, *udp;

	if (is_ours(port)) {
		(void)snprintf(out, size,
		    "system port, Reserved by IANA since 2025-02-13; before: "
		    "compressnet %u/tcp,udp, %s (RFC 1340, RFC 1700)%s",
		    port,
		    port == 2 ? "Management Utility" : "Compression Process",
		    port == 2 ? "; the backdoor Death used 2/tcp" : "");
		return;
	}
	if (port == 0) {
		(void)snprintf(out, size, "Reserved: no port to listen on");
		return;
	}
	/* One at a time: the next call writes over the last answer. */
	tcp = getservbyport(htons(port), "tcp");
	if (tcp != NULL) {
		(void)snprintf(out, size, "%s, assigned to %s/tcp (%s)", range,
		    tcp->s_name, "/etc/services");
		return;
	}
	udp = getservbyport(htons(port), "udp");
	if (udp != NULL) {
		(void)snprintf(out, size, "%s, assigned to %s/udp (%s)", range,
		    udp->s_name, "/etc/services");
		return;
	}
	(void)snprintf(out, size, "%s%s", range,
	    port < 49152 ? ", not in /etc/services" : "");
}

/* ---- our own gateway ---- */

/* Whose process holds the control socket, as the kernel says. */
static pid_t
holder_of(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct ucred cred = { .pid = 0 };
	socklen_t len = sizeof(cred);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return 0;
	}
	if (strlen(path) < sizeof(at.sun_path)) {
		memcpy(at.sun_path, path, strlen(path));
	}
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
		cred.pid = 0;
	}
	(void)close(fd);
	return cred.pid;
}

/* Ask the gateway which process it is; the kernel must say the same. */
static int
ask_gateway(struct ports *p, const char *path)
{
	struct cn_request request = { .command = CN_COMMAND_STATUS };
	struct cn_snap_status status = { 0 };
	struct cn_client *client = NULL;
	struct cn_reply reply;
	int err;

	cn_reply_init(&reply);
	err = cn_client_open(path, p->timeout_ms * 1000, &client);
	if (err == CN_OK) {
		err = cn_client_call(client, &request, &reply);
	}
	if (err == CN_OK &&
	    (!reply.is_ok ||
		cn_shape_decode(&cn_snap_status_shape, reply.data, &status) <
		    0)) {
		err = CN_EPROTO;
	}
	if (err == CN_OK && status.gateway.pid != (uint32_t)holder_of(path)) {
		err = CN_EPEER;
	}
	if (err == CN_OK) {
		p->ours = (pid_t)status.gateway.pid;
		(void)snprintf(p->gateway, sizeof(p->gateway),
		    "gateway %s, process %u, listens on %.100s",
		    status.gateway.name, status.gateway.pid,
		    status.gateway.listen[0] != '\0' ? status.gateway.listen
						     : "nothing");
	}
	cn_snap_status_clear(&status);
	cn_reply_fini(&reply);
	cn_client_close(&client);
	return err;
}

static void
find_gateway(struct ports *p)
{
	char path[256];
	int err = cn_client_path(
	    p->args->option[CN_OPTION_SOCKET], path, sizeof(path));

	if (err == CN_OK) {
		err = ask_gateway(p, path);
	}
	if (err != CN_OK) {
		(void)snprintf(p->gateway, sizeof(p->gateway),
		    "no gateway could be asked (%.150s: %s)", path,
		    cn_err_text(err));
	}
}

/* ---- verdicts ---- */

static const char *
verdict_of(const struct ports *p, const struct cn_listener *l)
{
	if (p->ours != 0 && l->pid == p->ours && !l->is_udp) {
		return "CompressNET";
	}
	return is_ours(l->port) ? "SUSPECT" : "listening";
}

static const char *
verdict_of_port(const struct ports *p, uint16_t port)
{
	const char *verdict = "free";

	for (size_t i = 0; i < p->all->count; i++) {
		if (p->all->item[i].port == port) {
			const char *one = verdict_of(p, &p->all->item[i]);

			/* The worst of them. */
			if (strcmp(verdict, "SUSPECT") != 0) {
				verdict = one;
			}
		}
	}
	return verdict;
}

static const char *
advice_for(const struct ports *p, const struct cn_listener *l)
{
	if (strcmp(verdict_of(p, l), "SUSPECT") != 0) {
		return NULL;
	}
	if (l->pid == 0) {
		return p->all->is_denied
		    ? "its process could not be seen: run this as root"
		    : "no process here holds it: look into other containers "
		      "(lsns -t pid) and at the kernel's own";
	}
	if (p->ours == 0) {
		return "no gateway answered for it: if it is yours, name its "
		       "control socket by --socket; if not, find out who "
		       "started it (systemctl status PID) before you end it";
	}
	return "it is not the gateway that answers here: find out who started "
	       "it (systemctl status PID; ls -l /proc/PID/exe), keep a copy "
	       "of the executable, then end it";
}

/* ---- output ---- */

static void
print_listener(const struct ports *p, const struct cn_listener *l)
{
	char address[80], program[64], path[256];
	const char *advice = advice_for(p, l);

	cn_listeners_address(l, address, sizeof(address));
	cn_table_clean(program, sizeof(program), l->program);
	cn_table_clean(path, sizeof(path), l->path);
	(void)printf("  %s %-22s %-11s user %s", l->is_udp ? "udp" : "tcp",
	    address, verdict_of(p, l), l->user);
	if (l->pid != 0) {
		(void)printf("  process %d %s  %s\n", (int)l->pid, program,
		    path[0] != '\0' ? path : "(executable not permitted)");
	} else {
		(void)printf("  process %s\n",
		    p->all->is_denied ? "not permitted to see" : "not found");
	}
	if (advice != NULL) {
		(void)printf("      what next: %s\n", advice);
	}
}

static void
print_text(const struct ports *p)
{
	char words[256];

	for (size_t i = 0; i < p->count; i++) {
		explain(p->port[i], words, sizeof(words));
		(void)printf("port %u  %s\n  %s\n", p->port[i],
		    verdict_of_port(p, p->port[i]), words);
		for (size_t k = 0; k < p->all->count; k++) {
			if (p->all->item[k].port == p->port[i]) {
				print_listener(p, &p->all->item[k]);
			}
		}
	}
	(void)fprintf(stderr, "%s\n", p->gateway);
	if (p->all->is_denied) {
		cn_cli_hint("some processes may not be looked into; as root "
			    "this tells more");
	}
}

static json_t *
listener_json(const struct ports *p, const struct cn_listener *l)
{
	char address[80], program[64], path[256];
	const char *advice = advice_for(p, l);

	cn_listeners_address(l, address, sizeof(address));
	cn_table_clean(program, sizeof(program), l->program);
	cn_table_clean(path, sizeof(path), l->path);
	return json_pack("{s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:s?}", "protocol",
	    l->is_udp ? "udp" : "tcp", "address", address, "verdict",
	    verdict_of(p, l), "pid", (json_int_t)l->pid, "program", program,
	    "executable", path, "user", l->user, "advice", advice);
}

static enum cn_exit
print_json(const struct ports *p)
{
	json_t *all = json_object(), *ports = json_array();
	char words[256];
	enum cn_exit code;

	for (size_t i = 0; i < p->count; i++) {
		json_t *one = json_object(), *list = json_array();

		explain(p->port[i], words, sizeof(words));
		(void)json_object_set_new(
		    one, "port", json_integer(p->port[i]));
		(void)json_object_set_new(one, "verdict",
		    json_string(verdict_of_port(p, p->port[i])));
		(void)json_object_set_new(one, "registry", json_string(words));
		for (size_t k = 0; k < p->all->count; k++) {
			if (p->all->item[k].port == p->port[i]) {
				(void)json_array_append_new(
				    list, listener_json(p, &p->all->item[k]));
			}
		}
		(void)json_object_set_new(one, "listeners", list);
		(void)json_array_append_new(ports, one);
	}
	(void)json_object_set_new(all, "ports", ports);
	(void)json_object_set_new(all, "gateway", json_string(p->gateway));
	(void)json_object_set_new(
	    all, "denied", json_boolean(p->all->is_denied));
	code = cn_ask_print(all, false);
	json_decref(all);
	return code;
}

/* ---- the command ---- */

static bool
take_ports(struct ports *p)
{
	const struct cn_args *args = p->args;

	for (size_t i = 0; i < args->words; i++) {
		const char *text = args->word[i];
		char *end;
		unsigned long port = strtoul(text, &end, 10);

		if (i == 0 && text[strspn(text, "0123456789")] != '\0') {
			p->host = text;
			continue;
		}
		if (text[0] < '0' || text[0] > '9' || *end != '\0' ||
		    port > UINT16_MAX) {
			(void)cn_cli_usage(args,
			    "'%s' is no port: a number from 0 to 65535", text);
			return false;
		}
		p->port[p->count++] = (uint16_t)port;
	}
	if (p->count == 0) {
		p->port[p->count++] = OURS_FIRST;
		p->port[p->count++] = OURS_LAST;
	}
	return true;
}

enum cn_exit
cn_cmd_ports(const struct cn_args *args)
{
	struct ports p = { .args = args };
	enum cn_exit code = CN_EXIT_OK;
	int err;

	if (!cn_cli_number(args, CN_OPTION_TIMEOUT, TIMEOUT_MS, 1, 600000,
		&p.timeout_ms) ||
	    !take_ports(&p)) {
		return CN_EXIT_USAGE;
	}
	if (args->option[CN_OPTION_NFT] != NULL) {
		return args->words == 0 && args->option[CN_OPTION_JSON] == NULL
		    ? cn_ports_nft(args)
		    : cn_cli_usage(args, "--nft stands alone");
	}
	if (p.host != NULL) {
		return cn_ports_far(args, p.host, p.port, p.count);
	}
	p.all = cn_calloc(1, sizeof(*p.all));
	err = p.all == NULL ? CN_ENOMEM
			    : cn_listeners_find(p.port, p.count, p.all);
	if (err != CN_OK) {
		cn_cli_error("cannot tell who listens (/proc/net): %s",
		    cn_err_text(err));
		cn_free(p.all);
		return err == CN_EACCES ? CN_EXIT_NOT_ALLOWED : CN_EXIT_FAILED;
	}
	find_gateway(&p);
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = print_json(&p);
	} else {
		print_text(&p);
	}
	for (size_t i = 0; i < p.count && code == CN_EXIT_OK; i++) {
		if (strcmp(verdict_of_port(&p, p.port[i]), "SUSPECT") == 0) {
			code = CN_EXIT_FINDINGS;
		}
	}
	cn_free(p.all);
	return code;
}
