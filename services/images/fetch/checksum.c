/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checksums of what was downloaded, with OpenSSL, which libcurl brings. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "fetch.h"

#define BLOCK (256u * 1024u)

static void to_hex(const unsigned char *bytes, unsigned n, char *ret_hex) {
        for (unsigned i = 0; i < n; i++)
                snprintf(ret_hex + 2 * (size_t) i, 3, "%02x", bytes[i]);
}

static void finish(EVP_MD_CTX *context, char *ret_hex) {
        unsigned char bytes[EVP_MAX_MD_SIZE];
        unsigned n = 0;

        EVP_DigestFinal_ex(context, bytes, &n);
        to_hex(bytes, n, ret_hex);
}

static EVP_MD_CTX *begin(const char *algorithm) {
        EVP_MD_CTX *context = EVP_MD_CTX_new();

        if (context && EVP_DigestInit_ex(context, EVP_get_digestbyname(algorithm), NULL) == 1)
                return context;
        EVP_MD_CTX_free(context);
        return NULL;
}

static int hash_file(int fd, EVP_MD_CTX *one, EVP_MD_CTX *other) {
        static unsigned char block[BLOCK];
        uint64_t offset = 0;
        ssize_t n;

        while ((n = pread(fd, block, sizeof block, (off_t) offset)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fail_errno("read what was downloaded");
                EVP_DigestUpdate(one, block, (size_t) n);
                if (other)
                        EVP_DigestUpdate(other, block, (size_t) n);
                offset += (uint64_t) n;
        }
        return 0;
}

int checksum_file(int fd, char *ret_sha256, const struct checksum *wanted, char *ret_wanted) {
        bool is_other = wanted && *wanted->algorithm && strcmp(wanted->algorithm, "sha256") != 0;
        EVP_MD_CTX *one = begin("sha256"), *other = is_other ? begin(wanted->algorithm) : NULL;
        int r = -1;

        if (!one || (is_other && !other))
                fail(FAILURE_OTHER, "OpenSSL has no such checksum");
        else
                r = hash_file(fd, one, other);
        if (r == 0) {
                finish(one, ret_sha256);
                if (other)
                        finish(other, ret_wanted);
                else if (ret_wanted)
                        memcpy(ret_wanted, ret_sha256, 65);
        }
        EVP_MD_CTX_free(one);
        EVP_MD_CTX_free(other);
        return r;
}

void checksum_data(const void *data, size_t n, char *ret_sha256) {
        unsigned char bytes[EVP_MAX_MD_SIZE];
        unsigned n_bytes = 0;

        EVP_Digest(data, n, bytes, &n_bytes, EVP_sha256(), NULL);
        to_hex(bytes, n_bytes, ret_sha256);
}
