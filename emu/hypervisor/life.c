/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A domain's life; see life.h. */

#include "life.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypercall.h"
#include "hypervisor.h"
#include "log.h"
#include "process.h"
#include "rundir.h"

#define LIFE_DYING_USEC (5 * 1000 * 1000ull)    /* for xenemu exec to end its program; only a stopped one takes that long */
#define LIFE_BURYING_USEC (10 * 1000 * 1000ull) /* for the hook to remove the domain from the store */
#define LIFE_GREETING_MAX 16u           /* connections beyond a domain's handles: those that have not said hello yet */
#define LIFE_NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)

static int close_fd(int fd) {
        if (fd >= 0)
                close(fd);
        return -1;
}

/*
 * The hypercall socket
 */

static int greet(struct connection *connection, const void *untrusted_packet, size_t n_packet, uint32_t domid, struct reply *reply) {
        struct {
                struct emu_request request;
                struct emu_hello hello;
        } untrusted;

        if (n_packet != sizeof untrusted)
                return -EPROTO;
        memcpy(&untrusted, untrusted_packet, sizeof untrusted);
        if (untrusted.request.op != EMU_HELLO || untrusted.hello.version != EMU_PROTOCOL_VERSION)
                return -EPROTO;

        *(struct emu_hello *) reply->body = (struct emu_hello) { .version = EMU_PROTOCOL_VERSION, .domid = domid };
        reply->n_body = sizeof(struct emu_hello);
        return 0;
}

static int on_hypercall(struct connection *connection, const void *untrusted_packet, size_t n_packet, struct reply *ret_reply,
                        void *userdata) {
        struct life *life = userdata;
        int r;

        if (connection->handle) {
                r = hypercall(connection->handle, untrusted_packet, n_packet, ret_reply);
                hypervisor_collect(life->hypervisor);
                return r;
        }

        r = greet(connection, untrusted_packet, n_packet, life->domain->domid, ret_reply);
        if (r == 0)
                r = handle_new(life->domain, &connection->handle);
        connection->greeted = r == 0;
        return r;
}

static void on_hypercall_closed(struct connection *connection, void *userdata) {
        struct life *life = userdata;

        connection->handle = handle_free(connection->handle);
        hypervisor_collect(life->hypervisor);
}

/*
 * Death
 */

static void life_buried(struct life *life);

static int on_burying_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        struct life *life = userdata;

        log_event("domain %u: the on-death hook does not end; killing it", life->domain->domid);
        process_kill(life->burial_pidfd, SIGKILL);
        return 0;
}

static int on_buried(sd_event_source *source, int pidfd, uint32_t events, void *userdata) {
        struct life *life = userdata;
        int status = process_reap(pidfd);

        if (status != 0)
                log_event("domain %u: the on-death hook ended with wait status %d; the store may still name the domain",
                          life->domain->domid, status);
        life_buried(life);
        return 0;
}

/* Has the store forget the domain. Returns 0 if that is under way. */
static int life_bury(struct life *life) {
        const struct hypervisor *hypervisor = life->hypervisor;
        char domid[sizeof "4294967295"];
        const char *argv[] = { hypervisor->options->on_death, "--rundir", hypervisor->options->run_dir, "forget", domid, NULL };
        const struct process_spec spec = { .argv = argv, .standard_output = -1, .inherit_fd = -1 };
        int r;

        if (!hypervisor->options->on_death || hypervisor->stopping || life->domain->domid == 0)
                return -ENOENT;

        snprintf(domid, sizeof domid, "%u", life->domain->domid);
        r = process_start(&spec, &life->burial_pidfd);
        if (r < 0) {
                log_event("domain %u: cannot start %s: %s", life->domain->domid, argv[0], strerror(-r));
                return r;
        }
        r = process_watch(hypervisor->event, life->burial_pidfd, on_buried, life, &life->burial_exit);
        if (r >= 0)
                r = sd_event_add_time_relative(hypervisor->event, &life->deadline, CLOCK_MONOTONIC, LIFE_BURYING_USEC, 0,
                                               on_burying_deadline, life);
        if (r < 0)
                life->burial_pidfd = process_end(life->burial_pidfd);
        return r;
}

