/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/rules.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/err.h"
#include "gateway/daemon.h"
#include "gateway/registry.h"
#include "net/addr.h"

/* How an address of ours stands to the one that is meant. */
enum standing {
	STANDS_EQUAL,
	STANDS_ALL, /* ours are all of this host, it is one of them */
	STANDS_OTHER_PORT,
	STANDS_OTHER_HOST,
	STANDS_NOT_HERE,   /* ours are all of this host, it is none */
	STANDS_UNRESOLVED, /* one is a name, the other is none */
	STANDS_UNIX,
};

static bool
is_wildcard(const struct cn_addr *addr)
{
	return addr->kind == CN_ADDR_ANY ||
	    (addr->kind == CN_ADDR_V4 && strcmp(addr->name, "0.0.0.0") == 0) ||
	    (addr->kind == CN_ADDR_V6 && strcmp(addr->name, "::") == 0);
}

/* Same host: by name, or by number. */
static bool
is_same_host(const struct cn_addr *a, const struct cn_addr *b)
{
	struct cn_addr left = *a, right = *b;
	struct cn_sockaddr x, y;

	if (a->kind == CN_ADDR_HOST || b->kind == CN_ADDR_HOST) {
		return a->kind == b->kind && strcasecmp(a->name, b->name) == 0;
	}
	left.port = right.port = 1;
	return cn_addr_to_sockaddr(&left, &x) == CN_OK &&
	    cn_addr_to_sockaddr(&right, &y) == CN_OK &&
	    cn_sockaddr_equal(&x, &y);
}

/* Is it an address of this host?  127.0.0.0/8 all is. */
static bool
is_here(const struct cn_addr *addr)
{
	struct ifaddrs *all, *at;
	struct cn_sockaddr mine, theirs;
	bool is_found =
	    addr->kind == CN_ADDR_V4 && strncmp(addr->name, "127.", 4) == 0;

	if (is_found || cn_addr_to_sockaddr(addr, &theirs) != CN_OK ||
	    getifaddrs(&all) != 0) {
		return is_found;
	}
	for (at = all; at != NULL && !is_found; at = at->ifa_next) {
		memset(&mine, 0, sizeof(mine));
		if (at->ifa_addr != NULL &&
		    at->ifa_addr->sa_family == AF_INET) {
			mine.len = sizeof(mine.u.v4);
			memcpy(&mine.u.v4, at->ifa_addr, mine.len);
			mine.u.v4.sin_port = htons(addr->port);
			is_found = cn_sockaddr_equal(&mine, &theirs);
		} else if (at->ifa_addr != NULL &&
		    at->ifa_addr->sa_family == AF_INET6) {
			mine.len = sizeof(mine.u.v6);
			memcpy(&mine.u.v6, at->ifa_addr, mine.len);
			mine.u.v6.sin6_port = htons(addr->port);
			is_found = cn_sockaddr_equal(&mine, &theirs);
		}
	}
	freeifaddrs(all);
	return is_found;
}

/* "localhost" is what every system takes it for. */
static struct cn_addr
as_number(const struct cn_addr *addr, enum cn_addr_kind kind)
{
	struct cn_addr number = *addr;

	if (addr->kind == CN_ADDR_HOST &&
	    strcasecmp(addr->name, "localhost") == 0) {
		number.kind = kind == CN_ADDR_V6 ? CN_ADDR_V6 : CN_ADDR_V4;
		cn_snap_text(number.name, sizeof(number.name),
		    kind == CN_ADDR_V6 ? "::1" : "127.0.0.1");
	}
	return number;
}

static enum standing
compare(const struct cn_addr *ours, const struct cn_addr *meant)
{
	struct cn_addr number = as_number(meant, ours->kind);
	bool is_name = number.kind == CN_ADDR_HOST;

	if (ours->kind == CN_ADDR_UNIX) {
		return STANDS_UNIX;
	}
	if (ours->port != meant->port) {
		return STANDS_OTHER_PORT;
	}
	if (is_wildcard(ours)) {
		return is_name         ? STANDS_UNRESOLVED
		    : is_here(&number) ? STANDS_ALL
				       : STANDS_NOT_HERE;
	}
	if (is_same_host(ours, meant) || is_same_host(ours, &number)) {
		return STANDS_EQUAL;
	}
	return is_name == (ours->kind == CN_ADDR_HOST) ? STANDS_OTHER_HOST
						       : STANDS_UNRESOLVED;
}

static bool
is_match(enum standing standing)
{
	return standing == STANDS_EQUAL || standing == STANDS_ALL;
}

