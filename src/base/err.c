/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <string.h>

/* Linux keeps errno values below this; ours begin at 1000. */
#define ERRNO_END 1000

static const char *const own_text[] = {
	[CN_EEND - CN_EEND] = "the input ended early",
	[CN_EEND - CN_EPROTO] = "the peer broke the protocol",
	[CN_EEND - CN_ECODING] = "coded bytes could not be decoded",
	[CN_EEND - CN_ESTALE] = "it belongs to an earlier generation",
	[CN_EEND - CN_EDRAIN] = "draining, nothing new is accepted",
	[CN_EEND - CN_ECONFIG] = "the configuration is wrong",
	[CN_EEND - CN_EKEY] = "the key or identity is wrong",
	[CN_EEND - CN_ETLS] = "TLS failed",
	[CN_EEND - CN_EPEER] = "the peer is not a known one",
	[CN_EEND - CN_ELIMIT] = "a limit is reached",
	[CN_EEND - CN_ECLOSED] = "it is closed already",
};

int
cn_err_from_errno(int errnum)
{
	if (errnum <= 0 || errnum >= ERRNO_END) {
		return CN_EIO;
	}
	return -errnum;
}

const char *
cn_err_text(int err)
{
	const char *text;

	if (err == CN_OK) {
		return "success";
	}
	if (err <= CN_EEND && err >= CN_ECLOSED) {
		return own_text[CN_EEND - err];
	}
	if (err > -ERRNO_END && err < 0) {
		/* Neither translated nor in a shared buffer. */
		text = strerrordesc_np(-err);
		if (text != NULL) {
			return text;
		}
	}
	return "unknown error";
}
