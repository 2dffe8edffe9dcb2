/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "device.h"
#include "log.h"
#include "operation.h"
#include "server-private.h"

#define AGAIN_USEC UINT64_C(1000000)

struct hold {
        struct hold *next;
        struct vdi *vdi;                        /* referenced */
        char *reader;
        int fd;                                 /* that has the lock; -1: not yet */
        int socket;                             /* by which it comes */
        const struct operation *operation;      /* that takes it, and whose reader is not Activated yet; NULL: none */
        struct child *child;                    /* that waits for it */
        sd_event_source *timer;                 /* that starts one again */
};

static void hold_free(struct hold *hold) {
        child_free(hold->child);
        sd_event_source_disable_unref(hold->timer);
        if (hold->socket >= 0)
                close(hold->socket);
        if (hold->fd >= 0)
                close(hold->fd);
        vdi_unref(hold->vdi);
        free(hold->reader);
        free(hold);
}

static void remove_hold(struct hold *hold) {
        for (struct hold **p = &hold->vdi->sr->storage->holds; *p; p = &(*p)->next)
                if (*p == hold) {
                        *p = hold->next;
                        break;
                }
        hold_free(hold);
}

static struct hold *find(const struct vdi *vdi, const char *reader) {
        for (struct hold *hold = vdi->sr->storage->holds; hold; hold = hold->next)
                if (hold->vdi == vdi && strcmp(hold->reader, reader) == 0)
                        return hold;
        return NULL;
}

static int add(struct hold **ret_hold, struct vdi *vdi, const char *reader) {
        struct hold *hold = calloc(1, sizeof *hold);

        if (!hold)
                return -ENOMEM;
        *hold = (struct hold) { .vdi = vdi_ref(vdi), .reader = strdup(reader), .fd = -1, .socket = -1 };
        if (!hold->reader) {
                hold_free(hold);
                return -ENOMEM;
        }
        hold->next = vdi->sr->storage->holds;
        vdi->sr->storage->holds = hold;
        *ret_hold = hold;
        return 0;
}

/* Returns the other end. */
static int make_socket(struct hold *hold) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
                return -errno;
        if (hold->socket >= 0)
                close(hold->socket);
        hold->socket = ends[0];
        return ends[1];
}

/* The program has ended well: it is in the socket. */
static int take(struct hold *hold) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {};
        char byte;
        struct iovec iov = { &byte, 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room };
        const struct cmsghdr *header;

        if (recvmsg(hold->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
                return -errno;
        header = CMSG_FIRSTHDR(&message);
        if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
                return -EBADMSG;
        memcpy(&hold->fd, CMSG_DATA(header), sizeof hold->fd);
        close(hold->socket);
        hold->socket = -1;
        return 0;
}

static struct step *plan_lock(struct plan *plan, const struct vdi *vdi, const struct data_path *path, const char *how) {
        struct place place = {};

        vdi->sr->driver->place(plan, vdi, false, &place);
        return plan_io(plan, "lock the disk", 0, "lock", place.directory, place.name, plan_number(plan, place.offset),
                       path->mode == XCP_DISK_MODE_READ_ONLY ? "ro" : "rw", vdi->sharable ? "shared" : "alone", how, NULL);
}

/* For an operation */

static int on_locked(struct operation *operation, struct idl_error *error) {
        struct hold *hold = find(operation->vdi, operation->wish.reader);

        return hold ? take(hold) : -ENOENT;
}

int hold_plan(struct operation *operation, struct vdi *vdi, const struct data_path *path) {
        struct hold *hold = find(vdi, path->reader);
        struct step *step;
        int end, r;

        if (hold && hold->fd >= 0)
                return 0;
        if (hold)                               /* of one who was Activated; nobody waits any more */
                remove_hold(hold);
        r = add(&hold, vdi, path->reader);
        if (r < 0)
                return r;
        hold->operation = operation;
        end = make_socket(hold);
        if (end < 0)
                return end;
        if (operation->wish.fd >= 0)
                close(operation->wish.fd);
        operation->wish.fd = end;
        step = plan_lock(&operation->plan, vdi, path, "now");
        step->fd = end;
        step->then = on_locked;
        return 0;
}

void hold_done(const struct operation *operation, struct vdi *vdi) {
        for (struct hold *hold = vdi->sr->storage->holds; hold; hold = hold->next)
                if (hold->operation == operation)
                        hold->operation = NULL;
}

/* For one who has been Activated before */

static void start(struct hold *hold);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        start(userdata);
        return 0;
}

