/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "toy-requests.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"

uint64_t toy_number(char **words, int i) {
        return words[i] ? strtoull(words[i], NULL, 0) : 0;
}

bool toy_is(char **words, const char *name) {
        return strcmp(words[0], name) == 0;
}

/* An address of IPv4, of IPv6, or a path, at whose beginning '@' stands for the byte 0. */
static void name_make(char **words, int i, struct pvcalls_name *name) {
        const char *text = words[i] ?: "";

        if (text[0] == '/' || text[0] == '@') {
                pvcalls_name_init(name, AF_UNIX);
                strncpy(name->local.sun_path, text, sizeof name->local.sun_path - 1);
                name->size += (socklen_t) strlen(name->local.sun_path) + (text[0] == '/');
                if (text[0] == '@')
                        name->local.sun_path[0] = '\0';
                return;
        }
        pvcalls_name_init(name, strchr(text, ':') ? AF_INET6 : AF_INET);
        inet_pton(name->any.sa_family, text, name->any.sa_family == AF_INET ? (void *) &name->inet.sin_addr : &name->inet6.sin6_addr);
        pvcalls_name_set_port(name, htons((uint16_t) toy_number(words, i + 1)));
}

/* A name that is longer than a request goes before it, in pieces. */
static void stage_name(struct toy *toy, uint64_t id, const uint8_t *bytes, uint32_t n) {
        for (uint32_t at = 0; at < n; at += PVCALLS_PIECE_SIZE) {
                struct pvcalls_request request = { .cmd = PVCALLS_SETNAME, .u.setname = { .id = id, .len = n, .offset = at } };
                struct pvcalls_response response;
                int64_t req_id;

                memcpy(request.u.setname.piece, bytes + at, n - at < PVCALLS_PIECE_SIZE ? n - at : PVCALLS_PIECE_SIZE);
                req_id = toy_request(toy, &request);
                if (req_id >= 0)
                        toy_await(toy, (uint32_t) req_id, TOY_DEADLINE_MS, &response);
        }
}

uint32_t toy_address_put(struct toy *toy, char **words, int i, uint8_t addr[PVCALLS_ADDRESS_SIZE]) {
        uint8_t bytes[PVCALLS_NAME_MAX];
        struct pvcalls_name name;
        uint32_t n;

        name_make(words, i, &name);
        n = pvcalls_name_format(&name, bytes);
        memcpy(addr, bytes, PVCALLS_ADDRESS_SIZE);
        if (n > PVCALLS_ADDRESS_SIZE)
                stage_name(toy, toy_number(words, 1), bytes, n);
        return n;
}

static void hex_parse(const char *text, uint8_t *to, size_t n_max, uint32_t *ret_n) {
        unsigned byte;

        for (*ret_n = 0; text && *ret_n < n_max && sscanf(text + 2 * *ret_n, "%2x", &byte) == 1; ++*ret_n)
                to[*ret_n] = (uint8_t) byte;
}

/* A request that brings pages along. */
static int64_t request_with_pages(struct toy *toy, struct pvcalls_request *request, uint64_t id, uint32_t order, uint32_t *ref,
                                  uint32_t *evtchn) {
        struct toy_socket *socket;
        int r = toy_socket_new(toy, id, order, &socket);

        if (r < 0)
                return r;
        *ref = socket->ref;
        *evtchn = socket->port;
        return toy_request(toy, request);
}

/* new_id: whose the pages are then; NULL: they are given back. */
static int64_t request_release(struct toy *toy, struct pvcalls_request *request, const uint64_t *new_id) {
        struct pvcalls_response response;
        struct toy_socket *socket = toy_socket_find(toy, request->u.id);
        int64_t req_id = toy_request(toy, request);

        if (req_id < 0 || !socket)
                return req_id;
        if (toy_await(toy, (uint32_t) req_id, TOY_DEADLINE_MS, &response) == 0)
                toy->responses[toy->n_responses++] = response;
        if (new_id)
                socket->id = *new_id;
        else
                toy_socket_free(toy, socket);
        return req_id;
}

static int64_t request_kept(struct toy *toy, struct pvcalls_request *request) {
        struct toy_socket *socket = toy_socket_find(toy, request->u.id);

        if (!socket || !socket->indexes)
                return -EBADF;
        toy_socket_renew(toy, socket);
        request->u.connect.ref = socket->ref;
        request->u.connect.evtchn = socket->port;
        return toy_request(toy, request);
}

