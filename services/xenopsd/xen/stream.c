/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libxl_utils.h>
#include <xenstore.h>

#include "action.h"
#include "config.h"
#include "lateness.h"
#include "launch.h"
#include "left.h"
#include "sharing.h"
#include "stream-bytes.h"

#define HEADER_FORMAT "xcp-xen-stream 1 %08x\n"
#define HEADER_SIZE 26u
#define ANY_BOOT "-"                    /* facts in a stream are of no boot */
#define INCOMING "--incoming"           /* libxl wants names to be unique, and the guest is still where it comes from */
#define STREAM_VERSION 2                /* libxl's, since Xen 4.6 */

/* Before anything is done: whether a guest may be moved while it runs */

/* What it is called: by the manager, or by whoever made it. */
static const char *name_disk(const struct xen_action *action, const libxl_device_disk *disk) {
        char vdev[CONFIG_VDEV_SIZE];

        for (size_t i = 0; i < action->facts->n_devices; i++) {
                xen_config_name_vdev(action->info.domain_type, action->facts->devices[i].index, vdev);
                if (action->facts->devices[i].is_disk && strcmp(vdev, disk->vdev) == 0)
                        return action->facts->devices[i].name;
        }
        return disk->vdev;
}

/* What the disk's back-end was given, or NULL. */
static char *read_params(const struct worker_tools *tools, uint32_t domid, libxl_device_disk *disk) {
        libxl_diskinfo info;
        char path[128];
        char *params = NULL;
        unsigned n;

        libxl_diskinfo_init(&info);
        if (tools->store && libxl_device_disk_getinfo(tools->ctx, domid, disk, &info) == 0 &&
            (size_t) snprintf(path, sizeof path, "%s/params", info.backend) < sizeof path)
                params = xs_read(tools->store, XBT_NULL, path, &n);
        libxl_diskinfo_dispose(&info);
        return params;
}

/* The domain is asked, as its disks may be another toolstack's. What is found: the disk's name, and as the reason why, its format. */
static void look_at_disks(struct xen_action *action, const struct worker_tools *tools) {
        libxl_device_disk *disks;
        int n = 0;

        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
        if (action->rc != 0)
                return;
        disks = libxl_device_disk_list(tools->ctx, action->id.domid, &n);
        for (int i = 0; i < n && !action->flag; i++) {
                char *params = read_params(tools, action->id.domid, disks + i);
                char format[SHARING_FORMAT_SIZE];

                if (!xen_disk_is_shareable(disks + i, params, format)) {
                        action->flag = true;
                        snprintf(action->name, sizeof action->name, "%s", name_disk(action, disks + i));
                        snprintf(action->work.why, sizeof action->work.why, "%s", format);
                }
                free(params);
        }
        if (disks)
                libxl_device_disk_list_free(disks, n);
}

static void on_disks_seen(struct xen_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        char what[CONTEXT_WHY_SIZE + FACTS_NAME_SIZE + 160];
        int r;

        if (!action->flag) {
                xen_action_end_with_work(action);
                return;
        }
        snprintf(what, sizeof what, "Migrating a VM that writes to disk '%s', whose format, %s, two QEMUs must not have open at once (Stop() it, "
                 "or Save() and Restore() it, instead),", action->name, action->work.why);
        r = idl_error_set_not_supported(&error, what);
        xen_action_end(action, r, &error);
        idl_error_done(&error);
}

int xen_stream_check_send(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct xen_guest *guest = userdata;
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "look at its guest's disks", &action);
        if (r < 0)
                return r;
        action->facts = malloc(sizeof *action->facts);
        if (!action->facts) {
                xen_action_free(action);
                return -ENOMEM;
        }
        *action->facts = guest->facts;
        xen_action_work(action, true, look_at_disks, on_disks_seen);
        return 0;
}

/* Away */

static int write_header(struct xen_action *action) {
        char header[HEADER_SIZE + 1];
        int r;

        snprintf(header, sizeof header, HEADER_FORMAT, (unsigned) strlen(action->json));
        r = xen_stream_write_all(action->fd, header, HEADER_SIZE);
        if (r >= 0)
                r = xen_stream_write_all(action->fd, action->json, strlen(action->json));
        if (r < 0)
                snprintf(action->work.why, sizeof action->work.why, "%s", strerrordesc_np(-r) ?: "unknown error");
        return r;
}

