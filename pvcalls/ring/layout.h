/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The memory that PV Calls shares between two domains, version 1: what lies where.
 *
 * Sections are those of Xen's docs/misc/pvcalls.pandoc. Where its text and its structs disagree, the structs hold: layout.c proves each
 * offset and size, against the number in the document's structs and against Xen's own header. Every word of shared memory is atomic, so
 * that one look is one load, and nothing that was checked can be loaded again behind our back.
 */

#include <stdatomic.h>
#include <stdint.h>

#define PVCALLS_PAGE_SIZE 4096u         /* always, whatever the machine's pages are: "Indexes Page Structure" */
#define PVCALLS_SLOTS 32u               /* of the command ring: the largest power of two that fits behind its header, as ring.h rounds */
#define PVCALLS_ORDER_MAX 9u            /* the largest whose references fit into the indexes page: 2^9 of them, of 991 */
#define PVCALLS_REFS_MAX (1u << PVCALLS_ORDER_MAX)
#define PVCALLS_ADDRESS_SIZE 28u        /* "Connect", addr */
#define PVCALLS_PIECE_SIZE 36u          /* docs/pvcalls-extensions.md: what a request or a response can carry of an address or an option */

/* "Commands": the numbers of the defines. The text beside each command counts from before SOCKET was 0. */
enum pvcalls_command {
        PVCALLS_SOCKET,
        PVCALLS_CONNECT,
        PVCALLS_RELEASE,
        PVCALLS_BIND,
        PVCALLS_LISTEN,
        PVCALLS_ACCEPT,
        PVCALLS_POLL,
};

/* docs/pvcalls-extensions.md. Their numbers keep clear of those that a later version 1 may add. */
enum pvcalls_extension {
        PVCALLS_GETNAME = 256,
        PVCALLS_SHUTDOWN,
        PVCALLS_GETSOCKOPT,
        PVCALLS_SETSOCKOPT,
        PVCALLS_ATTACH,
        PVCALLS_SETNAME,
};

/* Of SOCKET and in addresses: Linux's numbers, whatever they are here. Version 1 has the first of each. */
enum pvcalls_family {
        PVCALLS_INET = 2,
        PVCALLS_INET6 = 10,
        PVCALLS_UNIX = 1,
};

enum pvcalls_type {
        PVCALLS_STREAM = 1,
        PVCALLS_DATAGRAM = 2,
};

enum pvcalls_which {                    /* of GETNAME */
        PVCALLS_NAME_LOCAL,
        PVCALLS_NAME_PEER,
};

enum pvcalls_shutdown {                 /* of SHUTDOWN; the numbers of shutdown(2) */
        PVCALLS_SHUTDOWN_READ,
        PVCALLS_SHUTDOWN_WRITE,
        PVCALLS_SHUTDOWN_BOTH,
};

/* "Commands". A copy of a slot: never a pointer into one. */
struct pvcalls_request {
        uint32_t req_id;                /* chosen by the frontend, echoed */
        uint32_t cmd;                   /* enum pvcalls_command, or anything */
        union {
                uint64_t id;            /* every command begins with it */
                struct {
                        uint64_t id;
                        uint32_t domain, type, protocol, pad;
                } socket;
                struct {
                        uint64_t id;
                        uint8_t addr[PVCALLS_ADDRESS_SIZE];
                        uint32_t len, flags, ref, evtchn, pad;
                } connect;
                struct {
                        uint64_t id;
                        uint8_t reuse, pad[7];
                } release;
                struct {
                        uint64_t id;
                        uint8_t addr[PVCALLS_ADDRESS_SIZE];
                        uint32_t len;
                } bind;
                struct {
                        uint64_t id;
                        uint32_t backlog, pad;
                } listen;
                struct {
                        uint64_t id, id_new;
                        uint32_t ref, evtchn;
                } accept;
                struct {
                        uint64_t id;
                } poll;
                struct {
                        uint64_t id;
                        uint32_t which; /* enum pvcalls_which */
                        uint32_t offset;
                } getname;
                struct {
                        uint64_t id;
                        uint32_t how;   /* enum pvcalls_shutdown */
                        uint32_t out_prod;
                } shutdown;
                struct {                /* GETSOCKOPT, which has no value, and SETSOCKOPT */
                        uint64_t id;
                        uint32_t level, name, len;
                        uint8_t value[PVCALLS_PIECE_SIZE];
                } sockopt;
                struct {
                        uint64_t id;
                        uint32_t ref, evtchn;
                } attach;
                struct {
                        uint64_t id;
                        uint32_t len;   /* of the whole address */
                        uint32_t offset;        /* of piece in it */
                        uint8_t piece[PVCALLS_PIECE_SIZE];
                } setname;
                uint8_t bytes[56];
        } u;
};

/*
 * "Response", and behind it what extensions say in the rest of the slot: with version 1 alone it means nothing, and its frontends do not
 * look at it.
 */
struct pvcalls_response {
        uint32_t req_id;
        uint32_t cmd;
        int32_t ret;                    /* 0, or a number of error.h */
        uint32_t pad;
        uint64_t id;                    /* that of the request; of ACCEPT, the listener's */
        uint32_t len;                   /* of the whole address or option, of which piece is a part */
        uint8_t piece[PVCALLS_PIECE_SIZE];
};

/* Before each datagram in a ring (docs/pvcalls-extensions.md, "Datagrams"). A copy, as of slots. */
#define PVCALLS_DATAGRAM_ALIGN 8u       /* what a frame's length is rounded up to */

enum pvcalls_datagram_flag {
        PVCALLS_DATAGRAM_TRUNCATED = 1, /* it was longer than what is here */
};

struct pvcalls_datagram {
        uint32_t length;                /* bytes behind this header */
        uint32_t flags;
        int32_t error;                  /* in `in`: what became of a datagram that the guest sent, to this address */
        uint32_t addr_len;              /* 0: none */
        uint8_t addr[PVCALLS_ADDRESS_SIZE];
        uint32_t pad;
};

/* The page of the command ring: ring.h's header, and slots that hold a request until it was taken, and then a response. */
struct pvcalls_command_page {
        _Atomic uint32_t req_prod, req_event, rsp_prod, rsp_event;
        uint32_t pad[12];
        union {
                _Atomic uint32_t words[16];
        } slots[PVCALLS_SLOTS];
        uint8_t unused[PVCALLS_PAGE_SIZE - 64 - PVCALLS_SLOTS * 64];
};

/*
 * One direction of a socket. Indexes run freely through all of 32 bits and are masked for use.
 *
 * prod_event and cons_event are no part of version 1, where they are padding. Both sides use them if both say so in the store
 * (notification suppression, docs/pvcalls.md): who sleeps says there which index it waits for.
 */
struct pvcalls_direction {
        _Atomic uint32_t cons;          /* written by the consumer */
        _Atomic uint32_t prod;          /* written by the producer */
        _Atomic uint32_t error;         /* written by the backend, in both directions: 0, or a negative number of error.h */
        _Atomic uint32_t prod_event;    /* written by the consumer */
        _Atomic uint32_t cons_event;    /* written by the producer */
        uint32_t pad[11];
};

/* "Indexes Page Structure": the struct and the N.B. below it. Its two diagrams show ring_order at 76, where an early draft had it. */
struct pvcalls_indexes {
        struct pvcalls_direction in;    /* to the frontend: the first half of the data pages */
        struct pvcalls_direction out;   /* from the frontend: the second half */
        _Atomic uint32_t ring_order;    /* there are 2 to this power of data pages */
        _Atomic uint32_t refs[991];     /* of the data pages, in order */
};
