/* SPDX-License-Identifier: Apache-2.0 */
#include "control/why.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

/* Shares below one of so many are not told. */
#define TOLD_SHARE 100u
/* A ratio from here on needs no reason in a column. */
#define GOOD_RATIO 4u
/* Nor does one whose greatest reason is less than one part of these. */
#define WORD_SHARE 8u

/* clang-format off */
static const struct {
	const char *name; /* of the reason, in JSON */
	const char *word; /* in columns, unless a format has a name */
	const char *text;
	const char *fix;
} words[CN_WHY_MAX] = {
	[CN_WHY_NONE] = { "none", "ok", "", "" },
	[CN_WHY_TLS] = { "tls", "tls",
	    "The application encrypts with TLS before the gateway sees the "
	    "bytes.",
	    "Carry plain text as far as the gateway, which encrypts the way "
	    "between the sites itself: sslmode=disable (PostgreSQL), "
	    "ssl-mode=DISABLED (MySQL), http:// towards the gateway, or end "
	    "TLS at a proxy beside it." },
	[CN_WHY_SSH] = { "ssh", "ssh",
	    "SSH encrypts before the gateway sees the bytes.",
	    "Use a plain protocol over the gateway (rsync:// to an rsync "
	    "daemon, git://, nfs) for bulk data; for the rest Compression yes "
	    "in ssh_config helps a little." },
	[CN_WHY_COMPRESSED] = { "compressed", "compressed",
	    "The bytes are compressed already.",
	    "Send them uncompressed: the gateway compresses, and finds again "
	    "what it has seen, which compression hides (no gzip in pipes, "
	    "gzip off in the web server, compression off in backup and "
	    "replication tools); or compress with --rsyncable." },
	[CN_WHY_MEDIA] = { "media", "media",
	    "Pictures, sound and films are compressed by nature.",
	    "Nothing, for the first pass; the same file costs next to nothing "
	    "the second time, if the service has dedup and the store room." },
	[CN_WHY_ENCRYPTED] = { "encrypted", "encrypted",
	    "The bytes are files that were encrypted.",
	    "Encrypt at the destination, or carry the plain files: between the "
	    "gateways everything is encrypted anyway." },
	[CN_WHY_RANDOM] = { "random", "random",
	    "The bytes look random, encrypted or compressed, in no format "
	    "that is known.",
	    "Look at the application for encryption or compression of its own "
	    "and turn it off on this way." },
	[CN_WHY_RULE] = { "rule-off", "off",
	    "The profile says not to compress.",
	    "Set `profile: balanced` for this service or offer." },
	[CN_WHY_DAMAGE] = { "damage", "damage",
	    "Coding is off for this link: three damaged blocks in ten "
	    "minutes.",
	    "Look for bad memory in both hosts and a damaged library; the next "
	    "link codes again (restart one gateway)." },
	[CN_WHY_MEMORY] = { "memory", "memory",
	    "There was no memory, here or at the peer, for the context of a "
	    "coder.",
	    "Raise memory.limit on the side that is short (`compressnet` shows "
	    "the pool), or let fewer services share it." },
	[CN_WHY_AGAIN] = { "resent", "resent",
	    "Bytes were lost with a carrier, or not found by the peer, and "
	    "went again.",
	    "Look at `compressnet peers` for resumes and misses: an unstable "
	    "path, or a store that was cleared at one side." },
	[CN_WHY_SHORT] = { "short", "short",
	    "Scraps between copies, too short to be coded.",
	    "Nothing." },
	[CN_WHY_PEER_RAW] = { "peer-raw", "peer",
	    "The peer sent them as they are, though they would compress.",
	    "Ask there: `compressnet services why` at the peer; its profile "
	    "may be off." },
	[CN_WHY_COLD] = { "cold", "cold",
	    "Neither side had seen these bytes before: they were compressed, "
	    "and are known from now on.",
	    "Nothing: the next pass over the same data costs next to nothing. "
	    "`compressnet store warm` can push it ahead of need." },
	[CN_WHY_EVICTED] = { "evicted", "evicted",
	    "The bytes had crossed before, but their place in the store was "
	    "given up to newer ones.",
	    "Raise store.memory or store.disk, at both gateways." },
	[CN_WHY_SCOPE] = { "scope", "scope",
	    "What other connections of this service moved may not be used.",
	    "If those who connect may learn of each other's data by its "
	    "length, set `scope: service`." },
	[CN_WHY_DEDUP_OFF] = { "dedup-off", "nodedup",
	    "The profile says not to refer to earlier bytes.",
	    "Use a profile with `dedup: true`, such as balanced." },
	[CN_WHY_STORE_OFF] = { "store-off", "nostore",
	    "This gateway has no store, so nothing is recognised.",
	    "Give store.memory a size." },
	[CN_WHY_PEER_STORE] = { "peer-store", "nostore",
	    "The peer has no store, so nothing is recognised.",
	    "Give store.memory a size at the peer, or update it." },
	[CN_WHY_PEER_RULE] = { "peer-rule", "nodedup",
	    "The service at the peer keeps nothing of its streams: its scope "
	    "is connection, or its profile has no dedup.",
	    "Change scope or profile of the service, at the peer." },
	[CN_WHY_PEER_SAID] = { "peer-said", "peer",
	    "The peer compressed them without looking for copies.",
	    "Ask there for the reason: `compressnet services why` at the "
	    "peer." },
	[CN_WHY_SMALL] = { "small", "small",
	    "Small messages: the heads of blocks weigh as much as what is in "
	    "them.",
	    "Give the service a profile that waits longer for company, such "
	    "as max-reduction (20 ms), or have the application send larger "
	    "pieces." },
	[CN_WHY_UNIX_EOF] = { "unix-eof", "ok",
	    "A Unix socket cannot show a reset: a crash of the gateway would "
	    "read as a clean end.",
	    "Use a TCP address on loopback if that matters." },
};
/* clang-format on */

