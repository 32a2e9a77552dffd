/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cli.h"

#include "manage/cmd.h"

#define BIT(option) CN_OPTION_BIT(CN_OPTION_##option)
#define ASKS (BIT(SOCKET) | BIT(TIMEOUT))
#define READS (ASKS | BIT(JSON))

const struct cn_option_info cn_option_infos[CN_OPTION_MAX] = {
	[CN_OPTION_HELP] = { "help", 'h', NULL, "show this help" },
	[CN_OPTION_VERSION] = { "version", 'V', NULL, "show the version" },
	[CN_OPTION_SOCKET] = { "socket", 's', "PATH",
	    "control socket of the gateway" },
	[CN_OPTION_TIMEOUT] = { "timeout", 0, "MS",
	    "wait so long for the gateway (5000)" },
	[CN_OPTION_JSON] = { "json", 'j', NULL, "print JSON" },
	[CN_OPTION_NO_COLOR] = { "no-color", 0, NULL,
	    "no colours; so does NO_COLOR" },
	[CN_OPTION_WATCH] = { "watch", 'w', NULL,
	    "again and again, with rates" },
	[CN_OPTION_INTERVAL] = { "interval", 'i', "SECONDS",
	    "between two looks (1)" },
	[CN_OPTION_COUNT] = { "count", 'n', "N", "end after so many looks" },
	[CN_OPTION_SERVICE] = { "service", 0, "NAME",
	    "only of this service or offer" },
	[CN_OPTION_PEER] = { "peer", 0, "NAME", "only of this peer" },
	[CN_OPTION_LIMIT] = { "limit", 'l', "N", "at most so many" },
	[CN_OPTION_CONFIG] = { "config", 'c', "FILE", "configuration file" },
	[CN_OPTION_MARKDOWN] = { "markdown", 0, NULL,
	    "the reference manual instead" },
	[CN_OPTION_KEY] = { "key", 'k', "FILE", "file of the private key" },
	[CN_OPTION_KEY_FILE] = { "key-file", 0, "FILE",
	    "key that an export is sealed with" },
	[CN_OPTION_FORCE] = { "force", 'f', NULL,
	    "replace the file that is there" },
	[CN_OPTION_RATE] = { "rate", 'r', "RATE",
	    "of the emulated WAN (20mbit)" },
	[CN_OPTION_DELAY] = { "delay", 'd', "TIME",
	    "of the emulated WAN, one way (20ms)" },
	[CN_OPTION_SIZE] = { "size", 0, "SIZE", "bytes to send" },
	[CN_OPTION_KEEP] = { "keep", 0, NULL,
	    "leave the folder with keys and logs" },
	[CN_OPTION_CLIENT] = { "client", 0, "ADDRESS",
	    "for this client, where the scope is client" },
	[CN_OPTION_LISTEN] = { "listen", 0, "ADDRESS:PORT",
	    "where to listen, or to be reached" },
	[CN_OPTION_PLAIN] = { "plain", 0, NULL,
	    "insist on HTTP without TLS: loopback alone" },
	[CN_OPTION_OPENAPI] = { "openapi", 0, NULL,
	    "print the description of the API and end" },
	[CN_OPTION_METRICS] = { "metrics", 0, NULL,
	    "print the list of metrics and end" },
	[CN_OPTION_SECONDS] = { "seconds", 't', "SECONDS",
	    "of each measurement (3)" },
	[CN_OPTION_QUIET] = { "quiet", 'q', NULL, "say only what went wrong" },
	[CN_OPTION_FOLLOW] = { "follow", 0, NULL,
	    "go on with what happens next" },
	[CN_OPTION_SINCE_ID] = { "since-id", 0, "ID",
	    "only what came after this event" },
	[CN_OPTION_LEVEL] = { "level", 0, "LEVEL",
	    "info, warning or error: none less important" },
	[CN_OPTION_ADDRESS] = { "address", 'a', "HOST:PORT",
	    "where the other gateway reaches this one" },
	[CN_OPTION_OFFER] = { "offer", 'o', "NAME=HOST:PORT",
	    "what it may reach here; may be repeated", true },
	[CN_OPTION_FORWARD] = { "forward", 0, "NAME=ADDRESS:PORT",
	    "listen here for what it offers; may be repeated", true },
	[CN_OPTION_EXPIRES] = { "expires", 0, "TIME",
	    "how long the token is good (600s)" },
	[CN_OPTION_NAME] = { "name", 0, "NAME",
	    "of this gateway (the host's)" },
	[CN_OPTION_BATCH] = { "batch", 'b', NULL,
	    "plain text, for files and pipes" },
	[CN_OPTION_PROFILE] = { "profile", 'p', "NAME",
	    "as of a service (balanced)" },
	[CN_OPTION_LEVELS] = { "levels", 0, "LEVELS",
	    "of zstd, as 6 or 1-9 (the profile's)" },
	[CN_OPTION_PRICE] = { "price", 0, "MONEY", "of traffic, as 0.09/GB" },
	[CN_OPTION_NFT] = { "nft", 0, NULL,
	    "nftables rules that admit the peers only" },
};

