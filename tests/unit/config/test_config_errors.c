/* SPDX-License-Identifier: Apache-2.0 */

/* Bad configurations: each class of error, with the whole of what is said. */

#include <stdio.h>

#include "config_helper.h"

static void
test_syntax(void **state)
{
	(void)state;
	must_fail("gateway:\n\tname: lima\n",
	    "a.yaml:2:1: error: tab character may not be used as "
	    "indentation; indent with spaces\n"
	    "    2 | \tname: lima\n"
	    "      | ^\n");
	must_fail("gateway:\n  name: lima\n listen: x\n",
	    "a.yaml:3:2: error: invalid indentation in mapping\n"
	    "    3 |  listen: x\n"
	    "      |  ^~~~~~\n");
	must_fail("gateway: {name: a: b}\n",
	    "a.yaml:1:18: error: missing comma in flow mapping\n"
	    "    1 | gateway: {name: a: b}\n"
	    "      |                  ^\n");
	must_fail("gateway: {name: \"lima}\n",
	    "a.yaml:1:18: error: double-quoted scalar without closing quote\n"
	    "    1 | gateway: {name: \"lima}\n"
	    "      |                  ^~~~\n");
}

/* What YAML has and a configuration has not. */
static void
test_refused_yaml(void **state)
{
	(void)state;
	must_fail("gateway: &g {name: lima}\n",
	    "a.yaml:1:13: error: anchors (&) are not used here; write the "
	    "value out in each place\n"
	    "    1 | gateway: &g {name: lima}\n"
	    "      |             ^\n");
	must_fail("gateway: *g\n",
	    "a.yaml:1:11: error: aliases (*) are not used here; write the "
	    "value out, or quote it if it is a text\n"
	    "    1 | gateway: *g\n"
	    "      |           ^\n");
	must_fail("gateway: !!map {name: lima}\n",
	    "a.yaml:1:16: error: tags (!) are not used here\n"
	    "    1 | gateway: !!map {name: lima}\n"
	    "      |                ^\n");
	must_fail("%YAML 1.1\n---\ngateway: {name: lima}\n",
	    "a.yaml:1:1: error: directives (%) are not used here\n"
	    "    1 | %YAML 1.1\n"
	    "      | ^~~~~\n");
	must_fail("gateway: {name: lima}\n---\nlog: {}\n",
	    "a.yaml:2:1: error: one file holds one document: a second --- is "
	    "not allowed\n"
	    "    2 | ---\n"
	    "      | ^~~\n");
	must_fail("? [a, b]\n: c\n",
	    "a.yaml:1:3: error: a key must be a plain word; quote values "
	    "that hold brackets, such as \"[::]:3\"\n"
	    "    1 | ? [a, b]\n"
	    "      |   ^\n");
	must_fail("<<: {name: lima}\ngateway: {name: lima}\n",
	    "a.yaml:1:1: error: unknown key '<<'\n"
	    "    1 | <<: {name: lima}\n"
	    "      | ^~\n");
}

static void
test_bytes(void **state)
{
	static char binary[] = "gateway: {name: \0lima}\n";
	struct cn_config_text text = { "a.yaml", binary, sizeof(binary) - 1 };

	(void)state;
	must_fail_all(&text, 1,
	    "a.yaml:1:17: error: a control character is not allowed here\n"
	    "    1 | gateway: {name: ?lima}\n"
	    "      |                 ^\n");
	/* A control character of the second kind, two bytes in UTF-8. */
	must_fail("gateway: {name: li\xc2\x9bma}\n",
	    "a.yaml:1:19: error: a control character is not allowed here\n"
	    "    1 | gateway: {name: li?ma}\n"
	    "      |                   ^~~\n");
	must_fail("# caf\xe9\n",
	    "a.yaml:1:6: error: this is not text in UTF-8\n"
	    "    1 | # caf?\n"
	    "      |      ^\n");
	/* Too long a form of a slash; a surrogate; beyond Unicode. */
	must_fail("\xc0\xaf",
	    "a.yaml:1:1: error: this is not text in UTF-8\n"
	    "    1 | ??\n"
	    "      | ^\n");
	must_fail("gateway: {name: \"l\\u001bm\"}\n",
	    "a.yaml:1:17: error: a value must be one line without control "
	    "characters\n"
	    "    1 | gateway: {name: \"l\\u001bm\"}\n"
	    "      |                 ^~~~~~~~~~\n");
	must_fail("gateway: >\n  ",
	    "a.yaml:2:1: error: this value cannot be read; remove the blanks "
	    "at the end of the file\n"
	    "    2 |   \n"
	    "      | ^\n");
}

