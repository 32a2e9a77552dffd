/* SPDX-License-Identifier: Apache-2.0 */
/* The store with a disk: written, read back, recovered, damaged, lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_bench.h"

#define S1 UINT64_C(11)
#define S2 UINT64_C(22)
#define SECOND UINT64_C(1000000)

static struct bench_disk disk;
static struct cn_store *store;
static struct cn_pair *pair;
static uint8_t plain[CN_SEGMENT_BYTES];
static _Alignas(4096) uint8_t image[CN_IMAGE_BYTES];

static int
set_up(void **state)
{
	(void)state;
	bench_disk_init(&disk);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	cn_pair_put(&pair);
	if (store != NULL) {
		cn_store_close(store, 1000 * SECOND);
		bench_run(&disk);
		cn_store_free(&store);
	}
	bench_disk_fini(&disk);
	return 0;
}

static void
start(uint64_t memory_mib, uint32_t slots, uint64_t epoch)
{
	struct cn_store_config config =
	    bench_disk_config(memory_mib, slots, &disk);

	config.epoch = epoch;
	store = bench_store(&config);
	cn_store_recover(store, 1);
	pair = bench_pair(store, 1);
}

static void
stop(void)
{
	cn_pair_put(&pair);
	cn_store_close(store, SECOND);
	bench_run(&disk);
	cn_store_free(&store);
}

static uint64_t
key_of(uint64_t i, uint64_t k)
{
	const uint64_t both[2] = { i, k };

	return cn_hash64(both, sizeof(both), 0);
}

/* Segment number i: bytes by its number, four chunks. */
static size_t
add(uint64_t i)
{
	struct cn_store_piece piece[4];
	struct cn_store_chunk chunk[4];
	size_t n;

	bench_bytes(plain, sizeof(plain), i);
	n = bench_append(pair, S1, plain, sizeof(plain), piece, 4, i * 1000);
	for (uint64_t k = 0; n > 0 && k < 4; k++) {
		chunk[k] = (struct cn_store_chunk){ key_of(i, k),
			piece[0].pos + k * 100000 };
	}
	if (n > 0) {
		cn_pair_learn(pair, true, cn_pair_epoch(pair), chunk, 4);
		cn_pair_held(
		    pair, cn_pair_epoch(pair), piece[0].pos, piece[0].len);
	}
	return n;
}

static int
look(uint64_t epoch, uint64_t i, struct cn_store_user *user,
    struct cn_view *view)
{
	struct cn_place place = { epoch, i * MIB + 200000, true };
	int rc = cn_pair_look_at(pair, &place, S1, user, view);

	if (rc == CN_OK) {
		bench_bytes(plain, sizeof(plain), i);
		assert_int_equal(view->before, 200000);
		assert_int_equal(view->after, MIB - 200000);
		assert_memory_equal(view->bytes - view->before, plain, MIB);
		cn_view_done(view);
	}
	return rc;
}

static int
resolve(uint64_t epoch, uint64_t i, struct cn_store_user *user)
{
	struct cn_place place = { epoch, i * MIB, true };
	struct cn_view view;
	int rc = cn_pair_resolve(pair, &place, MIB, S1, user, &view);

	if (rc == CN_OK) {
		bench_bytes(plain, sizeof(plain), i);
		assert_memory_equal(view.bytes, plain, MIB);
		cn_view_done(&view);
	}
	return rc;
}

static void
count_wake(void *arg)
{
	++*(unsigned *)arg;
}

