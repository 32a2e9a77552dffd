/* SPDX-License-Identifier: Apache-2.0 */
#include "ident/key.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/rand.h"

#define SERIAL_BYTES 16
#define SEED_BYTES 32u /* of Ed25519 */

struct cn_key {
	EVP_PKEY *pkey; /* owned */
	X509 *cert;     /* owned */
	uint8_t identity[CN_IDENTITY_BYTES];
};

/* Where a message goes; cap 0 when nobody wants it. */
struct sink {
	char *text;
	size_t cap;
};

/* Say why and give the error back. */
CN_PRINTF(3, 4)
static int
refuse(const struct sink *sink, int err, const char *fmt, ...)
{
	va_list args;

	if (sink->cap != 0) {
		va_start(args, fmt);
		(void)vsnprintf(sink->text, sink->cap, fmt, args);
		va_end(args);
	}
	return err;
}

/* A system call on the path failed. */
static int
refuse_errno(const struct sink *sink, const char *what, const char *path)
{
	int err = cn_err_from_errno(errno);

	return refuse(
	    sink, err, "cannot %s %s: %s", what, path, cn_err_text(err));
}

/* Fill in names and dates: formalities, since only the key is pinned. */
static bool
fill_cert(X509 *cert, EVP_PKEY *pkey)
{
	X509_NAME *name = X509_get_subject_name(cert);
	uint8_t serial[SERIAL_BYTES];
	BIGNUM *number;
	bool is_set;

	cn_rand_bytes(serial, sizeof(serial));
	/* Positive, not zero, always of the same length. */
	serial[0] = (uint8_t)((serial[0] & 0x7fu) | 0x40u);
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	is_set = number != NULL &&
	    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
	BN_free(number);
	return is_set && X509_set_version(cert, X509_VERSION_3) == 1 &&
	    ASN1_TIME_set_string(
		X509_getm_notBefore(cert), "19700101000000Z") == 1 &&
	    ASN1_TIME_set_string(X509_getm_notAfter(cert), "99991231235959Z") ==
	    1 &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		(const unsigned char *)"compressnet", -1, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, name) == 1 &&
	    X509_set_pubkey(cert, pkey) == 1;
}

/* Make the whole of a private key; takes pkey over, also on failure. */
static int
create(EVP_PKEY *pkey, struct cn_key **ret)
{
	struct cn_key *key = cn_calloc(1, sizeof(*key));
	int rc = CN_ENOMEM;

	if (key == NULL) {
		EVP_PKEY_free(pkey);
		return CN_ENOMEM;
	}
	key->pkey = pkey;
	rc = cn_identity_of_key(pkey, key->identity);
	if (rc != CN_OK) {
		goto fail;
	}
	rc = CN_ENOMEM;
	key->cert = X509_new();
	if (key->cert == NULL || !fill_cert(key->cert, pkey)) {
		goto fail;
	}
	/* Ed25519 has its own digest inside, so none is named. */
	if (X509_sign(key->cert, pkey, NULL) <= 0) {
		goto fail;
	}
	*ret = key;
	return CN_OK;

fail:
	cn_key_free(&key);
	return rc;
}

int
cn_key_generate(struct cn_key **ret)
{
	EVP_PKEY *pkey;
	int rc;

	pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	/* What OpenSSL has to say is of no use to anyone later. */
	rc = pkey == NULL ? CN_EKEY : create(pkey, ret);
	ERR_clear_error();
	return rc;
}

void
cn_key_free(struct cn_key **kp)
{
	struct cn_key *key = *kp;

	if (key == NULL) {
		return;
	}
	X509_free(key->cert);
	EVP_PKEY_free(key->pkey);
	cn_free(key);
	*kp = NULL;
}

const uint8_t *
cn_key_identity(const struct cn_key *key)
{
	return key->identity;
}

EVP_PKEY *
cn_key_pkey(const struct cn_key *key)
{
	return key->pkey;
}

X509 *
cn_key_cert(const struct cn_key *key)
{
	return key->cert;
}

