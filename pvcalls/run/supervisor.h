/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The supervisor: serves the programs of a domain whose sockets are carried. What its parts know of each other.
 *
 *      supervisor.c    the loop
 *      carried.c       which sockets are carried, and when a program has closed one
 *      calls.c         the system calls that say where a socket goes
 *      names.c         those that ask
 *      timeouts.c      those that wait for a limited time
 *      connection.c    a connection's bytes, and its end
 *      datagrams.c     UDP sockets
 *      sending.c       the calls that send to an address
 *      receiving.c     the calls that want to know from whom it is
 *      message.c       messages in a program's memory
 *      shared.c        listeners that share an address
 *      loopback.c      the other end of a program's socket
 *
 * A program's socket stays the kernel's socket that it made, so that all it does with it is the kernel's own doing: reading and writing,
 * polling, options, dup, fork, passing on, half closes, resets. Carried, it is connected to us over the loopback of its network namespace,
 * and we move bytes between there and the rings of PV Calls. A listener listens there as well, and a connection that comes is made to it.
 */

#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "loopback.h"
#include "name.h"
#include "peers.h"
#include "ranges.h"
#include "target.h"
#include "xcp-pvcalls.h"

/* What an epoll event is of: the first member of each thing in the set. */
enum source { SOURCE_DEVICE, SOURCE_WATCHES, SOURCE_DOOR, SOURCE_PROGRAM, SOURCE_CARRIED };

/* A program, and what it has started: all that share a filter. */
struct program {
        enum source source;
        struct program *next;
        int listener;                   /* where its calls are heard of */
        struct ranges ranges;
};

/* A system call that is not answered yet. */
struct call {
        struct call *next;
        struct program *program;
        uint64_t id;
        pid_t pid;
        struct seccomp_data data;
        bool started;                   /* it was heard of before, and waited for what has come now */
        int64_t deadline_ms;            /* when it waits: until when, of CLOCK_MONOTONIC; INT64_MAX: for ever */
};

enum carried_kind {
        CARRIED_NEW,
        CARRIED_BOUND,
        CARRIED_LISTENING,
        CARRIED_CONNECTING,
        CARRIED_CONNECTED,              /* or was */
        CARRIED_FAILED,                 /* a connect was not waited for, and has failed */
};

struct carried {
        enum source source;
        struct supervisor *supervisor;
        enum carried_kind kind;
        ino_t inode;                    /* of the program's socket; 0: it has not been accepted yet, or is closed */
        int watch;                      /* that tells of its closing; -1: none */
        struct carried *next_inode, *next_watch;
        struct xcp_pvcalls_socket *socket;      /* NULL: it has ended */
        struct call *calls;             /* that wait for something to happen to it */
        int family;                     /* that the program made it for; addresses are written as it does then */
        bool datagrams;                 /* it is of UDP */
        bool closed;                    /* by the program, all of its descriptors */
        bool dead;                      /* to be freed when nobody looks at it any more */
        struct pvcalls_name local, peer;
        struct pvcalls_name asked;      /* UDP: what peer will be when the backend has answered; none: it is connected to nobody */
        struct peers *peers;            /* UDP: NULL before it has been that */
        uint8_t *held;                  /* UDP: one that the program has sent, and that there was no room for; NULL: none is */
        size_t n_held;
        bool local_known;
        bool confirmed;                 /* the program knows by a connect's result that it is connected: the next gets EISCONN */
        int error;                      /* of a connect: SO_ERROR, a positive number; 0 */

        bool shut;                      /* listener: the program has shut it down */
        uint32_t port;                  /* listener: of its twin on the loopback */
        unsigned backlog, n_delivered;  /* listener: connections on the loopback that the program has not accepted */

        bool shares;                    /* bound: others may be bound to the same address (SO_REUSEPORT) */
        struct carried *leader;         /* bound: has the backend's socket for both; NULL: this one has it */
        struct carried *followers, *next_follower;
        struct carried *turn;           /* leader: who got the last connection; NULL: itself */

        struct carried *spares;         /* listener: connections whose accept was interrupted at the last moment; the next accepts get them */

        int spare;                      /* connection: such a one's descriptor; -1 */
        struct carried *next_spare;
        struct carried *listener;       /* connection: which delivered it, until it is accepted */
        int fd;                         /* connection: our end, -1: none */
        uint32_t own_port;              /* connection: our end's */
        bool locked;                    /* connection: the program's socket has a small buffer, as it is not connected yet */
        pid_t caller;                   /* connection: where a descriptor of the program's socket was when it was connected */
        int caller_fd;
        size_t junk;                    /* connection: bytes to be thrown away first; loopback.h */
        bool readable, writable, out_done, in_done, is_more;
        struct carried *next_more, *next_dead;
        uint64_t n_out, n_out_before;   /* connection: bytes to the backend; how many it were at a look before */
        int64_t give_up_ms;             /* closed connection: when, if the peer takes nothing until then */
        struct carried *next_closed;
};

#define CARRIED_BUCKETS 4096u

struct supervisor {
        int epoll, watches, door;       /* door: where programs are announced */
        enum source device_source, watches_source, door_source;
        int lock;                       /* of the door's place */
        const char *door_path;
        struct xcp_pvcalls *pvcalls;
        struct loopback loopback;       /* where programs' sockets are connected to */
        struct program *programs;
        struct carried *by_inode[CARRIED_BUCKETS], *by_watch[CARRIED_BUCKETS];
        struct carried **by_port;       /* LOOPBACK_PORTS: by own_port, those not accepted */
        struct carried *more, *dead;
        struct carried *closed;         /* connections that programs have closed, and that have still something to be sent */
        unsigned n_connections;         /* that still move bytes */
        int64_t next_deadline_ms;       /* no waiting call's time is over before; INT64_MAX: none has one */
        bool ending;
        bool scarce_told;
};