/* Beyond memory all is on the disk and is read back when it is asked for. */
static void
test_write_and_load(void **state)
{
	unsigned wakes = 0, idle_wakes = 0;
	struct cn_store_user user = { .wake = count_wake, .arg = &wakes };
	struct cn_store_user idle = { .wake = count_wake, .arg = &idle_wakes };
	struct cn_store_stats stats;
	const struct cn_store_chunk *table;
	struct cn_view view;

	(void)state;
	start(8, 64, BENCH_EPOCH);
	cn_store_join(store, &user);
	cn_store_join(store, &idle);
	for (uint64_t i = 0; i < 30; i++) {
		assert_int_equal(add(i), 1);
		bench_run(&disk);
	}
	cn_store_stats(store, &stats);
	assert_int_equal(stats.disk_segments, 30);
	assert_int_equal(stats.memory_segments, 6);
	assert_true(stats.memory_bytes <= 8 * MIB);
	assert_int_equal(stats.evicted, 0);
	assert_int_equal(look(BENCH_EPOCH, 29, NULL, &view), CN_OK);
	/* One read, however many ask. */
	disk.reads = 0;
	assert_int_equal(look(BENCH_EPOCH, 3, &user, &view), CN_EAGAIN);
	assert_int_equal(look(BENCH_EPOCH, 3, &user, &view), CN_EAGAIN);
	assert_int_equal(resolve(BENCH_EPOCH, 3, NULL), CN_EAGAIN);
	assert_true(user.is_waiting);
	assert_int_equal(wakes, 0);
	bench_run(&disk);
	assert_int_equal(disk.reads, 1);
	assert_int_equal(wakes, 1);
	assert_int_equal(idle_wakes, 0);
	assert_false(user.is_waiting);
	assert_int_equal(look(BENCH_EPOCH, 3, &user, &view), CN_OK);
	/* By a hint, with the table of its chunks. */
	uint64_t spots[4];

	assert_int_equal(cn_pair_find(pair, key_of(3, 1), spots), 1);
	assert_int_equal(cn_pair_look(pair, spots[0], S1, &user, &view), CN_OK);
	assert_int_equal(view.place.pos, 3 * MIB + 100000);
	assert_int_equal(cn_view_chunks(&view, &table), 4);
	assert_true(table[2].key == key_of(3, 2));
	assert_int_equal(table[2].pos, 200000);
	cn_view_done(&view);
	/* Who has left is not called. */
	assert_int_equal(look(BENCH_EPOCH, 4, &user, &view), CN_EAGAIN);
	cn_store_leave(store, &user);
	bench_run(&disk);
	assert_int_equal(wakes, 1);
	cn_store_leave(store, &idle);
}

struct insistent {
	struct cn_store_user user;
	unsigned wakes;
};

/* Asks for the next one as soon as it is woken. */
static void
ask_again(void *arg)
{
	struct insistent *insistent = arg;
	struct cn_view view;

	assert_true(++insistent->wakes < 10);
	assert_int_equal(
	    look(BENCH_EPOCH, insistent->wakes, &insistent->user, &view),
	    CN_EAGAIN);
}

/* Who waits again from within its wake is woken for the next one. */
static void
test_wake_again(void **state)
{
	struct insistent insistent = { .user = { .wake = ask_again } };
	struct cn_view view;

	(void)state;
	insistent.user.arg = &insistent;
	start(8, 64, BENCH_EPOCH);
	for (uint64_t i = 0; i < 20; i++) {
		add(i);
		bench_run(&disk);
	}
	cn_store_join(store, &insistent.user);
	assert_int_equal(
	    look(BENCH_EPOCH, 0, &insistent.user, &view), CN_EAGAIN);
	for (unsigned i = 1; i < 5; i++) {
		assert_true(bench_step(&disk));
		assert_int_equal(insistent.wakes, i);
	}
	cn_store_leave(store, &insistent.user);
	bench_run(&disk);
	assert_int_equal(insistent.wakes, 4);
}

/* What is used stays in memory, what is not goes. */
static void
test_lru(void **state)
{
	struct cn_view view;

	(void)state;
	start(8, 64, BENCH_EPOCH);
	for (uint64_t i = 0; i < 20; i++) {
		add(i);
		bench_run(&disk);
	}
	for (uint64_t i = 0; i < 10; i++) {
		assert_int_equal(look(BENCH_EPOCH, 19, NULL, &view), CN_OK);
		assert_int_equal(look(BENCH_EPOCH, i, NULL, &view), CN_EAGAIN);
		bench_run(&disk);
		assert_int_equal(look(BENCH_EPOCH, i, NULL, &view), CN_OK);
	}
	assert_int_equal(look(BENCH_EPOCH, 18, NULL, &view), CN_EAGAIN);
	bench_run(&disk);
}

