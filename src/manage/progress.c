/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/progress.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "manage/human.h"

#define SHOW_US UINT64_C(100000)
#define QUIET_US UINT64_C(500000)
#define BAR 20u

static volatile sig_atomic_t is_stopped;

static void
on_signal(int number CN_UNUSED)
{
	is_stopped = 1;
}

void
cn_progress_begin(struct cn_progress *p)
{
	/* SA_RESETHAND: the second one is not ours any more. */
	struct sigaction action = { .sa_handler = on_signal,
		.sa_flags = (int)SA_RESETHAND };

	memset(p, 0, sizeof(*p));
	p->begun_us = cn_clock_us();
	p->is_live = isatty(STDERR_FILENO) == 1;
	is_stopped = 0;
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
}

bool
cn_progress_is_stopped(void)
{
	return is_stopped != 0;
}

void
cn_progress_show(struct cn_progress *p, const char *what, uint64_t done,
    uint64_t total, uint64_t wan)
{
	uint64_t now = cn_clock_us();
	unsigned percent;
	char bar[BAR + 1];

	if (!p->is_live || now < p->begun_us + QUIET_US ||
	    now < p->shown_us + SHOW_US) {
		return;
	}
	p->shown_us = now;
	percent = total == 0
	    ? 100
	    : (unsigned)(100.0 * (double)CN_MIN(done, total) / (double)total);
	for (unsigned i = 0; i < BAR; i++) {
		bar[i] = i * 100 / BAR < percent ? '#' : '.';
	}
	bar[BAR] = '\0';
	p->has_line = true;
	(void)fprintf(stderr, "\r\x1b[K  %s %s %3u %%  %s of %s  WAN %s  %s",
	    what, bar, percent, cn_human_bytes(done).text,
	    cn_human_bytes(total).text, cn_human_bytes(wan).text,
	    cn_human_rate(done, now - p->begun_us).text);
	(void)fflush(stderr);
}

void
cn_progress_clear(struct cn_progress *p)
{
	if (p->has_line) {
		p->has_line = false;
		(void)fputs("\r\x1b[K", stderr);
		(void)fflush(stderr);
	}
}

void
cn_progress_end(struct cn_progress *p)
{
	cn_progress_clear(p);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
}
