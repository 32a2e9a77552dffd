/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>

#include "base/alloc.h"
#include "planned.h"

#define ROOM 4096
#define HEAD "gateway: { name: here, listen: \"127.0.0.1:0\" }\n"

/* A configuration with one service on a port, one peer, one offer. */
static const char *
some_yaml(char *room, uint8_t peer, const char *listen)
{
	(void)snprintf(room, ROOM,
	    HEAD "peers:\n"
		 "  there: { address: \"127.0.0.1:9\", identity: \"%s\" }\n"
		 "services:\n"
		 "  web: { listen: \"%s\", peer: there, level: 3 }\n"
		 "offers:\n"
		 "  db: { to: \"[::1]:5432\", peers: [there] }\n",
	    planned_text(peer), listen);
	return room;
}

static void
test_what_is_in_it(void **state)
{
	char room[ROOM];
	struct cn_diag_list diags;
	struct cn_plan *plan = NULL;
	const struct cn_plan_service *service;
	uint8_t id[CN_IDENTITY_BYTES];

	(void)state;
	cn_diag_init(&diags);
	assert_int_equal(
	    planned(some_yaml(room, 7, "127.0.0.1:0"), 1, NULL, &diags, &plan),
	    CN_OK);
	planned_identity(7, id);
	assert_non_null(cn_plan_peer(plan, id));
	assert_true(cn_plan_peer(plan, id)->has_address);
	planned_identity(8, id);
	assert_null(cn_plan_peer(plan, id));
	assert_null(cn_plan_service(plan, "db"));
	assert_non_null(cn_plan_offer(plan, "db"));
	assert_int_equal(cn_plan_offer(plan, "db")->to.kind, CN_ADDR_V6);
	assert_int_equal(cn_plan_service(plan, "web")->profile.level_max, 3);
	assert_true(cn_plan_inlet(plan, plan->carriers[0], &service));
	assert_null(service);
	assert_true(cn_plan_inlet(plan, plan->services[0].inlets[0], &service));
	assert_ptr_equal(service, cn_plan_service(plan, "web"));
	cn_plan_unref(&plan);
	cn_diag_fini(&diags);
	assert_int_equal(cn_alloc_count(), 0);
}

static void
expect_error(const char *yaml, uint8_t own, const char *word)
{
	struct cn_diag_list diags;
	struct cn_plan *plan = NULL;
	struct cn_buf text;

	cn_diag_init(&diags);
	assert_int_equal(planned(yaml, own, NULL, &diags, &plan), CN_ECONFIG);
	assert_null(plan);
	cn_buf_init(&text, 100000);
	assert_int_equal(cn_diag_render_all(&diags, false, &text), CN_OK);
	assert_int_equal(cn_buf_append(&text, "", 1), CN_OK);
	if (strstr((char *)text.data, word) == NULL) {
		fail_msg("'%s' is not in: %s", word, (char *)text.data);
	}
	assert_non_null(strstr((char *)text.data, "test.yaml:"));
	cn_buf_fini(&text);
	cn_diag_fini(&diags);
	assert_int_equal(cn_alloc_count(), 0);
}

static void
test_what_is_refused(void **state)
{
	char room[ROOM];
	char spelled[CN_IDENTITY_TEXT_MAX];
	char *at;

	(void)state;
	expect_error(some_yaml(room, 5, "127.0.0.1:0"), 5, "of this gateway");
	/* Spelled otherwise, but the same. */
	(void)snprintf(spelled, sizeof(spelled), "%.69s", planned_text(9));
	for (at = spelled; *at != '\0'; at++) {
		*at = (char)tolower(*at);
	}
	(void)snprintf(room, ROOM,
	    HEAD "peers:\n  a: { identity: \"%.69s\" }\n"
		 "  b: { identity: \"%.69s\" }\n",
	    planned_text(9), spelled);
	expect_error(room, 1, "same");
	/* One letter wrong: the check digits tell. */
	at = &spelled[6];
	*at = *at == 'a' ? 'b' : 'a';
	(void)snprintf(
	    room, ROOM, HEAD "peers:\n  a: { identity: \"%.69s\" }\n", spelled);
	expect_error(room, 1, "peer 'a'");
}

static void
test_sockets_and_sums_live_on(void **state)
{
	char room[ROOM];
	char listen[64];
	struct cn_diag_list diags;
	struct cn_plan *first = NULL, *second = NULL, *third = NULL;
	struct cn_sockaddr at;

	(void)state;
	cn_diag_init(&diags);
	assert_int_equal(
	    planned(some_yaml(room, 7, "127.0.0.1:0"), 1, NULL, &diags, &first),
	    CN_OK);
	cn_listener_local(first->services[0].inlets[0]->listener, &at);
	(void)cn_sockaddr_format(&at, true, listen, sizeof(listen));
	/* The port is taken: a plan without the old one cannot have it. */
	assert_int_equal(
	    planned(some_yaml(room, 7, listen), 1, NULL, &diags, &second),
	    CN_ECONFIG);
	assert_int_equal(diags.errors, 1);
	cn_diag_fini(&diags);
	cn_diag_init(&diags);
	/* The same text again: the same socket, the same sums. */
	assert_int_equal(planned(some_yaml(room, 8, "127.0.0.1:0"), 1, first,
			     &diags, &second),
	    CN_OK);
	assert_ptr_equal(
	    first->services[0].inlets[0], second->services[0].inlets[0]);
	assert_ptr_equal(first->services[0].tally, second->services[0].tally);
	assert_ptr_equal(first->offers[0].tally, second->offers[0].tally);
	assert_ptr_equal(first->carriers[0], second->carriers[0]);
	/* Both go, in any order; then the port is free again. */
	cn_plan_unref(&first);
	assert_int_equal(
	    planned(some_yaml(room, 7, listen), 1, NULL, &diags, &third),
	    CN_ECONFIG);
	cn_plan_unref(&second);
	cn_diag_fini(&diags);
	cn_diag_init(&diags);
	assert_int_equal(
	    planned(some_yaml(room, 7, listen), 1, NULL, &diags, &third),
	    CN_OK);
	cn_plan_unref(&third);
	cn_diag_fini(&diags);
	assert_int_equal(cn_alloc_count(), 0);
}

static void
test_without_memory(void **state)
{
	char room[ROOM];
	struct cn_config_text text = { .name = "test.yaml" };
	uint8_t own[CN_IDENTITY_BYTES];
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	struct cn_plan *plan = NULL;
	uint64_t before;
	int err = CN_ENOMEM;

	(void)state;
	text.text = some_yaml(room, 7, "127.0.0.1:0");
	text.len = strlen(text.text);
	planned_identity(1, own);
	cn_diag_init(&diags);
	assert_int_equal(cn_config_parse(&text, 1, &diags, &config), CN_OK);
	before = cn_alloc_count();
	for (uint64_t n = 1; err != CN_OK; n++) {
		assert_true(n < 100);
		cn_alloc_fail_at(n);
		err = cn_plan_create(config, own, NULL, &diags, &plan);
		cn_alloc_fail_at(0);
		if (err == CN_ECONFIG) {
			/* A socket that could not be opened for want of it. */
			cn_diag_fini(&diags);
			cn_diag_init(&diags);
			err = CN_ENOMEM;
		}
		if (err != CN_OK) {
			assert_int_equal(err, CN_ENOMEM);
			assert_int_equal(cn_alloc_count(), before);
		}
	}
	cn_plan_unref(&plan);
	cn_config_unref(&config);
	cn_diag_fini(&diags);
	assert_int_equal(cn_alloc_count(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_in_it),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_sockets_and_sums_live_on),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
