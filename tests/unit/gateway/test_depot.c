/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/rand.h"
#include "codec/match.h"
#include "gateway/depot_private.h"
#include "store/export.h"
#include "store/store.h"

#define SCOPE 77u
#define PLAIN_BYTES (256u * 1024u)

static const uint8_t here[CN_IDENTITY_BYTES] = { 1 };
static const uint8_t there[CN_IDENTITY_BYTES] = { 2 };
static const uint8_t elsewhere[CN_IDENTITY_BYTES] = { 3 };
static const uint8_t secret[CN_IMAGE_KEY_BYTES] = { 4 };
static const uint8_t other_secret[CN_IMAGE_KEY_BYTES] = { 5 };
static const uint8_t carry[CN_IMAGE_KEY_BYTES] = { 6 };

static uv_loop_t loop;
/* Of a thread that may have a few instructions left. */
static void *abandoned;
static char folder[64];
static uint8_t plain[PLAIN_BYTES];

/* ---- depots ---- */

static struct cn_depot *
open_depot(const uint8_t *own, const uint8_t *key, const char *store)
{
	struct cn_config *config = NULL;
	struct cn_depot *depot = NULL;
	struct cn_diag_list diags;
	char text[256];
	struct cn_config_text source = { .name = "x", .text = text };

	(void)snprintf(
	    text, sizeof(text), "gateway: {name: a}\nstore: {%s}\n", store);
	source.len = strlen(text);
	cn_diag_init(&diags);
	assert_int_equal(cn_config_parse(&source, 1, &diags, &config), CN_OK);
	assert_int_equal(cn_depot_open(config, &loop, own, key, &depot), CN_OK);
	cn_config_unref(&config);
	cn_diag_fini(&diags);
	return depot;
}

static struct cn_depot *
open_on_disk(const uint8_t *own, const uint8_t *key)
{
	char store[128];

	(void)snprintf(store, sizeof(store),
	    "path: %s/s, memory: 16MiB, size: 64MiB", folder);
	return open_depot(own, key, store);
}

/* Random bytes for the peer, whole segments of them. */
static void
fill(struct cn_depot *depot, const uint8_t *peer, unsigned segments)
{
	struct cn_pair *pair = cn_store_pair(cn_depot_store(depot), peer);
	const struct cn_store_span span = { 0, PLAIN_BYTES };
	struct cn_store_piece piece[8];
	size_t pieces;

	assert_non_null(pair);
	for (unsigned i = 0; i < segments * 4; i++) {
		cn_rand_bytes(plain, sizeof(plain));
		pieces = cn_pair_append(
		    pair, SCOPE, plain, &span, 1, piece, 8, cn_clock_us());
		assert_true(pieces > 0);
		for (size_t k = 0; k < pieces; k++) {
			cn_pair_held(pair, cn_pair_epoch(pair), piece[k].pos,
			    piece[k].len);
		}
	}
	cn_pair_put(&pair);
}

static struct cn_snap_store
figures(struct cn_depot *depot)
{
	struct cn_snap_store store;

	cn_depot_snap(depot, &store);
	return store;
}

/* ---- work ---- */

static void
on_done(struct cn_depot_work *work)
{
	*(bool *)work->owner = true;
}

/* One step, to its end. */
static struct cn_depot_work *
take_step(struct cn_depot *depot, struct cn_depot_work *work)
{
	bool is_done = false;

	work->done = on_done;
	work->owner = &is_done;
	work->err = CN_OK;
	memset(&work->walk, 0, sizeof(work->walk));
	work->next = 0;
	memcpy(work->key, carry, sizeof(carry));
	cn_depot_work(depot, work);
	while (!is_done) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	return work;
}

static struct cn_depot_work *
make_work(enum cn_depot_step step)
{
	struct cn_depot_work *work = cn_calloc(1, sizeof(*work));

	assert_non_null(work);
	work->step = step;
	return work;
}

