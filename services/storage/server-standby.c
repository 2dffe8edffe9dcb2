/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Servers that stand by for readers that are Attached only, and take over from others (server.h, servers_stand_by()). */

#include <string.h>
#include <unistd.h>

#include "log.h"
#include "server-command.h"
#include "server-private.h"

bool server_may_stand_by(const struct vdi *vdi, const struct data_path *path) {
        return path && path->state == XCP_DATA_PATH_STATE_ATTACHED && server_is_ours(vdi, path) && data_paths_is_other_active(&vdi->paths, path->reader);
}

void servers_stand_by(struct vdi *vdi, const char *reader) {
        const struct data_path *path = data_paths_find(&vdi->paths, reader);

        if (server_may_stand_by(vdi, path) && !vdi->missing && vdi->sr->state == XCP_SR_STATE_ATTACHED && !server_find(vdi, reader))
                server_add(vdi, path, true);
}

/* If its process is gone, the next is told on its command line. */
void server_begin(struct server *server) {
        static const char command[] = "begin\n";

        server->stands_by = false;
        if (server->control_fd < 0 || write(server->control_fd, command, sizeof command - 1) == sizeof command - 1)
                return;
        log_event(LOG_WARNING, LOG_FIELDS({"XCP_VDI", server->vdi->id}), "What stands by for the disk cannot be told to begin. It is started again");
        child_kill(server->child);
}