/* The end of a segment brings the next one in. */
static void
test_prefetch(void **state)
{
	struct cn_place place = { BENCH_EPOCH, 3 * MIB + 900000, true };
	struct cn_view view;

	(void)state;
	start(8, 64, BENCH_EPOCH);
	for (uint64_t i = 0; i < 20; i++) {
		add(i);
		bench_run(&disk);
	}
	assert_int_equal(
	    cn_pair_look_at(pair, &place, S1, NULL, &view), CN_EAGAIN);
	bench_run(&disk);
	assert_int_equal(cn_pair_look_at(pair, &place, S1, NULL, &view), CN_OK);
	cn_view_done(&view);
	bench_run(&disk);
	assert_int_equal(look(BENCH_EPOCH, 4, NULL, &view), CN_OK);
	assert_int_equal(look(BENCH_EPOCH, 5, NULL, &view), CN_EAGAIN);
	bench_run(&disk);
}

/* A disk that is slower than we are costs dedup, never memory. */
static void
test_slow_disk(void **state)
{
	struct cn_store_stats stats;
	uint64_t i = 0;

	(void)state;
	start(8, 64, BENCH_EPOCH);
	while (add(i) == 1) {
		assert_true(++i < 8);
	}
	assert_int_equal(i, 6);
	/* Of so little memory one buffer is for writing. */
	assert_int_equal(disk.submitted, 1);
	cn_store_stats(store, &stats);
	assert_true(stats.memory_bytes <= 8 * MIB);
	bench_run(&disk);
	assert_int_equal(add(i), 1);
	assert_int_equal(resolve(BENCH_EPOCH, 0, NULL), CN_EAGAIN);
	bench_run(&disk);
	assert_int_equal(resolve(BENCH_EPOCH, 0, NULL), CN_OK);
}

/* All of the disk taken: in the ring's order, told before. */
static void
test_ring(void **state)
{
	struct cn_store_stats stats;
	struct cn_place place;
	uint64_t len, told = 0;
	struct cn_view view;

	(void)state;
	start(8, 20, BENCH_EPOCH);
	for (uint64_t i = 0; i < 50; i++) {
		assert_int_equal(add(i), 1);
		bench_run(&disk);
		while (cn_pair_evicted(pair, &place, &len)) {
			assert_int_equal(place.pos, told++ * MIB);
		}
		/* A quarter of the slots is the margin here. */
		assert_int_equal(told, i + 1 > 15 ? i + 1 - 15 : 0);
	}
	cn_store_stats(store, &stats);
	assert_int_equal(stats.disk_segments, 20);
	assert_int_equal(stats.segments, 20);
	assert_int_equal(stats.evicted, 30);
	assert_true(stats.disk_bytes <= stats.disk_cap);
	assert_int_equal(resolve(BENCH_EPOCH, 29, NULL), CN_ENOENT);
	assert_int_equal(resolve(BENCH_EPOCH, 30, NULL), CN_EAGAIN);
	assert_int_equal(look(BENCH_EPOCH, 30, NULL, &view), CN_ENOENT);
	assert_int_equal(look(BENCH_EPOCH, 34, NULL, &view), CN_ENOENT);
	assert_int_equal(look(BENCH_EPOCH, 35, NULL, &view), CN_EAGAIN);
	bench_run(&disk);
	for (unsigned i = 20; i < BENCH_SLOTS; i++) {
		assert_null(disk.slot[i]);
	}
}

