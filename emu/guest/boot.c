/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "boot.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_path(const char path[EMU_GUEST_PATH_MAX]) {
        return path[0] == '/' && memchr(path, 0, EMU_GUEST_PATH_MAX);
}

static bool is_valid(const struct emu_guest_boot *boot) {
        if (!is_path(boot->run_dir) || boot->n_keep > EMU_GUEST_KEEP_MAX)
                return false;
        for (uint32_t i = 0; i < boot->n_keep; i++)
                if (!is_path(boot->keep[i]))
                        return false;
        return true;
}

/* Copies the descriptors out and returns how many there are; more than there is room for the kernel has closed. */
static size_t take_fds(struct msghdr *message, int ret_fds[EMU_GUEST_FDS]) {
        struct cmsghdr *control = CMSG_FIRSTHDR(message);
        size_t n;

        if (!control || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
                return 0;
        n = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret_fds, CMSG_DATA(control), n * sizeof(int));
        return n;
}

int boot_receive(int fd, struct emu_guest_boot *ret_boot, int ret_fds[EMU_GUEST_FDS]) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(EMU_GUEST_FDS * sizeof(int))];
        } control = {};
        struct iovec bytes = { .iov_base = ret_boot, .iov_len = sizeof *ret_boot };
        struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        size_t n_fds;
        ssize_t n;

        do
                n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                return n < 0 ? -errno : -EPIPE;

        n_fds = take_fds(&message, ret_fds);
        if (n == sizeof *ret_boot && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && n_fds == EMU_GUEST_FDS && is_valid(ret_boot))
                return 0;
        while (n_fds > 0)
                close(ret_fds[--n_fds]);
        return -EPROTO;
}

int boot_answer(int fd, int result, const char *text) {
        struct emu_guest_ready ready = { .result = result };

        snprintf(ready.text, sizeof ready.text, "%s", text);
        return send(fd, &ready, sizeof ready, MSG_NOSIGNAL) == sizeof ready ? 0 : -errno;
}
