/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/counter.h"
#include "base/err.h"

#define PREFIX "compressnet_"
#define LABEL_MAX 256u

/* The families that are not counters of base/counter.h. */
/* clang-format off */
#define FAMILIES(X)                                                            \
	X(UP, "up", "gauge", "Whether the gateway answers serve")              \
	X(BUILD, "build_info", "gauge", "The gateway's version, always 1")     \
	X(START, "start_time_seconds", "gauge",                                \
	    "When the gateway started, since 1970")                            \
	X(CPU, "process_cpu_seconds_total", "counter",                         \
	    "CPU time of the gateway, user and system")                        \
	X(RESIDENT, "process_resident_memory_bytes", "gauge",                  \
	    "Resident memory of the gateway")                                  \
	X(FDS, "process_open_fds", "gauge", "Descriptors that are open")       \
	X(MAX_FDS, "process_max_fds", "gauge", "Descriptors that may be open") \
	X(POOL, "memory_pool_used_bytes", "gauge",                             \
	    "Memory in use for streams, blocks and coders")                    \
	X(POOL_MAX, "memory_pool_limit_bytes", "gauge",                        \
	    "Memory that may be used for them (memory.limit)")                 \
	X(CONFIG_OK, "config_last_reload_successful", "gauge",                 \
	    "Whether the last configuration was taken over")                   \
	X(STREAMS, "streams", "gauge", "Streams that are live")                \
	X(PEER_UP, "peer_up", "gauge", "Whether the peer can be reached")      \
	X(PEER_STREAMS, "peer_streams", "gauge", "Live streams with the peer") \
	X(PEER_RTT, "peer_rtt_seconds", "gauge",                               \
	    "Least round trip of the peer's carriers; absent: unknown")        \
	X(PEER_RESUMES, "peer_resumes_total", "counter",                       \
	    "Carriers that took over the peer's streams")                      \
	X(PEER_LAN, "peer_lan_bytes_total", "counter",                         \
	    "Plain bytes of applications, to (out) and from (in) the peer")    \
	X(PEER_WAN, "peer_wan_bytes_total", "counter",                         \
	    "Bytes on the wire with the peer, TLS included")                   \
	X(PEER_BYPASSED, "peer_bypassed_bytes_total", "counter",               \
	    "Plain bytes that went as they are")                               \
	X(PEER_COPIED, "peer_copied_bytes_total", "counter",                   \
	    "Plain bytes that went as references to the store")                \
	X(PEER_COMP_IN, "peer_comp_in_bytes_total", "counter",                 \
	    "Plain bytes that went through the coder")                         \
	X(PEER_COMP_OUT, "peer_comp_out_bytes_total", "counter",               \
	    "Bytes on the wire that carried those")                            \
	X(SERVICE_UP, "service_up", "gauge",                                   \
	    "Whether the service takes connections")                           \
	X(SERVICE_STREAMS, "service_streams", "gauge",                         \
	    "Live streams of the service")                                     \
	X(SERVICE_OPENED, "service_connections_total", "counter",              \
	    "Connections that came to the service")                            \
	X(SERVICE_FAILED, "service_failed_connections_total", "counter",       \
	    "Connections refused, or reset later")                             \
	X(SERVICE_LAN, "service_lan_bytes_total", "counter",                   \
	    "Plain bytes of the service, to (out) and from (in) the peer")     \
	X(SERVICE_WAN, "service_wan_bytes_total", "counter",                   \
	    "Bytes on the wire for the service, before TLS")                   \
	X(OFFER_STREAMS, "offer_streams", "gauge", "Live streams of the offer")\
	X(OFFER_OPENED, "offer_connections_total", "counter",                  \
	    "Streams that peers opened to the offer")                          \
	X(OFFER_FAILED, "offer_failed_connections_total", "counter",           \
	    "Targets that could not be reached, and later resets")             \
	X(STORE_BYTES, "store_bytes", "gauge", "Bytes in the store")           \
	X(STORE_CAP, "store_capacity_bytes", "gauge", "Room of the store")     \
	X(STORE_AGE, "store_oldest_seconds", "gauge",                          \
	    "Age of the oldest bytes in the store")                            \
	X(STORE_LOST, "store_disk_lost", "gauge",                              \
	    "Whether the store's disk is configured and not in use")           \
	X(HTTP_ACCEPTED, "serve_connections_total", "counter",                 \
	    "Connections that serve accepted")                                 \
	X(HTTP_HALF, "serve_half_open_connections", "gauge",                   \
	    "Connections of serve without a whole request")                    \
	X(HTTP_DROPPED, "serve_dropped_connections_total", "counter",          \
	    "Connections of serve that ended before a whole request")          \
	X(HTTP_FAILURES, "serve_auth_failures_total", "counter",               \
	    "Requests to serve with a wrong token or code")                    \
	X(HTTP_ASKED, "serve_questions_total", "counter",                      \
	    "Questions that serve asked the gateway")
