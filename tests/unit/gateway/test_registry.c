/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "gateway/registry.h"
#include "planned.h"

/* We are 50; peer "low" is 10, "high" is 90; both have addresses, "quiet",
 * 70, has none. */
#define OWN 50
#define LOW 10
#define HIGH 90
#define QUIET 70
#define NOW UINT64_C(1000000000)

static struct cn_plan *
make_plan(bool with_peers)
{
	struct cn_diag_list diags;
	struct cn_plan *plan = NULL;
	char yaml[2048];

	(void)snprintf(yaml, sizeof(yaml),
	    "gateway: { name: x, listen: \"127.0.0.1:0\" }\n"
	    "peers:\n"
	    "  low: { address: \"127.0.0.1:9\", identity: \"%.69s\" }\n"
	    "  high: { address: \"127.0.0.1:9\", identity: \"%.69s\" }\n"
	    "  quiet: { identity: \"%.69s\" }\n",
	    planned_text(LOW), planned_text(HIGH), planned_text(QUIET));
	cn_diag_init(&diags);
	assert_int_equal(planned(with_peers ? yaml : "gateway: { name: x }\n",
			     OWN, NULL, &diags, &plan),
	    CN_OK);
	cn_diag_fini(&diags);
	return plan;
}

static struct cn_registry *
make_registry(uint32_t workers)
{
	struct cn_registry *registry;
	struct cn_plan *plan = make_plan(true);
	uint8_t own[CN_IDENTITY_BYTES];

	planned_identity(OWN, own);
	assert_int_equal(cn_registry_create(own, workers, &registry), CN_OK);
	assert_int_equal(cn_registry_plan(registry, plan, NOW), CN_OK);
	cn_plan_unref(&plan);
	return registry;
}

static struct cn_hello
hello_of(uint8_t peer, uint8_t link, uint32_t flags)
{
	struct cn_hello hello = { .flags = flags, .workers = 1 };

	planned_identity(peer, hello.identity);
	memset(hello.link_id, link, CN_LINK_ID_BYTES);
	return hello;
}

static struct cn_registry_route
route(struct cn_registry *registry, uint8_t peer, uint8_t link, uint32_t flags)
{
	struct cn_hello hello = hello_of(peer, link, flags);
	struct cn_registry_route ret;

	cn_registry_route(registry, &hello, &ret);
	return ret;
}

static struct cn_registry_link *
claim(struct cn_registry *registry, uint8_t peer, uint8_t link, uint32_t worker)
{
	struct cn_hello hello = hello_of(peer, link, 0);

	return cn_registry_claim(
	    registry, hello.identity, hello.link_id, worker);
}

static void
up(struct cn_registry *registry, struct cn_registry_link *link,
    uint32_t workers)
{
	struct cn_hello hello = hello_of(0, 0, 0);
	bool is_first;

	hello.workers = workers;
	assert_false(cn_registry_up(registry, link, &hello, &is_first));
}

static int
pick(struct cn_registry *registry, uint8_t peer, uint32_t own, uint32_t *ret)
{
	uint8_t identity[CN_IDENTITY_BYTES];

	planned_identity(peer, identity);
	return cn_registry_pick(registry, identity, own, ret);
}

