/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/listeners.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define STATE_LISTEN 0x0au
#define STATE_UDP 0x07u /* not connected */

/* The next number; false: there is none. */
static bool
number(const char **at, int base, char behind, unsigned long long *ret)
{
	char *end;

	errno = 0;
	while (**at == ' ') {
		++*at;
	}
	if (!isxdigit((unsigned char)**at)) {
		return false;
	}
	*ret = strtoull(*at, &end, base);
	if (errno != 0 || (behind != '\0' && *end != behind)) {
		return false;
	}
	*at = end + (behind != '\0');
	return true;
}

/* The kernel prints words of 4 bytes in the order of the machine. */
static bool
take_address(const char **at, bool is_v6, uint8_t out[16])
{
	for (unsigned i = 0; i < (is_v6 ? 4u : 1u); i++) {
		char word[9] = "";
		char *end;
		uint32_t value;

		if (strnlen(*at, 8) < 8) {
			return false;
		}
		memcpy(word, *at, 8);
		value = (uint32_t)strtoul(word, &end, 16);
		if (end != word + 8) {
			return false;
		}
		memcpy(out + 4 * i, &value, 4);
		*at += 8;
	}
	return true;
}

bool
cn_listeners_line(
    const char *line, bool is_udp, bool is_v6, struct cn_listener *ret)
{
	struct cn_listener l = { .is_udp = is_udp, .is_v6 = is_v6 };
	unsigned long long port, state, other, uid, inode;
	const char *at = line;

	if (!number(&at, 10, ':', &other)) {
		return false;
	}
	at += strspn(at, " ");
	if (!take_address(&at, is_v6, l.address) || *at++ != ':' ||
	    !number(&at, 16, ' ', &port) || port > UINT16_MAX) {
		return false;
	}
	at += strspn(at, " ");
	at += strcspn(at, " "); /* the remote end */
	if (!number(&at, 16, ' ', &state) ||
	    state != (is_udp ? STATE_UDP : STATE_LISTEN) ||
	    !number(&at, 16, ':', &other) || !number(&at, 16, ' ', &other) ||
	    !number(&at, 16, ':', &other) || !number(&at, 16, ' ', &other) ||
	    !number(&at, 16, ' ', &other) || !number(&at, 10, ' ', &uid) ||
	    !number(&at, 10, ' ', &other) || !number(&at, 10, '\0', &inode)) {
		return false;
	}
	l.port = (uint16_t)port;
	l.uid = (uid_t)uid;
	l.inode = inode;
	*ret = l;
	return true;
}

static bool
is_wanted(const uint16_t *ports, size_t count, uint16_t port)
{
	for (size_t i = 0; i < count; i++) {
		if (ports[i] == port) {
			return true;
		}
	}
	return false;
}

static int
read_table(const char *path, bool is_udp, bool is_v6, const uint16_t *ports,
    size_t count, struct cn_listeners *ret)
{
	char line[CN_LISTENERS_LINE_MAX];
	FILE *file = fopen(path, "re");

	if (file == NULL) {
		/* A kernel without IPv6 has no such table. */
		return is_v6 && errno == ENOENT ? CN_OK
						: cn_err_from_errno(errno);
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		struct cn_listener listener;

		if (!cn_listeners_line(line, is_udp, is_v6, &listener) ||
		    !is_wanted(ports, count, listener.port)) {
			continue;
		}
		if (ret->count == CN_LISTENERS_MAX) {
			ret->is_cut = true;
			break;
		}
		ret->item[ret->count++] = listener;
	}
	(void)fclose(file);
	return CN_OK;
}

/* ---- processes ---- */

static void
name_process(struct cn_listener *l, int folder, pid_t pid)
{
	int fd = openat(folder, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	l->pid = pid;
	if (fd >= 0) {
		n = read(fd, l->program, sizeof(l->program) - 1);
		l->program[n > 0 ? n : 0] = '\0';
		l->program[strcspn(l->program, "\n")] = '\0';
		(void)close(fd);
	}
	n = readlinkat(folder, "exe", l->path, sizeof(l->path) - 1);
	l->path[n > 0 ? n : 0] = '\0';
}

/* The descriptors of one process. */
static void
look_into(struct cn_listeners *all, int folder, pid_t pid)
{
	int fd = openat(folder, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char link[64], want[64];

	if (dir == NULL) {
		all->is_denied |= errno == EACCES || errno == EPERM;
		if (fd >= 0) {
			(void)close(fd);
		}
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		ssize_t n =
		    readlinkat(fd, entry->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		for (size_t i = 0; i < all->count && n > 0; i++) {
			struct cn_listener *l = &all->item[i];

			(void)snprintf(want, sizeof(want), "socket:[%llu]",
			    (unsigned long long)l->inode);
			if (strcmp(link, want) == 0 && l->pid == 0) {
				name_process(l, folder, pid);
			}
		}
	}
	(void)closedir(dir);
}

static void
find_processes(struct cn_listeners *all)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;

	if (proc == NULL) {
		all->is_denied = true;
		return;
	}
	while ((entry = readdir(proc)) != NULL) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		int folder;

		if (pid <= 0 || *end != '\0') {
			continue;
		}
		folder = openat(dirfd(proc), entry->d_name,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (folder >= 0) {
			look_into(all, folder, (pid_t)pid);
			(void)close(folder);
		}
	}
	(void)closedir(proc);
}

static void
name_user(struct cn_listener *l)
{
	const struct passwd *user = getpwuid(l->uid);

	if (user != NULL) {
		(void)snprintf(l->user, sizeof(l->user), "%s", user->pw_name);
	} else {
		(void)snprintf(
		    l->user, sizeof(l->user), "%u", (unsigned)l->uid);
	}
}

int
cn_listeners_find(const uint16_t *ports, size_t count, struct cn_listeners *ret)
{
	int err;

	memset(ret, 0, sizeof(*ret));
	err = read_table("/proc/net/tcp", false, false, ports, count, ret);
	if (err == CN_OK) {
		err = read_table(
		    "/proc/net/tcp6", false, true, ports, count, ret);
	}
	if (err == CN_OK) {
		err =
		    read_table("/proc/net/udp", true, false, ports, count, ret);
	}
	if (err == CN_OK) {
		err =
		    read_table("/proc/net/udp6", true, true, ports, count, ret);
	}
	if (ret->count > 0) {
		find_processes(ret);
	}
	for (size_t i = 0; i < ret->count; i++) {
		name_user(&ret->item[i]);
	}
	return err;
}

void
cn_listeners_address(const struct cn_listener *l, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "?";

	(void)inet_ntop(
	    l->is_v6 ? AF_INET6 : AF_INET, l->address, text, sizeof(text));
	(void)snprintf(
	    out, size, l->is_v6 ? "[%s]:%u" : "%s:%u", text, l->port);
}
