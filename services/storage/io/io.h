/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * xcp-storage-io: what the storage service has to do to disks and files that may make it wait, one thing at a time in a process of its
 * own, which can be killed.
 *
 * It tells the service in lines on standard output:
 *
 *         progress DONE TOTAL     bytes
 *         failed ERRNO WHAT       once, before exit status 1
 *         unreachable WHAT        the same, for a storage repository that is not there at all
 *         space TOTAL FREE USED   bytes of the storage repository
 *         ...                     what a verb is asked for: see its comment
 *
 * Things in a storage repository are a directory and a name in it, and the name is opened without following any link: nothing
 * outside of the directory can be reached.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "uuid.h"

#define IO_NAME_MAX 64u

/* Verbs return an exit status, and have printed why if it is not 0. */
typedef int (*io_verb_t)(int argc, char **argv);

int io_copy(int argc, char **argv);
int io_zero(int argc, char **argv);
int io_sync(int argc, char **argv);
int io_lock(int argc, char **argv);
int io_qmp_resize(int argc, char **argv);       /* descriptor 3: a monitor of QEMU's */
int io_wait_end(int argc, char **argv);         /* of the process whose pidfd is descriptor 3 */
int io_directory_make(int argc, char **argv);
int io_directory_unmake(int argc, char **argv);
int io_directory_scan(int argc, char **argv);
int io_directory_space(int argc, char **argv);
int io_directory_usage(int argc, char **argv);
int io_directory_create(int argc, char **argv);
int io_directory_blank(int argc, char **argv);
int io_directory_publish(int argc, char **argv);
int io_directory_freeze(int argc, char **argv);
int io_directory_thaw(int argc, char **argv);
int io_directory_remove(int argc, char **argv);
int io_directory_resize(int argc, char **argv);
int io_directory_stat(int argc, char **argv);
int io_file_make(int argc, char **argv);
int io_file_unmake(int argc, char **argv);
int io_file_scan(int argc, char **argv);
int io_file_set(int argc, char **argv);
int io_file_clear(int argc, char **argv);
int io_file_find(int argc, char **argv);
int io_file_space(int argc, char **argv);
int io_file_usage(int argc, char **argv);
int io_qcow2_check(int argc, char **argv);
int io_loop_attach(int argc, char **argv);
int io_loop_detach(int argc, char **argv);
int io_loop_resize(int argc, char **argv);

/* Both print what failed, and return 1. r: a negative errno. */
int io_failed(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int io_unreachable(int r, const char *what);

/* Whenever it is noticeably more. */
void io_progress(uint64_t done, uint64_t total);

/* Numbers of the command line, which are the service's. -EINVAL. */
int io_number(const char *text, uint64_t *ret_number);

/* A directory, and a file in it: a regular one, or a block device if that is allowed. Negative errnos; -ELOOP: it is a link. */
int io_open_directory(const char *path);
int io_open(int directory, const char *name, int flags, bool may_be_device);
int io_open_at_path(const char *directory, const char *name, int flags, bool may_be_device);

/* How large a file or block device is. */
int io_size(int fd, uint64_t *ret_size);

/* All of it, at offset. */
int io_pread(int fd, void *data, size_t n, uint64_t offset);
int io_pwrite(int fd, const void *data, size_t n, uint64_t offset);

/* Makes a range read as zeros. Tells progress. */
int io_zero_range(int fd, uint64_t offset, uint64_t length);

/* The beginning of an image. Prints and returns an exit status. */
struct qcow2_header;
int io_read_qcow2(int fd, uint64_t offset, const char *name, struct qcow2_header *ret_header);

/* Bytes that a range of a file takes on its file system; of a device, all. */
int io_allocated(int fd, uint64_t offset, uint64_t length, uint64_t *ret_bytes);
