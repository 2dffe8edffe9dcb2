/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Servers: their sockets, their lives. What they are told is in server-command.c. */

#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "device.h"
#include "disk-counters.h"
#include "hold.h"
#include "idl-errors.h"
#include "keeper.h"
#include "log.h"
#include "operation.h"
#include "server-command.h"
#include "server-private.h"

#define AGAIN_USEC UINT64_C(1000000)            /* before one is started again that did not live longer than that */
#define KILL_USEC UINT64_C(5000000)             /* what one has to answer what it has taken; less than Cancel() may take */

static void server_free(struct server *server) {
        if (server->socket_path && server->listen_fd >= 0)
                unlink(server->socket_path);
        if (server->listen_fd >= 0)
                close(server->listen_fd);
        if (server->control_fd >= 0)
                close(server->control_fd);
        if (server->counters_fd >= 0)
                close(server->counters_fd);
        server_left_done(server);
        if (server->stays && server->child)
                child_release(server->child);
        else
                child_free(server->child);
        sd_event_source_disable_unref(server->timer);
        vdi_unref(server->vdi);
        free(server->path.reader);
        free(server->socket_path);
        free(server);
}

void server_remove(struct server *server) {
        struct storage *storage = server->vdi->sr->storage;
        struct waiter *waiters = server->waiters;

        for (struct server **p = &storage->servers; *p; p = &(*p)->next)
                if (*p == server) {
                        *p = server->next;
                        break;
                }
        server->waiters = NULL;
        if (server->is_leaving)
                hold_drop(server->vdi, server->path.reader);
        server_free(server);
        waiters_answer(waiters);
        keeper_look(storage->keeper);
}

struct server *server_find(const struct vdi *vdi, const char *reader) {
        for (struct server *server = vdi->sr->storage->servers; server; server = server->next)
                if (server->vdi == vdi && strcmp(server->path.reader, reader) == 0)
                        return server;
        return NULL;
}

/* Sockets */

/* The same after a restart, as readers go on with it: a hash of disk and reader (FNV-1a), as sockets' paths must be short (unix(7)). */
char *server_make_path(const struct vdi *vdi, const char *reader) {
        const char *parts[] = { vdi->id, "/", reader };
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        char *path;

        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
                for (const char *p = parts[i]; *p; p++)
                        hash = (hash ^ (uint8_t) *p) * UINT64_C(0x100000001b3);
        if (asprintf(&path, "%s/paths/%016llx", service_state_dir(vdi->sr->storage->service), (unsigned long long) hash) < 0)
                return NULL;
        return path;
}

int server_describe(const struct vdi *vdi, const char *reader, struct idl_arena *arena, struct xcp_data_path *path) {
        static const struct xcp_dict_s_s_entry standby[] = { { "standby", "yes" } };
        AUTO_FREE char *socket_path = server_make_path(vdi, reader);

        if (!socket_path)
                return -ENOMEM;
        if (strlen(socket_path) >= sizeof((struct sockaddr_un *) NULL)->sun_path)
                return -ENAMETOOLONG;
        path->path = idl_arena_strdup(arena, socket_path);
        path->parameters = standby;
        path->n_parameters = server_may_stand_by(vdi, data_paths_find(&vdi->paths, reader)) ? 1 : 0;
        if (path->kind == XCP_DATA_PATH_KIND_NBD)
                path->uri = idl_arena_printf(arena, "nbd+unix:///%s?socket=%s", SERVER_EXPORT, socket_path);
        return path->path && (path->kind != XCP_DATA_PATH_KIND_NBD || path->uri) ? 0 : -ENOMEM;
}

static int listen_at(const struct vdi *vdi, const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        AUTO_FREE char *directory = NULL;
        AUTO_CLOSE int fd = -1;
        int listening;

        if (asprintf(&directory, "%s/paths", service_state_dir(vdi->sr->storage->service)) < 0)
                return -ENOMEM;
        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        if (mkdir(directory, 0700) < 0 && errno != EEXIST)
                return -errno;
        unlink(path);                           /* of this service's before it was started again: its state directory has no other */
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (bind(fd, (const struct sockaddr *) &address, sizeof address) < 0 || listen(fd, 16) < 0)
                return -errno;
        listening = fd;
        fd = -1;
        return listening;
}

