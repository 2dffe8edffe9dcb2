/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Attachments: what a VM has of the storage service.
 *
 * The manager is a reader of storage1.VDI, under a name that it writes down before it asks for anything, so that nothing stays attached
 * that nobody knows of. What cannot be detached, because the storage service is not there, is stale, and detached later: when the
 * service comes to the bus, and every STORAGE_RETRY_MS.
 */

#include "vm.h"

#define ATTACHMENT_SAVED ""             /* in place of a disk's name: the disk that the memory is saved to */

struct attachment {
        struct xenopsd *xenopsd;
        struct vm *vm;                  /* NULL: it is gone */
        struct attachment *next;
        char *uuid, *disk, *vdi, *reader;
        bool stale;                     /* nobody needs it any more */
        struct idl_arena arena;
        struct xcp_data_path path;      /* .kind 0: not known */
        struct remote_task *remote;     /* of what is under way */
        void (*done)(void *userdata, int r, struct idl_error *error);
        void *userdata;
};

typedef void (*attachment_done_t)(void *userdata, int r, struct idl_error *error);

/* The one of a disk, or NULL. */
struct attachment *attachment_find(struct vm *vm, const char *disk);

/* A new one, written down. With one that is stale for the same VDI, that one. reader: NULL for the VM's usual name. */
int attachment_new(struct vm *vm, const char *disk, const char *vdi, const char *reader, struct attachment **ret_attachment,
                   struct idl_error *error);

/* From the store, when the service starts. vm may be NULL. */
int attachment_load(struct xenopsd *xenopsd, struct vm *vm, const char *uuid, const char *disk, const char *vdi, const char *reader);

/* Operations of storage1.VDI. One at a time; done is called once, from the event loop, if 0 is returned. */
int attachment_attach(struct attachment *attachment, enum xcp_disk_mode mode, const enum xcp_data_path_kind *kinds,
                      attachment_done_t done, void *userdata, struct idl_error *error);
int attachment_activate(struct attachment *attachment, attachment_done_t done, void *userdata, struct idl_error *error);
int attachment_deactivate(struct attachment *attachment, attachment_done_t done, void *userdata, struct idl_error *error);

/* Detaches it. It is gone when done is called with 0, and stale if not. */
int attachment_detach(struct attachment *attachment, attachment_done_t done, void *userdata, struct idl_error *error);

/* It is being detached in the background: done is called when it has been. -EALREADY if somebody waits already, -ENOENT if it is not. */
int attachment_wait(struct attachment *attachment, attachment_done_t done, void *userdata);

void attachment_cancel(struct attachment *attachment);

/* Nobody needs it any more: it is detached in the background. */
void attachment_drop(struct attachment *attachment);

/* The VM is gone: what it still has is nobody's. */
void attachments_orphan(struct vm *vm);

/* Forgets it here; the storage service is not asked. */
void attachment_free(struct attachment *attachment);

int attachments_start(struct xenopsd *xenopsd);
void attachments_stop(struct xenopsd *xenopsd);

/* A disk that is a file or block device: checks that it is there, and says what it is. */
int attachment_of_path(const struct xcp_disk_spec *disk, struct xcp_data_path *ret_path, struct idl_error *error);
