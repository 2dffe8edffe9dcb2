/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the parts of a guest share: guest.c has its life and the loop, guest-table.c finds sockets, guest-commands.c does what requests ask
 * for, guest-extensions.c what those of the extensions do, guest-attach.c has pages and ports, guest-listen.c has listeners and who waits at them, guest-streams.c runs connected sockets and ends them.
 */

#include <time.h>

#include "command-ring.h"
#include "guest.h"
#include "spin.h"
#include "stream.h"

#define KEPT_MAX 64u                    /* attachments of sockets that are gone; more short connections at once are mapped anew */
#define REMEMBERED_MAX 64u              /* indexes pages whose data pages are remembered */
#define REMEMBERED_REFS_MAX 16u         /* of order 4, which is Linux's; for larger ones, one call more is next to nothing */

enum socket_state {
        SOCKET_NEW,                     /* known by its id, and nothing more */
        SOCKET_CONNECTING,              /* its request waits for the network */
        SOCKET_CONNECTED,
        SOCKET_BOUND,
        SOCKET_LISTENING,
        SOCKET_EXPECTED,                /* a parked ACCEPT's id_new: its pages are mapped, its connection has not come */
        SOCKET_CLOSING,                 /* its RELEASE waits until what was sent is on its way */
        SOCKET_DEAD,                    /* taken away by an operator or the policy; it can only be released */
};

/* A request that is answered later. */
struct parked {
        struct parked *next;
        uint32_t cmd, req_id;
        struct socket *expected;        /* of ACCEPT */
};

/* Pages and a port of the guest's, as CONNECT and ACCEPT bring them. */
struct attachment {
        struct pvcalls_indexes *indexes;        /* NULL: there is none */
        uint8_t *data;
        uint32_t n_pages;
        uint32_t port;                  /* ours; 0: another backend has it */
        uint32_t ref, evtchn;           /* of the indexes page, and the guest's port: by these it is found again */
        uint64_t pages_hash;            /* of what the indexes page said of the data pages */
        bool together;                  /* one mapping has the indexes page and, right behind it, the data pages */
        bool masked;                    /* of those that are kept: an event has come for it, and nobody has unmasked the port */
};

/* What an indexes page has named, when it was last read. */
struct remembered {
        uint32_t order;                 /* 0: nothing is remembered */
        uint32_t refs[1 + REMEMBERED_REFS_MAX];         /* of the indexes page, and of 1 << order data pages */
};

struct socket {
        struct guest *guest;
        struct socket *next_in_bucket;
        uint64_t id;                    /* the guest's */
        uint64_t serial;                /* ours */
        uint64_t made_usec;
        enum socket_state state;
        int family, type;               /* of the host's: AF_INET, SOCK_STREAM and so on */
        int fd;
        uint32_t req_id;                /* of the CONNECT or RELEASE that is not answered */
        bool bound, connect_asked;      /* what the policy was asked, and about what */
        bool bound_elsewhere;           /* the policy has replaced the address, and the guest is not told */
        bool v6only;                    /* the guest has said IPV6_V6ONLY */
        struct pvcalls_name bind_address, connect_address, remote;
        struct judged *judged;          /* of datagrams: whom the last was for that was allowed. NULL: none */
        struct staged *staged;          /* a name that is coming, of UNIX sockets. NULL: none */
        bool owns_path;                 /* there is a path that ends with it */
        struct attachment attachment;
        struct stream stream;
        struct parked *parked, **parked_tail;
        bool listening_watched;         /* epoll tells of connections */
        bool reuse;                     /* its RELEASE has said that the pages and the port will be used again */
        bool masked;                    /* its port is masked until the stream was run */
        struct join *join;              /* guest-join.h; NULL: none */
        int join_listener;              /* where other backends find it, or -1 */
        uint32_t masked_other;          /* the other guest's port, which is masked until then; 0: it is not */
        unsigned port_tries;            /* its port is still another backend's, and will be tried for so often */
        bool queued;
        struct socket *next_in_queue;
        uint64_t linger_until;
        struct socket *next_closing;
        struct socket *next_freed;
};