/* Lives */

static void start(struct server *server);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        start(userdata);
        return 0;
}

static void start_later(struct server *server, uint64_t usec) {
        server->timer = sd_event_source_disable_unref(server->timer);
        if (sd_event_add_time_relative(server->vdi->sr->storage->event, &server->timer, CLOCK_MONOTONIC, usec, 0, on_again, server) < 0)
                log_event(LOG_ERR, LOG_FIELDS({"XCP_VDI", server->vdi->id}), "Out of memory: the disk is not served any more");
}

static void on_end(const struct child_end *end, void *userdata) {
        struct server *server = userdata;
        char words[CHILD_WORDS_MAX + 64];

        child_end_describe(end, words, sizeof words);
        server->child = child_free(server->child);
        if (server->control_fd >= 0)
                close(server->control_fd);
        server->control_fd = -1;
        if (server->is_leaving) {
                server_remove(server);
                return;
        }
        if (server->is_ending && server->ender) {
                server->timer = sd_event_source_disable_unref(server->timer);
                return;
        }
        if (server->is_ending) {
                struct vdi *vdi = vdi_ref(server->vdi);

                server_remove(server);
                servers_settle(vdi);            /* it may be wanted again meanwhile */
                vdi_unref(vdi);
                return;
        }
        if (server->is_stale) {                 /* it was told to */
                start(server);
                return;
        }
        log_event(LOG_WARNING, LOG_FIELDS({"XCP_VDI", server->vdi->id}, {"XCP_READER", server->path.reader}),
                  "What serves the disk %s: %s. It is started again", words, server->vdi->name);
        start_later(server, clock_now_usec(CLOCK_MONOTONIC) - server->started_usec > AGAIN_USEC ? 0 : AGAIN_USEC);
}

static void on_line(const char *line, void *userdata) {
        struct server *server = userdata;

        if (server->is_leaving && strcmp(line, "stays") == 0)
                server->stays = true;
}

static const struct child_listener listener = { .line = on_line, .end = on_end };

/* What a server is commanded by: a pipe of ours, or a connection of QEMU's monitor. [0] is the server's end. */
static int make_control(const struct server *server, int control[2]) {
        if (server_is_ours(server->vdi, &server->path))
                return pipe2(control, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, control) < 0)
                return -errno;
        return server->stands_by ? 0 : server_greet(control[1]);
}

/* QEMU takes the socket along when it ends by itself. */
static int listen_again(struct server *server) {
        if (access(server->socket_path, F_OK) >= 0)
                return 0;
        if (server->listen_fd >= 0)
                close(server->listen_fd);
        server->listen_fd = listen_at(server->vdi, server->socket_path);
        return server->listen_fd < 0 ? server->listen_fd : 0;
}

static void start(struct server *server) {
        struct idl_arena arena = {};
        struct child_spec spec = {};
        int control[2] = { -1, -1 }, fds[4], r;

        server->timer = sd_event_source_disable_unref(server->timer);
        fds[3] = hold_fd(server->vdi, server->path.reader);
        if (fds[3] < 0 && !server->stands_by)   /* after a restart, when somebody else still has it: server_held() */
                return;
        spec.n_fds = fds[3] < 0 ? 3 : 4;        /* one that stands by touches nothing, and then has a lock of its own */
        server->started_usec = clock_now_usec(CLOCK_MONOTONIC);
        server->is_stale = false;
        r = listen_again(server);
        if (r >= 0)
                r = make_control(server, control);
        if (r >= 0)
                r = server_command(server->vdi, &server->path, server->stands_by, &arena, &spec.argv);
        if (r >= 0) {
                fds[0] = server->listen_fd;
                fds[1] = control[0];
                fds[2] = server->counters_fd;
                spec.fds = fds;
                r = child_start(&server->child, server->vdi->sr->storage->event, &spec, &listener, server);
        }
        idl_arena_done(&arena);
        if (control[0] >= 0)
                close(control[0]);
        if (r >= 0) {
                server->control_fd = control[1];
                return;
        }
        if (control[1] >= 0)
                close(control[1]);
        log_event(LOG_ERR, LOG_FIELDS({"XCP_VDI", server->vdi->id}, {"XCP_READER", server->path.reader}),
                  "Cannot start what serves the disk: %s. It is tried again", strerrordesc_np(-r));
        start_later(server, AGAIN_USEC);
}