/* clang-format on */

enum family {
#define FAMILY_ID(id, name, type, help) FAMILY_##id,
	FAMILIES(FAMILY_ID)
#undef FAMILY_ID
	    FAMILY_COUNT,
};

static const struct {
	const char *name, *type, *help;
} families[FAMILY_COUNT] = {
#define FAMILY_ROW(id, name, type, help) { name, type, help },
	FAMILIES(FAMILY_ROW)
#undef FAMILY_ROW
};

/* Text being written; the first error stays. */
struct out {
	struct cn_buf *buf;
	int err;
};

static void CN_PRINTF(2, 3) put(struct out *out, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (out->err == CN_OK) {
		out->err = cn_buf_vprintf(out->buf, fmt, args);
	}
	va_end(args);
}

static void
head(struct out *out, enum family family)
{
	put(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n",
	    families[family].name, families[family].help, families[family].name,
	    families[family].type);
}

/* A value of a label: names have nothing to escape, but a newer gateway's
 * may. */
static const char *
escaped(const char *text, char *ret)
{
	size_t len = 0;

	for (; *text != '\0' && len + 3 < LABEL_MAX; text++) {
		if (*text == '\\' || *text == '"') {
			ret[len++] = '\\';
		}
		ret[len++] = *text == '\n' ? ' ' : *text;
	}
	ret[len] = '\0';
	return ret;
}

static void
number(struct out *out, enum family family, uint64_t value)
{
	head(out, family);
	put(out, PREFIX "%s %" PRIu64 "\n", families[family].name, value);
}

static void
seconds(struct out *out, enum family family, uint64_t us)
{
	head(out, family);
	put(out, PREFIX "%s %" PRIu64 ".%06" PRIu64 "\n", families[family].name,
	    us / 1000000, us % 1000000);
}

static void
labelled(struct out *out, enum family family, const char *label,
    const char *name, uint64_t value)
{
	char text[LABEL_MAX];

	put(out, PREFIX "%s{%s=\"%s\"} %" PRIu64 "\n", families[family].name,
	    label, escaped(name, text), value);
}

static void
directed(struct out *out, enum family family, const char *label,
    const char *name, uint64_t sent, uint64_t received)
{
	char text[LABEL_MAX];

	(void)escaped(name, text);
	put(out, PREFIX "%s{%s=\"%s\",direction=\"out\"} %" PRIu64 "\n",
	    families[family].name, label, text, sent);
	put(out, PREFIX "%s{%s=\"%s\",direction=\"in\"} %" PRIu64 "\n",
	    families[family].name, label, text, received);
}

static bool
is_up(enum cn_snap_state state)
{
	return state == CN_SNAP_UP || state == CN_SNAP_DEGRADED;
}

static void
write_gateway(struct out *out, const struct cn_snap_status *status)
{
	const struct cn_snap_gateway *gateway = &status->gateway;
	char text[LABEL_MAX];

	head(out, FAMILY_BUILD);
	put(out, PREFIX "build_info{version=\"%s\"} 1\n",
	    escaped(gateway->version, text));
	seconds(out, FAMILY_START, gateway->started_us);
	seconds(out, FAMILY_CPU, gateway->cpu_us);
	number(out, FAMILY_RESIDENT, status->memory.resident);
	number(out, FAMILY_FDS, gateway->descriptors);
	number(out, FAMILY_MAX_FDS, gateway->descriptors_limit);
	number(out, FAMILY_POOL, status->memory.pool_used);
	number(out, FAMILY_POOL_MAX, status->memory.pool_limit);
	number(out, FAMILY_CONFIG_OK, gateway->config_error[0] == '\0');
	number(out, FAMILY_STREAMS, status->streams);
}