static void
test_shape(void **state)
{
	(void)state;
	must_fail("",
	    "a.yaml: error: gateway.name is missing; such as "
	    "'name: london'\n");
	must_fail("- gateway\n",
	    "a.yaml:1:1: error: a configuration is a section of keys, not a "
	    "list\n"
	    "    1 | - gateway\n"
	    "      | ^\n");
	must_fail("gateway\n",
	    "a.yaml:1:1: error: a configuration is a section of keys, not a "
	    "single value\n"
	    "    1 | gateway\n"
	    "      | ^~~~~~~\n");
	must_fail("gateway: lima\npeers: [tokyo]\nservices: {db: 5432}\n",
	    "a.yaml:1:10: error: gateway: a section is expected here, not a "
	    "single value\n"
	    "    1 | gateway: lima\n"
	    "      |          ^~~~\n"
	    "a.yaml:1:10: error: gateway.name is missing; such as "
	    "'name: london'\n"
	    "    1 | gateway: lima\n"
	    "      |          ^~~~\n"
	    "a.yaml:2:8: error: peers: a section is expected here, not a "
	    "list\n"
	    "    2 | peers: [tokyo]\n"
	    "      |        ^\n"
	    "a.yaml:3:16: error: services.db: a section is expected here, "
	    "not a single value\n"
	    "    3 | services: {db: 5432}\n"
	    "      |                ^~~~\n");
	must_fail("gateway: {name: [lima], key: }\nworkers: {}\n",
	    "a.yaml:1:17: error: gateway.name: a single value is expected "
	    "here, not a list\n"
	    "    1 | gateway: {name: [lima], key: }\n"
	    "      |                 ^\n"
	    "a.yaml:1:25: error: gateway.key has no value; write one, or "
	    "leave the key out\n"
	    "    1 | gateway: {name: [lima], key: }\n"
	    "      |                         ^~~\n"
	    "a.yaml:2:10: error: workers: a single value is expected here, "
	    "not a section\n"
	    "    2 | workers: {}\n"
	    "      |          ^\n");
}

static void
test_keys(void **state)
{
	(void)state;
	must_fail("gateway: {name: lima, Name: x}\nprice: {}\nlogs: {}\n",
	    "a.yaml:1:23: error: unknown key 'Name' in gateway; did you mean "
	    "'name'?\n"
	    "    1 | gateway: {name: lima, Name: x}\n"
	    "      |                       ^~~~\n"
	    "a.yaml:2:1: error: unknown key 'price'\n"
	    "    2 | price: {}\n"
	    "      | ^~~~~\n"
	    "a.yaml:3:1: error: unknown key 'logs'; did you mean 'log'?\n"
	    "    3 | logs: {}\n"
	    "      | ^~~~\n");
	must_fail("gateway:\n  name: a\n  name: b\ngateway: {}\n",
	    "a.yaml:3:3: error: gateway.name is given twice; it stands in "
	    "line 2 already\n"
	    "    3 |   name: b\n"
	    "      |   ^~~~\n"
	    "a.yaml:4:1: error: gateway is given twice; it stands in line 1 "
	    "already\n"
	    "    4 | gateway: {}\n"
	    "      | ^~~~~~~\n");
	must_fail(HEAD "services: {a: {}}\n",
	    "a.yaml:3:12: error: services.a.listen is missing; such as "
	    "'listen: \"127.0.0.1:5432\"'\n"
	    "    3 | services: {a: {}}\n"
	    "      |            ^\n"
	    "a.yaml:3:12: error: services.a.peer is missing; such as "
	    "'peer: tokyo'\n"
	    "    3 | services: {a: {}}\n"
	    "      |            ^\n");
	must_fail(HEAD "offers: {a b: {}, -c: {}}\n",
	    "a.yaml:3:10: error: 'a b' cannot name an offer; a name is a "
	    "letter or digit, then letters, digits, '.', '-' or '_', 63 at "
	    "most\n"
	    "    3 | offers: {a b: {}, -c: {}}\n"
	    "      |          ^\n"
	    "a.yaml:3:19: error: '-c' cannot name an offer; a name is a "
	    "letter or digit, then letters, digits, '.', '-' or '_', 63 at "
	    "most\n"
	    "    3 | offers: {a b: {}, -c: {}}\n"
	    "      |                   ^~\n");
}

