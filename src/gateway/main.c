/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "gateway/daemon.h"

static const char usage[] =
    "Usage: compressnetd [-c FILE] [--check]\n"
    "\n"
    "The gateway: carries TCP connections to its peers compressed and\n"
    "encrypted.  It stays in the foreground and logs to standard error.\n"
    "\n"
    "  -c, --config FILE  the configuration (default %s)\n"
    "      --check        check the configuration and exit\n"
    "      --no-sandbox   keep capabilities and all system calls\n"
    "      --version      print the version and exit\n"
    "  -h, --help         print this and exit\n"
    "\n"
    "Signals: HUP reads the configuration again, TERM and INT wait for\n"
    "streams to end and a second one does not.\n"
    "Exit: 0 ended as told, 1 failed, 2 usage, 3 configuration.\n";

enum option_code {
	OPTION_CHECK = 256,
	OPTION_NO_SANDBOX,
	OPTION_VERSION,
};

/* A number from the environment, for tests alone; 0: not given. */
static uint64_t
hook(const char *name)
{
	const char *text = getenv(name);
	unsigned long long value;
	char *end;

	if (text == NULL) {
		return 0;
	}
	errno = 0;
	value = strtoull(text, &end, 10);
	return errno != 0 || end == text || *end != '\0' ? 0 : value;
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, OPTION_CHECK },
		{ "no-sandbox", no_argument, NULL, OPTION_NO_SANDBOX },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct cn_daemon_options options = { 0 };
	struct cn_paths paths;
	bool is_check = false;
	int code;

	/* Without a home everything must be named; that shows below. */
	if (cn_paths_init(&paths, CN_PATHS_AUTO) != CN_OK) {
		paths.config[0] = paths.key[0] = paths.socket[0] = '\0';
	}
	options.config = paths.config;
	options.paths = &paths;
	while ((code = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		switch (code) {
		case 'c':
			options.config = optarg;
			break;
		case OPTION_CHECK:
			is_check = true;
			break;
		case OPTION_NO_SANDBOX:
			options.no_sandbox = true;
			break;
		case OPTION_VERSION:
			(void)puts("compressnetd " CN_VERSION);
			return CN_EXIT_OK;
		case 'h':
			(void)printf(usage, paths.config);
			return CN_EXIT_OK;
		default:
			(void)fprintf(stderr, "Try 'compressnetd --help'.\n");
			return CN_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr,
		    "compressnetd: unexpected argument: "
		    "%s\nTry 'compressnetd --help'.\n",
		    argv[optind]);
		return CN_EXIT_USAGE;
	}
	if (is_check) {
		return (int)cn_daemon_check(options.config);
	}
	options.rekey_bytes = hook("COMPRESSNET_TEST_REKEY_BYTES");
	options.rekey_us = hook("COMPRESSNET_TEST_REKEY_US");
	return (int)cn_daemon_run(&options);
}
