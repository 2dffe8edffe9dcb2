/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "action.h"
#include "cleanup.h"
#include "console.h"
#include "lateness.h"
#include "log.h"
#include "nearby.h"
#include "recovery.h"
#include "screen.h"
#include "status.h"
#include "store-watch.h"

#define CONFIG_SIZE_MAX (256u * 1024)   /* as libxl writes one; a thousandth of that is usual */
#define UUID_LENGTH 36u
#define ATTRIBUTES_MS 200u

void xen_guest_tell(struct xen_guest *guest, enum hypervisor_event event, const char *detail) {
        guest->xen->host.on_event(guest->userdata, event, detail);
}

/* Files */

int xen_guest_save(struct xen_guest *guest, const struct xen_facts *facts, struct idl_error *error) {
        int r;

        r = xen_facts_save(facts, guest->xen->boot_id, guest->xen->directory_fd, guest->uuid);
        if (r == -ENOSPC || r == -EDQUOT)
                return idl_error_set_not_enough_space(error, FACTS_SIZE_MAX, 0);
        if (r < 0)
                return idl_error_set_backend_failed(error, "xen", "write down what its guest is", strerrordesc_np(-r) ?: "unknown error");
        if (facts != &guest->facts)
                guest->facts = *facts;
        return 0;
}

static void name_config(const char *uuid, char *ret_name) {
        snprintf(ret_name, GUEST_FILE_SIZE, "%.*s.config", (int) UUID_LENGTH, uuid);
}

int xen_guest_save_config(struct xen_guest *guest, const char *json) {
        char name[GUEST_FILE_SIZE];

        name_config(guest->uuid, name);
        return xen_facts_write_file(guest->xen->directory_fd, name, json, strlen(json));
}

int xen_guest_load_config(const struct xen_guest *guest, char **ret_json) {
        AUTO_FREE char *json = NULL;
        AUTO_CLOSE int fd = -1;
        char name[GUEST_FILE_SIZE];
        ssize_t n;

        name_config(guest->uuid, name);
        fd = openat(guest->xen->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        json = malloc(CONFIG_SIZE_MAX);
        if (!json)
                return -ENOMEM;
        n = read(fd, json, CONFIG_SIZE_MAX - 1);
        if (n < 0)
                return -errno;
        json[n] = '\0';
        *ret_json = json;
        json = NULL;
        return 0;
}

static void remove_files(const struct xen *xen, const char *uuid) {
        char name[GUEST_FILE_SIZE];

        name_config(uuid, name);
        unlinkat(xen->directory_fd, name, 0);
        snprintf(name, sizeof name, "%s" GUEST_SCREEN_SUFFIX, uuid);
        unlinkat(xen->directory_fd, name, 0);
        if (unlinkat(xen->directory_fd, uuid, 0) < 0 && errno != ENOENT)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", uuid }), "Cannot remove the file of Xen's guest %s: %s", uuid,
                          strerrordesc_np(errno));
}

/* Its domain */

static void on_domain(void *userdata, int reason) {
        struct xen_guest *guest = userdata;
        enum hypervisor_event event = xen_status_event(reason);

        if (event == HYPERVISOR_NO_EVENT) {
                xen_lateness_hear(guest);
                return;
        }
        if (guest->is_end_known && event != HYPERVISOR_EXITED)
                return;
        if (!xen_actions_hear(guest))
                xen_guest_tell(guest, event, xen_status_detail(event));
}

static int on_attributes_time(sd_event_source *source, uint64_t usec, void *userdata) {
        struct xen_guest *guest = userdata;

        guest->attributes_timer = sd_event_source_disable_unref(guest->attributes_timer);
        xen_guest_tell(guest, HYPERVISOR_CHANGED, "");
        return 0;
}

/* A guest may write as often as it likes, and is asked about no more often than this. */
static void on_attributes(void *userdata) {
        struct xen_guest *guest = userdata;

        if (!guest->attributes_timer)
                (void) sd_event_add_time_relative(guest->xen->host.event, &guest->attributes_timer, CLOCK_MONOTONIC,
                                                  ATTRIBUTES_MS * UINT64_C(1000), 0, on_attributes_time, guest);
}

void xen_guest_leave_domain(struct xen_guest *guest) {
        guest->domain = xen_loop_domain_free(guest->domain);
        guest->attributes = store_node_free(guest->attributes);
        guest->cpus = store_node_free(guest->cpus);
        guest->neighbours = nearby_listener_free(guest->neighbours);
        guest->attributes_timer = sd_event_source_disable_unref(guest->attributes_timer);
        if (guest->console)
                console_relay_leave(guest->console);
}

int xen_guest_watch_neighbours(struct xen_guest *guest) {
        bool has_network = guest->facts.is_adopted;     /* then nobody knows */

        for (size_t i = 0; i < guest->facts.n_devices; i++)
                has_network |= !guest->facts.devices[i].is_disk;
        if (!has_network || guest->neighbours)
                return 0;
        return nearby_listener_new(&guest->neighbours, guest->xen->nearby, on_attributes, guest);
}

