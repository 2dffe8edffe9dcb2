/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The files of domain 0's kernel that xenstored reads itself, without a library around them, for LD_PRELOAD into Debian's
 * unmodified xenstored:
 *
 *      /proc/xen/xsd_port      the port of domain 0's kernel for xenstored, as text
 *      /proc/xen/xsd_kva       the page with domain 0's store ring
 *
 * xenstored dies if it cannot bind that port, so there must be one, but nobody is at its other end: domain 0's programs use
 * xenstored's own socket. Everything else is opened as ever, and so is all of it in a process that belongs to no domain.
 */

#undef _FILE_OFFSET_BITS /* with it, the headers turn open() into open64(), and both are to be defined here */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "client.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int open(const char *path, int flags, ...);
EXPORT int open64(const char *path, int flags, ...);

typedef int open_function(const char *path, int flags, ...);

static int next_open(const char *path, int flags, mode_t mode) {
        return ((open_function *) dlsym(RTLD_NEXT, "open"))(path, flags, mode);
}

/* An unnamed file with text in it, or with a page of zeroes. */
static int open_memory(const char *name, const char *text) {
        int fd = memfd_create(name, MFD_CLOEXEC);

        if (fd < 0)
                return -1;
        if (text ? pwrite(fd, text, strlen(text), 0) != (ssize_t) strlen(text) : ftruncate(fd, EMU_PAGE_SIZE) < 0) {
                close(fd);
                errno = EIO;
                return -1;
        }
        return fd;
}

/* Allocates the port over a connection that stays open for as long as the process lives, as the port does. */
static int allocate_port(uint32_t *ret_port) {
        struct emu_evtchn_remote self = { .domid = EMU_DOMID_SELF };
        struct emu_port port;
        int connection, fds[EMU_PORT_FDS], r;

        connection = emu_connect(getenv("XENEMU_SOCKET"), 1);
        if (connection < 0)
                return connection;

        r = emu_call(connection, EMU_EVTCHN_ALLOC_UNBOUND, &self, sizeof self, &port, sizeof port, fds, EMU_PORT_FDS);
        if (r < 0) {
                close(connection);
                return r;
        }
        for (size_t i = 0; i < EMU_PORT_FDS; i++)
                if (fds[i] >= 0)
                        close(fds[i]);
        *ret_port = port.port;
        return 0;
}

static int open_xsd_port(void) {
        static uint32_t port;   /* 0, which is never given out, until it is allocated */
        char text[16];
        int r;

        if (port == 0) {
                r = allocate_port(&port);
                if (r < 0) {
                        fprintf(stderr, "xenstored: no event channel from xenemud at %s: %s\n", getenv("XENEMU_SOCKET"), strerror(-r));
                        errno = -r;
                        return -1;
                }
        }
        snprintf(text, sizeof text, "%u", port);
        return open_memory("xsd_port", text);
}

static int open_xsd_kva(void) {
        return open_memory("xsd_kva", NULL);
}

static const struct {
        const char *path;
        int (*open)(void);
} devices[] = {
        { "/proc/xen/xsd_port", open_xsd_port },
        { "/proc/xen/xsd_kva", open_xsd_kva },
};

static int open_any(const char *path, int flags, mode_t mode) {
        for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
                if (strcmp(path, devices[i].path) == 0 && getenv("XENEMU_SOCKET"))
                        return devices[i].open();
        return next_open(path, flags, mode);
}

/* The mode is passed only if a file may be created (open(2)), and must not be looked for otherwise. */
static mode_t mode_argument(int flags, va_list arguments) {
        return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
        va_list arguments;
        mode_t mode;

        va_start(arguments, flags);
        mode = mode_argument(flags, arguments);
        va_end(arguments);
        return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
        va_list arguments;
        mode_t mode;

        va_start(arguments, flags);
        mode = mode_argument(flags, arguments);
        va_end(arguments);
        return open_any(path, flags | O_LARGEFILE, mode);
}