static struct cn_snap_walk
verify(struct cn_depot *depot)
{
	struct cn_depot_work *work = make_work(CN_DEPOT_VERIFY);
	struct cn_snap_walk sum = { 0 };

	do {
		take_step(depot, work);
		assert_int_equal(work->err, CN_OK);
		sum.segments += work->walk.segments;
		sum.damaged += work->walk.damaged;
		work->cursor = work->next;
	} while (work->cursor != 0);
	cn_depot_work_free(&work);
	return sum;
}

static void
trim(struct cn_depot *depot, uint64_t bytes)
{
	struct cn_depot_work *work = make_work(CN_DEPOT_TRIM);

	work->cursor = bytes;
	assert_int_equal(take_step(depot, work)->err, CN_OK);
	cn_depot_work_free(&work);
}

/* All of a depot's export. */
static void
export_all(struct cn_depot *depot, struct cn_buf *out)
{
	struct cn_depot_stream *stream = cn_depot_stream_create();
	struct cn_depot_work *work;
	uint64_t cursor = 0;

	assert_non_null(stream);
	do {
		work = make_work(CN_DEPOT_EXPORT);
		work->stream = stream;
		work->cursor = cursor;
		assert_int_equal(take_step(depot, work)->err, CN_OK);
		assert_int_equal(
		    cn_buf_append(out, work->bytes, work->len), CN_OK);
		cursor = work->next;
		cn_depot_work_free(&work);
	} while (cursor != 0);
	cn_depot_stream_free(&stream);
}

/* Import in pieces of that length. */
static int
import_all(struct cn_depot *depot, const uint8_t *bytes, size_t len,
    size_t piece, struct cn_snap_walk *sum)
{
	struct cn_depot_stream *stream = cn_depot_stream_create();
	int err = CN_OK;

	assert_non_null(stream);
	memset(sum, 0, sizeof(*sum));
	for (size_t at = 0; at < len && err == CN_OK; at += piece) {
		struct cn_depot_work *work = make_work(CN_DEPOT_IMPORT);

		work->stream = stream;
		work->cursor = at;
		work->len = CN_MIN(piece, len - at);
		work->bytes = cn_memdup(bytes + at, work->len);
		assert_non_null(work->bytes);
		err = take_step(depot, work)->err;
		sum->segments += work->walk.segments;
		sum->known += work->walk.known;
		sum->foreign += work->walk.foreign;
		sum->no_room += work->walk.no_room;
		sum->whole += work->walk.whole;
		assert_int_equal(work->next,
		    err == CN_OK && sum->whole == 0 ? CN_MIN(at + piece, len)
						    : 0);
		cn_depot_work_free(&work);
	}
	cn_depot_stream_free(&stream);
	return err;
}

/* ---- tests ---- */

static void
test_off(void **state)
{
	struct cn_depot *depot = open_depot(here, secret, "memory: 0");
	struct cn_snap_store store;

	(void)state;
	assert_null(depot);
	assert_null(cn_depot_store(depot));
	cn_depot_tick(depot, 1);
	cn_depot_snap(depot, &store);
	assert_false(store.is_on);
	cn_depot_close(&depot);
}

static void
test_in_memory(void **state)
{
	struct cn_depot *depot = open_depot(here, secret, "memory: 16MiB");

	(void)state;
	fill(depot, there, 3);
	assert_true(figures(depot).is_on);
	assert_false(figures(depot).has_disk);
	assert_int_equal(verify(depot).segments, 3);
	trim(depot, 1u << 20);
	assert_int_equal(verify(depot).segments, 1);
	trim(depot, 0);
	assert_int_equal(verify(depot).segments, 0);
	assert_int_equal(figures(depot).valid_bytes, 0);
	cn_depot_close(&depot);
	assert_null(depot);
}

