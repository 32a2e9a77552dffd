/* SPDX-License-Identifier: Apache-2.0 */
#include "config/paths.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define NAME "compressnet"

/* A variable that holds an absolute path; NULL: it does not. */
static const char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] == '/' ? value : NULL;
}

static int
join(char out[CN_PATHS_MAX], const char *a, const char *b)
{
	int len = snprintf(out, CN_PATHS_MAX, "%s%s", a, b);

	return len < 0 || (size_t)len >= CN_PATHS_MAX ? CN_ELIMIT : CN_OK;
}

/*
 * A folder of the user's: $XDG_..., or its usual place below $HOME.
 *
 * @below  NULL: there is none
 */
static int
user_folder(char out[CN_PATHS_MAX], const char *xdg, const char *below)
{
	const char *home = variable("HOME");

	if (variable(xdg) != NULL) {
		return join(out, variable(xdg), "/" NAME);
	}
	if (home == NULL || below == NULL) {
		return CN_ENOENT;
	}
	return join(out, home, below);
}

/* What systemd made for us; the first of several, which a colon parts. */
static bool
service_folder(char out[CN_PATHS_MAX], const char *name)
{
	const char *value = variable(name);
	size_t len;

	if (value == NULL) {
		return false;
	}
	len = strcspn(value, ":");
	if (len >= CN_PATHS_MAX) {
		return false;
	}
	memcpy(out, value, len);
	out[len] = '\0';
	return true;
}

static int
set_state(struct cn_paths *paths, bool is_system)
{
	int err = CN_OK;

	if (service_folder(paths->state, "STATE_DIRECTORY")) {
		;
	} else if (is_system) {
		err = join(paths->state, "/var/lib/" NAME, "");
	} else {
		err = user_folder(
		    paths->state, "XDG_STATE_HOME", "/.local/state/" NAME);
	}
	return err != CN_OK ? err
			    : join(paths->key, paths->state, "/identity.key");
}

static int
set_socket(struct cn_paths *paths, bool is_system)
{
	char folder[CN_PATHS_MAX];
	const char *given = variable("COMPRESSNET_SOCKET");
	int err = CN_OK;

	if (given != NULL) {
		return join(paths->socket, given, "");
	}
	if (service_folder(folder, "RUNTIME_DIRECTORY")) {
		;
	} else if (is_system) {
		err = join(folder, "/run/" NAME, "");
	} else {
		err = user_folder(folder, "XDG_RUNTIME_DIR", NULL);
		if (err == CN_ENOENT) {
			/* No session of systemd: the state folder serves. */
			err = join(folder, paths->state, "");
		}
	}
	return err != CN_OK ? err
			    : join(paths->socket, folder, "/control.sock");
}

int
cn_paths_init(struct cn_paths *paths, enum cn_paths_kind kind)
{
	bool is_system = kind == CN_PATHS_SYSTEM ||
	    (kind == CN_PATHS_AUTO && geteuid() == 0);
	char folder[CN_PATHS_MAX];
	int err = CN_OK;

	if (is_system) {
		err = join(folder, "/etc/" NAME, "");
	} else {
		err = user_folder(folder, "XDG_CONFIG_HOME", "/.config/" NAME);
	}
	if (err == CN_OK) {
		err = join(paths->config, folder, "/" NAME ".yaml");
	}
	if (err == CN_OK) {
		err = set_state(paths, is_system);
	}
	if (err == CN_OK) {
		err = set_socket(paths, is_system);
	}
	return err;
}
