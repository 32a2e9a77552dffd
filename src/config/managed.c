/* SPDX-License-Identifier: Apache-2.0 */
#include "config/managed.h"

#include <string.h>

#include "base/err.h"
#include "config/yaml.h"

/* Spaces of one level. */
#define INDENT 2

static const char header[] =
    "# Written by compressnetd: `compressnet join', `invite', `peers remove' "
    "and the\n# API change this file, and comments in it are lost.  What is "
    "written by hand\n# belongs into compressnet.yaml or another file of "
    "conf.d, which they never change.\n";

/* ---- the tree ---- */

static bool
is_key(const struct cn_yaml_node *node, const char *name)
{
	return node->key != NULL && strcmp(node->key->text, name) == 0;
}

/* The value of a key in a map, or NULL. */
static struct cn_yaml_node *
find(const struct cn_yaml_node *map, const char *name)
{
	struct cn_yaml_node *node;

	for (node = map->child; node != NULL; node = node->next) {
		if (is_key(node, name)) {
			return node;
		}
	}
	return NULL;
}

static void
append(struct cn_yaml_node *parent, struct cn_yaml_node *node)
{
	if (parent->last != NULL) {
		parent->last->next = node;
	} else {
		parent->child = node;
	}
	parent->last = node;
}

static void
detach(struct cn_yaml_node *parent, struct cn_yaml_node *node)
{
	struct cn_yaml_node *before = NULL;

	for (struct cn_yaml_node *at = parent->child; at != node;
	     at = at->next) {
		before = at;
	}
	if (before != NULL) {
		before->next = node->next;
	} else {
		parent->child = node->next;
	}
	if (parent->last == node) {
		parent->last = before;
	}
	node->next = NULL;
}

static struct cn_yaml_node *
make(struct cn_managed *managed, enum cn_yaml_kind kind, const char *text)
{
	struct cn_yaml_node *node =
	    cn_arena_take(&managed->arena, sizeof(*node));

	if (node != NULL) {
		node->kind = kind;
		node->text = cn_arena_text(&managed->arena, text, strlen(text));
	}
	return node != NULL && node->text != NULL ? node : NULL;
}

/* A value under a new key of a map; NULL: out of memory. */
static struct cn_yaml_node *
put(struct cn_managed *managed, struct cn_yaml_node *map, const char *name,
    enum cn_yaml_kind kind, const char *text)
{
	struct cn_yaml_node *node = make(managed, kind, text);

	if (node == NULL) {
		return NULL;
	}
	node->key = make(managed, CN_YAML_SCALAR, name);
	if (node->key == NULL) {
		return NULL;
	}
	append(map, node);
	return node;
}

/* Set a key to a text. */
static int
set(struct cn_managed *managed, struct cn_yaml_node *map, const char *name,
    const char *text)
{
	struct cn_yaml_node *node = find(map, name);

	if (node == NULL) {
		return put(managed, map, name, CN_YAML_SCALAR, text) != NULL
		    ? CN_OK
		    : CN_ENOMEM;
	}
	node->text = cn_arena_text(&managed->arena, text, strlen(text));
	node->kind = CN_YAML_SCALAR;
	node->child = node->last = NULL;
	return node->text != NULL ? CN_OK : CN_ENOMEM;
}

/* The map under a name, made if it is missing or empty. */
static int
find_map(struct cn_managed *managed, struct cn_yaml_node *parent,
    const char *name, struct cn_yaml_node **ret)
{
	struct cn_yaml_node *node = find(parent, name);

	if (node == NULL) {
		node = put(managed, parent, name, CN_YAML_MAP, "");
		if (node == NULL) {
			return CN_ENOMEM;
		}
	} else if (node->kind == CN_YAML_EMPTY) {
		node->kind = CN_YAML_MAP;
	} else if (node->kind != CN_YAML_MAP) {
		return CN_EINVAL;
	}
	*ret = node;
	return CN_OK;
}

static int
find_entry(struct cn_managed *managed, const char *kind, const char *name,
    struct cn_yaml_node **ret)
{
	struct cn_yaml_node *section;
	int err = find_map(managed, managed->root, kind, &section);

	return err != CN_OK ? err : find_map(managed, section, name, ret);
}

/* Has the key just this text? */
static bool
says(const struct cn_yaml_node *map, const char *name, const char *text)
{
	const struct cn_yaml_node *node = find(map, name);

	return node != NULL && node->kind == CN_YAML_SCALAR &&
	    strcmp(node->text, text) == 0;
}

/* Is the entry free for what says this of itself? */
static bool
is_free(const struct cn_yaml_node *entry, const char *name, const char *text)
{
	return entry->child == NULL || says(entry, name, text);
}

