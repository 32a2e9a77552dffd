/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_LIST_H
#define CN_BASE_LIST_H

/*
 * Intrusive circular list: the struct that is listed holds a cn_list.
 *
 * Life:       whoever embeds it calls cn_list_init() once, for head and item.
 * Invariants: an item that is in no list points to itself, so removing it
 *             again is harmless.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct cn_list {
	struct cn_list *next; /* borrowed */
	struct cn_list *prev; /* borrowed */
};

static inline void
cn_list_init(struct cn_list *list)
{
	list->next = list;
	list->prev = list;
}

/* True for an empty head; for an item: it is in no list. */
static inline bool
cn_list_is_empty(const struct cn_list *list)
{
	return list->next == list;
}

/* Add an item that is in no list at the end. */
static inline void
cn_list_append(struct cn_list *head, struct cn_list *item)
{
	item->next = head;
	item->prev = head->prev;
	head->prev->next = item;
	head->prev = item;
}

/* Add an item that is in no list at the front. */
static inline void
cn_list_prepend(struct cn_list *head, struct cn_list *item)
{
	cn_list_append(head->next, item);
}

/* Take an item out of whichever list it is in. */
static inline void
cn_list_remove(struct cn_list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	cn_list_init(item);
}

/* The first item, or NULL. */
static inline struct cn_list *
cn_list_first(const struct cn_list *head)
{
	return head->next == head ? NULL : head->next;
}

/* The last item, or NULL. */
static inline struct cn_list *
cn_list_last(const struct cn_list *head)
{
	return head->prev == head ? NULL : head->prev;
}

/* Move all items of one list to the end of another. */
static inline void
cn_list_splice(struct cn_list *head, struct cn_list *from)
{
	if (cn_list_is_empty(from)) {
		return;
	}
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	cn_list_init(from);
}

/* Walk; the body must not take any item out. */
#define CN_LIST_EACH(head, it)                                                 \
	for ((it) = (head)->next; (it) != (head); (it) = (it)->next)

/* Walk; the body may take out and free `it', but no other item. */
#define CN_LIST_EACH_SAFE(head, it, tmp)                                       \
	for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head);          \
	     (it) = (tmp), (tmp) = (it)->next)

/* The struct whose member the item is. */
#define CN_LIST_ENTRY(item, type, member) CN_CONTAINER_OF(item, type, member)

#endif /* CN_BASE_LIST_H */
