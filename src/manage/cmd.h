/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_CMD_H
#define CN_MANAGE_CMD_H

/*
 * The commands' functions; what each does stands in its row of commands.c.
 * Data goes to stdout, talk to stderr.
 *
 * Thread: main.
 */

#include "manage/cli.h"

enum cn_exit cn_cmd_status(const struct cn_args *args);
enum cn_exit cn_cmd_streams_list(const struct cn_args *args);
enum cn_exit cn_cmd_streams_show(const struct cn_args *args);
enum cn_exit cn_cmd_streams_kill(const struct cn_args *args);
enum cn_exit cn_cmd_streams_why(const struct cn_args *args);
enum cn_exit cn_cmd_top(const struct cn_args *args);
enum cn_exit cn_cmd_peers(const struct cn_args *args);
enum cn_exit cn_cmd_peers_drain(const struct cn_args *args);
enum cn_exit cn_cmd_peers_resume(const struct cn_args *args);
enum cn_exit cn_cmd_peers_remove(const struct cn_args *args);
enum cn_exit cn_cmd_invite(const struct cn_args *args);
enum cn_exit cn_cmd_join(const struct cn_args *args);
enum cn_exit cn_cmd_doctor(const struct cn_args *args);
enum cn_exit cn_cmd_probe(const struct cn_args *args);
enum cn_exit cn_cmd_verify(const struct cn_args *args);
enum cn_exit cn_cmd_services(const struct cn_args *args);
enum cn_exit cn_cmd_services_why(const struct cn_args *args);
enum cn_exit cn_cmd_services_test(const struct cn_args *args);
enum cn_exit cn_cmd_config_check(const struct cn_args *args);
enum cn_exit cn_cmd_config_show(const struct cn_args *args);
enum cn_exit cn_cmd_config_diff(const struct cn_args *args);
enum cn_exit cn_cmd_config_init(const struct cn_args *args);
enum cn_exit cn_cmd_config_schema(const struct cn_args *args);
enum cn_exit cn_cmd_config_reload(const struct cn_args *args);
enum cn_exit cn_cmd_key_gen(const struct cn_args *args);
enum cn_exit cn_cmd_key_show(const struct cn_args *args);
enum cn_exit cn_cmd_events(const struct cn_args *args);
enum cn_exit cn_cmd_support_bundle(const struct cn_args *args);
enum cn_exit cn_cmd_store_status(const struct cn_args *args);
enum cn_exit cn_cmd_store_verify(const struct cn_args *args);
enum cn_exit cn_cmd_store_trim(const struct cn_args *args);
enum cn_exit cn_cmd_store_clear(const struct cn_args *args);
enum cn_exit cn_cmd_store_export(const struct cn_args *args);
enum cn_exit cn_cmd_store_import(const struct cn_args *args);
enum cn_exit cn_cmd_store_warm(const struct cn_args *args);
enum cn_exit cn_cmd_store_key(const struct cn_args *args);
enum cn_exit cn_cmd_estimate(const struct cn_args *args);
enum cn_exit cn_cmd_ports(const struct cn_args *args);
enum cn_exit cn_cmd_serve(const struct cn_args *args);
enum cn_exit cn_cmd_dashboard(const struct cn_args *args);
enum cn_exit cn_cmd_demo(const struct cn_args *args);
enum cn_exit cn_cmd_completion(const struct cn_args *args);
enum cn_exit cn_cmd_version(const struct cn_args *args);
enum cn_exit cn_cmd_help(const struct cn_args *args);

#endif /* CN_MANAGE_CMD_H */
