/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Servers that the service has left behind where it was before: what is asked of their keeper (keeper.h), which may be in another domain. */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "device.h"
#include "idl-errors.h"
#include "log.h"
#include "operation.h"
#include "server-private.h"
#include "store.h"
#include "xen-block.h"

#define PATH "/org/xen/xcp/storage/keeper"
#define INTERFACE "org.xen.xcp.storage1.Keeper"

#define AGAIN_USEC UINT64_C(500000)
#define PATIENCE_USEC UINT64_C(15000000)        /* for a name to come over the bridge; after that its process is taken to be gone */
#define END_USEC UINT64_C(20000000)             /* it kills what does not end in 5 s */

int servers_left_one(struct vdi *vdi, const struct data_path *path, const char *keeper) {
        const char *space = strchr(keeper, ' ');
        struct server *server;
        int r;

        if (!space || !(xen_block_has_device(vdi, path) || (path->state == XCP_DATA_PATH_STATE_ACTIVATED && server_is_kind(path->kind))))
                return -EUCLEAN;
        r = server_new(&server, vdi, path);
        if (r < 0)
                return r;
        server->keeper = strndup(keeper, (size_t) (space - keeper));
        server->word = strdup(space + 1);
        if (server->keeper && server->word)
                return 0;
        server_remove(server);
        return -ENOMEM;
}

void server_left_done(struct server *server) {
        sd_bus_slot_unref(server->wait);
        sd_bus_slot_unref(server->end);
        if (server->end_fd >= 0)
                close(server->end_fd);
        free(server->keeper);
        free(server->word);
}

/* types and what follows: arguments behind the word and the disk. */
static int ask(const struct server *server, const char *member, sd_bus_slot **slot, sd_bus_message_handler_t on_reply, uint64_t timeout_usec,
               const char *types, ...) {
        sd_bus_message *message = NULL;
        sd_bus *bus = server->vdi->sr->storage->bus;
        va_list arguments;
        int r;

        r = sd_bus_message_new_method_call(bus, &message, server->keeper, PATH, INTERFACE, member);
        if (r >= 0)
                r = sd_bus_message_append(message, "ss", server->word, server->vdi->id);
        va_start(arguments, types);
        if (r >= 0)
                r = sd_bus_message_appendv(message, types, arguments);
        va_end(arguments);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, 0);
        if (r >= 0)
                r = sd_bus_call_async(bus, slot, message, on_reply, (void *) server, timeout_usec);
        sd_bus_message_unref(message);
        return r;
}

static bool is_nobody(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) || sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

/* Waiting for its end */

static void wait_for(struct server *server);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        struct server *server = userdata;

        server->timer = sd_event_source_disable_unref(server->timer);
        wait_for(server);
        return 0;
}

static void wait_again(struct server *server) {
        server->timer = sd_event_source_disable_unref(server->timer);
        if (sd_event_add_time_relative(server->vdi->sr->storage->event, &server->timer, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, server) < 0)
                log_event(LOG_ERR, LOG_FIELDS({"XCP_VDI", server->vdi->id}), "Out of memory: nobody hears of the end of what serves the disk");
}

static void stop_ender(struct server *server) {
        if (server->end_fd >= 0)
                close(server->end_fd);
        server->end_fd = -1;
}

/* It has ended, or the process that kept it has, with which it ends, or lets go of the disk with its front-end. */
static void take_its_place(struct server *server, bool is_known) {
        struct vdi *vdi = vdi_ref(server->vdi);

        log_event(LOG_INFO, LOG_FIELDS({"XCP_VDI", vdi->id}, {"XCP_READER", server->path.reader}), "%s",
                  is_known ? "What served the disk where the service was before has ended" : "Nobody keeps what served the disk where the service was before");
        if (server->ender) {                    /* which removes it */
                server->is_ending = true;
                server->end_r = 0;
                stop_ender(server);
                vdi_unref(vdi);
                return;
        }
        store_set_data_path(vdi, &server->path, "");    /* without a keeper. If it fails, the keeper is asked after a restart, and is not there */
        server_remove(server);
        servers_settle(vdi);
        vdi_unref(vdi);
}

static int on_waited(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct server *server = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        server->wait = sd_bus_slot_unref(server->wait);
        if (error && !is_nobody(error))         /* it was there, and went while it was asked */
                server->patient_until_usec = 0;
        if (error && !(is_nobody(error) && clock_now_usec(CLOCK_MONOTONIC) >= server->patient_until_usec))
                wait_again(server);
        else
                take_its_place(server, !error);
        return 0;
}

static void wait_for(struct server *server) {
        if (!server->wait && ask(server, "Wait", &server->wait, on_waited, UINT64_MAX, "s", server->path.reader) < 0)
                wait_again(server);
}

