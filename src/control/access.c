/* SPDX-License-Identifier: Apache-2.0 */
#include "control/access.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

static bool
group_id(const char *name, gid_t *ret)
{
	struct group entry, *found = NULL;
	char room[16384]; /* a group of thousands does not fit: not granted */

	if (getgrnam_r(name, &entry, room, sizeof(room), &found) != 0 ||
	    found == NULL) {
		return false;
	}
	*ret = entry.gr_gid;
	return true;
}

void
cn_access_rule_init(struct cn_access_rule *rule)
{
	memset(rule, 0, sizeof(*rule));
	rule->owner = geteuid();
	rule->has_read_group =
	    group_id(CN_ACCESS_READ_GROUP, &rule->read_group);
	rule->has_change_group =
	    group_id(CN_ACCESS_CHANGE_GROUP, &rule->change_group);
}

int
cn_access_caller_of(int fd, struct cn_access_caller *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
		return cn_err_from_errno(errno);
	}
	len = sizeof(ret->groups);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, ret->groups, &len) != 0) {
		/* More groups than we look at: judged by the first only. */
		if (errno != ERANGE && errno != ENOPROTOOPT) {
			return cn_err_from_errno(errno);
		}
		len = 0;
	}
	ret->pid = cred.pid;
	ret->uid = cred.uid;
	ret->gid = cred.gid;
	ret->groups_count = len / sizeof(ret->groups[0]);
	return CN_OK;
}

static bool
is_member(const struct cn_access_caller *caller, gid_t group)
{
	if (caller->gid == group) {
		return true;
	}
	for (size_t i = 0; i < caller->groups_count; i++) {
		if (caller->groups[i] == group) {
			return true;
		}
	}
	return false;
}

enum cn_access
cn_access_grant(
    const struct cn_access_rule *rule, const struct cn_access_caller *caller)
{
	if (caller->uid == 0 || caller->uid == rule->owner) {
		return CN_ACCESS_CHANGE;
	}
	if (rule->has_change_group && is_member(caller, rule->change_group)) {
		return CN_ACCESS_CHANGE;
	}
	if (rule->has_read_group && is_member(caller, rule->read_group)) {
		return CN_ACCESS_READ;
	}
	return CN_ACCESS_NONE;
}
