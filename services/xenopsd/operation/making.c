/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "making.h"

#include <errno.h>
#include <stdio.h>

#include <systemd/sd-id128.h>

#include "cleanup.h"
#include "storage-service.h"

int making_begin(struct job *job) {
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r < 0)
                return r;
        snprintf(job->owner, sizeof job->owner, SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(id));
        return 0;
}

const char *making_name(struct job *job, const char *kind, const char *what) {
        return idl_arena_printf(&job->arena, "%s-%s-%s", kind, job->owner, what);
}

static void cancel_remote(struct job *job) {
        remote_task_cancel(job->remote);
}

int making_call(struct job *job, const char *name, sd_bus_message *call, remote_task_done_t done, struct idl_error *error) {
        const struct store_garbage garbage = { .name = name, .owner = job->owner, .is_patient = true };
        struct xenopsd *xenopsd = job->vm->xenopsd;
        int r;

        job->made = name;
        r = store_add_garbage(xenopsd->store, &garbage, error);
        if (r >= 0)
                r = remote_task_begin(xenopsd->remote, call, STORAGE_TASKS, MAKING_TIMEOUT_USEC, done, job, &job->remote);
        if (r < 0)
                return r;
        job->cancel = cancel_remote;
        return 0;
}

int making_end(struct job *job, int r, sd_bus_message *result, const char **ret_vdi, struct idl_error *error) {
        AUTO(idl_arena_done) struct idl_arena arena = IDL_ARENA_NULL;
        struct store *store = job->vm->xenopsd->store;
        struct xcp_vdi_created created;
        struct idl_reader reader;

        job->remote = NULL;
        job->cancel = NULL;
        if (r < 0 && r != -EHOSTUNREACH && r != -ETIMEDOUT && r != -ECANCELED)
                store_remove_garbage(store, job->made); /* the storage service says that there is none */
        if (r < 0)
                return r;
        idl_reader_init(&reader, result, &arena);
        if (xcp_vdi_created_read(&reader, &created) < 0)
                return idl_error_set_backend_failed(error, STORAGE, "say what it has made", "its answer cannot be read");
        *ret_vdi = idl_arena_strdup(&job->arena, created.vdi);
        return *ret_vdi ? store_set_garbage_vdi(store, job->made, *ret_vdi, error) : -ENOMEM;
}

int making_copy_spec(struct job *job, const struct xcp_vm_spec *spec) {
        struct xcp_disk_spec *disks = idl_arena_alloc(&job->arena, spec->n_disks + 1, sizeof *disks);
        int r;

        if (!disks)
                return -ENOMEM;
        r = xcp_vm_spec_copy(&job->arena, &job->spec, spec);
        if (r < 0)
                return r;
        for (size_t i = 0; i < spec->n_disks; i++)
                disks[i] = job->spec.disks[i];
        job->spec.disks = disks;
        return 0;
}

void making_set_vdi(struct job *job, size_t disk, const char *vdi) {
        ((struct xcp_disk_spec *) job->spec.disks)[disk].vdi = vdi;     /* those of making_copy_spec() */
}