struct guest {
        sd_event *event;
        struct xen *xen;
        struct guest_terms *terms;
        const struct guest_listener *listener;
        void *userdata;
        bool suppress;

        struct command_ring_back ring;
        struct pvcalls_command_page *page;      /* NULL: not mapped */
        uint32_t port;
        bool bound;                     /* there is a port */
        bool commands_due, commands_masked, notify_due, timer_due;
        bool busy;                      /* there is more to do at once */
        bool loop_due;                  /* the service's loop has something to do: the turn ends */
        bool connects_begun;            /* in this round: on loopback they are there already */
        uint64_t now;                   /* 0: the clock has not been looked at in this round */

        int epoll;                      /* of all sockets (their pointer), the event channels' descriptor (NULL), and the service's loop (the guest) */
        sd_event_source *turns, *timer;
        struct socket **buckets;
        uint32_t n_buckets, n_sockets;
        uint64_t key;                   /* of the hash: ids are the guest's choice */
        struct socket **ports;          /* by port */
        uint32_t n_ports;
        struct socket *queue, **queue_tail;     /* sockets to be run, in turn */
        struct socket *closing, **closing_tail; /* by deadline, which are all as long */
        struct socket *freed;           /* until the end of the turn: events that were already collected may name them */
        struct attachment kept[KEPT_MAX];       /* the oldest first */
        unsigned n_kept;
        struct remembered remembered[REMEMBERED_MAX];   /* by the indexes page's reference, modulo */
        struct spin spin;
        long n_preempted;               /* how often the CPU was taken away, when it was last looked at */
        uint64_t idle_since;            /* 0: there is work, or was when it was last looked for */
        uint32_t n_ports_missing;       /* sockets that try for theirs */
        struct pvcalls_name absent;     /* where nobody was who can be joined; */
        uint64_t absent_until;          /* until then, nobody is looked for there */
        unsigned n_events_max;          /* events of ports that the next round takes */
        const char *violation;          /* why no more is done for it */
};

static inline uint64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/* guest.c */
/* When the round has begun, more or less: the clock may be a system call, as it is under Xen, and each connection has several uses for it. */
uint64_t guest_now(struct guest *guest);
void guest_violated(struct guest *guest, const char *reason);
void guest_respond(struct guest *guest, uint32_t cmd, uint32_t req_id, uint64_t id, int32_t number);
void guest_respond_with(struct guest *guest, const struct pvcalls_response *response);
int guest_watch(struct guest *guest, struct socket *socket, int op, uint32_t events);
int guest_watch_fd(struct guest *guest, struct socket *socket, int fd, int op, uint32_t events);
void guest_set_timer(struct guest *guest);

/* guest-table.c */
struct socket *socket_find(struct guest *guest, uint64_t id);
/* 0 and a new one, or -EEXIST, -EMFILE, -ENOBUFS, -ENOMEM: its limits. */
int socket_new(struct guest *guest, uint64_t id, int family, int type, struct socket **ret_socket);
/* What it is on the host, if it is not there yet. */
int socket_make_fd(struct socket *socket);
/* What the host calls it. There is an fd. */
int socket_local_name(const struct socket *socket, struct pvcalls_name *ret_name);
/* Closes, unmaps, unbinds; answers nothing. */
void socket_free(struct socket *socket);
void socket_close_fd(struct socket *socket);

