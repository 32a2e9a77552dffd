/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include <cmocka.h>

struct item {
	int number;
	struct cn_list node;
};

static void
check(const struct cn_list *head, const int *want, size_t count)
{
	const struct cn_list *it = head;

	for (size_t i = 0; i < count; i++) {
		it = it->next;
		assert_ptr_not_equal(it, head);
		assert_ptr_equal(it->prev->next, it);
		assert_int_equal(
		    CN_LIST_ENTRY(it, struct item, node)->number, want[i]);
	}
	assert_ptr_equal(it->next, head);
	assert_ptr_equal(head->prev, it);
}

static void
test_both_ends_and_removal(void **state CN_UNUSED)
{
	struct cn_list head;
	struct item a = { .number = 1 }, b = { .number = 2 },
		    c = { .number = 3 };

	cn_list_init(&head);
	cn_list_init(&b.node);
	assert_true(cn_list_is_empty(&head));
	assert_null(cn_list_first(&head));
	assert_null(cn_list_last(&head));
	cn_list_append(&head, &b.node);
	cn_list_append(&head, &c.node);
	cn_list_prepend(&head, &a.node);
	check(&head, (const int[]){ 1, 2, 3 }, 3);
	assert_ptr_equal(cn_list_first(&head), &a.node);
	assert_ptr_equal(cn_list_last(&head), &c.node);
	assert_false(cn_list_is_empty(&b.node));
	cn_list_remove(&b.node);
	assert_true(cn_list_is_empty(&b.node));
	cn_list_remove(&b.node);
	check(&head, (const int[]){ 1, 3 }, 2);
	cn_list_remove(&a.node);
	cn_list_remove(&c.node);
	assert_true(cn_list_is_empty(&head));
}

static void
test_walk_may_remove(void **state CN_UNUSED)
{
	struct cn_list head, *it, *tmp;
	struct item items[6];
	int sum = 0;

	cn_list_init(&head);
	for (int i = 0; i < 6; i++) {
		items[i].number = i;
		cn_list_append(&head, &items[i].node);
	}
	CN_LIST_EACH_SAFE(&head, it, tmp)
	{
		struct item *item = CN_LIST_ENTRY(it, struct item, node);

		if (item->number % 2 == 0) {
			cn_list_remove(it);
			it->next = it->prev = NULL;
		}
	}
	check(&head, (const int[]){ 1, 3, 5 }, 3);
	CN_LIST_EACH(&head, it)
	{
		sum += CN_LIST_ENTRY(it, struct item, node)->number;
	}
	assert_int_equal(sum, 9);
}

static void
test_splice(void **state CN_UNUSED)
{
	struct cn_list a, b;
	struct item items[4];

	cn_list_init(&a);
	cn_list_init(&b);
	for (int i = 0; i < 4; i++) {
		items[i].number = i;
		cn_list_append(i < 2 ? &a : &b, &items[i].node);
	}
	cn_list_splice(&a, &b);
	check(&a, (const int[]){ 0, 1, 2, 3 }, 4);
	assert_true(cn_list_is_empty(&b));
	cn_list_splice(&a, &b);
	check(&a, (const int[]){ 0, 1, 2, 3 }, 4);
	cn_list_splice(&b, &a);
	check(&b, (const int[]){ 0, 1, 2, 3 }, 4);
	assert_true(cn_list_is_empty(&a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ends_and_removal),
		cmocka_unit_test(test_walk_may_remove),
		cmocka_unit_test(test_splice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
