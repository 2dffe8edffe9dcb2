/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The program behind a system call that waits for us: its memory and its descriptors.
 *
 * Process numbers are used again. So its memory and the process itself are opened by number, and then the kernel is asked whether the call
 * still waits: if so, they are of the process that made it. Memory is copied once; what a program changes meanwhile, it changes for itself.
 */

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct target {
        int memory, process;
};

/* -ENOENT: the call does not wait any more. */
int target_open(struct target *target, int listener, uint64_t id, pid_t pid);
void target_close(struct target *target);

/* -EFAULT, as the kernel would. */
int target_read(const struct target *target, uint64_t address, void *data, size_t size);
int target_write(const struct target *target, uint64_t address, const void *data, size_t size);

/* A descriptor of ours for the open file that the program has under this number. -EBADF, -EPERM. */
int target_fd(const struct target *target, int fd);

/* The same of a process, by its number. */
int target_take(pid_t pid, int fd);

/* The same without a call, for a socket that should be there: -ENOENT, if it is not this one any more. */
int target_socket(pid_t pid, int fd, ino_t inode);

/* Whether the call still waits. */
bool call_waits(int listener, uint64_t id);

/* Answers: with a value or a negative errno; by having the kernel do it; with a new descriptor for our fd. -ENOENT: nobody waits any more. */
int call_answer(int listener, uint64_t id, int64_t result);
int call_continue(int listener, uint64_t id);
int call_answer_fd(int listener, uint64_t id, int fd, bool cloexec);
