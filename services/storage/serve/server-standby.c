/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Servers that stand by for readers that are Attached only, and take over from others (server.h, servers_stand_by()). */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "hold.h"
#include "log.h"
#include "server-command.h"
#include "server-private.h"

bool server_may_stand_by(const struct vdi *vdi, const struct data_path *path) {
        return path && path->state == XCP_DATA_PATH_STATE_ATTACHED && path->kind == XCP_DATA_PATH_KIND_VHOST_USER &&
               data_paths_is_other_active(&vdi->paths, path->reader);
}

void servers_stand_by(struct vdi *vdi, const char *reader) {
        const struct data_path *path = data_paths_find(&vdi->paths, reader);

        if (server_may_stand_by(vdi, path) && !vdi->missing && vdi->sr->state == XCP_SR_STATE_ATTACHED && !server_find(vdi, reader))
                server_add(vdi, path, true);
}

/* One that stood by is not there after a restart, but its socket may be. */
void server_detached(const struct vdi *vdi, const char *reader) {
        AUTO_FREE char *path = NULL;

        if (server_find(vdi, reader))
                return;
        path = server_make_path(vdi, reader);
        if (path)
                unlink(path);
}

/* With what has the lock of the disk, which xcp-vhost-blk takes by itself. */
static int say_begin(int control_fd, int lock_fd) {
        static const char command[] = "begin\n";
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
        struct iovec iov = { (void *) command, sizeof command - 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (lock_fd >= 0) {
                memcpy(CMSG_DATA(&control.header), &lock_fd, sizeof lock_fd);
                message.msg_control = control.room;
                message.msg_controllen = sizeof control.room;
        }
        if (sendmsg(control_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) iov.iov_len)
                return 0;
        return errno == 0 ? -EIO : -errno;
}

static int begin_relayed(struct server *server) {
        int r;

        r = say_begin(server->control_fd, hold_fd(server->vdi, server->path.reader));
        if (r >= 0)
                r = server_greet(server->control_fd);
        if (r >= 0)
                server_tell_limits(server);     /* others than on its command line, maybe */
        return r;
}

static int begin_ours(const struct server *server) {
        static const char command[] = "begin\n";

        return write(server->control_fd, command, sizeof command - 1) == sizeof command - 1 ? 0 : -EIO;
}

/* If its process is gone, the next is told on its command line. */
void server_begin(struct server *server) {
        int r;

        server->stands_by = false;
        if (server->control_fd < 0)
                return;
        r = server_is_relayed(server->vdi, &server->path) ? begin_relayed(server) : begin_ours(server);
        if (r >= 0)
                return;
        log_event(LOG_WARNING, LOG_FIELDS({"XCP_VDI", server->vdi->id}), "What stands by for the disk cannot be told to begin. It is started again");
        child_kill(server->child);
}
