/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/top.h"

#include <ncurses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

/* Lines above and below the rows. */
#define LINES_ABOVE 3
#define LINES_BELOW 1
#define KEY_WAIT_MS 100

static volatile sig_atomic_t is_told_to_end;

static void
on_signal(int number)
{
	(void)number;
	is_told_to_end = 1;
}

struct screen {
	struct cn_top *top;
	SCREEN *curses;
	int words;     /* descriptor that collects stderr; -1 */
	int stderr_fd; /* the true one */
	size_t first;  /* row at the top */
	bool is_help, is_over;
};

/* ---- the terminal ---- */

/* What is said while the screen is up would be lost on it: keep it. */
static void
keep_words(struct screen *screen)
{
	screen->words = memfd_create("words", MFD_CLOEXEC);
	screen->stderr_fd = screen->words < 0 ? -1 : dup(STDERR_FILENO);
	if (screen->stderr_fd >= 0) {
		(void)dup2(screen->words, STDERR_FILENO);
	}
}

static void
say_words(struct screen *screen)
{
	char part[512];
	ssize_t n;

	(void)fflush(stderr);
	if (screen->stderr_fd >= 0) {
		(void)dup2(screen->stderr_fd, STDERR_FILENO);
		(void)close(screen->stderr_fd);
		(void)lseek(screen->words, 0, SEEK_SET);
		while ((n = read(screen->words, part, sizeof(part))) > 0) {
			if (write(STDERR_FILENO, part, (size_t)n) != n) {
				break;
			}
		}
	}
	if (screen->words >= 0) {
		(void)close(screen->words);
	}
}

static void
watch_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = on_signal };

	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < CN_ARRAY_LEN(numbers); i++) {
		(void)sigaction(numbers[i], &action, NULL);
	}
}

static enum cn_exit
open_screen(struct screen *screen)
{
	const char *term = getenv("TERM");

	screen->curses = newterm(NULL, stdout, stdin);
	if (screen->curses == NULL) {
		cn_cli_error("this terminal is not known (TERM is %s)",
		    term == NULL ? "not set" : term);
		cn_cli_hint("set TERM, to xterm say, or use --batch");
		return CN_EXIT_FAILED;
	}
	watch_signals();
	(void)cbreak();
	(void)noecho();
	(void)curs_set(0);
	(void)keypad(stdscr, TRUE);
	timeout(KEY_WAIT_MS);
	keep_words(screen);
	return CN_EXIT_OK;
}

static void
close_screen(struct screen *screen)
{
	(void)endwin();
	delscreen(screen->curses);
	say_words(screen);
}

/* ---- drawing ---- */

static size_t
width(void)
{
	return (size_t)CN_MAX(COLS, 1);
}

static size_t
rows_shown(void)
{
	int rows = LINES - LINES_ABOVE - LINES_BELOW;

	return (size_t)CN_MAX(rows, 1);
}

/* One line, as wide as the screen. */
static void
put_line(int line, attr_t attributes, const char *text)
{
	if (line < 0 || line >= LINES) {
		return;
	}
	(void)move(line, 0);
	(void)clrtoeol();
	(void)attrset((int)attributes);
	(void)addnstr(text, COLS);
	(void)attrset(A_NORMAL);
}

static void
draw_help(void)
{
	static const char *const lines[] = {
		"r  by rate        s  by saved bytes",
		"a  by age         b  by bytes",
		"p  by peer        tab  other view",
		"arrows, page up and down: scroll",
		"?  this help      q  quit",
	};

	for (size_t i = 0; i < CN_ARRAY_LEN(lines); i++) {
		put_line(LINES_ABOVE + (int)i, A_NORMAL, lines[i]);
	}
}

