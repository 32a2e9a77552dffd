/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From texts to a configuration: each text becomes a tree (yaml.c), each
 * tree is walked along the schema table, and each value lands in the field
 * that its row names.
 *
 * Named entries of all files are gathered first and sorted, so that a name
 * that was given twice is found wherever it stands, and so that the entries
 * of a kind form one array.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "config/config.h"
#include "config/config_loader.h"
#include "config/nearest.h"
#include "config/scalar.h"

/* An entry that some file gives, before it is loaded. */
struct found {
	const char *name;
	const struct cn_yaml_node *node; /* its value */
	uint32_t file;
};

struct found_list {
	const struct cn_schema_key *key; /* the row of its kind */
	struct found *item;              /* owned */
	size_t count, cap;
};

struct cn_config_found {
	struct found_list kind[CN_SCHEMA_KEYS_MAX]; /* by index in root */
};

/* "first given in line 3", or "... in conf.d/a.yaml, line 3" */
static void
first_text(const struct cn_config_loader *loader, uint32_t here,
    const struct cn_config_place *first, char out[CN_CONFIG_HINT_MAX])
{
	if (first->file == here) {
		snprintf(out, CN_CONFIG_HINT_MAX,
		    "it stands in line %" PRIu32 " already", first->line);
	} else {
		snprintf(out, CN_CONFIG_HINT_MAX,
		    "it stands in %s, line %" PRIu32 " already",
		    loader->sources.texts[first->file].name, first->line);
	}
}

static void
complain_unknown(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_yaml_node *name)
{
	struct cn_nearest nearest;
	char hint[CN_CONFIG_HINT_MAX];
	const char *in = target->where;

	cn_nearest_init(&nearest, name->text);
	for (size_t i = 0; i < target->section->count; i++) {
		cn_nearest_offer(&nearest, target->section->keys[i].name);
	}
	if (nearest.best != NULL) {
		snprintf(
		    hint, sizeof(hint), "did you mean '%s'?", nearest.best);
	}
	CN_CONFIG_COMPLAIN(loader, target->file, name,
	    nearest.best != NULL ? hint : NULL, "unknown key '%.80s'%s%s",
	    name->text, in[0] != '\0' ? " in " : "", in);
}

/* ---- keys ---- */

static bool
takes_list(enum cn_schema_type type)
{
	return type == CN_SCHEMA_LISTEN || type == CN_SCHEMA_NAMES;
}

static int load_map(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_yaml_node *map);

static int gather(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node);

/* A value of the wrong shape, or none at all. */
static int
complain_shape(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *node)
{
	bool is_section =
	    key->type == CN_SCHEMA_SECTION || key->type == CN_SCHEMA_ENTRIES;
	bool is_address = key->type == CN_SCHEMA_TARGET;
	char path[CN_CONFIG_WHERE_MAX];

	cn_config_path_text(target, key->name, path);
	if (node->kind == CN_YAML_EMPTY) {
		CN_CONFIG_COMPLAIN(loader, target->file, node->key,
		    "write one, or leave the key out", "%s has no value", path);
		return CN_ECONFIG;
	}
	CN_CONFIG_COMPLAIN(loader, target->file, node,
	    is_address && node->kind == CN_YAML_LIST
		? "quote values that hold brackets, such as \"[::1]:3\""
		: NULL,
	    "%s: %s is expected here, not %s", path,
	    is_section ? "a section" : "a single value",
	    cn_config_kind_text(node->kind));
	return CN_ECONFIG;
}

static int
load_key(struct cn_config_loader *loader, const struct cn_config_target *target,
    const struct cn_schema_key *key, const struct cn_yaml_node *node)
{
	bool is_list = node->kind == CN_YAML_LIST && takes_list(key->type);
	struct cn_config_target sub;

	if (key->type != CN_SCHEMA_SECTION && key->type != CN_SCHEMA_ENTRIES) {
		if (node->kind != CN_YAML_SCALAR && !is_list) {
			return complain_shape(loader, target, key, node);
		}
		return cn_config_load_value(loader, target, key, node);
	}
	if (node->kind == CN_YAML_EMPTY) {
		return CN_OK;
	}
	if (node->kind != CN_YAML_MAP) {
		return complain_shape(loader, target, key, node);
	}
	if (key->type == CN_SCHEMA_ENTRIES) {
		return gather(loader, target, key, node);
	}
	sub = (struct cn_config_target){
		.section = key->sub,
		.entry = cn_config_field(target->entry, key->offset),
		.file = target->file,
	};
	cn_config_path_text(target, key->name, sub.where);
	return load_map(loader, &sub, node);
}

