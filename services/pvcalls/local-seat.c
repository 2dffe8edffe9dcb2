/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Seats in this domain: xcp-pvcalls-backend as a process that is supervised, and found again after a restart of the service. */

#include "local-seat.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "idl-errors.h"
#include "launch.h"

#define BACKEND "xcp-pvcalls-backend"
#define JOIN "xcp"                      /* all of a network namespace's guests that talk to each other over loopback are joined */
#define KILL_USEC UINT64_C(2000000)     /* from the request to end to the order to */
#define RETRY_USEC UINT64_C(250000)     /* doubled with each death */
#define DEATHS_MAX 5u                   /* within that time, and it is given up */
#define DEATHS_USEC UINT64_C(60000000)

static int start_process(struct local *local, struct idl_error *error);
static int connect_control(struct local *local);

static void arm(struct local *local, uint64_t usec, sd_event_time_handler_t handler) {
        local->timer = sd_event_source_disable_unref(local->timer);
        if (sd_event_add_time_relative(local->seat.domain->pvcalls->event, &local->timer, CLOCK_MONOTONIC, usec, 0, handler, local) < 0)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_DOMAIN", local->seat.domain->text }), "There is no memory for a timer");
}

static void fail(struct local *local, const char *what, const char *reason) {
        struct idl_error error = IDL_ERROR_NULL;

        domain_seat_failed(local->seat.domain, idl_error_set_backend_failed(&error, BACKEND, what, reason), &error);
}

void local_distrust(struct local *local, const char *why) {
        log_event(LOG_ERR, LOG_FIELDS({ "XCP_DOMAIN", local->seat.domain->text }), "The backend of domain %u is killed: %s",
                  local->seat.domain->id, why);
        if (local->pidfd >= 0)
                pidfd_send_signal(local->pidfd, SIGKILL, NULL, 0);
}

/* The control socket */

static int on_reconnect(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct local *local = userdata;

        if (local->pidfd >= 0 && !local->control && connect_control(local) < 0)
                local_distrust(local, "it does not answer at its control socket");
        return 0;
}

static void on_control_gone(void *userdata) {
        struct local *local = userdata;

        local->control = control_client_free(local->control);
        if (!local->closing)
                arm(local, RETRY_USEC, on_reconnect);   /* unless it has ended, which comes by itself */
}

static void take_state(struct local *local, char *text) {
        enum xcp_pvcalls_state state;
        const char *reason;

        if (report_state(text, &state, &reason) < 0)
                local_distrust(local, "it says what cannot be understood");
        else
                domain_seat_state(local->seat.domain, state, reason);
}

static void on_control_event(char *text, void *userdata) {
        struct local *local = userdata;
        struct report_denied denied;

        if (strncmp(text, "state ", 6) == 0)
                take_state(local, text + 6);
        else if (strncmp(text, "denied ", 7) == 0 && report_denied(text + 7, &denied) == 0)
                domain_seat_denied(local->seat.domain, &denied);
        else if (strncmp(text, "denied ", 7) == 0)
                local_distrust(local, "it says what cannot be understood");
}

static const struct control_listener control_listener = { .event = on_control_event, .gone = on_control_gone };

static void on_state(int r, char *text, void *userdata) {
        if (r == 0 && strncmp(text, "ok ", 3) == 0)
                take_state(userdata, text + 3);
}

static int on_exit_event(sd_event_source *source, int fd, uint32_t events, void *userdata);

static int watch_process(struct local *local) {
        return sd_event_add_io(local->seat.domain->pvcalls->event, &local->exit, local->pidfd, EPOLLIN, on_exit_event, local);
}

/* Who listens at the socket has answered by being connectable; that it still is, after the pidfd was opened, the next request shows. */
static int adopt(struct local *local, pid_t pid) {
        int r;

        local->pid = pid;
        local->pidfd = pidfd_open(pid, 0);
        if (local->pidfd < 0)
                return -errno;
        r = watch_process(local);
        if (r >= 0)
                log_event(LOG_INFO, LOG_FIELDS({ "XCP_DOMAIN", local->seat.domain->text }),
                          "Found the backend of domain %u again, which is process %d", local->seat.domain->id, (int) pid);
        return r;
}

