/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two stores of one pair and everything that may happen to them, against a
 * model that knows each byte of each log: whatever a store gives is what was
 * written there, for the scope that wrote it, and to send only what the
 * other end was told to have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_bench.h"

#define LOG_SEGMENTS 24u
#define LOG_BYTES (LOG_SEGMENTS * CN_SEGMENT_BYTES)
#define SCOPES 5u
#define SECOND UINT64_C(1000000)

/* Flags of a byte of a log. */
#define WRITTEN 1u
#define ARRIVED 2u /* the other end has, or had it */
#define HELD 4u    /* the writer knows */

/* One epoch of one writer. */
struct log_model {
	uint64_t epoch, head;
	uint8_t *bytes, *flags; /* LOG_BYTES each */
	uint64_t scope[LOG_BYTES / CN_EXTENT_BYTES];
	struct cn_store_piece last[64];
	size_t pieces;
};

struct end {
	struct bench_disk disk;
	struct cn_store *store;
	struct cn_pair *pair;
	struct log_model log;
};

struct world {
	struct cn_prng prng;
	struct end end[2];
	uint64_t now;
	uint64_t sent, looks, resolves, evicted, loads;
	bool has_disk;
};

static uint8_t plain[256 * 1024];

static void
open_end(struct world *w, unsigned i, uint64_t epoch)
{
	struct end *end = &w->end[i];
	struct cn_store_config config = w->has_disk
	    ? bench_disk_config(8, 12, &end->disk)
	    : bench_config(10);

	config.epoch = epoch;
	config.quota_bytes = 6 * MIB;
	end->store = bench_store(&config);
	cn_store_recover(end->store, w->now);
	end->pair = bench_pair(end->store, (uint8_t)(2 - i));
	end->log.epoch = epoch;
	memset(end->log.flags, 0, LOG_BYTES);
	memset(end->log.scope, 0, sizeof(end->log.scope));
	end->log.pieces = 0;
	end->log.head = 0;
}

static void
close_end(struct world *w, unsigned i)
{
	struct end *end = &w->end[i];
	struct cn_store_stats stats;

	cn_store_stats(end->store, &stats);
	w->evicted += stats.evicted;
	w->loads += stats.loads;
	cn_pair_put(&end->pair);
	cn_store_close(end->store, w->now);
	bench_run(&end->disk);
	cn_store_free(&end->store);
}

/* Append pieces of random bytes at end i. */
static void
append(struct world *w, unsigned i)
{
	struct end *end = &w->end[i];
	struct log_model *log = &end->log;
	uint64_t scope = 1 + cn_prng_below(&w->prng, SCOPES);
	struct cn_store_span span[4];
	uint32_t at = 0;
	size_t count = 1 + cn_prng_below(&w->prng, 4), n;

	cn_prng_bytes(&w->prng, plain, sizeof(plain));
	for (size_t k = 0; k < count; k++) {
		at += (uint32_t)cn_prng_below(&w->prng, 100);
		span[k].offset = at;
		span[k].len = 1 + (uint32_t)cn_prng_below(&w->prng, 65000);
		at += span[k].len;
	}
	n = cn_pair_append(
	    end->pair, scope, plain, span, count, log->last, 64, w->now);
	log->pieces = n;
	for (size_t k = 0; k < n; k++) {
		const struct cn_store_piece *piece = &log->last[k];

		if (piece->pos + piece->len > LOG_BYTES) {
			continue;
		}
		log->head = CN_MAX(log->head, piece->pos + piece->len);
		memcpy(
		    log->bytes + piece->pos, plain + piece->offset, piece->len);
		for (uint64_t p = piece->pos; p < piece->pos + piece->len;
		     p++) {
			uint64_t *owner = &log->scope[p / CN_EXTENT_BYTES];

			/* Never given twice, never to two scopes. */
			assert_int_equal(log->flags[p], 0);
			log->flags[p] = WRITTEN;
			assert_true(*owner == 0 || *owner == scope);
			*owner = scope;
		}
	}
	w->sent += n;
}

