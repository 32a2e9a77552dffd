/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/servetls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rand.h"

/* Ten years: browsers are told to trust this one by hand. */
#define LIFE_S (3650L * 24 * 3600)

static int CN_PRINTF(3, 4) fail(int err, char *why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(why, CN_SERVETLS_WHY_MAX, fmt, args);
	va_end(args);
	ERR_clear_error();
	return err;
}

static bool
add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool is_added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	is_added = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return is_added;
}

static bool
fill(X509 *cert, EVP_PKEY *key)
{
	char host[256] = "localhost", names[320];
	X509_NAME *name = X509_get_subject_name(cert);

	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(names, sizeof(names),
	    "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", host);
	return X509_set_version(cert, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set_uint64(
		X509_get_serialNumber(cert), cn_rand_u64() >> 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(cert), LIFE_S) != NULL &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		(const unsigned char *)"CompressNET serve", -1, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, name) == 1 &&
	    X509_set_pubkey(cert, key) == 1 &&
	    add_extension(cert, NID_subject_alt_name, names) &&
	    add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(cert, NID_ext_key_usage, "serverAuth") &&
	    X509_sign(cert, key, EVP_sha256()) > 0;
}

/* Write by a function into a new file of that mode. */
static int
write_file(const char *path, mode_t mode, X509 *cert, EVP_PKEY *key)
{
	int fd = open(
	    path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	bool is_written;

	if (file == NULL) {
		int err = cn_err_from_errno(errno);

		if (fd >= 0) {
			(void)close(fd);
		}
		return err;
	}
	is_written = key != NULL
	    ? PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1
	    : PEM_write_X509(file, cert) == 1;
	return fclose(file) == 0 && is_written ? CN_OK : CN_EIO;
}

static int
make_own(const char *certificate, const char *key_path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	int err =
	    key == NULL || cert == NULL || !fill(cert, key) ? CN_ETLS : CN_OK;

	/* The key last: where it is, all is. */
	if (err == CN_OK) {
		err = write_file(certificate, 0644, cert, NULL);
	}
	if (err == CN_OK) {
		err = write_file(key_path, 0600, NULL, key);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return err;
}

static int
check_key(const char *path, char *why)
{
	struct stat stat_;

	if (stat(path, &stat_) != 0) {
		int err = cn_err_from_errno(errno);

		return fail(err, why, "%s: %s", path, cn_err_text(err));
	}
	if ((stat_.st_mode & 077) != 0) {
		return fail(CN_EACCES, why,
		    "%s: others can read or change it: chmod 600 it", path);
	}
	return CN_OK;
}

int
cn_servetls_load(const char *certificate, const char *key, bool is_own,
    char *why, SSL_CTX **ret)
{
	SSL_CTX *tls;
	int err = CN_OK;

	if (is_own && access(key, F_OK) != 0) {
		err = make_own(certificate, key);
	}
	if (err < 0) {
		return fail(err, why, "cannot make %s and %s: %s", key,
		    certificate, cn_err_text(err));
	}
	err = check_key(key, why);
	if (err < 0) {
		return err;
	}
	tls = SSL_CTX_new(TLS_server_method());
	if (tls == NULL) {
		return fail(CN_ENOMEM, why, "out of memory");
	}
	(void)SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(
	    tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	(void)SSL_CTX_set_mode(tls,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_use_certificate_chain_file(tls, certificate) != 1) {
		err = fail(CN_ETLS, why, "%s: holds no certificate (PEM)",
		    certificate);
	} else if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) !=
	    1) {
		err = fail(CN_ETLS, why, "%s: holds no private key (PEM) of %s",
		    key, certificate);
	}
	if (err < 0) {
		SSL_CTX_free(tls);
		return err;
	}
	*ret = tls;
	return CN_OK;
}