static const char *
text_of(enum standing standing)
{
	switch (standing) {
	case STANDS_EQUAL:
		return "the address is the same";
	case STANDS_ALL:
		return "it takes all addresses of this host, and that is one";
	case STANDS_OTHER_PORT:
		return "another port";
	case STANDS_OTHER_HOST:
		return "another host";
	case STANDS_NOT_HERE:
		return "it takes all addresses of this host, and that is none";
	case STANDS_UNRESOLVED:
		return "one is a name and the other is none; names are not "
		       "resolved here";
	case STANDS_UNIX:
		return "a Unix socket";
	}
	return "";
}

static void
append_name(char *out, size_t cap, const char *name)
{
	size_t len = strlen(out);

	(void)snprintf(out + len, cap - len, "%s%s", len > 0 ? "," : "", name);
}

/* The best of its addresses tells. */
static enum standing
standing_of(const struct cn_plan_service *service, const struct cn_addr *meant)
{
	enum standing best = STANDS_UNIX;

	for (size_t i = 0; i < service->inlets_count; i++) {
		enum standing one = compare(&service->inlets[i]->addr, meant);

		if (is_match(one)) {
			return one;
		}
		best = i == 0 || best == STANDS_OTHER_PORT ? one : best;
	}
	return best;
}

static void
test_service(struct cn_daemon *daemon, const struct cn_plan_service *service,
    const struct cn_addr *meant, struct cn_snap_rule *ret)
{
	const struct cn_config_service *config = service->config;
	enum standing standing = standing_of(service, meant);
	struct cn_registry_peer_info info;

	cn_snap_text(ret->kind, sizeof(ret->kind), "service");
	cn_snap_text(ret->name, sizeof(ret->name), config->entry.name);
	for (size_t i = 0; i < config->listen.count; i++) {
		append_name(ret->address, sizeof(ret->address),
		    config->listen.item[i].text);
	}
	cn_snap_text(ret->peers, sizeof(ret->peers), config->peer);
	ret->is_match = is_match(standing);
	(void)snprintf(ret->text, sizeof(ret->text), "%s", text_of(standing));
	if (ret->is_match) {
		bool is_up = cn_registry_peer_info(daemon->shared.registry,
				 service->peer->identity, &info) &&
		    info.links_up > 0;

		(void)snprintf(ret->text, sizeof(ret->text),
		    "%s: goes to the offer %s of %s%s", text_of(standing),
		    config->offer, config->peer,
		    is_up ? "" : ", to which no carrier is up");
	}
}

static void
test_offer(const struct cn_plan_offer *offer, const struct cn_addr *meant,
    struct cn_snap_rule *ret)
{
	const struct cn_config_offer *config = offer->config;
	enum standing standing = compare(&offer->to, meant);

	cn_snap_text(ret->kind, sizeof(ret->kind), "offer");
	cn_snap_text(ret->name, sizeof(ret->name), config->entry.name);
	cn_snap_text(ret->address, sizeof(ret->address), config->to.text);
	for (size_t i = 0; i < config->peers.count; i++) {
		append_name(
		    ret->peers, sizeof(ret->peers), config->peers.item[i]);
	}
	ret->is_match = is_match(standing);
	(void)snprintf(ret->text, sizeof(ret->text), "%s%s", text_of(standing),
	    ret->is_match ? ": those peers may reach it through us" : "");
}

int
cn_rules_test(struct cn_daemon *daemon, const char *target,
    struct cn_snap_test *ret, const char **what)
{
	const struct cn_plan *plan = daemon->plan;
	size_t count = plan->services_count + plan->offers_count;
	struct cn_addr meant;

	memset(ret, 0, sizeof(*ret));
	*what = "";
	if (cn_addr_parse(target, CN_ADDR_TO_REACH, &meant, what) != CN_OK) {
		return CN_EINVAL;
	}
	if (meant.kind == CN_ADDR_UNIX) {
		*what = "it must be HOST:PORT";
		return CN_EINVAL;
	}
	cn_snap_text(ret->target, sizeof(ret->target), target);
	ret->rules = cn_calloc(count + 1, sizeof(*ret->rules));
	if (ret->rules == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < plan->services_count; i++) {
		test_service(daemon, &plan->services[i], &meant,
		    &ret->rules[ret->rules_count++]);
	}
	for (size_t i = 0; i < plan->offers_count; i++) {
		test_offer(
		    &plan->offers[i], &meant, &ret->rules[ret->rules_count++]);
	}
	for (size_t i = 0; i < count; i++) {
		ret->matches += ret->rules[i].is_match;
	}
	return CN_OK;
}
