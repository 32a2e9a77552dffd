/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "gateway/events.h"

#define STARTED UINT64_C(1700000000000000)
#define THREADS 4
#define EACH 2000

static struct cn_events *
make(uint64_t started_us)
{
	struct cn_events *events = NULL;

	assert_int_equal(cn_events_create(started_us, &events), CN_OK);
	return events;
}

static void
test_pages(void **state)
{
	struct cn_events *events = make(STARTED);
	struct cn_snap_events page;
	uint64_t next, first;

	(void)state;
	assert_int_equal(cn_events_read(events, 0, 10, &page, &next), CN_OK);
	assert_int_equal(page.events_count, 0);
	assert_int_equal(page.latest, 0);
	assert_int_equal(next, 0);
	cn_snap_events_clear(&page);
	for (unsigned i = 0; i < 25; i++) {
		cn_events_add(events, CN_EVENT_RELOADED, NULL, "number %u", i);
	}
	assert_int_equal(cn_events_read(events, 0, 10, &page, &next), CN_OK);
	assert_int_equal(page.events_count, 10);
	assert_string_equal(page.events[0].text, "number 0");
	assert_int_equal(page.started_us, STARTED);
	first = page.events[0].id;
	assert_int_equal(next, first + 9);
	cn_snap_events_clear(&page);
	assert_int_equal(
	    cn_events_read(events, next, 512, &page, &next), CN_OK);
	assert_int_equal(page.events_count, 15);
	assert_int_equal(next, 0);
	assert_int_equal(page.latest, first + 24);
	assert_string_equal(page.events[14].text, "number 24");
	cn_snap_events_clear(&page);
	/* Nothing new; and a cursor from nowhere. */
	assert_int_equal(
	    cn_events_read(events, first + 24, 1, &page, &next), CN_OK);
	assert_int_equal(page.events_count, 0);
	cn_snap_events_clear(&page);
	assert_int_equal(
	    cn_events_read(events, INT64_MAX, 1, &page, &next), CN_OK);
	assert_int_equal(page.events_count, 0);
	cn_snap_events_clear(&page);
	cn_events_free(&events);
	assert_null(events);
	/* Nobody listens. */
	cn_events_add(NULL, CN_EVENT_STARTED, NULL, "%s", "");
}

static void
test_cap(void **state)
{
	struct cn_events *events = make(STARTED);
	struct cn_snap_events page;
	uint64_t next;

	(void)state;
	for (unsigned i = 0; i < CN_EVENTS_MAX + 7; i++) {
		cn_events_add(events, CN_EVENT_RELOADED, NULL, "number %u", i);
	}
	assert_int_equal(
	    cn_events_read(events, 0, CN_EVENT_PAGE, &page, &next), CN_OK);
	assert_string_equal(page.events[0].text, "number 7");
	assert_int_equal(page.lost, 7);
	assert_int_not_equal(next, 0);
	cn_snap_events_clear(&page);
	assert_int_equal(
	    cn_events_read(events, next, CN_EVENT_PAGE, &page, &next), CN_OK);
	assert_int_equal(page.events_count, CN_EVENTS_MAX - CN_EVENT_PAGE);
	assert_int_equal(page.lost, 0);
	assert_int_equal(next, 0);
	cn_snap_events_clear(&page);
	cn_events_free(&events);
}

/* Ids of a later start are greater than all of an earlier one. */
static void
test_restart(void **state)
{
	struct cn_events *old = make(STARTED);
	struct cn_events *young = make(STARTED + 10000);
	struct cn_snap_events page;
	uint64_t next, last;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		cn_events_add(old, CN_EVENT_STARTED, NULL, "%s", "");
	}
	cn_events_add(young, CN_EVENT_STARTED, NULL, "%s", "anew");
	assert_int_equal(cn_events_read(old, 0, 1, &page, &next), CN_OK);
	last = page.latest;
	assert_true(last < (UINT64_C(1) << 53));
	cn_snap_events_clear(&page);
	assert_int_equal(cn_events_read(young, last, 9, &page, &next), CN_OK);
	assert_int_equal(page.events_count, 1);
	assert_string_equal(page.events[0].text, "anew");
	cn_snap_events_clear(&page);
	cn_events_free(&old);
	cn_events_free(&young);
}