/* Not one of the values of the sample is right. */
static void
test_values(void **state)
{
	(void)state;
	must_fail("gateway: {name: a/b, key: key.pem}\n"
		  "workers: two\n"
		  "resume_window: 60\n"
		  "memory: {limit: 1MB}\n"
		  "carrier: {congestion: b b, redial_max: 1w}\n"
		  "limits: {window: 65MiB}\n"
		  "log: {level: loud}\n",
	    "a.yaml:1:17: error: gateway.name: 'a/b' is not a name; a name "
	    "is a letter or digit, then letters, digits, '.', '-' or '_', 63 "
	    "at most\n"
	    "    1 | gateway: {name: a/b, key: key.pem}\n"
	    "      |                 ^~~\n"
	    "a.yaml:1:27: error: gateway.key: 'key.pem' is not a path; write "
	    "a whole path, from '/' on\n"
	    "    1 | gateway: {name: a/b, key: key.pem}\n"
	    "      |                           ^~~~~~~\n"
	    "a.yaml:2:10: error: workers: 'two' is not a number; write a "
	    "whole number, such as 4\n"
	    "    2 | workers: two\n"
	    "      |          ^~~\n"
	    "a.yaml:3:16: error: resume_window: '60' is not a duration; "
	    "write a whole number and a unit (us, ms, s, m, h, d), such as "
	    "5ms or 60s\n"
	    "    3 | resume_window: 60\n"
	    "      |                ^~\n"
	    "a.yaml:4:17: error: memory.limit: 1MB is out of range; from "
	    "16MiB to 1TiB\n"
	    "    4 | memory: {limit: 1MB}\n"
	    "      |                 ^~~\n"
	    "a.yaml:5:23: error: carrier.congestion: 'b b' is not a word; "
	    "write one word of letters, digits, '-' or '_'\n"
	    "    5 | carrier: {congestion: b b, redial_max: 1w}\n"
	    "      |                       ^\n"
	    "a.yaml:5:40: error: carrier.redial_max: '1w' is not a duration; "
	    "write a whole number and a unit (us, ms, s, m, h, d), such as "
	    "5ms or 60s\n"
	    "    5 | carrier: {congestion: b b, redial_max: 1w}\n"
	    "      |                                        ^~\n"
	    "a.yaml:6:18: error: limits.window: 65MiB is out of range; from "
	    "64KiB to 64MiB\n"
	    "    6 | limits: {window: 65MiB}\n"
	    "      |                  ^~~~~\n"
	    "a.yaml:7:14: error: log.level: 'loud' is not a value for this "
	    "key; one of error, warn, info, debug\n"
	    "    7 | log: {level: loud}\n"
	    "      |              ^~~~\n");
	must_fail(HEAD
	    "services:\n"
	    "  a: {listen: 127.0.0.1:1, peer: tokyo, scope: clinet,\n"
	    "      allow_unix_eof: yes, level: 3-5}\n",
	    "a.yaml:4:48: error: services.a.scope: 'clinet' is not a value "
	    "for this key; did you mean 'client'?\n"
	    "    4 |   a: {listen: 127.0.0.1:1, peer: tokyo, scope: clinet,\n"
	    "      |                                                ^~~~~~\n"
	    "a.yaml:5:23: error: services.a.allow_unix_eof: 'yes' is not a "
	    "truth value; write true or false\n"
	    "    5 |       allow_unix_eof: yes, level: 3-5}\n"
	    "      |                       ^~~\n"
	    "a.yaml:5:35: error: services.a.level: '3-5' is not a level or "
	    "range; write one level of zstd, such as 3, or a range, such as "
	    "1..9, within 1 to 15\n"
	    "    5 |       allow_unix_eof: yes, level: 3-5}\n"
	    "      |                                   ^~~\n");
	must_fail("gateway: {name: lima, listen: \"*\"}\n"
		  "peers: {tokyo: {identity: CN7Q-, carriers: 9}}\n",
	    "a.yaml:2:27: error: peers.tokyo.identity: 'CN7Q-' is not an "
	    "identity; write what `compressnet key show` prints on the peer\n"
	    "    2 | peers: {tokyo: {identity: CN7Q-, carriers: 9}}\n"
	    "      |                           ^~~~~\n"
	    "a.yaml:2:44: error: peers.tokyo.carriers: 9 is out of range; "
	    "from 1 to 8\n"
	    "    2 | peers: {tokyo: {identity: CN7Q-, carriers: 9}}\n"
	    "      |                                            ^\n");
}

