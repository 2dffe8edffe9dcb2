/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* New disks: created, imported, copied. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "database-error.h"
#include "idl-errors.h"
#include "kinds.h"
#include "operations.h"
#include "spec.h"
#include "store.h"
#include "vdi-make.h"

/* The disk to be */

static int choose_format(const struct sr *sr, enum xcp_vdi_format wanted, enum xcp_vdi_format *ret_format, struct idl_error *error) {
        char what[64];

        *ret_format = wanted ?: sr->driver->default_format;
        if (sr->driver->formats & 1u << *ret_format)
                return 0;
        snprintf(what, sizeof what, "the format %s in an SR of kind %s", xcp_vdi_format_to_string(*ret_format), sr->driver->name);
        return idl_error_set_not_supported(error, what);
}

static int check_spec(const struct xcp_vdi_spec *spec, struct uuid *ret_uuid, uint64_t *ret_size, struct idl_error *error) {
        int r;

        *ret_size = 0;
        r = spec_check_vdi_name("spec.name", spec->name, error);
        if (r >= 0)
                r = spec_check_description("spec.description", spec->description, error);
        if (r >= 0)
                r = spec_check_labels("spec.labels", spec->labels, spec->n_labels, error);
        if (r >= 0 && spec->has_size)
                r = spec_round_size("spec.size", spec->size, VDI_SIZE_MAX, ret_size, error);
        if (r >= 0)
                r = spec->uuid ? spec_check_uuid("spec.uuid", spec->uuid, ret_uuid, error) : uuid_generate(ret_uuid);
        return r;
}

/* Makes the disk of a specification, and takes its UUID. */
static int new_from_spec(struct sr *sr, const struct xcp_vdi_spec *spec, struct vdi **ret_vdi, struct idl_error *error) {
        AUTO(vdi_unrefp) struct vdi *vdi = NULL;
        enum xcp_vdi_format format;
        struct uuid uuid;
        uint64_t size;
        int r;

        r = check_spec(spec, &uuid, &size, error);
        if (r >= 0)
                r = choose_format(sr, spec->format, &format, error);
        if (r >= 0)
                r = vdi_new(&vdi, sr, &uuid, spec->name, spec->description);
        if (r >= 0)
                r = vdi_set_labels(vdi, spec->labels, spec->n_labels);
        if (r < 0)
                return r;
        vdi->format = format;
        vdi->size = size;
        vdi->sharable = spec->sharable;
        vdi->created_usec = clock_now_usec(CLOCK_REALTIME);
        r = vdi_reserve(vdi, error);
        if (r < 0)
                return r;
        *ret_vdi = vdi;
        vdi = NULL;
        return 0;
}

int vdi_new_named(struct sr *sr, const char *name, struct vdi **ret_vdi, struct idl_error *error) {
        const struct xcp_vdi_spec spec = { .name = name, .description = "" };

        return new_from_spec(sr, &spec, ret_vdi, error);
}

int vdi_intend_making(struct operation *operation, struct idl_error *error) {
        if (!operation_intend(operation, INTENT_MAKE, operation->new_vdi, error) ||
            (operation->stage && !operation_intend(operation, INTENT_MAKE, operation->stage, error)))
                return -ENOMEM;
        return operation_write_intents(operation, error);
}

static int take(struct vdi *vdi, struct idl_error *error) {
        return vdi->sr->driver->take ? vdi->sr->driver->take(vdi, error) : 0;
}

int vdi_make_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct database *db = operation->storage->db;
        struct vdi *vdi = operation->new_vdi, *parent = vdi->parent;
        struct xcp_vdi_created created;
        int r;

        r = operation_result_new(operation, ret_result);
        if (r < 0)
                return r;
        r = database_begin(db, &transaction);
        if (r >= 0)
                r = store_add_vdi(vdi);
        if (r >= 0)
                r = operation_delete_intents(operation);
        if (r >= 0)
                r = database_commit(&transaction);
        if (r < 0)
                return database_set_error(db, r, error);
        operation->intents = NULL;
        r = vdi_add(vdi, parent);
        if (r < 0)
                return r;
        created = (struct xcp_vdi_created) { .vdi = vdi->path };
        r = xcp_vdi_created_append(*ret_result, &created);
        operation->new_vdi = vdi_unref(vdi);
        return r;
}