/* Was the key given before?  Sections may go on in another file. */
static bool
is_repeated(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_schema_key *key,
    const struct cn_yaml_node *name)
{
	const struct cn_config_place *first =
	    &target->entry->keys[key - target->section->keys];
	bool is_section =
	    key->type == CN_SCHEMA_SECTION || key->type == CN_SCHEMA_ENTRIES;
	char hint[CN_CONFIG_HINT_MAX], path[CN_CONFIG_WHERE_MAX];

	if (first->line == 0 || (is_section && first->file != target->file)) {
		return false;
	}
	first_text(loader, target->file, first, hint);
	cn_config_path_text(target, key->name, path);
	CN_CONFIG_COMPLAIN(
	    loader, target->file, name, hint, "%s is given twice", path);
	return true;
}

static int
load_map(struct cn_config_loader *loader, const struct cn_config_target *target,
    const struct cn_yaml_node *map)
{
	const struct cn_yaml_node *node;
	int err;

	for (node = map->child; node != NULL; node = node->next) {
		const struct cn_schema_key *key =
		    cn_schema_key(target->section, node->key->text);

		if (key == NULL) {
			complain_unknown(loader, target, node->key);
			continue;
		}
		if (is_repeated(loader, target, key, node->key)) {
			continue;
		}
		target->entry->keys[key - target->section->keys] =
		    cn_config_place_of(target->file,
			node->kind == CN_YAML_SCALAR ? node : node->key);
		err = load_key(loader, target, key, node);
		if (err != CN_OK && err != CN_ECONFIG) {
			return err;
		}
	}
	return CN_OK;
}

/* ---- defaults and what must be there ---- */

/* Give an entry its name, its places and the defaults of its table. */
static int
init_entry(struct cn_config_loader *loader,
    const struct cn_schema_section *section, const char *name,
    struct cn_config_entry *entry)
{
	struct cn_config_target target = { .section = section, .entry = entry };
	struct cn_yaml_node node = { .kind = CN_YAML_SCALAR };
	int err;

	entry->name = name;
	entry->keys = cn_arena_array(
	    &loader->box->arena, section->count, sizeof(*entry->keys));
	if (entry->keys == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < section->count; i++) {
		const struct cn_schema_key *key = &section->keys[i];

		if (key->type == CN_SCHEMA_SECTION) {
			err = init_entry(loader, key->sub, "",
			    cn_config_field(entry, key->offset));
		} else if (key->fallback != NULL) {
			node.text = key->fallback;
			err = cn_config_load_value(loader, &target, key, &node);
		} else {
			continue;
		}
		if (err != CN_OK) {
			return err;
		}
	}
	return CN_OK;
}

static void
check_required(struct cn_config_loader *loader,
    const struct cn_config_target *target, const struct cn_config_place *place)
{
	char path[CN_CONFIG_WHERE_MAX], hint[CN_CONFIG_HINT_MAX];

	for (size_t i = 0; i < target->section->count; i++) {
		const struct cn_schema_key *key = &target->section->keys[i];

		if ((key->flags & CN_SCHEMA_REQUIRED) == 0 ||
		    target->entry->keys[i].line != 0) {
			continue;
		}
		if (key->example != NULL) {
			snprintf(hint, sizeof(hint), "such as '%s: %s'",
			    key->name, key->example);
		}
		cn_config_path_text(target, key->name, path);
		cn_config_complain(&loader->sources, loader->diags,
		    CN_DIAG_ERROR, place, key->example != NULL ? hint : NULL,
		    "%s is missing", path);
	}
}

/* ---- named entries ---- */

static int
gather_one(struct found_list *list, const struct found *found)
{
	if (list->count == list->cap) {
		size_t cap = list->cap == 0 ? 16 : list->cap * 2;
		struct found *item =
		    cn_realloc(list->item, cap * sizeof(*item));

		if (item == NULL) {
			return CN_ENOMEM;
		}
		list->item = item;
		list->cap = cap;
	}
	list->item[list->count++] = *found;
	return CN_OK;
}