static void
test_addresses(void **state)
{
	(void)state;
	must_fail("gateway: {name: lima, listen: [::1:3, \"unix:/x\"]}\n",
	    "a.yaml:1:32: error: gateway.listen: '::1:3' is not an address; "
	    "put an address of IPv6 into brackets, such as "
	    "\"[2001:db8::1]:443\"\n"
	    "    1 | gateway: {name: lima, listen: [::1:3, \"unix:/x\"]}\n"
	    "      |                                ^~~~~\n"
	    "a.yaml:1:39: error: gateway.listen: 'unix:/x' is not an "
	    "address; a Unix socket cannot carry this; write an address of "
	    "TCP\n"
	    "    1 | gateway: {name: lima, listen: [::1:3, \"unix:/x\"]}\n"
	    "      |                                       ^~~~~~~~~\n");
	must_fail("gateway: {name: lima, listen: []}\n",
	    "a.yaml:1:31: error: gateway.listen: the list is empty\n"
	    "    1 | gateway: {name: lima, listen: []}\n"
	    "      |                               ^\n");
	must_fail("gateway: {name: lima, listen: [[::1]]}\n",
	    "a.yaml:1:32: error: gateway.listen: a single value is expected "
	    "here, not a list; quote values that hold brackets, such as "
	    "\"[::]:3\"\n"
	    "    1 | gateway: {name: lima, listen: [[::1]]}\n"
	    "      |                                ^\n");
	must_fail(HEAD "services: {a: {listen: localhost:5, peer: tokyo}}\n",
	    "a.yaml:3:24: error: services.a.listen: 'localhost:5' is not an "
	    "address; to listen, write the address itself, such as "
	    "127.0.0.1:5432, or '*' for every one\n"
	    "    3 | services: {a: {listen: localhost:5, peer: tokyo}}\n"
	    "      |                        ^~~~~~~~~~~\n");
}

