/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/view.h"

#include <stdio.h>

static unsigned long long
n(uint64_t value)
{
	return (unsigned long long)value;
}

static void
view_sizes(const struct cn_snap_store *store)
{
	char text[CN_SNAP_PATH];

	(void)snprintf(text, sizeof(text),
	    "%llu: %llu in memory, %llu on disk, %llu being filled",
	    n(store->segments), n(store->memory_segments),
	    n(store->disk_segments), n(store->open_segments));
	cn_view_line("segments", text);
	(void)snprintf(text, sizeof(text), "%s of %s",
	    cn_human_memory(store->memory_bytes).text,
	    cn_human_memory(store->memory_cap).text);
	cn_view_line("memory", text);
	(void)snprintf(text, sizeof(text), "%s of %s",
	    cn_human_memory(store->disk_bytes).text,
	    cn_human_memory(store->disk_cap).text);
	cn_view_line(
	    "disk", store->has_disk ? text : "none: store.path is not set");
	if (store->has_disk) {
		cn_view_line("folder", store->path);
	}
	if (store->is_disk_lost) {
		cn_view_line("DISK NOT IN USE", store->error);
	}
	if (store->hook_bits == 0) {
		(void)snprintf(text, sizeof(text), "%s, every chunk",
		    cn_human_memory(store->index_bytes).text);
	} else {
		(void)snprintf(text, sizeof(text), "%s, one chunk of %llu",
		    cn_human_memory(store->index_bytes).text,
		    1ull << CN_MIN(store->hook_bits, 63u));
	}
	cn_view_line("index", text);
	(void)snprintf(text, sizeof(text), "%llu%s%s", n(store->scopes),
	    store->quota > 0 ? ", each at most " : "",
	    store->quota > 0 ? cn_human_memory(store->quota).text : "");
	cn_view_line("scopes", text);
}

static void
view_use(const struct cn_snap_store *store)
{
	char text[CN_SNAP_PATH];

	cn_view_line("usable", cn_human_memory(store->valid_bytes).text);
	cn_view_line("oldest",
	    store->oldest_us > 0 ? cn_human_duration(store->oldest_us).text
				 : "-");
	(void)snprintf(text, sizeof(text),
	    "%s of %s LAN bytes went as "
	    "references (%.1f %%)",
	    cn_human_bytes(store->copied).text, cn_human_bytes(store->lan).text,
	    store->lan == 0
		? 0.0
		: 100.0 * (double)store->copied / (double)store->lan);
	cn_view_line("hits", text);
	(void)snprintf(text, sizeof(text),
	    "%s sent, %s received; %s refused for want of room",
	    cn_human_bytes(store->appended).text,
	    cn_human_bytes(store->filled).text,
	    cn_human_bytes(store->refused).text);
	cn_view_line("stored", text);
	(void)snprintf(text, sizeof(text), "%llu segments", n(store->evicted));
	cn_view_line("given up", text);
	if (!store->has_disk) {
		return;
	}
	(void)snprintf(text, sizeof(text), "%llu segments, %llu failed",
	    n(store->loads), n(store->load_failures));
	cn_view_line("read back", text);
	(void)snprintf(text, sizeof(text), "%llu", n(store->write_failures));
	cn_view_line("failed writes", text);
	(void)snprintf(text, sizeof(text), "%llu segments found, %llu damaged",
	    n(store->recovered), n(store->damaged));
	cn_view_line("at the start", text);
}

void
cn_view_store(const struct cn_snap_store *store)
{
	if (!store->is_on) {
		(void)fputs(
		    "this gateway has no store: store.memory is 0\n", stdout);
		return;
	}
	view_sizes(store);
	view_use(store);
}