static void
write_peer(struct out *out, enum family family, const struct cn_snap_peer *peer)
{
	const struct cn_snap_bytes *to = &peer->sent, *from = &peer->received;
	const char *name = peer->name;
	char text[LABEL_MAX];

	if (family == FAMILY_PEER_UP) {
		labelled(out, family, "peer", name, is_up(peer->state));
	} else if (family == FAMILY_PEER_STREAMS) {
		labelled(out, family, "peer", name, peer->streams);
	} else if (family == FAMILY_PEER_RTT) {
		if (peer->rtt_us > 0) {
			put(out,
			    PREFIX "peer_rtt_seconds{peer=\"%s\"} "
				   "%" PRIu64 ".%06" PRIu64 "\n",
			    escaped(name, text), peer->rtt_us / 1000000,
			    peer->rtt_us % 1000000);
		}
	} else if (family == FAMILY_PEER_RESUMES) {
		labelled(out, family, "peer", name, peer->resumes);
	} else if (family == FAMILY_PEER_LAN) {
		directed(out, family, "peer", name, to->lan, from->lan);
	} else if (family == FAMILY_PEER_WAN) {
		directed(out, family, "peer", name, to->wan, from->wan);
	} else if (family == FAMILY_PEER_BYPASSED) {
		directed(out, family, "peer", name, to->raw, from->raw);
	} else if (family == FAMILY_PEER_COPIED) {
		directed(out, family, "peer", name, to->copied, from->copied);
	} else if (family == FAMILY_PEER_COMP_IN) {
		directed(out, family, "peer", name, to->literal, from->literal);
	} else if (family == FAMILY_PEER_COMP_OUT) {
		directed(out, family, "peer", name, to->coded, from->coded);
	}
}

static void
write_service(
    struct out *out, enum family family, const struct cn_snap_service *service)
{
	const char *name = service->name;

	if (family == FAMILY_SERVICE_UP) {
		labelled(out, family, "service", name, is_up(service->state));
	} else if (family == FAMILY_SERVICE_STREAMS) {
		labelled(out, family, "service", name, service->streams);
	} else if (family == FAMILY_SERVICE_OPENED) {
		labelled(out, family, "service", name, service->opened);
	} else if (family == FAMILY_SERVICE_FAILED) {
		put(out,
		    PREFIX "service_failed_connections_total{service=\"%s\","
			   "reason=\"refused\"} %" PRIu64 "\n" PREFIX
			   "service_failed_connections_total{service=\"%s\","
			   "reason=\"reset\"} %" PRIu64 "\n",
		    name, service->refused, name, service->resets);
	} else if (family == FAMILY_SERVICE_LAN) {
		directed(out, family, "service", name, service->sent.lan,
		    service->received.lan);
	} else if (family == FAMILY_SERVICE_WAN) {
		directed(out, family, "service", name, service->sent.wan,
		    service->received.wan);
	}
}

static void
write_offer(
    struct out *out, enum family family, const struct cn_snap_offer *offer)
{
	if (family == FAMILY_OFFER_STREAMS) {
		labelled(out, family, "offer", offer->name, offer->streams);
	} else if (family == FAMILY_OFFER_OPENED) {
		labelled(out, family, "offer", offer->name, offer->opened);
	} else {
		put(out,
		    PREFIX "offer_failed_connections_total{offer=\"%s\","
			   "reason=\"refused\"} %" PRIu64 "\n" PREFIX
			   "offer_failed_connections_total{offer=\"%s\","
			   "reason=\"reset\"} %" PRIu64 "\n",
		    offer->name, offer->refused, offer->name, offer->resets);
	}
}

static void
write_entries(struct out *out, const struct cn_snap_status *status)
{
	for (unsigned f = FAMILY_PEER_UP; f <= FAMILY_OFFER_FAILED; f++) {
		enum family family = (enum family)f;

		head(out, family);
		if (f < FAMILY_SERVICE_UP) {
			for (size_t i = 0; i < status->peers_count; i++) {
				write_peer(out, family, &status->peers[i]);
			}
		} else if (f < FAMILY_OFFER_STREAMS) {
			for (size_t i = 0; i < status->services_count; i++) {
				write_service(
				    out, family, &status->services[i]);
			}
		} else {
			for (size_t i = 0; i < status->offers_count; i++) {
				write_offer(out, family, &status->offers[i]);
			}
		}
	}
}

static void
write_store(struct out *out, const struct cn_snap_store *store)
{
	number(out, FAMILY_STORE_BYTES, store->valid_bytes);
	number(out, FAMILY_STORE_CAP,
	    store->has_disk && !store->is_disk_lost ? store->disk_cap
						    : store->memory_cap);
	seconds(out, FAMILY_STORE_AGE, store->oldest_us);
	number(out, FAMILY_STORE_LOST, store->is_disk_lost);
}

