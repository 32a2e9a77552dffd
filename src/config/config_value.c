/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single values and short lists: from a node of the tree to the field that
 * the key's row names.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "config/config_loader.h"
#include "config/nearest.h"
#include "config/scalar.h"

/* ---- complaints ---- */

struct cn_config_place
cn_config_place_of(uint32_t file, const struct cn_yaml_node *node)
{
	return (struct cn_config_place){
		.file = file,
		.line = node->line,
		.column = node->column,
	};
}

void
cn_config_path_text(const struct cn_config_target *target, const char *key,
    char out[CN_CONFIG_WHERE_MAX])
{
	snprintf(out, CN_CONFIG_WHERE_MAX, "%.90s%s%.60s", target->where,
	    target->where[0] != '\0' ? "." : "", key);
}

const char *
cn_config_kind_text(enum cn_yaml_kind kind)
{
	switch (kind) {
	case CN_YAML_EMPTY:
		return "nothing";
	case CN_YAML_SCALAR:
		return "a single value";
	case CN_YAML_MAP:
		return "a section";
	case CN_YAML_LIST:
		return "a list";
	}
	return "";
}

const char *
cn_config_article(const char *noun)
{
	return strchr("aeiou", noun[0]) != NULL ? "an" : "a";
}

/* ---- values ---- */

static int
complain_value(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node, const char *hint)
{
	char path[CN_CONFIG_WHERE_MAX];
	const char *noun = key->type == CN_SCHEMA_CHOICE
	    ? "value for this key"
	    : cn_schema_type_text(key->type);

	if (key->type == CN_SCHEMA_LISTEN || key->type == CN_SCHEMA_TARGET) {
		noun = "address";
	} else if (key->type == CN_SCHEMA_NAMES) {
		noun = "name";
	} else if (key->type == CN_SCHEMA_BOOL) {
		noun = "truth value";
	}
	cn_config_path_text(target, key->name, path);
	CN_CONFIG_COMPLAIN(loader, target->file, node, hint,
	    "%s: '%.80s' is not %s %s", path, node->text,
	    cn_config_article(noun), noun);
	return CN_ECONFIG;
}

/* A number in the way that its type is written. */
static void
number_text(
    enum cn_schema_type type, uint64_t value, char out[CN_SCALAR_TEXT_MAX])
{
	if (type == CN_SCHEMA_SIZE) {
		cn_scalar_size_text(value, out);
	} else if (type == CN_SCHEMA_DURATION) {
		cn_scalar_duration_text(value, out);
	} else {
		snprintf(out, CN_SCALAR_TEXT_MAX, "%" PRIu64, value);
	}
}

static int
check_range(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node, uint64_t value)
{
	char path[CN_CONFIG_WHERE_MAX], hint[CN_CONFIG_HINT_MAX];
	char min[CN_SCALAR_TEXT_MAX], max[CN_SCALAR_TEXT_MAX];

	if (value >= key->min && value <= key->max) {
		return CN_OK;
	}
	number_text(key->type, key->min, min);
	number_text(key->type, key->max, max);
	snprintf(hint, sizeof(hint), "from %s to %s", min, max);
	cn_config_path_text(target, key->name, path);
	CN_CONFIG_COMPLAIN(loader, target->file, node, hint,
	    "%s: %.80s is out of range", path, node->text);
	return CN_ECONFIG;
}

static int
load_number(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node)
{
	void *field = cn_config_field(target->entry, key->offset);
	const char *hint = NULL;
	uint64_t value = 0;
	int err;

	if (key->type == CN_SCHEMA_SIZE) {
		err = cn_scalar_size(node->text, &value, &hint);
	} else if (key->type == CN_SCHEMA_DURATION) {
		err = cn_scalar_duration(node->text, &value, &hint);
	} else {
		err = cn_scalar_count(node->text, &value, &hint);
	}
	if (err != CN_OK) {
		return complain_value(loader, target, key, node, hint);
	}
	err = check_range(loader, target, key, node, value);
	if (err != CN_OK) {
		return err;
	}
	if (key->type == CN_SCHEMA_COUNT) {
		*(uint32_t *)field = (uint32_t)value;
	} else {
		*(uint64_t *)field = value;
	}
	return CN_OK;
}

