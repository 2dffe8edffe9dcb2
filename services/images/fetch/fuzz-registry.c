/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks what reads a registry's answers: the input is what it answers, one after the other, each a line with its status and its
 * challenge, then the body up to a line of %%. All bodies have the digest 0...0, so that manifests behind an index are reached.
 * Invariants: what fails has said so, and only then; what is to be downloaded is of that registry, has a checksum, and neither it nor the
 * token has anything in it that could end a line of a request. A password is sent to nobody without encryption.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fetch.h"

#define ANSWERS_MAX 8
#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *answers;
static size_t n_answers, n_asked;
static unsigned n_failures;

int fail(enum failure failure, const char *format, ...) {
        char text[8192];
        va_list arguments;

        va_start(arguments, format);
        demand(vsnprintf(text, sizeof text, format, arguments) > 0);
        va_end(arguments);
        n_failures++;
        return -1;
}

void checksum_data(const void *data, size_t n, char *ret_sha256) {
        memset(ret_sha256, '0', 64);
        ret_sha256[64] = '\0';
}

/* The next line or body; what ends it is not part of it. */
static char *take(const char *end) {
        const char *found = memmem(answers, n_answers, end, strlen(end));
        size_t n = found ? (size_t) (found - answers) : n_answers;
        char *copy = malloc(n + 1);

        demand(copy);
        memcpy(copy, answers, n);
        copy[n] = '\0';
        n += found ? strlen(end) : 0;
        answers += n;
        n_answers -= n;
        return copy;
}

int http_get(const struct download *download, const char *url, const char *accept, struct response *ret_response) {
        const char *before = answers;
        char *line, *challenge;

        demand(strlen(url) < 4096 && !strpbrk(download->token, "\r\n"));
        demand(!download->sends_password || strncasecmp(url, "https://", 8) == 0);
        if (n_answers == 0 || n_asked++ == ANSWERS_MAX)
                return fail(FAILURE_UNREACHABLE, "it does not answer");
        line = take("\n");
        challenge = strchr(line, ' ');
        *ret_response = (struct response) { .status = strtol(line, NULL, 10) };
        snprintf(ret_response->challenge, sizeof ret_response->challenge, "%s", challenge ? challenge + 1 : "");
        free(line);
        before = answers;
        ret_response->body = take("\n%%\n");
        ret_response->n_body = (size_t) (answers - before);
        if (ret_response->n_body >= 4 && memcmp(answers - 4, "\n%%\n", 4) == 0)
                ret_response->n_body -= 4;
        return 0;
}

void response_done(struct response *response) {
        free(response->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const struct oci_reference reference = { .host = "registry.example:5000", .repository = "vm/debian", .reference = "12" };
        struct download download = { .user = "ann", .password = "secret" };
        int r;

        answers = (const char *) data;
        n_answers = size;
        n_asked = n_failures = 0;
        r = oci_resolve(&reference, &download);
        demand((r < 0) == (n_failures > 0) && r <= 0);
        demand(!strpbrk(download.token, "\r\n"));
        if (r < 0)
                return 0;
        demand(strncmp(download.url, "https://registry.example:5000/v2/vm/debian/blobs/sha", 52) == 0);
        demand(!strpbrk(download.url, " \r\n"));
        demand(strlen(download.checksum.hex) == 64 || strlen(download.checksum.hex) == 128);
        return 0;
}