static void
test_cross(void **state)
{
	(void)state;
	must_fail(HEAD
	    "services:\n"
	    "  a: {listen: 127.0.0.1:1, peer: tokio, profile: min-latncy}\n"
	    "  b: {listen: 127.0.0.1:2, peer: paris, profile: slow}\n"
	    "offers: {c: {to: x:1, peers: [tokyo, paris, tokyo]}}\n",
	    "a.yaml:4:34: error: services.a.peer: there is no peer 'tokio'; "
	    "did you mean 'tokyo'?\n"
	    "    4 |   a: {listen: 127.0.0.1:1, peer: tokio, profile: "
	    "min-latncy}\n"
	    "      |                                  ^~~~~\n"
	    "a.yaml:4:50: error: services.a.profile: there is no profile "
	    "'min-latncy'; did you mean 'min-latency'?\n"
	    "    4 |   a: {listen: 127.0.0.1:1, peer: tokio, profile: "
	    "min-latncy}\n"
	    "      |                                                  "
	    "^~~~~~~~~~\n"
	    "a.yaml:5:34: error: services.b.peer: there is no peer 'paris'; "
	    "add it under peers\n"
	    "    5 |   b: {listen: 127.0.0.1:2, peer: paris, profile: slow}\n"
	    "      |                                  ^~~~~\n"
	    "a.yaml:5:50: error: services.b.profile: there is no profile "
	    "'slow'; add it under profiles\n"
	    "    5 |   b: {listen: 127.0.0.1:2, peer: paris, profile: slow}\n"
	    "      |                                                  ^~~~\n"
	    "a.yaml:6:38: error: offers.c.peers: there is no peer 'paris'; "
	    "add it under peers\n"
	    "    6 | offers: {c: {to: x:1, peers: [tokyo, paris, tokyo]}}\n"
	    "      |                                      ^~~~~\n"
	    "a.yaml:6:45: error: offers.c.peers: 'tokyo' is given twice\n"
	    "    6 | offers: {c: {to: x:1, peers: [tokyo, paris, tokyo]}}\n"
	    "      |                                             ^~~~~\n");
	must_fail("gateway: {name: lima}\n"
		  "peers:\n"
		  "  tokyo: {identity: " TOKYO "}\n",
	    "a.yaml:3:3: error: peers.tokyo: neither side can dial the "
	    "other; give the peer an address, or set gateway.listen\n"
	    "    3 |   tokyo: {identity: " TOKYO "}\n"
	    "      |   ^~~~~\n");
	/* The same identity, however it is written. */
	must_fail("gateway: {name: lima, listen: \"*:3\"}\n"
		  "peers:\n"
		  "  b:\n"
		  "    identity: ock3vxyeffhhhgf54idsyulwtpvh-"
		  "AOKC-RPKR-4Z5Q-7IBU-ZFO7-FBY3-VQPJ\n"
		  "  a:\n"
		  "    identity: " TOKYO "\n",
	    "a.yaml:4:15: error: peers.b.identity: peer 'a' has the same "
	    "one\n"
	    "    4 |     identity: ock3vxyeffhhhgf54idsyulwtpvh-"
	    "AOKC-RPKR-4Z5Q-7IBU-ZFO7-FBY3-VQPJ\n"
	    "      |               ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~"
	    "~~~~~~~~~~~~~~~~~~~~\n");
}

static void
test_levels(void **state)
{
	(void)state;
	must_fail(HEAD "services:\n"
		       "  a: {listen: 127.0.0.1:1, peer: tokyo, level: 1..12}\n"
		       "  b: {listen: 127.0.0.1:2, peer: tokyo, level: 1, "
		       "profile: off}\n",
	    "a.yaml:4:48: error: services.a.level is outside of profile "
	    "'balanced'; its levels are 1 to 9\n"
	    "    4 |   a: {listen: 127.0.0.1:1, peer: tokyo, level: 1..12}\n"
	    "      |                                                "
	    "^~~~~\n"
	    "a.yaml:5:48: error: services.b.level is outside of profile "
	    "'off'; it compresses nothing\n"
	    "    5 |   b: {listen: 127.0.0.1:2, peer: tokyo, level: 1, "
	    "profile: off}\n"
	    "      |                                                ^\n");
	must_fail("gateway: {name: lima}\n"
		  "profiles:\n"
		  "  balanced: {}\n"
		  "  x: {level_min: 5, level_max: 4}\n"
		  "  y: {level_min: 0}\n"
		  "  z: {coalesce: 21ms, level_max: 16}\n",
	    "a.yaml:3:3: error: profiles.balanced: this profile is built in; "
	    "choose another name\n"
	    "    3 |   balanced: {}\n"
	    "      |   ^~~~~~~~\n"
	    "a.yaml:4:3: error: profiles.x: level_min 5 is above level_max "
	    "4\n"
	    "    4 |   x: {level_min: 5, level_max: 4}\n"
	    "      |   ^\n"
	    "a.yaml:5:3: error: profiles.y: level_min is 0, level_max is "
	    "not; level_min 0 goes with level_max 0, and means that nothing "
	    "is compressed\n"
	    "    5 |   y: {level_min: 0}\n"
	    "      |   ^\n"
	    "a.yaml:6:17: error: profiles.z.coalesce: 21ms is out of range; "
	    "from 0 to 20ms\n"
	    "    6 |   z: {coalesce: 21ms, level_max: 16}\n"
	    "      |                 ^~~~\n"
	    "a.yaml:6:34: error: profiles.z.level_max: 16 is out of range; "
	    "from 0 to 15\n"
	    "    6 |   z: {coalesce: 21ms, level_max: 16}\n"
	    "      |                                  ^~\n");
}

