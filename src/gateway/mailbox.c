/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/mailbox.h"

#include "base/err.h"

/* Take all that waits, so that none is run under the lock. */
static void
take(struct cn_mailbox *mailbox, struct cn_list *ret)
{
	cn_list_init(ret);
	uv_mutex_lock(&mailbox->lock);
	cn_list_splice(ret, &mailbox->tasks);
	uv_mutex_unlock(&mailbox->lock);
}

static void
on_async(uv_async_t *async)
{
	struct cn_mailbox *mailbox = async->data;
	struct cn_list tasks;
	struct cn_list *item;

	take(mailbox, &tasks);
	while ((item = cn_list_first(&tasks)) != NULL) {
		struct cn_task *task =
		    CN_LIST_ENTRY(item, struct cn_task, item);

		cn_list_remove(item);
		task->run(task, mailbox->owner);
	}
}

int
cn_mailbox_init(struct cn_mailbox *mailbox, uv_loop_t *loop, void *owner)
{
	int err = uv_mutex_init(&mailbox->lock);

	if (err != 0) {
		return err;
	}
	err = uv_async_init(loop, &mailbox->async, on_async);
	if (err != 0) {
		uv_mutex_destroy(&mailbox->lock);
		return err;
	}
	mailbox->async.data = mailbox;
	mailbox->owner = owner;
	mailbox->is_closed = false;
	cn_list_init(&mailbox->tasks);
	return CN_OK;
}

void
cn_mailbox_post(struct cn_mailbox *mailbox, struct cn_task *task)
{
	bool is_closed;

	uv_mutex_lock(&mailbox->lock);
	is_closed = mailbox->is_closed;
	if (!is_closed) {
		cn_list_init(&task->item);
		cn_list_append(&mailbox->tasks, &task->item);
		/* Inside the lock: the handle cannot be closed meanwhile. */
		(void)uv_async_send(&mailbox->async);
	}
	uv_mutex_unlock(&mailbox->lock);
	if (is_closed) {
		task->drop(task);
	}
}

void
cn_mailbox_close(struct cn_mailbox *mailbox)
{
	struct cn_list tasks;
	struct cn_list *item;

	uv_mutex_lock(&mailbox->lock);
	mailbox->is_closed = true;
	uv_mutex_unlock(&mailbox->lock);
	uv_close((uv_handle_t *)&mailbox->async, NULL);
	take(mailbox, &tasks);
	while ((item = cn_list_first(&tasks)) != NULL) {
		struct cn_task *task =
		    CN_LIST_ENTRY(item, struct cn_task, item);

		cn_list_remove(item);
		task->drop(task);
	}
}

void
cn_mailbox_fini(struct cn_mailbox *mailbox)
{
	uv_mutex_destroy(&mailbox->lock);
}
