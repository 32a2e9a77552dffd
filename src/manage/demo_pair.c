/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/demo_pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/client.h"
#include "ident/key.h"
#include "manage/cli.h"

/* How long a gateway may take to end by itself, and a look at it. */
#define STOP_US (2u * 1000u * 1000u)
#define ASK_US (200u * 1000u)
/* Bytes of a log that are shown when something failed. */
#define TAIL_BYTES 2000

static const char *const names[] = { "near", "far" };

struct path {
	char text[128];
};

static struct path
path_of(
    const struct cn_demo_pair *pair, enum cn_demo_side side, const char *kind)
{
	struct path path;

	(void)snprintf(path.text, sizeof(path.text), "%s/%s.%s", pair->folder,
	    names[side], kind);
	return path;
}

/* "<folder of this program>/<rest>", if that is a program. */
static bool
try_beside(const char *self, const char *rest, char *out, size_t size)
{
	const char *slash = strrchr(self, '/');
	int len = slash == NULL
	    ? -1
	    : snprintf(out, size, "%.*s/%s", (int)(slash - self), self, rest);

	return len > 0 && (size_t)len < size && access(out, X_OK) == 0;
}

static bool
try_path(char *out, size_t size)
{
	const char *path = getenv("PATH");

	for (; path != NULL && *path != '\0';) {
		size_t len = strcspn(path, ":");
		int n =
		    snprintf(out, size, "%.*s/compressnetd", (int)len, path);

		if (len > 0 && n > 0 && (size_t)n < size &&
		    access(out, X_OK) == 0) {
			return true;
		}
		path += len + (path[len] == ':' ? 1 : 0);
	}
	return false;
}

static int
find_program(char *out, size_t size)
{
	char self[512];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[len > 0 ? len : 0] = '\0';
	if (try_beside(self, "compressnetd", out, size) ||
	    try_beside(self, "../gateway/compressnetd", out, size) ||
	    try_beside(self, "../sbin/compressnetd", out, size) ||
	    try_path(out, size)) {
		return CN_OK;
	}
	cn_cli_error("compressnetd is neither beside this program nor in "
		     "PATH");
	return CN_ENOENT;
}

static int
make_folder(struct cn_demo_pair *pair)
{
	const char *base = getenv("TMPDIR");

	/* Sockets lie in it: their paths are short. */
	if (base == NULL || base[0] != '/' || strlen(base) > 32) {
		base = "/tmp";
	}
	(void)snprintf(pair->folder, sizeof(pair->folder),
	    "%s/compressnet-demo-XXXXXX", base);
	if (mkdtemp(pair->folder) == NULL) {
		int err = cn_err_from_errno(errno);

		cn_cli_error(
		    "cannot make a folder in %s: %s", base, cn_err_text(err));
		pair->folder[0] = '\0';
		return err;
	}
	return CN_OK;
}

static int
make_key(const struct cn_demo_pair *pair, enum cn_demo_side side)
{
	const struct path path = path_of(pair, side, "key");
	char why[CN_IDENT_WHY_MAX] = "";
	struct cn_key *key = NULL;
	int err = cn_key_generate(&key);

	if (err == CN_OK) {
		err = cn_key_save(key, path.text, false, why, sizeof(why));
	}
	if (err < 0) {
		cn_cli_error("cannot make a key: %s",
		    why[0] != '\0' ? why : cn_err_text(err));
	}
	cn_key_free(&key);
	return err;
}

int
cn_demo_pair_make(struct cn_demo_pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	int err = find_program(pair->program, sizeof(pair->program));

	if (err == CN_OK) {
		err = make_folder(pair);
	}
	if (err == CN_OK) {
		err = make_key(pair, CN_DEMO_NEAR);
	}
	if (err == CN_OK) {
		err = make_key(pair, CN_DEMO_FAR);
	}
	return err;
}

static int
identity_of(const struct cn_demo_pair *pair, enum cn_demo_side side,
    char text[CN_IDENTITY_TEXT_MAX])
{
	const struct path path = path_of(pair, side, "key");
	struct cn_key *key = NULL;
	int err = cn_key_load(path.text, &key, NULL, 0);

	if (err == CN_OK) {
		cn_identity_format(cn_key_identity(key), text);
	}
	cn_key_free(&key);
	return err;
}

