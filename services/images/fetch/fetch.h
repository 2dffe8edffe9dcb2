/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * xcp-images-fetch: gets one image for the images service, in a process of its own, which can be killed: everything that comes from a
 * server is looked at here and not in the service.
 *
 * Its directory, descriptor 3, has partial/, where what is being downloaded is kept until it is whole, and images/, where images get
 * their names, which are their digests, when they are whole and verified. It tells the service in lines on standard output:
 *
 *         progress DONE TOTAL
 *         image DIGEST FORMAT SIZE FILE-SIZE CACHED       at the end; FORMAT: raw or qcow2; SIZE: of the disk; CACHED: 0 or 1
 *         etag TEXT                                       before it, if the server has given one that can be relied on
 *         unchanged                                       at the end: the server still has what the service knows by its etag
 *         failed KIND WHAT                                once, before exit status 1; KIND: enum failure's names. WHAT is words, but of
 *                                                         limit and, if it is known, of space: two numbers, what it would need and what there is
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DIGEST_TEXT_SIZE 129u           /* sha512 in hexadecimal, with the NUL */
#define ETAG_MAX 256u

enum failure {
        FAILURE_MISSING,                /* there is no such thing there */
        FAILURE_CORRUPT,                /* what came is not what it should be */
        FAILURE_UNREACHABLE,
        FAILURE_UNSUPPORTED,
        FAILURE_SPACE,
        FAILURE_LIMIT,                  /* it is larger than an image may be */
        FAILURE_OTHER,
};

/* Tells the service. Returns -1, for whoever fails by that. */
int fail(enum failure failure, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fail_errno(const char *what);       /* by errno */
int fail_numbers(enum failure failure, uint64_t needed, uint64_t limit);

/* Checksums */

struct checksum {
        char algorithm[8];              /* sha256 or sha512; empty: none is known */
        char hex[DIGEST_TEXT_SIZE];
};

/* sha256:HEX or sha512:HEX; -EINVAL. */
int checksum_parse(const char *text, struct checksum *ret_checksum);

/* Of a file from its beginning. Both in hexadecimal; wanted may be NULL. -1: it has failed, and said so. */
int checksum_file(int fd, char *ret_sha256, const struct checksum *wanted, char *ret_wanted);
void checksum_data(const void *data, size_t n, char *ret_sha256);

/* Sources */

struct oci_reference {
        bool plain_http;
        char host[256];                 /* with its port */
        char repository[256];
        char reference[256];            /* a tag, or sha256:HEX */
};

/* -EINVAL, with what is wrong. */
int oci_parse(const char *source, struct oci_reference *ret_reference, const char **ret_reason);

/* What is to be downloaded. */
struct download {
        char url[4096];
        char token[8192];               /* empty: none */
        char user[256], password[4096]; /* for a registry that asks; user empty: there are none */
        bool sends_password;            /* it has asked for them */
        struct checksum checksum;
        char etag[ETAG_MAX];            /* in: what is known; out: what the server said. Empty: none */
        bool is_etag_known;             /* the service has what it stands for */
        bool is_unchanged;              /* out */
        uint64_t size;                  /* 0: not known */
        uint64_t size_max;              /* what it was said to have, and more is not taken; 0: any */
        bool is_archive;                /* the image is in it */
        const char *ca_file;            /* NULL: those of the system */

        /* Shows anew who asks, after a refusal, whose WWW-Authenticate that is; NULL: there is no way. -1: it has failed, and said so. */
        int (*renew)(struct download *download, const char *challenge);
        const struct oci_reference *reference;  /* of renew() */
};

/* The user and password that a file has for a registry, if it has some. -1: it has failed, and said so. */
int credentials_find(const char *path, const struct oci_reference *reference, struct download *download);

/* The image of a registry as a download. -1: it has failed, and said so. */
int oci_resolve(const struct oci_reference *reference, struct download *download);

/* HTTP */

struct response {
        long status;
        char *body;                     /* with a NUL behind; owned */
        size_t n_body;
        char challenge[1024];           /* WWW-Authenticate */
        bool is_elsewhere;              /* of another server than the one that was asked: it has redirected us */
};

/* A small thing, into memory. accept: NULL, or the value of the header. -1: no answer in its time, or that of a server that has trouble, and it has said so. */
int http_get(const struct download *download, const char *url, const char *accept, struct response *ret_response);
void response_done(struct response *response);

/* The download into a file of partial/, from where it was left. */
int http_download(struct download *download, int partial_directory, const char *name);

/* The end: takes the image out of what came if need be, finds out what it is, and gives it its name. cached: only looks. */
int unpack(int partial_directory, const char *partial, int images_directory, const char *digest, bool is_archive);
int describe(int fd, const char *digest, bool cached);

/* The disk in an archive. -1: it has failed, and said so. */
int archive_extract(int from, int to);

/* Writes a part of an image, but for what is zeros anyway, and goes on to what follows. */
int image_write(int fd, const void *data, size_t n, uint64_t *offset);

void progress(uint64_t done, uint64_t total);