void servers_left_watch(struct storage *storage) {
        uint64_t patience = service_took_over(storage->service) ? PATIENCE_USEC : 0;

        for (struct server *server = storage->servers; server; server = server->next)
                if (server->keeper && !server->wait) {
                        server->patient_until_usec = clock_now_usec(CLOCK_MONOTONIC) + patience;
                        if (!server_is_device(server))  /* which goes by Detach only */
                                wait_for(server);
                }
}

/* Having it end */

/* The service has come home: the link to the device is where it was. */
static bool is_link_here(const struct server *server) {
        struct stat st;

        return lstat(server->socket_path, &st) == 0 && S_ISLNK(st.st_mode);
}

static int on_ended(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct server *server = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        server->end = sd_bus_slot_unref(server->end);
        if (server_is_device(server)) {
                if (!error || !is_nobody(error))        /* it was there: when it is not, it has gone */
                        server->patient_until_usec = 0;
                server->is_keeper_gone = error && is_nobody(error) && clock_now_usec(CLOCK_MONOTONIC) >= server->patient_until_usec;
                server->end_r = error && !is_link_here(server) ? -EHOSTUNREACH : 0;
        } else
                server->end_r = error && !is_nobody(error) ? -EHOSTUNREACH : 0;
        stop_ender(server);
        return 0;
}

int server_left_end(struct server *server, struct operation *operation) {
        bool ends = !server_is_device(server) || operation->wish.is_detaching;
        const struct data_path *path = data_paths_find(&server->vdi->paths, server->path.reader);
        int fds[2], r;

        if (!ends && !(path && path->state == XCP_DATA_PATH_STATE_ACTIVATED)) {         /* Deactivate has been before */
                server->end_r = 0;
                return 0;
        }
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        if (operation->wish.fd >= 0)
                close(operation->wish.fd);
        operation->wish.fd = fds[0];
        stop_ender(server);
        server->end_fd = fds[1];
        server->end_r = -EHOSTUNREACH;          /* until it has said so */
        server->is_ending = ends;
        server->end = sd_bus_slot_unref(server->end);
        r = ask(server, ends ? "End" : "Sync", &server->end, on_ended, END_USEC, "s", server->path.reader);
        if (r < 0)
                return r;
        plan_io(&operation->plan, "wait until the disk is not served any more where the service was before", 0, "wait-end", NULL)->fd = fds[0];
        return 0;
}

int server_check_ended(const struct vdi *vdi, const char *reader, struct idl_error *error) {
        const struct server *server = server_find(vdi, reader);

        if (!server || !server->keeper || !server->ender || server->end_r >= 0)
                return 0;
        if (!server_is_device(server))
                return idl_error_set_unreachable(error, "keeper", server->keeper, "it has not ended what serves the disk there");
        return idl_error_set_unreachable(error, "keeper", server->keeper,
                                         server->is_keeper_gone ? "it is gone, and the loop device before the disk may be there still, not written out"
                                                                : "it has not written out the disk, or not taken away the loop device before it");
}

/* Coming anew */

static struct server *find_device(const struct vdi *vdi, const char *reader) {
        struct server *server = server_find(vdi, reader);

        return server && server->keeper && server_is_device(server) ? server : NULL;
}

int server_left_check_attach(const struct vdi *vdi, const char *reader, struct idl_error *error) {
        const struct server *server = find_device(vdi, reader);

        return server && !server->is_keeper_gone && !is_link_here(server) ? idl_error_set_busy(error, "VDI", vdi->id, server->keeper) : 0;
}

int server_left_attached(const struct vdi *vdi, const char *reader) {
        struct server *server = find_device(vdi, reader);
        int r;

        if (!server || !server->is_keeper_gone)
                return 0;
        r = store_set_keeper(vdi->sr->storage, vdi->id, reader, "");
        if (r < 0)
                return r;
        log_event(LOG_WARNING, LOG_FIELDS({"XCP_VDI", vdi->id}, {"XCP_READER", reader}),
                  "The loop device that was before the disk %s where the service was is forgotten: %s is gone", vdi->name, server->keeper);
        server_remove(server);
        return 0;
}

int server_left_keeper(const struct vdi *vdi, const char *reader, char **ret_keeper) {
        const struct server *server = find_device(vdi, reader);

        *ret_keeper = NULL;
        if (server && asprintf(ret_keeper, "%s %s", server->keeper, server->word) < 0) {
                *ret_keeper = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* Telling it */

static int on_told(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        if (error)
                log_event(LOG_WARNING, NULL, "What serves a disk where the service was before cannot be told of a change: %s", error->message ?: error->name);
        return 0;
}

void server_left_tell_size(struct server *server) {
        ask(server, "Resize", NULL, on_told, END_USEC, "t", server->vdi->size);
}

void server_left_tell_limits(struct server *server) {
        ask(server, "Limit", NULL, on_told, END_USEC, "tt", server->vdi->iops_limit, server->vdi->rate_limit);
}
