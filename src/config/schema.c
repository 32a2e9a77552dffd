/* SPDX-License-Identifier: Apache-2.0 */
#include "config/schema.h"

#include <string.h>

#include "base/attr.h"
#include "config/config.h"

#define MS UINT64_C(1000)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

static const char *const scopes[] = { "connection", "client", "service", "peer",
	NULL };
static const char *const peer_down[] = { "reset", "queue", NULL };
static const char *const log_levels[] = { "error", "warn", "info", "debug",
	NULL };

#define AT(structure, field) .offset = offsetof(struct structure, field)

static const struct cn_schema_key gateway_keys[] = {
	{
	    .name = "name",
	    .type = CN_SCHEMA_NAME,
	    .flags = CN_SCHEMA_REQUIRED,
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_gateway, name),
	    .example = "london",
	    .help = "What this gateway calls itself, in its logs and to its "
		    "peers.",
	},
	{
	    .name = "listen",
	    .type = CN_SCHEMA_LISTEN,
	    .flags = CN_SCHEMA_CARRIER,
	    .fallback_words = "none: this gateway only dials",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_gateway, listen),
	    .example = "\"0.0.0.0:3\"",
	    .help = "Where peers' carriers arrive: one address or a list. "
		    "The port is 3 unless given. Ports below 1024 need "
		    "CAP_NET_BIND_SERVICE or socket activation.",
	},
	{
	    .name = "key",
	    .type = CN_SCHEMA_PATH,
	    .fallback_words = "identity.key in the state folder",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_gateway, key),
	    .example = "/var/lib/compressnet/identity.key",
	    .help = "The file of the private key, as `compressnet key gen` "
		    "makes it. Refused when others can read it.",
	},
};

static const struct cn_schema_key peer_keys[] = {
	{
	    .name = "address",
	    .type = CN_SCHEMA_TARGET,
	    .flags = CN_SCHEMA_CARRIER,
	    .fallback_words = "none: the peer dials this gateway",
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_peer, address),
	    .example = "\"tokyo.example.net:3\"",
	    .help = "Where to dial the peer: a name or an address. The port "
		    "is 3 unless given.",
	},
	{
	    .name = "identity",
	    .type = CN_SCHEMA_IDENTITY,
	    .flags = CN_SCHEMA_REQUIRED,
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_peer, identity),
	    .help = "The peer's identity, as `compressnet key show` prints it "
		    "there. Nobody else is let in under this name. Removing "
		    "or changing it cuts the peer's carriers.",
	},
	{
	    .name = "carriers",
	    .type = CN_SCHEMA_COUNT,
	    .min = 1,
	    .max = 8,
	    .fallback = "1",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_peer, carriers),
	    .help = "Connections that each link to this peer keeps open. "
		    "More than one helps where one connection of TCP cannot "
		    "fill the path.",
	},
};

#define PROFILE_HELP                                                           \
	"How to trade bytes against delay: max-reduction, balanced, "          \
	"min-latency, off, or an entry of profiles."
#define LEVEL_HELP                                                             \
	"Level of zstd, one or a range, within the profile's. One alone "      \
	"switches the adaption off."
#define UNIX_EOF_HELP                                                          \
	"Must be true where a Unix socket is used: a crash of the gateway "    \
	"then looks like a clean end of the stream, because the operating "    \
	"system cannot say reset on such a socket."