/* Serves until the last program has ended. door: a listening socket, and the lock on its place. ready: gets "ok" or what is wrong. */
int supervisor_run(int door, int lock, const char *door_path, int ready, int wait_ms);

/* carried.c */
struct carried *carried_find(struct supervisor *supervisor, ino_t inode);
struct carried *carried_new(struct supervisor *supervisor);
int carried_adopt(struct carried *carried, int fd);
void carried_wait(struct carried *carried, struct call *call);
void carried_release(struct carried *carried);
void carried_end(struct carried *carried);
void carried_refuse(struct carried *connection);        /* who has come and was not accepted sees a reset, as on Linux */
void carried_refuse_all(struct carried *listener);
void carried_closings(struct supervisor *supervisor);
int64_t carried_give_up(struct supervisor *supervisor);
void carried_free_dead(struct supervisor *supervisor);
ino_t inode_of(int fd);

/* calls.c. Take the call over. */
void call_handle(struct supervisor *supervisor, struct call *call);
void calls_retry(struct carried *carried);

/* Whether it is a UNIX socket that has records in place of a stream: none is carried. */
bool is_packet_unix(int fd);

/* What a handler returns besides a result. */
#define CALL_WAITS (-100000)            /* it waits at the socket */
#define CALL_CONTINUES (-100001)        /* the kernel does it */
#define CALL_ANSWERED (-100002)

/* timeouts.c: how long a call waits, how long until one has waited enough (for epoll_wait()), and answers to those that have. */
void timeout_set(struct supervisor *supervisor, struct call *call, int fd);
int timeouts_wait_ms(const struct supervisor *supervisor);
void timeouts_run(struct supervisor *supervisor);

/* names.c: the handlers of getsockname, getpeername and getsockopt(SO_ERROR), and addresses in a program's memory. */
int64_t call_getsockname(struct carried *carried, struct call *call, const struct target *target);
int64_t call_getpeername(struct carried *carried, struct call *call, const struct target *target);
int64_t call_get_error(struct carried *carried, struct call *call, const struct target *target);
int address_write(const struct target *target, uint64_t address, uint64_t length, const struct pvcalls_name *what, int family);

/* An IPv4 address, or none, as an IPv6 socket's. */
struct pvcalls_name address_map(const struct pvcalls_name *address);

/* Learns the socket's own address. -EINPROGRESS: the backend is asked for it. */
int local_learn(struct carried *carried);

/* An address that can be carried; IPv4's also in IPv6's clothes. Returns 0; 1: another kind of address; or -EFAULT. */
int address_read(const struct target *target, uint64_t address, uint64_t length, struct pvcalls_name *ret_address);

/* One to connect or send to: any address is loopback's (pvcalls_name_make_destination()). */
int destination_read(const struct target *target, uint64_t address, uint64_t length, struct pvcalls_name *ret_address);

/* options.c: what a program has said of its socket before it was a connection; and the handler of setsockopt. */
void options_pass_on(struct carried *carried, int fd);
int64_t call_set_option(struct carried *carried, struct call *call, const struct target *target);

/*
 * shared.c: that it is bound, and may have others beside it; 1 if another of this address has it beside it now (0: there is none); the backend's socket
 * of those that share one; whose turn is the next connection (NULL: nobody has room for one); calls that wait at followers; and the end of one, which
 * returns the leader of those that are left, if there are.
 */
void shared_begin(struct carried *carried, int fd);
int shared_join(struct supervisor *supervisor, int fd, const struct pvcalls_name *address);
struct xcp_pvcalls_socket *shared_socket(const struct carried *carried);
struct carried *shared_next(struct carried *leader);
void shared_retry(struct carried *leader);
struct carried *shared_leave(struct carried *carried);

/* connection.c */
void connection_begin(struct carried *carried, int fd);
void connection_run(struct carried *carried);
void connection_happened(struct carried *carried);
void connection_abort(struct carried *carried, bool reset);
void connection_run_again(struct carried *carried);
void listener_deliver(struct carried *listener);

/*
 * datagrams.c: the handlers of connect and bind of UDP sockets; what has to come before one sends to this address (0: it can); and their bytes, one
 * datagram at a time.
 */
#define DATAGRAMS_BYTES 65536u          /* no datagram is longer */
extern uint8_t datagrams_bytes[DATAGRAMS_BYTES];
bool datagrams_are(int fd);
int64_t datagrams_connect(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried);
int64_t datagrams_bind(struct supervisor *supervisor, struct call *call, const struct pvcalls_name *address, int fd, struct carried *carried);
int64_t datagrams_begin(struct supervisor *supervisor, struct call *call, const struct pvcalls_name *address, int fd, struct carried *carried);
void datagrams_run(struct carried *carried);

/* sending.c, receiving.c: the handlers of sendto, write, sendmsg and sendmmsg; and of recvfrom, recvmsg and recvmmsg, of a socket that is carried. */
int64_t call_send(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried);
int64_t call_receive(struct supervisor *supervisor, struct call *call, const struct target *target, int fd, struct carried *carried);
