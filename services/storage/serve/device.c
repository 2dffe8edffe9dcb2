/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "device.h"

#include <errno.h>

#include "keeper.h"
#include "log.h"
#include "plan.h"
#include "store.h"
#include "xen-block.h"

bool server_is_device(const struct server *server) {
        return xen_block_has_device(server->vdi, &server->path);
}

/* Leaving */

static bool is_here(const struct vdi *vdi, const struct data_path *path) {
        return xen_block_has_device(vdi, path) && !server_find(vdi, path->reader);
}

/* Each that is here. Ends with what do_it() returns when that is not 0. */
static int for_each(const struct storage *storage, int (*do_it)(struct vdi *vdi, const struct data_path *path, const char *keeper), const char *keeper) {
        int r = 0;

        for (const struct sr *sr = storage->srs; sr; sr = sr->next)
                for (struct vdi *vdi = sr->first; vdi; vdi = vdi->next)
                        for (size_t i = 0; r == 0 && i < vdi->paths.n; i++)
                                if (is_here(vdi, &vdi->paths.items[i]))
                                        r = do_it(vdi, &vdi->paths.items[i], keeper);
        return r;
}

static int find_it(struct vdi *vdi, const struct data_path *path, const char *keeper) {
        return 1;
}

bool devices_are_here(const struct storage *storage) {
        return for_each(storage, find_it, NULL) > 0;
}

static int keep_it(struct vdi *vdi, const struct data_path *path, const char *keeper) {
        int r = store_set_keeper(vdi->sr->storage, vdi->id, path->reader, keeper);

        return r < 0 ? r : 0;
}

int devices_keep(struct storage *storage, const char *keeper) {
        return for_each(storage, keep_it, keeper);
}

static int leave_it(struct vdi *vdi, const struct data_path *path, const char *keeper) {
        struct server *server;
        int r;

        r = server_new(&server, vdi, path);
        if (r >= 0)
                server->is_leaving = true;
        else
                log_event(LOG_ERR, LOG_FIELDS({"XCP_VDI", vdi->id}, {"XCP_READER", path->reader}),
                          "Nobody keeps the loop device before the disk %s: %s", vdi->name, strerrordesc_np(-r));
        return 0;
}

void devices_leave(struct storage *storage) {
        if (storage->keeper)
                for_each(storage, leave_it, NULL);
}

/* Keeping: one thing at a time is done to a device, by a child. */

static void go_on(struct server *server);

static void on_end(const struct child_end *end, void *userdata) {
        struct server *server = userdata;
        char words[CHILD_WORDS_MAX + 64];
        enum device_work work = server->work;
        bool good = child_end_good(end);

        child_end_describe(end, words, sizeof words);
        server->child = child_free(server->child);
        server->work = DEVICE_NOTHING;
        if (!good)
                log_event(LOG_ERR, LOG_FIELDS({"XCP_VDI", server->vdi->id}, {"XCP_READER", server->path.reader}),
                          "What works on the loop device before the disk %s %s", server->vdi->name, words);
        if (work == DEVICE_END && good) {
                server_remove(server);
                return;
        }
        if (work == DEVICE_END)
                server->is_ending = false;
        if (work != DEVICE_RESIZE && !server->is_ending) {      /* else who waits is told at the end */
                struct waiter *waiters = server->waiters;

                server->waiters = NULL;
                if (good)
                        waiters_answer(waiters);
                else
                        waiters_fail(waiters, words);
        }
        go_on(server);
}

static const struct child_listener listener = { .end = on_end };

static enum device_work next_work(const struct server *server) {
        if (server->is_stale)
                return DEVICE_RESIZE;
        if (server->is_ending)
                return DEVICE_END;
        return server->waiters ? DEVICE_SYNC : DEVICE_NOTHING;
}

static int start(struct server *server) {
        struct storage *storage = server->vdi->sr->storage;
        struct idl_arena arena = {};
        struct plan plan = { .arena = &arena, .io_program = storage->io_program };
        struct child_spec spec = {};
        int r;

        if (server->vdi->sr->state != XCP_SR_STATE_ATTACHED)
                return -EHOSTUNREACH;
        switch (server->work) {
        case DEVICE_RESIZE:
                xen_block_resize(&plan, server->vdi, &server->path, server->vdi->size);
                break;
        case DEVICE_END:
                xen_block_detach(&plan, server->vdi, &server->path);
                break;
        default:
                server->vdi->sr->driver->sync(&plan, server->vdi);
                break;
        }
        r = plan.r;
        if (r >= 0 && plan.n_steps == 0)
                r = -EOPNOTSUPP;
        if (r >= 0) {
                spec.argv = plan.steps[0].argv;
                r = child_start(&server->child, storage->event, &spec, &listener, server);
        }
        idl_arena_done(&arena);
        return r;
}

static void go_on(struct server *server) {
        struct waiter *waiters = server->waiters;
        int r;

        if (server->child)
                return;
        server->work = next_work(server);
        if (server->work == DEVICE_NOTHING)
                return;
        server->is_stale = false;
        r = start(server);
        if (r >= 0)
                return;
        server->work = DEVICE_NOTHING;
        server->is_ending = false;
        server->waiters = NULL;
        waiters_fail(waiters, strerrordesc_np(-r));
}

void device_end(struct server *server) {
        server->is_ending = true;
        go_on(server);
}

void device_sync(struct server *server) {
        go_on(server);
}

void device_tell_size(struct server *server) {
        server->is_stale = true;
        go_on(server);
}
