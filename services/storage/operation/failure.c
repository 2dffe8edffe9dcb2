/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "failure.h"

#include <errno.h>
#include <string.h>

#include "idl-errors.h"

#define IO_NAME "xcp-storage-io"
#define QEMU_NAME "qemu-img"

uint64_t failure_needed(const struct operation *operation) {
        const struct vdi *vdi = operation->new_vdi ?: operation->vdi;
        uint64_t size = vdi ? vdi->size : 0;

        if (operation->wish.size > size)
                size = operation->wish.size;
        if (operation->wish.source_size > size)
                size = operation->wish.source_size;
        return size > operation->n_copied ? size : operation->n_copied;
}

/* What it is about: the disk that is made, or is there, or else the storage repository. */
static void set_corrupt(const struct operation *operation, const struct step *step, const char *reason, struct idl_error *error) {
        const struct vdi *vdi = operation->new_vdi ?: operation->vdi;

        if (step->flags & STEP_UNTRUSTED)
                idl_error_set_corrupt(error, "image", operation->new_vdi ? operation->new_vdi->name : "", reason);
        else if (vdi)
                idl_error_set_corrupt(error, "VDI", vdi->id, reason);
        else
                idl_error_set_corrupt(error, "SR", operation->sr->name, reason);
}

static int set_said(const struct operation *operation, const struct step *step, struct idl_error *error) {
        const struct vdi *vdi = operation->new_vdi ?: operation->vdi;
        const struct sr *sr = operation->new_vdi ? operation->new_vdi->sr : operation->sr;
        const char *path = sr_config(sr, "path");

        switch (operation->said_errno) {
        case ENOSPC:
        case EDQUOT:
                return -ENOSPC;
        case EROFS:
                return idl_error_set_read_only(error, "SR", sr->name);
        case EUCLEAN:
                set_corrupt(operation, step, operation->said, error);
                return -EUCLEAN;
        case ELOOP:
        case EXDEV:
        case EMEDIUMTYPE:
                set_corrupt(operation, step, "its file is a link, or no regular file", error);
                return -EUCLEAN;
        case EEXIST:
                return vdi ? idl_error_set_already_exists(error, "VDI", vdi->id)
                           : idl_error_set_already_exists(error, "place with something in it", path);
        case ENOENT:
                if (!vdi)
                        return idl_error_set_does_not_exist(error, "file or directory", path);
                set_corrupt(operation, step, "its file is not there", error);
                return -EUCLEAN;
        case EUSERS:                            /* of its lock; what it has said is who has it */
                if (vdi)
                        return idl_error_set_busy(error, "VDI", vdi->id, operation->said);
                break;
        case EFBIG:
                if (step->fd >= 0)
                        return idl_error_set_invalid_argument(error, "spec.size", "", operation->said);
                break;
        }
        return idl_error_set_backend_failed(error, IO_NAME, step->what, operation->said);
}

int failure_set(struct operation *operation, const struct step *step, const struct child_end *end, struct idl_error *error) {
        struct sr *sr = operation->new_vdi ? operation->new_vdi->sr : operation->sr;
        char text[CHILD_WORDS_MAX + 64];

        if (operation->said_unreachable) {
                if (sr->path && sr->state == XCP_SR_STATE_ATTACHED)
                        sr_set_state(sr, XCP_SR_STATE_UNREACHABLE, operation->said);
                return idl_error_set_unreachable(error, "SR", sr->name, operation->said);
        }
        if (operation->said_failed)
                return set_said(operation, step, error);
        if (strstr(end->last_words, strerror(ENOSPC)))
                return -ENOSPC;
        child_end_describe(end, text, sizeof text);
        return idl_error_set_backend_failed(error, step->is_qemu ? QEMU_NAME : IO_NAME, step->what, text);
}
