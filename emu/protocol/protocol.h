/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is said to xenemud, the hypervisor of emulated Xen.
 *
 * Everybody talks to it over AF_UNIX SOCK_SEQPACKET: one packet is one request, and each request gets exactly one reply packet, in
 * order, but for those that are posted. A connection is what an open device file is on Linux: grants, mappings and ports made over it belong to it and end with it.
 * Which domain a connection belongs to is decided by the listening socket it came in through (DOMAIN/xen in the run directory),
 * never by anything said over it. The control socket (xenemud/control) is the toolstack's.
 *
 * A request is struct emu_request followed by the structure named beside its operation, and exactly as long. A reply is struct
 * emu_reply followed, if result >= 0, by the structure named there; descriptors travel beside it. All integers are of the host's
 * byte order: both ends are on one machine and of one build, which EMU_HELLO checks first.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMU_PROTOCOL_VERSION 2u

#define EMU_PAGE_SIZE 4096u             /* Xen's page, whatever the host's is (xen/include/public/grant_table.h) */
#define EMU_REQUEST_MAX 4096u           /* bytes of a request; a longer one is answered with EMSGSIZE and not looked at */
#define EMU_REPLY_MAX 8192u             /* bytes of a reply */
#define EMU_FDS_MAX 128u                /* descriptors beside a reply: below the kernel's SCM_MAX_FD (253) */
#define EMU_SHARE_PAGES_MAX 1024u       /* pages in one EMU_GRANT_SHARE: its refs fit in a reply */
#define EMU_MAP_PAGES_MAX EMU_FDS_MAX   /* pages in one EMU_GRANT_MAP: each may lie in a memfd of its own */
#define EMU_TEXT_MAX 256u                /* bytes of a sentence for a person */
#define EMU_LIST_MAX 64u                /* entries in one reply of a listing */

/* The longest path of a run directory: it leaves room for /dom32751/xenstored/socket in a socket address (unix(7): 107 bytes). */
#define EMU_RUN_DIR_MAX (107 - sizeof "/dom32751/xenstored/socket" + 1)

#define EMU_DOMID_FIRST_RESERVED 0x7ff0u /* xen.h, DOMID_FIRST_RESERVED */
#define EMU_DOMID_SELF 0x7ff0u          /* xen.h, DOMID_SELF */

#define EMU_REF_XENSTORE 1u             /* grant_table.h, GNTTAB_RESERVED_XENSTORE */
#define EMU_REF_FIRST_FREE 8u           /* grant_table.h, GNTTAB_NR_RESERVED_ENTRIES */

enum emu_op {
        /* every socket; must come first */
        EMU_HELLO = 1,                  /* emu_hello → emu_hello */

        /* domain sockets: what /dev/xen/evtchn does */
        EMU_EVTCHN_ALLOC_UNBOUND = 16,  /* emu_evtchn_remote (remote_port 0) → emu_port, with EMU_PORT_FDS descriptors */
        EMU_EVTCHN_BIND_INTERDOMAIN,    /* emu_evtchn_remote → emu_port, with EMU_PORT_FDS descriptors */
        EMU_EVTCHN_BIND_VIRQ,           /* emu_evtchn_virq → emu_port, with EMU_PORT_FDS descriptors */
        EMU_EVTCHN_UNBIND,              /* emu_id: the port → nothing; ENOTCONN if this connection did not bind it */
        EMU_EVTCHN_RESTRICT,            /* emu_id: from now on this connection binds only to that domid → nothing */
        EMU_EVTCHN_LIST,                /* emu_id: first port to tell → emu_list of uint32_t, this connection's ports, ascending */
        EMU_EVTCHN_GET,                 /* emu_id: a port of this connection → emu_port, with EMU_PORT_FDS descriptors */

