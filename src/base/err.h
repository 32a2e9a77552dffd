/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_BASE_ERR_H
#define CN_BASE_ERR_H

/*
 * One space of errors for the whole program: 0 is success, a negated errno
 * is the system's, and from -1000 down are our own.  The values appear in
 * logs and in the API: they are never given another meaning.
 */

#include <errno.h>

#include "base/attr.h"

enum cn_err {
	CN_OK = 0,

	/* The system's that we name; any other negated errno may come too. */
	CN_EPERM = -EPERM,
	CN_ENOENT = -ENOENT,
	CN_EINTR = -EINTR,
	CN_EIO = -EIO,
	CN_EAGAIN = -EAGAIN,
	CN_ENOMEM = -ENOMEM,
	CN_EACCES = -EACCES,
	CN_EBUSY = -EBUSY,
	CN_EEXIST = -EEXIST,
	CN_ENOTDIR = -ENOTDIR,
	CN_EISDIR = -EISDIR,
	CN_EINVAL = -EINVAL,
	CN_ENFILE = -ENFILE,
	CN_EMFILE = -EMFILE,
	CN_EFBIG = -EFBIG,
	CN_ENOSPC = -ENOSPC,
	CN_EROFS = -EROFS,
	CN_EPIPE = -EPIPE,
	CN_ERANGE = -ERANGE,
	CN_ENAMETOOLONG = -ENAMETOOLONG,
	CN_ENOSYS = -ENOSYS,
	CN_EOVERFLOW = -EOVERFLOW,
	CN_EADDRINUSE = -EADDRINUSE,
	CN_EADDRNOTAVAIL = -EADDRNOTAVAIL,
	CN_ENETUNREACH = -ENETUNREACH,
	CN_ECONNABORTED = -ECONNABORTED,
	CN_ECONNRESET = -ECONNRESET,
	CN_ENOTCONN = -ENOTCONN,
	CN_ETIMEDOUT = -ETIMEDOUT,
	CN_ECONNREFUSED = -ECONNREFUSED,
	CN_EHOSTUNREACH = -EHOSTUNREACH,
	CN_ECANCELED = -ECANCELED,

	/* Ours. */
	CN_EEND = -1000,    /* the input is used up */
	CN_EPROTO = -1001,  /* the peer broke the protocol */
	CN_ECODING = -1002, /* coded bytes do not decode, or a hash differs */
	CN_ESTALE = -1003,  /* belongs to an earlier generation */
	CN_EDRAIN = -1004,  /* draining: nothing new is taken */
	CN_ECONFIG = -1005, /* the configuration is wrong */
	CN_EKEY = -1006,    /* a key or an identity is wrong */
	CN_ETLS = -1007,    /* TLS failed */
	CN_EPEER = -1008,   /* the peer is unknown or is not who it should be */
	CN_ELIMIT = -1009,  /* a limit of ours is reached */
	CN_ECLOSED = -1010, /* closed already */
};

/*
 * Make an error of an errno value.
 *
 * Returns a negative error always: a value that is no errno, 0 included,
 * gives CN_EIO, so that a failure never turns into success.
 */
int cn_err_from_errno(int errnum);

/* Plain words for any error, never NULL; static storage; any thread. */
const char *cn_err_text(int err);

#endif /* CN_BASE_ERR_H */
