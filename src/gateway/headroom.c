/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/headroom.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"

#define PATH_ROOM 4096
#define CGROUPS "/sys/fs/cgroup"

/* The first line of a small file, without its newline. */
static bool
read_line(const char *path, char *line, size_t cap)
{
	FILE *file = fopen(path, "re");
	bool ok;

	if (file == NULL) {
		return false;
	}
	ok = fgets(line, (int)cap, file) != NULL;
	(void)fclose(file);
	if (ok) {
		line[strcspn(line, "\n")] = '\0';
	}
	return ok;
}

static uint64_t
limit_in(const char *path)
{
	unsigned long long value;
	char line[64];
	char *end;

	if (!read_line(path, line, sizeof(line))) {
		return UINT64_MAX;
	}
	errno = 0;
	value = strtoull(line, &end, 10);
	/* "max" is no number. */
	return errno != 0 || end == line || *end != '\0' ? UINT64_MAX : value;
}

/* The least limit of our control group and those above it (version 2). */
static uint64_t
cgroup_limit(void)
{
	char path[PATH_ROOM];
	char group[PATH_ROOM / 2];
	uint64_t limit = UINT64_MAX;
	char *slash;

	if (!read_line("/proc/self/cgroup", group, sizeof(group)) ||
	    strncmp(group, "0::", 3) != 0) {
		return UINT64_MAX;
	}
	memmove(group, group + 3, strlen(group + 3) + 1);
	for (;;) {
		(void)snprintf(path, sizeof(path), "%s%s/memory.max", CGROUPS,
		    strcmp(group, "/") == 0 ? "" : group);
		limit = CN_MIN(limit, limit_in(path));
		slash = strrchr(group, '/');
		if (slash == NULL || slash == group) {
			return limit;
		}
		*slash = '\0';
	}
}

uint64_t
cn_headroom_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long size = sysconf(_SC_PAGESIZE);
	uint64_t machine = pages > 0 && size > 0
	    ? (uint64_t)pages * (uint64_t)size
	    : UINT64_MAX;
	uint64_t group = cgroup_limit();

	return CN_MIN(machine, group);
}

uint32_t
cn_headroom_processors(void)
{
	cpu_set_t set;
	int n;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0) {
		return 1;
	}
	n = CPU_COUNT(&set);
	return n < 1 ? 1 : (uint32_t)n;
}

uint64_t
cn_headroom_resident(void)
{
	unsigned long long pages;
	char line[128];
	char *at;

	if (!read_line("/proc/self/statm", line, sizeof(line))) {
		return 0;
	}
	/* The second number. */
	at = strchr(line, ' ');
	if (at == NULL) {
		return 0;
	}
	pages = strtoull(at + 1, NULL, 10);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
