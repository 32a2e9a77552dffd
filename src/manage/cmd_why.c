/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "manage/ask.h"
#include "manage/view.h"

/* Columns of a terminal that everybody has. */
#define LINE_WIDTH 78u
#define INDENT 10u

/* Words of a text in lines, behind a name. */
static void
print_wrapped(const char *name, const char *text)
{
	char clean[CN_SNAP_LONG];
	size_t column;
	char *rest, *word;

	if (text[0] == '\0') {
		return;
	}
	cn_table_clean(clean, sizeof(clean), text);
	printf("%*s", (int)INDENT, name);
	column = INDENT;
	for (word = strtok_r(clean, " ", &rest); word != NULL;
	     word = strtok_r(NULL, " ", &rest)) {
		if (column + 1 + strlen(word) > LINE_WIDTH) {
			printf("\n%*s", (int)INDENT, "");
			column = INDENT;
		}
		printf(" %s", word);
		column += 1 + strlen(word);
	}
	(void)putchar('\n');
}

static void
print_finding(const struct cn_snap_finding *finding, bool is_bold)
{
	char share[32], reason[CN_SNAP_WORD], format[CN_SNAP_WORD];

	cn_table_clean(reason, sizeof(reason), finding->reason);
	cn_table_clean(format, sizeof(format), finding->format);
	(void)snprintf(share, sizeof(share), "%llu.%llu %%",
	    (unsigned long long)finding->share / 10,
	    (unsigned long long)finding->share % 10);
	printf("\n%*s %s%s%s%s%s%s  %s\n", (int)INDENT, share,
	    is_bold ? "\x1b[1m" : "", reason, format[0] == '\0' ? "" : " (",
	    format, format[0] == '\0' ? "" : ")", is_bold ? "\x1b[0m" : "",
	    cn_human_bytes(finding->bytes).text);
	print_wrapped("", finding->text);
	print_wrapped("counted:", finding->evidence);
	print_wrapped("to mend:", finding->fix);
}

static void
print_why(const struct cn_snap_why *why, bool is_bold)
{
	char text[64];

	if (why->stream != 0) {
		(void)snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)why->stream);
		cn_view_line("stream", text);
	}
	cn_view_line(why->is_ours ? "service" : "offer", why->service);
	if (why->peer[0] != '\0') {
		cn_view_line("peer", why->peer);
	}
	cn_view_line("profile", why->profile);
	if (why->is_ours) {
		cn_view_line("scope", why->scope);
	}
	cn_view_line("why", why->why);
	(void)putchar('\n');
	cn_view_bytes(&why->sent, &why->received, is_bold);
	if (why->findings_count == 0) {
		printf("\nNothing stands in the way.\n");
	} else {
		printf("\nOf %s on the wire:\n",
		    cn_human_bytes(why->fates.wan).text);
	}
	for (size_t i = 0; i < why->findings_count; i++) {
		print_finding(&why->findings[i], is_bold);
	}
}

static enum cn_exit
show_why(const struct cn_args *args, struct cn_request *request)
{
	struct cn_snap_why why = { 0 };
	struct cn_reply reply;
	struct cn_ask ask;
	enum cn_exit code = cn_ask_open(&ask, args);

	if (code != CN_EXIT_OK) {
		return code;
	}
	code = cn_ask_call(&ask, request, &reply);
	cn_ask_close(&ask);
	if (code != CN_EXIT_OK) {
		return code;
	}
	if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
	} else if (cn_shape_decode(&cn_snap_why_shape, reply.data, &why) < 0) {
		cn_cli_error("the gateway's answer makes no sense");
		code = CN_EXIT_FAILED;
	} else {
		print_why(&why, cn_cli_is_coloured(args, STDOUT_FILENO));
		cn_snap_why_clear(&why);
	}
	cn_reply_fini(&reply);
	return code;
}

enum cn_exit
cn_cmd_streams_why(const struct cn_args *args)
{
	struct cn_request request = { .command = CN_COMMAND_STREAM_WHY };

	if (!cn_cli_stream(args, &request.stream)) {
		return CN_EXIT_USAGE;
	}
	return show_why(args, &request);
}

enum cn_exit
cn_cmd_services_why(const struct cn_args *args)
{
	struct cn_request request = { .command = CN_COMMAND_SERVICE_WHY };

	if (args->word[0][0] == '\0' ||
	    strlen(args->word[0]) >= sizeof(request.service)) {
		return cn_cli_usage(args,
		    "'%.80s' is not the name of a service", args->word[0]);
	}
	cn_snap_text(request.service, sizeof(request.service), args->word[0]);
	return show_why(args, &request);
}

/* ---- which rule takes it? ---- */

static void
print_test(const struct cn_snap_test *test, bool is_bold)
{
	static const struct cn_table_column columns[] = { { "", false },
		{ "RULE", false }, { "NAME", false }, { "ADDRESS", false },
		{ "PEER", false }, { "BECAUSE", false } };
	struct cn_table table;

	cn_table_init(&table, columns, CN_ARRAY_LEN(columns));
	for (size_t i = 0; i < test->rules_count; i++) {
		const struct cn_snap_rule *rule = &test->rules[i];

		cn_table_row(&table,
		    (const char *const[]){ rule->is_match ? "yes" : "no",
			rule->kind, rule->name, rule->address, rule->peers,
			rule->text });
	}
	cn_table_print(&table, stdout, is_bold, 0);
	cn_table_fini(&table);
}

enum cn_exit
cn_cmd_services_test(const struct cn_args *args)
{
	struct cn_request request = { .command = CN_COMMAND_SERVICE_TEST };
	struct cn_snap_test test = { 0 };
	struct cn_reply reply;
	struct cn_ask ask;
	enum cn_exit code;

	if (args->word[0][0] == '\0' ||
	    strlen(args->word[0]) >= sizeof(request.target)) {
		return cn_cli_usage(
		    args, "'%.80s' is not HOST:PORT", args->word[0]);
	}
	cn_snap_text(request.target, sizeof(request.target), args->word[0]);
	code = cn_ask_open(&ask, args);
	if (code == CN_EXIT_OK) {
		code = cn_ask_call(&ask, &request, &reply);
		cn_ask_close(&ask);
	}
	if (code != CN_EXIT_OK) {
		return code;
	}
	if (cn_shape_decode(&cn_snap_test_shape, reply.data, &test) < 0) {
		cn_cli_error("the gateway's answer makes no sense");
		code = CN_EXIT_FAILED;
	} else if (args->option[CN_OPTION_JSON] != NULL) {
		code = cn_ask_print(reply.data, false);
	} else {
		print_test(&test, cn_cli_is_coloured(args, STDOUT_FILENO));
	}
	cn_reply_fini(&reply);
	if (code == CN_EXIT_OK && test.matches == 0) {
		cn_cli_error("no service or offer carries %s", args->word[0]);
		code = CN_EXIT_FAILED;
	}
	cn_snap_test_clear(&test);
	return code;
}