static const struct cn_schema_key service_keys[] = {
	{
	    .name = "listen",
	    .type = CN_SCHEMA_LISTEN,
	    .flags = CN_SCHEMA_REQUIRED | CN_SCHEMA_UNIX,
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_service, listen),
	    .example = "\"127.0.0.1:5432\"",
	    .help = "Where applications connect: one address or a list. An "
		    "address of IPv6 stands in brackets and takes no IPv4.",
	},
	{
	    .name = "peer",
	    .type = CN_SCHEMA_NAME,
	    .flags = CN_SCHEMA_REQUIRED,
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_service, peer),
	    .example = "tokyo",
	    .help = "The entry of peers through which connections leave.",
	},
	{
	    .name = "offer",
	    .type = CN_SCHEMA_NAME,
	    .fallback_words = "the service's own name",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_service, offer),
	    .example = "orders-db",
	    .help = "The name of the offer in the peer's configuration.",
	},
	{
	    .name = "profile",
	    .type = CN_SCHEMA_NAME,
	    .fallback = "balanced",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_service, profile),
	    .help = PROFILE_HELP,
	},
	{
	    .name = "level",
	    .type = CN_SCHEMA_LEVEL,
	    .fallback_words = "the profile's range",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_service, level),
	    .example = "1..6",
	    .help = LEVEL_HELP,
	},
	{
	    .name = "scope",
	    .type = CN_SCHEMA_CHOICE,
	    .fallback = "service",
	    .choices = scopes,
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_service, scope),
	    .help = "Which streams may share compression history and the "
		    "store: those of "
		    "one connection (none share, and nothing is stored), of "
		    "one client's address, "
		    "of this service, or of the peer. Streams that share "
		    "history can learn of one another's bytes through their "
		    "lengths, so a service that mixes secrets of one client "
		    "with bytes that another one chooses wants client or "
		    "connection.",
	},
	{
	    .name = "group",
	    .type = CN_SCHEMA_NAME,
	    .fallback_words = "none: shared with no other service",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_service, group),
	    .example = "builds",
	    .help = "Services of the same peer that name the same group are "
		    "one to scope: what one of them moved, another moves "
		    "as references. Whoever may use one of them can then "
		    "find out, from the lengths and times of their own "
		    "transfers, "
		    "whether certain bytes crossed another; so group only "
		    "services whose users may know each other's data. Only "
		    "with scope service or client.",
	},
	{
	    .name = "on_peer_down",
	    .type = CN_SCHEMA_CHOICE,
	    .fallback = "reset",
	    .choices = peer_down,
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_service, on_peer_down),
	    .help = "What a new connection meets when no carrier to the "
		    "peer has been up for 3 seconds: a reset at once, or a "
		    "wait in the queue of at most resume_window.",
	},
	{
	    .name = "allow_unix_eof",
	    .type = CN_SCHEMA_BOOL,
	    .fallback = "false",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_service, allow_unix_eof),
	    .help = UNIX_EOF_HELP,
	},
};

static const struct cn_schema_key offer_keys[] = {
	{
	    .name = "to",
	    .type = CN_SCHEMA_TARGET,
	    .flags = CN_SCHEMA_REQUIRED | CN_SCHEMA_UNIX,
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_offer, to),
	    .example = "\"10.0.0.5:5432\"",
	    .help = "The server that is reached: host:port or unix:/path.",
	},
	{
	    .name = "peers",
	    .type = CN_SCHEMA_NAMES,
	    .flags = CN_SCHEMA_REQUIRED,
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_offer, peers),
	    .example = "[tokyo]",
	    .help = "The peers that may use it. No others can.",
	},
	{
	    .name = "profile",
	    .type = CN_SCHEMA_NAME,
	    .fallback = "balanced",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_offer, profile),
	    .help = PROFILE_HELP " This one is for the bytes that the server "
				 "sends back.",
	},
	{
	    .name = "level",
	    .type = CN_SCHEMA_LEVEL,
	    .fallback_words = "the profile's range",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_offer, level),
	    .example = "1..6",
	    .help = LEVEL_HELP,
	},
	{
	    .name = "connect_timeout",
	    .type = CN_SCHEMA_DURATION,
	    .min = 100 * MS,
	    .max = 5 * MINUTE,
	    .fallback = "10s",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_offer, connect_timeout_us),
	    .help = "How long the server may take to accept a connection "
		    "before the client is reset.",
	},
	{
	    .name = "allow_unix_eof",
	    .type = CN_SCHEMA_BOOL,
	    .fallback = "false",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_offer, allow_unix_eof),
	    .help = UNIX_EOF_HELP,
	},
};

static const struct cn_schema_key profile_keys[] = {
	{
	    .name = "coalesce",
	    .type = CN_SCHEMA_DURATION,
	    .min = 0,
	    .max = 20 * MS,
	    .fallback = "2ms",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_profile, coalesce_us),
	    .help = "How long small data may wait for more of it, and only "
		    "while the carrier is busy. A lone message on an idle "
		    "carrier never waits.",
	},
	{
	    .name = "level_min",
	    .type = CN_SCHEMA_COUNT,
	    .min = 0,
	    .max = CN_CONFIG_LEVEL_MAX,
	    .fallback = "1",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_profile, level_min),
	    .help = "Lowest level of zstd. 0, together with level_max 0, "
		    "sends all bytes as they are.",
	},
	{
	    .name = "level_max",
	    .type = CN_SCHEMA_COUNT,
	    .min = 0,
	    .max = CN_CONFIG_LEVEL_MAX,
	    .fallback = "9",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_profile, level_max),
	    .help = "Highest level of zstd.",
	},
	{
	    .name = "dedup",
	    .type = CN_SCHEMA_BOOL,
	    .fallback = "true",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_profile, dedup),
	    .help = "Send bulk data that the peer has in its store as "
		    "references, and store what it does not have. Small "
		    "messages are never held back for it. Of the built-in "
		    "profiles only off does without.",
	},
};