static void
test_who_dials_when(void **state)
{
	struct cn_registry *registry = make_registry(3);
	struct cn_registry_link *high, *low, *more[8];
	unsigned seen[3] = { 0 };

	(void)state;
	/* The higher identity waits for us: we dial it at once, one link. */
	high = cn_registry_missing(registry, NOW);
	assert_non_null(high);
	assert_int_equal(high->peer[0], HIGH);
	assert_true(high->is_dialler);
	assert_null(cn_registry_missing(registry, NOW));
	/* The lower one has its moment to dial us, then we do. */
	assert_null(
	    cn_registry_missing(registry, NOW + CN_REGISTRY_YIELD_US - 1));
	low = cn_registry_missing(registry, NOW + CN_REGISTRY_YIELD_US);
	assert_non_null(low);
	assert_int_equal(low->peer[0], LOW);
	assert_null(cn_registry_missing(registry, NOW + CN_REGISTRY_YIELD_US));
	/* Its hello tells its workers: as many links as the larger number,
	 * spread over ours. */
	up(registry, high, 5);
	for (int i = 0; i < 4; i++) {
		more[i] = cn_registry_missing(registry, NOW);
		assert_non_null(more[i]);
		assert_int_equal(more[i]->peer[0], HIGH);
		seen[more[i]->worker]++;
	}
	seen[high->worker]++;
	assert_null(cn_registry_missing(registry, NOW));
	for (int i = 0; i < 3; i++) {
		assert_in_range(seen[i], 1, 2);
	}
	up(registry, low, 1);
	more[4] = cn_registry_missing(registry, NOW + CN_REGISTRY_YIELD_US);
	assert_non_null(more[4]);
	assert_int_equal(more[4]->peer[0], LOW);
	/* One is lost: it is missing again. */
	cn_registry_remove(registry, &more[0], NOW);
	assert_null(more[0]);
	more[0] = cn_registry_missing(registry, NOW);
	assert_non_null(more[0]);
	cn_registry_free(&registry);
	assert_int_equal(cn_alloc_count(), 0);
}

static void
test_giving_way(void **state)
{
	struct cn_registry *registry = make_registry(1);
	struct cn_registry_link *link, *in;
	uint8_t low[CN_IDENTITY_BYTES];
	uint64_t later = NOW + CN_REGISTRY_YIELD_US;

	(void)state;
	/* The lower one dials us in its moment: we do not. */
	assert_int_equal(
	    route(registry, LOW, 1, CN_HELLO_NEW_LINK).status, CN_CLOSE_OK);
	in = claim(registry, LOW, 1, 0);
	assert_non_null(in);
	link = cn_registry_missing(registry, later);
	assert_int_equal(link->peer[0], HIGH);
	assert_null(cn_registry_missing(registry, later));
	/* Its link is gone: it has another moment. */
	cn_registry_remove(registry, &in, later);
	assert_null(cn_registry_missing(registry, later));
	planned_identity(LOW, low);
	cn_registry_hold(registry, low, later + CN_REGISTRY_HOLD_US);
	assert_null(
	    cn_registry_missing(registry, later + CN_REGISTRY_YIELD_US));
	in = cn_registry_missing(registry, later + CN_REGISTRY_HOLD_US);
	assert_non_null(in);
	assert_int_equal(in->peer[0], LOW);
	/* Who dials the higher one has its new links refused, when up. */
	assert_int_equal(
	    route(registry, HIGH, 2, CN_HELLO_NEW_LINK).status, CN_CLOSE_OK);
	up(registry, link, 1);
	assert_int_equal(route(registry, HIGH, 3, CN_HELLO_NEW_LINK).status,
	    CN_CLOSE_REPLACED);
	/* Not the one that it has already. */
	assert_int_equal(route(registry, HIGH, 2, 0).status, CN_CLOSE_OK);
	cn_registry_free(&registry);
	assert_int_equal(cn_alloc_count(), 0);
}