/* What was stored is there after a restart; a flipped bit is found. */
static void
test_on_disk(void **state)
{
	struct cn_depot *depot = open_on_disk(here, secret);
	char path[96];
	uint8_t byte = 0;
	int fd;

	(void)state;
	fill(depot, there, 3);
	cn_depot_close(&depot);
	(void)snprintf(path, sizeof(path), "%s/s/segments", folder);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(
	    pread(fd, &byte, 1, CN_IMAGE_BYTES + CN_IMAGE_DATA_AT + 99), 1);
	byte ^= 1;
	depot = open_on_disk(here, secret);
	assert_int_equal(figures(depot).recovered, 3);
	assert_int_equal(
	    pwrite(fd, &byte, 1, CN_IMAGE_BYTES + CN_IMAGE_DATA_AT + 99), 1);
	(void)close(fd);
	assert_int_equal(verify(depot).damaged, 1);
	assert_int_equal(verify(depot).damaged, 0);
	assert_int_equal(verify(depot).segments, 2);
	cn_depot_close(&depot);
	/* With another key it is a stranger's. */
	depot = open_on_disk(here, other_secret);
	assert_int_equal(verify(depot).segments, 0);
	cn_depot_close(&depot);
}

static void
test_locked(void **state)
{
	struct cn_depot *first = open_on_disk(here, secret);
	struct cn_depot *second = open_on_disk(here, secret);

	(void)state;
	assert_false(figures(first).is_disk_lost);
	assert_true(figures(second).is_on);
	assert_true(figures(second).is_disk_lost);
	assert_string_equal(figures(second).error, "another process uses it");
	fill(second, there, 1);
	assert_int_equal(verify(second).segments, 1);
	cn_depot_close(&second);
	cn_depot_close(&first);
}

/* The far side sees the pair from its own side, and finds its chunks. */
static void
check_imported(struct cn_depot *depot)
{
	static uint8_t image[CN_IMAGE_BYTES];
	static uint8_t data[CN_SEGMENT_BYTES];
	static struct cn_store_chunk chunk[CN_IMAGE_CHUNKS_MAX];
	struct cn_store *store = cn_depot_store(depot);
	struct cn_pair *pair = cn_store_pair(store, here);
	struct cn_image_info info;
	uint64_t age = 0, spots[4];
	size_t found = 0;

	assert_non_null(pair);
	assert_int_equal(cn_store_walk(store, &age, image), CN_OK);
	assert_int_equal(
	    cn_image_open_data(other_secret, image, &info, data), CN_OK);
	assert_int_equal(
	    cn_image_open(other_secret, image, &info, chunk), CN_OK);
	assert_memory_equal(info.peer, here, sizeof(here));
	assert_false(info.is_mine);
	assert_in_range(info.chunks, 32, CN_IMAGE_CHUNKS_MAX);
	for (uint32_t i = 0; i < info.chunks; i++) {
		found += cn_pair_find(pair, chunk[i].key, spots) > 0;
		assert_true(i == 0 || chunk[i].pos > chunk[i - 1].pos);
	}
	assert_in_range(found, info.chunks * 9 / 10, info.chunks);
	cn_pair_put(&pair);
}

static void
test_carry(void **state)
{
	static const size_t pieces[] = { 1u << 20, 777777, 2u << 20 };
	struct cn_depot *depot = open_depot(here, secret, "memory: 16MiB");
	struct cn_snap_walk sum;
	struct cn_buf bytes;

	(void)state;
	cn_buf_init(&bytes, 64u << 20);
	fill(depot, there, 2);
	fill(depot, elsewhere, 1);
	export_all(depot, &bytes);
	/* Back into the same one: all of it is here. */
	assert_int_equal(
	    import_all(depot, bytes.data, bytes.len, 1u << 20, &sum), CN_OK);
	assert_int_equal(sum.known, 3);
	/* And after it was emptied. */
	trim(depot, 0);
	assert_int_equal(
	    import_all(depot, bytes.data, bytes.len, 1u << 20, &sum), CN_OK);
	assert_int_equal(sum.known + sum.foreign + sum.no_room, 0);
	assert_int_equal(sum.segments, 3);
	assert_int_equal(verify(depot).segments, 3);
	cn_depot_close(&depot);
	for (size_t i = 0; i < CN_ARRAY_LEN(pieces); i++) {
		depot = open_depot(there, other_secret, "memory: 16MiB");
		assert_int_equal(
		    import_all(depot, bytes.data, bytes.len, pieces[i], &sum),
		    CN_OK);
		assert_int_equal(sum.segments, 3);
		assert_int_equal(sum.foreign, 1);
		assert_int_equal(sum.whole, 1);
		assert_int_equal(verify(depot).segments, 2);
		check_imported(depot);
		cn_depot_close(&depot);
	}
	cn_buf_fini(&bytes);
}