void xen_guest_take_domain(struct xen_guest *guest, uint32_t domid) {
        char path[64];
        int r;

        xen_guest_leave_domain(guest);
        guest->facts.domid = domid;
        guest->is_end_known = false;
        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/attr", domid);
        r = xen_loop_domain_new(&guest->domain, guest->xen->loop, domid, on_domain, guest);
        if (r >= 0)
                r = store_node_new(&guest->attributes, guest->xen->watch, path, on_attributes, guest);
        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/cpu", domid);
        if (r >= 0)
                r = store_node_new(&guest->cpus, guest->xen->watch, path, on_attributes, guest);
        if (r >= 0)
                r = xen_guest_watch_neighbours(guest);
        if (r >= 0 && guest->console)
                r = console_relay_follow(guest->console, domid);
        if (r < 0)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_VM", guest->uuid }), "Cannot watch domain %" PRIu32 ": %s", domid,
                          strerrordesc_np(-r) ?: "unknown error");
}

void xen_guest_forget(struct xen_guest *guest) {
        xen_guest_leave_domain(guest);
        guest->console = console_relay_free(guest->console);
        remove_files(guest->xen, guest->uuid);
        guest->facts = (struct xen_facts) { .phase = FACTS_NONE, .domid = FACTS_NO_DOMAIN, .other = FACTS_NO_DOMAIN };
}

int xen_guest_connect_console(void *userdata, const char *name, int *ret_fd) {
        struct xen_guest *guest = userdata;
        struct console_relay *console;
        int r;

        if (strcmp(name, SCREEN_NAME) == 0)
                return xen_screen_connect(guest, ret_fd);
        r = console_relay_new(&console, guest->xen->host.event, guest->xen->watch, ret_fd);
        if (r < 0)
                return r;
        console_relay_free(guest->console);
        guest->console = console;
        if (guest->facts.domid == FACTS_NO_DOMAIN)
                return 0;
        r = console_relay_follow(console, guest->facts.domid);
        if (r < 0)
                close(*ret_fd);
        return r;
}

/* All of it */

int xen_guest_new(void *backend, const char *uuid, void *userdata, void **ret_guest) {
        struct xen *xen = backend;
        struct xen_guest *guest = malloc(sizeof *guest);
        int r;

        if (!guest)
                return -ENOMEM;
        *guest = (struct xen_guest) { .xen = xen, .userdata = userdata,
                                      .facts = { .phase = FACTS_NONE, .domid = FACTS_NO_DOMAIN, .other = FACTS_NO_DOMAIN } };
        snprintf(guest->uuid, sizeof guest->uuid, "%s", uuid);
        r = xen_facts_load(&guest->facts, xen->boot_id, xen->directory_fd, uuid);
        if (r == -ESTALE || r == -EBADMSG) {
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", uuid }), "The guest of %s is gone: %s", uuid,
                          r == -ESTALE ? "it ran before the host was booted" : "its file is damaged");
                remove_files(xen, uuid);
                r = -ENOENT;
        }
        if (r >= 0 || r == -ENOENT)
                r = xen_recovery_begin(guest);
        if (r < 0) {
                xen_guest_free(guest);
                return r;
        }
        *ret_guest = guest;
        return 0;
}

void xen_guest_free(void *userdata) {
        struct xen_guest *guest = userdata;

        xen_actions_drop(guest);
        xen_guest_leave_domain(guest);
        console_relay_free(guest->console);
        free(guest);
}

/* Guests of nobody */

static void sweep_one(struct xen *xen, libxl_ctx *ctx, const char *uuid) {
        struct domain_id id = { .domid = FACTS_NO_DOMAIN, .other = FACTS_NO_DOMAIN };
        struct xen_facts facts;

        snprintf(id.uuid, sizeof id.uuid, "%s", uuid);
        if (xen_facts_load(&facts, xen->boot_id, xen->directory_fd, uuid) >= 0) {
                id.domid = facts.domid;
                id.other = facts.other;
                if (!facts.is_adopted && xen_domain_remove(ctx, &id) != 0) {
                        log_event(LOG_ERR, LOG_FIELDS({ "XCP_VM", uuid }), "Cannot destroy the domain of %s, which is no VM", uuid);
                        return;
                }
        }
        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", uuid }), "Took away the guest of %s, which is no VM", uuid);
        remove_files(xen, uuid);
}

int xen_guest_sweep(void *backend, bool (*is_known)(void *userdata, const char *uuid), void *userdata) {
        struct xen *xen = backend;
        int fd = xen->reason ? -1 : openat(xen->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct xen_logger *logger;
        struct dirent *entry;
        libxl_ctx *ctx;
        int r;

        if (xen->reason)                /* then there is none */
                return 0;
        if (!dir) {
                r = -errno;
                if (fd >= 0)
                        close(fd);
                return r;
        }
        r = xen_context_new(&ctx, &logger, true);     /* of its own, as this waits for what it does: once, when the manager starts */
        while (r >= 0 && (entry = readdir(dir)))
                if (entry->d_name[0] == '.')    /* a file that was being written when a manager ended; a directory stays */
                        (void) unlinkat(xen->directory_fd, entry->d_name, 0);
                else if (strlen(entry->d_name) == UUID_LENGTH && !is_known(userdata, entry->d_name))
                        sweep_one(xen, ctx, entry->d_name);
        if (r >= 0)
                xen_context_free(ctx, logger);
        closedir(dir);
        return r;
}
