/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/ports_far.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "config/paths.h"
#include "manage/ask.h"
#include "manage/knock.h"
#include "manage/setup.h"
#include "manage/table.h"

/* The configured peers, whose identities are the proof; NULL: none known. */
static enum cn_exit
load_peers(const struct cn_args *args, struct cn_config **ret)
{
	const char *file = args->option[CN_OPTION_CONFIG];
	struct cn_diag_list diags;
	struct cn_paths paths;
	enum cn_exit code = CN_EXIT_OK;
	int err;

	*ret = NULL;
	if (file == NULL) {
		if (cn_paths_init(&paths, CN_PATHS_AUTO) != CN_OK) {
			return CN_EXIT_OK;
		}
		file = paths.config;
	}
	cn_diag_init(&diags);
	err = cn_setup_load(file, &diags, ret);
	if (err < 0 && args->option[CN_OPTION_CONFIG] != NULL) {
		cn_cli_print_diags(args, &diags);
		code = CN_EXIT_CONFIG;
	}
	cn_diag_fini(&diags);
	return code;
}

/* The peer of that identity; NULL: none. */
static const char *
peer_of(const struct cn_config *config, const uint8_t *identity)
{
	uint8_t pin[CN_IDENTITY_BYTES];

	for (size_t i = 0; config != NULL && i < config->peers_count; i++) {
		if (cn_identity_parse(
			config->peers[i].identity, pin, NULL, 0) == CN_OK &&
		    cn_identity_equal(pin, identity)) {
			return config->peers[i].entry.name;
		}
	}
	return NULL;
}

/* What is said of one port. */
struct far {
	const char *verdict;
	char text[256];
	bool is_bad;
};

static void
judge(const struct cn_config *config, uint16_t port,
    const struct cn_knock *knock, struct far *ret)
{
	char identity[CN_IDENTITY_TEXT_MAX];
	const char *peer;

	ret->is_bad = false;
	(void)snprintf(ret->text, sizeof(ret->text), "%s", knock->why);
	switch (knock->kind) {
	case CN_KNOCK_CLOSED:
		ret->verdict = "closed";
		return;
	case CN_KNOCK_FILTERED:
		ret->verdict = "filtered";
		return;
	case CN_KNOCK_UNREACHABLE:
		ret->verdict = "unreachable";
		return;
	case CN_KNOCK_STRANGER:
		ret->verdict = port == 2 || port == 3 ? "SUSPECT" : "open";
		ret->is_bad = port == 2 || port == 3;
		return;
	case CN_KNOCK_GATEWAY:
		break;
	}
	cn_identity_format(knock->identity, identity);
	peer = peer_of(config, knock->identity);
	ret->verdict = peer != NULL ? "CompressNET" : "SUSPECT";
	ret->is_bad = peer == NULL;
	(void)snprintf(ret->text, sizeof(ret->text),
	    peer != NULL ? "peer %s, proved by its identity %s"
			 : "a gateway, but %sno configured peer has its "
			   "identity %s",
	    peer != NULL ? peer : "", identity);
}

enum cn_exit
cn_ports_far(const struct cn_args *args, const char *host,
    const uint16_t *ports, size_t count)
{
	struct cn_config *config;
	enum cn_exit code = load_peers(args, &config);
	json_t *list = json_array(), *all = json_object();
	bool is_json = args->option[CN_OPTION_JSON] != NULL;
	char name[64];

	cn_table_clean(name, sizeof(name), host);
	for (size_t i = 0; i < count && code != CN_EXIT_CONFIG; i++) {
		struct cn_knock knock;
		struct far far;

		cn_knock(host, ports[i], &knock);
		judge(config, ports[i], &knock, &far);
		if (is_json) {
			(void)json_array_append_new(list,
			    json_pack("{s:i,s:s,s:s,s:s}", "port",
				(int)ports[i], "verdict", far.verdict,
				"address", knock.address, "text", far.text));
		} else {
			(void)printf("%s port %u  %s  %s%s%s\n", name, ports[i],
			    far.verdict, knock.address,
			    far.text[0] != '\0' ? "  " : "", far.text);
		}
		code = far.is_bad ? CN_EXIT_FINDINGS : code;
	}
	(void)json_object_set_new(all, "host", json_string(name));
	(void)json_object_set_new(all, "ports", list);
	if (is_json && code != CN_EXIT_CONFIG &&
	    cn_ask_print(all, false) != CN_EXIT_OK) {
		code = CN_EXIT_FAILED;
	}
	json_decref(all);
	cn_config_unref(&config);
	return code;
}

/* ---- rules ---- */

/* One rule for each address of a peer. */
static void
admit(const struct cn_config_peer *peer, const char *ports)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const char *host = peer->address.host;
	struct addrinfo *all = NULL;
	char text[64], name[64];
	int error;

	cn_table_clean(name, sizeof(name), peer->entry.name);
	if (peer->address.kind != CN_CONFIG_ADDRESS_TCP) {
		(void)printf("\t\t# %s: no address is configured (it dials "
			     "us); add one by hand\n",
		    name);
		return;
	}
	error = getaddrinfo(host, NULL, &hints, &all);
	if (error != 0) {
		(void)printf("\t\t# %s: its name cannot be resolved now (%s)\n",
		    name, gai_strerror(error));
		return;
	}
	for (const struct addrinfo *at = all; at != NULL; at = at->ai_next) {
		if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text),
			NULL, 0, NI_NUMERICHOST) == 0 &&
		    strchr(text, '%') == NULL) {
			(void)printf("\t\t%s saddr %s tcp dport { %s } accept "
				     "comment \"%s%s\"\n",
			    at->ai_family == AF_INET6 ? "ip6" : "ip", text,
			    ports, name,
			    peer->address.family == 0 ? " (resolved)" : "");
		}
	}
	freeaddrinfo(all);
}

/* "3, 4003"; the default where none is configured. */
static void
list_ports(const struct cn_config *config, char *out, size_t size)
{
	size_t used = 0;

	(void)snprintf(out, size, "%u", CN_CONFIG_CARRIER_PORT);
	for (size_t i = 0; i < config->gateway.listen.count; i++) {
		const struct cn_config_address *at =
		    &config->gateway.listen.item[i];
		int n = snprintf(out + used, size - used, "%s%u",
		    used == 0 ? "" : ", ", at->port);

		used += n > 0 && (size_t)n < size - used ? (size_t)n : 0;
	}
}

enum cn_exit
cn_ports_nft(const struct cn_args *args)
{
	struct cn_config *config;
	enum cn_exit code = load_peers(args, &config);
	char ports[CN_CONFIG_ADDRESSES_MAX * 8];

	if (code != CN_EXIT_OK) {
		return code;
	}
	if (config == NULL) {
		cn_cli_error("there is no configuration whose peers could be "
			     "admitted");
		cn_cli_hint("--config names one; `compressnet config check' "
			    "tells what is wrong with it");
		return CN_EXIT_CONFIG;
	}
	list_ports(config, ports, sizeof(ports));
	(void)printf("table inet compressnet_peers {\n"
		     "\tchain input {\n"
		     "\t\ttype filter hook input priority -5; policy accept;\n"
		     "\t\tiif \"lo\" accept\n");
	for (size_t i = 0; i < config->peers_count; i++) {
		admit(&config->peers[i], ports);
	}
	(void)printf("\t\ttcp dport { %s } drop\n\t}\n}\n", ports);
	cn_config_unref(&config);
	return CN_EXIT_OK;
}
