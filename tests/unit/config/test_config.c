/* SPDX-License-Identifier: Apache-2.0 */

/* Good configurations: what lands in the structs, merging, the dump. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_helper.h"

#include "base/alloc.h"
#include "config/schema.h"

static void
test_smallest(void **state)
{
	struct cn_config *config = must_load("gateway: {name: lima}");

	(void)state;
	assert_string_equal(config->gateway.name, "lima");
	assert_int_equal(config->gateway.listen.count, 0);
	assert_null(config->gateway.key);
	assert_int_equal(config->peers_count, 0);
	assert_int_equal(config->services_count, 0);
	assert_int_equal(config->offers_count, 0);
	assert_int_equal(config->resume_window_us, 60000000);
	assert_int_equal(config->workers, 0);
	assert_int_equal(config->memory.limit_bytes, 512u << 20);
	assert_null(config->store.path);
	assert_int_equal(config->store.size_bytes, UINT64_C(10) << 30);
	assert_int_equal(config->store.memory_bytes, 256u << 20);
	assert_int_equal(config->store.index_bytes, 0);
	assert_int_equal(config->store.quota_bytes, 0);
	assert_null(config->carrier.congestion);
	assert_int_equal(config->carrier.connect_timeout_us, 10000000);
	assert_int_equal(config->carrier.redial_max_us, 10000000);
	assert_int_equal(config->limits.streams_per_peer, 100000);
	assert_int_equal(config->limits.window_bytes, 64u << 20);
	assert_null(config->control.socket);
	assert_int_equal(config->log.level, CN_CONFIG_LOG_INFO);
	/* Where the name stands is known, where the defaults do not. */
	assert_int_equal(config->gateway.entry.keys[0].line, 1);
	assert_int_equal(config->gateway.entry.keys[0].column, 17);
	assert_int_equal(config->log.entry.keys[0].line, 0);
	cn_config_unref(&config);
	assert_null(config);
}

static void
test_builtin_profiles(void **state)
{
	static const struct {
		const char *name;
		uint64_t coalesce_us;
		uint32_t min, max;
		bool dedup;
	} expected[] = {
		{ "balanced", 2000, 1, 9, true },
		{ "max-reduction", 20000, 3, 9, true },
		{ "min-latency", 0, 1, 3, true },
		{ "off", 0, 0, 0, false },
	};
	struct cn_config *config = must_load("gateway: {name: lima}");

	(void)state;
	assert_int_equal(config->profiles_count, 4);
	for (size_t i = 0; i < 4; i++) {
		const struct cn_config_profile *profile =
		    cn_config_profile(config, expected[i].name);

		assert_non_null(profile);
		assert_true(profile->is_builtin);
		assert_int_equal(profile->coalesce_us, expected[i].coalesce_us);
		assert_int_equal(profile->level_min, expected[i].min);
		assert_int_equal(profile->level_max, expected[i].max);
		assert_int_equal(profile->dedup, expected[i].dedup);
	}
	assert_null(cn_config_profile(config, "fast"));
	cn_config_unref(&config);
}

static const char whole[] =
    "gateway: {name: lima, listen: [\"*\", \"[::1]:3333\"], key: '/k\"\\'}\n"
    "peers:\n"
    "  tokyo: {address: tokyo.example.net, identity: " TOKYO "}\n"
    "  london:\n"
    "    address: \"[2001:DB8:0::1]:33\"\n"
    "    identity: " LONDON "\n"
    "    carriers: 4\n"
    "services:\n"
    "  db: {listen: 127.0.0.1:5432, peer: tokyo}\n"
    "  web:\n"
    "    listen: [\"unix:/run/w\", 10.0.0.1:80]\n"
    "    peer: london\n"
    "    offer: site\n"
    "    profile: mine\n"
    "    level: 4..5\n"
    "    scope: client\n"
    "    group: pages\n"
    "    on_peer_down: queue\n"
    "    allow_unix_eof: true\n"
    "offers:\n"
    "  wiki: {to: wiki.internal:80, peers: london, level: 3,\n"
    "         connect_timeout: 1500ms}\n"
    "  sock: {to: unix:/run/s, peers: [tokyo, london], profile: off,\n"
    "         allow_unix_eof: true}\n"
    "profiles: {mine: {coalesce: 0, level_min: 4, level_max: 12,\n"
    "           dedup: false}}\n"
    "resume_window: 90s\n"
    "workers: 2\n"
    "memory: {limit: 1GiB}\n"
    "store: {path: /s, size: 1TiB, memory: 1GiB, index: 2MiB, quota: 1GB}\n"
    "carrier: {congestion: bbr, connect_timeout: 3s, redial_max: 1m}\n"
    "limits: {streams_per_peer: 10, window: 128KiB}\n"
    "control: {socket: /run/c}\n"
    "log: {level: debug}\n";

