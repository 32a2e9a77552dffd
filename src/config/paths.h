/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_CONFIG_PATHS_H
#define CN_CONFIG_PATHS_H

/*
 * Where a gateway's files are unless told otherwise.
 *
 *                 root                             anyone else
 *   config        /etc/compressnet/compressnet.yaml
 *                                    $XDG_CONFIG_HOME/compressnet/...
 *   state         /var/lib/compressnet
 *                                    $XDG_STATE_HOME/compressnet
 *   key           <state>/identity.key
 *   socket        /run/compressnet/control.sock
 *                                    $XDG_RUNTIME_DIR/compressnet/...
 *
 * A service manager's choice goes before both: $STATE_DIRECTORY and
 * $RUNTIME_DIRECTORY (systemd sets them for units that ask for the folders)
 * replace the state folder and the socket's folder, and $COMPRESSNET_SOCKET
 * names the socket outright.
 *
 * Life:   filled by cn_paths_init(); plain memory, nothing to free.
 * Thread: reads the environment; call before threads start.
 */

#include "base/attr.h"

#define CN_PATHS_MAX 512u

struct cn_paths {
	char config[CN_PATHS_MAX];
	char state[CN_PATHS_MAX];
	char key[CN_PATHS_MAX];
	char socket[CN_PATHS_MAX];
};

enum cn_paths_kind {
	CN_PATHS_SYSTEM, /* the left column, whoever asks */
	CN_PATHS_USER,   /* the right column */
	CN_PATHS_AUTO,   /* by the effective user */
};

/*
 * Returns CN_OK; CN_ENOENT when neither XDG folders nor HOME are set to
 * absolute paths; CN_ELIMIT when a path is too long.
 */
int cn_paths_init(struct cn_paths *paths, enum cn_paths_kind kind) CN_MUSTCHECK;

#endif /* CN_CONFIG_PATHS_H */
