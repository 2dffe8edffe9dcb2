/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NBD URIs (NBD project, doc/uri.md), as far as a guest's disk may be one: nbd://HOST[:PORT]/EXPORT, with an IPv6 address in brackets, and
 * nbd+unix:///EXPORT?socket=PATH. There is no TLS.
 */

#define NBD_URI_MAX 16384u              /* bytes: a path of 4095, each of them quoted, and a name */

struct nbd_uri {
        char *export;                   /* may be empty */
        char *path;                     /* of a socket; NULL: a host */
        char *host, *port;
};

/* For nbd_uri_done(). -EINVAL, -ENOMEM */
int nbd_uri_parse(struct nbd_uri *ret_uri, const char *untrusted);
void nbd_uri_done(struct nbd_uri *uri);