/* Ends all that the domain's processes held, and its part in the machine. */
static void life_end_possessions(struct life *life) {
        struct hypervisor *hypervisor = life->hypervisor;
        struct connection *connection;
        struct domain *first;

        while ((connection = LIST_FIRST(&life->hypercalls.connections)))
                connection_free(connection);

        life->store_port = port_unref(life->store_port);
        if (life->store_ring) {
                share_end(life->store_ring);
                life->store_ring = NULL;
        }

        rundir_remove_domain(hypervisor->run_dir_fd, life->domain->domid);

        first = domain_table_next(&hypervisor->domains, 0);
        if (first && first != life->domain)
                event_raise_virq(first, EVENT_VIRQ_DOM_EXC);
}

/* Tells everybody who waited for this domain on the control socket. */
static void life_answer(struct life *life, uint32_t op, int result, const struct reply *reply) {
        struct connection *connection;

        LIST_FOREACH(connection, &life->hypervisor->control.connections, of_listener)
                if (connection->waiting_op == op && connection->waiting_for == life->domain)
                        connection_answer(connection, result, reply);
}

static void life_buried(struct life *life) {
        struct reply reply;

        life->burial_exit = sd_event_source_disable_unref(life->burial_exit);
        life->deadline = sd_event_source_disable_unref(life->deadline);
        life->burial_pidfd = close_fd(life->burial_pidfd);
        life->state = LIFE_DEAD;

        reply_init(&reply);
        reply.n_body = sizeof life->why;
        memcpy(reply.body, life->why, sizeof life->why);
        life_answer(life, EMU_DOMAIN_CREATE, -EIO, &reply);
        life_answer(life, EMU_DOMAIN_DESTROY, 0, NULL);
        hypervisor_collect(life->hypervisor);
}

static bool someone_entered(const struct life *life) {
        struct connection *connection;

        LIST_FOREACH(connection, &life->hypervisor->control.connections, of_listener)
                if (connection->waiting_op == EMU_DOMAIN_ENTER && connection->waiting_for == life->domain)
                        return true;
        return false;
}

void life_check(struct domain *domain) {
        struct life *life = domain->life;

        if (life->state != LIFE_DYING || life->kernel_pidfd >= 0 || someone_entered(life))
                return;

        life->state = LIFE_BURYING;
        life->deadline = sd_event_source_disable_unref(life->deadline);
        life_end_possessions(life);
        if (life_bury(life) < 0)
                life_buried(life);
}

static int on_dying_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        struct life *life = userdata;
        struct connection *connection;

        LIST_FOREACH(connection, &life->hypervisor->control.connections, of_listener)
                if (connection->waiting_op == EMU_DOMAIN_ENTER && connection->waiting_for == life->domain) {
                        log_event("domain %u: a program entered from outside does not end; no longer waiting for it", life->domain->domid);
                        process_kill(connection->pidfd, SIGKILL);
                        connection->waiting_for = NULL;
                }
        life_check(life->domain);
        return 0;
}

void life_kill(struct domain *domain) {
        struct life *life = domain->life;
        struct connection *connection;

        if (life->state >= LIFE_DYING)
                return;

        life->state = LIFE_DYING;
        domain->flags |= EMU_DOMAIN_DYING;
        listener_stop(&life->hypercalls);
        if (life->kernel_pidfd >= 0)
                process_kill(life->kernel_pidfd, SIGKILL);

        /* An isolated domain's processes go with its kernel. The others: those known by their handles here, the rest by xenemu exec. */
        if (!(domain->flags & EMU_DOMAIN_ISOLATED))
                LIST_FOREACH(connection, &life->hypercalls.connections, of_listener)
                        if (connection->pidfd >= 0)
                                process_kill(connection->pidfd, SIGKILL);

        LIST_FOREACH(connection, &life->hypervisor->control.connections, of_listener)
                if (connection->waiting_op == EMU_DOMAIN_ENTER && connection->waiting_for == domain)
                        shutdown(connection->fd, SHUT_WR);

        (void) sd_event_add_time_relative(life->hypervisor->event, &life->deadline, CLOCK_MONOTONIC, LIFE_DYING_USEC, 0,
                                          on_dying_deadline, life);
        life_check(domain);
}

/*
 * The kernel
 */