static void
test_quota(void **state)
{
	struct cn_store_config config = bench_disk_config(8, 64, &disk);
	struct cn_store_stats stats;
	struct cn_store_piece piece[4];
	struct cn_place place;
	struct cn_view view;
	uint64_t len;
	unsigned told = 0;

	(void)state;
	config.quota_bytes = 12 * MIB;
	store = bench_store(&config);
	pair = bench_pair(store, 1);
	assert_true(bench_exchange(pair, S2, plain, 100000, piece, 4, 1) == 1);
	for (uint64_t i = 1; i < 30; i++) {
		add(i);
		bench_run(&disk);
		while (cn_pair_evicted(pair, &place, &len)) {
			told++;
		}
	}
	cn_store_stats(store, &stats);
	/* The scope's own; the first of it shares its segment with another
	 * scope, and is not counted against it alone. */
	assert_in_range(stats.segments, 11, 14);
	assert_true(stats.evicted >= 15);
	assert_true(told > stats.evicted);
	place = (struct cn_place){ BENCH_EPOCH, 0, true };
	assert_int_equal(cn_pair_look_at(pair, &place, S2, NULL, &view), CN_OK);
	cn_view_done(&view);
}

static void
test_write_failures(void **state)
{
	struct cn_store_stats stats;
	uint64_t i = 0;

	(void)state;
	start(16, 64, BENCH_EPOCH);
	disk.write_error = CN_ENOSPC;
	for (; i < 7; i++) {
		add(i);
		bench_run(&disk);
	}
	cn_store_stats(store, &stats);
	assert_int_equal(stats.write_failures, 7);
	assert_false(stats.is_disk_lost);
	assert_int_equal(stats.disk_bytes, 0);
	/* One that works, and the count begins again. */
	disk.write_error = CN_OK;
	add(i++);
	bench_run(&disk);
	disk.write_error = CN_EIO;
	for (; i < 15; i++) {
		add(i);
		bench_run(&disk);
	}
	cn_store_stats(store, &stats);
	assert_false(stats.is_disk_lost);
	add(i++);
	bench_run(&disk);
	cn_store_stats(store, &stats);
	assert_true(stats.is_disk_lost);
	assert_true(stats.has_disk);
	/* On in memory alone, the oldest goes; what was written is read. */
	for (; i < 40; i++) {
		assert_int_equal(add(i), 1);
		bench_run(&disk);
		assert_int_equal(resolve(BENCH_EPOCH, i, NULL), CN_OK);
	}
	assert_int_equal(resolve(BENCH_EPOCH, 7, NULL), CN_EAGAIN);
	bench_run(&disk);
	assert_int_equal(resolve(BENCH_EPOCH, 7, NULL), CN_OK);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.write_failures, 15);
	assert_true(stats.memory_bytes <= 16 * MIB);
}

/* What cannot be read, or is not what it should be, is gone. */
static void
test_read_failures(void **state)
{
	unsigned wakes = 0;
	struct cn_store_user user = { .wake = count_wake, .arg = &wakes };
	struct cn_store_stats stats;
	struct cn_place place;
	struct cn_view view;
	uint64_t len;

	(void)state;
	start(8, 64, BENCH_EPOCH);
	cn_store_join(store, &user);
	for (uint64_t i = 0; i < 20; i++) {
		add(i);
		bench_run(&disk);
	}
	disk.read_error = CN_EIO;
	assert_int_equal(look(BENCH_EPOCH, 1, &user, &view), CN_EAGAIN);
	bench_run(&disk);
	assert_int_equal(wakes, 1);
	assert_int_equal(look(BENCH_EPOCH, 1, &user, &view), CN_ENOENT);
	assert_true(cn_pair_evicted(pair, &place, &len));
	assert_int_equal(place.pos, MIB);
	disk.read_error = CN_OK;
	/* A flipped bit, and an image in another's slot. */
	disk.slot[2][CN_IMAGE_DATA_AT + 1000] ^= 4;
	memcpy(disk.slot[3], disk.slot[4], CN_IMAGE_BYTES);
	for (uint64_t i = 2; i <= 3; i++) {
		assert_int_equal(look(BENCH_EPOCH, i, &user, &view), CN_EAGAIN);
		bench_run(&disk);
		assert_int_equal(look(BENCH_EPOCH, i, &user, &view), CN_ENOENT);
	}
	assert_int_equal(resolve(BENCH_EPOCH, 4, &user), CN_EAGAIN);
	bench_run(&disk);
	assert_int_equal(resolve(BENCH_EPOCH, 4, &user), CN_OK);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.load_failures, 3);
	assert_int_equal(stats.loads, 1);
	assert_int_equal(stats.segments, 17);
	cn_store_leave(store, &user);
}