const char *
cn_why_name(enum cn_why_reason reason)
{
	unsigned index = (unsigned)reason;

	return words[index < CN_WHY_MAX ? index : 0].name;
}

void
cn_why_add(struct cn_why_facts *facts, bool is_sent, enum cn_why_reason reason,
    const char *format, const char *title, uint64_t wan)
{
	if (wan > 0 && facts->costs < CN_WHY_COSTS_MAX) {
		facts->cost[facts->costs++] = (struct cn_why_cost){
			.reason = reason,
			.format = format,
			.title = title,
			.is_sent = is_sent,
			.wan = wan,
		};
	}
}

/* ---- sums ---- */

/* Both directions of one reason and format. */
struct sum {
	enum cn_why_reason reason;
	const char *format, *title;
	uint64_t sent, received;
};

struct sums {
	struct sum sum[CN_WHY_COSTS_MAX + 4];
	size_t count;
};

static uint64_t
both(const struct sum *sum)
{
	return sum->sent + sum->received;
}

static struct sum *
sum_of(struct sums *sums, enum cn_why_reason reason, const char *format,
    const char *title)
{
	struct sum *sum;

	for (size_t i = 0; i < sums->count; i++) {
		sum = &sums->sum[i];
		if (sum->reason == reason && strcmp(sum->format, format) == 0) {
			return sum;
		}
	}
	assert(sums->count < CN_ARRAY_LEN(sums->sum));
	sum = &sums->sum[sums->count++];
	*sum =
	    (struct sum){ .reason = reason, .format = format, .title = title };
	return sum;
}

/* The greatest first; of equals in the order of the table. */
static int
by_bytes(const void *a, const void *b)
{
	const struct sum *x = a;
	const struct sum *y = b;

	if (both(x) != both(y)) {
		return both(x) < both(y) ? 1 : -1;
	}
	return (x->reason > y->reason) - (x->reason < y->reason);
}

