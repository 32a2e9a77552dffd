/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONTROL_ACCESS_H
#define CN_CONTROL_ACCESS_H

/*
 * Who may ask a running gateway what.
 *
 * The socket's mode (0660, group `compressnet') decides who connects; this
 * decides what each of them may do: root and the gateway's own user
 * everything, members of `compressnet-admin' everything, members of
 * `compressnet' reading.  Others nothing, should they have come through.
 *
 * Thread: any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"

#define CN_ACCESS_READ_GROUP "compressnet"
#define CN_ACCESS_CHANGE_GROUP "compressnet-admin"
/* Supplementary groups of a caller that are looked at. */
#define CN_ACCESS_GROUPS_MAX 1024u

enum cn_access {
	CN_ACCESS_NONE,
	CN_ACCESS_READ,
	CN_ACCESS_CHANGE, /* includes reading */
};

struct cn_access_rule {
	uid_t owner; /* the gateway's user */
	bool has_read_group, has_change_group;
	gid_t read_group, change_group;
};

struct cn_access_caller {
	pid_t pid; /* for the log only */
	uid_t uid;
	gid_t gid;
	gid_t groups[CN_ACCESS_GROUPS_MAX];
	size_t groups_count;
};

/* Look the two groups up; they need not exist.  Before threads start. */
void cn_access_rule_init(struct cn_access_rule *rule);

/*
 * Who is at the other end of a connected Unix socket (SO_PEERCRED and
 * SO_PEERGROUPS: as they were when it connected).
 *
 * Returns CN_OK or the system's error: then grant nothing.
 */
int cn_access_caller_of(int fd, struct cn_access_caller *ret) CN_MUSTCHECK;

/* What the rule grants the caller. */
enum cn_access cn_access_grant(
    const struct cn_access_rule *rule, const struct cn_access_caller *caller);

#endif /* CN_CONTROL_ACCESS_H */