void server_held(const struct vdi *vdi, const char *reader) {
        struct server *server = server_find(vdi, reader);

        if (server && !server->keeper && !server->child && !server->timer && !server->is_ending)
                start(server);
}

/* Of a size that nobody can change. */
static int make_counters(void) {
        AUTO_CLOSE int fd = memfd_create("xcp-disk-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int made;

        if (fd < 0 || ftruncate(fd, DISK_COUNTERS_SIZE) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return -errno;
        made = fd;
        fd = -1;
        return made;
}

int server_new(struct server **ret_server, struct vdi *vdi, const struct data_path *path) {
        struct server *server = calloc(1, sizeof *server);

        if (!server)
                return -ENOMEM;
        server->vdi = vdi_ref(vdi);
        server->path = *path;
        server->path.reader = strdup(path->reader);
        server->socket_path = server_make_path(vdi, path->reader);
        server->listen_fd = server->control_fd = server->counters_fd = server->end_fd = -1;
        if (!server->path.reader || !server->socket_path) {
                server_free(server);
                return -ENOMEM;
        }
        server->next = vdi->sr->storage->servers;
        vdi->sr->storage->servers = server;
        *ret_server = server;
        return 0;
}

void server_add(struct vdi *vdi, const struct data_path *path, bool stands_by) {
        struct server *server = NULL;
        int r;

        r = server_new(&server, vdi, path);
        if (r >= 0)
                r = server->counters_fd = make_counters();
        if (r >= 0)
                r = server->listen_fd = listen_at(vdi, server->socket_path);
        if (r < 0) {
                if (server)
                        server_remove(server);
                log_event(LOG_ERR, LOG_FIELDS({"XCP_VDI", vdi->id}, {"XCP_READER", path->reader}), "Cannot serve the disk: %s", strerrordesc_np(-r));
                return;
        }
        server->stands_by = stands_by;
        start(server);
}

void server_stop_listening(struct server *server) {
        if (server->listen_fd < 0)
                return;
        unlink(server->socket_path);
        close(server->listen_fd);
        server->listen_fd = -1;
}

static int on_too_late(sd_event_source *source, uint64_t usec, void *userdata) {
        struct server *server = userdata;

        child_kill(server->child);
        return 0;
}

void server_begin_to_end(struct server *server) {
        if (!server->child && !server->ender) {
                server_remove(server);
                return;
        }
        if (server->is_ending)
                return;
        server->is_ending = true;
        if (!server->is_paused)
                server_stop_listening(server);
        server->timer = sd_event_source_disable_unref(server->timer);
        if (!server->child)
                return;
        kill(child_pid(server->child), SIGTERM);
        if (sd_event_add_time_relative(server->vdi->sr->storage->event, &server->timer, CLOCK_MONOTONIC, KILL_USEC, 0, on_too_late, server) < 0)
                child_kill(server->child);
}

static bool is_wanted(const struct data_path *path) {
        return path && path->state == XCP_DATA_PATH_STATE_ACTIVATED && server_is_kind(path->kind);
}

static void settle_one(struct server *server) {
        const struct data_path *path = data_paths_find(&server->vdi->paths, server->path.reader);

        if (server_is_device(server))           /* it is there until Detach, however the data path stands */
                return;
        if (is_wanted(path) && server->stands_by && !server->is_ending)
                server_begin(server);
        else if (!is_wanted(path) && !(path && server->stands_by))
                server_begin_to_end(server);
}

void servers_settle(struct vdi *vdi) {
        holds_settle(vdi);
        for (struct server *server = vdi->sr->storage->servers, *next; server; server = next) {
                next = server->next;
                if (server->vdi == vdi)
                        settle_one(server);
        }
        if (vdi->missing || vdi->sr->state != XCP_SR_STATE_ATTACHED)
                return;
        for (size_t i = 0; i < vdi->paths.n; i++)
                if (is_wanted(&vdi->paths.items[i]) && !server_find(vdi, vdi->paths.items[i].reader))
                        server_add(vdi, &vdi->paths.items[i], false);
}

int server_end(struct operation *operation, struct vdi *vdi, const char *reader) {
        struct server *server = server_find(vdi, reader);
        int fd;

        if (!server)
                return 0;
        server->ender = operation;
        if (server->keeper)
                return server_left_end(server, operation);
        if (!server->child) {
                server_begin_to_end(server);
                return 0;
        }
        fd = (int) syscall(SYS_pidfd_open, child_pid(server->child), 0);
        if (fd < 0)
                return -errno;
        if (operation->wish.fd >= 0)
                close(operation->wish.fd);
        operation->wish.fd = fd;
        server_begin_to_end(server);
        plan_io(&operation->plan, "wait until the disk is not served any more", 0, "wait-end", NULL)->fd = fd;
        return 0;
}

void server_ended(const struct operation *operation, struct vdi *vdi) {
        for (struct server *server = vdi->sr->storage->servers, *next; server; server = next) {
                next = server->next;
                if (server->ender != operation)
                        continue;
                server->ender = NULL;
                if (server->is_paused && !server->child) {
                        server->is_paused = server->is_ending = false;
                        start(server);
                } else if (!server->child && server->is_ending && server->end_r >= 0)
                        server_remove(server);
                else if (server->keeper)
                        server->is_ending = false;      /* it goes on where it is */
        }
}

int server_get_statistics(const struct vdi *vdi, const char *reader, struct xcp_data_path_statistics *ret_statistics, struct idl_error *error) {
        const struct data_path *path = data_paths_find(&vdi->paths, reader);
        const struct server *server = server_find(vdi, reader);
        static disk_counters_line lines[DISK_COUNTERS_LINES];
        ssize_t n;

        if (!path)
                return idl_error_set_does_not_exist(error, "data path", reader);
        if (!server_is_ours(vdi, path))
                return idl_error_set_not_supported(error, "statistics of anything but a Raw disk over VhostUser");
        if (server && server->keeper)
                return idl_error_set_not_supported(error, "statistics of a reader that the service left where it was when it moved");
        if (!server || server->is_ending || server->stands_by)
                return idl_error_set_bad_state(error, "data path", reader, "Activated", xcp_data_path_state_to_string(path->state));
        n = pread(server->counters_fd, lines, sizeof lines, 0);
        if (n != sizeof lines)
                return n < 0 ? -errno : -EIO;
        *ret_statistics = (struct xcp_data_path_statistics) {
                .reads = disk_counters_sum(lines, DISK_READS),
                .read_bytes = disk_counters_sum(lines, DISK_READ_BYTES),
                .writes = disk_counters_sum(lines, DISK_WRITES),
                .written_bytes = disk_counters_sum(lines, DISK_WRITTEN_BYTES),
                .flushes = disk_counters_sum(lines, DISK_FLUSHES),
                .discards = disk_counters_sum(lines, DISK_DISCARDS),
                .others = disk_counters_sum(lines, DISK_OTHERS),
                .errors = disk_counters_sum(lines, DISK_ERRORS),
        };
        return 0;
}

void servers_stop(struct storage *storage) {
        while (storage->servers) {
                struct server *server = storage->servers;

                storage->servers = server->next;
                waiters_free(server->waiters);
                server_free(server);
        }
}