static int
load_choice(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node)
{
	struct cn_nearest nearest;
	char hint[CN_CONFIG_HINT_MAX];
	size_t len = 0;

	cn_nearest_init(&nearest, node->text);
	for (unsigned i = 0; key->choices[i] != NULL; i++) {
		if (strcmp(key->choices[i], node->text) == 0) {
			*(unsigned *)cn_config_field(
			    target->entry, key->offset) = i;
			return CN_OK;
		}
		cn_nearest_offer(&nearest, key->choices[i]);
	}
	if (nearest.best != NULL) {
		snprintf(
		    hint, sizeof(hint), "did you mean '%s'?", nearest.best);
		return complain_value(loader, target, key, node, hint);
	}
	for (unsigned i = 0; key->choices[i] != NULL && len < sizeof(hint);
	     i++) {
		len += (size_t)snprintf(hint + len, sizeof(hint) - len, "%s%s",
		    i == 0 ? "one of " : ", ", key->choices[i]);
	}
	return complain_value(loader, target, key, node, hint);
}

static int
check_text(enum cn_schema_type type, const char *text, const char **hint)
{
	switch (type) {
	case CN_SCHEMA_WORD:
		return cn_scalar_word(text, hint);
	case CN_SCHEMA_IDENTITY:
		return cn_scalar_identity(text, hint);
	case CN_SCHEMA_PATH:
		return cn_scalar_path(text, hint);
	case CN_SCHEMA_NAME:
	case CN_SCHEMA_NAMES:
		return cn_scalar_name(text, hint);
	case CN_SCHEMA_BOOL:
	case CN_SCHEMA_COUNT:
	case CN_SCHEMA_SIZE:
	case CN_SCHEMA_DURATION:
	case CN_SCHEMA_CHOICE:
	case CN_SCHEMA_LEVEL:
	case CN_SCHEMA_TARGET:
	case CN_SCHEMA_LISTEN:
	case CN_SCHEMA_SECTION:
	case CN_SCHEMA_ENTRIES:
		break;
	}
	return CN_EINVAL;
}

static int
load_text(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node, const char **field)
{
	const char *hint = NULL;
	const char *copy;

	if (check_text(key->type, node->text, &hint) != CN_OK) {
		return complain_value(loader, target, key, node, hint);
	}
	copy =
	    cn_arena_text(&loader->box->arena, node->text, strlen(node->text));
	if (copy == NULL) {
		return CN_ENOMEM;
	}
	*field = copy;
	return CN_OK;
}

static int
load_address(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node, struct cn_config_address *field)
{
	const char *hint = NULL;
	int err;

	err = cn_scalar_address(node->text, key->flags,
	    key->type == CN_SCHEMA_LISTEN, &loader->box->arena, field, &hint);
	if (err == CN_EINVAL) {
		return complain_value(loader, target, key, node, hint);
	}
	if (err == CN_OK) {
		field->place = cn_config_place_of(target->file, node);
	}
	return err;
}

/* ---- lists: one value alone is a list of one ---- */

static size_t
count_items(const struct cn_yaml_node *node)
{
	size_t count = 0;

	if (node->kind == CN_YAML_SCALAR) {
		return 1;
	}
	for (node = node->child; node != NULL; node = node->next) {
		count++;
	}
	return count;
}

/* Complain about a list that is empty, too long or holds no plain values. */
static int
check_list(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node, size_t max)
{
	const struct cn_yaml_node *item;
	size_t count = count_items(node);
	char path[CN_CONFIG_WHERE_MAX];

	cn_config_path_text(target, key->name, path);
	if (count == 0) {
		CN_CONFIG_COMPLAIN(loader, target->file, node, NULL,
		    "%s: the list is empty", path);
		return CN_ECONFIG;
	}
	if (count > max) {
		CN_CONFIG_COMPLAIN(loader, target->file, node, NULL,
		    "%s: the list is longer than %zu", path, max);
		return CN_ECONFIG;
	}
	for (item = node->child; item != NULL; item = item->next) {
		if (item->kind != CN_YAML_SCALAR) {
			CN_CONFIG_COMPLAIN(loader, target->file, item,
			    key->type == CN_SCHEMA_LISTEN
				? "quote values that hold brackets, such as "
				  "\"[::]:3\""
				: NULL,
			    "%s: a single value is expected here, not %s", path,
			    cn_config_kind_text(item->kind));
			return CN_ECONFIG;
		}
	}
	return CN_OK;
}