static int start(const struct operation_kind *kind, struct sr *sr, struct vdi *source, struct idl_error *error,
                 struct operation **ret_operation) {
        return operation_new(ret_operation, sr->storage, kind, sr, source, error);
}

/* Creating */

static int create_begin(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->new_vdi;
        int r;

        r = sr_check_usable(vdi->sr, true, error);
        if (r >= 0)
                r = take(vdi, error);
        if (r >= 0)
                r = vdi_intend_making(operation, error);
        if (r >= 0)
                vdi->sr->driver->make(&operation->plan, vdi);
        return r;
}

const struct operation_kind operation_vdi_create = { .name = "CreateVDI", .begin = create_begin, .finish = vdi_make_finish };

int vdi_create(struct sr *sr, struct idl_call *call, const struct xcp_vdi_spec *spec, const char **ret_path, struct idl_error *error) {
        AUTO(operation_freep) struct operation *operation = NULL;
        struct operation *started;
        int r;

        r = sr_check_usable(sr, true, error);
        if (r < 0)
                return r;
        if (!spec->has_size)
                return idl_error_set_invalid_argument(error, "spec.size", "", "has to be given");
        r = start(&operation_vdi_create, sr, NULL, error, &operation);
        if (r >= 0)
                r = new_from_spec(sr, spec, &operation->new_vdi, error);
        if (r < 0)
                return r;
        operation_claim(operation, &sr->resource, false);
        started = operation;
        operation = NULL;
        return operation_start(started, call, ret_path, error, "Create %s", spec->name);
}

/* Importing */

static int import_begin(struct operation *operation, struct idl_error *error) {
        const struct operation_wish *wish = &operation->wish;
        struct vdi *vdi = operation->new_vdi;
        int r;

        r = sr_check_usable(vdi->sr, true, error);
        if (r >= 0)
                r = vdi->sr->driver->import(&operation->plan, vdi, operation->stage, wish->fd, wish->format, wish->source_size, error);
        return r < 0 ? r : vdi_intend_making(operation, error);
}

static int import_finish(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error) {
        operation->storage->bytes_imported += operation->bytes;
        return vdi_make_finish(operation, ret_result, error);
}

const struct operation_kind operation_vdi_import = {
        .name = "ImportVDI",
        .is_slow = true,
        .begin = import_begin,
        .finish = import_finish,
};

/* A descriptor of the caller's that can be used in this direction, and how much is in it: 0 if it is no file. */
static int check_descriptor(const char *argument, int fd, bool to_write, uint64_t *ret_size, struct idl_error *error) {
        int flags = fcntl(fd, F_GETFL), mode = flags & O_ACCMODE;
        struct stat st;
        off_t at;

        if (flags < 0 || (flags & O_PATH) || fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) ||
            (mode != O_RDWR && mode != (to_write ? O_WRONLY : O_RDONLY)))
                return idl_error_set_invalid_argument(error, argument, "", to_write ? "cannot be written to" : "cannot be read from");
        at = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : 0;
        *ret_size = S_ISREG(st.st_mode) && at >= 0 && at < st.st_size ? (uint64_t) (st.st_size - at) : 0;
        return 0;
}

static int keep_descriptor(struct operation *operation, int fd) {
        operation->wish.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return operation->wish.fd < 0 ? -errno : 0;
}