static void start_later(struct hold *hold) {
        hold->timer = sd_event_source_disable_unref(hold->timer);
        if (sd_event_add_time_relative(hold->vdi->sr->storage->event, &hold->timer, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, hold) < 0)
                log_event(LOG_ERR, LOG_FIELDS({"XCP_VDI", hold->vdi->id}), "Out of memory: the disk is not held any more");
}

static void on_line(const char *line, void *userdata) {
        const struct hold *hold = userdata;

        if (strncmp(line, "waits ", 6) == 0)
                log_event(LOG_WARNING, LOG_FIELDS({"XCP_VDI", hold->vdi->id}, {"XCP_READER", hold->reader}),
                          "The disk %s, which is Activated for %s, is in use by %s, too: waiting for its end", hold->vdi->name, hold->reader, line + 6);
        else if (strncmp(line, "failed ", 7) == 0)
                log_event(LOG_WARNING, LOG_FIELDS({"XCP_VDI", hold->vdi->id}, {"XCP_READER", hold->reader}), "Cannot lock the disk %s: %s", hold->vdi->name,
                          line + 7);
}

static void on_end(const struct child_end *end, void *userdata) {
        struct hold *hold = userdata;

        hold->child = child_free(hold->child);
        if (!child_end_good(end) || take(hold) < 0)
                start_later(hold);
        else
                server_held(hold->vdi, hold->reader);
}

static const struct child_listener listener = { .line = on_line, .end = on_end };

static void start(struct hold *hold) {
        const struct data_path *path = data_paths_find(&hold->vdi->paths, hold->reader);
        struct idl_arena arena = {};
        struct plan plan = { .arena = &arena, .io_program = hold->vdi->sr->storage->io_program };
        struct child_spec spec = { .n_fds = 1 };
        int end = -1, r = -ENOENT;

        hold->timer = sd_event_source_disable_unref(hold->timer);
        if (path && hold->vdi->sr->state == XCP_SR_STATE_ATTACHED)
                r = end = make_socket(hold);
        if (r >= 0) {
                plan_lock(&plan, hold->vdi, path, "wait");
                r = plan.r;
        }
        if (r >= 0) {
                spec.argv = plan.steps[0].argv;
                spec.fds = &end;
                r = child_start(&hold->child, hold->vdi->sr->storage->event, &spec, &listener, hold);
        }
        if (end >= 0)
                close(end);
        idl_arena_done(&arena);
        if (r < 0)
                start_later(hold);
}

void holds_settle(struct vdi *vdi) {
        struct hold *hold;

        for (struct hold *next, *p = vdi->sr->storage->holds; p; p = next) {
                const struct data_path *path = data_paths_find(&vdi->paths, p->reader);

                next = p->next;
                if (p->vdi == vdi && !p->operation && !(path && path->state == XCP_DATA_PATH_STATE_ACTIVATED))
                        remove_hold(p);
        }
        if (vdi->missing || vdi->sr->state != XCP_SR_STATE_ATTACHED)
                return;
        for (size_t i = 0; i < vdi->paths.n; i++) {
                const struct data_path *path = &vdi->paths.items[i];
                const struct server *server = server_find(vdi, path->reader);

                if (path->state != XCP_DATA_PATH_STATE_ACTIVATED || find(vdi, path->reader) || (server && server->keeper && !server_is_device(server)))
                        continue;               /* a keeper has it */
                if (add(&hold, vdi, path->reader) >= 0)
                        start(hold);
        }
}

int hold_fd(const struct vdi *vdi, const char *reader) {
        const struct hold *hold = find(vdi, reader);

        return hold ? hold->fd : -1;
}

void hold_drop(const struct vdi *vdi, const char *reader) {
        struct hold *hold = find(vdi, reader);

        if (hold)
                remove_hold(hold);
}

void holds_leave(struct storage *storage) {
        const struct server *server;

        for (struct hold *next, *hold = storage->holds; hold; hold = next) {
                next = hold->next;
                server = server_find(hold->vdi, hold->reader);
                if (!server || server_is_device(server))
                        remove_hold(hold);
        }
}

void holds_stop(struct storage *storage) {
        while (storage->holds)
                remove_hold(storage->holds);
}