static int
gather(struct cn_config_loader *loader, const struct cn_config_target *target,
    const struct cn_schema_key *key, const struct cn_yaml_node *map)
{
	struct found_list *list =
	    &loader->found->kind[key - target->section->keys];
	const struct cn_yaml_node *node;
	const char *hint = NULL;
	int err = CN_OK;

	list->key = key;
	for (node = map->child; node != NULL && err == CN_OK;
	     node = node->next) {
		struct found found = {
			.name = node->key->text,
			.node = node,
			.file = target->file,
		};

		if (cn_scalar_name(found.name, &hint) != CN_OK) {
			CN_CONFIG_COMPLAIN(loader, target->file, node->key,
			    hint, "'%.80s' cannot name %s %s", found.name,
			    cn_config_article(key->sub->noun), key->sub->noun);
			continue;
		}
		if (list->count == CN_CONFIG_ENTRIES_MAX) {
			CN_CONFIG_COMPLAIN(loader, target->file, node->key,
			    NULL, "more than %u %s", CN_CONFIG_ENTRIES_MAX,
			    key->name);
			return CN_ECONFIG;
		}
		err = gather_one(list, &found);
	}
	return err;
}

static int
compare_found(const void *a, const void *b)
{
	const struct found *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	if (order != 0) {
		return order;
	}
	if (left->file != right->file) {
		return left->file < right->file ? -1 : 1;
	}
	if (left->node->key->line != right->node->key->line) {
		return left->node->key->line < right->node->key->line ? -1 : 1;
	}
	return left->node->key->column < right->node->key->column ? -1 : 1;
}

/* Sort by name; the first of a name stays, the others are complained of. */
static void
settle(struct cn_config_loader *loader, struct found_list *list)
{
	size_t kept = 0;

	if (list->count > 0) {
		qsort(list->item, list->count, sizeof(*list->item),
		    compare_found);
	}
	for (size_t i = 0; i < list->count; i++) {
		const struct found *found = &list->item[i];
		struct cn_config_place first;
		char hint[CN_CONFIG_HINT_MAX];

		if (kept == 0 ||
		    strcmp(list->item[kept - 1].name, found->name) != 0) {
			list->item[kept++] = *found;
			continue;
		}
		first = cn_config_place_of(
		    list->item[kept - 1].file, list->item[kept - 1].node->key);
		first_text(loader, found->file, &first, hint);
		CN_CONFIG_COMPLAIN(loader, found->file, found->node->key, hint,
		    "%s.%s is given twice", list->key->name, found->name);
	}
	list->count = kept;
}

static int
load_entry(struct cn_config_loader *loader, const struct cn_schema_key *key,
    const struct found *found, struct cn_config_entry *entry)
{
	struct cn_config_target target = {
		.section = key->sub,
		.entry = entry,
		.file = found->file,
	};
	const char *name;
	int err;

	name = cn_arena_text(
	    &loader->box->arena, found->name, strlen(found->name));
	if (name == NULL) {
		return CN_ENOMEM;
	}
	err = init_entry(loader, key->sub, name, entry);
	if (err != CN_OK) {
		return err;
	}
	entry->place = cn_config_place_of(found->file, found->node->key);
	snprintf(target.where, sizeof(target.where), "%s.%s", key->name, name);
	if (found->node->kind == CN_YAML_MAP) {
		err = load_map(loader, &target, found->node);
	} else if (found->node->kind != CN_YAML_EMPTY) {
		CN_CONFIG_COMPLAIN(loader, found->file, found->node, NULL,
		    "%s: a section is expected here, not %s", target.where,
		    cn_config_kind_text(found->node->kind));
		return CN_OK; /* that keys are missing says nothing new */
	}
	if (err == CN_OK) {
		check_required(loader, &target, &entry->place);
	}
	return err;
}

/* Entries of one kind become an array in the field of their key. */
static int
load_entries(struct cn_config_loader *loader, struct found_list *list)
{
	const struct cn_schema_key *key = list->key;
	struct cn_config *config = &loader->box->config;
	void **items = cn_config_field(config, key->offset);
	size_t *count = cn_config_field(config, key->offset + sizeof(void *));
	int err = CN_OK;

	settle(loader, list);
	*items =
	    cn_arena_array(&loader->box->arena, list->count, key->sub->size);
	if (*items == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < list->count && err == CN_OK; i++) {
		err = load_entry(loader, key, &list->item[i],
		    cn_config_field(*items, i * key->sub->size));
		*count = i + 1;
	}
	return err;
}