static int
write_config(const struct cn_demo_pair *pair, enum cn_demo_side side,
    const struct cn_demo_ports *ports)
{
	char other[CN_IDENTITY_TEXT_MAX];
	int err = identity_of(
	    pair, side == CN_DEMO_NEAR ? CN_DEMO_FAR : CN_DEMO_NEAR, other);

	if (err < 0) {
		return err;
	}
	FILE *file = fopen(path_of(pair, side, "yaml").text, "we");
	if (file == NULL) {
		return cn_err_from_errno(errno);
	}
	(void)fprintf(file, "gateway:\n  name: %s\n  key: \"%s\"\n",
	    names[side], path_of(pair, side, "key").text);
	if (side == CN_DEMO_NEAR) {
		(void)fprintf(file,
		    "peers:\n  far: { address: \"127.0.0.1:%u\", "
		    "identity: \"%s\" }\n"
		    "services:\n  demo: { listen: \"127.0.0.1:%u\", "
		    "peer: far }\n",
		    ports->wan, other, ports->service);
	} else {
		(void)fprintf(file,
		    "  listen: \"127.0.0.1:%u\"\n"
		    "peers:\n  near: { identity: \"%s\" }\n"
		    "offers:\n  demo: { to: \"127.0.0.1:%u\", "
		    "peers: [near] }\n",
		    ports->carrier, other, ports->target);
	}
	(void)fprintf(file, "control: { socket: \"%s\" }\n",
	    path_of(pair, side, "sock").text);
	err = ferror(file) != 0 ? CN_EIO : CN_OK;
	if (fclose(file) != 0 && err == CN_OK) {
		err = cn_err_from_errno(errno);
	}
	return err;
}

