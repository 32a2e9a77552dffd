/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Feeds each file of the folders given, and each beginning of it, to a
 * harness: what once failed must not fail again.  Each input lies in a block
 * of exactly its size, so that a sanitizer sees a read past its end.
 */

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1u << 20)
/* Beginnings tried for each file; long files are cut at fewer places. */
#define CUTS_MAX 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
feed(const uint8_t *data, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	if (!exact) {
		abort();
	}
	memcpy(exact, data, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

/* Returns false if the file cannot be read. */
static bool
replay_file(const char *path)
{
	uint8_t *data = malloc(INPUT_MAX);
	FILE *file = fopen(path, "rb");
	size_t len = 0, step, cut;
	bool ok = false;

	if (data && file) {
		len = fread(data, 1, INPUT_MAX, file);
		ok = !ferror(file);
	}
	if (ok) {
		step = len / CUTS_MAX + 1;
		for (cut = 0; cut < len; cut += step) {
			feed(data, cut);
		}
		feed(data, len);
	}
	if (file) {
		fclose(file);
	}
	free(data);
	return ok;
}

/* Returns the number of files replayed, -1 if one could not be. */
static int
replay_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	char path[4096];
	int files = 0;

	if (!dir) {
		fprintf(stderr, "%s: no such corpus\n", folder);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.') {
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (!replay_file(path)) {
			fprintf(stderr, "%s: cannot be read\n", path);
			files = -1;
			break;
		}
		files++;
	}
	closedir(dir);
	return files;
}

int
main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int files = replay_folder(argv[i]);

		if (files < 0) {
			return 1;
		}
		total += files;
	}
	printf("%d files\n", total);
	return total > 0 ? 0 : 1;
}