/* HKDF of the seed into out; the library wants what it only reads as its. */
static bool
expand(uint8_t *seed, size_t seed_len, const char *label,
    uint8_t out[CN_KEY_SECRET_BYTES])
{
	char digest[] = "SHA256";
	char info[CN_KEY_LABEL_MAX + 1];
	size_t info_len = strlen(label);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(
		    OSSL_KDF_PARAM_KEY, seed, seed_len),
		OSSL_PARAM_construct_octet_string(
		    OSSL_KDF_PARAM_INFO, info, info_len),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	bool ok;

	memcpy(info, label, info_len + 1);
	ok = ctx != NULL &&
	    EVP_KDF_derive(ctx, out, CN_KEY_SECRET_BYTES, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

int
cn_key_derive(const struct cn_key *key, const char *label,
    uint8_t out[CN_KEY_SECRET_BYTES])
{
	uint8_t secret[CN_KEY_SECRET_BYTES];
	uint8_t seed[SEED_BYTES];
	size_t len = sizeof(seed);
	bool ok;

	if (label[0] == '\0' || strlen(label) > CN_KEY_LABEL_MAX) {
		return CN_EINVAL;
	}
	ok = EVP_PKEY_get_raw_private_key(key->pkey, seed, &len) == 1 &&
	    len == sizeof(seed) && expand(seed, len, label, secret);
	if (ok) {
		memcpy(out, secret, sizeof(secret));
	}
	OPENSSL_cleanse(seed, sizeof(seed));
	OPENSSL_cleanse(secret, sizeof(secret));
	ERR_clear_error();
	return ok ? CN_OK : CN_EKEY;
}

/* Whether systemd has put that file there for us. */
static bool
is_credential(const char *path)
{
	const char *dir = secure_getenv("CREDENTIALS_DIRECTORY");
	size_t len = dir == NULL ? 0 : strlen(dir);

	return len != 0 && strncmp(path, dir, len) == 0 && path[len] == '/' &&
	    strchr(path + len + 1, '/') == NULL;
}

/*
 * Refuse a file that others may see or change.
 *
 * systemd lets the service read a credential that belongs to root through an
 * ACL, whose mask shows as the mode's group bits.
 */
static int
check_owner(const char *path, const struct stat *st, const struct sink *sink)
{
	mode_t others = S_IRWXG | S_IRWXO;
	bool is_roots = is_credential(path) && st->st_uid == 0;

	if (!S_ISREG(st->st_mode)) {
		return refuse(sink, CN_EKEY,
		    "%s is not a regular file: give the path of a key file",
		    path);
	}
	if (st->st_uid != geteuid() && !is_roots) {
		return refuse(sink, CN_EACCES,
		    "%s belongs to user %u, but a private key must belong to "
		    "the user that runs this (%u): chown %u %s",
		    path, (unsigned int)st->st_uid, (unsigned int)geteuid(),
		    (unsigned int)geteuid(), path);
	}
	if (is_roots) {
		others = S_IWGRP | S_IRWXO;
	}
	if ((st->st_mode & others) != 0) {
		return refuse(sink, CN_EACCES,
		    "%s has mode %04o, so others than its owner may use the "
		    "private key: chmod 600 %s",
		    path, (unsigned int)(st->st_mode & 07777), path);
	}
	return CN_OK;
}

/* Read up to cap bytes; sets *len. */
static int
read_all(int fd, char *out, size_t cap, size_t *len)
{
	*len = 0;
	while (*len < cap) {
		ssize_t n = read(fd, out + *len, cap - *len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return cn_err_from_errno(errno);
		}
		if (n == 0) {
			break;
		}
		*len += (size_t)n;
	}
	return CN_OK;
}

/* Open, judge and read a key file into cap bytes. */
static int
read_file(const char *path, char *out, size_t cap, size_t *len,
    const struct sink *sink)
{
	/* Not waiting for the other end, should it be a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int rc;

	if (fd < 0) {
		if (errno == ENOENT) {
			return refuse(sink, CN_ENOENT,
			    "%s does not exist: make a key with `compressnet "
			    "key gen'",
			    path);
		}
		return refuse_errno(sink, "open", path);
	}
	if (fstat(fd, &st) != 0) {
		rc = refuse_errno(sink, "examine", path);
	} else {
		rc = check_owner(path, &st, sink);
	}
	if (rc == CN_OK) {
		rc = read_all(fd, out, cap, len);
		if (rc != CN_OK) {
			(void)refuse(sink, rc, "cannot read %s: %s", path,
			    cn_err_text(rc));
		}
	}
	(void)close(fd);
	return rc;
}

/* Never asks on a terminal; remembers that a password was wanted. */
static int
no_password(
    char *buf CN_UNUSED, int size CN_UNUSED, int writing CN_UNUSED, void *asked)
{
	*(bool *)asked = true;
	return -1;
}

/* The private key in a PEM text. */
static int
parse_pem(const char *pem, size_t len, const char *path, EVP_PKEY **ret,
    const struct sink *sink)
{
	bool asked = false;
	EVP_PKEY *pkey = NULL;
	BIO *bio = BIO_new_mem_buf(pem, (int)len);

	if (bio == NULL) {
		return refuse(sink, CN_ENOMEM, "out of memory");
	}
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked);
	(void)BIO_free(bio);
	if (asked) {
		EVP_PKEY_free(pkey);
		return refuse(sink, CN_EKEY,
		    "the key in %s is encrypted: store it without a password "
		    "(openssl pkey -in OLD -out NEW)",
		    path);
	}
	if (pkey == NULL) {
		return refuse(sink, CN_EKEY,
		    "%s holds no private key in PEM: make one with "
		    "`compressnet key gen'",
		    path);
	}
	if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519) {
		const char *kind = EVP_PKEY_get0_type_name(pkey);
		int rc = refuse(sink, CN_EKEY,
		    "%s holds a key of type %s, but a gateway's must be "
		    "Ed25519: make one with `compressnet key gen'",
		    path, kind == NULL ? "unknown" : kind);

		EVP_PKEY_free(pkey);
		return rc;
	}
	*ret = pkey;
	return CN_OK;
}

int
cn_key_load(const char *path, struct cn_key **ret, char *why, size_t why_cap)
{
	struct sink sink = { why, why == NULL ? 0 : why_cap };
	EVP_PKEY *pkey = NULL;
	size_t len = 0;
	char *pem;
	int rc;

	/* One byte more tells a file that is too long. */
	pem = cn_alloc(CN_KEY_FILE_MAX + 1);
	if (pem == NULL) {
		return refuse(&sink, CN_ENOMEM, "out of memory");
	}
	rc = read_file(path, pem, CN_KEY_FILE_MAX + 1, &len, &sink);
	if (rc == CN_OK && len > CN_KEY_FILE_MAX) {
		rc = refuse(&sink, CN_EKEY,
		    "%s is longer than %u bytes: it is no key file", path,
		    CN_KEY_FILE_MAX);
	}
	if (rc == CN_OK) {
		rc = parse_pem(pem, len, path, &pkey, &sink);
	}
	OPENSSL_cleanse(pem, len);
	cn_free(pem);
	if (rc == CN_OK) {
		rc = create(pkey, ret);
		if (rc != CN_OK) {
			(void)refuse(&sink, rc, "cannot use the key in %s: %s",
			    path, cn_err_text(rc));
		}
	}
	ERR_clear_error();
	return rc;
}

static int
write_all(int fd, const char *bytes, size_t len)
{
	while (len != 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return cn_err_from_errno(errno);
		}
		bytes += n;
		len -= (size_t)n;
	}
	return CN_OK;
}