static void
test_store(void **state)
{
	(void)state;
	must_fail("gateway: {name: lima}\n"
		  "store: {path: s, size: 1MiB, memory: 15MiB,\n"
		  "        index: 1, quota: 1000kB}\n",
	    "a.yaml:2:15: error: store.path: 's' is not a path; write a "
	    "whole path, from '/' on\n"
	    "    2 | store: {path: s, size: 1MiB, memory: 15MiB,\n"
	    "      |               ^\n"
	    "a.yaml:2:24: error: store.size: 1MiB is out of range; from "
	    "64MiB to 64TiB\n"
	    "    2 | store: {path: s, size: 1MiB, memory: 15MiB,\n"
	    "      |                        ^~~~\n"
	    "a.yaml:2:38: error: store.memory: 15MiB is out of range; 0, or "
	    "16MiB and more\n"
	    "    2 | store: {path: s, size: 1MiB, memory: 15MiB,\n"
	    "      |                                      ^~~~~\n"
	    "a.yaml:3:16: error: store.index: 1 is out of range; 0, or 1MiB "
	    "and more\n"
	    "    3 |         index: 1, quota: 1000kB}\n"
	    "      |                ^\n"
	    "a.yaml:3:26: error: store.quota: 1000000 is out of range; 0, or "
	    "1MiB and more\n"
	    "    3 |         index: 1, quota: 1000kB}\n"
	    "      |                          ^~~~~~\n");
	must_fail(HEAD
	    "services: {a: {listen: 127.0.0.1:1, peer: tokyo, group: a b}}\n"
	    "profiles: {x: {dedup: on}}\n",
	    "a.yaml:3:57: error: services.a.group: 'a b' is not a name; a "
	    "name is a letter or digit, then letters, digits, '.', '-' or "
	    "'_', 63 at most\n"
	    "    3 | services: {a: {listen: 127.0.0.1:1, peer: tokyo, group: "
	    "a b}}\n"
	    "      |                                                         "
	    "^\n"
	    "a.yaml:4:23: error: profiles.x.dedup: 'on' is not a truth "
	    "value; write true or false\n"
	    "    4 | profiles: {x: {dedup: on}}\n"
	    "      |                       ^~\n");
}

