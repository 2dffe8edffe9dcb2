/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Keepers: the object on the bus, and what becomes of servers when their service leaves. */

#include "keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-id128.h>

#include "cleanup.h"
#include "device.h"
#include "idl-errors.h"
#include "log.h"
#include "server-command.h"
#include "server-private.h"
#include "storage1-keeper.h"
#include "store.h"

#define PATH "/org/xen/xcp/storage/keeper"

struct keeper {
        struct storage *storage;
        sd_bus *bus;
        char *text;
        const char *word;                       /* the end of text */
        bool stays;
};

struct waiter {
        struct waiter *next;
        struct idl_call *call;
        int (*reply)(struct idl_call *call);
};

/* Who waits */

void waiters_free(struct waiter *waiters) {
        while (waiters) {
                struct waiter *waiter = waiters;

                waiters = waiter->next;
                idl_call_unref(waiter->call);
                free(waiter);
        }
}

void waiters_answer(struct waiter *waiters) {
        for (struct waiter *waiter = waiters; waiter; waiter = waiter->next)
                waiter->reply(waiter->call);
        waiters_free(waiters);
}

void waiters_fail(struct waiter *waiters, const char *reason) {
        for (struct waiter *waiter = waiters; waiter; waiter = waiter->next) {
                AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

                idl_error_set_backend_failed(&error, "xcp-storage-io", "write out a disk that is kept, or let go of it", reason);
                idl_call_fail(waiter->call, &error);
        }
        waiters_free(waiters);
}

static int add_waiter(struct server *server, struct idl_call *call, int (*reply)(struct idl_call *call)) {
        struct waiter *waiter = malloc(sizeof *waiter);

        if (!waiter)
                return -ENOMEM;
        *waiter = (struct waiter) { .next = server->waiters, .call = idl_call_ref(call), .reply = reply };
        server->waiters = waiter;
        return 0;
}

/* The object */

static int check_word(const struct keeper *keeper, const char *word, struct idl_error *error) {
        return strcmp(word, keeper->word) == 0 ? 0 : idl_error_set_invalid_argument(error, "word", "", "is not what the state says that was handed over");
}

static struct vdi *find_vdi(const struct keeper *keeper, const char *id) {
        struct uuid uuid;

        return uuid_parse(id, &uuid) >= 0 ? vdi_find(keeper->storage, &uuid) : NULL;
}

/* NULL: there is none, any more. */
static int find(const struct keeper *keeper, const char *word, const char *id, const char *reader, struct server **ret_server,
                struct idl_error *error) {
        const struct vdi *vdi = find_vdi(keeper, id);
        int r;

        r = check_word(keeper, word, error);
        if (r < 0)
                return r;
        *ret_server = vdi ? server_find(vdi, reader) : NULL;
        return 0;
}

static int on_wait(void *object, struct idl_call *call, const char *word, const char *vdi, const char *reader, struct idl_error *error) {
        struct server *server;
        int r;

        r = find(object, word, vdi, reader, &server, error);
        if (r < 0)
                return r;
        return server ? add_waiter(server, call, storage1_keeper_reply_wait) : storage1_keeper_reply_wait(call);
}

static int on_end(void *object, struct idl_call *call, const char *word, const char *vdi, const char *reader, struct idl_error *error) {
        struct server *server;
        int r;

        r = find(object, word, vdi, reader, &server, error);
        if (r < 0)
                return r;
        if (!server)
                return storage1_keeper_reply_end(call);
        r = add_waiter(server, call, storage1_keeper_reply_end);
        if (r >= 0)
                (server_is_device(server) ? device_end : server_begin_to_end)(server);
        return r;
}

static int on_sync(void *object, struct idl_call *call, const char *word, const char *vdi, const char *reader, struct idl_error *error) {
        struct server *server;
        int r;

        r = find(object, word, vdi, reader, &server, error);
        if (r < 0)
                return r;
        if (!server || !server_is_device(server))
                return storage1_keeper_reply_sync(call);
        r = add_waiter(server, call, storage1_keeper_reply_sync);
        if (r >= 0)
                device_sync(server);
        return r;
}

static int find_told(const struct keeper *keeper, const char *word, const char *id, struct vdi **ret_vdi, struct idl_error *error) {
        struct vdi *vdi = find_vdi(keeper, id);
        int r;

        r = check_word(keeper, word, error);
        if (r < 0)
                return r;
        if (!vdi)
                return idl_error_set_does_not_exist(error, "VDI", id);
        *ret_vdi = vdi;
        return 0;
}

static void tell_all(const struct vdi *vdi, void (*how)(struct server *server)) {
        for (struct server *server = vdi->sr->storage->servers; server; server = server->next)
                if (server->vdi == vdi)
                        how(server);
}

static int on_resize(void *object, struct idl_call *call, const char *word, const char *id, uint64_t size, struct idl_error *error) {
        struct vdi *vdi;
        int r;

        r = find_told(object, word, id, &vdi, error);
        if (r < 0)
                return r;
        vdi->size = size;
        tell_all(vdi, server_tell_size);
        return storage1_keeper_reply_resize(call);
}