static void
check_peers(const struct cn_config *config)
{
	const struct cn_config_peer *peer = cn_config_peer(config, "tokyo");

	assert_int_equal(config->peers_count, 2);
	assert_non_null(peer);
	assert_int_equal(peer->address.kind, CN_CONFIG_ADDRESS_TCP);
	assert_string_equal(peer->address.host, "tokyo.example.net");
	assert_int_equal(peer->address.port, 3);
	assert_int_equal(peer->address.family, 0);
	assert_string_equal(peer->identity, TOKYO);
	assert_int_equal(peer->carriers, 1);
	peer = cn_config_peer(config, "london");
	assert_string_equal(peer->address.text, "[2001:db8::1]:33");
	assert_int_equal(peer->address.family, 6);
	assert_int_equal(peer->address.place.line, 5);
	assert_int_equal(peer->carriers, 4);
	assert_null(cn_config_peer(config, "paris"));
}

static void
check_services(const struct cn_config *config)
{
	const struct cn_config_service *service =
	    cn_config_service(config, "db");

	assert_string_equal(service->offer, "db");
	assert_string_equal(service->profile, "balanced");
	assert_int_equal(service->scope, CN_CONFIG_SCOPE_SERVICE);
	assert_int_equal(service->on_peer_down, CN_CONFIG_PEER_DOWN_RESET);
	assert_false(service->allow_unix_eof);
	assert_int_equal(service->coding.coalesce_us, 2000);
	assert_int_equal(service->coding.level_min, 1);
	assert_int_equal(service->coding.level_max, 9);
	assert_true(service->coding.dedup);
	assert_null(service->group);
	service = cn_config_service(config, "web");
	assert_int_equal(service->listen.count, 2);
	assert_string_equal(service->listen.item[0].path, "/run/w");
	assert_string_equal(service->listen.item[1].text, "10.0.0.1:80");
	assert_string_equal(service->offer, "site");
	assert_int_equal(service->scope, CN_CONFIG_SCOPE_CLIENT);
	assert_int_equal(service->on_peer_down, CN_CONFIG_PEER_DOWN_QUEUE);
	assert_int_equal(service->coding.coalesce_us, 0);
	assert_int_equal(service->coding.level_min, 4);
	assert_int_equal(service->coding.level_max, 5);
	assert_false(service->coding.dedup);
	assert_string_equal(service->group, "pages");
}

static void
check_offers(const struct cn_config *config)
{
	const struct cn_config_offer *offer = cn_config_offer(config, "wiki");

	assert_string_equal(offer->to.text, "wiki.internal:80");
	assert_int_equal(offer->connect_timeout_us, 1500000);
	assert_int_equal(offer->coding.level_min, 3);
	assert_int_equal(offer->coding.level_max, 3);
	assert_true(offer->coding.dedup);
	assert_true(cn_config_offer_allows(offer, "london"));
	assert_false(cn_config_offer_allows(offer, "tokyo"));
	assert_false(cn_config_offer_allows(offer, "lond"));
	offer = cn_config_offer(config, "sock");
	assert_int_equal(offer->to.kind, CN_CONFIG_ADDRESS_UNIX);
	assert_true(cn_config_offer_allows(offer, "tokyo"));
	assert_int_equal(offer->coding.level_max, 0);
	assert_false(offer->coding.dedup);
}

static void
check_whole(const struct cn_config *config)
{
	assert_int_equal(config->gateway.listen.count, 2);
	assert_string_equal(config->gateway.listen.item[0].text, "*:3");
	assert_string_equal(config->gateway.listen.item[1].host, "::1");
	assert_int_equal(config->gateway.listen.item[1].port, 3333);
	assert_string_equal(config->gateway.key, "/k\"\\");
	check_peers(config);
	check_services(config);
	check_offers(config);
	assert_int_equal(config->resume_window_us, 90000000);
	assert_int_equal(config->workers, 2);
	assert_int_equal(config->memory.limit_bytes, 1u << 30);
	assert_string_equal(config->store.path, "/s");
	assert_int_equal(config->store.size_bytes, UINT64_C(1) << 40);
	assert_int_equal(config->store.memory_bytes, 1u << 30);
	assert_int_equal(config->store.index_bytes, 2u << 20);
	assert_int_equal(config->store.quota_bytes, 1000000000);
	assert_string_equal(config->carrier.congestion, "bbr");
	assert_int_equal(config->carrier.redial_max_us, 60000000);
	assert_int_equal(config->limits.streams_per_peer, 10);
	assert_int_equal(config->limits.window_bytes, 128u << 10);
	assert_string_equal(config->control.socket, "/run/c");
	assert_int_equal(config->log.level, CN_CONFIG_LOG_DEBUG);
}

