/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tcpinfo.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"

int
cn_tcpinfo_get(int fd, struct cn_tcpinfo *ret)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	/* An older kernel fills less of it. */
	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) {
		return cn_err_from_errno(errno);
	}
	ret->rate_bps = info.tcpi_delivery_rate;
	ret->is_app_limited = info.tcpi_delivery_rate_app_limited != 0;
	ret->rtt_us = info.tcpi_rtt;
	ret->min_rtt_us = info.tcpi_min_rtt;
	ret->acked = info.tcpi_bytes_acked;
	ret->unsent = info.tcpi_notsent_bytes;
	ret->segments_out = info.tcpi_segs_out;
	ret->segments_in = info.tcpi_segs_in;
	ret->segments_data = info.tcpi_data_segs_out;
	ret->segments_resent = info.tcpi_total_retrans;
	return CN_OK;
}