        /* domain sockets: what /dev/xen/gntalloc does */
        EMU_GRANT_SHARE = 32,           /* emu_share → emu_shared, with a read-write memfd of emu_share.count pages */
        EMU_GRANT_SHARE_MAPPED,         /* emu_id: read-only share; its owner has mapped it, no one else may write from now on */
        EMU_GRANT_UNSHARE,              /* emu_id: the share → nothing. The pages live on while someone has them mapped */

        /* domain sockets: what /dev/xen/gntdev does */
        EMU_GRANT_MAP = 48,             /* emu_map → emu_mapped, with one descriptor for each different memfd */
        EMU_GRANT_UNMAP,                /* emu_id: the mapping → nothing */
        EMU_GRANT_NOTIFY,               /* emu_notify → nothing */

        /* domain 0's socket only, EPERM elsewhere: what /dev/xen/privcmd does */
        EMU_DOMAIN_INFO = 64,           /* emu_id: domid → emu_domain_info of the first domain at or after it; ESRCH */
        EMU_EVTCHN_STATUS,              /* emu_evtchn_remote: whose port → emu_evtchn_status */

        /* control socket */
        EMU_DOMAIN_CREATE = 80,         /* emu_domain_create → emu_domain_created, once the domain's kernel is up; or emu_text, why not */
        EMU_DOMAIN_DESTROY,             /* emu_id: domid → nothing, once its last process is gone */
        EMU_DOMAIN_LIST,                /* emu_id: first domid → emu_list of emu_domain_info, ascending */
        EMU_DOMAIN_ENTER,               /* emu_id: domid → emu_entered. The connection is closed when that domain dies */
        EMU_SHUTDOWN,                   /* nothing → nothing, once every domain is gone; then xenemud exits */
};

struct emu_request {
        uint32_t op;                    /* enum emu_op */
        uint32_t flags;                 /* 0 or EMU_REQUEST_POSTED */
};

/*
 * There is no reply. Only for EMU_EVTCHN_UNBIND, EMU_GRANT_UNSHARE and EMU_GRANT_UNMAP, which cannot fail for who owns what is named. Each such request
 * is done before any request that is made, by whomever, after it was sent: nobody who asks the hypervisor can tell that it was not waited for. Who has
 * asked for a notification of the end (EMU_GRANT_NOTIFY) does wait, as that shows elsewhere.
 */
#define EMU_REQUEST_POSTED 1u

static inline bool emu_request_is_posted(const struct emu_request *request) {
        return request->flags == EMU_REQUEST_POSTED &&
               (request->op == EMU_EVTCHN_UNBIND || request->op == EMU_GRANT_UNSHARE || request->op == EMU_GRANT_UNMAP);
}

struct emu_reply {
        int32_t result;                 /* 0, or a negative errno and then nothing follows (EMU_GRANT_MAP: see there) */
        uint32_t n_fds;                 /* descriptors beside this packet */
};

/* A request's or reply's only argument. */
struct emu_id {
        uint32_t id;
};

struct emu_hello {
        uint32_t version;               /* EMU_PROTOCOL_VERSION; EPROTO if it differs */
        uint32_t domid;                 /* reply: the domain this connection belongs to, EMU_DOMID_SELF on the control socket */
};

/* A listing: up to EMU_LIST_MAX entries follow. None: the end. */
struct emu_list {
        uint32_t n_entries;
        uint32_t entry_size;
};

/*
 * Event channels
 */

enum { EMU_PORT_FD_PAGE, EMU_PORT_FD_RECEIVE, EMU_PORT_FD_SEND, EMU_PORT_FDS };

struct emu_evtchn_remote {
        uint32_t domid;                 /* EMU_DOMID_SELF means the caller's own */
        uint32_t port;
};

struct emu_evtchn_virq {
        uint32_t virq;                  /* xen.h, VIRQ_*; only VIRQ_DOM_EXC ever fires here */
};

/*
 * A bound port. Beside it: the channel's page (struct channel_page in channel.h, sealed), the eventfd to receive on, and the eventfd
 * to notify the other end with (for a VIRQ, one that nobody reads).
 */
struct emu_port {
        uint32_t port;
        uint32_t side;                  /* 0 or 1: which word of the channel's page is this end's */
};