/* Cut, damaged, of another key; and what is good of it is kept. */
static void
test_bad_imports(void **state)
{
	struct cn_depot *depot = open_depot(here, secret, "memory: 16MiB");
	struct cn_snap_walk sum;
	struct cn_buf bytes;

	(void)state;
	cn_buf_init(&bytes, 64u << 20);
	fill(depot, there, 2);
	export_all(depot, &bytes);
	cn_depot_close(&depot);
	depot = open_depot(there, other_secret, "memory: 16MiB");
	assert_int_equal(
	    import_all(depot, bytes.data, bytes.len - 1, 1u << 20, &sum),
	    CN_OK);
	assert_int_equal(sum.whole, 0);
	trim(depot, 0);
	bytes.data[bytes.len - 1000] ^= 4;
	assert_int_equal(
	    import_all(depot, bytes.data, bytes.len, 1u << 20, &sum),
	    CN_ECODING);
	assert_int_equal(verify(depot).segments, 1);
	bytes.data[60] ^= 4;
	assert_int_equal(
	    import_all(depot, bytes.data, bytes.len, 1u << 20, &sum), CN_EKEY);
	bytes.data[0] ^= 4;
	assert_int_equal(
	    import_all(depot, bytes.data, bytes.len, 1u << 20, &sum),
	    CN_ECODING);
	cn_depot_close(&depot);
	cn_buf_fini(&bytes);
}

/* A cursor that is not where the stream is. */
static void
test_bad_cursors(void **state)
{
	struct cn_depot *depot = open_depot(here, secret, "memory: 16MiB");
	struct cn_depot_stream *stream = cn_depot_stream_create();
	struct cn_depot_work *work;

	(void)state;
	assert_non_null(stream);
	work = make_work(CN_DEPOT_EXPORT);
	work->stream = stream;
	work->cursor = 5;
	assert_int_equal(take_step(depot, work)->err, CN_EINVAL);
	assert_int_equal(work->len, 0);
	cn_depot_work_free(&work);
	work = make_work(CN_DEPOT_IMPORT);
	work->stream = stream;
	work->cursor = 5;
	assert_int_equal(take_step(depot, work)->err, CN_EINVAL);
	cn_depot_work_free(&work);
	cn_depot_stream_free(&stream);
	cn_depot_close(&depot);
}

/* Every allocation fails once: no leak, no half-made depot. */
static void
test_without_memory(void **state)
{
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	char text[256];
	struct cn_config_text source = { .name = "x", .text = text };
	int err = CN_ENOMEM;

	(void)state;
	(void)snprintf(text, sizeof(text),
	    "gateway: {name: a}\nstore: {path: %s/s, memory: 16MiB}\n", folder);
	source.len = strlen(text);
	cn_diag_init(&diags);
	assert_int_equal(cn_config_parse(&source, 1, &diags, &config), CN_OK);
	cn_diag_fini(&diags);
	for (uint64_t nth = 1; err != CN_OK || cn_alloc_has_failed(); nth++) {
		uint64_t live = cn_alloc_count();
		struct cn_depot *depot = NULL;

		cn_alloc_fail_at(nth);
		err = cn_depot_open(config, &loop, here, secret, &depot);
		assert_true(err == CN_OK || err == CN_ENOMEM);
		assert_true((depot != NULL) == (err == CN_OK));
		cn_depot_close(&depot);
		if (!cn_alloc_has_failed()) {
			cn_alloc_fail_at(0);
			break;
		}
		cn_alloc_fail_at(0);
		assert_int_equal(cn_alloc_count(), live);
		assert_true(nth < 1000);
	}
	assert_int_equal(err, CN_OK);
	cn_config_unref(&config);
}