static const struct cn_schema_key memory_keys[] = {
	{
	    .name = "limit",
	    .type = CN_SCHEMA_SIZE,
	    .min = 16 * MIB,
	    .max = TIB,
	    .fallback = "512MiB",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_memory, limit_bytes),
	    .help = "Memory for the bytes of streams, blocks and coders of "
		    "the whole process. Near it new streams are refused; it "
		    "is never passed.",
	},
};

static const struct cn_schema_key store_keys[] = {
	{
	    .name = "path",
	    .type = CN_SCHEMA_PATH,
	    .fallback_words = "none: the store is in memory and ends with "
			      "the process",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_store, path),
	    .example = "/var/lib/compressnet/store",
	    .help = "A folder for what is to outlive a restart, encrypted "
		    "under a key of the gateway's own. It is made if its "
		    "parent is there, and belongs to one gateway alone. A "
		    "folder that cannot be used is no reason not to start: "
		    "the log says why, and the store is in memory.",
	},
	{
	    .name = "size",
	    .type = CN_SCHEMA_SIZE,
	    .min = 64 * MIB,
	    .max = 64 * TIB,
	    .fallback = "10GiB",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_store, size_bytes),
	    .help = "Room that the store may take in its folder. The oldest "
		    "goes first. Without path it has no meaning.",
	},
	{
	    .name = "memory",
	    .type = CN_SCHEMA_SIZE,
	    .max = TIB,
	    .fallback = "256MiB",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_store, memory_bytes),
	    .help = "Memory for what crossed the WAN before, beside "
		    "memory.limit: all of the store, or, with path, the "
		    "part of it that need not be read. At least 16MiB; 0 "
		    "switches the store off.",
	},
	{
	    .name = "index",
	    .type = CN_SCHEMA_SIZE,
	    .max = TIB,
	    .fallback = "0",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_store, index_bytes),
	    .help = "Memory for the index of the store. 0: as the store "
		    "needs, 5MiB for each GiB of it (rounded up to a power "
		    "of two) up to 64MiB, and from 100GiB on 0.6MiB for each "
		    "GiB, with which one chunk of eight is found and the "
		    "others by way of it.",
	},
	{
	    .name = "quota",
	    .type = CN_SCHEMA_SIZE,
	    .max = 64 * TIB,
	    .fallback = "0",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_store, quota_bytes),
	    .help = "How much of the store one scope may fill, so that one "
		    "busy service does not push out all others. At least "
		    "1MiB; 0: as much as it likes.",
	},
};

static const struct cn_schema_key carrier_keys[] = {
	{
	    .name = "congestion",
	    .type = CN_SCHEMA_WORD,
	    .fallback_words = "the system's own",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_carrier, congestion),
	    .example = "bbr",
	    .help = "Congestion control of carriers, one that the kernel "
		    "knows, such as bbr or cubic.",
	},
	{
	    .name = "connect_timeout",
	    .type = CN_SCHEMA_DURATION,
	    .min = 100 * MS,
	    .max = 5 * MINUTE,
	    .fallback = "10s",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_carrier, connect_timeout_us),
	    .help = "How long one attempt to reach a peer may take, the "
		    "handshake included.",
	},
	{
	    .name = "redial_max",
	    .type = CN_SCHEMA_DURATION,
	    .min = 100 * MS,
	    .max = 10 * MINUTE,
	    .fallback = "10s",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_carrier, redial_max_us),
	    .help = "Longest pause between attempts; the pauses grow from "
		    "100ms to this. The first attempt after a loss is made "
		    "at once.",
	},
};

static const struct cn_schema_key limits_keys[] = {
	{
	    .name = "streams_per_peer",
	    .type = CN_SCHEMA_COUNT,
	    .min = 1,
	    .max = 1000000,
	    .fallback = "100000",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_limits, streams_per_peer),
	    .help = "Live streams that one peer may have opened here.",
	},
	{
	    .name = "window",
	    .type = CN_SCHEMA_SIZE,
	    .min = 64 * KIB,
	    .max = 64 * MIB,
	    .fallback = "64MiB",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config_limits, window_bytes),
	    .help = "Bytes under way that one direction of a stream may "
		    "grow to. Throughput of a single stream is at most this "
		    "divided by the round trip.",
	},
};