enum emu_evtchn_state {                 /* event_channel.h, EVTCHNSTAT_*: the same numbers */
        EMU_EVTCHN_CLOSED = 0,
        EMU_EVTCHN_UNBOUND = 1,
        EMU_EVTCHN_INTERDOMAIN = 2,
        EMU_EVTCHN_VIRQ = 4,
};

struct emu_evtchn_status {
        uint32_t state;                 /* enum emu_evtchn_state */
        uint32_t remote_domid;          /* unbound, interdomain */
        uint32_t remote_port;           /* interdomain */
        uint32_t virq;                  /* VIRQ */
};

/*
 * Grants
 */

#define EMU_GRANT_READONLY 1u           /* emu_share.flags, emu_map.flags */

struct emu_share {
        uint32_t domid;                 /* the grantee */
        uint32_t count;                 /* pages, 1 to EMU_SHARE_PAGES_MAX */
        uint32_t flags;                 /* 0 or EMU_GRANT_READONLY: the grantee may only read */
};

/* A read-only share can be mapped by its grantee only after EMU_GRANT_SHARE_MAPPED, which is when its memory becomes read-only. */
struct emu_shared {
        uint32_t share;                 /* names it in EMU_GRANT_UNSHARE and EMU_GRANT_NOTIFY */
        uint32_t n_refs;
        uint32_t refs[];                /* of page 0, 1, ... of the memfd */
};

struct emu_map_page {
        uint32_t domid;                 /* the granter */
        uint32_t ref;
};

struct emu_map {
        uint32_t flags;                 /* 0 or EMU_GRANT_READONLY: map for reading only */
        uint32_t count;                 /* 1 to EMU_MAP_PAGES_MAX */
        struct emu_map_page pages[];
};

struct emu_mapped_page {
        int16_t status;                 /* grant_table.h, GNTST_*; 0 is success */
        uint16_t fd;                    /* index of the descriptor that holds the page */
        uint32_t page;                  /* which page of it */
};

/*
 * Follows emu_reply both on success and when result is -EINVAL because some page could not be mapped; then no page is mapped,
 * mapping is 0, no descriptor comes along, and the statuses say which page it was.
 */
struct emu_mapped {
        uint32_t mapping;               /* names it in EMU_GRANT_UNMAP and EMU_GRANT_NOTIFY */
        uint32_t n_pages;
        struct emu_mapped_page pages[];
};

/* gntdev.h, gntalloc.h: IOCTL_GNTDEV_SET_UNMAP_NOTIFY and its sister. */
#define EMU_NOTIFY_CLEAR_BYTE 1u
#define EMU_NOTIFY_SEND_EVENT 2u

struct emu_notify {
        uint32_t share;                 /* the share, or 0 */
        uint32_t mapping;               /* the mapping, or 0; exactly one of the two is named */
        uint32_t actions;               /* EMU_NOTIFY_*; 0 takes an earlier request back */
        uint32_t offset;                /* bytes into the share or mapping: this byte becomes 0 */
        uint32_t port;                  /* of the caller's domain; kept open until the event has been sent */
};

/*
 * Domains
 */

#define EMU_DOMAIN_ISOLATED 1u          /* its programs have mount, PID, network, IPC and host name namespaces of their own */
#define EMU_DOMAIN_DYING 2u             /* destroyed, but others still have its pages mapped */

/* 0 stands for the default of domains like it. */
struct emu_limits {
        uint32_t handles;               /* connections at a time (open device files) */
        uint32_t ports;                 /* event channels; Xen: max_evtchn_port, 1023 unless the guest's configuration says otherwise */
        uint32_t shared_pages;          /* Linux: xen_gntalloc.limit, 1024 */
        uint32_t grants;                /* Xen: 64 grant frames of 512 entries */
        uint32_t maptrack;              /* Xen: 1024 maptrack frames of 256 entries */
};