int
cn_managed_parse(const struct cn_config_text *text, struct cn_diag_list *diags,
    struct cn_managed *ret)
{
	int err;

	cn_arena_init(&ret->arena);
	ret->root = NULL;
	err = cn_yaml_parse(text, 0, &ret->arena, diags, &ret->root);
	if (err != CN_OK) {
		return err;
	}
	if (ret->root->kind == CN_YAML_EMPTY) {
		ret->root->kind = CN_YAML_MAP;
	}
	if (ret->root->kind != CN_YAML_MAP) {
		struct cn_diag_place place;

		cn_yaml_place(
		    text, 0, ret->root->line, ret->root->column, &place);
		cn_diag_add(diags, CN_DIAG_ERROR, &place, NULL,
		    "a configuration is expected here");
		return CN_ECONFIG;
	}
	return CN_OK;
}

void
cn_managed_fini(struct cn_managed *managed)
{
	cn_arena_fini(&managed->arena);
	managed->root = NULL;
}

/* ---- additions ---- */

int
cn_managed_add_peer(
    struct cn_managed *managed, const struct cn_managed_peer *peer)
{
	struct cn_yaml_node *entry;
	int err = find_entry(managed, "peers", peer->name, &entry);

	if (err == CN_OK && !is_free(entry, "identity", peer->identity)) {
		err = CN_EEXIST;
	}
	if (err == CN_OK && peer->address != NULL) {
		err = set(managed, entry, "address", peer->address);
	}
	if (err == CN_OK) {
		err = set(managed, entry, "identity", peer->identity);
	}
	return err;
}

int
cn_managed_add_service(
    struct cn_managed *managed, const struct cn_managed_service *service)
{
	struct cn_yaml_node *entry;
	int err = find_entry(managed, "services", service->name, &entry);

	if (err == CN_OK && !is_free(entry, "peer", service->peer)) {
		err = CN_EEXIST;
	}
	if (err == CN_OK) {
		err = set(managed, entry, "listen", service->listen);
	}
	if (err == CN_OK) {
		err = set(managed, entry, "peer", service->peer);
	}
	if (err == CN_OK) {
		err = set(managed, entry, "offer", service->offer);
	}
	return err;
}

/* Let a peer use an offer. */
static int
allow(struct cn_managed *managed, struct cn_yaml_node *offer, const char *peer)
{
	struct cn_yaml_node *peers = find(offer, "peers");
	struct cn_yaml_node *node;

	if (peers == NULL) {
		peers = put(managed, offer, "peers", CN_YAML_LIST, "");
	} else if (peers->kind == CN_YAML_SCALAR) {
		/* One name alone is a list of one. */
		node = make(managed, CN_YAML_SCALAR, peers->text);
		if (node == NULL) {
			return CN_ENOMEM;
		}
		peers->kind = CN_YAML_LIST;
		append(peers, node);
	} else if (peers->kind != CN_YAML_LIST) {
		return CN_EINVAL;
	}
	if (peers == NULL) {
		return CN_ENOMEM;
	}
	for (node = peers->child; node != NULL; node = node->next) {
		if (strcmp(node->text, peer) == 0) {
			return CN_OK;
		}
	}
	node = make(managed, CN_YAML_SCALAR, peer);
	if (node == NULL) {
		return CN_ENOMEM;
	}
	append(peers, node);
	return CN_OK;
}

int
cn_managed_add_offer(
    struct cn_managed *managed, const struct cn_managed_offer *offer)
{
	struct cn_yaml_node *entry;
	int err;

	if (offer->to == NULL &&
	    !cn_managed_has(managed, "offers", offer->name)) {
		return CN_ENOENT;
	}
	err = find_entry(managed, "offers", offer->name, &entry);
	if (err == CN_OK && offer->to != NULL) {
		err = is_free(entry, "to", offer->to)
		    ? set(managed, entry, "to", offer->to)
		    : CN_EEXIST;
	}
	return err != CN_OK ? err : allow(managed, entry, offer->peer);
}

/* ---- removal ---- */

/* The map of a kind of entries, or NULL. */
static struct cn_yaml_node *
section_of(const struct cn_managed *managed, const char *kind)
{
	struct cn_yaml_node *section = find(managed->root, kind);

	return section != NULL && section->kind == CN_YAML_MAP ? section : NULL;
}

bool
cn_managed_has(
    const struct cn_managed *managed, const char *kind, const char *name)
{
	const struct cn_yaml_node *section = section_of(managed, kind);

	return section != NULL && find(section, name) != NULL;
}