/* A restart loses nothing that was sealed; nothing is held until agreed. */
static void
test_recover(void **state)
{
	struct cn_store_stats stats;
	struct cn_store_piece piece[4];
	struct cn_agree_node node;
	uint64_t spots[4], secret;
	struct cn_view view;

	(void)state;
	start(8, 64, BENCH_EPOCH);
	secret = cn_store_secret(store);
	for (uint64_t i = 0; i < 10; i++) {
		add(i);
		bench_run(&disk);
	}
	/* An open one, half acknowledged. */
	bench_bytes(plain, 2000, 99);
	bench_exchange(pair, S1, plain, 1000, piece, 4, SECOND);
	bench_append(pair, S1, plain + 1000, 1000, piece, 4, SECOND);
	stop();

	start(8, 64, BENCH_EPOCH + 1);
	assert_true(cn_store_secret(store) == secret);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.recovered, 11);
	assert_int_equal(stats.damaged, 0);
	assert_int_equal(stats.disk_segments, 11);
	assert_int_equal(stats.memory_segments, 0);
	assert_int_equal(stats.scopes, 1);
	assert_int_equal(stats.valid_bytes, 10 * MIB + 1000);
	assert_int_equal(stats.oldest_s, 1700000000);
	assert_int_equal(look(BENCH_EPOCH, 3, NULL, &view), CN_ENOENT);
	assert_int_equal(resolve(BENCH_EPOCH, 3, NULL), CN_EAGAIN);
	bench_run(&disk);
	assert_int_equal(resolve(BENCH_EPOCH, 3, NULL), CN_OK);
	assert_int_equal(cn_pair_find(pair, key_of(7, 0), spots), 1);
	assert_int_equal(
	    cn_pair_look(pair, spots[0], S1, NULL, &view), CN_ENOENT);
	assert_int_equal(cn_pair_tops(pair, &node, 1), 1);
	assert_int_equal(node.level, 1);
	assert_true(cn_pair_node(pair, &node));
	assert_int_equal(cn_pair_agree(pair, &node), CN_OK);
	assert_int_equal(
	    cn_pair_look(pair, spots[0], S1, NULL, &view), CN_EAGAIN);
	bench_run(&disk);
	assert_int_equal(look(BENCH_EPOCH, 7, NULL, &view), CN_OK);
	/* The half that was not acknowledged is not there. */
	assert_int_equal(
	    cn_pair_resolve(pair,
		&(struct cn_place){ BENCH_EPOCH, 10 * MIB + 900, true }, 101,
		S1, NULL, &view),
	    CN_ENOENT);
	/* New bytes go to a new log. */
	assert_int_equal(add(0), 1);
	assert_int_equal(resolve(BENCH_EPOCH + 1, 0, NULL), CN_OK);
	stop();
	/* With a disk of another key nothing is there, and nothing fails. */
	struct cn_store_config config = bench_disk_config(8, 64, &disk);

	config.key[0] ^= 1;
	config.epoch += 2;
	store = bench_store(&config);
	cn_store_recover(store, 1);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.damaged, 12);
	assert_int_equal(stats.segments, 0);
	pair = bench_pair(store, 1);
	assert_int_equal(add(5), 1);
	bench_run(&disk);
	assert_int_equal(resolve(BENCH_EPOCH, 0, NULL), CN_ENOENT);
}

