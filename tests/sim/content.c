/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/attr.h"
#include "world.h"

/* Documents of a world, and how far into one a flow begins. */
#define DOCUMENTS 3u
#define BEGIN_MAX 200000u
/* Words of the documents that repeat themselves: 4 KiB. */
#define PERIOD 512u
/* Changes of an edited version. */
#define EDITS 10u

static uint64_t
mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Eight bytes of a document: noise, or one of sixteen words. */
static uint64_t
word(uint64_t key, uint64_t index, enum kind kind)
{
	uint64_t h;

	if (kind == KIND_PERIOD) {
		index %= PERIOD;
	}
	h = mix(mix(key) + index * UINT64_C(0x9e3779b97f4a7c15));
	if (kind == KIND_TEXT) {
		uint64_t letters = mix(h % 16 + 1);

		h = 0;
		for (int i = 0; i < 8; i++) {
			h = (h << 8) + 'a' + (letters >> (i * 8)) % 26;
		}
	}
	return h;
}

static void
part_bytes(const struct part *p, uint64_t offset, uint8_t *out, size_t len)
{
	uint64_t at = p->at + offset;
	size_t done = 0;

	while (done < len) {
		uint64_t h = word(p->key, at / 8, p->kind);
		size_t n = CN_MIN((size_t)(8 - at % 8), len - done);

		memcpy(out + done, (const uint8_t *)&h + at % 8, n);
		done += n;
		at += n;
	}
}

void
content_bytes(
    const struct content *c, uint64_t offset, uint8_t *out, size_t len)
{
	for (int i = 0; i < c->parts && len > 0; i++) {
		const struct part *p = &c->part[i];
		size_t n;

		if (offset >= p->len) {
			offset -= p->len;
			continue;
		}
		n = CN_MIN(len, (size_t)(p->len - offset));
		part_bytes(p, offset, out, n);
		out += n;
		len -= n;
		offset = 0;
	}
	assert(len == 0);
}

static void
add(struct content *c, uint64_t key, uint64_t at, uint64_t len, enum kind kind)
{
	if (len > 0) {
		assert(c->parts < SIM_PIECES);
		c->part[c->parts++] = (struct part){ key, at, len, kind };
		c->length += len;
	}
}

void
content_own(struct content *c, uint64_t key, uint64_t length, enum kind kind)
{
	c->parts = 0;
	c->length = 0;
	add(c, key, 0, length, kind);
}

void
content_shared(struct content *c, struct cn_prng *prng, uint64_t seed,
    uint64_t key, uint64_t length)
{
	uint64_t document = cn_prng_below(prng, DOCUMENTS);
	/* Documents of other seeds are others. */
	uint64_t name = mix(seed) * DOCUMENTS + document;
	enum kind kind = (enum kind)((seed + document) % 3);
	uint64_t at =
	    cn_prng_chance(prng, 1, 2) ? 0 : cn_prng_below(prng, BEGIN_MAX);
	bool is_edited = cn_prng_chance(prng, 2, 3);

	c->parts = 0;
	c->length = 0;
	while (c->length < length && c->parts + 3 < SIM_PIECES) {
		uint64_t run = length - c->length, edit;

		if (is_edited) {
			run = CN_MIN(run, 1 + cn_prng_below(prng, 100000));
		}
		add(c, name, at, run, kind);
		at += run;
		if (c->length == length) {
			break;
		}
		edit = 1 + cn_prng_below(prng, 3000);
		edit = CN_MIN(edit, length - c->length);
		switch (cn_prng_below(prng, 3)) {
		case 0: /* inserted */
			add(c, ~key, c->length, edit, KIND_NOISE);
			break;
		case 1: /* deleted */
			at += edit;
			break;
		default: /* changed */
			edit = CN_MIN(edit, 40);
			add(c, ~key, c->length, edit, KIND_NOISE);
			at += edit;
			break;
		}
	}
	if (c->length < length) {
		add(c, name, at, length - c->length, kind);
	}
}

void
content_edited(
    struct content *c, const struct content *of, uint64_t key, uint64_t edit)
{
	const struct part *p = &of->part[0];
	uint64_t run = p->len / EDITS, at = 0;

	assert(of->parts == 1 && run > edit);
	c->parts = 0;
	c->length = 0;
	for (uint64_t i = 0; i < EDITS; i++) {
		add(c, p->key, at, run - edit, p->kind);
		add(c, key, at, edit, KIND_TEXT);
		at += run;
	}
	add(c, p->key, at, p->len - at, p->kind);
}
