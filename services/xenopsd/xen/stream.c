/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libxl_utils.h>
#include <xenstore.h>

#include "action.h"
#include "config.h"
#include "launch.h"

#define HEADER_FORMAT "xcp-xen-stream 1 %08x\n"
#define HEADER_SIZE 26u
#define ANY_BOOT "-"                    /* facts in a stream are of no boot */
#define INCOMING "--incoming"           /* libxl wants names to be unique, and the guest is still where it comes from */
#define PEEK_AGAIN_USEC 1000u
#define STREAM_VERSION 2                /* libxl's, since Xen 4.6 */

/* Bytes. The other end may take its time; libxl itself waits like this. */

static int wait_for(int fd, short events) {
        struct pollfd poll_fd = { .fd = fd, .events = events };

        return poll(&poll_fd, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static int write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EAGAIN) {
                        if (wait_for(fd, POLLOUT) < 0)
                                return -EIO;
                } else if (n < 0 && errno != EINTR)
                        return -errno;
                else if (n > 0) {
                        data += n;
                        size -= (size_t) n;
                }
        }
        return 0;
}

static int read_all(int fd, char *data, size_t size) {
        while (size > 0) {
                ssize_t n = read(fd, data, size);

                if (n < 0 && errno == EAGAIN) {
                        if (wait_for(fd, POLLIN) < 0)
                                return -EIO;
                } else if (n < 0 && errno != EINTR)
                        return -errno;
                else if (n == 0)
                        return -EBADMSG;
                else if (n > 0) {
                        data += n;
                        size -= (size_t) n;
                }
        }
        return 0;
}

/* Away */

static int write_header(struct xen_action *action) {
        char header[HEADER_SIZE + 1];
        int r;

        snprintf(header, sizeof header, HEADER_FORMAT, (unsigned) strlen(action->json));
        r = write_all(action->fd, header, HEADER_SIZE);
        if (r >= 0)
                r = write_all(action->fd, action->json, strlen(action->json));
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

/* What libxl gives up it does not take back from the guest, which would suspend later, whenever it takes notice. */
static void take_back_request(struct xs_handle *store, uint32_t domid) {
        char path[64];
        bool is_wish;

        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/control/shutdown", domid);
        do {
                xs_transaction_t transaction = xs_transaction_start(store);
                unsigned n;
                char *wish;

                if (transaction == XBT_NULL)
                        return;
                wish = xs_read(store, transaction, path, &n);
                is_wish = wish && strcmp(wish, "suspend") == 0 && xs_write(store, transaction, path, "", 0);
                free(wish);
                if (xs_transaction_end(store, transaction, !is_wish))
                        return;
        } while (is_wish && errno == EAGAIN);
}

/* As it was. The words of what failed are kept. */
static void come_back(struct xen_action *action, const struct worker_tools *tools) {
        bool was_paused = action->info.paused;
        libxl_dominfo info;

        libxl_dominfo_init(&info);
        if (was_paused)
                (void) libxl_domain_pause(tools->ctx, action->id.domid, NULL);
        if (tools->store)
                take_back_request(tools->store, action->id.domid);
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
        if (action->rc != 0)
                xen_guest_take_domain(action->guest, action->id.domid);
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

/* Bytes that stay where they are, of a file or a socket. */
static int peek_all(int fd, char *data, size_t size) {
        off_t offset = lseek(fd, 0, SEEK_CUR);
        ssize_t n;

        if (offset >= 0)
                return pread(fd, data, size, offset) == (ssize_t) size ? 0 : -EBADMSG;
        for (;;) {
                n = recv(fd, data, size, MSG_PEEK);
                if (n >= (ssize_t) size)
                        return 0;
                if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                        return n == 0 ? -EBADMSG : -errno;
                /* A socket is readable already with less than all; what is on its way comes soon. */
                if (n < 0 ? wait_for(fd, POLLIN) < 0 : usleep(PEEK_AGAIN_USEC) < 0)
                        return -EIO;
        }
}

/*
 * How libxl's part begins (xen, docs/specs/libxl-migration-stream.pandoc): "LibxlFmt", version 2, and the record after which libxc's part
 * comes. Libxl 4.17 calls a function that is not there if it finds anything else before its helper has started, so it must not.
 */
static int check_begin(int fd) {
        static const char ident[] = "LibxlFmt\0\0\0\2";
        static const char record[] = "\1\0\0\0\0\0\0";      /* LIBXC_CONTEXT, with nothing in it */
        char data[24];
        int r;

        r = peek_all(fd, data, sizeof data);
        if (r < 0)
                return r;
        return memcmp(data, ident, 12) == 0 && memcmp(data + 16, record, 8) == 0 ? 0 : -EBADMSG;
}

static int read_header(struct xen_action *action) {
        char header[HEADER_SIZE + 1] = "", text[HEADER_SIZE + 1];
        unsigned size;
        int r;

        r = read_all(action->fd, header, HEADER_SIZE);
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
        r = read_all(action->fd, action->json, size);
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
        if (action->rc == 0)
                action->id.domid = domid;
        else
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
        xen_action_work(action, true, arrive, on_arrived);
        return 0;
}

int xen_stream_restore(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error) {
        return begin_arrival(guest, call, config, fd, "restore a guest", error);
}

int xen_stream_receive(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error) {
        return begin_arrival(guest, call, config, fd, "receive a guest", error);
}