static void
test_every_key(void **state)
{
	struct cn_config *config = must_load(whole);

	(void)state;
	check_whole(config);
	cn_config_unref(&config);
}

/* What is dumped loads as the same, and dumps as the same. */
static void
test_dump(void **state)
{
	struct cn_config *config = must_load(whole);
	struct cn_buf first, second;

	(void)state;
	cn_buf_init(&first, 1u << 20);
	cn_buf_init(&second, 1u << 20);
	assert_int_equal(cn_config_dump(config, &first), CN_OK);
	assert_int_equal(cn_buf_append(&first, "", 1), CN_OK);
	cn_config_unref(&config);
	config = must_load((const char *)first.data);
	assert_int_equal(cn_config_dump(config, &second), CN_OK);
	assert_int_equal(cn_buf_append(&second, "", 1), CN_OK);
	assert_string_equal(
	    (const char *)first.data, (const char *)second.data);
	assert_int_equal(config->services_count, 2);
	assert_int_equal(config->profiles_count, 5);
	assert_string_equal(cn_config_peer(config, "tokyo")->address.text,
	    "tokyo.example.net:3");
	cn_config_unref(&config);
	cn_buf_fini(&first);
	cn_buf_fini(&second);
}

static void
test_dump_of_the_smallest(void **state)
{
	struct cn_config *config = must_load("gateway: {name: lima}");
	struct cn_buf out;

	(void)state;
	cn_buf_init(&out, 1u << 20);
	assert_int_equal(cn_config_dump(config, &out), CN_OK);
	assert_int_equal(cn_buf_append(&out, "", 1), CN_OK);
	assert_string_equal((const char *)out.data,
	    "gateway:\n"
	    "  name: \"lima\"\n"
	    "resume_window: 1m\n"
	    "workers: 0\n"
	    "memory:\n"
	    "  limit: 512MiB\n"
	    "store:\n"
	    "  size: 10GiB\n"
	    "  memory: 256MiB\n"
	    "  index: 0\n"
	    "  quota: 0\n"
	    "carrier:\n"
	    "  connect_timeout: 10s\n"
	    "  redial_max: 10s\n"
	    "limits:\n"
	    "  streams_per_peer: 100000\n"
	    "  window: 64MiB\n"
	    "serve:\n"
	    "  metrics_open: false\n"
	    "log:\n"
	    "  level: \"info\"\n");
	cn_config_unref(&config);
	cn_buf_fini(&out);
}

/* The index is derived from what it has to find. */
static void
test_index(void **state)
{
	static const struct {
		const char *store;
		uint64_t mib;
	} expected[] = {
		{ "{memory: 0}", 0 },
		{ "{memory: 0, index: 2MiB}", 0 },
		{ "{memory: 16MiB}", 1 },
		{ "{}", 2 },
		{ "{memory: 1GiB}", 8 },
		{ "{index: 3MiB}", 3 },
		{ "{path: /s}", 64 },
		{ "{path: /s, size: 64MiB}", 2 },
		{ "{path: /s, size: 100GiB}", 64 },
		{ "{path: /s, size: 1TiB}", 1024 },
		{ "{path: /s, size: 1TiB, index: 4GiB}", 4096 },
	};

	(void)state;
	for (size_t i = 0; i < CN_ARRAY_LEN(expected); i++) {
		struct cn_config *config;
		char text[128];

		snprintf(text, sizeof(text), "gateway: {name: a}\nstore: %s\n",
		    expected[i].store);
		config = must_load(text);
		assert_int_equal(
		    cn_config_store_index(config), expected[i].mib << 20);
		cn_config_unref(&config);
	}
}

/* Other ways to write the same. */
static void
test_other_spellings(void **state)
{
	struct cn_config *config;

	(void)state;
	config = must_load("\xef\xbb\xbf"
			   "gateway:\r\n  name: 'lima'\r\n");
	assert_string_equal(config->gateway.name, "lima");
	cn_config_unref(&config);
	config = must_load("---\n# JSON is YAML\n"
			   "{\"gateway\": {\"name\": \"li\\u006da\"},\n"
			   "\"workers\": 3, \"peers\": null}\n...\n");
	assert_string_equal(config->gateway.name, "lima");
	assert_int_equal(config->workers, 3);
	cn_config_unref(&config);
	config = must_load("gateway: {name: lima}\nservices:\noffers: {}\n");
	cn_config_unref(&config);
}

