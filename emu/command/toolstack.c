/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a toolstack writes into the store; see toolstack.h. */

#include "toolstack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#define TOOLSTACK_PATH_MAX 256

static void close_store(struct xs_handle **xs) {
        if (*xs)
                xs_close(*xs);
}

#define STORE __attribute__((cleanup(close_store))) struct xs_handle

static int open_store(const char *run_dir, struct xs_handle **ret_xs) {
        char *path;

        if (asprintf(&path, "%s/dom0/xenbus", run_dir) < 0)
                return -ENOMEM;
        setenv("XENSTORED_PATH", path, 1);
        free(path);

        *ret_xs = xs_open(0);
        return *ret_xs ? 0 : -errno;
}

static int write_node(struct xs_handle *xs, xs_transaction_t t, const char *path, const char *value) {
        return xs_write(xs, t, path, value, strlen(value)) ? 0 : -errno;
}

/* Makes an empty node that owner owns; reader, if not 0, may read it. */
static int make_node(struct xs_handle *xs, xs_transaction_t t, const char *path, uint32_t owner, uint32_t reader) {
        struct xs_permissions permissions[] = {
                { .id = owner, .perms = XS_PERM_NONE },
                { .id = reader, .perms = XS_PERM_READ },
        };

        if (!xs_mkdir(xs, t, path) || !xs_set_permissions(xs, t, path, permissions, reader != 0 ? 2 : 1))
                return -errno;
        return 0;
}

/* In a transaction, so that two domains never get one name. */
static int find_name(struct xs_handle *xs, xs_transaction_t t, const char *name, uint32_t *ret_domid) {
        char path[TOOLSTACK_PATH_MAX], **domids, *found;
        unsigned int n, length;
        int r = -ESRCH;

        domids = xs_directory(xs, t, "/local/domain", &n);
        if (!domids)
                return -errno;

        for (unsigned int i = 0; i < n && r == -ESRCH; i++) {
                snprintf(path, sizeof path, "/local/domain/%s/name", domids[i]);
                found = xs_read(xs, t, path, &length);
                if (found && strcmp(found, name) == 0) {
                        *ret_domid = strtoul(domids[i], NULL, 10);
                        r = 0;
                }
                free(found);
        }
        free(domids);
        return r;
}

struct description {
        uint32_t domid;
        uint32_t store_port;
        const char *name;
        const char *uuid;
};

static int describe_guest(struct xs_handle *xs, xs_transaction_t t, const struct description *d) {
        /* libxl_create.c: ro_paths and rw_paths, without what only a guest with a real kernel would write. */
        static const char *const read_only[] = { "/cpu", "/memory", "/device", "/control", "/store" };
        static const char *const read_write[] = { "/control/shutdown", "/data", "/attr", "/drivers" };
        char base[TOOLSTACK_PATH_MAX], path[TOOLSTACK_PATH_MAX + 32], vm[TOOLSTACK_PATH_MAX], number[16];
        uint32_t other;
        int r;

        r = find_name(xs, t, d->name, &other);
        if (r != -ESRCH)
                return r == 0 ? -EEXIST : r;

        snprintf(base, sizeof base, "/local/domain/%u", d->domid);
        snprintf(vm, sizeof vm, "/vm/%s", d->uuid);

        r = make_node(xs, t, base, 0, d->domid);
        if (r == 0)
                r = make_node(xs, t, vm, 0, d->domid);
        for (size_t i = 0; r == 0 && i < sizeof read_only / sizeof read_only[0]; i++) {
                snprintf(path, sizeof path, "%s%s", base, read_only[i]);
                r = make_node(xs, t, path, 0, d->domid);
        }
        for (size_t i = 0; r == 0 && i < sizeof read_write / sizeof read_write[0]; i++) {
                snprintf(path, sizeof path, "%s%s", base, read_write[i]);
                r = make_node(xs, t, path, d->domid, 0);
        }

        const struct {
                const char *base, *node, *value;
        } values[] = {
                { base, "name", d->name },
                { base, "vm", vm },
                { base, "domid", (snprintf(number, sizeof number, "%u", d->domid), number) },
                { vm, "name", d->name },
                { vm, "uuid", d->uuid },
        };

        for (size_t i = 0; r == 0 && i < sizeof values / sizeof values[0]; i++) {
                snprintf(path, sizeof path, "%s/%s", values[i].base, values[i].node);
                r = write_node(xs, t, path, values[i].value);
        }
        if (r == 0) {
                snprintf(path, sizeof path, "%s/store/port", base);
                snprintf(number, sizeof number, "%u", d->store_port);
                r = write_node(xs, t, path, number);
        }
        return r;
}

