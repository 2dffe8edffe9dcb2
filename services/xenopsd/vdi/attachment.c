/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "attachment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "cleanup.h"
#include "storage-service.h"

#define STORAGE_TIMEOUT_USEC (60 * UINT64_C(1000000))   /* a chain of images to be opened, on storage that is busy */

static struct attachment **list_of(struct attachment *attachment) {
        return attachment->vm ? &attachment->vm->attachments : &attachment->xenopsd->orphans;
}

struct attachment *attachment_find(struct vm *vm, const char *disk) {
        for (struct attachment *attachment = vm->attachments; attachment; attachment = attachment->next)
                if (strcmp(attachment->disk, disk) == 0)
                        return attachment;
        return NULL;
}

/* Operators are told as long as something is stale that could not be detached. */
static void tell_stale(struct xenopsd *xenopsd, bool failed) {
        struct diagnostics *diagnostics = service_diagnostics(xenopsd->service);

        if (xenopsd->n_attachments_stale == 0)
                diagnostics_problem(diagnostics, HEALTH_GOOD, "detach", NULL);
        else if (failed)
                diagnostics_problem(diagnostics, HEALTH_DEGRADED, "detach", "Disks that nobody needs any more cannot be detached so far");
}

void attachment_free(struct attachment *attachment) {
        for (struct attachment **p = list_of(attachment); *p; p = &(*p)->next)
                if (*p == attachment) {
                        *p = attachment->next;
                        break;
                }
        if (attachment->stale) {
                attachment->xenopsd->n_attachments_stale--;
                tell_stale(attachment->xenopsd, false);
        }
        remote_task_free(attachment->remote);
        idl_arena_done(&attachment->arena);
        free(attachment->uuid);
        free(attachment->disk);
        free(attachment->vdi);
        free(attachment->reader);
        free(attachment);
}

int attachment_load(struct xenopsd *xenopsd, struct vm *vm, const char *uuid, const char *disk, const char *vdi, const char *reader) {
        struct attachment *attachment = calloc(1, sizeof *attachment), **list;

        if (!attachment)
                return -ENOMEM;
        *attachment = (struct attachment) { .xenopsd = xenopsd, .vm = vm, .uuid = strdup(uuid), .disk = strdup(disk), .vdi = strdup(vdi),
                                            .reader = strdup(reader) };
        list = list_of(attachment);
        attachment->next = *list;
        *list = attachment;
        if (!attachment->uuid || !attachment->disk || !attachment->vdi || !attachment->reader) {
                attachment_free(attachment);
                return -ENOMEM;
        }
        return 0;
}

int attachment_new(struct vm *vm, const char *disk, const char *vdi, const char *reader, struct attachment **ret_attachment,
                   struct idl_error *error) {
        struct attachment *attachment = attachment_find(vm, disk);
        char usual[48];
        int r;

        snprintf(usual, sizeof usual, "vm-%s", vm->uuid);
        if (attachment) {
                if (attachment->remote || strcmp(attachment->vdi, vdi) != 0 || (reader && strcmp(attachment->reader, reader) != 0))
                        return idl_error_set_busy(error, "VDI", attachment->vdi, "an earlier use of this disk, which is not over yet");
                if (attachment->stale) {
                        attachment->stale = false;
                        vm->xenopsd->n_attachments_stale--;
                        tell_stale(vm->xenopsd, false);
                }
                *ret_attachment = attachment;
                return 0;
        }
        r = store_add_attachment(vm->xenopsd->store, vm->uuid, disk, vdi, reader ?: usual, error);
        if (r < 0)
                return r;
        r = attachment_load(vm->xenopsd, vm, vm->uuid, disk, vdi, reader ?: usual);
        if (r < 0) {
                store_remove_attachment(vm->xenopsd->store, vm->uuid, disk);
                return r;
        }
        *ret_attachment = vm->attachments;
        return 0;
}

/* Calls */

static void finish(struct attachment *attachment, int r, struct idl_error *error) {
        attachment_done_t done = attachment->done;
        void *userdata = attachment->userdata;

        attachment->remote = NULL;
        attachment->done = NULL;
        done(userdata, r, error);
}