static void
collect(const struct cn_why_facts *facts, struct sums *sums)
{
	struct sum *sum;

	sums->count = 0;
	for (size_t i = 0; i < facts->costs; i++) {
		const struct cn_why_cost *cost = &facts->cost[i];

		sum = sum_of(sums, cost->reason, cost->format, cost->title);
		*(cost->is_sent ? &sum->sent : &sum->received) += cost->wan;
	}
	if (facts->sent.framing + facts->received.framing > 0) {
		sum = sum_of(sums, CN_WHY_SMALL, "", "");
		sum->sent += facts->sent.framing;
		sum->received += facts->received.framing;
	}
	qsort(sums->sum, sums->count, sizeof(sums->sum[0]), by_bytes);
}

/* Of which a reason stands for some: what crossed for the stream. */
static uint64_t
wan_of(const struct cn_why_facts *facts)
{
	return facts->sent.wan + facts->received.wan;
}

const char *
cn_why_word(const struct cn_why_facts *facts)
{
	uint64_t lan = facts->sent.lan + facts->received.lan;
	uint64_t wan = wan_of(facts);
	struct sums sums;

	if (lan == 0 || wan == 0) {
		return "-";
	}
	if (lan / GOOD_RATIO >= wan) {
		return "ok";
	}
	collect(facts, &sums);
	if (sums.count == 0 || both(&sums.sum[0]) < wan / WORD_SHARE) {
		return "ok";
	}
	return sums.sum[0].format[0] != '\0' ? sums.sum[0].format
					     : words[sums.sum[0].reason].word;
}

/* ---- evidence ---- */

/* Text that grows until it is full. */
struct text {
	char *at;
	size_t left;
};

static void CN_PRINTF(2, 3) say(struct text *text, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text->at, text->left, fmt, args);
	va_end(args);
	if (n > 0) {
		size_t len = CN_MIN((size_t)n, text->left - 1);

		text->at += len;
		text->left -= len;
	}
}

static void
say_bytes(struct text *text, const struct sum *sum)
{
	if (sum->sent > 0) {
		say(text, "%llu bytes sent", (unsigned long long)sum->sent);
	}
	if (sum->received > 0) {
		say(text, "%s%llu bytes received", sum->sent > 0 ? ", " : "",
		    (unsigned long long)sum->received);
	}
}

static void
say_store(struct text *text, const struct cn_why_facts *facts)
{
	say(text,
	    "; the store may have %llu MiB in memory and %llu MiB on disk, "
	    "gave up %llu segments, and its oldest is %llu s old",
	    (unsigned long long)(facts->store_memory >> 20),
	    (unsigned long long)(facts->store_disk >> 20),
	    (unsigned long long)facts->store_evicted,
	    (unsigned long long)(facts->store_oldest_us / 1000000));
}

static const char *
or_unknown(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : "?";
}

/* What was counted, in a sentence's half. */
static void
say_evidence(
    struct text *text, const struct cn_why_facts *facts, const struct sum *sum)
{
	uint64_t lan = facts->sent.lan + facts->received.lan;

