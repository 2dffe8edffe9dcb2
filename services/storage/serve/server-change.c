/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What changes of a disk while it is served. xcp-vhost-blk is told, and tells its guest. QEMU is told of limits; a size it has from its start, and neither of its
 * exports shows another later. Over vhost-user, the relay before it does, and tells the guest. Over NBD, it is started again as soon as nobody is connected.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connections.h"
#include "device.h"
#include "idl-errors.h"
#include "log.h"
#include "operation.h"
#include "server-command.h"
#include "server-private.h"

/* Telling */

/* What QEMU has answered: it only must not pile up. What somebody waits for is his. */
static void drop_answers(const struct server *server) {
        char bytes[4096];

        while (!server->ender && recv(server->control_fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
        }
}

int server_greet(int control_fd) {
        static const char begin[] = "{\"execute\":\"qmp_capabilities\"}\n";

        return write(control_fd, begin, sizeof begin - 1) < 0 ? -errno : 0;
}

static void tell(const struct server *server, const char *text, const char *what) {
        if (server->control_fd < 0)             /* one that is started meanwhile has it on its command line */
                return;
        if (server->stands_by && server_is_relayed(server->vdi, &server->path))         /* QEMU is told when it is there: server_begin() */
                return;
        if (!server_is_ours(server->vdi, &server->path))
                drop_answers(server);
        if (write(server->control_fd, text, strlen(text)) != (ssize_t) strlen(text))
                log_event(LOG_WARNING, LOG_FIELDS({"XCP_VDI", server->vdi->id}), "What serves the disk cannot be told %s", what);
}

/* Who comes at this very moment is cut off, and connects again. */
static void start_again(struct server *server, int r) {
        if (r >= 0)
                kill(child_pid(server->child), SIGTERM);
        else
                log_event(LOG_ERR, LOG_FIELDS({"XCP_VDI", server->vdi->id}), "The disk goes on being served with the size that it had: %s",
                          strerrordesc_np(-r));
}

/* A signal with a value (sigqueue(3)): it waits for nobody, and waits for the relay while that waits for QEMU. False: there is no room for one more that waits. */
static bool tell_relay_size(const struct server *server) {
        const union sigval sectors = { .sival_ptr = (void *) (uintptr_t) (server->vdi->size / 512) };

        return sigqueue(child_pid(server->child), SIGRTMIN, sectors) == 0;
}

void server_tell_size(struct server *server) {
        char command[64];

        if (server_is_device(server)) {
                device_tell_size(server);
                return;
        }
        if (server_is_ours(server->vdi, &server->path)) {
                snprintf(command, sizeof command, "size %llu\n", (unsigned long long) server_told_size(server->vdi));
                tell(server, command, "that it is larger");
                return;
        }
        if (!server->child || server->is_ending || server->is_leaving || server->is_stale || server->stands_by)
                return;
        if (server_is_relayed(server->vdi, &server->path) && tell_relay_size(server))
                return;
        server->is_stale = true;
        server_when_unconnected(server, start_again);
}

void server_tell_limits(struct server *server) {
        unsigned long long iops = server->vdi->iops_limit, rate = server->vdi->rate_limit;
        char command[256];

        if (server_is_ours(server->vdi, &server->path))
                snprintf(command, sizeof command, "rate %llu %llu\n", iops, rate);
        else
                snprintf(command, sizeof command,
                         "{\"execute\":\"qom-set\",\"arguments\":{\"path\":\"/objects/" SERVER_LIMITS "\",\"property\":\"limits\",\"value\":"
                         "{\"iops-total\":%llu,\"bps-total\":%llu}}}\n", iops, rate);
        tell(server, command, "its limits");
}

static void for_each(const struct vdi *vdi, void (*here)(struct server *), void (*left)(struct server *)) {
        for (struct server *server = vdi->sr->storage->servers; server; server = server->next)
                if (server->vdi == vdi)
                        (server->keeper ? left : here)(server);
}

void servers_resized(const struct vdi *vdi) {
        for_each(vdi, server_tell_size, server_left_tell_size);
}

void servers_limited(const struct vdi *vdi) {
        for_each(vdi, server_tell_limits, server_left_tell_limits);
}

/* Making an image larger that is served: QEMU must not find another program writing to it. */

/* The only one who is Activated. NULL: nobody is. Busy: there are more, or it is not for this process to say. */
static int find_only(const struct vdi *vdi, struct server **ret_server, struct idl_error *error) {
        *ret_server = NULL;
        for (size_t i = 0; i < vdi->paths.n; i++) {
                const struct data_path *path = &vdi->paths.items[i];
                struct server *server = server_find(vdi, path->reader);

                if (path->state != XCP_DATA_PATH_STATE_ACTIVATED)
                        continue;
                if (*ret_server || !server || !server->child || server->is_ending)
                        return idl_error_set_busy(error, "VDI", vdi->id, path->reader);
                *ret_server = server;
        }
        return 0;
}

static bool is_connected(const struct server *server) {
        return connections_count(server->socket_path) != 0;
}

/* One who stands by has told his front-end already how large the disk is. */
static const struct server *find_standby(const struct vdi *vdi) {
        const struct server *server = vdi->sr->storage->servers;

        while (server && !(server->vdi == vdi && server->stands_by))
                server = server->next;
        return server;
}

int servers_check_resize(const struct vdi *vdi, struct idl_error *error) {
        const struct server *standby;
        struct server *server;
        int r;

        if (vdi->format == XCP_VDI_FORMAT_RAW)
                return 0;
        standby = find_standby(vdi);
        if (standby)
                return idl_error_set_busy(error, "VDI", vdi->id, standby->path.reader);
        r = find_only(vdi, &server, error);
        if (r < 0 || !server || !is_connected(server))
                return r;
        if (server->path.kind != XCP_DATA_PATH_KIND_VHOST_USER || server->path.mode == XCP_DISK_MODE_READ_ONLY)
                return idl_error_set_busy(error, "VDI", vdi->id, server->path.reader);
        return 0;
}

int servers_plan_resize(struct operation *operation, struct vdi *vdi, uint64_t size, struct idl_error *error) {
        struct server *server = NULL;
        int r;

        r = servers_check_resize(vdi, error);
        if (r >= 0 && vdi->format != XCP_VDI_FORMAT_RAW)
                r = find_only(vdi, &server, error);
        if (r < 0 || !server)
                return r;
        if (!is_connected(server)) {
                server->is_paused = true;
                return server_end(operation, vdi, server->path.reader);
        }
        server->ender = operation;              /* whose the monitor is meanwhile */
        plan_io(&operation->plan, "have what serves the disk make it larger", STEP_COMMIT, "qmp-resize", SERVER_EXPORT, plan_number(&operation->plan, size),
                NULL)->fd = server->control_fd;
        vdi->sr->driver->sync(&operation->plan, vdi);
        return SERVERS_RESIZE;
}
