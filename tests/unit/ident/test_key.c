/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "ident/key.h"
#include "mutate.h"

/* A folder of its own for each test, and a file in it. */
static char folder[64];
static char path[96];
static char why[CN_IDENT_WHY_MAX];

/* RFC 8410, section 10.3, and the SHA-256 of the SPKI of 10.1. */
static const char rfc8410_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
    "-----END PRIVATE KEY-----\n";
static const uint8_t rfc8410_spki[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
	0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x19, 0xbf, 0x44, 0x09, 0x69, 0x84,
	0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96, 0xc8, 0x50,
	0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31,
	0x66, 0xe1 };

static int
set_up(void **state CN_UNUSED)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/cn-test-key.XXXXXX");
	if (mkdtemp(folder) == NULL) {
		return -1;
	}
	(void)snprintf(path, sizeof(path), "%s/identity.key", folder);
	why[0] = '\0';
	return 0;
}

/* Files in the folder; removes them too when asked. */
static int
count_files(bool is_removing)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		count++;
		if (is_removing) {
			assert_int_equal(
			    unlinkat(dirfd(dir), entry->d_name, 0), 0);
		}
	}
	(void)closedir(dir);
	return count;
}

static int
tear_down(void **state CN_UNUSED)
{
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	(void)count_files(true);
	return rmdir(folder);
}

static void
write_file(const void *bytes, size_t len, mode_t mode)
{
	int fd;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static int
load(struct cn_key **ret)
{
	int rc;

	why[0] = '\0';
	rc = cn_key_load(path, ret, why, sizeof(why));
	assert_int_equal(why[0] == '\0', rc == CN_OK);
	assert_int_equal(ERR_peek_error(), 0);
	return rc;
}

static void
assert_refused(int want, const char *words)
{
	struct cn_key *key = NULL;

	assert_int_equal(load(&key), want);
	assert_null(key);
	if (strstr(why, words) == NULL) {
		fail_msg("`%s' is not in `%s'", words, why);
	}
}

static void
test_generated_keys_differ(void **state CN_UNUSED)
{
	struct cn_key *a = NULL, *b = NULL;
	uint8_t of_cert[CN_IDENTITY_BYTES], of_key[CN_IDENTITY_BYTES];

	assert_int_equal(cn_key_generate(&a), CN_OK);
	assert_int_equal(cn_key_generate(&b), CN_OK);
	assert_false(cn_identity_equal(cn_key_identity(a), cn_key_identity(b)));
	assert_int_equal(cn_identity_of_cert(cn_key_cert(a), of_cert), CN_OK);
	assert_true(cn_identity_equal(of_cert, cn_key_identity(a)));
	assert_int_equal(cn_identity_of_key(cn_key_pkey(b), of_key), CN_OK);
	assert_true(cn_identity_equal(of_key, cn_key_identity(b)));
	cn_key_free(&a);
	cn_key_free(&b);
	assert_null(a);
	cn_key_free(&a);
}

static void
test_certificate(void **state CN_UNUSED)
{
	struct cn_key *key = NULL;
	const ASN1_INTEGER *serial;
	struct tm from, to;
	char name[64];
	X509 *cert;

	assert_int_equal(cn_key_generate(&key), CN_OK);
	cert = cn_key_cert(key);
	assert_int_equal(X509_verify(cert, cn_key_pkey(key)), 1);
	assert_int_equal(X509_check_private_key(cert, cn_key_pkey(key)), 1);
	assert_int_equal(X509_get_version(cert), X509_VERSION_3);
	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(cert),
			NID_commonName, name, sizeof(name)) > 0);
	assert_string_equal(name, "compressnet");
	assert_int_equal(X509_NAME_cmp(X509_get_subject_name(cert),
			     X509_get_issuer_name(cert)),
	    0);
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notBefore(cert), &from), 1);
	assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(cert), &to), 1);
	assert_int_equal(from.tm_year, 70);
	assert_int_equal(to.tm_year, 9999 - 1900);
	serial = X509_get0_serialNumber(cert);
	assert_int_equal(ASN1_STRING_length(serial), 16);
	assert_true((ASN1_STRING_get0_data(serial)[0] & 0x80) == 0);
	cn_key_free(&key);
}