/* Sections go on, entries come together, places name their file. */
static void
test_merge(void **state)
{
	struct cn_config_text texts[] = {
		text_of("a.yaml",
		    "gateway: {name: lima}\n"
		    "services: {db: {listen: \"[::1]:5\", peer: tokyo}}\n"),
		text_of("conf.d/b.yaml", "# nothing\n"),
		text_of("conf.d/c.yaml",
		    "\ngateway: {listen: 0.0.0.0}\n"
		    "peers: {tokyo: {identity: " TOKYO "}}\n"
		    "services: {at: {listen: 127.0.0.1:6, peer: tokyo}}\n"),
	};
	struct cn_config *config = NULL;
	struct cn_diag_list diags;

	(void)state;
	cn_diag_init(&diags);
	assert_int_equal(cn_config_parse(texts, 3, &diags, &config), CN_OK);
	assert_int_equal(diags.count, 0);
	assert_string_equal(config->gateway.name, "lima");
	assert_string_equal(config->gateway.listen.item[0].text, "0.0.0.0:3");
	assert_int_equal(config->services_count, 2);
	assert_string_equal(config->services[0].entry.name, "at");
	assert_int_equal(config->services[0].entry.place.file, 2);
	assert_int_equal(config->services[0].entry.place.line, 4);
	assert_int_equal(config->services[1].entry.place.file, 0);
	assert_int_equal(config->files_count, 3);
	assert_string_equal(config->files[2], "conf.d/c.yaml");
	cn_config_unref(&config);
	cn_diag_fini(&diags);
}

static void
test_references(void **state)
{
	struct cn_config *config = must_load("gateway: {name: lima}");
	struct cn_config *other = cn_config_ref(config);

	(void)state;
	assert_ptr_equal(other, config);
	cn_config_unref(&config);
	assert_string_equal(other->gateway.name, "lima");
	cn_config_unref(&other);
	cn_config_unref(&other);
}

/* ---- files ---- */

static void
write_file(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static int
load(const char *path, struct cn_buf *said, struct cn_config **config)
{
	struct cn_diag_list diags;
	int err;

	*config = NULL;
	cn_diag_init(&diags);
	err = cn_config_load(path, &diags, config);
	cn_buf_clear(said);
	for (size_t i = 0; i < diags.count; i++) {
		assert_int_equal(
		    cn_diag_render(&diags.item[i], false, said), CN_OK);
	}
	assert_int_equal(cn_buf_append(said, "", 1), CN_OK);
	cn_diag_fini(&diags);
	return err;
}

static void
test_files(void **state)
{
	char folder[] = "/tmp/cn-config-XXXXXX";
	struct cn_config *config;
	struct cn_buf said;
	static char large[CN_CONFIG_FILE_MAX + 1];

	(void)state;
	cn_buf_init(&said, 1u << 20);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(load("main.yaml", &said, &config), CN_ECONFIG);
	assert_string_equal((const char *)said.data,
	    "main.yaml: error: cannot open: No such file or directory\n");

	write_file("main.yaml", "gateway: {name: a}\n", 19);
	assert_int_equal(load("main.yaml", &said, &config), CN_OK);
	cn_config_unref(&config);

	/* By name, and nothing but what ends in .yaml. */
	assert_int_equal(mkdir("conf.d", 0700), 0);
	write_file("conf.d/b.yaml", "log: {level: warn}\n", 19);
	write_file("conf.d/a.yaml", "workers: 1\n", 11);
	write_file("conf.d/.c.yaml", "bad", 3);
	write_file("conf.d/a.yaml~", "bad", 3);
	assert_int_equal(load("main.yaml", &said, &config), CN_OK);
	assert_int_equal(config->files_count, 3);
	assert_string_equal(config->files[1], "conf.d/a.yaml");
	assert_string_equal(config->files[2], "conf.d/b.yaml");
	assert_int_equal(config->log.level, CN_CONFIG_LOG_WARN);
	cn_config_unref(&config);

	/* A pipe must not hold us; a large file is not read. */
	assert_int_equal(mkfifo("conf.d/d.yaml", 0600), 0);
	memset(large, '#', sizeof(large));
	write_file("conf.d/e.yaml", large, sizeof(large));
	assert_int_equal(load("./main.yaml", &said, &config), CN_ECONFIG);
	assert_string_equal((const char *)said.data,
	    "./conf.d/d.yaml: error: not a file\n"
	    "./conf.d/e.yaml: error: the file is larger than 1 MiB\n");

	unlink("conf.d/a.yaml");
	unlink("conf.d/b.yaml");
	unlink("conf.d/.c.yaml");
	unlink("conf.d/a.yaml~");
	unlink("conf.d/d.yaml");
	unlink("conf.d/e.yaml");
	rmdir("conf.d");
	unlink("main.yaml");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(folder), 0);
	cn_buf_fini(&said);
}