int vdi_import(struct sr *sr, struct idl_call *call, const struct xcp_vdi_spec *spec, int source, enum xcp_vdi_format format,
               const char **ret_path, struct idl_error *error) {
        AUTO(operation_freep) struct operation *operation = NULL;
        struct operation *started;
        uint64_t source_size;
        int r;

        r = sr_check_usable(sr, true, error);
        if (r >= 0)
                r = check_descriptor("source", source, false, &source_size, error);
        if (r >= 0)
                r = start(&operation_vdi_import, sr, NULL, error, &operation);
        if (r >= 0)
                r = new_from_spec(sr, spec, &operation->new_vdi, error);
        if (r >= 0 && (format != XCP_VDI_FORMAT_RAW || operation->new_vdi->format != XCP_VDI_FORMAT_RAW))
                r = vdi_new_named(sr, "stage", &operation->stage, error);
        if (r >= 0)
                r = keep_descriptor(operation, source);
        if (r < 0)
                return r;
        if (operation->stage)
                operation->stage->format = XCP_VDI_FORMAT_RAW;
        operation->wish.format = format;
        operation->wish.source_size = source_size;
        operation_claim(operation, &sr->resource, false);
        started = operation;
        operation = NULL;
        return operation_start(started, call, ret_path, error, "Import %s", spec->name);
}

/* Copying */

int vdi_check_source(const struct vdi *vdi, struct idl_error *error) {
        const struct data_path *writer = data_paths_writer(&vdi->paths, NULL);
        int r;

        r = vdi_check_there(vdi, false, error);
        if (r < 0)
                return r;
        if (writer)
                return idl_error_set_busy(error, "VDI", vdi->id, writer->reader);
        return 0;
}

int vdi_plan_full_copy(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->new_vdi, *source = operation->vdi;
        struct plan *plan = &operation->plan;
        struct place from, to;
        int r;

        if (vdi->size < source->size)
                vdi->size = source->size;       /* it may have grown while this waited */
        r = take(vdi, error);
        if (r >= 0)
                r = vdi_intend_making(operation, error);
        if (r < 0)
                return r;
        vdi->sr->driver->begin(plan, vdi);
        source->sr->driver->place(plan, source, false, &from);
        vdi->sr->driver->place(plan, vdi, true, &to);
        if (operation->kind != &operation_vdi_copy && source->format == XCP_VDI_FORMAT_RAW && vdi->format == XCP_VDI_FORMAT_RAW)
                plan_copy(plan, &from, &to, source->size, !to.is_range);        /* shares blocks where the file system can */
        else
                plan_convert(plan, &from, &to);
        vdi->sr->driver->publish(plan, vdi);
        return 0;
}

static int copy_begin(struct operation *operation, struct idl_error *error) {
        int r;

        r = vdi_check_source(operation->vdi, error);
        if (r >= 0)
                r = sr_check_usable(operation->new_vdi->sr, true, error);
        return r < 0 ? r : vdi_plan_full_copy(operation, error);
}

const struct operation_kind operation_vdi_copy = { .name = "VDI.Copy", .is_slow = true, .begin = copy_begin, .finish = vdi_make_finish };

/* Two storage repositories, in the order in which all operations claim them. */
static void claim_both(struct operation *operation, struct sr *a, struct sr *b) {
        bool swap = strcmp(a->id, b->id) > 0;

        operation_claim(operation, swap ? &b->resource : &a->resource, false);
        if (a != b)
                operation_claim(operation, swap ? &a->resource : &b->resource, false);
}

int vdi_copy(struct vdi *vdi, struct idl_call *call, struct sr *to, const struct xcp_vdi_spec *spec, const char **ret_path,
             struct idl_error *error) {
        AUTO(operation_freep) struct operation *operation = NULL;
        struct operation *started;
        char given[24];
        int r;

        r = vdi_check_source(vdi, error);
        if (r >= 0)
                r = sr_check_usable(to, true, error);
        if (r >= 0)
                r = start(&operation_vdi_copy, vdi->sr, vdi, error, &operation);
        if (r >= 0)
                r = new_from_spec(to, spec, &operation->new_vdi, error);
        if (r < 0)
                return r;
        snprintf(given, sizeof given, "%llu", (unsigned long long) spec->size);
        if (spec->has_size && operation->new_vdi->size < vdi->size)
                return idl_error_set_invalid_argument(error, "spec.size", given, "is less than the size of the disk");
        operation->other_sr = sr_ref(to);
        to->n_operations++;
        claim_both(operation, vdi->sr, to);
        operation_claim(operation, &vdi->resource, false);
        started = operation;
        operation = NULL;
        return operation_start(started, call, ret_path, error, "Copy %s to %s", vdi->name, spec->name);
}
