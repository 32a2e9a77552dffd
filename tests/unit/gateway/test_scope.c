/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/scope.h"

static const uint8_t us[CN_IDENTITY_BYTES] = { 1, 2, 3 };
static const uint8_t others[CN_IDENTITY_BYTES] = { 1, 2, 4 };

static uint64_t
key_of(enum cn_config_scope scope, const char *name, const char *group,
    const char *client)
{
	const struct cn_config_service service = {
		.entry.name = name,
		.scope = scope,
		.group = group,
	};

	return cn_scope_key(us, &service, client);
}

#define CONNECTION CN_CONFIG_SCOPE_CONNECTION
#define CLIENT CN_CONFIG_SCOPE_CLIENT
#define SERVICE CN_CONFIG_SCOPE_SERVICE
#define PEER CN_CONFIG_SCOPE_PEER

static void
test_who_shares(void **state)
{
	(void)state;
	/* Of a service: whatever the client. */
	assert_int_equal(key_of(SERVICE, "a", NULL, "10.0.0.1:1"),
	    key_of(SERVICE, "a", NULL, "10.0.0.2:2"));
	/* Of a client: whatever its port. */
	assert_int_equal(key_of(CLIENT, "a", NULL, "[::1]:1"),
	    key_of(CLIENT, "a", NULL, "[::1]:2"));
	/* Of a peer: whatever the service. */
	assert_int_equal(key_of(PEER, "a", NULL, "10.0.0.1:1"),
	    key_of(PEER, "b", NULL, "10.0.0.2:1"));
	/* Of a group: whatever the service, but not whatever the client. */
	assert_int_equal(key_of(SERVICE, "a", "g", "10.0.0.1:1"),
	    key_of(SERVICE, "b", "g", "10.0.0.2:1"));
	assert_int_equal(key_of(CLIENT, "a", "g", "10.0.0.1:1"),
	    key_of(CLIENT, "b", "g", "10.0.0.1:2"));
}

static void
test_who_does_not(void **state)
{
	/* One key of each kind, and of each name: all differ. */
	const uint64_t keys[] = {
		key_of(CONNECTION, "a", NULL, "10.0.0.1:1"),
		key_of(CONNECTION, "a", NULL, "10.0.0.1:1"),
		key_of(CONNECTION, "a", "g", "10.0.0.1:1"),
		key_of(CONNECTION, "a", "g", "10.0.0.1:1"),
		key_of(CLIENT, "a", NULL, "10.0.0.1:1"),
		key_of(CLIENT, "a", NULL, "10.0.0.2:1"),
		key_of(CLIENT, "b", NULL, "10.0.0.1:1"),
		key_of(CLIENT, "a", "g", "10.0.0.1:1"),
		key_of(CLIENT, "a", "g", "10.0.0.2:1"),
		key_of(CLIENT, "a", "a", "10.0.0.1:1"),
		key_of(SERVICE, "a", NULL, ""),
		key_of(SERVICE, "b", NULL, ""),
		key_of(SERVICE, "a", "a", ""),
		key_of(SERVICE, "a", "b", ""),
		key_of(PEER, "a", NULL, ""),
		cn_scope_key(others,
		    &(const struct cn_config_service){
			.entry.name = "a", .scope = SERVICE },
		    ""),
	};

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(keys); i++) {
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(keys[i], keys[j]);
		}
	}
}

static void
test_what_is_not_stored(void **state)
{
	struct cn_config_service service = { .scope = CLIENT };

	(void)state;
	assert_true(cn_scope_is_unstored(&service)); /* no dedup */
	service.coding.dedup = true;
	assert_false(cn_scope_is_unstored(&service));
	service.scope = CONNECTION;
	assert_true(cn_scope_is_unstored(&service));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_shares),
		cmocka_unit_test(test_who_does_not),
		cmocka_unit_test(test_what_is_not_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