static void
draw_rows(struct screen *screen)
{
	const struct cn_top_rows *rows = &screen->top->rows;
	char line[CN_TOP_LINE_MAX];
	size_t shown = rows_shown();

	if (screen->first + shown > rows->count) {
		screen->first = rows->count > shown ? rows->count - shown : 0;
	}
	for (size_t i = 0; i < shown && screen->first + i < rows->count; i++) {
		cn_top_line(
		    screen->top, &rows->row[screen->first + i], width(), line);
		put_line(LINES_ABOVE + (int)i, A_NORMAL, line);
	}
}

static void
draw(struct screen *screen)
{
	struct cn_top *top = screen->top;
	char line[CN_TOP_LINE_MAX];

	(void)erase();
	cn_top_head(top, width(), line);
	put_line(0, A_BOLD, line);
	cn_top_sums(top, width(), line);
	put_line(1, A_NORMAL, line);
	cn_top_titles(top, width(), line);
	put_line(2, A_REVERSE, line);
	if (screen->is_help) {
		draw_help();
	} else {
		draw_rows(screen);
	}
	(void)snprintf(line, sizeof(line), "%s by %s  %zu-%zu of %zu  ?=help",
	    cn_top_view_name(top->view), cn_top_sort_name(top->sort),
	    top->rows.count == 0 ? 0 : screen->first + 1,
	    CN_MIN(screen->first + rows_shown(), top->rows.count),
	    top->rows.count);
	put_line(LINES - 1, A_NORMAL, line);
	(void)refresh();
}

/* ---- keys ---- */

static void
move_by(struct screen *screen, long by)
{
	long first = (long)screen->first + by;

	screen->first = first < 0 ? 0 : (size_t)first;
}

/* True: look again at once. */
static bool
on_key(struct screen *screen, int key)
{
	static const struct {
		int key;
		enum cn_top_sort sort;
	} sorts[] = { { 'r', CN_TOP_BY_RATE }, { 's', CN_TOP_BY_SAVED },
		{ 'a', CN_TOP_BY_AGE }, { 'b', CN_TOP_BY_BYTES },
		{ 'p', CN_TOP_BY_PEER } };
	long page = (long)rows_shown();

	for (size_t i = 0; i < CN_ARRAY_LEN(sorts); i++) {
		if (key == sorts[i].key) {
			cn_top_set_sort(screen->top, sorts[i].sort);
			screen->first = 0;
		}
	}
	if (key == 'q') {
		screen->is_over = true;
	} else if (key == '\t') {
		cn_top_set_view(screen->top,
		    (enum cn_top_view)(
			(screen->top->view + 1) % CN_TOP_VIEW_MAX));
		screen->first = 0;
		return true;
	} else if (key == KEY_UP || key == KEY_DOWN) {
		move_by(screen, key == KEY_UP ? -1 : 1);
	} else if (key == KEY_PPAGE || key == KEY_NPAGE) {
		move_by(screen, key == KEY_PPAGE ? -page : page);
	} else if (key == KEY_HOME) {
		screen->first = 0;
	}
	screen->is_help = key == '?' && !screen->is_help;
	return false;
}

/* Keys, until it is time for the next look. */
static void
take_keys(struct screen *screen, uint64_t until)
{
	while (!screen->is_over && !is_told_to_end && cn_clock_us() < until) {
		int key = getch();

		if (key == ERR) {
			continue;
		}
		if (key != KEY_RESIZE && on_key(screen, key)) {
			return;
		}
		draw(screen);
	}
}

enum cn_exit
cn_top_screen(struct cn_top *top, struct cn_ask *ask, uint64_t interval_us,
    uint64_t count)
{
	struct screen screen = { .top = top, .words = -1, .stderr_fd = -1 };
	enum cn_exit code = open_screen(&screen);

	if (code != CN_EXIT_OK) {
		return code;
	}
	while (!screen.is_over && !is_told_to_end && count-- > 0) {
		code = cn_top_look(top, ask);
		if (code != CN_EXIT_OK) {
			break;
		}
		draw(&screen);
		take_keys(&screen, cn_clock_us() + interval_us);
	}
	close_screen(&screen);
	return code;
}
