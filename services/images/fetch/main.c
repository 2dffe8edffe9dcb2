/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-images-fetch: from a source to an image. fetch.h says what this program is. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "fetch.h"
#include "pull-limits.h"

#define DIRECTORY 3
#define PROGRESS_STEP (UINT64_C(1) << 20)

static const char *const failures[] = {
        [FAILURE_MISSING] = "missing",         [FAILURE_CORRUPT] = "corrupt", [FAILURE_UNREACHABLE] = "unreachable",
        [FAILURE_UNSUPPORTED] = "unsupported", [FAILURE_SPACE] = "space",     [FAILURE_LIMIT] = "limit",
        [FAILURE_OTHER] = "other",
};

int fail(enum failure failure, const char *format, ...) {
        va_list arguments;

        printf("failed %s ", failures[failure]);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        printf("\n");
        return -1;
}

int fail_errno(const char *what) {
        int e = errno;

        return fail(e == ENOSPC || e == EDQUOT ? FAILURE_SPACE : FAILURE_OTHER, "could not %s: %s", what, strerror(e));
}

int fail_numbers(enum failure failure, uint64_t needed, uint64_t limit) {
        return fail(failure, "%llu %llu", (unsigned long long) needed, (unsigned long long) limit);
}

void progress(uint64_t done, uint64_t total) {
        static uint64_t told;

        if (done < told)
                told = 0;               /* it began anew */
        if (done - told < PROGRESS_STEP && done != total)
                return;
        told = done;
        printf("progress %llu %llu\n", (unsigned long long) done, (unsigned long long) total);
}

/* An image that is here already. 1: it is. Not if it is the archive, which somebody has pulled as an image of its own, and not what is in it. */
static int find(int images, const struct checksum *checksum, const struct download *download) {
        struct stat st;
        int fd, r;

        if (strcmp(checksum->algorithm, "sha256") != 0)
                return 0;
        fd = openat(images, checksum->hex, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return 0;
        if (fstat(fd, &st) == 0 && download->is_archive && (uint64_t) st.st_size == download->size)
                r = 0;
        else
                r = describe(fd, checksum->hex, true) < 0 ? -1 : 1;
        close(fd);
        return r;
}

/* What has come is of no use any more, or has become an image. */
static void forget(int partial, const char *key) {
        char etag_name[160];

        snprintf(etag_name, sizeof etag_name, "%s.etag", key);
        unlinkat(partial, key, 0);
        unlinkat(partial, etag_name, 0);
}

/* What came, against what should have. 1: it is something else. ret_hex: its checksum, by the algorithm that is wanted. */
static int verify(int partial, const char *key, const struct checksum *wanted, char *ret_sha256, char *ret_hex) {
        int fd = openat(partial, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r;

        if (fd < 0)
                return fail_errno("open what was downloaded");
        r = checksum_file(fd, ret_sha256, wanted, ret_hex);
        close(fd);
        if (r < 0 || !*wanted->algorithm || strcmp(ret_hex, wanted->hex) == 0)
                return r;
        forget(partial, key);
        return 1;
}

static int fail_mismatch(const struct checksum *wanted, const char *hex) {
        return fail(FAILURE_CORRUPT, "its checksum is not %s:%s, but %s", wanted->algorithm, wanted->hex, hex);
}

static int fetch(struct download *download, int partial, int images, const char *key) {
        char sha256[DIGEST_TEXT_SIZE] = "", hex[DIGEST_TEXT_SIZE] = "";
        struct checksum found = { .algorithm = "sha256" };
        struct stat st;
        bool resumed;
        int r;

        r = find(images, &download->checksum, download);
        if (r != 0)
                return r < 0 ? r : 0;
        resumed = fstatat(partial, key, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
        r = http_download(download, partial, key);
        if (r < 0)
                return r;
        if (download->is_unchanged) {
                forget(partial, key);
                printf("unchanged\n");
                return 0;
        }
        r = verify(partial, key, &download->checksum, sha256, hex);
        if (r > 0 && resumed) {         /* what was there was of something else, perhaps: once more, from the beginning */
                r = http_download(download, partial, key);
                if (r == 0)
                        r = verify(partial, key, &download->checksum, sha256, hex);
        }
        if (r != 0)
                return r < 0 ? r : fail_mismatch(&download->checksum, hex);
        printf("etag %s\n", download->etag);
        memcpy(found.hex, sha256, sizeof found.hex);
        r = find(images, &found, download);       /* from another source */
        if (r == 0)
                r = unpack(partial, key, images, sha256, download->is_archive);
        forget(partial, key);           /* what is no image would be none the next time either */
        return r < 0 ? r : 0;
}

static int directory(const char *name) {
        if (mkdirat(DIRECTORY, name, 0700) < 0 && errno != EEXIST)
                return -1;
        return openat(DIRECTORY, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int run(const char *source, const char *auth_file, struct download *download) {
        struct oci_reference reference;
        const char *reason;
        int partial = directory("partial"), images = directory("images");
        char key[DIGEST_TEXT_SIZE];

        if (partial < 0 || images < 0)
                return fail_errno("make its directories");
        checksum_data(source, strlen(source), key);     /* what the file of what has come so far is called */
        if (strncmp(source, "oci", 3) == 0) {
                if (oci_parse(source, &reference, &reason) < 0)
                        return fail(FAILURE_UNSUPPORTED, "a source that %s", reason);
                if (auth_file && credentials_find(auth_file, &reference, download) < 0)
                        return -1;
                if (oci_resolve(&reference, download) < 0)
                        return -1;
        } else {
                snprintf(download->url, sizeof download->url, "%s", source);
        }
        return fetch(download, partial, images, key);
}

int main(int argc, char **argv) {
        struct download download = {};
        int r;

        setvbuf(stdout, NULL, _IOLBF, 0);
        signal(SIGPIPE, SIG_IGN);
        if (argc != 7) {
                fputs("Usage: xcp-images-fetch SOURCE CHECKSUM|- ETAG|- CA-FILE|- AUTH-FILE|- LIMITS|-\n\n"
                      "Gets an image for xcp-images, which starts it.\n", argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
                return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
        }
        if (strcmp(argv[2], "-") != 0 && checksum_parse(argv[2], &download.checksum) < 0)
                return -fail(FAILURE_UNSUPPORTED, "the checksum '%s'", argv[2]);
        if (strcmp(argv[3], "-") != 0) {
                snprintf(download.etag, sizeof download.etag, "%s", argv[3]);
                download.is_etag_known = true;
        }
        if (strcmp(argv[4], "-") != 0)
                download.ca_file = argv[4];
        if (strcmp(argv[6], "-") != 0 && limits_parse(argv[6]) < 0)
                return -fail(FAILURE_OTHER, "could not understand the limits '%s'", argv[6]);
        curl_global_init(CURL_GLOBAL_DEFAULT);
        r = run(argv[1], strcmp(argv[5], "-") != 0 ? argv[5] : NULL, &download);
        curl_global_cleanup();
        return r < 0 ? 1 : 0;
}
