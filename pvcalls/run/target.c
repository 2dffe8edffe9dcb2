/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool call_waits(int listener, uint64_t id) {
        return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* The process of a thread. 0: it is gone. */
static pid_t process_of(pid_t thread) {
        char path[40], line[128];
        pid_t process = 0;
        FILE *file;

        snprintf(path, sizeof path, "/proc/%d/status", thread);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof line, file))
                if (sscanf(line, "Tgid: %d", &process) == 1)
                        break;
        if (file)
                fclose(file);
        return process;
}

static int process_open(pid_t thread) {
        int fd = (int) syscall(SYS_pidfd_open, thread, 0);
        pid_t process;

        if (fd >= 0 || (errno != EINVAL && errno != ENOENT))    /* which of the two it is for a thread, kernels differ in */
                return fd < 0 ? -errno : fd;
        process = process_of(thread);           /* the calling thread is not its process's first */
        fd = process > 0 ? (int) syscall(SYS_pidfd_open, process, 0) : -1;
        return fd < 0 ? -ENOENT : fd;
}

int target_open(struct target *target, int listener, uint64_t id, pid_t pid) {
        char path[40];

        snprintf(path, sizeof path, "/proc/%d/mem", pid);
        target->memory = open(path, O_RDWR | O_CLOEXEC);
        if (target->memory < 0)
                return errno == EACCES || errno == EPERM ? -EPERM : -ENOENT;
        target->process = process_open(pid);
        if (target->process >= 0 && call_waits(listener, id))
                return 0;
        target_close(target);
        return -ENOENT;
}

void target_close(struct target *target) {
        if (target->memory >= 0)
                close(target->memory);
        if (target->process >= 0)
                close(target->process);
        target->memory = target->process = -1;
}

int target_read(const struct target *target, uint64_t address, void *data, size_t size) {
        return pread(target->memory, data, size, (off_t) address) == (ssize_t) size ? 0 : -EFAULT;
}

int target_write(const struct target *target, uint64_t address, const void *data, size_t size) {
        return pwrite(target->memory, data, size, (off_t) address) == (ssize_t) size ? 0 : -EFAULT;
}

int target_fd(const struct target *target, int fd) {
        int own = (int) syscall(SYS_pidfd_getfd, target->process, fd, 0);

        return own < 0 ? -errno : own;
}

int target_take(pid_t pid, int fd) {
        struct target target = { .memory = -1, .process = process_open(pid) };
        int own = target.process < 0 ? target.process : target_fd(&target, fd);

        target_close(&target);
        return own;
}

int target_socket(pid_t pid, int fd, ino_t inode) {
        int own = target_take(pid, fd);
        struct stat st;

        if (own >= 0 && fstat(own, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == inode)
                return own;
        if (own >= 0)
                close(own);
        return -ENOENT;
}

int call_answer(int listener, uint64_t id, int64_t result) {
        struct seccomp_notif_resp response = { .id = id };

        if (result < 0)
                response.error = (int32_t) result;
        else
                response.val = result;
        return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 ? -errno : 0;
}

int call_continue(int listener, uint64_t id) {
        struct seccomp_notif_resp response = { .id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

        return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 ? -errno : 0;
}

int call_answer_fd(int listener, uint64_t id, int fd, bool cloexec) {
        struct seccomp_notif_addfd addfd = {
                .id = id,
                .flags = SECCOMP_ADDFD_FLAG_SEND,
                .srcfd = (uint32_t) fd,
                .newfd_flags = cloexec ? O_CLOEXEC : 0,
        };

        return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd) < 0 ? -errno : 0;
}