/* Runs describe in a transaction until it is not disturbed by others. */
static int in_transaction(struct xs_handle *xs, int (*describe)(struct xs_handle *xs, xs_transaction_t t, const struct description *d),
                          const struct description *d) {
        for (;;) {
                xs_transaction_t t = xs_transaction_start(xs);
                int r;

                if (t == XBT_NULL)
                        return -errno;
                r = describe(xs, t, d);
                if (r < 0) {
                        xs_transaction_end(xs, t, true);
                        return r;
                }
                if (xs_transaction_end(xs, t, false))
                        return 0;
                if (errno != EAGAIN)
                        return -errno;
        }
}

static int describe_first(struct xs_handle *xs, xs_transaction_t t, const struct description *d) {
        int r;

        r = write_node(xs, t, "/local/domain/0/name", d->name);
        if (r == 0)
                r = write_node(xs, t, "/local/domain/0/domid", "0");
        return r;
}

int toolstack_describe_first(const char *run_dir) {
        const struct description d = { .name = "Domain-0" };
        STORE *xs = NULL;
        int r;

        r = open_store(run_dir, &xs);
        return r < 0 ? r : in_transaction(xs, describe_first, &d);
}

int toolstack_introduce(const char *run_dir, uint32_t domid, uint32_t store_port, const char *name, const char *uuid) {
        const struct description d = { .domid = domid, .store_port = store_port, .name = name, .uuid = uuid };
        STORE *xs = NULL;
        int r;

        r = open_store(run_dir, &xs);
        if (r < 0)
                return r;

        r = in_transaction(xs, describe_guest, &d);
        if (r < 0)
                return r;

        /* The frame number is a thing of the past: xenstored maps the reserved grant reference. */
        return xs_introduce_domain(xs, domid, 0, store_port) ? 0 : -errno;
}

int toolstack_forget(const char *run_dir, uint32_t domid) {
        char path[TOOLSTACK_PATH_MAX], *vm;
        STORE *xs = NULL;
        unsigned int n;
        int r;

        r = open_store(run_dir, &xs);
        if (r < 0)
                return r;

        (void) xs_release_domain(xs, domid);    /* xenstored has mostly noticed by itself */

        snprintf(path, sizeof path, "/local/domain/%u/vm", domid);
        vm = xs_read(xs, XBT_NULL, path, &n);
        if (vm)
                (void) xs_rm(xs, XBT_NULL, vm);
        free(vm);

        snprintf(path, sizeof path, "/local/domain/%u", domid);
        return xs_rm(xs, XBT_NULL, path) || errno == ENOENT ? 0 : -errno;
}

int toolstack_find(const char *run_dir, const char *name, uint32_t *ret_domid) {
        STORE *xs = NULL;
        int r;

        r = open_store(run_dir, &xs);
        return r < 0 ? r : find_name(xs, XBT_NULL, name, ret_domid);
}

char *toolstack_name(const char *run_dir, uint32_t domid) {
        char path[TOOLSTACK_PATH_MAX];
        STORE *xs = NULL;
        unsigned int n;

        if (open_store(run_dir, &xs) < 0)
                return NULL;
        snprintf(path, sizeof path, "/local/domain/%u/name", domid);
        return xs_read(xs, XBT_NULL, path, &n);
}
