/* SPDX-License-Identifier: Apache-2.0 */
#include "wanunits.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	double factor;
};

static bool
parse(const char *text, const struct unit *units, uint64_t *ret)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || !(value >= 0.0) || value > 1e15) {
		return false;
	}
	for (; units->name; units++) {
		if (strcmp(end, units->name) == 0) {
			*ret = (uint64_t)(value * units->factor + 0.5);
			return true;
		}
	}
	/* Nothing needs no unit. */
	if (*end == '\0' && value <= 0.0) {
		*ret = 0;
		return true;
	}
	return false;
}

bool
cn_wanunits_rate(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "bit", 1.0 },
		{ "kbit", 1e3 },
		{ "mbit", 1e6 },
		{ "gbit", 1e9 },
		{ NULL, 0.0 },
	};

	return parse(text, units, ret);
}

bool
cn_wanunits_time(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "us", 1.0 },
		{ "ms", 1e3 },
		{ "s", 1e6 },
		{ NULL, 0.0 },
	};

	return parse(text, units, ret);
}

bool
cn_wanunits_size(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1.0 },
		{ "B", 1.0 },
		{ "KiB", 1024.0 },
		{ "MiB", 1048576.0 },
		{ "GiB", 1073741824.0 },
		{ NULL, 0.0 },
	};

	return parse(text, units, ret);
}

bool
cn_wanunits_share(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "%", 1e4 },
		{ NULL, 0.0 },
	};
	uint64_t parts;

	if (!parse(text, units, &parts) || parts > 1000000) {
		return false;
	}
	*ret = parts;
	return true;
}

bool
cn_wanunits_count(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1.0 },
		{ NULL, 0.0 },
	};

	return parse(text, units, ret);
}
