/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The process of a link: started, spoken to, and started again. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "domain-user.h"
#include "hub.h"
#include "paths.h"

#define USEC_PER_MSEC UINT64_C(1000)
#define WAIT_FIRST_USEC (50 * USEC_PER_MSEC)    /* before a process that has ended is replaced; doubled each time, up to --pause-max, */
#define WELL_USEC (5000 * USEC_PER_MSEC)        /* and from the beginning after one that has lived so long */
#define END_USEC (1000 * USEC_PER_MSEC)         /* for a process to give all that wait their errors */
#define PACKETS_MAX 65536u                      /* that wait for one process, before it is ended */

extern char **environ;

static uint64_t now_usec(clockid_t clock) {
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

/* Speaking to it */

static void packet_free(struct hub_link *link, struct hub_packet *packet) {
        link->n_packets--;
        if (packet->fd >= 0)
                close(packet->fd);
        free(packet->first);
        free(packet);
}

static void drop_packets(struct hub_link *link) {
        struct hub_packet *packet;

        while ((packet = link->first)) {
                link->first = packet->next;
                packet_free(link, packet);
        }
        link->last = &link->first;
}

static void send_packets(struct hub_link *link) {
        struct hub_packet *packet;

        while ((packet = link->first)) {
                if (control_send_fd(link->fd, packet->type, packet->value, packet->number, packet->first, packet->fd) == -EAGAIN)
                        return;
                link->first = packet->next;
                if (!link->first)
                        link->last = &link->first;
                packet_free(link, packet);
        }
        sd_event_source_set_io_events(link->control, EPOLLIN);
}

static int queue_packet(struct hub_link *link, const struct hub_packet *model, const char *first) {
        struct hub_packet *packet;

        if (link->n_packets >= PACKETS_MAX)
                return -ENOBUFS;
        packet = calloc(1, sizeof *packet);
        if (!packet)
                return -ENOMEM;
        *packet = *model;
        packet->first = strdup(first ? first : "");
        packet->fd = model->fd < 0 ? -1 : fcntl(model->fd, F_DUPFD_CLOEXEC, 0);
        *link->last = packet;
        link->last = &packet->next;
        link->n_packets++;
        sd_event_source_set_io_events(link->control, EPOLLIN | EPOLLOUT);
        return packet->first && (packet->fd < 0) == (model->fd < 0) ? 0 : -ENOMEM;
}

static void send_packet(struct hub_link *link, const struct hub_packet *packet, const char *first) {
        int r = -EAGAIN;

        if (link->fd < 0)
                return;
        if (!link->first)
                r = control_send_fd(link->fd, packet->type, packet->value, packet->number, first, packet->fd);
        if (r == -EAGAIN && queue_packet(link, packet, first) < 0) {
                log_event(LOG_ERR, NULL, "The process of the link to domain %u does not read, and is ended", link->domain);
                kill(link->pid, SIGKILL);
        }
}

void hub_link_send(struct hub_link *link, enum control_type type, uint32_t value, uint64_t number, const char *first) {
        send_packet(link, &(struct hub_packet) { .type = type, .value = value, .number = number, .fd = -1 }, first);
}

void hub_link_send_policy(struct hub_link *link) {
        const struct hub *hub = link->hub;

        send_packet(link, &(struct hub_packet) { .type = CONTROL_RELOAD, .number = hub->policy_generation, .fd = hub->policy_fd }, NULL);
}

/* Its end */

void hub_link_kill(struct hub_link *link, const char *why) {
        log_event(LOG_ERR, LOG_FIELDS({ "XCP_UUID", link->uuid }), "The process of the link to domain %u %s, and is killed", link->domain, why);
        hub_link_set_state(link, XCP_LINK_STATE_CONNECTING, 0, why);
        kill(link->pid, SIGKILL);
}

static void close_control(struct hub_link *link) {
        link->control = sd_event_source_disable_unref(link->control);
        if (link->fd >= 0)
                close(link->fd);
        link->fd = -1;
        drop_packets(link);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        hub_link_start(userdata);
        return 0;
}

static void start_later(struct hub_link *link) {
        uint64_t max_usec = link->hub->options->pause_max_msec * USEC_PER_MSEC;
        int r;

        if (now_usec(CLOCK_MONOTONIC) - link->started_usec > WELL_USEC || link->wait_usec == 0)
                link->wait_usec = WAIT_FIRST_USEC;
        else
                link->wait_usec *= 2;
        if (link->wait_usec > max_usec)
                link->wait_usec = max_usec;
        sd_event_source_disable_unref(link->retry);
        link->retry = NULL;
        r = sd_event_add_time_relative(link->hub->event, &link->retry, CLOCK_MONOTONIC, link->wait_usec, 0, on_retry, link);
        if (r < 0)
                log_event(LOG_ERR, NULL, "The link to domain %u is not tried again: %s", link->domain, strerrordesc_np(-r));
}

static int on_control(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct hub_link *link = userdata;
        struct control control;
        int r = 0;

        if (events & EPOLLOUT)
                send_packets(link);
        while (link->fd >= 0 && (r = control_receive(fd, &control)) > 0)
                if (hub_link_handle(link, &control) < 0) {
                        log_event(LOG_ERR, NULL, "The process of the link to domain %u is not to be trusted, and is ended", link->domain);
                        kill(link->pid, SIGKILL);
                        break;
                }
        if (r < 0)                      /* all that it said was read; the child's end comes by itself */
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata) {
        struct hub_link *link = userdata;
        struct hub *hub = link->hub;

        if (link->control)
                on_control(link->control, link->fd, EPOLLIN, link);     /* what it said last */
        if (info->si_code != CLD_EXITED || info->si_status != 0)
                log_event(LOG_WARNING, NULL, "The process of the link to domain %u ended with %s %d", link->domain,
                          info->si_code == CLD_EXITED ? "status" : "signal", info->si_status);
        link->child = sd_event_source_disable_unref(link->child);
        link->pid = 0;
        close_control(link);
        hub_link_forget(link);
        if (link->removed)
                hub_link_free(link);
        else {
                if (link->state != XCP_LINK_STATE_CONNECTING)
                        hub_link_set_state(link, XCP_LINK_STATE_CONNECTING, 0, "its process ended");
                start_later(link);
        }
        hub_policy_settled(hub);
        return 0;
}

/* Its beginning */

#define N_FDS (CONTROL_POLICY_FD - CONTROL_FD + 1)

#define ARGUMENTS_MAX 24

static int spawn(struct hub_link *link, const int fds[N_FDS]) {
        const struct hub *hub = link->hub;
        const char *argv[ARGUMENTS_MAX];
        char domain[16], own[16], epoch[24], level[8];
        posix_spawn_file_actions_t actions;
        size_t n = 0;
        int r;

        snprintf(domain, sizeof domain, "%u", link->domain);
        snprintf(own, sizeof own, "%u", hub->own_domain);
        snprintf(epoch, sizeof epoch, "%" PRIu64, link->epoch);
        snprintf(level, sizeof level, "%d", log_level());
        const char *const fixed[] = {
                "xcp-bridge", "--peer", domain, "--own", own, "--uuid", link->uuid, "--own-uuid", hub->own_uuid, "--name", link->name,
                "--type", link->type, "--bus", hub->bus_path, "--epoch", epoch, "--log-level", level,
        };
        for (; n < sizeof fixed / sizeof fixed[0]; n++)
                argv[n] = fixed[n];
        argv[n] = NULL;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        for (int i = 0; r == 0 && i < N_FDS; i++)
                r = posix_spawn_file_actions_adddup2(&actions, fds[i], CONTROL_FD + i);
        if (r == 0)
                r = posix_spawn(&link->pid, "/proc/self/exe", &actions, NULL, (char *const *) argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* Descriptors that are not those which they become in the process, as one could take the other's place. */
static int above(int fd) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, CONTROL_POLICY_FD + 1);

        close(fd);
        return copy < 0 ? -errno : copy;
}

static int map_figures(struct hub_link *link) {
        int fd = memfd_create("xcp-bridge-figures", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0)
                return -errno;
        if (ftruncate(fd, sizeof *link->figures) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
                close(fd);
                return -errno;
        }
        if (link->figures)
                munmap(link->figures, sizeof *link->figures);
        link->figures = mmap(NULL, sizeof *link->figures, PROT_READ, MAP_SHARED, fd, 0);
        if (link->figures == MAP_FAILED) {
                link->figures = NULL;
                close(fd);
                return -errno;
        }
        return above(fd);
}

static void tell_foreign(struct hub_link *link) {
        struct hub_peer *peer;
        size_t iterator = 0;

        while ((peer = table_next(link->hub->peers, &iterator)))
                if (peer->link != link)
                        hub_link_send(link, CONTROL_FOREIGN, peer->hops, 0, peer->unique);
}

/* So that the broker knows whom the process becomes. If not, it stays who it is. */
static void describe_user(const struct hub_link *link) {
        const char *users = paths_users();
        int r;

        if (!users || geteuid() != 0)
                return;
        r = domain_user_describe(users, link->domain);
        if (r < 0)
                log_event(LOG_WARNING, NULL, "The user of domain %u cannot be made known in %s: %s", link->domain, users, strerrordesc_np(-r));
}

static int start(struct hub_link *link) {
        AUTO_CLOSE int figures_fd = -1;
        AUTO_CLOSE int watch_fd = -1;
        AUTO_CLOSE int theirs = -1;
        int fds[2], r;

        figures_fd = map_figures(link);
        if (figures_fd < 0)
                return figures_fd;
        watch_fd = hub_monitor_watch(link->hub);
        if (watch_fd >= 0)
                watch_fd = above(watch_fd);
        if (watch_fd < 0)
                return watch_fd;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        link->fd = fds[0];
        theirs = above(fds[1]);
        if (theirs < 0)
                return theirs;
        describe_user(link);
        link->policy_generation = link->hub->policy_generation; /* which it has before it does anything */
        r = spawn(link, (const int[N_FDS]) { theirs, figures_fd, link->hub->news_fd, watch_fd, link->hub->policy_fd });
        if (r < 0)
                return r;
        r = sd_event_add_child(link->hub->event, &link->child, link->pid, WEXITED, on_child, link);
        if (r >= 0)
                r = sd_event_add_io(link->hub->event, &link->control, link->fd, EPOLLIN, on_control, link);
        if (r < 0) {
                kill(link->pid, SIGKILL);
                return r;
        }
        tell_foreign(link);
        hub_activation_tell(link);
        hub_wants_tell(link);
        return 0;
}

void hub_link_start(struct hub_link *link) {
        struct hub *hub = link->hub;
        uint64_t epoch = now_usec(CLOCK_REALTIME);
        int r;

        if (link->pid || hub->stopping)
                return;
        hub->epoch = epoch > hub->epoch ? epoch : hub->epoch + 1;       /* never twice, whatever the clock does */
        link->epoch = hub->epoch;
        link->started_usec = now_usec(CLOCK_MONOTONIC);
        r = start(link);
        if (r < 0) {
                log_event(LOG_ERR, NULL, "Cannot start the process of the link to domain %u: %s", link->domain, strerrordesc_np(-r));
                close_control(link);
                start_later(link);
        }
}

void hub_link_end(struct hub_link *link, const char *reason) {
        hub_link_send(link, CONTROL_END, 0, 0, reason);
}

void hub_link_renew(struct hub_link *link, const char *reason) {
        link->wait_usec = 0;
        if (link->pid)
                hub_link_end(link, reason);
        else
                hub_link_start(link);
}

static struct hub_found *found_free(struct hub_found *found) {
        if (!found)
                return NULL;
        free(found->uuid);
        free(found->name);
        free(found->type);
        free(found);
        return NULL;
}

static int found_copy(const struct hub_found *found, struct hub_found **ret_copy) {
        struct hub_found *copy = malloc(sizeof *copy);

        if (!copy)
                return -ENOMEM;
        *copy = (struct hub_found) { found->domain, strdup(found->uuid), strdup(found->name), strdup(found->type) };
        if (!copy->uuid || !copy->name || !copy->type) {
                found_free(copy);
                return -ENOMEM;
        }
        *ret_copy = copy;
        return 0;
}

int hub_link_new(struct hub *hub, const struct hub_found *domain) {
        struct hub_link *link = table_get_number(hub->by_domain, domain->domain);
        int r = -ENOMEM;

        if (link) {                     /* a domain that had this id is still ending */
                found_free(link->next);
                link->next = NULL;
                return found_copy(domain, &link->next);
        }
        link = calloc(1, sizeof *link);
        if (!link)
                return r;
        *link = (struct hub_link) { .hub = hub, .domain = domain->domain, .fd = -1, .state = XCP_LINK_STATE_CONNECTING };
        link->last = &link->first;
        link->uuid = strdup(domain->uuid);
        link->name = strdup(domain->name);
        link->type = strdup(domain->type);
        link->reason = strdup("its bridge is awaited");
        if (link->uuid && link->name && link->type && link->reason)
                r = table_add_number(hub->by_domain, link->domain, link);
        if (r >= 0)
                r = objects_add_number(hub->links, link->domain, link, &link->path);
        if (r < 0) {
                hub_link_free(link);
                return r;
        }
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_UUID", link->uuid }), "Domain %u is to be joined", link->domain);
        hub_link_start(link);
        return 0;
}

static int on_too_late(sd_event_source *source, uint64_t usec, void *userdata) {
        struct hub_link *link = userdata;

        log_event(LOG_WARNING, NULL, "The process of the link to domain %u does not end, and is killed", link->domain);
        kill(link->pid, SIGKILL);
        return 0;
}

void hub_link_remove(struct hub_link *link) {
        if (link->removed)
                return;
        link->removed = true;
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_UUID", link->uuid }), "Domain %u is gone", link->domain);
        link->retry = sd_event_source_disable_unref(link->retry);
        if (!link->pid) {
                hub_link_free(link);
                return;
        }
        hub_link_end(link, "the domain is gone");
        sd_event_add_time_relative(link->hub->event, &link->retry, CLOCK_MONOTONIC, END_USEC, 0, on_too_late, link);
}

void hub_link_free(struct hub_link *link) {
        struct hub_found *next;
        struct hub *hub;

        if (!link)
                return;
        hub = link->hub;
        next = link->next;
        close_control(link);
        sd_event_source_disable_unref(link->retry);
        sd_event_source_disable_unref(link->child);
        if (link->pid > 0) {            /* its ghosts are not to outlive it */
                kill(link->pid, SIGKILL);
                waitpid(link->pid, NULL, 0);
        }
        hub_link_forget(link);
        if (link->path)
                objects_remove(hub->links, link->path);
        if (table_get_number(hub->by_domain, link->domain) == link)
                table_remove_number(hub->by_domain, link->domain);
        if (link->figures)
                munmap(link->figures, sizeof *link->figures);
        free(link->uuid);
        free(link->name);
        free(link->type);
        free(link->reason);
        free(link);
        if (next && !hub->stopping && hub_link_new(hub, next) < 0)
                log_event(LOG_ERR, NULL, "Domain %u cannot be joined", next->domain);
        found_free(next);
}