const uint64_t cn_options_common = BIT(HELP) | BIT(NO_COLOR);

const struct cn_cli_command cn_cli_commands[] = {
	{ .group = "status",
	    .words = "",
	    .options = READS | BIT(WATCH) | BIT(INTERVAL) | BIT(COUNT),
	    .summary = "health, peers, services, LAN and WAN bytes",
	    .help = "LAN bytes are what applications sent and received; WAN "
		    "bytes are what\ncrossed the wire, TLS included for peers "
		    "and totals.  A saving below zero\nmeans that the gateway "
		    "cost bytes.",
	    .examples = "  compressnet\n"
			"  compressnet status --watch --interval 5\n"
			"  compressnet status --json | jq .sent",
	    .run = cn_cmd_status },
	{ .group = "top",
	    .words = "",
	    .options =
		READS | BIT(BATCH) | BIT(INTERVAL) | BIT(COUNT) | BIT(LIMIT),
	    .summary = "live: streams, services, peers with their rates",
	    .help =
		"Keys: r, s, a, b, p sort by rate, saved bytes, age, bytes, "
		"peer; tab changes\nthe view; arrows scroll; ? helps; q "
		"ends.  --batch prints text, --json a line\nfor each look, "
		"of the first 20 rows or --limit.",
	    .examples = "  compressnet top\n"
			"  compressnet top --batch --count 2 --interval 5",
	    .run = cn_cmd_top },
	{ .group = "streams",
	    .verb = "list",
	    .is_default = true,
	    .words = "",
	    .options = READS | BIT(SERVICE) | BIT(PEER) | BIT(LIMIT),
	    .summary = "every TCP connection in the gateway",
	    .help = "Both directions together.  WAN bytes of a stream are "
		    "its share of the wire\nbefore TLS.",
	    .examples = "  compressnet streams --service orders-db --limit "
			"20",
	    .run = cn_cmd_streams_list },
	{ .group = "streams",
	    .verb = "show",
	    .words = "ID",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS,
	    .summary = "one stream: bytes by fate, buffers, state",
	    .help = "",
	    .examples = "  compressnet streams show 4711",
	    .run = cn_cmd_streams_show },
	{ .group = "streams",
	    .verb = "kill",
	    .words = "ID",
	    .words_min = 1,
	    .words_max = 1,
	    .options = ASKS,
	    .summary = "reset one stream at both ends",
	    .help = "Both applications see a reset, never a clean end of "
		    "file.",
	    .examples = "  compressnet streams kill 4711",
	    .run = cn_cmd_streams_kill },
	{ .group = "streams",
	    .verb = "why",
	    .words = "ID",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS,
	    .summary = "why it is no less on the wire, what would mend it",
	    .help = "Each reason has its share of the stream's WAN bytes, what "
		    "was counted, and\none line that says what would change "
		    "it.",
	    .examples = "  compressnet streams why 4711\n"
			"  compressnet streams why 4711 --json | jq "
			"'.findings[0]'",
	    .run = cn_cmd_streams_why },
	{ .group = "peers",
	    .verb = "list",
	    .is_default = true,
	    .words = "",
	    .options = READS,
	    .summary = "gateways that this one talks to",
	    .help = "",
	    .examples = "  compressnet peers\n"
			"  compressnet peers list --json",
	    .run = cn_cmd_peers },
	{ .group = "peers",
	    .verb = "show",
	    .words = "NAME",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS,
	    .summary = "one peer with its links and carriers",
	    .help = "",
	    .examples = "  compressnet peers show tokyo",
	    .run = cn_cmd_peers },
	{ .group = "peers",
	    .verb = "drain",
	    .words = "NAME",
	    .words_min = 1,
	    .words_max = 1,
	    .options = ASKS,
	    .summary = "take nothing new to or from a peer",
	    .help = "Streams that run go on.  New connections meet what their "
		    "service says of a\npeer that is down; what the peer "
		    "opens is reset.  `resume' undoes it, and a\nrestart of "
		    "the gateway does.",
	    .examples = "  compressnet peers drain tokyo",
	    .run = cn_cmd_peers_drain },
	{ .group = "peers",
	    .verb = "resume",
	    .words = "NAME",
	    .words_min = 1,
	    .words_max = 1,
	    .options = ASKS,
	    .summary = "undo `peers drain'",
	    .help = "",
	    .examples = "  compressnet peers resume tokyo",
	    .run = cn_cmd_peers_resume },
	{ .group = "peers",
	    .verb = "remove",
	    .words = "NAME",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS,
	    .summary = "forget a peer that has joined",
	    .help = "Takes it out of conf.d/managed.yaml, with the services "
		    "that go to it and its\nplace in offers, and cuts its "
		    "carriers at once: its streams are reset.  A peer\nthat "
		    "is written by hand is refused, with the place where it "
		    "stands.",
	    .examples = "  compressnet peers remove tokyo",
	    .run = cn_cmd_peers_remove },
	{ .group = "invite",
	    .words = "NAME",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS | BIT(ADDRESS) | BIT(OFFER) | BIT(EXPIRES),
	    .summary = "print a token with which a gateway may join",
	    .help = "NAME is what the other gateway will be called here.  The "
		    "token is secret, is\ngood for one gateway and for ten "
		    "minutes, and for nothing after a restart.\n--offer names "
		    "what that gateway may reach through this one; without a "
		    "target\nit is an offer that an earlier pairing made.  "
		    "Both gateways write each other\ninto their "
		    "conf.d/managed.yaml.",
	    .examples = "  compressnet invite london --address "
			"tokyo.example.net:3 \\\n"
			"    --offer orders-db=10.0.0.5:5432",
	    .run = cn_cmd_invite },
	{ .group = "join",
	    .words = "TOKEN NAME",
	    .words_min = 2,
	    .words_max = 2,
	    .options = READS | BIT(FORWARD),
	    .summary = "become a peer of the gateway that made the token",
	    .help = "NAME is what that gateway will be called here.  "
		    "--forward makes a service of\nwhat it offers, and it "
		    "works when the command returns.",
	    .examples = "  compressnet join cnj1-... tokyo --forward "
			"orders-db=127.0.0.1:5432",
	    .run = cn_cmd_join },
	{ .group = "services",
	    .verb = "list",
	    .is_default = true,
	    .words = "",
	    .options = READS,
	    .summary = "ways in, and what peers may reach through us",
	    .help = "",
	    .examples = "  compressnet services",
	    .run = cn_cmd_services },
	{ .group = "services",
	    .verb = "why",
	    .words = "NAME",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS,
	    .summary = "why its streams, past and live, are no less",
	    .help = "NAME is a service or an offer.  Each reason has its share "
		    "of the\nWAN bytes since the start, what was counted, and "
		    "one line that says what\nwould change it.",
	    .examples = "  compressnet services why orders-db",
	    .run = cn_cmd_services_why },
	{ .group = "services",
	    .verb = "test",
	    .words = "HOST:PORT",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS,
	    .summary = "which rule carries it, and why the others do not",
	    .help = "A service carries what connects to an address it listens "
		    "on; an offer carries\nwhat peers send to its target.  "
		    "Names are compared, not resolved.  Exit code 1\nwhen none "
		    "does.",
	    .examples = "  compressnet services test 127.0.0.1:5432",
	    .run = cn_cmd_services_test },
	{ .group = "events",
	    .words = "",
	    .options = READS | BIT(FOLLOW) | BIT(SINCE_ID) | BIT(LEVEL) |
		BIT(INTERVAL) | BIT(COUNT),
	    .summary = "what happened lately: peers, links, store, services",
	    .help = "The gateway keeps the last 1024 events of its run.  With "
		    "--follow it goes on\nuntil interrupted, over restarts of "
		    "the gateway too, and --json prints one\nobject a line.",
	    .examples = "  compressnet events --level warning\n"
			"  compressnet events --follow --json",
	    .run = cn_cmd_events },
	{ .group = "doctor",
	    .words = "[PEER]",
	    .words_max = 1,
	    .options = READS | BIT(CONFIG) | BIT(KEY),
	    .summary = "check the set-up, and say what mends it",
	    .help = "Configuration, key, buffers of the kernel, the gateway, "
		    "its store, and of\n"
		    "each peer (or of one) whether it is up and if not how far "
		    "the way there\n"
		    "goes; services, and whether the targets of offers accept "
		    "connections: those\n"
		    "are connected to from here.  Exit code 5 when something "
		    "is not right.",
	    .examples = "  compressnet doctor\n"
			"  compressnet doctor tokyo --json | jq .checks",
	    .run = cn_cmd_doctor },
	{ .group = "probe",
	    .words = "PEER",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS | BIT(SECONDS),
	    .summary = "round trips and throughput of the path to a peer",
	    .help = "Measured through both gateways, over the carriers that "
		    "are there: messages\n"
		    "of 64 bytes one at a time, then random bytes each way, "
		    "which nothing makes\n"
		    "smaller, then lines of a log.  Traffic of others shares "
		    "the path.",
	    .examples = "  compressnet probe tokyo\n"
			"  compressnet probe tokyo --seconds 10 --json",
	    .run = cn_cmd_probe },
	{ .group = "verify",
	    .words = "PEER",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS | BIT(SIZE),
	    .summary = "a live ledger of bytes over the links to a peer",
	    .help = "Streams of random bytes, text, both mixed, and small "
		    "messages run at once\n"
		    "to an echo at the peer, twice; every byte that comes back "
		    "is compared, and\n"
		    "the end must come after the last.  --size is of each "
		    "stream (8MiB); text\n"
		    "and mixed go through the store.  Exit code 5 when a byte "
		    "was wrong or\n"
		    "missing, 1 when a stream broke.",
	    .examples = "  compressnet verify tokyo\n"
			"  compressnet verify tokyo --size 1GiB",
	    .run = cn_cmd_verify },
	{ .group = "config",
	    .verb = "check",
	    .words = "[FILE]",
	    .words_max = 1,
	    .options = BIT(CONFIG) | BIT(JSON),
	    .summary = "look for errors in a configuration",
	    .help =
		"Reads the file and conf.d beside it as compressnetd would, "
		"and tells all\nerrors at once, each with its line.  Exit "
		"code 3 when there are any.",
	    .examples = "  compressnet config check ./compressnet.yaml",
	    .run = cn_cmd_config_check },
	{ .group = "config",
	    .verb = "show",
	    .words = "",
	    .options = READS | BIT(CONFIG),
	    .summary = "the effective configuration, defaults included",
	    .help = "Of the running gateway; with --config of a file, and "
		    "no gateway is asked.",
	    .examples = "  compressnet config show\n"
			"  compressnet config show -c ./compressnet.yaml",
	    .run = cn_cmd_config_show },
	{ .group = "config",
	    .verb = "diff",
	    .words = "",
	    .options = READS,
	    .summary = "how the files differ from what is in force",
	    .help = "What `config reload' would change, and what only a "
		    "restart.  Exit code 5 when\nthere is any difference, 3 "
		    "when the files have errors.",
	    .examples = "  compressnet config diff",
	    .run = cn_cmd_config_diff },
	{ .group = "config",
	    .verb = "init",
	    .words = "",
	    .options = BIT(CONFIG) | BIT(KEY) | BIT(NAME) | BIT(LISTEN),
	    .summary = "write a first configuration, and make the key",
	    .help = "A file to be edited by hand, with the gateway's name and, "
		    "with --listen, where\npeers reach it; and the key, "
		    "unless there is one.  Nothing that is there is\n"
		    "overwritten.  Prints the identity.",
	    .examples = "  compressnet config init\n"
			"  compressnet config init --name tokyo --listen "
			"0.0.0.0:3",
	    .run = cn_cmd_config_init },
	{ .group = "config",
	    .verb = "schema",
	    .words = "",
	    .options = BIT(MARKDOWN),
	    .summary = "every key, as JSON Schema for editors",
	    .help = "",
	    .examples = "  compressnet config schema > compressnet.schema.json",
	    .run = cn_cmd_config_schema },
	{ .group = "config",
	    .verb = "reload",
	    .words = "",
	    .options = READS,
	    .summary = "have the gateway read its files again",
	    .help = "Running connections stay.  A configuration with errors "
		    "changes nothing: the\nerrors are shown and the exit code "
		    "is 3.",
	    .examples = "  compressnet config check && compressnet config "
			"reload",
	    .run = cn_cmd_config_reload },
	{ .group = "key",
	    .verb = "gen",
	    .words = "",
	    .options = BIT(KEY) | BIT(CONFIG) | BIT(FORCE) | BIT(JSON),
	    .summary = "make this gateway's private key",
	    .help = "Writes an Ed25519 key that only its owner can read and "
		    "prints the identity,\nwhich peers put into their "
		    "configuration.",
	    .examples = "  compressnet key gen --key ./identity.key",
	    .run = cn_cmd_key_gen },
	{ .group = "key",
	    .verb = "show",
	    .words = "",
	    .options = BIT(KEY) | BIT(CONFIG) | BIT(JSON),
	    .summary = "the identity of this gateway, for its peers",
	    .help = "",
	    .examples = "  compressnet key show",
	    .run = cn_cmd_key_show },
	{ .group = "store",
	    .verb = "status",
	    .is_default = true,
	    .words = "",
	    .options = READS,
	    .summary = "what crossed before: sizes, age, hits",
	    .help = "The store holds, in memory and on disk, bytes that "
		    "crossed the WAN; what is\nin the stores of both sides "
		    "crosses as references only.",
	    .examples = "  compressnet store\n"
			"  compressnet store status --json | jq .copied",
	    .run = cn_cmd_store_status },
	{ .group = "store",
	    .verb = "verify",
	    .words = "",
	    .options = READS,
	    .summary = "read and check all of the store",
	    .help = "What is damaged is taken out of the store.  Exit code 5 "
		    "when there was any.\nTraffic goes on meanwhile.",
	    .examples = "  compressnet store verify",
	    .run = cn_cmd_store_verify },
	{ .group = "store",
	    .verb = "trim",
	    .words = "SIZE",
	    .words_min = 1,
	    .words_max = 1,
	    .options = ASKS,
	    .summary = "give up the oldest, down to a size",
	    .help = "The store may grow again to its configured size.",
	    .examples = "  compressnet store trim 1GiB",
	    .run = cn_cmd_store_trim },
	{ .group = "store",
	    .verb = "clear",
	    .words = "",
	    .options = ASKS,
	    .summary = "give up all of the store",
	    .help = "Nothing breaks; the next pass over the same data crosses "
		    "the WAN again.",
	    .examples = "  compressnet store clear",
	    .run = cn_cmd_store_clear },
	{ .group = "store",
	    .verb = "export",
	    .words = "FILE",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS | BIT(KEY_FILE) | BIT(FORCE),
	    .summary = "write the store to a file, to carry it elsewhere",
	    .help = "The file is sealed with the key of --key-file (see store "
		    "key), which the far\nside needs to import it.  \"-\" is "
		    "standard output.  What is being filled right\nnow, a few "
		    "MiB of each peer at most, is left out.",
	    .examples = "  compressnet store key ./carry.key\n"
			"  compressnet store export ./store.cnx --key-file "
			"./carry.key",
	    .run = cn_cmd_store_export },
	{ .group = "store",
	    .verb = "import",
	    .words = "FILE",
	    .words_min = 1,
	    .words_max = 1,
	    .options = READS | BIT(KEY_FILE),
	    .summary = "take an export of the peer's store in",
	    .help = "Of an export of a peer only what it shares with this "
		    "gateway is of use here.\nA gateway may also import what "
		    "it exported itself.  \"-\" is standard input.",
	    .examples = "  compressnet store import ./store.cnx --key-file "
			"./carry.key",
	    .run = cn_cmd_store_import },
	{ .group = "store",
	    .verb = "warm",
	    .words = "SERVICE FILE|DIR...",
	    .words_min = 2,
	    .words_max = CN_ARGS_WORDS_MAX,
	    .options = READS | BIT(CLIENT) | BIT(QUIET),
	    .summary = "push files to the peer's store, ahead of need",
	    .help = "What is sent over that service later goes as "
		    "references to it, either way.\nAll else that is to be "
		    "sent to the peer goes first, and the far side connects\n"
		    "to nothing.  Of directories all regular files are read, "
		    "sorted by name;\nsymbolic links in them are left alone.  "
		    "Exit code 1 when something could not\nbe read.",
	    .examples = "  compressnet store warm web /srv/www\n"
			"  compressnet store warm files --client 192.0.2.7 "
			"./image.iso",
	    .run = cn_cmd_store_warm },
	{ .group = "store",
	    .verb = "key",
	    .words = "FILE",
	    .words_min = 1,
	    .words_max = 1,
	    .options = 0,
	    .summary = "make a key for exports",
	    .help = "32 random bytes in a file that only its owner can read.",
	    .examples = "  compressnet store key ./carry.key",
	    .run = cn_cmd_store_key },
	{ .group = "estimate",
	    .words = "FILE|DIR|PCAP...",
	    .words_min = 1,
	    .words_max = CN_ARGS_WORDS_MAX,
	    .options = BIT(JSON) | BIT(PROFILE) | BIT(LEVELS) | BIT(PRICE) |
		BIT(RATE) | BIT(DELAY) | BIT(LIMIT),
	    .summary = "what would be saved, of files or of a capture",
	    .help = "Sends them through two gateways within this program, "
		    "with a line of --rate and\n--delay between them, once "
		    "and then once more.  No gateway has to run.\nCaptures "
		    "(pcap, pcapng) are put together again, and told by "
		    "server port.\nEnded by Ctrl-C it tells what it found "
		    "until then; the exit code is 1 then,\nand where "
		    "something could not be read.",
	    .examples = "  compressnet estimate /var/log --price 0.09/GB\n"
			"  tcpdump -i eth0 -w /tmp/day.pcap tcp\n"
			"  compressnet estimate /tmp/day.pcap --json",
	    .run = cn_cmd_estimate },
	{ .group = "ports",
	    .words = "[HOST] [PORT...]",
	    .words_max = 64,
	    .options = READS | BIT(CONFIG) | BIT(NFT),
	    .summary = "who listens on 2 and 3, and should they?",
	    .help = "Every listener on the ports here, TCP and UDP, with its "
		    "process, and what the\nregistry says of them; or what "
		    "answers there on a host, which proves itself by\nthe "
		    "identity of a configured peer.  On 2 and 3 nothing but "
		    "CompressNET\nbelongs: exit code 5 when another listens "
		    "there.",
	    .examples = "  compressnet ports\n"
			"  compressnet ports 2 3 5432\n"
			"  compressnet ports tokyo.example.net\n"
			"  compressnet ports --nft | nft -f -",
	    .run = cn_cmd_ports },
	{ .group = "serve",
	    .words = "",
	    .options = ASKS | BIT(CONFIG) | BIT(LISTEN) | BIT(PLAIN) |
		BIT(OPENAPI) | BIT(METRICS),
	    .summary = "the HTTP API, dashboard and metrics on TCP 2",
	    .help = "Stays in the foreground and logs to standard error.  On "
		    "loopback it speaks\nHTTP, on any other address HTTPS.  "
		    "The tokens of the API are in api.token and\n"
		    "api-read.token of the state folder, made at the first "
		    "start.  SIGHUP reads\nthem, the certificate and the "
		    "names again; SIGTERM ends it.",
	    .examples = "  compressnet serve\n"
			"  compressnet serve --listen 127.0.0.1:8002\n"
			"  compressnet serve --openapi >openapi.json",
	    .run = cn_cmd_serve },
	{ .group = "dashboard",
	    .words = "",
	    .options = BIT(CONFIG) | BIT(LISTEN),
	    .summary = "an address that opens the dashboard, once",
	    .help = "Prints the address of `compressnet serve' with a code "
		    "that works once,\nwithin five minutes.  Run it as the "
		    "user that serve runs as, or as root.",
	    .examples = "  compressnet dashboard",
	    .run = cn_cmd_dashboard },
	{ .group = "support-bundle",
	    .words = "[FILE]",
	    .words_max = 1,
	    .options = ASKS | BIT(CONFIG) | BIT(FORCE),
	    .summary = "what a developer needs to see, in one file",
	    .help = "A compressed archive, readable by its owner alone: "
		    "what the gateway says of\nitself, its effective "
		    "configuration and what is wrong with it, limits and\n"
		    "settings of the host.  No keys, and nothing that "
		    "applications sent; names and\naddresses are in it.  "
		    "Works without a running gateway too: the manifest "
		    "says\nwhat is not there.",
	    .examples = "  compressnet support-bundle\n"
			"  compressnet support-bundle /tmp/support.tar.gz "
			"--force",
	    .run = cn_cmd_support_bundle },
	{ .group = "demo",
	    .words = "",
	    .options =
		BIT(RATE) | BIT(DELAY) | BIT(SIZE) | BIT(KEEP) | BIT(JSON),
	    .summary = "two gateways over an emulated WAN, here and now",
	    .help = "Starts two real compressnetd on loopback with a slow link "
		    "between them, sends\nfiles of this machine and a log "
		    "stream through the pair and then over the bare\nlink, "
		    "checks every byte, and shows what crossed the WAN.  Needs "
		    "neither root\nnor configuration, uses no port below 1024, "
		    "ends within a minute and leaves\nnothing behind.",
	    .examples = "  compressnet demo\n"
			"  compressnet demo --rate 5mbit --delay 150ms",
	    .run = cn_cmd_demo },
	{ .group = "completion",
	    .words = "SHELL",
	    .words_min = 1,
	    .words_max = 1,
	    .options = 0,
	    .summary = "completion for bash, zsh or fish",
	    .help = "",
	    .examples = "  source <(compressnet completion bash)",
	    .choices = "bash zsh fish",
	    .run = cn_cmd_completion },
	{ .group = "version",
	    .words = "",
	    .options = READS,
	    .summary = "of this program and of the gateway, if one answers",
	    .help = "",
	    .examples = "",
	    .run = cn_cmd_version },
	{ .group = "help",
	    .words = "[COMMAND...]",
	    .words_max = 2,
	    .options = BIT(MARKDOWN),
	    .summary = "what the commands do",
	    .help = "With --markdown the reference of all commands.",
	    .examples = "",
	    .run = cn_cmd_help },
};

const size_t cn_cli_commands_count = CN_ARRAY_LEN(cn_cli_commands);
