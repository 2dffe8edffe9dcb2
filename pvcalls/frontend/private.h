/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the parts of the library know of each other.
 *
 *      pvcalls.c       the device: opening, dispatching, closing
 *      link.c          the connection to the backend, and what its end means for sockets
 *      socket.c        a socket's life, and the calls that become requests
 *      names.c         addresses
 *      answer.c        what the backend's answers do
 *      data.c          bytes
 *      datagram.c      datagrams, and their sockets
 *      waiting.c       sleeping, and looking before it
 *
 * lock covers all of it but the data of a socket, whose ring stays where it is for as long as the socket is there, also without a backend.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "data-ring.h"
#include "handshake.h"
#include "name.h"
#include "requests.h"
#include "rings.h"
#include "store.h"
#include "waiting.h"
#include "xcp-pvcalls.h"

#define PARKED_MAX 4u                   /* ACCEPTs of one listener: as many connections can come in a row without a round trip */

enum socket_kind {
        SOCKET_NEW,                     /* can be bound or connected */
        SOCKET_CONNECTING,
        SOCKET_CONNECTED,
        SOCKET_BOUND,                   /* has asked for it; result tells how far it is */
        SOCKET_LISTENING,
        SOCKET_PARKED,                  /* brought along by an ACCEPT, not yet connected */
};

/* An address that the backend tells, as it comes: bytes of the ring. */
struct told_name {
        int known;                      /* 0: not asked for; 1: told; or a negative errno */
        uint32_t n;
        uint8_t bytes[PVCALLS_NAME_MAX];
};

struct xcp_pvcalls_socket {
        struct xcp_pvcalls *pvcalls;
        struct xcp_pvcalls_socket *next, **link;        /* of all */
        struct xcp_pvcalls_socket *next_ready;
        bool is_ready;                  /* is in the list of those */
        bool is_waiting;                /* is in its listener's list: nobody has accepted it */
        void *userdata;
        uint64_t id;
        enum socket_kind kind;
        int family;                     /* AF_INET and so on, from its first address on */
        bool v6_only;
        bool accepted;                  /* a connection that came to a listener */
        bool datagrams;                 /* UDP; its rings hold frames, and it is SOCKET_CONNECTED when it has them, to whomever */
        bool known;                     /* the backend has it, or will: RELEASE is due */
        bool released;                  /* by its user: only the library has it still */
        bool restoring;                 /* a listener that a new backend is asked for */
        unsigned n_requests;            /* waiting or under way */
        int result;                     /* of the last call */
        int refused;                    /* SOCKET has failed: the result of what was sent right behind it */
        _Atomic int failure;            /* why it will never work again */
        _Atomic int event_fd;           /* -1: nobody has asked for it */

        struct ring *ring;              /* of a connection */
        struct data_producer out;
        struct data_consumer in;
        bool cut;                       /* the last datagram that was received had more than the ring could take */
        size_t room_wanted;             /* of datagrams: what the last one that did not fit needs; 0: all fitted */

        struct pvcalls_name address;    /* that a listener is bound to, for the next backend, or a connection is connected to */
        struct pvcalls_name wanted;     /* of a connect that has not ended */
        struct told_name told[2];       /* by PVCALLS_NAME_LOCAL and _PEER */
        int backlog;
        int shutdown;                   /* as shutdown(2) was last asked for */
        unsigned n_parked, n_waiting;
        struct xcp_pvcalls_socket *waiting, **waiting_end;      /* connections nobody has accepted; linked by next_ready */
};

struct xcp_pvcalls {
        pthread_mutex_t lock;
        pthread_t thread;
        bool has_thread;
        _Atomic bool ending;            /* the thread is to end */
        struct waiting waiting;         /* has a lock of its own */
        int epoll, wake;                /* wake: an eventfd that makes the thread, or whoever polls, look */

        struct store store;
        struct front_view view;
        struct store_terms terms;
        unsigned epoch;
        _Atomic bool failed;            /* the backend has broken the protocol */

        struct rings rings;
        struct pvcalls_command_page *page;      /* NULL: none */
        uint32_t page_ref, page_port;
        struct requests requests;
        uint32_t page_order;
        uint64_t next_id;