/* ---- whole configurations ---- */

static int
load_text_file(struct cn_config_loader *loader, uint32_t file)
{
	struct cn_config_target target = {
		.section = cn_schema_root(),
		.entry = &loader->box->config.entry,
		.file = file,
	};
	struct cn_yaml_node *root;
	int err;

	err = cn_yaml_parse(&loader->sources.texts[file], file, &loader->trees,
	    loader->diags, &root);
	if (err == CN_ECONFIG) {
		loader->is_broken = true;
		return CN_OK;
	}
	if (err != CN_OK || root->kind == CN_YAML_EMPTY) {
		return err;
	}
	if (root->kind != CN_YAML_MAP) {
		CN_CONFIG_COMPLAIN(loader, file, root, NULL,
		    "a configuration is a section of keys, not %s",
		    cn_config_kind_text(root->kind));
		loader->is_broken = true;
		return CN_OK;
	}
	return load_map(loader, &target, root);
}

static int
copy_names(struct cn_config_loader *loader)
{
	struct cn_config *config = &loader->box->config;
	struct cn_arena *arena = &loader->box->arena;

	config->files = cn_arena_array(
	    arena, loader->sources.count, sizeof(*config->files));
	if (config->files == NULL) {
		return CN_ENOMEM;
	}
	for (size_t i = 0; i < loader->sources.count; i++) {
		const char *name = loader->sources.texts[i].name;

		config->files[i] = cn_arena_text(arena, name, strlen(name));
		if (config->files[i] == NULL) {
			return CN_ENOMEM;
		}
	}
	config->files_count = loader->sources.count;
	return CN_OK;
}

/* Keys that must be there in the sections without a name. */
static void
check_sections(struct cn_config_loader *loader)
{
	const struct cn_schema_section *root = cn_schema_root();
	struct cn_config_entry *entry = &loader->box->config.entry;

	for (size_t i = 0; i < root->count; i++) {
		const struct cn_schema_key *key = &root->keys[i];
		struct cn_config_target target = { .section = key->sub };

		if (key->type != CN_SCHEMA_SECTION) {
			continue;
		}
		target.entry = cn_config_field(entry, key->offset);
		snprintf(target.where, sizeof(target.where), "%s", key->name);
		check_required(loader, &target, &entry->keys[i]);
	}
}

static int
load_all(struct cn_config_loader *loader)
{
	int err;

	err = copy_names(loader);
	if (err == CN_OK) {
		err = init_entry(
		    loader, cn_schema_root(), "", &loader->box->config.entry);
	}
	for (size_t i = 0; i < loader->sources.count && err == CN_OK; i++) {
		err = load_text_file(loader, (uint32_t)i);
	}
	for (size_t i = 0; i < CN_SCHEMA_KEYS_MAX && err == CN_OK; i++) {
		if (loader->found->kind[i].key != NULL) {
			err = load_entries(loader, &loader->found->kind[i]);
		}
	}
	/* With a file missing, what it holds would seem to be missing. */
	if (err == CN_OK && !loader->is_broken) {
		check_sections(loader);
		err = cn_config_check(
		    loader->box, &loader->sources, loader->diags);
	}
	return err;
}

int
cn_config_parse(const struct cn_config_text *texts, size_t count,
    struct cn_diag_list *diags, struct cn_config **ret)
{
	struct cn_config_found found = { 0 };
	struct cn_config_loader loader = {
		.sources = { .texts = texts, .count = count },
		.diags = diags,
		.found = &found,
	};
	struct cn_config *config;
	size_t errors = diags->errors;
	int err;

	loader.box = cn_config_box_create();
	if (loader.box == NULL) {
		return CN_ENOMEM;
	}
	config = &loader.box->config;
	cn_arena_init(&loader.trees);
	err = load_all(&loader);
	cn_diag_sort(diags);
	for (size_t i = 0; i < CN_SCHEMA_KEYS_MAX; i++) {
		cn_free(found.kind[i].item);
	}
	cn_arena_fini(&loader.trees);
	if (err == CN_OK && diags->errors > errors) {
		err = CN_ECONFIG;
	}
	if (err == CN_ECONFIG && diags->is_incomplete && diags->count == 0) {
		err = CN_ENOMEM;
	}
	if (err != CN_OK) {
		cn_config_unref(&config);
		return err;
	}
	*ret = config;
	return CN_OK;
}