/* A guest takes part in being saved, so one that is paused goes on for that moment. */
static int leave(struct xen_action *action, libxl_ctx *ctx) {
        libxl_asyncop_how how = xen_action_how(action);
        int rc;

        if (action->info.shutdown)
                return ERROR_INVAL;
        rc = action->info.paused ? libxl_domain_unpause(ctx, action->id.domid, NULL) : 0;
        if (rc == 0)
                rc = libxl_domain_suspend(ctx, action->id.domid, action->fd, action->flag ? LIBXL_SUSPEND_LIVE : 0, &how);
        return xen_action_await(action, ctx, rc);
}

/*
 * What libxl gives up it does not take back from the guest, which would suspend later, whenever it takes notice. False: the guest may have
 * taken notice already, and suspend all the same.
 */
static bool take_back_request(struct xs_handle *store, uint32_t domid) {
        char path[64];
        bool is_wish;

        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/control/shutdown", domid);
        do {
                xs_transaction_t transaction = xs_transaction_start(store);
                unsigned n;
                char *wish;

                if (transaction == XBT_NULL)
                        return false;
                wish = xs_read(store, transaction, path, &n);
                is_wish = wish && strcmp(wish, "suspend") == 0 && xs_write(store, transaction, path, "", 0);
                free(wish);
                if (xs_transaction_end(store, transaction, !is_wish))
                        return is_wish;
        } while (is_wish && errno == EAGAIN);
        return false;
}

/* As it was. The words of what failed are kept. */
static void come_back(struct xen_action *action, const struct worker_tools *tools) {
        bool was_paused = action->info.paused;
        libxl_dominfo info;

        libxl_dominfo_init(&info);
        if (was_paused)
                (void) libxl_domain_pause(tools->ctx, action->id.domid, NULL);
        action->may_suspend = !tools->store || !take_back_request(tools->store, action->id.domid);
        if (xen_domain_find(tools->ctx, &action->id, &info) == 0 && info.shutdown && info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND)
                (void) libxl_domain_resume(tools->ctx, action->id.domid, 1, NULL);
        libxl_dominfo_dispose(&info);
}

static void depart(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
        if (action->rc == 0 && write_header(action) < 0)
                action->rc = ERROR_FAIL;
        else if (action->rc == 0) {
                action->rc = leave(action, tools->ctx);
                if (action->rc != 0)
                        come_back(action, tools);
        }
}

/* Libxl tells of one end of a domain only: after one that came to nothing, it has to be asked anew. */
static void on_departed(struct xen_action *action) {
        if (action->rc != 0) {
                xen_lateness_expect(action->guest, action->may_suspend);
                xen_guest_take_domain(action->guest, action->id.domid);
        }
        if (action->rc != 0 && action->is_cancelled)
                xen_action_end(action, -ECANCELED, NULL);
        else
                xen_action_end_with_work(action);
}

static int begin_departure(struct xen_guest *guest, struct hypervisor_call *call, int fd, bool is_live, const char *what) {
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, what, &action);
        if (r < 0)
                return r;
        action->json = malloc(FACTS_SIZE_MAX);
        r = action->json ? xen_facts_print(&guest->facts, ANY_BOOT, action->json, FACTS_SIZE_MAX) : -ENOMEM;
        if (r < 0) {
                xen_action_free(action);
                return r;
        }
        action->fd = fd;
        action->flag = is_live;
        action->is_abortable = true;
        action->has_it_suspend = true;
        xen_lateness_expect(guest, false);
        xen_action_work(action, true, depart, on_departed);
        return 0;
}

int xen_stream_save(void *guest, struct hypervisor_call *call, int fd, struct idl_error *error) {
        return begin_departure(guest, call, fd, false, "save its guest");
}

int xen_stream_send(void *guest, struct hypervisor_call *call, int fd, const struct xcp_migrate_options *options, struct idl_error *error) {
        return begin_departure(guest, call, fd, true, "send its guest");
}

/* Here: first what comes, and whether the guest is still on this host */

/*
 * How libxl's part begins (xen, docs/specs/libxl-migration-stream.pandoc): "LibxlFmt", version 2, and the record after which libxc's part
 * comes. Libxl 4.17 calls a function that is not there if it finds anything else before its helper has started, so it must not.
 */
static int check_begin(int fd) {
        static const char ident[] = "LibxlFmt\0\0\0\2";
        static const char record[] = "\1\0\0\0\0\0\0";      /* LIBXC_CONTEXT, with nothing in it */
        char data[24];
        int r;

        r = xen_stream_peek_all(fd, data, sizeof data);
        if (r < 0)
                return r;
        return memcmp(data, ident, 12) == 0 && memcmp(data + 16, record, 8) == 0 ? 0 : -EBADMSG;
}