/* What loads, but not without a word. */
static void
test_warnings(void **state)
{
	must_warn(HEAD
	    "services:\n"
	    "  a: {listen: 127.0.0.1:1, peer: tokyo, group: g}\n"
	    "  b: {listen: 127.0.0.1:2, peer: tokyo, group: g, scope: "
	    "connection}\n"
	    "  c: {listen: 127.0.0.1:4, peer: tokyo, group: g, scope: peer}\n"
	    "  d: {listen: 127.0.0.1:5, peer: tokyo, group: g, scope: "
	    "client}\n"
	    "store: {path: /s, memory: 0}\n",
	    "a.yaml:5:48: warning: services.b.group has no effect with scope "
	    "connection; its connections share with nothing\n"
	    "    5 |   b: {listen: 127.0.0.1:2, peer: tokyo, group: g, scope: "
	    "connection}\n"
	    "      |                                                ^\n"
	    "a.yaml:6:48: warning: services.c.group has no effect with scope "
	    "peer; all services of that scope share already\n"
	    "    6 |   c: {listen: 127.0.0.1:4, peer: tokyo, group: g, scope: "
	    "peer}\n"
	    "      |                                                ^\n"
	    "a.yaml:8:15: warning: store.path: there is no store; "
	    "store.memory is 0\n"
	    "    8 | store: {path: /s, memory: 0}\n"
	    "      |               ^~\n");
	(void)state;
}

#define UNIX_TEXT                                                              \
	"on a Unix socket a crash of the gateway looks like a clean end of "   \
	"the stream; if that may be, add 'allow_unix_eof: true'\n"

static void
test_unix(void **state)
{
	(void)state;
	must_fail(HEAD "services: {a: {listen: unix:/run/a, peer: tokyo}}\n"
		       "offers: {b: {to: unix:/run/b, peers: tokyo}}\n",
	    "a.yaml:3:24: error: services.a.listen: " UNIX_TEXT
	    "    3 | services: {a: {listen: unix:/run/a, peer: tokyo}}\n"
	    "      |                        ^~~~~~~~~~~\n"
	    "a.yaml:4:18: error: offers.b.to: " UNIX_TEXT
	    "    4 | offers: {b: {to: unix:/run/b, peers: tokyo}}\n"
	    "      |                  ^~~~~~~~~~~\n");
}

static void
test_listeners(void **state)
{
	(void)state;
	must_fail(HEAD
	    "services:\n"
	    "  a: {listen: 127.0.0.1:80, peer: tokyo}\n"
	    "  b: {listen: [127.0.0.1:81, 127.0.0.1:80], peer: tokyo}\n"
	    "  c: {listen: \"[::1]:80\", peer: tokyo}\n"
	    "  d: {listen: 127.0.0.1:3, peer: tokyo}\n"
	    "  e: {listen: \"*:81\", peer: tokyo}\n"
	    "  f: {listen: [127.0.0.1:0, 127.0.0.1:0], peer: tokyo}\n"
	    "  g: {listen: \"[::]:82\", peer: tokyo}\n"
	    "  h: {listen: 0.0.0.0:82, peer: tokyo}\n",
	    "a.yaml:5:16: error: services.b.listen: 127.0.0.1:81 is taken by "
	    "services.e (a.yaml, line 8)\n"
	    "    5 |   b: {listen: [127.0.0.1:81, 127.0.0.1:80], peer: "
	    "tokyo}\n"
	    "      |                ^~~~~~~~~~~~\n"
	    "a.yaml:5:30: error: services.b.listen: 127.0.0.1:80 is taken by "
	    "services.a (a.yaml, line 4)\n"
	    "    5 |   b: {listen: [127.0.0.1:81, 127.0.0.1:80], peer: "
	    "tokyo}\n"
	    "      |                              ^~~~~~~~~~~~\n"
	    "a.yaml:7:15: error: services.d.listen: 127.0.0.1:3 is taken by "
	    "gateway (a.yaml, line 1)\n"
	    "    7 |   d: {listen: 127.0.0.1:3, peer: tokyo}\n"
	    "      |               ^~~~~~~~~~~\n");
}

