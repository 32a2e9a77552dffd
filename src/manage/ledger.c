/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"

/* Pieces of one kind in a mixed ledger. */
#define STRETCH 512u

void
cn_ledger_init(
    struct cn_ledger *ledger, enum cn_ledger_kind kind, uint64_t seed)
{
	memset(ledger, 0, sizeof(*ledger));
	ledger->kind = kind;
	cn_prng_init(&ledger->prng, seed);
}

static void
make_line(struct cn_ledger *ledger)
{
	static const char *const words[] = { "accepted", "replied", "closed",
		"queued", "retried", "expired" };
	int len = snprintf((char *)ledger->line, sizeof(ledger->line),
	    "time=%" PRIu64 " host=node%u request=%016" PRIx64
	    " state=%s bytes=%u ms=%u\n",
	    UINT64_C(1700000000000) + ledger->count * 7,
	    (unsigned)cn_prng_below(&ledger->prng, 16),
	    cn_prng_u64(&ledger->prng),
	    words[cn_prng_below(&ledger->prng, CN_ARRAY_LEN(words))],
	    (unsigned)cn_prng_below(&ledger->prng, 65536),
	    (unsigned)cn_prng_below(&ledger->prng, 1000));

	ledger->len = (size_t)len;
}

static void
make_piece(struct cn_ledger *ledger)
{
	unsigned turn = ledger->kind == CN_LEDGER_RANDOM ? 0
	    : ledger->kind == CN_LEDGER_TEXT
	    ? 1
	    : (unsigned)(ledger->count / STRETCH % 3);

	ledger->len = sizeof(ledger->line);
	if (turn == 0) {
		cn_prng_bytes(&ledger->prng, ledger->line, ledger->len);
	} else if (turn == 1) {
		make_line(ledger);
	} else {
		memset(ledger->line, 0, ledger->len);
	}
	ledger->at = 0;
	ledger->count++;
}

void
cn_ledger_take(struct cn_ledger *ledger, void *out, size_t len)
{
	uint8_t *to = out;

	while (len > 0) {
		size_t n = CN_MIN(len, ledger->len - ledger->at);

		if (n == 0) {
			make_piece(ledger);
			continue;
		}
		memcpy(to, ledger->line + ledger->at, n);
		ledger->at += n;
		to += n;
		len -= n;
	}
}

size_t
cn_ledger_compare(struct cn_ledger *ledger, const uint8_t *bytes, size_t len)
{
	uint8_t right[CN_LEDGER_LINE];
	size_t differs = len;

	for (size_t at = 0; at < len;) {
		size_t n = CN_MIN(len - at, sizeof(right));

		cn_ledger_take(ledger, right, n);
		for (size_t i = 0; i < n && differs == len; i++) {
			if (right[i] != bytes[at + i]) {
				differs = at + i;
			}
		}
		at += n;
	}
	return differs;
}
