/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* UNIX sockets: names that are longer than a request, and the paths that a listener leaves in the file system. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-private.h"

/* A name as it comes, a piece after the other. */
struct staged {
        uint32_t n, n_there;
        uint8_t bytes[PVCALLS_NAME_MAX];
};

int guest_stage_name(struct socket *socket, uint32_t untrusted_n, uint32_t untrusted_offset, const uint8_t piece[PVCALLS_PIECE_SIZE]) {
        struct staged *staged = socket->staged;
        uint32_t n_piece;

        if (socket->family != AF_UNIX)
                return -ENOTSUP;
        if (untrusted_n > PVCALLS_NAME_MAX || untrusted_offset >= untrusted_n)
                return -EINVAL;
        if (!staged)
                staged = socket->staged = malloc(sizeof *staged);
        if (!staged)
                return -ENOMEM;
        if (untrusted_offset == 0)
                *staged = (struct staged) { .n = untrusted_n };
        if (staged->n != untrusted_n || staged->n_there != untrusted_offset)
                return -EINVAL;         /* one behind the other, or none */
        n_piece = untrusted_n - untrusted_offset < PVCALLS_PIECE_SIZE ? untrusted_n - untrusted_offset : PVCALLS_PIECE_SIZE;
        memcpy(staged->bytes + untrusted_offset, piece, n_piece);
        staged->n_there += n_piece;
        return 0;
}

int guest_staged_name(struct socket *socket, uint32_t untrusted_n, struct pvcalls_name *ret_name) {
        struct staged *staged = socket->staged;
        int r = -EINVAL;

        if (staged && staged->n == untrusted_n && staged->n_there == untrusted_n)
                r = pvcalls_name_parse(staged->bytes, staged->n, ret_name);
        free(staged);
        socket->staged = NULL;
        return r;
}

static bool is_path(const struct pvcalls_name *name) {
        return name->any.sa_family == AF_UNIX && name->local.sun_path[0] == '/';
}

void guest_prepare_path(const struct pvcalls_name *name) {
        struct stat status;
        int fd;

        if (!is_path(name) || lstat(name->local.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
                return;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return;
        if (connect(fd, &name->any, name->size) < 0 && errno == ECONNREFUSED)
                (void) unlink(name->local.sun_path);
        close(fd);
}

void guest_remove_path(struct socket *socket) {
        struct pvcalls_name name;

        if (socket->owns_path && socket_local_name(socket, &name) == 0 && is_path(&name))
                (void) unlink(name.local.sun_path);
        socket->owns_path = false;
}