static const struct cn_schema_key control_keys[] = {
	{
	    .name = "socket",
	    .type = CN_SCHEMA_PATH,
	    .fallback_words = "control.sock in the runtime folder",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_control, socket),
	    .example = "/run/compressnet/control.sock",
	    .help = "The Unix socket through which `compressnet` speaks with "
		    "the gateway.",
	},
};

static const struct cn_schema_key serve_keys[] = {
	{
	    .name = "listen",
	    .type = CN_SCHEMA_LISTEN,
	    .fallback_words = "127.0.0.1:2",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config_serve, listen),
	    .example = "\"127.0.0.1:2\"",
	    .help = "Where browsers and programs connect: one address or a "
		    "list. Where one is not loopback, all speak HTTPS. Ports "
		    "below 1024 need CAP_NET_BIND_SERVICE or socket "
		    "activation.",
	},
	{
	    .name = "certificate",
	    .type = CN_SCHEMA_PATH,
	    .fallback_words = "off loopback: a self-signed one in the state "
			      "folder, made at the first start",
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_serve, certificate),
	    .example = "/etc/compressnet/serve.crt",
	    .help = "A certificate with its chain (PEM). With it all "
		    "addresses speak HTTPS. SIGHUP to `compressnet serve` "
		    "reads it again.",
	},
	{
	    .name = "key",
	    .type = CN_SCHEMA_PATH,
	    .fallback_words = "serve.key in the state folder",
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_serve, key),
	    .example = "/etc/compressnet/serve.key",
	    .help = "The private key of certificate (PEM). Refused when "
		    "others can read it. It is never the gateway's own key.",
	},
	{
	    .name = "token_file",
	    .type = CN_SCHEMA_PATH,
	    .fallback_words = "api.token in the state folder",
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_serve, token_file),
	    .example = "/var/lib/compressnet/api.token",
	    .help = "The file of the token that may look and change: one "
		    "line of 32 to 128 characters. Made when it is missing; "
		    "refused when others can read it.",
	},
	{
	    .name = "read_token_file",
	    .type = CN_SCHEMA_PATH,
	    .fallback_words = "api-read.token in the state folder",
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_serve, read_token_file),
	    .example = "/var/lib/compressnet/api-read.token",
	    .help = "The file of the token that may only look.",
	},
	{
	    .name = "hosts",
	    .type = CN_SCHEMA_NAMES,
	    .fallback_words = "none beside localhost and the addresses",
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_serve, hosts),
	    .example = "[london.example.net]",
	    .help = "Names under which browsers reach this host. Requests "
		    "with another name in Host are refused, so that no "
		    "page of others can pose as this one.",
	},
	{
	    .name = "metrics_open",
	    .type = CN_SCHEMA_BOOL,
	    .fallback = "false",
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_serve, metrics_open),
	    .help = "Give /metrics to whoever asks, without a token.",
	},
};

static const struct cn_schema_key log_keys[] = {
	{
	    .name = "level",
	    .type = CN_SCHEMA_CHOICE,
	    .fallback = "info",
	    .choices = log_levels,
	    .reload = CN_SCHEMA_RELOAD_NOW,
	    AT(cn_config_log, level),
	    .help = "The least serious events that are written to standard "
		    "error.",
	},
};

#define SECTION(name_, noun_, struct_, keys_, help_)                           \
	static const struct cn_schema_section keys_##_section = {              \
		.name = (name_),                                               \
		.noun = (noun_),                                               \
		.size = sizeof(struct struct_),                                \
		.keys = keys_##_keys,                                          \
		.count = CN_ARRAY_LEN(keys_##_keys),                           \
		.help = (help_),                                               \
	}

SECTION("gateway", NULL, cn_config_gateway, gateway,
    "The gateway itself: its name, its key, and where it listens.");
SECTION("peers", "peer", cn_config_peer, peer,
    "The gateways that this one speaks with, by the names that it gives "
    "them.");
SECTION("services", "service", cn_config_service, service,
    "The ways in: where applications connect here, and what they reach "
    "through which peer.");
SECTION("offers", "offer", cn_config_offer, offer,
    "What peers may reach through this gateway, and nothing else.");
SECTION("profiles", "profile", cn_config_profile, profile,
    "Profiles of your own, beside the built-in ones.");
SECTION("memory", NULL, cn_config_memory, memory,
    "How much memory the process may take.");