static int begin(struct attachment *attachment, sd_bus_message *call, remote_task_done_t on_done, attachment_done_t done, void *userdata) {
        int r;

        r = remote_task_begin(attachment->xenopsd->remote, call, STORAGE_TASKS, STORAGE_TIMEOUT_USEC, on_done, attachment,
                              &attachment->remote);
        if (r < 0)
                return r;
        attachment->done = done;
        attachment->userdata = userdata;
        return 0;
}

static int new_call(struct attachment *attachment, const char *member, sd_bus_message **ret_call) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(attachment->xenopsd->bus, &call, STORAGE, attachment->vdi, STORAGE_VDI_INTERFACE, member);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", attachment->reader);
        if (r < 0)
                return r;
        *ret_call = call;
        call = NULL;
        return 0;
}

/* The result of Attach(), a record DataPath, is read from a copy: it has to live as long as the attachment. */
static int take_path(struct attachment *attachment, sd_bus_message *result) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *copy = NULL;
        struct idl_reader reader;
        int r;

        idl_arena_done(&attachment->arena);
        attachment->path = (struct xcp_data_path) { .kind = 0 };
        r = sd_bus_message_new(attachment->xenopsd->bus, &copy, SD_BUS_MESSAGE_METHOD_CALL);
        if (r >= 0)
                r = sd_bus_message_copy(copy, result, false);
        if (r >= 0)
                r = sd_bus_message_seal(copy, 1, 0);
        if (r < 0)
                return r;
        idl_reader_init(&reader, copy, &attachment->arena);
        r = xcp_data_path_read(&reader, &attachment->path);
        return r < 0 ? r : idl_arena_keep_message(&attachment->arena, copy);
}

static void on_attached(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        struct attachment *attachment = userdata;

        if (r >= 0) {
                r = take_path(attachment, result);
                if (r < 0) {
                        attachment->path.kind = 0;
                        r = idl_error_set_backend_failed(error, STORAGE, "say where the disk is", "its answer cannot be read");
                }
        }
        finish(attachment, r, error);
}

static void on_done(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        finish(userdata, r, error);
}

int attachment_attach(struct attachment *attachment, enum xcp_disk_mode mode, const enum xcp_data_path_kind *kinds,
                      attachment_done_t done, void *userdata, struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = new_call(attachment, "Attach", &call);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", xcp_disk_mode_to_string(mode));
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "s");
        for (; r >= 0 && *kinds; kinds++)
                r = sd_bus_message_append(call, "s", xcp_data_path_kind_to_string(*kinds));
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r < 0 ? r : begin(attachment, call, on_attached, done, userdata);
}

int attachment_activate(struct attachment *attachment, attachment_done_t done, void *userdata, struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = new_call(attachment, "Activate", &call);
        return r < 0 ? r : begin(attachment, call, on_done, done, userdata);
}

int attachment_deactivate(struct attachment *attachment, attachment_done_t done, void *userdata, struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = new_call(attachment, "Deactivate", &call);
        return r < 0 ? r : begin(attachment, call, on_done, done, userdata);
}

/* Detaching */

static void set_stale(struct attachment *attachment) {
        if (!attachment->stale)
                attachment->xenopsd->n_attachments_stale++;
        attachment->stale = true;
        storage_retry_later(&attachment->xenopsd->detaching);
}

static void on_detached(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        struct attachment *attachment = userdata;
        attachment_done_t done = attachment->done;
        void *done_userdata = attachment->userdata;

        attachment->remote = NULL;
        attachment->done = NULL;
        if (r >= 0 || r == -ENOENT) {           /* a VDI that is not there is not attached either */
                r = 0;
                store_remove_attachment(attachment->xenopsd->store, attachment->uuid, attachment->disk);
                attachment_free(attachment);
        } else {
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", attachment->uuid }, { "XCP_VDI", attachment->vdi }),
                          "Cannot detach %s from VM %s, and will try again: %s", attachment->vdi, attachment->uuid,
                          error->message ?: strerrordesc_np(-r));
                set_stale(attachment);
                tell_stale(attachment->xenopsd, true);
        }
        if (done)
                done(done_userdata, r, error);
}