/* What end i added last arrives at the other, or is lost on the way; it is
 * acknowledged, or that is lost. */
static void
deliver(struct world *w, unsigned i)
{
	struct end *from = &w->end[i], *to = &w->end[1 - i];
	struct log_model *log = &from->log;

	for (size_t k = 0; k < log->pieces; k++) {
		const struct cn_store_piece *piece = &log->last[k];
		uint64_t scope;
		int rc;

		if (piece->pos + piece->len > LOG_BYTES ||
		    cn_prng_chance(&w->prng, 1, 20)) {
			continue;
		}
		scope = log->scope[piece->pos / CN_EXTENT_BYTES];
		rc = cn_pair_fill(to->pair, log->epoch, piece->pos, scope,
		    log->bytes + piece->pos, piece->len, w->now);
		assert_true(rc == CN_OK || rc == CN_ENOSPC);
		/* Of what spans segments a part may be there. */
		for (uint64_t p = piece->pos; p < piece->pos + piece->len;
		     p++) {
			log->flags[p] |= ARRIVED;
		}
		if (rc == CN_OK && cn_prng_chance(&w->prng, 19, 20)) {
			cn_pair_held(
			    from->pair, log->epoch, piece->pos, piece->len);
			for (uint64_t p = piece->pos;
			     p < piece->pos + piece->len; p++) {
				log->flags[p] |= HELD;
			}
		}
	}
	log->pieces = 0;
}

/* Look at a random place of either log from end i. */
static void
check(struct world *w, unsigned i, bool is_for_sending)
{
	struct end *end = &w->end[i];
	bool is_mine = cn_prng_chance(&w->prng, 1, 2);
	struct log_model *log = &w->end[is_mine ? i : 1 - i].log;
	struct cn_place place = { log->epoch,
		cn_prng_below(&w->prng, log->head + 100) % LOG_BYTES, is_mine };
	uint64_t scope = log->scope[place.pos / CN_EXTENT_BYTES];
	size_t len = 1 + cn_prng_below(&w->prng, 3000);
	unsigned need = WRITTEN | (is_mine ? 0 : ARRIVED) |
	    (is_mine && is_for_sending ? HELD : 0);
	struct cn_view view;
	int rc;

	if (scope == 0 || cn_prng_chance(&w->prng, 1, 10)) {
		scope = 1 + cn_prng_below(&w->prng, SCOPES);
	}
	rc = is_for_sending
	    ? cn_pair_look_at(end->pair, &place, scope, NULL, &view)
	    : cn_pair_resolve(end->pair, &place, len, scope, NULL, &view);
	if (rc != CN_OK) {
		assert_true(rc == CN_ENOENT || rc == CN_EAGAIN ||
		    (rc == CN_EPROTO && !is_for_sending));
		return;
	}
	w->looks += is_for_sending;
	w->resolves += !is_for_sending;
	assert_true(is_for_sending || view.after >= len);
	assert_true(view.place.pos == place.pos);
	uint64_t from = place.pos - view.before, to = place.pos + view.after;

	assert_true(to <= LOG_BYTES &&
	    from >> CN_SEGMENT_SHIFT == (to - 1) >> CN_SEGMENT_SHIFT);
	assert_memory_equal(view.bytes - view.before, log->bytes + from,
	    view.before + view.after);
	for (uint64_t p = from; p < to; p++) {
		if ((log->flags[p] & need) != need ||
		    log->scope[p / CN_EXTENT_BYTES] != scope) {
			fail_msg("byte %lu of scope %lu: flags %u",
			    (unsigned long)p, (unsigned long)scope,
			    log->flags[p]);
		}
	}
	cn_view_done(&view);
}