static void
test_identity_is_sha256_of_spki(void **state CN_UNUSED)
{
	struct cn_key *key = NULL;
	uint8_t want[CN_IDENTITY_BYTES];

	write_file(rfc8410_pem, strlen(rfc8410_pem), 0600);
	assert_int_equal(load(&key), CN_OK);
	(void)SHA256(rfc8410_spki, sizeof(rfc8410_spki), want);
	assert_memory_equal(cn_key_identity(key), want, sizeof(want));
	cn_key_free(&key);
	/* Without asking why. */
	assert_int_equal(cn_key_load(path, &key, NULL, 0), CN_OK);
	cn_key_free(&key);
}

static void
test_save_and_load(void **state CN_UNUSED)
{
	struct cn_key *key = NULL, *back = NULL;
	struct stat st;
	mode_t old = umask(0);

	assert_int_equal(cn_key_generate(&key), CN_OK);
	assert_int_equal(
	    cn_key_save(key, path, false, why, sizeof(why)), CN_OK);
	(void)umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(count_files(false), 1);
	assert_int_equal(load(&back), CN_OK);
	assert_memory_equal(
	    cn_key_identity(key), cn_key_identity(back), CN_IDENTITY_BYTES);
	cn_key_free(&key);
	cn_key_free(&back);
}

static void
test_save_keeps_what_is_there(void **state CN_UNUSED)
{
	struct cn_key *a = NULL, *b = NULL, *back = NULL;

	assert_int_equal(cn_key_generate(&a), CN_OK);
	assert_int_equal(cn_key_generate(&b), CN_OK);
	assert_int_equal(cn_key_save(a, path, false, NULL, 0), CN_OK);
	assert_int_equal(
	    cn_key_save(b, path, false, why, sizeof(why)), CN_EEXIST);
	assert_non_null(strstr(why, path));
	assert_int_equal(count_files(false), 1);
	assert_int_equal(load(&back), CN_OK);
	assert_true(
	    cn_identity_equal(cn_key_identity(back), cn_key_identity(a)));
	cn_key_free(&back);
	/* A dangling link is a name that is taken too. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/nowhere/at/all", path), 0);
	assert_int_equal(cn_key_save(b, path, false, NULL, 0), CN_EEXIST);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(cn_key_save(a, path, false, NULL, 0), CN_OK);
	assert_int_equal(cn_key_save(b, path, true, why, sizeof(why)), CN_OK);
	assert_int_equal(count_files(false), 1);
	assert_int_equal(load(&back), CN_OK);
	assert_true(
	    cn_identity_equal(cn_key_identity(back), cn_key_identity(b)));
	cn_key_free(&a);
	cn_key_free(&b);
	cn_key_free(&back);
}

static void
test_save_where_it_cannot(void **state CN_UNUSED)
{
	struct cn_key *key = NULL;

	assert_int_equal(cn_key_generate(&key), CN_OK);
	assert_int_equal(
	    cn_key_save(key, "/nowhere/at/all/key", false, why, sizeof(why)),
	    CN_ENOENT);
	assert_non_null(strstr(why, "/nowhere/at/all/key"));
	/* The name is a folder's: nothing is left beside it. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(
	    cn_key_save(key, path, true, why, sizeof(why)), CN_EISDIR);
	assert_int_equal(count_files(false), 1);
	assert_int_equal(rmdir(path), 0);
	cn_key_free(&key);
}

static void
test_modes_that_others_can_use(void **state CN_UNUSED)
{
	struct cn_key *key = NULL;
	char hint[128];

	(void)snprintf(hint, sizeof(hint), "chmod 600 %s", path);
	for (mode_t bit = 1; bit <= 040; bit <<= 1) {
		write_file(rfc8410_pem, strlen(rfc8410_pem), 0600 | bit);
		assert_refused(CN_EACCES, hint);
	}
	write_file(rfc8410_pem, strlen(rfc8410_pem), 0400);
	assert_int_equal(load(&key), CN_OK);
	cn_key_free(&key);
}

static void
test_files_that_are_not_ours(void **state CN_UNUSED)
{
	struct cn_key *key = NULL;

	if (geteuid() != 0) {
		skip();
	}
	write_file(rfc8410_pem, strlen(rfc8410_pem), 0600);
	assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
	assert_refused(CN_EACCES, "belongs to user 12345");
	/* A credential that belongs to root may show group bits. */
	assert_int_equal(chown(path, 0, (gid_t)-1), 0);
	assert_int_equal(chmod(path, 0440), 0);
	assert_refused(CN_EACCES, "mode 0440");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
	assert_int_equal(load(&key), CN_OK);
	cn_key_free(&key);
	assert_int_equal(chmod(path, 0444), 0);
	assert_refused(CN_EACCES, "mode 0444");
	assert_int_equal(chmod(path, 0460), 0);
	assert_refused(CN_EACCES, "mode 0460");
	assert_int_equal(chmod(path, 0440), 0);
	assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
	assert_refused(CN_EACCES, "belongs to user 12345");
	/* Only what lies in that folder is one. */
	assert_int_equal(chown(path, 0, (gid_t)-1), 0);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/tmp", 1), 0);
	assert_refused(CN_EACCES, "mode 0440");
}