struct emu_domain_create {
        uint8_t uuid[16];
        uint32_t flags;                 /* 0 or EMU_DOMAIN_ISOLATED */
        struct emu_limits limits;
};

struct emu_domain_created {
        uint32_t domid;
        uint32_t xenstore_port;         /* unbound, for domain 0: introduce the domain to xenstored with it, now and not before: its
                                           kernel waits for that to begin (io/xs_wire.h, XENSTORE_RECONNECT) */
};

/* May follow a result of EMU_DOMAIN_CREATE that is not 0. */
struct emu_text {
        char text[EMU_TEXT_MAX];        /* what could not be done, for a person; NUL-terminated */
};

struct emu_domain_info {
        uint32_t domid;
        uint32_t flags;                 /* EMU_DOMAIN_* */
        uint8_t uuid[16];
        uint32_t handles;               /* in use now; the limits follow */
        uint32_t ports;
        uint32_t shared_pages;
        uint32_t grants;
        uint32_t maptrack;
        struct emu_limits limits;
};

/* Beside it, for an isolated domain: a pidfd of its first process, whose namespaces are the domain's. */
struct emu_entered {
        uint32_t domid;
        uint32_t flags;                 /* EMU_DOMAIN_* */
};

/*
 * The other direction: what xenemud gives a new domain's kernel (xenemu-guest) on the socket it inherits as
 * EMU_GUEST_SOCKET_FD. One packet down, with EMU_GUEST_FDS descriptors; one packet up when the domain is ready, or cannot be.
 */

#define EMU_GUEST_SOCKET_FD 3

enum {
        EMU_GUEST_FD_STORE_RING,        /* memfd of one page: struct xenstore_domain_interface (io/xs_wire.h) */
        EMU_GUEST_FD_CHANNEL_PAGE,      /* its event channel to xenstored, this end being side 0 */
        EMU_GUEST_FD_RECEIVE,
        EMU_GUEST_FD_SEND,
        EMU_GUEST_FD_XENBUS,            /* listening SOCK_STREAM socket, already bound to DOMAIN/xenbus */
        EMU_GUEST_FDS
};

#define EMU_GUEST_KEEP_MAX 8u           /* directories of the host that stay visible */
#define EMU_GUEST_PATH_MAX 256u

struct emu_guest_boot {
        uint32_t domid;
        uint32_t flags;                 /* EMU_DOMAIN_ISOLATED: already in new namespaces; make the mounts, raise lo, set the host name */
        char run_dir[EMU_GUEST_PATH_MAX];       /* absolute; of what is in it, only run_dir/domN stays visible */
        uint32_t n_keep;
        char keep[EMU_GUEST_KEEP_MAX][EMU_GUEST_PATH_MAX]; /* absolute; stay visible although below /tmp or another private place */
};

struct emu_guest_ready {
        int32_t result;                 /* 0, or a negative errno */
        char text[EMU_TEXT_MAX];  /* what could not be done, for a person; NUL-terminated */
};

_Static_assert(sizeof(struct emu_request) == 8, "requests are packed by hand");
_Static_assert(sizeof(struct emu_reply) == 8, "replies are packed by hand");
_Static_assert(sizeof(struct emu_mapped_page) == 8, "no padding in arrays");
_Static_assert(sizeof(struct emu_domain_info) == 64, "no padding in arrays");
_Static_assert(sizeof(struct emu_request) + sizeof(struct emu_map) + EMU_MAP_PAGES_MAX * sizeof(struct emu_map_page) <= EMU_REQUEST_MAX,
               "the largest map request fits");
_Static_assert(sizeof(struct emu_reply) + sizeof(struct emu_shared) + EMU_SHARE_PAGES_MAX * sizeof(uint32_t) <= EMU_REPLY_MAX,
               "the largest share's refs fit");
_Static_assert(sizeof(struct emu_reply) + sizeof(struct emu_list) + EMU_LIST_MAX * sizeof(struct emu_domain_info) <= EMU_REPLY_MAX,
               "a full listing fits");