/* End i says that it lacks some of a log. */
static void
lack(struct world *w, unsigned i)
{
	struct end *other = &w->end[1 - i];
	bool is_mine = cn_prng_chance(&w->prng, 1, 2);
	struct log_model *log = &w->end[is_mine ? 1 - i : i].log;
	struct cn_place place = { log->epoch,
		cn_prng_below(&w->prng, log->head + 100) % LOG_BYTES, is_mine };
	uint64_t len = cn_prng_below(&w->prng, 200000);

	cn_pair_lacks(other->pair, &place, len);
	for (uint64_t p = place.pos;
	     is_mine && p < CN_MIN(place.pos + len, LOG_BYTES); p++) {
		log->flags[p] &= (uint8_t)~HELD;
	}
}

static void
restart(struct world *w, unsigned i)
{
	uint8_t boot[CN_STORE_BOOT_BYTES] = { 0 };
	struct log_model *other = &w->end[1 - i].log;

	close_end(w, i);
	open_end(w, i, cn_prng_u64(&w->prng));
	memcpy(boot, &w->end[i].log.epoch, 8);
	cn_pair_meet(w->end[1 - i].pair, boot, w->now);
	for (uint64_t p = 0; p < LOG_BYTES; p++) {
		other->flags[p] &= (uint8_t)~HELD;
	}
}

static void
step(struct world *w)
{
	unsigned i = (unsigned)cn_prng_below(&w->prng, 2);
	struct end *end = &w->end[i];
	struct cn_store_stats stats;

	w->now += cn_prng_below(&w->prng, SECOND / 10);
	switch (cn_prng_below(&w->prng, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		append(w, i);
		if (cn_prng_chance(&w->prng, 3, 4)) {
			deliver(w, i);
		}
		break;
	case 4:
	case 5:
		deliver(w, i);
		break;
	case 6:
		lack(w, i);
		break;
	case 7:
		w->now += cn_prng_chance(&w->prng, 1, 8) ? 20 * SECOND : 0;
		cn_store_tick(end->store, w->now);
		break;
	case 8:
	case 9:
		bench_step(&end->disk);
		break;
	case 10:
		end->disk.write_error =
		    cn_prng_chance(&w->prng, 1, 10) ? CN_EIO : CN_OK;
		end->disk.read_error =
		    cn_prng_chance(&w->prng, 1, 10) ? CN_EIO : CN_OK;
		break;
	default:
		check(w, i, cn_prng_chance(&w->prng, 1, 2));
		break;
	}
	cn_store_stats(end->store, &stats);
	assert_true(stats.memory_bytes <= stats.memory_cap);
	assert_true(stats.disk_bytes <= stats.disk_cap);
}

static void
run(uint64_t seed, bool has_disk, unsigned steps)
{
	struct world w = { .has_disk = has_disk };

	cn_prng_init(&w.prng, seed);
	for (unsigned i = 0; i < 2; i++) {
		bench_disk_init(&w.end[i].disk);
		w.end[i].log.bytes = cn_alloc(LOG_BYTES);
		w.end[i].log.flags = cn_calloc(1, LOG_BYTES);
		open_end(&w, i, cn_prng_u64(&w.prng));
	}
	for (unsigned n = 0; n < steps; n++) {
		step(&w);
		if (n % 800 == 799) {
			restart(&w, (unsigned)cn_prng_below(&w.prng, 2));
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		close_end(&w, i);
		bench_disk_fini(&w.end[i].disk);
		cn_free(w.end[i].log.bytes);
		cn_free(w.end[i].log.flags);
	}
	/* It did come to what it is to test. */
	print_message("%lu pieces, %lu looks, %lu resolves, %lu evicted, "
		      "%lu loads\n",
	    (unsigned long)w.sent, (unsigned long)w.looks,
	    (unsigned long)w.resolves, (unsigned long)w.evicted,
	    (unsigned long)w.loads);
	assert_true(w.sent > 500 && w.looks > 50 && w.resolves > 50 &&
	    w.evicted > 20 && (w.loads > 5 || !has_disk));
}

static void
test_memory(void **state)
{
	(void)state;
	run(1, false, 2400);
}

static void
test_disk(void **state)
{
	(void)state;
	run(2, true, 2400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