static void
test_files_that_are_none(void **state CN_UNUSED)
{
	static char big[CN_KEY_FILE_MAX + 1];

	assert_refused(CN_ENOENT, "compressnet key gen");
	assert_int_equal(mkdir(path, 0700), 0);
	assert_refused(CN_EKEY, "not a regular file");
	assert_int_equal(rmdir(path), 0);
	/* A pipe without a writer must not hang us. */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(CN_EKEY, "not a regular file");
	write_file("", 0, 0600);
	assert_refused(CN_EKEY, "no private key");
	memset(big, '\n', sizeof(big));
	memcpy(big, rfc8410_pem, strlen(rfc8410_pem));
	write_file(big, sizeof(big), 0600);
	assert_refused(CN_EKEY, "longer than");
}

static void
write_pkey(EVP_PKEY *pkey, const EVP_CIPHER *cipher)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;

	assert_non_null(bio);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher,
			     cipher == NULL ? NULL : "password",
			     cipher == NULL ? 0 : 8, NULL, NULL),
	    1);
	len = BIO_get_mem_data(bio, &pem);
	assert_true(len > 0);
	write_file(pem, (size_t)len, 0600);
	(void)BIO_free(bio);
}

static void
test_keys_of_other_kinds(void **state CN_UNUSED)
{
	struct cn_key *key = NULL;
	EVP_PKEY *pkey;
	uint8_t identity[CN_IDENTITY_BYTES] = { 7 };
	X509 *cert;

	pkey = EVP_EC_gen("P-256");
	assert_non_null(pkey);
	write_pkey(pkey, NULL);
	assert_refused(CN_EKEY, "type EC");
	assert_int_equal(cn_identity_of_key(pkey, identity), CN_EKEY);
	cert = X509_new();
	assert_non_null(cert);
	assert_int_equal(cn_identity_of_cert(cert, identity), CN_EKEY);
	assert_int_equal(X509_set_pubkey(cert, pkey), 1);
	assert_int_equal(cn_identity_of_cert(cert, identity), CN_EKEY);
	assert_int_equal(identity[0], 7);
	X509_free(cert);
	EVP_PKEY_free(pkey);
	pkey = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	assert_non_null(pkey);
	write_pkey(pkey, NULL);
	assert_refused(CN_EKEY, "type X25519");
	EVP_PKEY_free(pkey);
	/* The right kind, but encrypted: nobody is asked for the password. */
	assert_int_equal(cn_key_generate(&key), CN_OK);
	write_pkey(cn_key_pkey(key), EVP_aes_128_cbc());
	assert_refused(CN_EKEY, "encrypted");
	cn_key_free(&key);
	ERR_clear_error();
}

