/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "config/config.h"
#include "manage/ask.h"
#include "manage/bundle.h"
#include "manage/setup.h"

/* Of one file of /proc, /sys or /etc. */
#define FILE_MAX (1024u * 1024u)
#define DIAGS_MAX (256u * 1024u)

/* ---- what the gateway says ---- */

static const struct {
	enum cn_command command;
	const char *name;
} questions[] = {
	{ CN_COMMAND_VERSION, "gateway-version.json" },
	{ CN_COMMAND_STATUS, "status.json" },
	{ CN_COMMAND_PEERS, "peers.json" },
	{ CN_COMMAND_SERVICES, "services.json" },
	{ CN_COMMAND_STREAMS, "streams.json" },
	{ CN_COMMAND_STORE, "store.json" },
	{ CN_COMMAND_EVENTS, "events.json" },
	{ CN_COMMAND_CONFIG, "config.json" },
};

/* What else the bundle needs of the answers. */
struct known {
	char config[CN_SNAP_PATH]; /* the main file; "" */
	json_int_t pid;            /* 0: unknown */
};

static void
learn(const json_t *data, struct known *known)
{
	const json_t *gateway = json_object_get(data, "gateway");
	const char *config =
	    json_string_value(json_object_get(gateway, "config"));

	known->pid = json_integer_value(json_object_get(gateway, "pid"));
	if (config != NULL) {
		cn_snap_text(known->config, sizeof(known->config), config);
	}
}

/* The effective configuration is a text of its own. */
static void
add_answer(struct cn_bundle *bundle, size_t i, json_t *data)
{
	const char *yaml = json_string_value(json_object_get(data, "yaml"));

	if (questions[i].command == CN_COMMAND_CONFIG && yaml != NULL) {
		cn_bundle_text(bundle, "config.yaml", yaml, strlen(yaml));
	} else {
		cn_bundle_json(bundle, questions[i].name, data);
	}
}

/* Streams and events: the first and only page that is wanted. */
static void
ask_all(
    struct cn_bundle *bundle, const struct cn_args *args, struct known *known)
{
	struct cn_ask ask;
	enum cn_exit code = cn_ask_open(&ask, args);

	for (size_t i = 0; i < CN_ARRAY_LEN(questions); i++) {
		struct cn_request request = {
			.command = questions[i].command,
		};
		struct cn_reply reply;

		if (code == CN_EXIT_OK) {
			code = cn_ask_call(&ask, &request, &reply);
		}
		if (code != CN_EXIT_OK) {
			cn_bundle_lacks(
			    bundle, questions[i].name, "no gateway answered");
			continue;
		}
		if (questions[i].command == CN_COMMAND_STATUS) {
			learn(reply.data, known);
		}
		add_answer(bundle, i, reply.data);
		cn_reply_fini(&reply);
	}
	cn_ask_close(&ask);
}

/* ---- what the host says ---- */

/* Of a table of sockets, leave the lines of those that listen. */
static void
keep_listening(struct cn_buf *text)
{
	char *to = (char *)text->data, *line = to;
	char *end = line + text->len;

	while (line < end) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t len = newline == NULL ? (size_t)(end - line)
					     : (size_t)(newline - line) + 1;

		if (memmem(line, len, " 0A ", 4) != NULL ||
		    memmem(line, len, "local_address", 13) != NULL) {
			memmove(to, line, len);
			to += len;
		}
		line += len;
	}
	text->len = (size_t)(to - (char *)text->data);
}

static void
add_file(struct cn_bundle *bundle, const char *name, const char *path,
    bool is_sockets)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct cn_buf text;
	ssize_t n = fd < 0 ? -1 : 0;
	int err = CN_OK;

	cn_buf_init(&text, FILE_MAX);
	while (fd >= 0 && err == CN_OK) {
		uint8_t piece[4096];

		n = read(fd, piece, sizeof(piece));
		if (n <= 0) {
			break;
		}
		err = cn_buf_append(&text, piece, (size_t)n);
	}
	if (n < 0) {
		err = cn_err_from_errno(errno);
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	if (is_sockets && text.len > 0) {
		keep_listening(&text);
	}
	if (err == CN_OK || err == CN_ELIMIT) {
		cn_bundle_text(bundle, name, text.data, text.len);
	} else {
		cn_bundle_lacks(bundle, name, cn_err_text(err));
	}
	cn_buf_fini(&text);
}

static const struct {
	const char *name, *path;
} files[] = {
	{ "kernel.txt", "/proc/version" },
	{ "os-release.txt", "/etc/os-release" },
	{ "cpu.txt", "/proc/cpuinfo" },
	{ "memory.txt", "/proc/meminfo" },
	{ "load.txt", "/proc/loadavg" },
	{ "sockstat.txt", "/proc/net/sockstat" },
	{ "snmp.txt", "/proc/net/snmp" },
	{ "netstat.txt", "/proc/net/netstat" },
};

static const char *const sysctls[] = { "net/ipv4/tcp_congestion_control",
	"net/ipv4/tcp_available_congestion_control",
	"net/ipv4/ip_local_port_range", "net/ipv4/tcp_rmem",
	"net/ipv4/tcp_wmem", "net/ipv4/tcp_mtu_probing",
	"net/ipv4/tcp_slow_start_after_idle", "net/core/rmem_max",
	"net/core/wmem_max", "net/core/somaxconn", "net/core/default_qdisc",
	"fs/file-max", "vm/overcommit_memory" };