/* In the child: never returns. */
static void
become(const struct cn_demo_pair *pair, enum cn_demo_side side, pid_t parent)
{
	const struct path config = path_of(pair, side, "yaml");
	const struct path log = path_of(pair, side, "log");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int out =
	    open(log.text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	sigset_t none;

	/* Out of the terminal's group: Ctrl-C is for the parent to handle. */
	if (setpgid(0, 0) != 0 || null < 0 || out < 0 ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(out, STDERR_FILENO) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
		_exit(127);
	}
	(void)signal(SIGPIPE, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* Whatever this shell is part of: these two are on their own. */
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("COMPRESSNET_SOCKET");
	(void)execl(
	    pair->program, "compressnetd", "-c", config.text, (char *)NULL);
	(void)dprintf(STDERR_FILENO, "%s: cannot be started: errno %d\n",
	    pair->program, errno);
	_exit(127);
}

int
cn_demo_pair_start(struct cn_demo_pair *pair, const struct cn_demo_ports *ports)
{
	pid_t parent = getpid();

	for (unsigned i = 0; i < CN_DEMO_SIDES; i++) {
		enum cn_demo_side side = (enum cn_demo_side)i;
		int err = write_config(pair, side, ports);

		if (err < 0) {
			return err;
		}
		pair->has_ended[i] = false;
		pair->pid[i] = fork();
		if (pair->pid[i] < 0) {
			pair->pid[i] = 0;
			return cn_err_from_errno(errno);
		}
		if (pair->pid[i] == 0) {
			become(pair, side, parent);
		}
	}
	return CN_OK;
}

bool
cn_demo_pair_has_ended(struct cn_demo_pair *pair)
{
	bool has_ended = false;

	for (unsigned i = 0; i < CN_DEMO_SIDES; i++) {
		if (pair->pid[i] > 0 &&
		    waitpid(pair->pid[i], &pair->status[i], WNOHANG) ==
			pair->pid[i]) {
			pair->pid[i] = 0;
			pair->has_ended[i] = true;
		}
		has_ended = has_ended || pair->has_ended[i];
	}
	return has_ended;
}

int
cn_demo_pair_is_up(struct cn_demo_pair *pair)
{
	const struct path path = path_of(pair, CN_DEMO_NEAR, "sock");
	struct cn_request request = { .command = CN_COMMAND_PEERS };
	struct cn_snap_peers peers = { 0 };
	struct cn_client *client = NULL;
	struct cn_reply reply;

	if (cn_demo_pair_has_ended(pair)) {
		return CN_ECLOSED;
	}
	cn_reply_init(&reply);
	int err = cn_client_open(path.text, ASK_US, &client);
	if (err == CN_OK) {
		err = cn_client_call(client, &request, &reply);
	}
	if (err == CN_OK && reply.is_ok) {
		err = cn_shape_decode(&cn_snap_peers_shape, reply.data, &peers);
	}
	bool is_up = err == CN_OK && peers.peers_count == 1 &&
	    peers.peers[0].state == CN_SNAP_UP;
	cn_snap_peers_clear(&peers);
	cn_reply_fini(&reply);
	cn_client_close(&client);
	return is_up ? CN_OK : CN_EAGAIN;
}

void
cn_demo_pair_stop(struct cn_demo_pair *pair)
{
	uint64_t deadline = cn_clock_us() + STOP_US;

	(void)cn_demo_pair_has_ended(pair);
	for (unsigned i = 0; i < CN_DEMO_SIDES; i++) {
		if (pair->pid[i] > 0) {
			(void)kill(pair->pid[i], SIGTERM);
		}
	}
	while ((pair->pid[CN_DEMO_NEAR] > 0 || pair->pid[CN_DEMO_FAR] > 0) &&
	    cn_clock_us() < deadline) {
		(void)poll(NULL, 0, 10);
		(void)cn_demo_pair_has_ended(pair);
	}
	for (unsigned i = 0; i < CN_DEMO_SIDES; i++) {
		if (pair->pid[i] > 0) {
			(void)kill(pair->pid[i], SIGKILL);
			(void)waitpid(pair->pid[i], &pair->status[i], 0);
			pair->pid[i] = 0;
		}
	}
}

static void
print_log(const struct cn_demo_pair *pair, enum cn_demo_side side)
{
	FILE *file = fopen(path_of(pair, side, "log").text, "re");
	char text[TAIL_BYTES + 1];

	if (file == NULL) {
		return;
	}
	if (fseek(file, -TAIL_BYTES, SEEK_END) != 0) {
		rewind(file); /* shorter than that */
	}
	size_t len = fread(text, 1, TAIL_BYTES, file);
	(void)fclose(file);
	(void)fprintf(
	    stderr, "--- the end of the %s gateway's log", names[side]);
	if (pair->has_ended[side] && WIFEXITED(pair->status[side])) {
		(void)fprintf(stderr, " (it ended with exit code %d)",
		    WEXITSTATUS(pair->status[side]));
	} else if (pair->has_ended[side] && WIFSIGNALED(pair->status[side])) {
		(void)fprintf(stderr, " (it was ended by signal %d)",
		    WTERMSIG(pair->status[side]));
	}
	(void)fputs(":\n", stderr);
	(void)fwrite(text, 1, len, stderr);
}

void
cn_demo_pair_print_logs(const struct cn_demo_pair *pair)
{
	if (pair->folder[0] != '\0') {
		print_log(pair, CN_DEMO_NEAR);
		print_log(pair, CN_DEMO_FAR);
	}
}

void
cn_demo_pair_remove(struct cn_demo_pair *pair)
{
	char *roots[] = { pair->folder, NULL };
	FTSENT *entry;

	if (pair->folder[0] == '\0') {
		return;
	}
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while (tree != NULL && (entry = fts_read(tree)) != NULL) {
		if (entry->fts_info == FTS_DP) {
			(void)rmdir(entry->fts_accpath);
		} else if (entry->fts_info != FTS_D) {
			(void)unlink(entry->fts_accpath);
		}
	}
	if (tree != NULL) {
		(void)fts_close(tree);
	}
	pair->folder[0] = '\0';
}

uint16_t
cn_demo_free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint16_t port = 0;

	if (fd < 0) {
		return 0;
	}
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
		port = ntohs(address.sin_port);
	}
	(void)close(fd);
	return port;
}
