/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/err.h"
#include "gateway/ctl_private.h"
#include "gateway/daemon.h"
#include "gateway/enlist.h"
#include "gateway/invite.h"

int
cn_ctl_invite(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	struct cn_invite_refusal why;
	struct cn_snap_invite invite;
	struct cn_diag_list diags;
	int err;

	cn_diag_init(&diags);
	err = cn_invite_open(
	    caller->ctl->daemon->invite, request, &diags, &why, &invite);
	if (err == CN_OK) {
		err = cn_reply_invite(&caller->reply, request->id, &invite);
	} else if (err == CN_EINVAL) {
		err = cn_reply_error(&caller->reply, request->id, why.code,
		    &diags, "%s", why.text);
	}
	cn_diag_fini(&diags);
	explicit_bzero(&invite, sizeof(invite));
	return err;
}

static void
on_joined(const struct cn_enlist_end *end, void *owner)
{
	struct cn_ctl_caller *caller = owner;
	uint64_t id = caller->request.id;

	cn_ctl_finish(caller, id,
	    end->code == CN_REPLY_OK
		? cn_reply_join(&caller->reply, id, &end->joined)
		: cn_reply_error(&caller->reply, id, end->code, &end->diags,
		      "%s", end->text));
}

int
cn_ctl_join(struct cn_ctl_caller *caller, const struct cn_request *request)
{
	struct cn_enlist_end end = { .code = CN_REPLY_OK };
	int err = cn_enlist_start(
	    caller->ctl->daemon, request, on_joined, caller, &end);

	if (err == CN_EINVAL) {
		return cn_reply_error(&caller->reply, request->id, end.code,
		    NULL, "%s", end.text);
	}
	if (err != CN_OK) {
		return err;
	}
	caller->request = *request;
	return CN_EAGAIN;
}