        struct xcp_pvcalls_socket *sockets;
        struct xcp_pvcalls_socket **ports;      /* by port */
        uint32_t n_ports;
        struct xcp_pvcalls_socket *ready, **ready_end;
        unsigned n_releasing;           /* RELEASEs that are not answered */
        unsigned parked_max;            /* ACCEPTs of one listener that this backend takes: PARKED_MAX, or 1 after it has refused a second */
        bool starved;                   /* a listener wanted to park an ACCEPT, and there was no page or slot for it */
        bool resting;                   /* an ACCEPT has failed: none is parked before the timer, or before something is released */
        int timer;
        unsigned rest_ms;               /* how long it was last */
        unsigned n_disowned;            /* ACCEPTs of listeners that are gone, which hold a slot each: Linux's backend never answers them */
};

/* link.c: with the lock held. */
void link_follow(struct xcp_pvcalls *pvcalls);
void link_renew(struct xcp_pvcalls *pvcalls);
bool link_is_up(const struct xcp_pvcalls *pvcalls);

/* socket.c: with the lock held. */
int socket_make(struct xcp_pvcalls *pvcalls, void *userdata, struct xcp_pvcalls_socket **ret_socket);
void socket_destroy(struct xcp_pvcalls_socket *socket);
void socket_set_ready(struct xcp_pvcalls_socket *socket);
int socket_take_ring(struct xcp_pvcalls_socket *socket);
void socket_drop_ring(struct xcp_pvcalls_socket *socket, bool keep);
void socket_release(struct xcp_pvcalls_socket *socket);
void socket_reset(struct xcp_pvcalls_socket *socket);         /* the same, and the peer sees that it is no orderly end */
void socket_queue(struct xcp_pvcalls_socket *socket, struct request *request);
int socket_ask_option(struct xcp_pvcalls_socket *socket, uint32_t level, uint32_t name, const void *value, uint32_t n);
void socket_park(struct xcp_pvcalls_socket *listener);
void socket_restore(struct xcp_pvcalls_socket *listener);
void sockets_flush(struct xcp_pvcalls *pvcalls);

/* Whether a call can be made now; and its end, which gives the lock up. */
int socket_callable(const struct xcp_pvcalls_socket *socket);
int socket_ask_known(struct xcp_pvcalls_socket *socket, uint32_t cmd);
int socket_call_end(struct xcp_pvcalls_socket *socket, int r);

/*
 * names.c, with the lock held but for the first: what a program gives as an address, at all and for this socket; that it is of a family from now
 * on; what CONNECT and BIND say of an address, and what has to be sent before them; a GETNAME's answer, and an ACCEPT's.
 */
int name_read(const struct sockaddr *address, socklen_t size, struct pvcalls_name *ret_name);
int name_check(const struct xcp_pvcalls_socket *socket, const struct sockaddr *address, socklen_t size, struct pvcalls_name *ret_name);
int name_family(struct xcp_pvcalls_socket *socket, int family);
uint32_t name_fill(const struct pvcalls_name *name, uint8_t ret_addr[PVCALLS_ADDRESS_SIZE]);
int name_send(struct xcp_pvcalls_socket *socket, const struct pvcalls_name *name);
void name_answered(struct xcp_pvcalls_socket *socket, const struct request *request, int result);
void name_came(struct xcp_pvcalls_socket *child, const struct request *request);

/* data.c: as xcp_pvcalls_receive_data() and xcp_pvcalls_send_space(), whatever is in the rings. Less room than needed is -EAGAIN. */
ssize_t data_wait_in(struct xcp_pvcalls_socket *socket, struct iovec pieces[2]);
ssize_t data_wait_room(struct xcp_pvcalls_socket *socket, struct iovec pieces[2], size_t needed);
int data_broken(struct xcp_pvcalls_socket *socket);
void data_received(struct xcp_pvcalls_socket *socket, size_t n);
void data_sent(struct xcp_pvcalls_socket *socket, size_t n);

/* datagram.c: how much room makes it writable. */
size_t datagram_room(const struct xcp_pvcalls_socket *socket);

/* answer.c: with the lock held. request is freed. result: 0 or a negative errno. And what to do when the time to rest is over. */
void answer_request(struct xcp_pvcalls *pvcalls, struct request *request, int result);
void answer_rested(struct xcp_pvcalls *pvcalls);
