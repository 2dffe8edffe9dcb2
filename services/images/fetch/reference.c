/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checksums as text; and names of images in registries: oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:HEX], as the OCI distribution specification has their parts. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fetch.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
#define TAG_MAX 128u

int checksum_parse(const char *text, struct checksum *ret_checksum) {
        struct checksum checksum = {};
        size_t n;

        if (strncmp(text, "sha256:", 7) == 0)
                n = 64;
        else if (strncmp(text, "sha512:", 7) == 0)
                n = 128;
        else
                return -EINVAL;
        text += 7;
        if (strlen(text) != n || strspn(text, "0123456789abcdefABCDEF") != n)
                return -EINVAL;
        memcpy(checksum.algorithm, n == 64 ? "sha256" : "sha512", 7);
        for (size_t i = 0; i < n; i++)
                checksum.hex[i] = text[i] >= 'A' && text[i] <= 'F' ? (char) (text[i] - 'A' + 'a') : text[i];
        *ret_checksum = checksum;
        return 0;
}

static int refuse(const char **ret_reason, const char *reason) {
        *ret_reason = reason;
        return -EINVAL;
}

static int take(char *field, size_t size, const char *text, size_t n) {
        if (n >= size)
                return -EINVAL;
        memcpy(field, text, n);
        field[n] = '\0';
        return 0;
}

/* Names with slashes between; each begins and ends with a letter or digit. */
static bool is_repository(const char *text) {
        for (;;) {
                size_t n = strspn(text, LOWER "._-");

                if (n == 0 || !strchr(LOWER, text[0]) || !strchr(LOWER, text[n - 1]))
                        return false;
                if (text[n] == '\0')
                        return true;
                if (text[n] != '/')
                        return false;
                text += n + 1;
        }
}

static bool is_host(const char *text) {
        return *text && strspn(text, WORD ":[]") == strlen(text);
}

/* What is behind the repository: @sha256:HEX or :TAG, or both, of which the digest counts. */
static int take_reference(struct oci_reference *reference, const char *rest, const char **ret_reason) {
        const char *at = strchr(rest, '@');
        struct checksum checksum;

        if (at) {
                if (checksum_parse(at + 1, &checksum) < 0 || strcmp(checksum.algorithm, "sha256") != 0)
                        return refuse(ret_reason, "has no sha256: and 64 hexadecimal digits behind its @");
                snprintf(reference->reference, sizeof reference->reference, "sha256:%s", checksum.hex);
                return 0;
        }
        if (*rest == '\0')
                return take(reference->reference, sizeof reference->reference, "latest", 6);
        rest++;
        if (strspn(rest, WORD) != strlen(rest) || *rest == '\0' || strchr("-.", *rest) || strlen(rest) > TAG_MAX)
                return refuse(ret_reason, "has no tag of letters, digits, dots, dashes and underscores behind its colon");
        return take(reference->reference, sizeof reference->reference, rest, strlen(rest));
}

int oci_parse(const char *source, struct oci_reference *ret_reference, const char **ret_reason) {
        struct oci_reference reference = {};
        const char *slash, *repository;
        size_t n;
        int r;

        if (strncmp(source, "oci+http://", 11) == 0)
                reference.plain_http = true;
        else if (strncmp(source, "oci://", 6) != 0)
                return refuse(ret_reason, "does not begin with oci:// or oci+http://");
        source += reference.plain_http ? 11 : 6;
        slash = strchr(source, '/');
        if (!slash || take(reference.host, sizeof reference.host, source, (size_t) (slash - source)) < 0 || !is_host(reference.host))
                return refuse(ret_reason, "has no registry, as in oci://registry.example/name");
        repository = slash + 1;
        n = strcspn(repository, ":@");
        if (take(reference.repository, sizeof reference.repository, repository, n) < 0 || !is_repository(reference.repository))
                return refuse(ret_reason, "has no repository of lower-case letters, digits, dots, dashes, underscores and slashes");
        r = take_reference(&reference, repository + n, ret_reason);
        if (r < 0)
                return r;
        *ret_reference = reference;
        return 0;
}