static void
check_damaged(const uint8_t *bytes, size_t len, void *arg CN_UNUSED)
{
	struct cn_key *key = NULL, *back = NULL;
	int rc;

	write_file(bytes, len, 0600);
	rc = load(&key);
	if (rc != CN_OK) {
		assert_int_equal(rc, CN_EKEY);
		assert_null(key);
		return;
	}
	/* Another key perhaps, but a whole one. */
	assert_int_equal(cn_key_save(key, path, true, NULL, 0), CN_OK);
	assert_int_equal(load(&back), CN_OK);
	assert_true(
	    cn_identity_equal(cn_key_identity(key), cn_key_identity(back)));
	cn_key_free(&key);
	cn_key_free(&back);
}

/* Each change of the file; the base64 alone, of which all flips are many. */
static void
test_damaged_files(void **state CN_UNUSED)
{
	size_t len = strlen(rfc8410_pem);

	for (size_t i = 0; i < len; i++) {
		char text[sizeof(rfc8410_pem)];

		memcpy(text, rfc8410_pem, sizeof(text));
		text[i] ^= (char)(1 << i % 7);
		check_damaged((const uint8_t *)text, len, NULL);
		check_damaged((const uint8_t *)text, i, NULL);
	}
}

/* ---- allocations fail one by one, OpenSSL's included ---- */

/* Allocations of OpenSSL, with which the sites of a run are counted. */
static uint64_t ssl_calls;

static void *
ssl_alloc(size_t size, const char *file CN_UNUSED, int line CN_UNUSED)
{
	ssl_calls++;
	return cn_alloc(size);
}

static void *
ssl_realloc(
    void *p, size_t size, const char *file CN_UNUSED, int line CN_UNUSED)
{
	ssl_calls++;
	return cn_realloc(p, size);
}

static void
ssl_free(void *p, const char *file CN_UNUSED, int line CN_UNUSED)
{
	cn_free(p);
}

static int
do_generate(void)
{
	struct cn_key *key = NULL;
	int rc = cn_key_generate(&key);

	assert_int_equal(key != NULL, rc == CN_OK);
	cn_key_free(&key);
	return rc;
}

static int
do_load(void)
{
	struct cn_key *key = NULL;
	int rc = cn_key_load(path, &key, why, sizeof(why));

	assert_int_equal(key != NULL, rc == CN_OK);
	cn_key_free(&key);
	return rc;
}

static struct cn_key *saved;

static int
do_save(void)
{
	char other[128];
	int rc;

	(void)snprintf(other, sizeof(other), "%s/other", folder);
	rc = cn_key_save(saved, other, false, why, sizeof(why));
	/* There, or not a trace of it. */
	if (rc == CN_OK) {
		assert_int_equal(unlink(other), 0);
	}
	assert_int_equal(count_files(false), 1);
	return rc;
}

/*
 * Ours come first and last; of what OpenSSL does in between, which may be
 * thousands, every 23rd will do.
 */
#define EDGE_SITES 100u
#define STRIDE 23u

static void
torture(int (*operation)(void))
{
	uint64_t sites = 0, count, calls;

	/* OpenSSL keeps what it makes at the first time. */
	assert_int_equal(operation(), CN_OK);
	ERR_clear_error();
	count = cn_alloc_count();
	calls = ssl_calls;
	assert_int_equal(operation(), CN_OK);
	calls = ssl_calls - calls;
	for (uint64_t n = 1;;
	     n += n < EDGE_SITES || n + EDGE_SITES > calls ? 1 : STRIDE) {
		bool has_failed;
		int rc;

		cn_alloc_fail_at(n);
		rc = operation();
		has_failed = cn_alloc_has_failed();
		cn_alloc_fail_at(0);
		ERR_clear_error();
		if (!has_failed) {
			assert_int_equal(rc, CN_OK);
			break;
		}
		sites++;
		assert_true(rc == CN_OK || rc == CN_ENOMEM || rc == CN_EKEY);
	}
	assert_true(sites >= 2);
	assert_int_equal(operation(), CN_OK);
	/* What its error queue may hold on to, and no more. */
	assert_in_range(cn_alloc_count(), count, count + 32);
}