/* Steps for which there is no memory fail, and the next ones do not. */
static void
test_steps_without_memory(void **state)
{
	struct cn_depot *depot = open_depot(here, secret, "memory: 16MiB");
	struct cn_depot_stream *stream = cn_depot_stream_create();
	struct cn_depot_work *work;
	bool has_failed = true;

	(void)state;
	assert_non_null(stream);
	fill(depot, there, 1);
	for (uint64_t nth = 1; has_failed; nth++) {
		work = make_work(CN_DEPOT_EXPORT);
		work->stream = stream;
		cn_alloc_fail_at(nth);
		take_step(depot, work);
		has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		assert_true(has_failed || work->err == CN_OK);
		assert_true(work->err == CN_OK || work->err == CN_ENOMEM ||
		    work->err == CN_EIO);
		cn_depot_work_free(&work);
		assert_true(nth < 100);
	}
	cn_depot_stream_free(&stream);
	assert_int_equal(verify(depot).segments, 1);
	cn_depot_close(&depot);
}

/* ---- a disk that hangs ---- */

static _Atomic bool is_hanging, is_over;

void __real_cn_disk_drain(struct cn_disk *disk);
void __wrap_cn_disk_drain(struct cn_disk *disk);

void
__wrap_cn_disk_drain(struct cn_disk *disk)
{
	while (is_hanging) {
		uv_sleep(1);
	}
	__real_cn_disk_drain(disk);
	is_over = true;
}

/* The end comes all the same, and leaves to the threads what they use. */
static void
test_disk_that_hangs(void **state)
{
	struct cn_depot *kept;
	uint64_t began, live = cn_alloc_count();
	struct cn_depot *depot = open_on_disk(here, secret);

	(void)state;
	fill(depot, there, 1);
	kept = depot;
	depot->drain_us = 50000;
	is_over = false;
	is_hanging = true;
	began = cn_clock_us();
	cn_depot_close(&depot);
	assert_null(depot);
	assert_in_range(cn_clock_us() - began, 50000, 5000000);
	assert_non_null(kept->drain);
	assert_true(cn_alloc_count() > live);
	/* Here it comes to an end, and all but the thread's own is freed. */
	is_hanging = false;
	while (!is_over) {
		uv_sleep(1);
	}
	cn_disk_close(&kept->disk);
	cn_store_free(&kept->store);
	abandoned = kept->drain;
	cn_free(kept);
	assert_int_equal(cn_alloc_count(), live + 1);
}

static int
set_up(void **state CN_UNUSED)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/cn-test-depot.XXXXXX");
	return mkdtemp(folder) == NULL ? -1 : uv_loop_init(&loop);
}

static int
tear_down(void **state CN_UNUSED)
{
	char path[96];

	(void)uv_run(&loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&loop);
	(void)snprintf(path, sizeof(path), "%s/s/segments", folder);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/s", folder);
	(void)rmdir(path);
	(void)rmdir(folder);
	return cn_alloc_count() == (abandoned != NULL) ? 0 : -1;
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_off),
		TEST(test_in_memory),
		TEST(test_on_disk),
		TEST(test_locked),
		TEST(test_carry),
		TEST(test_bad_imports),
		TEST(test_bad_cursors),
		TEST(test_disk_that_hangs),
		TEST(test_without_memory),
		TEST(test_steps_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
