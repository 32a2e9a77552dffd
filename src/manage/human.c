/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/human.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* Three digits that matter: 1.23, 12.3, 123. */
static int
digits(double value)
{
	return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

static struct cn_human
scaled(double value, double step, const char *const *units, size_t count)
{
	struct cn_human human;
	size_t unit = 0;

	/* Rounded first: 999,999 bytes are 1.00 MB, not 1000 kB. */
	while (unit + 1 < count && value >= step - 0.5) {
		value /= step;
		unit++;
	}
	(void)snprintf(human.text, sizeof(human.text), "%.*f %s",
	    unit == 0 ? 0 : digits(value), value, units[unit]);
	return human;
}

struct cn_human
cn_human_bytes(uint64_t bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB",
		"EB" };

	return scaled((double)bytes, 1000, units, CN_ARRAY_LEN(units));
}

struct cn_human
cn_human_memory(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB",
		"PiB", "EiB" };

	return scaled((double)bytes, 1024, units, CN_ARRAY_LEN(units));
}

struct cn_human
cn_human_rate(uint64_t bytes, uint64_t over_us)
{
	static const char *const units[] = { "B/s", "kB/s", "MB/s", "GB/s",
		"TB/s" };
	double rate = over_us == 0 ? 0 : (double)bytes * 1e6 / (double)over_us;

	return scaled(rate, 1000, units, CN_ARRAY_LEN(units));
}

struct cn_human
cn_human_duration(uint64_t us)
{
	struct cn_human human;
	char *text = human.text;
	uint64_t s = us / 1000000;

	if (us < 1000) {
		(void)snprintf(text, sizeof(human.text), "%u us", (unsigned)us);
	} else if (us < 999500) {
		(void)snprintf(text, sizeof(human.text), "%.*f ms",
		    digits((double)us / 1e3), (double)us / 1e3);
	} else if (us < 59950000) {
		(void)snprintf(text, sizeof(human.text), "%.*f s",
		    digits((double)us / 1e6), (double)us / 1e6);
	} else if (s < 3600) {
		(void)snprintf(text, sizeof(human.text), "%u min %u s",
		    (unsigned)(s / 60), (unsigned)(s % 60));
	} else if (s < 86400) {
		(void)snprintf(text, sizeof(human.text), "%u h %u min",
		    (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	} else {
		(void)snprintf(text, sizeof(human.text), "%llu d %u h",
		    (unsigned long long)(s / 86400), (unsigned)(s / 3600 % 24));
	}
	return human;
}

struct cn_human
cn_human_rtt(uint64_t us)
{
	struct cn_human none = { "-" };

	return us == 0 ? none : cn_human_duration(us);
}

struct cn_human
cn_human_ratio(uint64_t lan, uint64_t wan)
{
	struct cn_human human = { "-" };

	if (lan > 0 && wan > 0) {
		double ratio = (double)lan / (double)wan;

		(void)snprintf(human.text, sizeof(human.text), "%.*fx",
		    digits(ratio), ratio);
	}
	return human;
}

struct cn_human
cn_human_saved(uint64_t lan, uint64_t wan)
{
	struct cn_human human = { "-" };

	if (lan > 0) {
		double saved = 100.0 * (1.0 - (double)wan / (double)lan);

		if (saved < -999.0) {
			(void)snprintf(
			    human.text, sizeof(human.text), "<-999 %%");
		} else {
			/* No "-0.0": it would read as a loss. */
			(void)snprintf(human.text, sizeof(human.text),
			    "%.1f %%", fabs(saved) < 0.05 ? 0.0 : saved);
		}
	}
	return human;
}

struct unit {
	const char *name;
	double factor;
};

static int
parse_scaled(
    const char *text, const struct unit *units, size_t count, uint64_t *ret)
{
	char *end;

	if ((text[0] < '0' || text[0] > '9') && text[0] != '.') {
		return CN_EINVAL; /* strtod() would take "nan" and "-1" */
	}
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		return CN_EINVAL;
	}
	errno = 0;
	double value = strtod(text, &end);
	if (errno != 0 || end == text) {
		return CN_EINVAL;
	}
	while (*end == ' ') {
		end++;
	}
	for (size_t i = 0; i < count; i++) {
		if (strcmp(end, units[i].name) == 0) {
			value *= units[i].factor;
			if (!(value >= 0 && value < 1e18)) {
				return CN_EINVAL;
			}
			*ret = (uint64_t)(value + 0.5);
			return CN_OK;
		}
	}
	return CN_EINVAL;
}

int
cn_human_parse_rate(const char *text, uint64_t *ret_bps)
{
	static const struct unit units[] = { { "", 1 }, { "bit", 1 },
		{ "kbit", 1e3 }, { "mbit", 1e6 }, { "gbit", 1e9 },
		{ "bit/s", 1 }, { "kbit/s", 1e3 }, { "mbit/s", 1e6 },
		{ "gbit/s", 1e9 }, { "Mbit", 1e6 }, { "Gbit", 1e9 },
		{ "Mbit/s", 1e6 }, { "Gbit/s", 1e9 }, { "Mb/s", 1e6 },
		{ "Gb/s", 1e9 } };

	return parse_scaled(text, units, CN_ARRAY_LEN(units), ret_bps);
}

int
cn_human_parse_duration(const char *text, uint64_t *ret_us)
{
	static const struct unit units[] = { { "us", 1 }, { "ms", 1e3 },
		{ "s", 1e6 }, { "min", 60e6 } };

	return parse_scaled(text, units, CN_ARRAY_LEN(units), ret_us);
}

int
cn_human_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = { { "", 1 }, { "B", 1 },
		{ "kB", 1e3 }, { "MB", 1e6 }, { "GB", 1e9 }, { "KiB", 1024 },
		{ "MiB", 1024.0 * 1024 }, { "GiB", 1024.0 * 1024 * 1024 } };

	return parse_scaled(text, units, CN_ARRAY_LEN(units), ret_bytes);
}
