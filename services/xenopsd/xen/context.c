/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "context.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xencall.h>
#include <xentoollog.h>

#include "clean-fork.h"
#include "utf8.h"

struct xen_logger {
        xentoollog_logger vtable;       /* first, as libxl knows no more of it */
        char *why;                      /* NULL: nobody wants to know */
};

/* Libxl begins with the place in its source: FILE:LINE:FUNCTION: */
static const char *skip_place(const char *text) {
        const char *end = strncmp(text, "libxl", 5) == 0 ? strstr(text, ": ") : NULL;

        return end ? end + 2 : text;
}

/* Libxl says first what went wrong, and then what it could not do because of it. */
__attribute__((format(printf, 5, 0)))
static void on_message(xentoollog_logger *base, xentoollog_level level, int errno_value, const char *context, const char *format,
                       va_list arguments) {
        struct xen_logger *logger = (struct xen_logger *) base;
        char text[CONTEXT_WHY_SIZE];
        char *copy;

        if (level < XTL_ERROR || !logger->why || logger->why[0])
                return;
        vsnprintf(text, sizeof text, format, arguments);
        for (char *p = text; *p; p++)
                if ((unsigned char) *p < ' ')
                        *p = ' ';
        copy = idl_utf8_copy(skip_place(text), sizeof text - 1);
        snprintf(logger->why, CONTEXT_WHY_SIZE, "%s%s%s", copy ?: "", errno_value > 0 ? ": " : "",
                 errno_value > 0 ? strerrordesc_np(errno_value) ?: "unknown error" : "");
        free(copy);
}

static void on_progress(xentoollog_logger *base, const char *context, const char *what, int percent, unsigned long done,
                        unsigned long total) {
}

static void on_destroy(xentoollog_logger *base) {
        free(base);
}

/*
 * What libxl's children take before they execute a program or end: the locks that libxencall has for buffers and libxentoolcore for handles of
 * the whole process (Xen 4.17, tools/libs/call/buffer.c and tools/libs/toolcore/handlereg.c). A domain is destroyed by such a child.
 */
static void take_locks(void *userdata) {
        struct xen_logger nowhere = { .vtable = { .vmessage = on_message, .progress = on_progress } };
        xencall_handle *handle = xencall_open(&nowhere.vtable, 0);
        void *buffer = handle ? xencall_alloc_buffer(handle, 1) : NULL;

        if (buffer)
                xencall_free_buffer(handle, buffer);
        if (handle)
                xencall_close(handle);
}

/* Threads here leave signals to the event loop. Programs want theirs, and libxl tells its device model by one to end. */
pid_t xen_context_fork(void) {
        pid_t pid = clean_fork(take_locks, NULL, CLEAN_FORK_MS);
        sigset_t none;

        if (pid == 0) {
                sigemptyset(&none);
                sigprocmask(SIG_SETMASK, &none, NULL);
        }
        return pid;
}

static pid_t on_fork(void *user) {
        return xen_context_fork();
}

int xen_context_new(libxl_ctx **ret_ctx, struct xen_logger **ret_logger, bool has_children) {
        /* Others here wait for their children by pidfd, and libxl must not take those. */
        static const libxl_childproc_hooks hooks = {
                .chldowner = libxl_sigchld_owner_libxl_always_selective_reap,
                .fork_replacement = on_fork,
        };
        struct xen_logger *logger = calloc(1, sizeof *logger);
        int r;

        if (!logger)
                return -ENOMEM;
        logger->vtable = (xentoollog_logger) { .vmessage = on_message, .progress = on_progress, .destroy = on_destroy };
        r = libxl_ctx_alloc(ret_ctx, LIBXL_VERSION, 0, &logger->vtable);
        if (r != 0) {
                free(logger);
                return r == ERROR_NOMEM ? -ENOMEM : -EIO;
        }
        if (has_children)
                libxl_childproc_setmode(*ret_ctx, &hooks, NULL);
        *ret_logger = logger;
        return 0;
}

void xen_context_free(libxl_ctx *ctx, struct xen_logger *logger) {
        libxl_ctx_free(ctx);
        free(logger);
}

void xen_logger_begin(struct xen_logger *logger, char *why) {
        logger->why = why;
        if (why)
                why[0] = '\0';
}