static int on_limit(void *object, struct idl_call *call, const char *word, const char *id, uint64_t iops, uint64_t rate, struct idl_error *error) {
        struct vdi *vdi;
        int r;

        r = find_told(object, word, id, &vdi, error);
        if (r < 0)
                return r;
        vdi->iops_limit = iops;
        vdi->rate_limit = rate;
        tell_all(vdi, server_tell_limits);
        return storage1_keeper_reply_limit(call);
}

static const struct storage1_keeper_handlers handlers = {
        .wait = on_wait,
        .end = on_end,
        .sync = on_sync,
        .resize = on_resize,
        .limit = on_limit,
};

static int make_text(struct keeper *keeper, const char *service_name, char **ret_name) {
        sd_id128_t name, word;
        int r;

        r = sd_id128_randomize(&name);
        if (r >= 0)
                r = sd_id128_randomize(&word);
        if (r < 0)
                return r;
        if (asprintf(ret_name, "%s.keeper.x" SD_ID128_FORMAT_STR, service_name, SD_ID128_FORMAT_VAL(name)) < 0) {
                *ret_name = NULL;
                return -ENOMEM;
        }
        if (asprintf(&keeper->text, "%s " SD_ID128_FORMAT_STR, *ret_name, SD_ID128_FORMAT_VAL(word)) < 0) {
                keeper->text = NULL;
                return -ENOMEM;
        }
        keeper->word = strchr(keeper->text, ' ') + 1;
        return 0;
}

int keeper_new(struct keeper **ret_keeper, struct storage *storage) {
        struct keeper *keeper = calloc(1, sizeof *keeper);
        AUTO_FREE char *name = NULL;
        int r;

        if (!keeper)
                return -ENOMEM;
        keeper->storage = storage;
        r = make_text(keeper, service_bus_name(storage->service), &name);
        if (r >= 0)
                r = service_connect(storage->service, &keeper->bus);
        if (r >= 0)
                r = sd_bus_attach_event(keeper->bus, storage->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = storage1_keeper_export(keeper->bus, NULL, PATH, &handlers, keeper);
        if (r >= 0)
                r = sd_bus_request_name(keeper->bus, name, 0);
        if (r < 0) {
                keeper_free(keeper);
                return r;
        }
        *ret_keeper = keeper;
        return 0;
}

struct keeper *keeper_free(struct keeper *keeper) {
        if (!keeper)
                return NULL;
        sd_bus_flush_close_unref(keeper->bus);
        free(keeper->text);
        free(keeper);
        return NULL;
}

const char *keeper_text(const struct keeper *keeper) {
        return keeper->text;
}

bool keeper_stays(struct keeper *keeper) {
        size_t n = 0;

        for (const struct server *server = keeper->storage->servers; server; server = server->next)
                n++;
        if (n > 0)
                log_event(LOG_INFO, NULL, "What serves %zu disks that are used is kept here until whoever uses them lets go", n);
        keeper->stays = n > 0;
        return keeper->stays;
}

void keeper_look(struct keeper *keeper) {
        if (keeper && keeper->stays && !keeper->storage->servers)
                sd_event_exit(keeper->storage->event, EXIT_SUCCESS);
}

/* Leaving */

/* If nobody can look whether it is used, too: it would stay for ever. */
static void end(struct server *server, int r) {
        server_begin_to_end(server);
}

static void leave(struct server *server) {
        static const char command[] = "stay\n";

        server->is_leaving = true;
        if (server->is_ending || (server_is_device(server) && !server->keeper))
                return;
        server->timer = sd_event_source_disable_unref(server->timer);
        if (!server->child || server->stands_by) {      /* another's, or it was about to be started again, or to begin, of which it would not be told */
                server_remove(server);
                return;
        }
        server_stop_listening(server);          /* who connects from now on connects to the service where it is then */
        if (!server_is_ours(server->vdi, &server->path))
                server_when_unconnected(server, end);
        else if (server->control_fd >= 0 && write(server->control_fd, command, sizeof command - 1) != sizeof command - 1)
                log_event(LOG_WARNING, LOG_FIELDS({"XCP_VDI", server->vdi->id}), "What serves the disk cannot be told to stay");
}

/* Those that there are here, and that are not another keeper's already. */
static bool is_here(const struct server *server) {
        return server->child && !server->keeper && !server->is_ending && !server->stands_by;
}

bool servers_are_here(const struct storage *storage) {
        for (const struct server *server = storage->servers; server; server = server->next)
                if (is_here(server))
                        return true;
        return devices_are_here(storage);
}

int servers_keep(struct storage *storage, const char *keeper) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        int r;

        r = database_begin(storage->db, &transaction);
        for (const struct server *server = storage->servers; r >= 0 && server; server = server->next)
                if (is_here(server))
                        r = store_set_keeper(storage, server->vdi->id, server->path.reader, keeper);
        if (r >= 0)
                r = devices_keep(storage, keeper);
        return r < 0 ? r : database_commit(&transaction);
}

void servers_leave(struct storage *storage) {
        devices_leave(storage);                 /* while those that another keeper has are known */
        for (struct server *server = storage->servers, *next; server; server = next) {
                next = server->next;
                leave(server);
        }
}
