/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "layout.h"

#define DATA(field) ((uint32_t) offsetof(struct seccomp_data, field))
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))

/* If what is loaded is the value, returns; otherwise goes on. */
#define ON(value, result) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1), RETURN(result)
#define NOTIFY(call) ON(__NR_##call, SECCOMP_RET_USER_NOTIF)
#define REFUSE(number, error) ON((number), SECCOMP_RET_ERRNO | (error))

/* If it is not the value, skips n statements. */
#define UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (n))

/* i386's numbers, of which this program's headers know nothing. */
#define I386_SOCKETCALL 102
#define I386_SOCKET 359
#define I386_IO_URING_SETUP 425
#define X32_BIT 0x40000000u

/* Goes on with the call's number loaded, if the numbers are those that we know. */
static const struct sock_filter way_in[] = {
        LOAD(DATA(arch)),
        UNLESS(AUDIT_ARCH_I386, 8),
        LOAD(DATA(nr)),
        REFUSE(I386_SOCKETCALL, ENOSYS),
        REFUSE(I386_SOCKET, ENOSYS),
        REFUSE(I386_IO_URING_SETUP, ENOSYS),
        RETURN(SECCOMP_RET_ALLOW),

        LOAD(DATA(nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
        RETURN(SECCOMP_RET_ERRNO | ENOSYS),
};

/* TCP Fast Open, and urgent data. */
static const struct sock_filter flags[] = {
        UNLESS(__NR_sendmsg, 4),
        LOAD(DATA(args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MSG_FASTOPEN | MSG_OOB, 0, 1),
        RETURN(SECCOMP_RET_ERRNO | EOPNOTSUPP),
        LOAD(DATA(nr)),

        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sendto, 1, 0),
        UNLESS(__NR_sendmmsg, 4),
        LOAD(DATA(args[3])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MSG_FASTOPEN | MSG_OOB, 0, 1),
        RETURN(SECCOMP_RET_ERRNO | EOPNOTSUPP),
        LOAD(DATA(nr)),
};

/* sendto and recvfrom with an address, which is a 64-bit pointer; and their relatives, where the filter cannot see whether they have one. */
#define NOTIFY_ADDRESSED(call)                                    \
        UNLESS(__NR_##call, 6),                                   \
        LOAD(DATA(args[4])),                                      \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2),             \
        LOAD(DATA(args[4]) + sizeof(uint32_t)),                   \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),             \
        RETURN(SECCOMP_RET_USER_NOTIF),                           \
        LOAD(DATA(nr))

static const struct sock_filter sending[] = { NOTIFY_ADDRESSED(sendto), NOTIFY(sendmsg), NOTIFY(sendmmsg) };
static const struct sock_filter receiving[] = { NOTIFY_ADDRESSED(recvfrom), NOTIFY(recvmsg), NOTIFY(recvmmsg) };

/*
 * Calls that send without an address, of so many bytes that a connected UDP socket's ring may have no room for them, though the loopback has: up to
 * what UDP can be at all, as those beyond it the kernel refuses. The size is of 64 bits.
 */
#define NOTIFY_BETWEEN(call, least, most)                         \
        UNLESS(__NR_##call, 7),                                   \
        LOAD(DATA(args[2]) + sizeof(uint32_t)),                   \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4),             \
        LOAD(DATA(args[2])),                                      \
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (least), 0, 2),       \
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (most), 1, 0),        \
        RETURN(SECCOMP_RET_USER_NOTIF),                           \
        LOAD(DATA(nr))

#define UDP_MAX 65507u                  /* of IPv4, which the loopback is */
#define ROOM(order) ((PVCALLS_PAGE_SIZE << (order)) / 2 - sizeof(struct pvcalls_datagram))

/*
 * Who sends does it to a socket, which may have the smallest of rings. Who writes does it to files most of the time: it is asked about what is too long
 * for any ring, as files are written in pages.
 */
static const struct sock_filter large[] = {
        NOTIFY_BETWEEN(sendto, ROOM(1) + 1, UDP_MAX),
        NOTIFY_BETWEEN(write, ROOM(4) + 1, UDP_MAX),
};

static const struct sock_filter statements[] = {
        NOTIFY(connect),
        NOTIFY(bind),
        NOTIFY(listen),
        NOTIFY(accept),
        NOTIFY(accept4),
        NOTIFY(getsockname),
        NOTIFY(getpeername),
        NOTIFY(shutdown),
        REFUSE(__NR_io_uring_setup, ENOSYS),

        /* getsockopt(, SOL_SOCKET, SO_ERROR): whether a connection that was not waited for has come about */
        UNLESS(__NR_getsockopt, 6),
        LOAD(DATA(args[1])),
        UNLESS(SOL_SOCKET, 3),
        LOAD(DATA(args[2])),
        ON(SO_ERROR, SECCOMP_RET_USER_NOTIF),
        RETURN(SECCOMP_RET_ALLOW),

        /* setsockopt, of what is about the way to the peer (options.c) */
        UNLESS(__NR_setsockopt, 19),
        LOAD(DATA(args[1])),
        UNLESS(SOL_SOCKET, 4),
        LOAD(DATA(args[2])),
        ON(SO_KEEPALIVE, SECCOMP_RET_USER_NOTIF),
        RETURN(SECCOMP_RET_ALLOW),
        UNLESS(IPPROTO_TCP, 11),
        LOAD(DATA(args[2])),
        ON(TCP_FASTOPEN_CONNECT, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        ON(TCP_KEEPIDLE, SECCOMP_RET_USER_NOTIF),
        ON(TCP_KEEPINTVL, SECCOMP_RET_USER_NOTIF),
        ON(TCP_KEEPCNT, SECCOMP_RET_USER_NOTIF),
        ON(TCP_USER_TIMEOUT, SECCOMP_RET_USER_NOTIF),
        RETURN(SECCOMP_RET_ALLOW),

        RETURN(SECCOMP_RET_ALLOW),
};

static int install(enum filter_wish wishes) {
        enum { ALL = sizeof way_in + sizeof flags + sizeof sending + sizeof receiving + sizeof large + sizeof statements };
        struct sock_filter all[ALL / sizeof statements[0]], *end = all;
        struct sock_fprog program = { .filter = all };
        long fd;

        end = mempcpy(end, way_in, sizeof way_in);
        end = mempcpy(end, flags, sizeof flags);
        if (wishes & (FILTER_DATAGRAMS | FILTER_UNIX))
                end = mempcpy(end, sending, sizeof sending);
        if (wishes & FILTER_DATAGRAMS) {
                end = mempcpy(end, receiving, sizeof receiving);
                end = mempcpy(end, large, sizeof large);
        }
        end = mempcpy(end, statements, sizeof statements);
        program.len = (unsigned short) (end - all);
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);

        return fd < 0 ? -errno : (int) fd;
}

int filter_install(enum filter_wish wishes) {
        int r = install(wishes);

        if (r != -EACCES)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return install(wishes);
}