/* guest-attach.c */
/* Maps and binds what the guest offers, or finds it again if it was kept. 0, or a negative errno for the response. */
int socket_attach(struct socket *socket, uint32_t ref, uint32_t evtchn);
/* Unmaps and unbinds, or keeps both if the guest has said that it will use them again. */
void socket_detach(struct socket *socket);
void guest_forget_kept(struct guest *guest);
/* An event has come for a port that is no socket's. */
void guest_mask_kept(struct guest *guest, uint32_t port);
/* Whose events those of a port are. */
int socket_set_port(struct guest *guest, uint32_t port, struct socket *socket);
/* Lets another backend have its port, and takes it back, with a notification: what happened meanwhile is not known. */
void socket_give_port(struct socket *socket);
int socket_take_port(struct socket *socket);
/* Sends a notification, if the port is here. */
void socket_notify(struct socket *socket);

/* guest-commands.c */
void guest_execute(struct guest *guest, const struct pvcalls_request *request);
void guest_connect_ready(struct socket *socket, uint32_t events);
/* Asks the policy. Returns 0 and the address to use, -EACCES, or -ENOBUFS: it would be allowed, but not as often. */
int guest_ask_policy(struct socket *socket, enum policy_call call, const struct pvcalls_name *address, struct pvcalls_name *ret_address);

/* guest-extensions.c */
/* Whether it is one of theirs; then r is what to answer, and the answer may have been given more. */
bool guest_execute_extension(struct guest *guest, const struct pvcalls_request *request, struct pvcalls_response *response, int *ret_r);
/* Says the address of a connection's peer in the answer to ACCEPT. */
void guest_tell_peer(const struct socket *socket, struct pvcalls_response *response);

/* guest-datagrams.c */
int guest_attach_datagrams(struct socket *socket, uint32_t ref, uint32_t evtchn);
/* CONNECT of a socket that has its rings. */
int guest_connect_datagrams(struct socket *socket, const struct pvcalls_name *asked);
int guest_disconnect_datagrams(struct socket *socket);
int guest_judge_datagram(struct stream *stream, const struct pvcalls_name *asked, struct pvcalls_name *ret_used);

/* guest-unix.c */
/* SETNAME: a piece of a name, all of which the next CONNECT or BIND takes. */
int guest_stage_name(struct socket *socket, uint32_t untrusted_n, uint32_t untrusted_offset, const uint8_t piece[PVCALLS_PIECE_SIZE]);
int guest_staged_name(struct socket *socket, uint32_t untrusted_n, struct pvcalls_name *ret_name);
/* Takes away a socket that nobody listens at any more: who had it was killed. */
void guest_prepare_path(const struct pvcalls_name *name);
void guest_remove_path(struct socket *socket);

/* guest-options.c: level, name and value as on the ring. 0, or what to answer; whether its RELEASE is to reset the connection, by SO_LINGER. */
int guest_get_option(struct socket *socket, uint32_t level, uint32_t name, uint8_t ret_value[PVCALLS_PIECE_SIZE], uint32_t *ret_n);
int guest_set_option(struct socket *socket, uint32_t level, uint32_t name, const uint8_t value[PVCALLS_PIECE_SIZE], uint32_t untrusted_n);
bool guest_wants_reset(const struct socket *socket);

/* guest-listen.c */
int guest_listen(struct socket *socket, uint32_t backlog);
/* 0: it is parked or was answered; else what to answer. */
int guest_accept(struct socket *socket, const struct pvcalls_request *request);
int guest_poll(struct socket *socket, uint32_t req_id);
void guest_listen_ready(struct socket *socket);
/* Answers all that is parked there. */
void guest_listen_end(struct socket *socket, int32_t number);

/* guest-streams.c */
void guest_enqueue(struct socket *socket);
/* Its connection is there: from now on data flows. */
void guest_open_stream(struct socket *socket);
/* Runs each socket that is queued once. Returns whether some are queued then and may be run. */
bool guest_run_queue(struct guest *guest);
/* RELEASE of a connected socket: it is answered when what was sent is on its way. */
void guest_release_stream(struct socket *socket, uint32_t req_id, bool reuse);
void guest_end_lingering(struct guest *guest, uint64_t now);