static int
load_listen(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node)
{
	struct cn_config_addresses *field =
	    cn_config_field(target->entry, key->offset);
	struct cn_config_addresses list = { 0 };
	const struct cn_yaml_node *item =
	    node->kind == CN_YAML_LIST ? node->child : node;
	int err, result = CN_OK;

	err = check_list(loader, target, key, node, CN_CONFIG_ADDRESSES_MAX);
	if (err != CN_OK) {
		return err;
	}
	list.item = cn_arena_array(
	    &loader->box->arena, count_items(node), sizeof(*list.item));
	if (list.item == NULL) {
		return CN_ENOMEM;
	}
	for (size_t left = count_items(node); left > 0; left--) {
		err = load_address(
		    loader, target, key, item, &list.item[list.count]);
		if (err == CN_ENOMEM) {
			return err;
		}
		list.count += err == CN_OK;
		result = err != CN_OK ? err : result;
		item = item->next;
	}
	*field = list;
	return result;
}

static int
load_names(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node)
{
	struct cn_config_names *field =
	    cn_config_field(target->entry, key->offset);
	struct cn_config_names list = { 0 };
	const struct cn_yaml_node *item =
	    node->kind == CN_YAML_LIST ? node->child : node;
	size_t count = count_items(node);
	int err, result = CN_OK;

	err = check_list(loader, target, key, node, CN_CONFIG_NAMES_MAX);
	if (err != CN_OK) {
		return err;
	}
	list.item =
	    cn_arena_array(&loader->box->arena, count, sizeof(*list.item));
	list.places =
	    cn_arena_array(&loader->box->arena, count, sizeof(*list.places));
	if (list.item == NULL || list.places == NULL) {
		return CN_ENOMEM;
	}
	for (size_t left = count; left > 0; left--) {
		list.places[list.count] =
		    cn_config_place_of(target->file, item);
		err = load_text(
		    loader, target, key, item, &list.item[list.count]);
		if (err == CN_ENOMEM) {
			return err;
		}
		list.count += err == CN_OK;
		result = err != CN_OK ? err : result;
		item = item->next;
	}
	*field = list;
	return result;
}

int
cn_config_load_value(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node)
{
	void *field = cn_config_field(target->entry, key->offset);
	const char *hint = NULL;
	int err = CN_OK;

	switch (key->type) {
	case CN_SCHEMA_BOOL:
		err = cn_scalar_bool(node->text, field, &hint);
		break;
	case CN_SCHEMA_LEVEL:
		err = cn_scalar_level(node->text, field, &hint);
		break;
	case CN_SCHEMA_COUNT:
	case CN_SCHEMA_SIZE:
	case CN_SCHEMA_DURATION:
		return load_number(loader, target, key, node);
	case CN_SCHEMA_CHOICE:
		return load_choice(loader, target, key, node);
	case CN_SCHEMA_NAME:
	case CN_SCHEMA_WORD:
	case CN_SCHEMA_IDENTITY:
	case CN_SCHEMA_PATH:
		return load_text(loader, target, key, node, field);
	case CN_SCHEMA_TARGET:
		return load_address(loader, target, key, node, field);
	case CN_SCHEMA_LISTEN:
		return load_listen(loader, target, key, node);
	case CN_SCHEMA_NAMES:
		return load_names(loader, target, key, node);
	case CN_SCHEMA_SECTION:
	case CN_SCHEMA_ENTRIES:
		break;
	}
	if (err == CN_EINVAL) {
		return complain_value(loader, target, key, node, hint);
	}
	return err;
}