/* Damaged, doubled, older, shuffled and cut images. */
static void
test_recover_damage(void **state)
{
	struct cn_store_stats stats;
	struct cn_agree_node node;
	uint8_t *swap;

	(void)state;
	start(8, 64, BENCH_EPOCH);
	for (uint64_t i = 0; i < 12; i++) {
		add(i);
		bench_run(&disk);
	}
	stop();
	disk.slot[0][4096 + 50] ^= 1;          /* footer */
	disk.slot[1][9] ^= 1;                  /* version */
	disk.slot[2][CN_IMAGE_BYTES - 1] ^= 1; /* data: seen when read */
	swap = disk.slot[3];
	disk.slot[3] = disk.slot[9];
	disk.slot[9] = swap;
	disk.slot[20] = cn_memdup(disk.slot[5], CN_IMAGE_BYTES);
	start(8, 64, BENCH_EPOCH + 1);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.recovered, 13);
	assert_int_equal(stats.damaged, 2);
	assert_int_equal(stats.segments, 10);
	assert_int_equal(stats.valid_bytes, 10 * MIB);
	assert_int_equal(cn_pair_tops(pair, &node, 1), 1);
	for (uint64_t i = 0; i < 12; i++) {
		int rc = resolve(BENCH_EPOCH, i, NULL);

		assert_int_equal(rc, i < 2 ? CN_ENOENT : CN_EAGAIN);
		bench_run(&disk);
		assert_int_equal(
		    resolve(BENCH_EPOCH, i, NULL), i < 3 ? CN_ENOENT : CN_OK);
	}
	/* The order of age, not of slots: 3 goes before 9. */
	uint64_t age = 0;
	struct cn_image_info info;
	const uint8_t key[CN_IMAGE_KEY_BYTES] = { 1, 2, 3 };

	for (uint64_t i = 3; i < 12; i++) {
		assert_int_equal(cn_store_walk(store, &age, image), CN_OK);
		assert_int_equal(cn_image_open(key, image, &info, NULL), CN_OK);
		assert_int_equal(info.sequence, i);
	}
	assert_int_equal(cn_store_walk(store, &age, image), CN_EEND);
	stop();
	/* A disk that does not even read. */
	disk.read_error = CN_EIO;
	start(8, 64, BENCH_EPOCH + 2);
	cn_store_stats(store, &stats);
	assert_true(stats.is_disk_lost);
	assert_int_equal(stats.segments, 0);
	assert_int_equal(add(0), 1);
}

/* Of two with the same place the one of the greater age is kept. */
static void
test_recover_ages(void **state)
{
	const uint8_t key[CN_IMAGE_KEY_BYTES] = { 1, 2, 3 };
	struct cn_image_info info = { .peer = { 1 },
		.is_mine = true,
		.epoch = 5,
		.extent[0] = { .scope = S1, .used = 4 } };
	struct cn_view view;
	struct cn_store_stats stats;
	static const uint8_t ages[] = { 5, 9, 7 };

	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		memset(plain, (int)ages[i], 4);
		info.age = ages[i];
		info.extent[0].hash = (uint32_t)cn_hash64(plain, 4, 0);
		disk.slot[i] = cn_alloc(CN_IMAGE_BYTES);
		assert_int_equal(
		    cn_image_seal(key, &info, NULL, plain, disk.slot[i]),
		    CN_OK);
	}
	start(8, 64, BENCH_EPOCH);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.segments, 1);
	assert_int_equal(stats.disk_bytes, CN_IMAGE_BYTES);
	assert_int_equal(stats.scopes, 1);
	for (int turn = 0; turn < 2; turn++) {
		int rc = cn_pair_resolve(
		    pair, &(struct cn_place){ 5, 0, true }, 4, S1, NULL, &view);

		assert_int_equal(rc, turn == 0 ? CN_EAGAIN : CN_OK);
		bench_run(&disk);
	}
	assert_int_equal(view.bytes[0], 9);
	cn_view_done(&view);
}

