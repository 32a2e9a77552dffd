/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "base/attr.h"
#include "manage/estimate.h"

/* A share from which on it is worth a word, percent. */
#define WORTH 20u

/* What to change where the bytes of a port are encrypted. */
static const struct {
	uint16_t port;
	const char *text;
} of_port[] = {
	{ 22,
	    "SSH cannot be seen into: for files run rsync as a daemon "
	    "(port 873) through a service, not over ssh" },
	{ 25,
	    "mail in STARTTLS: let the two relays talk plainly to the "
	    "gateway, whose carrier is encrypted" },
	{ 443,
	    "HTTPS: end TLS before the gateway (a proxy beside the client "
	    "or the server) and send HTTP through it" },
	{ 465,
	    "mail in TLS: submit to a relay beside the client, and let "
	    "the relays talk plainly through the gateway" },
	{ 587,
	    "mail in STARTTLS: let the two relays talk plainly to the "
	    "gateway, whose carrier is encrypted" },
	{ 636,
	    "LDAPS: use ldap:// towards the gateway, whose carrier is "
	    "encrypted" },
	{ 853, "DNS over TLS: nothing to gain" },
	{ 993, "IMAPS: nothing to gain but with TLS ended before the gateway" },
	{ 1433,
	    "SQL Server: Encrypt=no towards the gateway, whose carrier is "
	    "encrypted" },
	{ 1521,
	    "Oracle: leave SQLNET.ENCRYPTION and TCPS off towards the "
	    "gateway, whose carrier is encrypted" },
	{ 2484,
	    "Oracle TCPS: use TCP (1521) towards the gateway, whose "
	    "carrier is encrypted" },
	{ 3306,
	    "MySQL: ssl-mode=DISABLED towards the gateway, whose carrier "
	    "is encrypted" },
	{ 3389, "RDP is encrypted and compressed by itself: nothing to gain" },
	{ 5432,
	    "PostgreSQL: sslmode=disable in the client's connection "
	    "string towards the gateway (and \"host\", not \"hostssl\", "
	    "in pg_hba.conf); its carrier is encrypted" },
	{ 5671,
	    "AMQPS: use amqp:// (5672) towards the gateway, whose carrier "
	    "is encrypted" },
	{ 6379,
	    "Redis: tls off (rediss:// becomes redis://) towards the "
	    "gateway, whose carrier is encrypted" },
	{ 6443,
	    "Kubernetes API: its TLS carries client certificates; leave "
	    "it, and mirror images and logs through the gateway" },
	{ 8443, "HTTPS: end TLS before the gateway and send HTTP through it" },
	{ 9092,
	    "Kafka: a PLAINTEXT listener for the gateway, whose carrier "
	    "is encrypted" },
	{ 9093,
	    "Kafka: a PLAINTEXT listener for the gateway, whose carrier "
	    "is encrypted" },
	{ 9200,
	    "Elasticsearch: http, not https, towards the gateway, whose "
	    "carrier is encrypted" },
	{ 27017,
	    "MongoDB: tls=false towards the gateway, whose carrier is "
	    "encrypted" },
};

static const char *
of_kind(unsigned kind, bool is_file)
{
	switch (kind) {
	case CN_CONTENT_HTTP:
		return "turn the server's content-encoding off for this path "
		       "(gzip off; or Accept-Encoding: identity): the "
		       "gateways compress better, and know repeats";
	case CN_PROBE_GZIP:
		return is_file
		    ? "ship it unpacked, or made by `gzip --rsyncable'"
		    : "turn gzip off at the sender, or `gzip --rsyncable'";
	case CN_PROBE_ZSTD:
		return "ship it unpacked, or made by `zstd --rsyncable'";
	case CN_PROBE_XZ:
	case CN_PROBE_BZIP2:
		return "ship it unpacked: repeats and edits go as references "
		       "then";
	case CN_PROBE_ZIP:
		return "pack without compression (zip -0; jar: store)";
	case CN_PROBE_JPEG:
	case CN_PROBE_PNG:
	case CN_PROBE_MP4:
		return "pictures and films are compressed already: only "
		       "repeats save";
	case CN_PROBE_TLS:
		return "TLS: end it before the gateway, whose carrier is "
		       "encrypted";
	case CN_PROBE_SSH:
		return "SSH cannot be seen into: use a protocol without it "
		       "through the gateway, whose carrier is encrypted";
	case CN_PROBE_RANDOM:
		return is_file
		    ? "looks encrypted or compressed: ship it plain, the "
		      "carrier is encrypted"
		    : "looks encrypted or compressed: turn that off at the "
		      "application";
	default:
		return NULL;
	}
}

const char *
cn_estimate_advice(const struct cn_estimate_row *row)
{
	const struct cn_content_bytes *content = &row->content;
	unsigned kind = cn_content_main(content);
	uint64_t all = 0;

	for (size_t i = 0; i < CN_CONTENT_KINDS; i++) {
		all += content->kind[i];
	}
	if (kind == 0 || content->kind[kind] * 100 < all * WORTH) {
		return NULL;
	}
	if (kind == CN_PROBE_TLS || kind == CN_PROBE_SSH) {
		for (size_t i = 0; i < CN_ARRAY_LEN(of_port); i++) {
			if (row->port == of_port[i].port) {
				return of_port[i].text;
			}
		}
	}
	return of_kind(kind, row->port == 0);
}
