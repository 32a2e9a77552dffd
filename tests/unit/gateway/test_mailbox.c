/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "gateway/mailbox.h"

#define THREADS 4
#define EACH 5000

struct letter {
	struct cn_task task;
	unsigned thread, number;
};

static struct cn_mailbox mailbox;
static unsigned next_number[THREADS];
static unsigned ran, dropped;

static void
run_letter(struct cn_task *task, void *owner)
{
	struct letter *letter = CN_CONTAINER_OF(task, struct letter, task);

	assert_ptr_equal(owner, &mailbox);
	/* In the order of each sender. */
	assert_int_equal(letter->number, next_number[letter->thread]);
	next_number[letter->thread]++;
	ran++;
	cn_free(letter);
}

static void
drop_letter(struct cn_task *task)
{
	dropped++;
	cn_free(CN_CONTAINER_OF(task, struct letter, task));
}

static void
send_letter(unsigned thread, unsigned number)
{
	struct letter *letter = cn_calloc(1, sizeof(*letter));

	assert_non_null(letter);
	letter->thread = thread;
	letter->number = number;
	letter->task.run = run_letter;
	letter->task.drop = drop_letter;
	cn_mailbox_post(&mailbox, &letter->task);
}

static void
send_all(void *arg)
{
	unsigned thread = *(unsigned *)arg;

	for (unsigned i = 0; i < EACH; i++) {
		send_letter(thread, i);
	}
}

static void
test_all_arrive_in_order(void **state)
{
	uv_thread_t threads[THREADS];
	unsigned index[THREADS];
	uv_loop_t loop;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(cn_mailbox_init(&mailbox, &loop, &mailbox), CN_OK);
	for (unsigned i = 0; i < THREADS; i++) {
		index[i] = i;
		assert_int_equal(
		    uv_thread_create(&threads[i], send_all, &index[i]), 0);
	}
	while (ran < THREADS * EACH) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		(void)uv_thread_join(&threads[i]);
	}
	assert_int_equal(dropped, 0);
	/* What waits at the end, and what comes after, is dropped. */
	send_letter(0, 0);
	send_letter(0, 1);
	cn_mailbox_close(&mailbox);
	assert_int_equal(dropped, 2);
	send_letter(0, 2);
	assert_int_equal(dropped, 3);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	cn_mailbox_fini(&mailbox);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(ran, THREADS * EACH);
	assert_int_equal(cn_alloc_count(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_arrive_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