/* The annotated file in the documents is good, and has every key. */
static void
check_keys_given(const struct cn_schema_section *section,
    const struct cn_config_entry *entry)
{
	for (size_t i = 0; i < section->count; i++) {
		if (entry->keys[i].line == 0) {
			fail_msg("the example has no %s in '%s'",
			    section->keys[i].name, section->name);
		}
	}
}

static void
test_example(void **state)
{
	struct cn_config *config;
	struct cn_buf said;
	const struct cn_schema_section *root = cn_schema_root();

	(void)state;
	cn_buf_init(&said, 1u << 20);
	if (load(CN_SOURCE_ROOT "/doc/examples/compressnet.yaml", &said,
		&config) != CN_OK) {
		fail_msg("%s", (const char *)said.data);
	}
	check_keys_given(root, &config->entry);
	check_keys_given(
	    cn_schema_key(root, "gateway")->sub, &config->gateway.entry);
	check_keys_given(cn_schema_key(root, "peers")->sub,
	    &cn_config_peer(config, "tokyo")->entry);
	check_keys_given(cn_schema_key(root, "services")->sub,
	    &cn_config_service(config, "orders-db")->entry);
	check_keys_given(cn_schema_key(root, "offers")->sub,
	    &cn_config_offer(config, "wiki")->entry);
	check_keys_given(cn_schema_key(root, "profiles")->sub,
	    &cn_config_profile(config, "chatty")->entry);
	check_keys_given(
	    cn_schema_key(root, "memory")->sub, &config->memory.entry);
	check_keys_given(
	    cn_schema_key(root, "store")->sub, &config->store.entry);
	check_keys_given(
	    cn_schema_key(root, "carrier")->sub, &config->carrier.entry);
	check_keys_given(
	    cn_schema_key(root, "limits")->sub, &config->limits.entry);
	check_keys_given(
	    cn_schema_key(root, "control")->sub, &config->control.entry);
	check_keys_given(cn_schema_key(root, "log")->sub, &config->log.entry);
	cn_config_unref(&config);
	cn_buf_fini(&said);
}

/* ---- memory ---- */

static const char bad[] = "gateway: {nam: lima}\n"
			  "services: {a: {listen: x, peer: y, level: 99}}\n"
			  "b: [\n";

/* The n-th allocation fails, for every n: clean errors, nothing leaks. */
static void
torture(const char *text, int expected)
{
	struct cn_config_text source = text_of("a.yaml", text);
	uint64_t live = cn_alloc_bytes();
	unsigned failed = 0;
	bool has_failed = true;
	int err = CN_ENOMEM;

	for (uint64_t nth = 1; has_failed; nth++) {
		struct cn_config *config = NULL;
		struct cn_diag_list diags;

		cn_diag_init(&diags);
		cn_alloc_fail_at(nth);
		err = cn_config_parse(&source, 1, &diags, &config);
		has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		assert_true(
		    err == CN_OK || err == CN_ECONFIG || err == CN_ENOMEM);
		/* Never an error without a word, nor a success with one. */
		assert_true(err != CN_ECONFIG || diags.count > 0);
		assert_true(err != CN_OK || diags.errors == 0);
		assert_int_equal(err == CN_OK, config != NULL);
		failed += err == CN_ENOMEM;
		cn_config_unref(&config);
		cn_diag_fini(&diags);
		assert_int_equal(cn_alloc_bytes(), live);
	}
	assert_int_equal(err, expected);
	assert_true(failed > 0);
}

static void
test_memory(void **state)
{
	(void)state;
	torture(whole, CN_OK);
	torture(bad, CN_ECONFIG);
}

static void
test_memory_of_dump(void **state)
{
	struct cn_config *config = must_load(whole);
	int err = CN_ENOMEM;

	(void)state;
	for (uint64_t nth = 1; err != CN_OK; nth++) {
		struct cn_buf out;

		cn_buf_init(&out, 1u << 20);
		cn_alloc_fail_at(nth);
		err = cn_config_dump(config, &out);
		cn_alloc_fail_at(0);
		assert_true(err == CN_OK || err == CN_ENOMEM);
		assert_true(nth < 1000);
		cn_buf_fini(&out);
	}
	cn_config_unref(&config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smallest),
		cmocka_unit_test(test_builtin_profiles),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_dump_of_the_smallest),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_other_spellings),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_memory_of_dump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