static int
do_derive(void)
{
	uint8_t secret[CN_KEY_SECRET_BYTES];

	return cn_key_derive(saved, "compressnet store", secret);
}

static void
test_without_memory(void **state CN_UNUSED)
{
	write_file(rfc8410_pem, strlen(rfc8410_pem), 0600);
	assert_int_equal(cn_key_generate(&saved), CN_OK);
	torture(do_generate);
	torture(do_load);
	torture(do_save);
	torture(do_derive);
	cn_key_free(&saved);
}

/* By RFC 5869 from the seed of RFC 8410, computed with another program. */
static void
test_derived_secrets(void **state CN_UNUSED)
{
	static const uint8_t expected[] = { 0xeb, 0xeb, 0x5a, 0x1b, 0x50, 0x28,
		0x54, 0xfa, 0xd8, 0x3c, 0xd6, 0xb3, 0xd7, 0x94, 0xf3, 0xff,
		0xf5, 0xe1, 0xe3, 0x09, 0xe2, 0xac, 0x78, 0xdf, 0x6d, 0x2a,
		0x62, 0x22, 0x40, 0x3a, 0xa1, 0xd0 };
	char label[CN_KEY_LABEL_MAX + 2];
	uint8_t secret[CN_KEY_SECRET_BYTES], other[CN_KEY_SECRET_BYTES];
	struct cn_key *key = NULL, *stranger = NULL;

	write_file(rfc8410_pem, strlen(rfc8410_pem), 0600);
	assert_int_equal(cn_key_load(path, &key, why, sizeof(why)), CN_OK);
	assert_int_equal(cn_key_derive(key, "compressnet store", secret), 0);
	assert_memory_equal(secret, expected, sizeof(secret));
	/* Another label, another key: another secret. */
	assert_int_equal(cn_key_derive(key, "compressnet stor", other), 0);
	assert_memory_not_equal(secret, other, sizeof(secret));
	assert_int_equal(cn_key_generate(&stranger), CN_OK);
	assert_int_equal(
	    cn_key_derive(stranger, "compressnet store", other), 0);
	assert_memory_not_equal(secret, other, sizeof(secret));
	/* The longest label is good; what is not is no secret. */
	memset(label, 'x', sizeof(label));
	label[CN_KEY_LABEL_MAX + 1] = '\0';
	memcpy(other, secret, sizeof(other));
	assert_int_equal(cn_key_derive(key, label, other), CN_EINVAL);
	assert_int_equal(cn_key_derive(key, "", other), CN_EINVAL);
	assert_memory_equal(secret, other, sizeof(secret));
	label[CN_KEY_LABEL_MAX] = '\0';
	assert_int_equal(cn_key_derive(key, label, other), CN_OK);
	cn_key_free(&stranger);
	cn_key_free(&key);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_generated_keys_differ),
		TEST(test_certificate),
		TEST(test_identity_is_sha256_of_spki),
		TEST(test_save_and_load),
		TEST(test_save_keeps_what_is_there),
		TEST(test_save_where_it_cannot),
		TEST(test_modes_that_others_can_use),
		TEST(test_files_that_are_not_ours),
		TEST(test_files_that_are_none),
		TEST(test_keys_of_other_kinds),
		TEST(test_damaged_files),
		TEST(test_derived_secrets),
		TEST(test_without_memory),
	};

	if (CRYPTO_set_mem_functions(ssl_alloc, ssl_realloc, ssl_free) != 1) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