/* The metric's name of a counter: "lan_in" in bytes is lan_in_bytes_total. */
static void
counter_name(const struct cn_snap_counter *counter, char *ret, size_t size)
{
	bool is_us = strcmp(counter->unit, "us") == 0;
	bool is_bytes = strcmp(counter->unit, "bytes") == 0;
	size_t len;

	/* bytes_resent names its unit already. */
	is_bytes = is_bytes && strstr(counter->name, "bytes") == NULL;
	(void)snprintf(ret, size, "%s%s_total", counter->name,
	    is_us          ? "_seconds"
		: is_bytes ? "_bytes"
			   : "");
	len = strlen(ret);
	for (size_t i = 0; i < len; i++) {
		char c = ret[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) {
			ret[i] = '_';
		}
	}
}

static void
write_counters(struct out *out, const struct cn_snap_status *status)
{
	char name[CN_SNAP_NAME + 32], help[2 * CN_SNAP_TEXT];

	for (size_t i = 0; i < status->counters_count; i++) {
		const struct cn_snap_counter *counter = &status->counters[i];

		counter_name(counter, name, sizeof(name));
		put(out,
		    "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s counter\n",
		    name, escaped(counter->help, help), name);
		if (strcmp(counter->unit, "us") == 0) {
			put(out, PREFIX "%s %" PRIu64 ".%06" PRIu64 "\n", name,
			    counter->value / 1000000, counter->value % 1000000);
		} else {
			put(out, PREFIX "%s %" PRIu64 "\n", name,
			    counter->value);
		}
	}
}

int
cn_metrics_write(const struct cn_snap_status *status,
    const struct cn_metrics_serve *serve, struct cn_buf *text)
{
	struct out out = { text, CN_OK };
	const struct cn_httpd_counts *counts = &serve->counts;

	number(&out, FAMILY_UP, status != NULL);
	if (status != NULL) {
		write_gateway(&out, status);
		write_entries(&out, status);
		write_store(&out, &status->store);
		write_counters(&out, status);
	}
	number(&out, FAMILY_HTTP_ACCEPTED, counts->accepted);
	number(&out, FAMILY_HTTP_HALF, counts->half_open);
	head(&out, FAMILY_HTTP_DROPPED);
	put(&out,
	    PREFIX "serve_dropped_connections_total{reason=\"timeout\"} "
		   "%" PRIu64 "\n" PREFIX
		   "serve_dropped_connections_total{reason=\"pushed-out\"} "
		   "%" PRIu64 "\n",
	    counts->timeouts, counts->pushed_out);
	number(&out, FAMILY_HTTP_FAILURES, serve->failures);
	number(&out, FAMILY_HTTP_ASKED, serve->asked);
	return out.err;
}

int
cn_metrics_make(struct cn_asker *asker, const struct cn_metrics_serve *serve,
    struct cn_buf *out)
{
	struct cn_question question = { .command = "status",
		.max_age_us = 1000000 };
	struct cn_snap_status status = { 0 };
	struct cn_answer *answer = NULL;
	bool is_there = false;
	int err = cn_asker_ask(asker, &question, &answer);

	if (err == CN_OK && answer->status == 200) {
		err = cn_shape_decode(
		    &cn_snap_status_shape, answer->data, &status);
		is_there = err == CN_OK;
	}
	cn_answer_free(&answer);
	if (err != CN_ENOMEM) {
		err = cn_metrics_write(is_there ? &status : NULL, serve, out);
	}
	cn_snap_status_clear(&status);
	return err;
}

int
cn_metrics_reference(struct cn_buf *text)
{
	struct out out = { text, CN_OK };

	put(&out,
	    "# Metrics\n\nMade from the tables of the program: `compressnet "
	    "serve --metrics`.\n\n| metric | type | meaning "
	    "|\n|---|---|---|\n");
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		put(&out, "| `" PREFIX "%s` | %s | %s |\n", families[f].name,
		    families[f].type, families[f].help);
	}
	for (unsigned i = 0; i < CN_COUNTER_COUNT; i++) {
		const struct cn_counter_info *info =
		    cn_counter_info((enum cn_counter)i);
		struct cn_snap_counter counter = { 0 };
		char name[CN_SNAP_NAME + 32];

		cn_snap_text(counter.name, sizeof(counter.name), info->name);
		cn_snap_text(counter.unit, sizeof(counter.unit), info->unit);
		counter_name(&counter, name, sizeof(name));
		put(&out, "| `" PREFIX "%s` | counter | %s |\n", name,
		    info->help);
	}
	return out.err;
}