static void
test_routes(void **state)
{
	struct cn_registry *registry = make_registry(4);
	struct cn_registry_link *ours;
	struct cn_plan *none = make_plan(false);
	struct cn_hello hello;
	struct cn_registry_route ret;
	unsigned seen[4] = { 0 };

	(void)state;
	assert_int_equal(
	    route(registry, QUIET, 1, 0).status, CN_CLOSE_LINK_UNKNOWN);
	assert_int_equal(
	    route(registry, 33, 1, CN_HELLO_NEW_LINK).status, CN_CLOSE_REMOVED);
	/* Eight links at once, before any worker has made one. */
	for (uint8_t i = 0; i < 8; i++) {
		ret = route(registry, QUIET, i, CN_HELLO_NEW_LINK);
		assert_int_equal(ret.status, CN_CLOSE_OK);
		seen[ret.worker]++;
		/* All its carriers go to the same worker. */
		assert_int_equal(
		    route(registry, QUIET, i, 0).worker, ret.worker);
		assert_non_null(claim(registry, QUIET, i, ret.worker));
		assert_null(claim(registry, QUIET, i, (ret.worker + 1) % 4));
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(seen[i], 2);
	}
	/* A link that we dial is not for them to dial. */
	ours = cn_registry_missing(registry, NOW);
	hello = hello_of(HIGH, 0, 0);
	memcpy(hello.link_id, ours->id, CN_LINK_ID_BYTES);
	cn_registry_route(registry, &hello, &ret);
	assert_int_equal(ret.status, CN_CLOSE_PROTOCOL);
	/* Going down: resumes come in, new links do not. */
	cn_registry_drain(registry);
	assert_int_equal(route(registry, QUIET, 3, 0).status, CN_CLOSE_OK);
	assert_int_equal(route(registry, QUIET, 20, CN_HELLO_NEW_LINK).status,
	    CN_CLOSE_SHUTDOWN);
	assert_null(cn_registry_missing(registry, NOW + CN_REGISTRY_YIELD_US));
	/* A removed peer: nothing of it comes in. */
	assert_int_equal(cn_registry_plan(registry, none, NOW), CN_OK);
	assert_int_equal(route(registry, QUIET, 3, 0).status, CN_CLOSE_REMOVED);
	cn_plan_unref(&none);
	cn_registry_free(&registry);
	assert_int_equal(cn_alloc_count(), 0);
}

static void
test_picks(void **state)
{
	struct cn_registry *registry = make_registry(3);
	struct cn_registry_link *link[3];
	uint32_t worker;

	(void)state;
	for (uint8_t i = 0; i < 3; i++) {
		worker = route(registry, QUIET, i, CN_HELLO_NEW_LINK).worker;
		link[worker] = claim(registry, QUIET, i, worker);
	}
	/* None was ever up: nothing to send a client into. */
	assert_int_equal(pick(registry, QUIET, 1, &worker), CN_ENOENT);
	up(registry, link[0], 1);
	assert_int_equal(pick(registry, QUIET, 1, &worker), CN_OK);
	assert_int_equal(worker, 0);
	up(registry, link[1], 1);
	assert_int_equal(pick(registry, QUIET, 1, &worker), CN_OK);
	assert_int_equal(worker, 1);
	/* Its own serves until it has many more streams than another. */
	atomic_store(&link[1]->streams, 5);
	assert_int_equal(pick(registry, QUIET, 1, &worker), CN_OK);
	assert_int_equal(worker, 1);
	atomic_store(&link[1]->streams, 100);
	assert_int_equal(pick(registry, QUIET, 1, &worker), CN_OK);
	assert_int_equal(worker, 0);
	assert_int_equal(pick(registry, QUIET, 2, &worker), CN_OK);
	assert_int_equal(worker, 0);
	/* One that resumes comes after one that is up. */
	assert_false(cn_registry_down(registry, link[0]));
	assert_int_equal(pick(registry, QUIET, 0, &worker), CN_OK);
	assert_int_equal(worker, 1);
	assert_true(cn_registry_down(registry, link[1]));
	assert_false(cn_registry_down(registry, link[1]));
	assert_int_equal(pick(registry, QUIET, 2, &worker), CN_OK);
	assert_int_equal(worker, 0);
	cn_registry_set_draining(registry, link[0]);
	assert_int_equal(pick(registry, QUIET, 0, &worker), CN_OK);
	assert_int_equal(worker, 1);
	cn_registry_remove(registry, &link[1], NOW);
	assert_int_equal(pick(registry, QUIET, 0, &worker), CN_ENOENT);
	assert_int_equal(pick(registry, 33, 0, &worker), CN_ENOENT);
	cn_registry_free(&registry);
	assert_int_equal(cn_alloc_count(), 0);
}

