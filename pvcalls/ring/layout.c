/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The proof that layout.h is right: the numbers of pvcalls.pandoc's structs, and Xen's own header as Debian ships it. */

#include "layout.h"

#include <stddef.h>
#include <string.h>

enum {                                  /* ours, before Xen's macros of these names */
        OUR_SOCKET = PVCALLS_SOCKET,
        OUR_CONNECT = PVCALLS_CONNECT,
        OUR_RELEASE = PVCALLS_RELEASE,
        OUR_BIND = PVCALLS_BIND,
        OUR_LISTEN = PVCALLS_LISTEN,
        OUR_ACCEPT = PVCALLS_ACCEPT,
        OUR_POLL = PVCALLS_POLL,
};

#include <xen/xen.h>
#include <xen/io/pvcalls.h>

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "the words are shared between domains");
_Static_assert(sizeof(_Atomic uint32_t) == 4 && _Alignof(_Atomic uint32_t) == 4, "an atomic word is a word");
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "PV Calls is little endian"
#endif

/* At the document's offset, with the document's size, and where Xen's header has it. */
#define AT(type, member, offset, size) \
        _Static_assert(offsetof(type, member) == (offset) && sizeof(((type *) NULL)->member) == (size), #type "." #member)
#define SAME(type, member, xen_type, xen_member)                                                                              \
        _Static_assert(offsetof(type, member) == offsetof(xen_type, xen_member) &&                                            \
                               sizeof(((type *) NULL)->member) == sizeof(((xen_type *) NULL)->xen_member), #xen_type "." #xen_member)

/* "Commands" */
_Static_assert(OUR_SOCKET == 0 && OUR_SOCKET == PVCALLS_SOCKET, "PVCALLS_SOCKET");
_Static_assert(OUR_CONNECT == 1 && OUR_CONNECT == PVCALLS_CONNECT, "PVCALLS_CONNECT");
_Static_assert(OUR_RELEASE == 2 && OUR_RELEASE == PVCALLS_RELEASE, "PVCALLS_RELEASE");
_Static_assert(OUR_BIND == 3 && OUR_BIND == PVCALLS_BIND, "PVCALLS_BIND");
_Static_assert(OUR_LISTEN == 4 && OUR_LISTEN == PVCALLS_LISTEN, "PVCALLS_LISTEN");
_Static_assert(OUR_ACCEPT == 5 && OUR_ACCEPT == PVCALLS_ACCEPT, "PVCALLS_ACCEPT");
_Static_assert(OUR_POLL == 6 && OUR_POLL == PVCALLS_POLL, "PVCALLS_POLL");

typedef struct pvcalls_request request;
typedef struct xen_pvcalls_request xen_request;
_Static_assert(sizeof(request) == 64 && sizeof(request) == sizeof(xen_request), "a request fills its slot");
_Static_assert(sizeof(((request *) NULL)->u) == 56, "112 bytes of two slots would be an extension");
#define ASSERT_REQUEST(member, offset, size) AT(request, member, offset, size); SAME(request, member, xen_request, member)
ASSERT_REQUEST(req_id, 0, 4);
ASSERT_REQUEST(cmd, 4, 4);
AT(request, u.id, 8, 8);
ASSERT_REQUEST(u.socket.id, 8, 8);
ASSERT_REQUEST(u.socket.domain, 16, 4);
ASSERT_REQUEST(u.socket.type, 20, 4);
ASSERT_REQUEST(u.socket.protocol, 24, 4);
ASSERT_REQUEST(u.connect.id, 8, 8);
ASSERT_REQUEST(u.connect.addr, 16, 28);
ASSERT_REQUEST(u.connect.len, 44, 4);
ASSERT_REQUEST(u.connect.flags, 48, 4);
ASSERT_REQUEST(u.connect.ref, 52, 4);
ASSERT_REQUEST(u.connect.evtchn, 56, 4);
ASSERT_REQUEST(u.release.id, 8, 8);
ASSERT_REQUEST(u.release.reuse, 16, 1);
ASSERT_REQUEST(u.bind.id, 8, 8);
ASSERT_REQUEST(u.bind.addr, 16, 28);
ASSERT_REQUEST(u.bind.len, 44, 4);
ASSERT_REQUEST(u.listen.id, 8, 8);
ASSERT_REQUEST(u.listen.backlog, 16, 4);
ASSERT_REQUEST(u.accept.id, 8, 8);
ASSERT_REQUEST(u.accept.id_new, 16, 8);
ASSERT_REQUEST(u.accept.ref, 24, 4);
ASSERT_REQUEST(u.accept.evtchn, 28, 4);
ASSERT_REQUEST(u.poll.id, 8, 8);

/* "Response" */
typedef struct pvcalls_response response;
typedef struct xen_pvcalls_response xen_response;
_Static_assert(offsetof(response, len) == 24 && sizeof(xen_response) == 24, "what version 1 has of a response");
_Static_assert(sizeof(response) == 64, "extensions fill the slot");
AT(response, req_id, 0, 4);
SAME(response, req_id, xen_response, req_id);
AT(response, cmd, 4, 4);
SAME(response, cmd, xen_response, cmd);
AT(response, ret, 8, 4);
SAME(response, ret, xen_response, ret);
AT(response, id, 16, 8);
SAME(response, id, xen_response, u.accept.id);

/* "Commands Ring": ring.h's DEFINE_RING_TYPES in one page */
typedef struct pvcalls_command_page command_page;
typedef struct xen_pvcalls_sring xen_sring;
_Static_assert(sizeof(command_page) == PVCALLS_PAGE_SIZE, "one page");
_Static_assert(PVCALLS_SLOTS == __CONST_RING_SIZE(xen_pvcalls, PVCALLS_PAGE_SIZE), "as many slots as ring.h counts");
AT(command_page, req_prod, 0, 4);
SAME(command_page, req_prod, xen_sring, req_prod);
AT(command_page, req_event, 4, 4);
SAME(command_page, req_event, xen_sring, req_event);
AT(command_page, rsp_prod, 8, 4);
SAME(command_page, rsp_prod, xen_sring, rsp_prod);
AT(command_page, rsp_event, 12, 4);
SAME(command_page, rsp_event, xen_sring, rsp_event);
_Static_assert(offsetof(command_page, slots) == 64 && offsetof(xen_sring, ring) == 64, "slots");
_Static_assert(sizeof(((command_page *) NULL)->slots[0]) == 64 && sizeof(((xen_sring *) NULL)->ring[0]) == 64, "a slot");

/* "Indexes Page Structure" */
typedef struct pvcalls_indexes indexes;
typedef struct pvcalls_data_intf xen_indexes;
_Static_assert(sizeof(struct pvcalls_direction) == 64 && sizeof(indexes) == PVCALLS_PAGE_SIZE, "a page");
AT(indexes, in.cons, 0, 4);
SAME(indexes, in.cons, xen_indexes, in_cons);
AT(indexes, in.prod, 4, 4);
SAME(indexes, in.prod, xen_indexes, in_prod);
AT(indexes, in.error, 8, 4);
SAME(indexes, in.error, xen_indexes, in_error);
AT(indexes, out.cons, 64, 4);
SAME(indexes, out.cons, xen_indexes, out_cons);
AT(indexes, out.prod, 68, 4);
SAME(indexes, out.prod, xen_indexes, out_prod);
AT(indexes, out.error, 72, 4);
SAME(indexes, out.error, xen_indexes, out_error);
AT(indexes, ring_order, 128, 4);
SAME(indexes, ring_order, xen_indexes, ring_order);
_Static_assert(offsetof(indexes, refs) == 132 && offsetof(xen_indexes, ref) == 132, "ref");
_Static_assert(PVCALLS_REFS_MAX <= sizeof(((indexes *) NULL)->refs) / 4 && 2 * PVCALLS_REFS_MAX > sizeof(((indexes *) NULL)->refs) / 4,
               "PVCALLS_ORDER_MAX is the largest that fits");

/* Notification suppression lies in the padding of version 1, pad1 and pad2. */
AT(indexes, in.prod_event, 12, 4);
AT(indexes, in.cons_event, 16, 4);
AT(indexes, out.prod_event, 76, 4);
AT(indexes, out.cons_event, 80, 4);
_Static_assert(offsetof(xen_indexes, pad1) == 12 && offsetof(xen_indexes, pad2) == 76, "padding");

/* docs/pvcalls-extensions.md */
_Static_assert(PVCALLS_GETNAME == 256 && PVCALLS_SHUTDOWN == 257 && PVCALLS_GETSOCKOPT == 258 && PVCALLS_SETSOCKOPT == 259 &&
                       PVCALLS_ATTACH == 260 && PVCALLS_SETNAME == 261,
               "numbers of the extensions");
AT(request, u.getname.id, 8, 8);
AT(request, u.getname.which, 16, 4);
AT(request, u.getname.offset, 20, 4);
AT(request, u.shutdown.id, 8, 8);
AT(request, u.shutdown.how, 16, 4);
AT(request, u.shutdown.out_prod, 20, 4);
AT(response, len, 24, 4);
AT(response, piece, 28, 36);
AT(request, u.sockopt.id, 8, 8);
AT(request, u.sockopt.level, 16, 4);
AT(request, u.sockopt.name, 20, 4);
AT(request, u.sockopt.len, 24, 4);
AT(request, u.sockopt.value, 28, 36);
AT(request, u.attach.id, 8, 8);
AT(request, u.attach.ref, 16, 4);
AT(request, u.attach.evtchn, 20, 4);
AT(request, u.setname.id, 8, 8);
AT(request, u.setname.len, 16, 4);
AT(request, u.setname.offset, 20, 4);
AT(request, u.setname.piece, 24, 36);

typedef struct pvcalls_datagram datagram;
_Static_assert(sizeof(datagram) == 48 && sizeof(datagram) % PVCALLS_DATAGRAM_ALIGN == 0, "a datagram's header");
AT(datagram, length, 0, 4);
AT(datagram, flags, 4, 4);
AT(datagram, error, 8, 4);
AT(datagram, addr_len, 12, 4);
AT(datagram, addr, 16, 28);