static void
add_sysctls(struct cn_bundle *bundle)
{
	struct cn_buf text;
	int err = CN_OK;

	cn_buf_init(&text, FILE_MAX);
	for (size_t i = 0; i < CN_ARRAY_LEN(sysctls) && err == CN_OK; i++) {
		char path[128], value[256];
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/sys/%s", sysctls[i]);
		file = fopen(path, "re");
		if (file == NULL || fgets(value, sizeof(value), file) == NULL) {
			(void)snprintf(value, sizeof(value), "(not there)\n");
		}
		err = cn_buf_printf(&text, "%s = %s", sysctls[i], value);
		if (file != NULL) {
			(void)fclose(file);
		}
	}
	cn_bundle_text(bundle, "sysctl.txt", text.data, text.len);
	cn_buf_fini(&text);
}

/* Of the gateway's process. */
static void
add_process(struct cn_bundle *bundle, const struct known *known)
{
	static const struct {
		const char *name, *file;
	} of[] = {
		{ "limits.txt", "limits" },
		{ "process.txt", "status" },
		{ "cgroup.txt", "cgroup" },
		{ "listening.txt", "net/tcp" },
		{ "listening6.txt", "net/tcp6" },
	};

	for (size_t i = 0; i < CN_ARRAY_LEN(of); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "/proc/%lld/%s",
		    (long long)known->pid, of[i].file);
		if (known->pid > 0) {
			add_file(bundle, of[i].name, path,
			    strncmp(of[i].file, "net/", 4) == 0);
		} else {
			cn_bundle_lacks(
			    bundle, of[i].name, "no gateway answered");
		}
	}
}

/* ---- config check ---- */

/* Without the lines of the file: they may hold what is in the wrong place. */
static void
add_check(struct cn_bundle *bundle, const char *file)
{
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	struct cn_buf text;
	int err;

	cn_diag_init(&diags);
	cn_buf_init(&text, DIAGS_MAX);
	err = cn_setup_load(file, &diags, &config);
	err = cn_buf_printf(&text, "%s: %s\n", file,
	    err == CN_OK ? "no errors" : cn_err_text(err));
	for (size_t i = 0; i < diags.count && err == CN_OK; i++) {
		const struct cn_diag *diag = &diags.item[i];

		err = cn_buf_printf(&text, "%s:%u:%u: %s: %s\n", diag->file,
		    diag->line, diag->column,
		    diag->severity == CN_DIAG_ERROR ? "error" : "warning",
		    diag->message);
	}
	cn_bundle_text(bundle, "config-check.txt", text.data, text.len);
	cn_config_unref(&config);
	cn_buf_fini(&text);
	cn_diag_fini(&diags);
}

/* ---- the command ---- */

static void
fill(struct cn_bundle *bundle, const struct cn_args *args)
{
	static const char version[] = "compressnet " CN_VERSION "\n";
	const char *given = args->option[CN_OPTION_CONFIG];
	struct known known = { 0 };
	struct cn_paths paths;

	cn_bundle_text(bundle, "version.txt", version, strlen(version));
	ask_all(bundle, args, &known);
	if (given == NULL && known.config[0] == '\0' &&
	    cn_paths_init(&paths, CN_PATHS_AUTO) == CN_OK) {
		cn_snap_text(known.config, sizeof(known.config), paths.config);
	}
	add_check(bundle, given != NULL ? given : known.config);
	add_process(bundle, &known);
	add_sysctls(bundle);
	for (size_t i = 0; i < CN_ARRAY_LEN(files); i++) {
		add_file(bundle, files[i].name, files[i].path, false);
	}
	cn_bundle_lacks(bundle, "log",
	    "it goes to standard error; if that is the journal, add "
	    "`journalctl -u compressnetd'");
}

static enum cn_exit
tell(const char *path, int err)
{
	if (err == CN_OK) {
		(void)puts(path);
		(void)fputs("it has addresses and names, but no keys; look "
			    "through it before it leaves this machine\n",
		    stderr);
		return CN_EXIT_OK;
	}
	cn_cli_error("cannot write %s: %s", path,
	    err == CN_EIO ? "tar failed" : cn_err_text(err));
	if (err == CN_EEXIST) {
		cn_cli_hint("--force replaces it");
	} else if (err == CN_ENOENT) {
		cn_cli_hint("is the folder there, and the program tar?");
	}
	return CN_EXIT_FAILED;
}

enum cn_exit
cn_cmd_support_bundle(const struct cn_args *args)
{
	const char *path = args->words > 0 ? args->word[0] : NULL;
	char made[PATH_MAX] = "compressnet-support.tar.gz";
	time_t now = time(NULL);
	struct cn_bundle bundle;
	struct tm at;
	int err;

	if (path == NULL && gmtime_r(&now, &at) != NULL &&
	    strftime(made, sizeof(made),
		"compressnet-support-%Y%m%dT%H%M%SZ.tar.gz", &at) == 0) {
		return CN_EXIT_FAILED;
	}
	if (path == NULL) {
		path = made;
	}
	err = cn_bundle_open(&bundle);
	if (err == CN_OK) {
		fill(&bundle, args);
		err = cn_bundle_write(
		    &bundle, path, args->option[CN_OPTION_FORCE] != NULL);
	}
	cn_bundle_close(&bundle);
	return tell(path, err);
}