static void
test_what_people_see(void **state)
{
	struct cn_registry *registry = make_registry(1);
	struct cn_registry_link *link = cn_registry_missing(registry, NOW);
	struct cn_registry_peer_info info;
	struct cn_snap_bytes bytes = { .lan = 100, .wan = 10 };
	uint8_t id[CN_IDENTITY_BYTES];

	(void)state;
	planned_identity(HIGH, id);
	cn_registry_set_error(registry, id, "refused");
	assert_true(cn_registry_peer_info(registry, id, &info));
	assert_string_equal(info.error, "refused");
	assert_int_equal(info.links, 1);
	assert_int_equal(info.links_up, 0);
	up(registry, link, 7);
	cn_registry_account(registry, id, &bytes, &bytes, 3);
	assert_true(cn_registry_peer_info(registry, id, &info));
	assert_string_equal(info.error, "");
	assert_int_equal(info.links_up, 1);
	assert_int_equal(info.workers, 7);
	assert_int_equal(info.sent.lan, 100);
	assert_int_equal(info.resumes, 3);
	planned_identity(33, id);
	assert_false(cn_registry_peer_info(registry, id, &info));
	cn_registry_free(&registry);
	assert_int_equal(cn_alloc_count(), 0);
}

static void
test_a_peer_that_restarts(void **state)
{
	struct cn_registry *registry = make_registry(1);
	struct cn_registry_link *link = cn_registry_missing(registry, NOW);
	struct cn_hello hello = hello_of(HIGH, 1, 0);
	uint8_t first[CN_BOOT_ID_BYTES] = { 1 };
	uint8_t second[CN_BOOT_ID_BYTES] = { 2 };
	bool is_first;

	(void)state;
	/* Nothing was heard yet: nothing is known to be over. */
	assert_false(cn_registry_is_outlived(registry, hello.identity, first));
	memcpy(hello.boot_id, first, sizeof(first));
	assert_false(cn_registry_up(registry, link, &hello, &is_first));
	assert_true(is_first);
	assert_false(cn_registry_up(registry, link, &hello, &is_first));
	assert_false(is_first);
	assert_false(cn_registry_is_outlived(registry, hello.identity, first));
	memcpy(hello.boot_id, second, sizeof(second));
	assert_true(cn_registry_up(registry, link, &hello, &is_first));
	assert_true(cn_registry_is_outlived(registry, hello.identity, first));
	assert_false(cn_registry_is_outlived(registry, hello.identity, second));
	cn_registry_free(&registry);
}

/* Nothing new goes to it; forgotten when it leaves the plan. */
static void
test_drained(void **state)
{
	struct cn_registry *registry = make_registry(1);
	struct cn_registry_peer_info info;
	uint8_t quiet[CN_IDENTITY_BYTES], nobody[CN_IDENTITY_BYTES];
	struct cn_plan *plan;
	uint32_t worker;

	(void)state;
	planned_identity(QUIET, quiet);
	planned_identity(33, nobody);
	(void)route(registry, QUIET, 1, CN_HELLO_NEW_LINK);
	up(registry, claim(registry, QUIET, 1, 0), 1);
	assert_false(cn_registry_drain_peer(registry, nobody, true));
	assert_false(cn_registry_is_drained(registry, nobody));
	assert_true(cn_registry_drain_peer(registry, quiet, true));
	assert_true(cn_registry_is_drained(registry, quiet));
	assert_true(cn_registry_peer_info(registry, quiet, &info));
	assert_true(info.is_drained && info.links_up == 1);
	assert_int_equal(pick(registry, QUIET, 0, &worker), CN_ENOENT);
	/* Its links may come back meanwhile: what runs goes on. */
	assert_int_equal(route(registry, QUIET, 1, 0).status, CN_CLOSE_OK);
	assert_true(cn_registry_drain_peer(registry, quiet, false));
	assert_int_equal(pick(registry, QUIET, 0, &worker), CN_OK);
	assert_true(cn_registry_drain_peer(registry, quiet, true));
	for (int with_peers = 1; with_peers >= 0; with_peers--) {
		plan = make_plan(with_peers != 0);
		assert_int_equal(cn_registry_plan(registry, plan, NOW), CN_OK);
		cn_plan_unref(&plan);
		assert_int_equal(
		    cn_registry_is_drained(registry, quiet), with_peers);
	}
	cn_registry_free(&registry);
	assert_int_equal(cn_alloc_count(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_dials_when),
		cmocka_unit_test(test_giving_way),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_picks),
		cmocka_unit_test(test_what_people_see),
		cmocka_unit_test(test_a_peer_that_restarts),
		cmocka_unit_test(test_drained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