/* Make the new name last through a loss of power; best effort. */
static void
sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? cn_strdup(".")
	    : slash == path          ? cn_strdup("/")
			    : cn_memdup(path, (size_t)(slash - path) + 1);
	int fd;

	if (folder == NULL) {
		return;
	}
	if (slash != NULL && slash != path) {
		folder[slash - path] = '\0';
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	cn_free(folder);
}

/*
 * Give the finished file its name.  A link, other than a rename, fails when
 * the name is taken, in one step.
 */
static int
publish(
    const char *temp, const char *path, bool overwrite, const struct sink *sink)
{
	if (overwrite) {
		if (rename(temp, path) != 0) {
			return refuse_errno(sink, "write", path);
		}
		return CN_OK;
	}
	if (link(temp, path) != 0) {
		if (errno == EEXIST) {
			return refuse(sink, CN_EEXIST,
			    "%s is there already and is kept, since peers know "
			    "this "
			    "gateway by it: move it away first to replace it",
			    path);
		}
		return refuse_errno(sink, "write", path);
	}
	(void)unlink(temp);
	return CN_OK;
}

/* Write bytes under a passing name beside path, then publish it. */
static int
write_file(const char *path, const char *bytes, size_t len, bool overwrite,
    const struct sink *sink)
{
	static const char suffix[] = ".XXXXXX"; /* mkostemp() wants it so */
	size_t path_len = strlen(path);
	char *temp = cn_alloc(path_len + sizeof(suffix));
	int fd, rc;

	if (temp == NULL) {
		return refuse(sink, CN_ENOMEM, "out of memory");
	}
	memcpy(temp, path, path_len);
	memcpy(temp + path_len, suffix, sizeof(suffix));
	fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 from the start */
	if (fd < 0) {
		rc = refuse_errno(sink, "create a file beside", path);
		cn_free(temp);
		return rc;
	}
	rc = write_all(fd, bytes, len);
	if (rc == CN_OK && fsync(fd) != 0) {
		rc = cn_err_from_errno(errno);
	}
	if (close(fd) != 0 && rc == CN_OK) {
		rc = cn_err_from_errno(errno);
	}
	if (rc != CN_OK) {
		(void)refuse(
		    sink, rc, "cannot write %s: %s", temp, cn_err_text(rc));
	} else {
		rc = publish(temp, path, overwrite, sink);
	}
	if (rc == CN_OK) {
		sync_folder(path);
	} else {
		(void)unlink(temp);
	}
	cn_free(temp);
	return rc;
}

int
cn_key_save(const struct cn_key *key, const char *path, bool overwrite,
    char *why, size_t why_cap)
{
	struct sink sink = { why, why == NULL ? 0 : why_cap };
	BIO *bio = BIO_new(BIO_s_secmem());
	char *pem = NULL;
	long len = 0;
	int rc;

	if (bio != NULL &&
	    PEM_write_bio_PKCS8PrivateKey(
		bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1) {
		len = BIO_get_mem_data(bio, &pem);
	}
	if (len <= 0) {
		rc = refuse(&sink, CN_ENOMEM, "out of memory");
	} else {
		rc = write_file(path, pem, (size_t)len, overwrite, &sink);
		OPENSSL_cleanse(pem, (size_t)len);
	}
	(void)BIO_free(bio);
	ERR_clear_error();
	return rc;
}