static int read_header(struct xen_action *action) {
        char header[HEADER_SIZE + 1] = "", text[HEADER_SIZE + 1];
        unsigned size;
        int r;

        r = xen_stream_read_all(action->fd, header, HEADER_SIZE);
        if (r < 0)
                return r;
        if (sscanf(header, HEADER_FORMAT, &size) != 1 || size >= FACTS_SIZE_MAX)
                return -EBADMSG;
        snprintf(text, sizeof text, HEADER_FORMAT, size);
        if (memcmp(header, text, HEADER_SIZE) != 0)
                return -EBADMSG;
        action->json = calloc(size + 1, 1);
        action->facts = calloc(1, sizeof *action->facts);
        if (!action->json || !action->facts)
                return -ENOMEM;
        r = xen_stream_read_all(action->fd, action->json, size);
        if (r >= 0)
                r = xen_facts_parse(action->facts, action->json, ANY_BOOT);
        return r < 0 ? r : check_begin(action->fd);
}

static void arrive(struct xen_action *action, const struct worker_tools *tools) {
        struct domain_id there = action->id;
        int r;

        there.domid = FACTS_NO_DOMAIN;
        if (xen_domain_find(tools->ctx, &there, NULL) == 0)
                action->id.other = there.domid;
        r = read_header(action);
        if (r >= 0)
                return;
        snprintf(action->work.why, sizeof action->work.why, "%s", r == -EBADMSG || r == -ESTALE ? "it is not what xen has written"
                                                                                                  : strerrordesc_np(-r));
        action->rc = ERROR_INVAL;
}

/* Then the domain */

static int add_suffix(libxl_domain_config *config) {
        char *name;

        if (asprintf(&name, "%s" INCOMING, config->c_info.name) < 0)
                return ERROR_NOMEM;
        free(config->c_info.name);
        config->c_info.name = name;
        return 0;
}

static void restore(struct xen_action *action, const struct worker_tools *tools) {
        libxl_domain_restore_params params;
        uint32_t domid = FACTS_NO_DOMAIN;

        action->rc = action->id.other == FACTS_NO_DOMAIN ? 0 : add_suffix(action->config);
        if (action->rc != 0)
                return;
        libxl_domain_restore_params_init(&params);
        params.stream_version = STREAM_VERSION;
        action->config->c_info.domid = 0;
        action->rc = libxl_domain_create_restore(tools->ctx, action->config, &domid, action->fd, -1, &params, NULL, NULL);
        if (action->rc == 0) {
                action->id.domid = domid;
                action->rc = xen_left_remove(tools->ctx, domid, action->facts);
        } else
                (void) xen_domain_remove(tools->ctx, &action->id);  /* as a rule, libxl has */
        libxl_domain_restore_params_dispose(&params);
}

static void give_up(struct xen_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        if (action->is_cancelled)
                r = -ECANCELED;
        else
                r = idl_error_set_corrupt(&error, "saved state", "xen", action->work.why[0] ? action->work.why : "libxl does not say why");
        xen_launch_give_up(action, r, &error);
        idl_error_done(&error);
}

static void on_restored(struct xen_action *action) {
        if (action->rc != 0)
                give_up(action);
        else
                xen_launch_end(action);
}

static void on_arrived(struct xen_action *action) {
        struct xen_guest *guest = action->guest;
        struct idl_error error = IDL_ERROR_NULL;
        struct xen_facts facts = guest->facts;
        int r;

        if (action->rc != 0 || action->is_cancelled) {
                give_up(action);
                return;
        }
        r = xen_config_move(action->config, &facts, action->facts);
        if (r >= 0)
                r = xen_left_add(action->config, action->facts);
        if (r >= 0) {
                memcpy(facts.devices, action->facts->devices, sizeof facts.devices);
                facts.n_devices = action->facts->n_devices;
                facts.other = action->id.other;
                r = xen_guest_save(guest, &facts, &error);
        }
        if (r < 0)
                xen_launch_give_up(action, r, &error);
        else
                xen_action_work(action, true, restore, on_restored);
        idl_error_done(&error);
}

static int begin_arrival(struct xen_guest *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd,
                         const char *what, struct idl_error *error) {
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, what, &action);
        if (r < 0)
                return r;
        r = xen_launch_begin(action, config, config->spec->name, error);
        if (r < 0) {
                xen_action_free(action);
                return r;
        }
        action->fd = fd;
        action->flag = true;
        action->reads_stream = true;
        xen_action_work(action, true, arrive, on_arrived);
        return 0;
}

int xen_stream_restore(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error) {
        return begin_arrival(guest, call, config, fd, "restore a guest", error);
}

int xen_stream_receive(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error) {
        return begin_arrival(guest, call, config, fd, "receive a guest", error);
}