/* Two files: what one says twice, and what the other broke. */
static void
test_files_together(void **state)
{
	struct cn_config_text texts[] = {
		text_of("a.yaml",
		    "gateway: {name: lima, listen: \"*:3\"}\n"
		    "workers: 2\n"
		    "peers: {tokyo: {identity: " TOKYO "}}\n"),
		text_of("conf.d/b.yaml",
		    "workers: 3\n"
		    "peers: {tokyo: {identity: " LONDON "}}\n"
		    "log: {levl: info}\n"),
	};

	(void)state;
	must_fail_all(texts, 2,
	    "conf.d/b.yaml:1:1: error: workers is given twice; it stands in "
	    "a.yaml, line 2 already\n"
	    "    1 | workers: 3\n"
	    "      | ^~~~~~~\n"
	    "conf.d/b.yaml:2:9: error: peers.tokyo is given twice; it stands "
	    "in a.yaml, line 3 already\n"
	    "    2 | peers: {tokyo: {identity: " LONDON "}}\n"
	    "      |         ^~~~~\n"
	    "conf.d/b.yaml:3:7: error: unknown key 'levl' in log; did you "
	    "mean 'level'?\n"
	    "    3 | log: {levl: info}\n"
	    "      |       ^~~~\n");
	/* A file that cannot be read hides nothing, and invents nothing. */
	texts[0] = text_of("a.yaml", "gateway: {name: \n");
	texts[1] = text_of("conf.d/b.yaml",
	    "services: {a: {listen: \"*:1\", peer: tokyo, x: 1}}\n");
	must_fail_all(texts, 2,
	    "a.yaml:2:1: error: did not find expected node content; a "
	    "value or a closing bracket is missing before this\n"
	    "    2 | \n"
	    "      | ^\n"
	    "conf.d/b.yaml:1:44: error: unknown key 'x' in services.a\n"
	    "    1 | services: {a: {listen: \"*:1\", peer: tokyo, x: 1}}\n"
	    "      |                                            ^\n");
}

/* ---- limits ---- */

static void
test_depth(void **state)
{
	char text[64];

	(void)state;
	memset(text, '[', 17);
	memset(text + 17, ']', 17);
	text[34] = '\0';
	must_fail(text,
	    "a.yaml:1:17: error: too many levels inside one another\n"
	    "    1 | [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]\n"
	    "      |                 ^\n");
}

static void
must_fail_briefly(char *text, const char *message)
{
	struct cn_config_text source = text_of("a.yaml", text);
	struct cn_config *config = NULL;
	struct cn_diag_list diags;

	cn_diag_init(&diags);
	assert_int_equal(
	    cn_config_parse(&source, 1, &diags, &config), CN_ECONFIG);
	assert_string_equal(diags.item[0].message, message);
	cn_diag_fini(&diags);
}

static void
test_sizes(void **state)
{
	static char text[CN_CONFIG_FILE_MAX + 2];

	(void)state;
	memset(text, '[', 1001);
	must_fail_briefly(text, "too many brackets are open");
	memset(text, ' ', sizeof(text) - 1);
	must_fail_briefly(text, "the file is larger than 1 MiB");
	memset(text, 'a', 5000);
	text[5000] = '\0';
	must_fail_briefly(text, "a value is longer than 4096 bytes");
	for (size_t i = 0; i < 70000; i++) {
		memcpy(text + i * 4, "- a\n", 5);
	}
	must_fail_briefly(text, "too many keys and values in one file");
}

/* More errors than a list keeps: counted, and the caller is told. */
static void
test_many(void **state)
{
	static char text[CN_DIAG_MAX * 32];
	struct cn_config_text source;
	struct cn_config *config = NULL;
	struct cn_diag_list diags;
	size_t len = 0;

	(void)state;
	for (unsigned i = 0; i < CN_DIAG_MAX + 7; i++) {
		len += (size_t)snprintf(
		    text + len, sizeof(text) - len, "unknown%u: 1\n", i);
	}
	source = text_of("a.yaml", text);
	cn_diag_init(&diags);
	assert_int_equal(
	    cn_config_parse(&source, 1, &diags, &config), CN_ECONFIG);
	assert_int_equal(diags.count, CN_DIAG_MAX);
	assert_int_equal(diags.errors, CN_DIAG_MAX + 8); /* and the name */
	assert_int_equal(diags.dropped, 8);
	cn_diag_fini(&diags);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_refused_yaml),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_cross),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_store),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_files_together),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
