/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cli.h"

int
main(int argc, char **argv)
{
	return cn_cli_main(argc, argv);
}