static int on_kernel_exit(sd_event_source *source, int pidfd, uint32_t events, void *userdata) {
        struct life *life = userdata;
        int status = process_reap(pidfd);

        if (status == -EAGAIN)
                return 0;

        life->kernel_exit = sd_event_source_disable_unref(life->kernel_exit);
        life->kernel_packet = sd_event_source_disable_unref(life->kernel_packet);
        life->kernel_pidfd = close_fd(life->kernel_pidfd);
        life->kernel_fd = close_fd(life->kernel_fd);

        if (life->state < LIFE_DYING) {
                log_event("domain %u died: its kernel ended with wait status %d", life->domain->domid, status);
                if (life->state == LIFE_BUILDING && !life->why[0])
                        snprintf(life->why, sizeof life->why, "its kernel, %s, ended with wait status %d",
                                 life->hypervisor->options->guest, status);
                life_kill(life->domain);
        } else
                life_check(life->domain);
        return 0;
}

static int on_kernel_packet(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct life *life = userdata;
        struct emu_guest_ready ready = {};
        ssize_t n = recv(fd, &ready, sizeof ready, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;

        /* It says one thing. Its end shows by its pidfd. */
        life->kernel_packet = sd_event_source_disable_unref(life->kernel_packet);
        if (n != sizeof ready || life->state != LIFE_BUILDING)
                return 0;

        ready.text[sizeof ready.text - 1] = '\0';
        if (ready.result < 0) {
                log_event("domain %u cannot start: %s", life->domain->domid, ready.text);
                strcpy(life->why, ready.text);
                life_kill(life->domain);
                return 0;
        }

        struct reply reply;

        reply_init(&reply);
        *(struct emu_domain_created *) reply.body = (struct emu_domain_created) {
                .domid = life->domain->domid,
                .xenstore_port = life->store_port->number,
        };
        reply.n_body = sizeof(struct emu_domain_created);
        life->state = LIFE_ALIVE;
        life_answer(life, EMU_DOMAIN_CREATE, 0, &reply);
        return 0;
}

static int kernel_boot(struct life *life) {
        const struct options *options = life->hypervisor->options;
        struct emu_guest_boot boot = { .domid = life->domain->domid, .flags = life->domain->flags, .n_keep = options->n_keep };
        int fds[EMU_GUEST_FDS], port_fds[EMU_PORT_FDS];
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof fds)];
        } control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fds) } };
        struct iovec iov = { .iov_base = &boot, .iov_len = sizeof boot };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };

        if (strlen(options->run_dir) >= sizeof boot.run_dir)
                return -ENAMETOOLONG;
        strcpy(boot.run_dir, options->run_dir);
        for (uint32_t i = 0; i < options->n_keep; i++) {
                if (strlen(options->keep[i]) >= sizeof boot.keep[i])
                        return -ENAMETOOLONG;
                strcpy(boot.keep[i], options->keep[i]);
        }

        port_get_fds(life->store_port, port_fds);
        fds[EMU_GUEST_FD_STORE_RING] = life->store_ring->memfd;
        fds[EMU_GUEST_FD_CHANNEL_PAGE] = port_fds[EMU_PORT_FD_PAGE];
        fds[EMU_GUEST_FD_RECEIVE] = port_fds[EMU_PORT_FD_RECEIVE];
        fds[EMU_GUEST_FD_SEND] = port_fds[EMU_PORT_FD_SEND];
        fds[EMU_GUEST_FD_XENBUS] = life->xenbus_fd;
        memcpy(CMSG_DATA(&control.header), fds, sizeof fds);

        return sendmsg(life->kernel_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int kernel_start(struct life *life) {
        struct hypervisor *hypervisor = life->hypervisor;
        const char *argv[] = { hypervisor->options->guest, NULL };
        struct process_spec spec = {
                .argv = argv,
                .clone_flags = life->domain->flags & EMU_DOMAIN_ISOLATED ? LIFE_NAMESPACES : 0,
                .standard_output = -1,
        };
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;

        life->kernel_fd = fds[0];
        spec.inherit_fd = fds[1];
        r = kernel_boot(life);          /* it finds its first packet waiting */
        if (r == 0)
                r = process_start(&spec, &life->kernel_pidfd);
        close(fds[1]);
        if (r == 0)
                r = process_watch(hypervisor->event, life->kernel_pidfd, on_kernel_exit, life, &life->kernel_exit);
        if (r >= 0)
                r = sd_event_add_io(hypervisor->event, &life->kernel_packet, life->kernel_fd, EPOLLIN, on_kernel_packet, life);
        return r < 0 ? r : 0;
}

/*
 * Birth
 */

/* Makes the domain's run directory and, for a guest, its socket for the store; domain 0's is xenstored's own. */
static int life_make_sockets(struct life *life) {
        struct hypervisor *hypervisor = life->hypervisor;
        int dir_fd, fd, r;

        dir_fd = rundir_make_domain(hypervisor->run_dir_fd, life->domain->domid);
        if (dir_fd < 0)
                return dir_fd;

        fd = r = socket_bind(dir_fd, "xen", SOCK_SEQPACKET);
        if (r >= 0)
                r = listener_start(&life->hypercalls, hypervisor->event, fd);
        if (r >= 0 && life->domain->domid != 0)
                r = life->xenbus_fd = socket_bind(dir_fd, "xenbus", SOCK_STREAM);
        if (r >= 0 && life->domain->domid == 0 && symlinkat("xenstored/socket", dir_fd, "xenbus") < 0)
                r = -errno;
        close(dir_fd);
        return r < 0 ? r : 0;
}

static int life_new(struct hypervisor *hypervisor, const struct emu_domain_create *untrusted, struct life **ret_life) {
        struct domain *domain;
        struct life *life;
        int r;

        if (untrusted->flags & ~EMU_DOMAIN_ISOLATED)
                return -EINVAL;

        life = calloc(1, sizeof *life);
        if (!life)
                return -ENOMEM;

        r = domain_new(&hypervisor->domains, untrusted->uuid, untrusted->flags, &untrusted->limits, &domain);
        if (r < 0) {
                free(life);
                return r;
        }

        *life = (struct life) {
                .hypervisor = hypervisor,
                .domain = domain,
                .xenbus_fd = -1,
                .kernel_pidfd = -1,
                .kernel_fd = -1,
                .burial_pidfd = -1,
                .hypercalls = {
                        .fd = -1,
                        .arrivals = hypervisor->arrivals,
                        .max_connections = domain->limits.handles + LIFE_GREETING_MAX,
                        .want_pidfd = !(untrusted->flags & EMU_DOMAIN_ISOLATED),
                        .request = on_hypercall,
                        .closed = on_hypercall_closed,
                        .userdata = life,
                },
        };
        domain->life = life;
        *ret_life = life;
        return 0;
}

void life_free(struct life *life) {
        struct domain *domain = life->domain;

        listener_stop(&life->hypercalls);
        sd_event_source_disable_unref(life->kernel_exit);
        sd_event_source_disable_unref(life->kernel_packet);
        sd_event_source_disable_unref(life->burial_exit);
        sd_event_source_disable_unref(life->deadline);
        close_fd(life->kernel_pidfd);
        close_fd(life->kernel_fd);
        close_fd(life->burial_pidfd);
        close_fd(life->xenbus_fd);
        free(life);
        domain_free(domain);
}

/* Undoes a birth that failed before anybody heard of it. */
static int life_abort(struct life *life, int error) {
        if (life->kernel_pidfd >= 0)
                life->kernel_pidfd = process_end(life->kernel_pidfd);
        life_end_possessions(life);
        life_free(life);
        return error;
}

int life_begin_first(struct hypervisor *hypervisor, struct domain **ret_domain) {
        static const struct emu_domain_create nothing_special = {};
        struct life *life;
        int r;

        r = life_new(hypervisor, &nothing_special, &life);
        if (r < 0)
                return r;

        r = life_make_sockets(life);
        if (r < 0)
                return life_abort(life, r);

        life->state = LIFE_ALIVE;
        *ret_domain = life->domain;
        return 0;
}

int life_begin(struct hypervisor *hypervisor, const struct emu_domain_create *untrusted, struct domain **ret_domain) {
        struct life *life;
        int r;

        r = life_new(hypervisor, untrusted, &life);
        if (r < 0)
                return r;

        r = life_make_sockets(life);
        if (r == 0)
                r = share_new_reserved(life->domain, EMU_REF_XENSTORE, 0, &life->store_ring);
        if (r == 0)
                r = event_alloc_unbound(life->domain, 0, &life->store_port);
        if (r == 0)
                r = kernel_start(life);
        if (r < 0)
                return life_abort(life, r);

        /* Its kernel has it now; the domain's end must show to who connects. */
        life->xenbus_fd = close_fd(life->xenbus_fd);
        *ret_domain = life->domain;
        return 0;
}