static uint64_t
count_kind(struct cn_events *events)
{
	struct cn_snap_events page;
	uint64_t next, count;

	assert_int_equal(
	    cn_events_read(events, 0, CN_EVENT_PAGE, &page, &next), CN_OK);
	count = page.events_count;
	cn_snap_events_clear(&page);
	return count;
}

/* A stranger gets one event a minute, and all strangers twenty. */
static void
test_limits(void **state)
{
	struct cn_events *events = make(STARTED);
	struct cn_events_about about = { .source = "192.0.2.1" };
	char from[32];

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		cn_events_add(
		    events, CN_EVENT_HANDSHAKE_REFUSED, &about, "%s", "no");
	}
	assert_int_equal(count_kind(events), 1);
	about.source = from;
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(
		    from, sizeof(from), "198.51.%u.%u", i / 250, i % 250);
		cn_events_add(
		    events, CN_EVENT_HANDSHAKE_REFUSED, &about, "%s", "no");
	}
	assert_int_equal(count_kind(events),
	    cn_event_info(CN_EVENT_HANDSHAKE_REFUSED)->kind_limit);
	/* Others are told all the same; two peers have a limit each. */
	about.source = NULL;
	about.peer = "tokyo";
	cn_events_add(events, CN_EVENT_CARRIER_FAILED, &about, "%s", "no");
	cn_events_add(events, CN_EVENT_CARRIER_FAILED, &about, "%s", "no");
	about.peer = "oslo";
	cn_events_add(events, CN_EVENT_CARRIER_FAILED, &about, "%s", "no");
	assert_int_equal(count_kind(events), 22);
	struct cn_snap_events page;
	uint64_t next;
	assert_int_equal(
	    cn_events_read(events, 0, CN_EVENT_PAGE, &page, &next), CN_OK);
	assert_string_equal(page.events[21].peer, "oslo");
	assert_int_equal(page.events[21].left_out, 1);
	cn_snap_events_clear(&page);
	cn_events_free(&events);
}

static void
add_many(void *arg)
{
	for (unsigned i = 0; i < EACH; i++) {
		cn_events_add(arg, CN_EVENT_STARTED, NULL, "%u", i);
	}
}

static void
test_threads(void **state)
{
	struct cn_events *events = make(STARTED);
	struct cn_snap_events page;
	uv_thread_t thread[THREADS];
	uint64_t next;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(
		    uv_thread_create(&thread[i], add_many, events), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		(void)uv_thread_join(&thread[i]);
	}
	assert_int_equal(cn_events_read(events, 0, 512, &page, &next), CN_OK);
	assert_int_equal(page.lost, THREADS * EACH - CN_EVENTS_MAX);
	for (size_t i = 1; i < page.events_count; i++) {
		assert_int_equal(page.events[i].id, page.events[i - 1].id + 1);
	}
	cn_snap_events_clear(&page);
	cn_events_free(&events);
}

static void
test_memory(void **state)
{
	struct cn_events *events = NULL;
	struct cn_snap_events page;
	uint64_t next;

	(void)state;
	cn_alloc_fail_at(1);
	assert_int_equal(cn_events_create(STARTED, &events), CN_ENOMEM);
	cn_alloc_fail_at(0);
	assert_null(events);
	events = make(STARTED);
	cn_alloc_fail_at(1);
	assert_int_equal(cn_events_read(events, 0, 9, &page, &next), CN_ENOMEM);
	cn_alloc_fail_at(0);
	cn_snap_events_clear(&page);
	cn_events_free(&events);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