static void
test_walk_and_adopt(void **state)
{
	const uint8_t key[CN_IMAGE_KEY_BYTES] = { 1, 2, 3 };
	struct bench_disk there;
	struct cn_store_config config = bench_disk_config(8, 64, &there);
	struct cn_store *far;
	struct cn_image_info info;
	struct cn_store_stats stats;
	struct cn_view view;
	uint64_t age = 0, n = 0, spots[4];

	(void)state;
	bench_disk_init(&there);
	start(8, 64, BENCH_EPOCH);
	for (uint64_t i = 0; i < 12; i++) {
		add(i);
		if (i != 11) {
			bench_run(&disk);
		}
	}
	config.epoch++;
	far = bench_store(&config);
	while (cn_store_walk(store, &age, image) == CN_OK) {
		assert_int_equal(cn_image_open(key, image, &info, NULL), CN_OK);
		assert_int_equal(info.sequence, n);
		assert_int_equal(info.chunks, 4);
		assert_int_equal(cn_store_adopt(far, image, 1), CN_OK);
		assert_int_equal(cn_store_adopt(far, image, 1), CN_EEXIST);
		bench_run(&there);
		n++;
	}
	assert_int_equal(n, 12);
	/* It finds and reads them there. */
	stop();
	store = far;
	pair = bench_pair(store, 1);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.disk_segments, 12);
	assert_int_equal(cn_pair_find(pair, key_of(11, 2), spots), 1);
	assert_int_equal(resolve(BENCH_EPOCH, 11, NULL), CN_OK);
	assert_int_equal(look(BENCH_EPOCH, 11, NULL, &view), CN_ENOENT);
	image[CN_IMAGE_BYTES - 1] ^= 1;
	assert_int_equal(cn_store_adopt(far, image, 1), CN_EEXIST);
	cn_store_trim(store, 0);
	bench_run(&there);
	assert_int_equal(cn_store_adopt(far, image, 1), CN_ECODING);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.segments, 0);
	image[CN_IMAGE_BYTES - 1] ^= 1;
	/* Faster than the disk: later. */
	assert_int_equal(cn_store_adopt(far, image, 1), CN_OK);
	bench_run(&there);
	cn_pair_put(&pair);
	cn_store_close(store, 5);
	bench_run(&there);
	cn_store_free(&store);
	bench_disk_fini(&there);
}

/* Damage that a walk finds: evicted, or mended from memory. */
static void
test_walk_damage(void **state)
{
	struct cn_store_stats stats;
	uint64_t age = 0;

	(void)state;
	start(8, 64, BENCH_EPOCH);
	for (uint64_t i = 0; i < 12; i++) {
		add(i);
		bench_run(&disk);
	}
	disk.slot[1][CN_IMAGE_DATA_AT] ^= 1;
	disk.slot[11][CN_IMAGE_DATA_AT] ^= 1;
	for (uint64_t i = 0; i < 12; i++) {
		assert_int_equal(cn_store_walk(store, &age, image),
		    i == 1 || i == 11 ? CN_ECODING : CN_OK);
		assert_int_equal(age, i + 1);
	}
	bench_run(&disk);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.segments, 11);
	assert_int_equal(stats.disk_segments, 11);
	age = 11;
	assert_int_equal(cn_store_walk(store, &age, image), CN_OK);
	disk.read_error = CN_EIO;
	age = 0;
	assert_int_equal(cn_store_walk(store, &age, image), CN_EIO);
	disk.read_error = CN_OK;
}

/* What was cleared stays away. */
static void
test_clear(void **state)
{
	struct cn_store_stats stats;
	uint64_t spots[4];

	(void)state;
	start(8, 64, BENCH_EPOCH);
	for (uint64_t i = 0; i < 40; i++) {
		add(i);
		bench_run(&disk);
	}
	cn_store_trim(store, 0);
	assert_int_equal(cn_pair_find(pair, key_of(39, 0), spots), 0);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.segments, 0);
	assert_int_equal(stats.disk_bytes, 40 * (uint64_t)CN_IMAGE_BYTES);
	bench_run(&disk);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.disk_bytes, 0);
	stop();
	start(8, 64, BENCH_EPOCH + 1);
	cn_store_stats(store, &stats);
	assert_int_equal(stats.recovered, 0);
	assert_int_equal(add(0), 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_write_and_load),
		TEST(test_wake_again),
		TEST(test_lru),
		TEST(test_prefetch),
		TEST(test_slow_disk),
		TEST(test_ring),
		TEST(test_quota),
		TEST(test_write_failures),
		TEST(test_read_failures),
		TEST(test_recover),
		TEST(test_recover_damage),
		TEST(test_recover_ages),
		TEST(test_walk_and_adopt),
		TEST(test_walk_damage),
		TEST(test_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