SECTION("store", NULL, cn_config_store, store,
    "What crossed the WAN before, kept at both ends so that it need not "
    "cross again.");
SECTION("carrier", NULL, cn_config_carrier, carrier,
    "The connections that carry links to peers.");
SECTION("limits", NULL, cn_config_limits, limits, "What peers may cost.");
SECTION("control", NULL, cn_config_control, control,
    "How `compressnet` reaches the running gateway.");
SECTION("serve", NULL, cn_config_serve, serve,
    "`compressnet serve`: the HTTP API, the dashboard and the metrics. The "
    "gateway itself takes nothing from here; SIGHUP to serve does.");
SECTION("log", NULL, cn_config_log, log,
    "What the gateway tells on standard error.");

#define SUB(name_, type_, section_, field_)                                    \
	{                                                                      \
		.name = (name_), .type = (type_), .sub = &section_##_section,  \
		AT(cn_config, field_)                                          \
	}

static const struct cn_schema_key root_keys[] = {
	SUB("gateway", CN_SCHEMA_SECTION, gateway, gateway),
	SUB("peers", CN_SCHEMA_ENTRIES, peer, peers),
	SUB("services", CN_SCHEMA_ENTRIES, service, services),
	SUB("offers", CN_SCHEMA_ENTRIES, offer, offers),
	SUB("profiles", CN_SCHEMA_ENTRIES, profile, profiles),
	{
	    .name = "resume_window",
	    .type = CN_SCHEMA_DURATION,
	    .min = 100 * MS,
	    .max = 24 * HOUR,
	    .fallback = "60s",
	    .reload = CN_SCHEMA_RELOAD_NEW,
	    AT(cn_config, resume_window_us),
	    .help = "How long streams outlive the loss of every carrier to "
		    "their peer before they are reset.",
	},
	{
	    .name = "workers",
	    .type = CN_SCHEMA_COUNT,
	    .min = 0,
	    .max = 256,
	    .fallback = "0",
	    .reload = CN_SCHEMA_RELOAD_RESTART,
	    AT(cn_config, workers),
	    .help = "Threads that move bytes. 0: one for each processor.",
	},
	SUB("memory", CN_SCHEMA_SECTION, memory, memory),
	SUB("store", CN_SCHEMA_SECTION, store, store),
	SUB("carrier", CN_SCHEMA_SECTION, carrier, carrier),
	SUB("limits", CN_SCHEMA_SECTION, limits, limits),
	SUB("control", CN_SCHEMA_SECTION, control, control),
	SUB("serve", CN_SCHEMA_SECTION, serve, serve),
	SUB("log", CN_SCHEMA_SECTION, log, log),
};

SECTION("", NULL, cn_config, root, "A gateway's whole configuration.");

const struct cn_schema_section *
cn_schema_root(void)
{
	return &root_section;
}

const struct cn_schema_key *
cn_schema_key(const struct cn_schema_section *section, const char *name)
{
	for (size_t i = 0; i < section->count; i++) {
		if (strcmp(section->keys[i].name, name) == 0) {
			return &section->keys[i];
		}
	}
	return NULL;
}

const char *
cn_schema_type_text(enum cn_schema_type type)
{
	switch (type) {
	case CN_SCHEMA_BOOL:
		return "true or false";
	case CN_SCHEMA_COUNT:
		return "number";
	case CN_SCHEMA_SIZE:
		return "size";
	case CN_SCHEMA_DURATION:
		return "duration";
	case CN_SCHEMA_CHOICE:
		return "one of";
	case CN_SCHEMA_NAME:
		return "name";
	case CN_SCHEMA_WORD:
		return "word";
	case CN_SCHEMA_IDENTITY:
		return "identity";
	case CN_SCHEMA_PATH:
		return "path";
	case CN_SCHEMA_LEVEL:
		return "level or range";
	case CN_SCHEMA_TARGET:
		return "address";
	case CN_SCHEMA_LISTEN:
		return "address or list of addresses";
	case CN_SCHEMA_NAMES:
		return "list of names";
	case CN_SCHEMA_SECTION:
		return "section";
	case CN_SCHEMA_ENTRIES:
		return "named entries";
	}
	return "";
}

const char *
cn_schema_reload_text(enum cn_schema_reload reload)
{
	switch (reload) {
	case CN_SCHEMA_RELOAD_NOW:
		return "at once";
	case CN_SCHEMA_RELOAD_NEW:
		return "new streams and links";
	case CN_SCHEMA_RELOAD_RESTART:
		return "restart";
	}
	return "";
}