/* Those of the extensions. */
static int64_t make_extension_request(struct toy *toy, char **words) {
        struct pvcalls_request request = { .u.id = toy_number(words, 1) };

        if (toy_is(words, "getname")) {
                request.cmd = PVCALLS_GETNAME;
                request.u.getname.which = (uint32_t) toy_number(words, 2);
                request.u.getname.offset = (uint32_t) toy_number(words, 3);
        } else if (toy_is(words, "shutdown")) {
                const struct toy_socket *socket = toy_socket_find(toy, request.u.id);

                request.cmd = PVCALLS_SHUTDOWN;
                request.u.shutdown.how = (uint32_t) toy_number(words, 2);
                request.u.shutdown.out_prod = words[3] || !socket ? (uint32_t) toy_number(words, 3) : socket->out.prod;
        } else if (toy_is(words, "getsockopt") || toy_is(words, "setsockopt")) {
                request.cmd = toy_is(words, "getsockopt") ? PVCALLS_GETSOCKOPT : PVCALLS_SETSOCKOPT;
                request.u.sockopt.level = (uint32_t) toy_number(words, 2);
                request.u.sockopt.name = (uint32_t) toy_number(words, 3);
                hex_parse(words[4], request.u.sockopt.value, sizeof request.u.sockopt.value, &request.u.sockopt.len);
                if (words[4] && words[5])
                        request.u.sockopt.len = (uint32_t) toy_number(words, 5);
        } else if (toy_is(words, "attach-rings")) {
                request.cmd = PVCALLS_ATTACH;
                return request_with_pages(toy, &request, request.u.id, (uint32_t) toy_number(words, 2), &request.u.attach.ref,
                                          &request.u.attach.evtchn);
        } else if (toy_is(words, "setname")) {
                uint32_t n;

                request.cmd = PVCALLS_SETNAME;
                request.u.setname.len = (uint32_t) toy_number(words, 2);
                request.u.setname.offset = (uint32_t) toy_number(words, 3);
                hex_parse(words[4], request.u.setname.piece, sizeof request.u.setname.piece, &n);
        } else {
                return -ENOENT;
        }
        return toy_request(toy, &request);
}

int64_t toy_make_request(struct toy *toy, char **words) {
        struct pvcalls_request request = { .u.id = toy_number(words, 1) };

        if (toy_is(words, "socket")) {
                request.cmd = PVCALLS_SOCKET;
                request.u.socket.domain = words[2] ? (uint32_t) toy_number(words, 2) : 2;
                request.u.socket.type = words[2] ? (uint32_t) toy_number(words, 3) : 1;
                request.u.socket.protocol = (uint32_t) toy_number(words, 4);
        } else if (toy_is(words, "connect")) {
                request.cmd = PVCALLS_CONNECT;
                request.u.connect.len = toy_address_put(toy, words, 2, request.u.connect.addr);
                return request_with_pages(toy, &request, request.u.id, (uint32_t) toy_number(words, 4), &request.u.connect.ref,
                                          &request.u.connect.evtchn);
        } else if (toy_is(words, "connect-raw")) {
                request.cmd = PVCALLS_CONNECT;
                toy_address_put(toy, words, 2, request.u.connect.addr);
                request.u.connect.len = (uint32_t) toy_number(words, 4);
                request.u.connect.addr[0] = (uint8_t) toy_number(words, 5);
                request.u.connect.ref = (uint32_t) toy_number(words, 6);
                request.u.connect.evtchn = (uint32_t) toy_number(words, 7);
        } else if (toy_is(words, "bind")) {
                request.cmd = PVCALLS_BIND;
                request.u.bind.len = toy_address_put(toy, words, 2, request.u.bind.addr);
        } else if (toy_is(words, "listen")) {
                request.cmd = PVCALLS_LISTEN;
                request.u.listen.backlog = (uint32_t) toy_number(words, 2);
        } else if (toy_is(words, "accept")) {
                request.cmd = PVCALLS_ACCEPT;
                request.u.accept.id_new = toy_number(words, 2);
                return request_with_pages(toy, &request, request.u.accept.id_new, (uint32_t) toy_number(words, 3), &request.u.accept.ref,
                                          &request.u.accept.evtchn);
        } else if (toy_is(words, "accept-raw")) {
                request.cmd = PVCALLS_ACCEPT;
                request.u.accept.id_new = toy_number(words, 2);
                request.u.accept.ref = (uint32_t) toy_number(words, 3);
                request.u.accept.evtchn = (uint32_t) toy_number(words, 4);
        } else if (toy_is(words, "poll")) {
                request.cmd = PVCALLS_POLL;
        } else if (toy_is(words, "release")) {
                request.cmd = PVCALLS_RELEASE;
                return request_release(toy, &request, NULL);
        } else if (toy_is(words, "release-kept") || toy_is(words, "release-again")) {
                uint64_t new_id = toy_number(words, 2);

                request.cmd = PVCALLS_RELEASE;
                request.u.release.reuse = toy_is(words, "release-kept");
                return request_release(toy, &request, &new_id);
        } else if (toy_is(words, "connect-kept")) {
                request.cmd = PVCALLS_CONNECT;
                request.u.connect.len = toy_address_put(toy, words, 2, request.u.connect.addr);
                return request_kept(toy, &request);
        } else if (toy_is(words, "raw")) {
                request.cmd = (uint32_t) toy_number(words, 1);
                request.u.id = toy_number(words, 2);
        } else {
                return make_extension_request(toy, words);
        }
        return toy_request(toy, &request);
}