	say_bytes(text, sum);
	if (sum->title[0] != '\0') {
		say(text, "; it began as %s", sum->title);
	}
	switch (sum->reason) {
	case CN_WHY_EVICTED:
		say_store(text, facts);
		break;
	case CN_WHY_SMALL:
		say(text,
		    " of heads for %llu bytes of data; the profile %s waits "
		    "%u us",
		    (unsigned long long)lan, or_unknown(facts->profile),
		    facts->coalesce_us);
		break;
	case CN_WHY_RULE:
	case CN_WHY_DEDUP_OFF:
		say(text, "; the profile is %s", or_unknown(facts->profile));
		break;
	case CN_WHY_SCOPE:
		say(text, "; the scope is %s, and the service had %llu %s",
		    or_unknown(facts->scope), (unsigned long long)facts->opened,
		    facts->has_other_clients
			? "connections, of more than one client"
			: "connections");
		break;
	case CN_WHY_PEER_RAW:
	case CN_WHY_PEER_SAID:
	case CN_WHY_PEER_STORE:
	case CN_WHY_PEER_RULE:
		say(text, "; the peer is %s", or_unknown(facts->peer));
		break;
	case CN_WHY_NONE:
	case CN_WHY_TLS:
	case CN_WHY_SSH:
	case CN_WHY_COMPRESSED:
	case CN_WHY_MEDIA:
	case CN_WHY_ENCRYPTED:
	case CN_WHY_RANDOM:
	case CN_WHY_DAMAGE:
	case CN_WHY_MEMORY:
	case CN_WHY_AGAIN:
	case CN_WHY_SHORT:
	case CN_WHY_COLD:
	case CN_WHY_STORE_OFF:
	case CN_WHY_UNIX_EOF:
	case CN_WHY_MAX:
		break;
	}
}

/* ---- findings ---- */

static void
add_finding(const struct cn_why_facts *facts, const struct sum *sum,
    struct cn_snap_why *ret)
{
	struct cn_snap_finding *finding = &ret->findings[ret->findings_count++];
	struct text text = { finding->evidence, sizeof(finding->evidence) };
	uint64_t wan = wan_of(facts);

	cn_snap_text(
	    finding->reason, sizeof(finding->reason), cn_why_name(sum->reason));
	cn_snap_text(finding->format, sizeof(finding->format), sum->format);
	finding->bytes = both(sum);
	finding->sent = sum->sent;
	finding->received = sum->received;
	finding->share = wan == 0 ? 0 : finding->bytes * 1000 / wan;
	cn_snap_text(
	    finding->text, sizeof(finding->text), words[sum->reason].text);
	cn_snap_text(
	    finding->fix, sizeof(finding->fix), words[sum->reason].fix);
	say_evidence(&text, facts, sum);
}

/*
 * What is new may be new only because the scope hides it.  That is no other
 * cost, but another reason for the same one.
 */
static void
add_scope(const struct cn_why_facts *facts, const struct sums *sums,
    struct cn_snap_why *ret)
{
	if (!facts->has_other_clients || facts->scope == NULL ||
	    strcmp(facts->scope, "client") != 0) {
		return;
	}
	for (size_t i = 0; i < sums->count; i++) {
		struct sum sum = sums->sum[i];

		if (sum.reason == CN_WHY_COLD &&
		    both(&sum) >= wan_of(facts) / TOLD_SHARE) {
			sum.reason = CN_WHY_SCOPE;
			add_finding(facts, &sum, ret);
		}
	}
}

int
cn_why_find(const struct cn_why_facts *facts, struct cn_snap_why *ret)
{
	const struct sum eof = { CN_WHY_UNIX_EOF, "", "", 0, 0 };
	struct sums sums;

	ret->sent = facts->sent;
	ret->received = facts->received;
	ret->fates = facts->sent;
	cn_snap_bytes_add(&ret->fates, &facts->received);
	cn_snap_text(ret->why, sizeof(ret->why), cn_why_word(facts));
	collect(facts, &sums);
	ret->findings = cn_calloc(CN_SNAP_FINDINGS_MAX, sizeof(*ret->findings));
	if (ret->findings == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0;
	     i < sums.count && ret->findings_count + 2 < CN_SNAP_FINDINGS_MAX;
	     i++) {
		const struct sum *sum = &sums.sum[i];

		if (both(sum) < wan_of(facts) / TOLD_SHARE) {
			break;
		}
		add_finding(facts, sum, ret);
	}
	add_scope(facts, &sums, ret);
	if (facts->has_unix_eof) {
		add_finding(facts, &eof, ret);
	}
	return CN_OK;
}