int attachment_detach(struct attachment *attachment, attachment_done_t done, void *userdata, struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        if (attachment->remote) {               /* it is on its way already, and somebody else waits */
                set_stale(attachment);
                return idl_error_set_busy(error, "VDI", attachment->vdi, "an earlier use of this disk, which is not over yet");
        }
        r = new_call(attachment, "Detach", &call);
        if (r >= 0)
                r = begin(attachment, call, on_detached, done, userdata);
        if (r < 0)
                set_stale(attachment);
        return r;
}

int attachment_wait(struct attachment *attachment, attachment_done_t done, void *userdata) {
        if (!attachment->remote)
                return -ENOENT;
        if (attachment->done)
                return -EALREADY;
        attachment->done = done;
        attachment->userdata = userdata;
        return 0;
}

void attachment_cancel(struct attachment *attachment) {
        if (attachment->remote)
                remote_task_cancel(attachment->remote);
}

static void retry(struct attachment *attachment) {
        struct idl_error error = IDL_ERROR_NULL;

        if (attachment->stale && !attachment->remote)
                attachment_detach(attachment, NULL, NULL, &error);
        idl_error_done(&error);
}

void attachment_drop(struct attachment *attachment) {
        set_stale(attachment);
        retry(attachment);
}

static void retry_all(void *userdata) {
        struct xenopsd *xenopsd = userdata;

        if (xenopsd->n_attachments_stale == 0)
                return;
        for (struct vm *vm = xenopsd->first; vm; vm = vm->next)
                for (struct attachment *attachment = vm->attachments; attachment; attachment = attachment->next)
                        retry(attachment);
        for (struct attachment *attachment = xenopsd->orphans; attachment; attachment = attachment->next)
                retry(attachment);
}

void attachments_orphan(struct vm *vm) {
        while (vm->attachments) {
                struct attachment *attachment = vm->attachments;

                vm->attachments = attachment->next;
                attachment->vm = NULL;
                attachment->next = vm->xenopsd->orphans;
                vm->xenopsd->orphans = attachment;
                attachment_drop(attachment);
        }
}

int attachments_start(struct xenopsd *xenopsd) {
        return storage_retry_start(&xenopsd->detaching, xenopsd->event, xenopsd->bus, retry_all, xenopsd);
}

void attachments_stop(struct xenopsd *xenopsd) {
        while (xenopsd->orphans)
                attachment_free(xenopsd->orphans);
        storage_retry_stop(&xenopsd->detaching);
}

/* Files and block devices */

static int size_of(int fd, const struct stat *st, uint64_t *ret_size) {
        if (S_ISREG(st->st_mode)) {
                *ret_size = (uint64_t) st->st_size;
                return 0;
        }
        return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
}

int attachment_of_path(const struct xcp_disk_spec *disk, struct xcp_data_path *ret_path, struct idl_error *error) {
        int flags = disk->mode == XCP_DISK_MODE_READ_WRITE ? O_RDWR : O_RDONLY;
        AUTO_CLOSE int fd = open(disk->path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct xcp_data_path path = { .mode = disk->mode, .block_size = 512, .path = disk->path };
        struct stat st;

        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return idl_error_set_does_not_exist(error, "file", disk->path);
        if (fd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM))
                return idl_error_set_read_only(error, "file", disk->path);
        if (fd < 0 && errno == EISDIR)
                return idl_error_set_invalid_argument(error, "path", disk->path, "has to be a file or block device");
        if (fd < 0 || fstat(fd, &st) < 0)
                return idl_error_set_backend_failed(error, disk->path, "be opened", strerrordesc_np(errno));
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return idl_error_set_invalid_argument(error, "path", disk->path, "has to be a file or block device");
        path.kind = S_ISREG(st.st_mode) ? XCP_DATA_PATH_KIND_FILE : XCP_DATA_PATH_KIND_BLOCK_DEVICE;
        if (size_of(fd, &st, &path.size) < 0)
                return idl_error_set_backend_failed(error, disk->path, "say how large it is", strerrordesc_np(errno));
        *ret_path = path;
        return 0;
}
