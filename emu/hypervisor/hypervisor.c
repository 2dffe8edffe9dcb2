/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The running hypervisor; see hypervisor.h. */

#include "hypervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "life.h"
#include "log.h"
#include "rundir.h"
#include "store.h"

/* Every page shared, channel and open handle is a descriptor or three here. */
static void raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static int control_start(struct hypervisor *hypervisor) {
        int dir_fd, fd;

        dir_fd = openat(hypervisor->run_dir_fd, "xenemud", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        if (dir_fd < 0)
                return -errno;
        fd = socket_bind(dir_fd, "control", SOCK_SEQPACKET);
        close(dir_fd);
        if (fd < 0)
                return fd;

        hypervisor->control = (struct listener) {
                .fd = -1,
                .arrivals = hypervisor->arrivals,
                .want_pidfd = true,
                .request = control_request,
                .closed = control_closed,
                .userdata = hypervisor,
        };
        return listener_start(&hypervisor->control, hypervisor->event, fd);
}

int hypervisor_start(struct hypervisor *hypervisor, const struct options *options, sd_event *event) {
        struct domain *first;
        int r;

        *hypervisor = (struct hypervisor) {
                .options = options,
                .event = event,
                .run_dir_fd = -1,
                .lock_fd = -1,
                .arrivals = epoll_create1(EPOLL_CLOEXEC),
                .ready_fd = options->ready_fd,
        };
        domain_table_init(&hypervisor->domains, options->end_domid);
        raise_descriptor_limit();
        if (hypervisor->arrivals < 0) {
                r = -errno;
                log_event("cannot make an epoll set: %m");
                return r;
        }

        r = rundir_open(options->run_dir, &hypervisor->run_dir_fd, &hypervisor->lock_fd);
        if (r < 0) {
                log_event("cannot use the run directory %s: %s", options->run_dir, strerror(-r));
                return r;
        }

        r = life_begin_first(hypervisor, &first);
        if (r >= 0)
                r = control_start(hypervisor);
        if (r < 0) {
                log_event("cannot make the sockets in %s: %s", options->run_dir, strerror(-r));
                return r;
        }

        r = store_start(hypervisor, &hypervisor->store);
        if (r < 0)
                log_event("cannot start %s: %s", options->xenstored, strerror(-r));
        return r;
}

void hypervisor_announce(struct hypervisor *hypervisor, const char *text) {
        if (hypervisor->ready_fd < 0)
                return;

        if (!text)
                text = "ok";
        if (write(hypervisor->ready_fd, text, strlen(text)) < 0)
                log_event("nobody waits for us to be ready: %m");
        close(hypervisor->ready_fd);
        hypervisor->ready_fd = -1;
}

/* What is left once the guests are gone: domain 0 with xenstored, and who asked for the end. */
static void finish(struct hypervisor *hypervisor) {
        struct connection *connection;

        LIST_FOREACH(connection, &hypervisor->control.connections, of_listener)
                if (connection->waiting_op == EMU_SHUTDOWN)
                        connection_answer(connection, 0, NULL);

        (void) unlinkat(hypervisor->run_dir_fd, "xenemud/control", 0);
        (void) sd_event_exit(hypervisor->event, 0);
}

void hypervisor_stop(struct hypervisor *hypervisor) {
        struct domain *domain;

        if (hypervisor->stopping)
                return;

        hypervisor->stopping = true;
        for (uint32_t i = 1; (domain = domain_table_next(&hypervisor->domains, i));) {
                i = domain->domid + 1;  /* it may be freed at once */
                life_kill(domain);
        }
        hypervisor_collect(hypervisor);
}

/* Frees domains that are dead and mapped by nobody; returns how many besides domain 0 are not dead. */
static uint32_t collect_dead(struct hypervisor *hypervisor) {
        struct domain *domain;
        uint32_t n = 0;

        for (uint32_t i = 1, next; (domain = domain_table_next(&hypervisor->domains, i)); i = next) {
                next = domain->domid + 1;
                if (domain->life->state != LIFE_DEAD)
                        n++;
                else if (domain->n_mapped_by_others == 0)
                        life_free(domain->life);
        }
        return n;
}

void hypervisor_collect(struct hypervisor *hypervisor) {
        struct domain *first = domain_table_next(&hypervisor->domains, 0);

        if (collect_dead(hypervisor) > 0 || !hypervisor->stopping)
                return;

        /* Domain 0 goes last, and with it the one that has the others' pages mapped. */
        if (first->life->state == LIFE_ALIVE) {
                hypervisor->store = store_free(hypervisor->store);
                life_kill(first);
        } else if (first->life->state == LIFE_DEAD)
                finish(hypervisor);
}

void hypervisor_done(struct hypervisor *hypervisor) {
        struct connection *connection;
        struct domain *domain;

        hypervisor->store = store_free(hypervisor->store);
        listener_stop(&hypervisor->control);
        while ((connection = LIST_FIRST(&hypervisor->control.connections)))
                connection_free(connection);

        collect_dead(hypervisor);
        domain = domain_table_next(&hypervisor->domains, 0);
        if (domain && domain->life->state == LIFE_DEAD)
                life_free(domain->life);
        if (hypervisor->domains.domains.n_used == 0)
                domain_table_done(&hypervisor->domains);

        if (hypervisor->run_dir_fd >= 0)
                close(hypervisor->run_dir_fd);
        if (hypervisor->lock_fd >= 0)
                close(hypervisor->lock_fd);
        if (hypervisor->arrivals >= 0)
                close(hypervisor->arrivals);
}
