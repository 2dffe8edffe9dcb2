/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "nbd-uri.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PORT "10809"                    /* IANA's */
#define PORT_LENGTH_MAX 5u

void nbd_uri_done(struct nbd_uri *uri) {
        free(uri->export);
        free(uri->path);
        free(uri->host);
        free(uri->port);
        *uri = (struct nbd_uri) {};
}

static int digit(char c) {
        return isdigit((unsigned char) c) ? c - '0' : isxdigit((unsigned char) c) ? tolower((unsigned char) c) - 'a' + 10 : -1;
}

/* A part of it, without its quoting. A byte 0 would end a name before its end. */
static int unquote(const char *untrusted, size_t n, char **ret_text) {
        char *text = malloc(n + 1), *to = text;

        if (!text)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int byte = (unsigned char) untrusted[i];

                if (byte == '%') {
                        int high = n - i > 2 ? digit(untrusted[i + 1]) : -1, low = n - i > 2 ? digit(untrusted[i + 2]) : -1;

                        byte = high < 0 || low < 0 ? 0 : high * 16 + low;
                        i += 2;
                }
                if (byte == 0) {
                        free(text);
                        return -EINVAL;
                }
                *to++ = (char) byte;
        }
        *to = '\0';
        *ret_text = text;
        return 0;
}

/* nbd+unix:///EXPORT?socket=PATH: behind the three slashes */
static int parse_unix(struct nbd_uri *uri, const char *untrusted) {
        static const char query[] = "socket=";
        size_t n_export = strcspn(untrusted, "?#");
        const char *path = untrusted + n_export + 1;
        int r;

        if (untrusted[n_export] != '?' || strncmp(path, query, strlen(query)) != 0)
                return -EINVAL;
        path += strlen(query);
        r = unquote(path, strcspn(path, "&#"), &uri->path);
        if (r >= 0)
                r = path[strcspn(path, "&#")] == '\0' && uri->path[0] == '/' ? unquote(untrusted, n_export, &uri->export) : -EINVAL;
        return r;
}

/* nbd://HOST[:PORT]/EXPORT: behind the two slashes */
static int parse_host(struct nbd_uri *uri, const char *untrusted) {
        const char *end = untrusted + strcspn(untrusted, "/?#"), *host = untrusted, *host_end, *port = PORT;
        bool is_bracketed = *host == '[';
        size_t n_port = strlen(PORT);
        int r;

        host += is_bracketed;
        host_end = host + strcspn(host, is_bracketed ? "]/?#" : ":/?#");
        if (host_end == host || (is_bracketed && *host_end != ']'))
                return -EINVAL;
        if (host_end + is_bracketed < end) {
                port = host_end + is_bracketed + 1;
                n_port = (size_t) (end - port);
                if (port[-1] != ':' || n_port == 0 || n_port > PORT_LENGTH_MAX || strspn(port, "0123456789") != n_port)
                        return -EINVAL;
        }
        if (*end == '/')
                end++;
        if (end[strcspn(end, "?#")] != '\0')
                return -EINVAL;
        r = unquote(host, (size_t) (host_end - host), &uri->host);
        if (r >= 0)
                r = (uri->port = strndup(port, n_port)) ? unquote(end, strlen(end), &uri->export) : -ENOMEM;
        return r;
}

int nbd_uri_parse(struct nbd_uri *ret_uri, const char *untrusted) {
        static const char on_socket[] = "nbd+unix:///", on_host[] = "nbd://";
        struct nbd_uri uri = {};
        int r = -EINVAL;

        if (strlen(untrusted) <= NBD_URI_MAX && strncmp(untrusted, on_socket, strlen(on_socket)) == 0)
                r = parse_unix(&uri, untrusted + strlen(on_socket));
        else if (strlen(untrusted) <= NBD_URI_MAX && strncmp(untrusted, on_host, strlen(on_host)) == 0)
                r = parse_host(&uri, untrusted + strlen(on_host));
        if (r < 0) {
                nbd_uri_done(&uri);
                return r;
        }
        *ret_uri = uri;
        return 0;
}