/* Take the name out of an offer; true: nobody is left. */
static bool
forbid(struct cn_yaml_node *offer, const char *peer)
{
	struct cn_yaml_node *peers = find(offer, "peers");
	struct cn_yaml_node *node, *next;

	if (peers == NULL) {
		return false;
	}
	if (peers->kind == CN_YAML_SCALAR) {
		return strcmp(peers->text, peer) == 0;
	}
	for (node = peers->child; node != NULL; node = next) {
		next = node->next;
		if (strcmp(node->text, peer) == 0) {
			detach(peers, node);
			if (peers->child == NULL) {
				return true;
			}
		}
	}
	return false;
}

static void
remove_uses(struct cn_managed *managed, const char *kind, const char *peer,
    bool (*is_over)(struct cn_yaml_node *entry, const char *peer))
{
	struct cn_yaml_node *section = section_of(managed, kind);
	struct cn_yaml_node *entry, *next;

	for (entry = section != NULL ? section->child : NULL; entry != NULL;
	     entry = next) {
		next = entry->next;
		if (entry->kind == CN_YAML_MAP && is_over(entry, peer)) {
			detach(section, entry);
		}
	}
	if (section != NULL && section->child == NULL) {
		detach(managed->root, section);
	}
}

static bool
goes_to(struct cn_yaml_node *service, const char *peer)
{
	return says(service, "peer", peer);
}

int
cn_managed_remove_peer(struct cn_managed *managed, const char *name)
{
	struct cn_yaml_node *peers = section_of(managed, "peers");
	struct cn_yaml_node *entry = peers != NULL ? find(peers, name) : NULL;

	if (entry == NULL) {
		return CN_ENOENT;
	}
	detach(peers, entry);
	if (peers->child == NULL) {
		detach(managed->root, peers);
	}
	remove_uses(managed, "services", name, goes_to);
	remove_uses(managed, "offers", name, forbid);
	return CN_OK;
}

/* ---- writing ---- */

/* May it stand without quotes, whatever reads it? */
static bool
is_plain(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	return text[0] != '\0' && text[0] != '-' &&
	    text[strspn(text, plain)] == '\0' && strcmp(text, "null") != 0 &&
	    strcmp(text, "Null") != 0 && strcmp(text, "NULL") != 0;
}

static int
write_text(const char *text, struct cn_buf *out)
{
	int err;

	if (is_plain(text)) {
		return cn_buf_append(out, text, strlen(text));
	}
	err = cn_buf_append(out, "\"", 1);
	for (; *text != '\0' && err == CN_OK; text++) {
		if (*text == '"' || *text == '\\') {
			err = cn_buf_append(out, "\\", 1);
		}
		if (err == CN_OK) {
			err = cn_buf_append(out, text, 1);
		}
	}
	return err != CN_OK ? err : cn_buf_append(out, "\"", 1);
}

static int
write_indent(unsigned depth, struct cn_buf *out)
{
	int err = CN_OK;

	for (unsigned i = 0; i < depth * INDENT && err == CN_OK; i++) {
		err = cn_buf_append(out, " ", 1);
	}
	return err;
}

static int write_children(
    const struct cn_yaml_node *node, unsigned depth, struct cn_buf *out);

/* What stands behind "key:" or "-". */
static int
write_value(const struct cn_yaml_node *node, unsigned depth, struct cn_buf *out)
{
	int err = CN_OK;

	switch (node->kind) {
	case CN_YAML_EMPTY:
		return cn_buf_append(out, "\n", 1);
	case CN_YAML_SCALAR:
		err = cn_buf_append(out, " ", 1);
		if (err == CN_OK) {
			err = write_text(node->text, out);
		}
		return err != CN_OK ? err : cn_buf_append(out, "\n", 1);
	case CN_YAML_MAP:
	case CN_YAML_LIST:
		break;
	}
	if (node->child == NULL) {
		return cn_buf_printf(
		    out, node->kind == CN_YAML_MAP ? " {}\n" : " []\n");
	}
	err = cn_buf_append(out, "\n", 1);
	return err != CN_OK ? err : write_children(node, depth + 1, out);
}

/* The depth is bounded by the parser, and our additions have three. */
static int
write_children(
    const struct cn_yaml_node *node, unsigned depth, struct cn_buf *out)
{
	const struct cn_yaml_node *child;
	int err = CN_OK;

	for (child = node->child; child != NULL && err == CN_OK;
	     child = child->next) {
		err = write_indent(depth, out);
		if (err == CN_OK && child->key != NULL) {
			err = write_text(child->key->text, out);
		}
		if (err == CN_OK) {
			err = cn_buf_append(
			    out, child->key != NULL ? ":" : "-", 1);
		}
		if (err == CN_OK) {
			err = write_value(child, depth, out);
		}
	}
	return err;
}

int
cn_managed_write(const struct cn_managed *managed, struct cn_buf *out)
{
	int err = cn_buf_append(out, header, sizeof(header) - 1);

	return err != CN_OK ? err : write_children(managed->root, 0, out);
}
