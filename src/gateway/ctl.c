/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl.h"

#include "base/err.h"

int
cn_ctl_open(struct cn_daemon *daemon, const char *path, struct cn_ctl **ret)
{
	(void)daemon;
	(void)path;
	*ret = NULL;
	return CN_OK;
}

void
cn_ctl_close(struct cn_ctl **cp)
{
	*cp = NULL;
}
