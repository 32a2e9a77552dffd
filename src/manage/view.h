/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_MANAGE_VIEW_H
#define CN_MANAGE_VIEW_H

/*
 * Tables of what a gateway told, on stdout; several commands show the same.
 *
 * Thread: main.
 */

#include "control/snapshot.h"
#include "manage/human.h"
#include "manage/table.h"

void cn_view_peers(
    const struct cn_snap_peer *peers, size_t count, bool is_bold);
/* A peer with its links and carriers. */
void cn_view_peer(const struct cn_snap_peer *peer, bool is_bold);
void cn_view_services(
    const struct cn_snap_service *services, size_t count, bool is_bold);
void cn_view_offers(
    const struct cn_snap_offer *offers, size_t count, bool is_bold);

void cn_view_store(const struct cn_snap_store *store);

/* Bytes by direction and fate. */
void cn_view_bytes(const struct cn_snap_bytes *sent,
    const struct cn_snap_bytes *received, bool is_bold);

/* "name   value" with the names aligned; text is cleaned. */
void cn_view_line(const char *name, const char *text);

#endif /* CN_MANAGE_VIEW_H */