/* -ENOENT, -ECONNREFUSED: nobody is there. */
static int connect_control(struct local *local) {
        const struct pvcalls *pvcalls = local->seat.domain->pvcalls;
        char name[32];
        pid_t pid;
        int r;

        snprintf(name, sizeof name, "%u.control", local->seat.domain->id);
        r = control_client_new(&local->control, pvcalls->event, pvcalls->state_fd, name, &control_listener, local, &pid);
        if (r >= 0 && local->pidfd < 0)
                r = adopt(local, pid);
        if (r < 0) {
                local->control = control_client_free(local->control);
                return r;
        }
        local_set_policy(&local->seat);
        local_set_limits(&local->seat);
        return control_client_ask(local->control, "state", strlen("state"), on_state, local);
}

/* The process */

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct local *local = userdata;
        char byte;
        ssize_t n = read(fd, &byte, 1);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        local->ready = sd_event_source_disable_unref(local->ready);
        close(local->ready_fd);
        local->ready_fd = -1;
        if (n <= 0)
                return 0;               /* it ends, which comes by itself */
        domain_seat_progress(local->seat.domain, 0.3);
        if (connect_control(local) < 0)
                local_distrust(local, "it does not answer at its control socket");
        return 0;
}

static int write_policy(const struct domain *domain, const char *name) {
        AUTO_CLOSE int fd = openat(domain->pvcalls->state_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        size_t n = strlen(domain->policy_text);
        ssize_t written;

        if (fd < 0)
                return -errno;
        written = write(fd, domain->policy_text, n);
        return written < 0 ? -errno : (size_t) written < n ? -ENOSPC : 0;
}

static int set_cannot_start(struct idl_error *error, int r) {
        return idl_error_set_backend_failed(error, BACKEND, "be started", strerrordesc_np(-r) ?: "unknown error");
}

static int launch(struct local *local, int namespace_fd, int ready_fd) {
        const struct domain *domain = local->seat.domain;
        char policy[32], control[32], limits[4][64];
        const char *const argv[] = { BACKEND, "--domain", domain->text, "--policy", policy, "--control", control, "--ready-fd", "3",
                                     "--limit", limits[0], "--limit", limits[1], "--limit", limits[2], "--limit", limits[3],
                                     "--join", JOIN,
                                     "--log-level", log_level_name(log_level()), NULL };
        const struct launch launch = {
                .program = domain->pvcalls->backend_program,
                .argv = argv,
                .directory_fd = domain->pvcalls->state_fd,
                .namespace_fd = namespace_fd,
                .ready_fd = ready_fd,
        };
        int r;

        snprintf(policy, sizeof policy, "%u.policy", domain->id);
        snprintf(control, sizeof control, "%u.control", domain->id);
        snprintf(limits[0], sizeof limits[0], "sockets=%u", domain->limits.sockets);
        snprintf(limits[1], sizeof limits[1], "sockets-per-second=%u", domain->limits.sockets_per_second);
        snprintf(limits[2], sizeof limits[2], "bytes-per-second=%llu",
                 domain->limits.has_bytes_per_second ? (unsigned long long) domain->limits.bytes_per_second : 0);
        snprintf(limits[3], sizeof limits[3], "max-page-order=%u", domain->limits.max_page_order);
        r = write_policy(domain, policy);
        if (r < 0)
                return r;
        r = launch_start(&launch, &local->pid, &local->pidfd);
        return r < 0 ? r : watch_process(local);
}

static int start_process(struct local *local, struct idl_error *error) {
        const struct domain *domain = local->seat.domain;
        AUTO_CLOSE int namespace_fd = -1, theirs = -1;
        int fds[2], r;

        if (*domain->network_namespace) {
                namespace_fd = launch_open_namespace(domain->network_namespace);
                if (namespace_fd < 0)
                        return idl_error_set_does_not_exist(error, "network namespace", domain->network_namespace);
        }
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return set_cannot_start(error, -errno);
        local->ready_fd = fds[0];
        theirs = fds[1];
        r = sd_event_add_io(domain->pvcalls->event, &local->ready, local->ready_fd, EPOLLIN, on_ready, local);
        if (r >= 0)
                r = launch(local, namespace_fd, theirs);
        return r < 0 ? set_cannot_start(error, r) : 0;
}

static int on_restart(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct local *local = userdata;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int r;

        local->seat.domain->pvcalls->n_restarted++;
        r = start_process(local, &error);
        if (r < 0)
                domain_seat_failed(local->seat.domain, r, &error);
        return 0;
}

static void forget_process(struct local *local) {
        local->exit = sd_event_source_disable_unref(local->exit);
        if (local->pidfd >= 0)
                close(local->pidfd);
        local->pidfd = -1;
        local->control = control_client_free(local->control);
        local->ready = sd_event_source_disable_unref(local->ready);
        if (local->ready_fd >= 0)
                close(local->ready_fd);
        local->ready_fd = -1;
        local->timer = sd_event_source_disable_unref(local->timer);
}

/* It has ended by itself, or was killed by somebody else: another is started, until it is clear that this does not help. */
static void died(struct local *local, const char *how) {
        struct domain *domain = local->seat.domain;
        uint64_t now = clock_now_usec(CLOCK_MONOTONIC);

        domain->pvcalls->n_died++;
        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_DOMAIN", domain->text }), "The backend of domain %u %s", domain->id, how);
        if (domain->phase == DOMAIN_ATTACHING) {
                fail(local, "serve the domain", how);
                return;
        }
        if (local->n_deaths == 0 || now - local->first_death > DEATHS_USEC) {
                local->first_death = now;
                local->n_deaths = 0;
        }
        if (++local->n_deaths > DEATHS_MAX) {
                fail(local, "serve the domain", how);
                return;
        }
        domain_seat_state(domain, XCP_PVCALLS_STATE_WAITING, "");
        arm(local, RETRY_USEC << (local->n_deaths - 1), on_restart);
}

static int on_exit_event(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct local *local = userdata;
        struct domain *domain = local->seat.domain;
        bool closing = local->closing;
        char how[80] = "has ended";
        int status;

        if (launch_reap(local->pidfd, &status)) {
                if (WIFSIGNALED(status))
                        snprintf(how, sizeof how, "was killed by signal %d", WTERMSIG(status));
                else
                        snprintf(how, sizeof how, "ended with status %d; the log has its reason", WEXITSTATUS(status));
        }
        forget_process(local);
        if (closing) {
                domain_seat_closed(domain);
                return 0;
        }
        domain_look(domain);            /* a backend ends when its device does */
        if (domain->phase != DOMAIN_ENDING)
                died(local, how);
        return 0;
}

/* The seat */

static int local_check(struct domain *domain, struct idl_error *error) {
        AUTO_CLOSE int fd = -1;

        if (!*domain->network_namespace)
                return 0;
        fd = launch_open_namespace(domain->network_namespace);
        if (fd == -EINVAL)
                return idl_error_set_invalid_argument(error, "options.network_namespace", domain->network_namespace,
                                                      "is no name of a network namespace");
        if (fd < 0)
                return idl_error_set_does_not_exist(error, "network namespace", domain->network_namespace);
        return 0;
}

static struct seat *local_free(struct seat *seat) {
        struct local *local = (struct local *) seat;

        forget_process(local);
        free(local);
        return NULL;
}

static int local_open(struct seat **ret_seat, struct domain *domain, struct idl_error *error) {
        struct local *local = calloc(1, sizeof *local);
        int r;

        if (!local)
                return -ENOMEM;
        *local = (struct local) { .seat = { .kind = &local_seat, .domain = domain }, .pidfd = -1, .ready_fd = -1 };
        *ret_seat = &local->seat;       /* also if it fails: what there is by then is closed as always */
        r = connect_control(local);
        if (r >= 0)
                return 0;
        forget_process(local);
        return start_process(local, error);
}

static int on_kill(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct local *local = userdata;

        pidfd_send_signal(local->pidfd, SIGKILL, NULL, 0);
        return 0;
}

static int on_no_process(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct local *local = userdata;

        domain_seat_closed(local->seat.domain);
        return 0;
}

static void local_close(struct seat *seat) {
        struct local *local = (struct local *) seat;

        local->closing = true;
        if (local->pidfd < 0) {
                arm(local, 0, on_no_process);
                return;
        }
        pidfd_send_signal(local->pidfd, SIGTERM, NULL, 0);
        arm(local, KILL_USEC, on_kill);
}

const struct seat_kind local_seat = {
        .check = local_check,
        .open = local_open,
        .close = local_close,
        .free = local_free,
        .set_policy = local_set_policy,
        .set_limits = local_set_limits,
        .list_sockets = local_list_sockets,
        .close_socket = local_close_socket,
        .close_all_sockets = local_close_all_sockets,
        .get_counters = local_get_counters,
};
