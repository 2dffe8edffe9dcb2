/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Storage repositories that are one file or block device: a disk is a range of it, and the table at its front (table.h) says which. No
 * loop device, no mount. io/file.c does what is said here.
 *
 * Which ranges and slots are free is known here, from the scan that attaches it; the table is what counts.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idl-errors.h"
#include "operation.h"
#include "server.h"
#include "space-map.h"
#include "spec.h"
#include "table.h"

struct file_place {
        uint64_t data;                  /* where unit 0 is */
        bool is_device;
        struct space_map units, slots;
};

static const char *name_of(const struct sr *sr) {
        return strrchr(sr_config(sr, "path"), '/') + 1;
}

static const char *directory_of(struct plan *plan, const struct sr *sr) {
        const char *path = sr_config(sr, "path"), *slash = strrchr(path, '/');

        return slash == path ? "/" : plan_text(plan, "%.*s", (int) (slash - path), path);
}

static uint64_t units(uint64_t bytes) {
        return (bytes + TABLE_UNIT - 1) / TABLE_UNIT;
}

static int check_config(const struct xcp_dict_s_s_entry *config, size_t n, struct idl_error *error) {
        const char *size = driver_option(config, n, "size");
        uint64_t bytes;
        int r;

        r = spec_check_path(driver_option(config, n, "path"), error);
        if (r < 0 || !size)
                return r;
        return spec_parse_size("spec.config.size", size, &bytes, error);
}

static void make_sr(struct plan *plan, const struct sr *sr) {
        const char *text = sr_config(sr, "size"), *size = "-";
        uint64_t bytes;

        if (text && spec_parse_size("size", text, &bytes, NULL) >= 0)
                size = plan_number(plan, bytes);
        plan_io(plan, "make the storage repository", STEP_COMMIT, "file-make", directory_of(plan, sr), name_of(sr), size, sr->id, NULL);
}

static void unmake_sr(struct plan *plan, const struct sr *sr) {
        plan_io(plan, "remove the storage repository", STEP_COMMIT, "file-unmake", directory_of(plan, sr), name_of(sr), sr->id, NULL);
}

/* Looking */

static void scan(struct plan *plan, const struct sr *sr, const char *expected) {
        plan_io(plan, "look at the storage repository", STEP_SHORT, "file-scan", directory_of(plan, sr), name_of(sr), expected, NULL);
}

static int parse_name(const char *hex, char **ret_name) {
        char name[TABLE_NAME_MAX + 1];
        size_t n = strlen(hex) / 2;

        for (size_t i = 0; i < n; i++) {
                unsigned byte;

                if (i >= TABLE_NAME_MAX || sscanf(hex + 1 + 2 * i, "%2x", &byte) != 1)
                        return -EBADMSG;
                name[i] = (char) byte;
        }
        name[n] = '\0';
        *ret_name = strdup(name);
        return *ret_name ? 0 : -ENOMEM;
}

/* entry UUID SLOT OFFSET LENGTH SIZE FLAGS CREATED SNAPSHOT-OF|- xNAME */
static int on_entry(struct scan *s, const char *line) {
        char id[UUID_TEXT_SIZE], snapshot_of[UUID_TEXT_SIZE], hex[2 * TABLE_NAME_MAX + 2];
        unsigned long long offset, length, size, created;
        struct found_disk *disk;
        unsigned slot, flags;
        struct uuid uuid;

        if (sscanf(line, "entry %36s %u %llu %llu %llu %u %llu %36s %511s", id, &slot, &offset, &length, &size, &flags, &created,
                   snapshot_of, hex) != 9 ||
            uuid_parse(id, &uuid) < 0)
                return -EBADMSG;
        disk = scan_add(s, &uuid);
        if (!disk)
                return -ENOMEM;
        disk->format = XCP_VDI_FORMAT_RAW;
        disk->size = size;
        disk->read_only = flags & TABLE_READ_ONLY;
        disk->sharable = flags & TABLE_SHARABLE;
        disk->snapshot = flags & TABLE_SNAPSHOT;
        disk->created_usec = created;
        disk->has_range = true;
        disk->slot = slot;
        disk->offset = offset;
        disk->length = length;
        uuid_parse(snapshot_of, &disk->snapshot_of);
        return parse_name(hex, &disk->name);
}

static int on_scan_line(struct scan *s, const char *line) {
        unsigned long long size, data, n_slots;
        int is_device;

        if (sscanf(line, "layout %llu %llu %llu %d", &size, &data, &n_slots, &is_device) != 4)
                return on_entry(s, line);
        s->size = size;
        s->data = data;
        s->n_slots = n_slots;
        s->is_device = is_device != 0;
        return 0;
}

static struct file_place *place_free(struct file_place *file) {
        if (file) {
                space_map_done(&file->units);
                space_map_done(&file->slots);
        }
        free(file);
        return NULL;
}

static int take_range(struct file_place *file, uint32_t slot, uint64_t offset, uint64_t length) {
        int r;

        r = space_map_take_at(&file->slots, slot, 1);
        if (r < 0)
                return r;
        r = offset < file->data ? -ERANGE : space_map_take_at(&file->units, (offset - file->data) / TABLE_UNIT, units(length));
        if (r < 0)
                space_map_give(&file->slots, slot, 1);
        return r;
}

static int fill_maps(struct sr *sr, const struct scan *s) {
        struct file_place *file = sr->file;
        int r;

        file->data = s->data;
        file->is_device = s->is_device;
        r = space_map_init(&file->units, (s->size - s->data) / TABLE_UNIT);
        if (r >= 0)
                r = space_map_init(&file->slots, s->n_slots);
        for (size_t i = 0; r >= 0 && i < s->n_disks; i++) {
                const struct found_disk *disk = &s->disks[i];
                struct vdi *vdi;

                r = take_range(file, disk->slot, disk->offset, disk->length);
                vdi = vdi_find(sr->storage, &disk->uuid);
                if (r < 0 || !vdi || vdi->sr != sr)
                        continue;
                vdi->has_range = true;
                vdi->slot = disk->slot;
                vdi->offset = disk->offset;
                vdi->length = disk->length;
        }
        return r;
}

static void detach(struct sr *sr) {
        sr->file = place_free(sr->file);
        for (struct vdi *vdi = sr->first; vdi; vdi = vdi->next)
                vdi->has_range = false;
}

static int attach(struct sr *sr, struct scan *s) {
        int r;

        detach(sr);
        if (s->size <= s->data)
                return -EBADMSG;
        sr->file = calloc(1, sizeof *sr->file);
        if (!sr->file)
                return -ENOMEM;
        r = fill_maps(sr, s);
        if (r < 0)
                detach(sr);
        return r;
}

static int adopt(struct sr *sr, const struct found_disk *disk) {
        return take_range(sr->file, disk->slot, disk->offset, disk->length);
}

static void space(struct plan *plan, const struct sr *sr) {
        const struct file_place *file = sr->file;
        uint64_t total = file->units.n * TABLE_UNIT;

        /* Whether it is there. What is free of it is known here. */
        plan_io(plan, "ask for the space", STEP_SHORT, "file-space", directory_of(plan, sr), name_of(sr), sr->id, plan_number(plan, total),
                plan_number(plan, total - file->units.n_used * TABLE_UNIT), plan_number(plan, file->units.n_used * TABLE_UNIT), NULL);
}

static void usage(struct plan *plan, const struct vdi *vdi) {
        plan_io(plan, "ask for the usage", STEP_SHORT, "file-usage", directory_of(plan, vdi->sr), name_of(vdi->sr),
                plan_number(plan, vdi->offset), plan_number(plan, vdi->length), NULL);
}

/* Room */

static int refuse_space(const struct file_place *file, uint64_t needed, struct idl_error *error) {
        return idl_error_set_not_enough_space(error, needed, space_map_longest(&file->units) * TABLE_UNIT);
}

static int take(struct vdi *vdi, struct idl_error *error) {
        struct file_place *file = vdi->sr->file;
        uint64_t slot, first;

        if (space_map_take(&file->slots, 1, &slot) < 0)
                return idl_error_set_limit_exceeded(error, "disks in this storage repository", file->slots.n + 1, file->slots.n);
        if (space_map_take(&file->units, units(vdi->size), &first) < 0) {
                space_map_give(&file->slots, slot, 1);
                return refuse_space(file, units(vdi->size) * TABLE_UNIT, error);
        }
        vdi->has_range = true;
        vdi->slot = (uint32_t) slot;
        vdi->offset = file->data + first * TABLE_UNIT;
        vdi->length = units(vdi->size) * TABLE_UNIT;
        return 0;
}

static void give(struct vdi *vdi) {
        struct file_place *file = vdi->sr->file;

        if (!vdi->has_range || !file)
                return;
        space_map_give(&file->units, (vdi->offset - file->data) / TABLE_UNIT, units(vdi->length));
        space_map_give(&file->slots, vdi->slot, 1);
        vdi->has_range = false;
}

/* Disks */

static void zero(struct plan *plan, const struct sr *sr, uint64_t offset, uint64_t length) {
        plan_io(plan, "clear the disk", 0, "zero", directory_of(plan, sr), name_of(sr), plan_number(plan, offset),
                plan_number(plan, length), NULL)
                ->weight = 5;
}

static const char *hex(struct plan *plan, const char *name) {
        char text[2 * TABLE_NAME_MAX + 2] = "x";

        for (size_t i = 0; name[i] && i < TABLE_NAME_MAX; i++)
                snprintf(text + 1 + 2 * i, 3, "%02x", (unsigned char) name[i]);
        return plan_text(plan, "%s", text);
}

static void set_entry(struct plan *plan, const struct vdi *vdi, uint64_t size, uint64_t length) {
        unsigned flags =
                (vdi->read_only ? TABLE_READ_ONLY : 0) | (vdi->sharable ? TABLE_SHARABLE : 0) | (vdi->snapshot ? TABLE_SNAPSHOT : 0);
        char snapshot_of[UUID_TEXT_SIZE] = "-";

        if (!uuid_is_null(&vdi->snapshot_of))
                uuid_format(&vdi->snapshot_of, snapshot_of);
        plan_io(plan, "write the table", STEP_COMMIT, "file-set", directory_of(plan, vdi->sr), name_of(vdi->sr),
                plan_number(plan, vdi->slot), vdi->id, plan_number(plan, vdi->offset), plan_number(plan, length), plan_number(plan, size),
                plan_number(plan, flags), plan_number(plan, vdi->created_usec), snapshot_of, hex(plan, vdi->name), NULL);
}

static void begin(struct plan *plan, const struct vdi *vdi) {
        zero(plan, vdi->sr, vdi->offset, vdi->length);
}

static void publish(struct plan *plan, const struct vdi *vdi) {
        set_entry(plan, vdi, vdi->size, vdi->length);
}

static void make(struct plan *plan, const struct vdi *vdi) {
        begin(plan, vdi);
        publish(plan, vdi);
}

static void note(struct plan *plan, const struct vdi *vdi) {
        if (vdi->has_range)
                publish(plan, vdi);
}

static void remove_disks(struct plan *plan, const struct sr *sr, const struct vdi *const *vdis, size_t n) {
        for (size_t i = 0; i < n; i++)
                plan_io(plan, "remove the disk", STEP_COMMIT, "file-clear", directory_of(plan, sr), name_of(sr),
                        vdis[i]->has_range ? plan_number(plan, vdis[i]->slot) : "-", vdis[i]->id, NULL);
}

static void sync_disk(struct plan *plan, const struct vdi *vdi) {
        plan_io(plan, "write the disk out", 0, "sync", directory_of(plan, vdi->sr), name_of(vdi->sr), NULL);
}

static void place(struct plan *plan, const struct vdi *vdi, bool begun, struct place *ret_place) {
        *ret_place = (struct place) {
                .directory = directory_of(plan, vdi->sr),
                .name = name_of(vdi->sr),
                .is_range = true,
                .is_device = vdi->sr->file->is_device,
                .offset = vdi->offset,
                .length = vdi->size,
                .format = XCP_VDI_FORMAT_RAW,
        };
}

/* In place: what is behind it is free, or it cannot be. */
static int grow(struct plan *plan, struct vdi *vdi, uint64_t size, struct idl_error *error) {
        struct file_place *file = vdi->sr->file;
        uint64_t first = (vdi->offset - file->data) / TABLE_UNIT, had = units(vdi->length), more = units(size) - had;
        uint64_t length = vdi->length + more * TABLE_UNIT;

        if (units(size) > had && space_map_take_at(&file->units, first + had, more) < 0)
                return refuse_space(file, more * TABLE_UNIT, error);
        if (size > vdi->length)
                zero(plan, vdi->sr, vdi->offset + vdi->length, length - vdi->length);
        set_entry(plan, vdi, size, length);
        return 0;
}

static void grown(struct vdi *vdi, uint64_t size, bool done) {
        struct file_place *file = vdi->sr->file;
        uint64_t had = units(vdi->length), has = units(size);

        if (has <= had)
                return;
        if (done)
                vdi->length = has * TABLE_UNIT;
        else
                space_map_give(&file->units, (vdi->offset - file->data) / TABLE_UNIT + had, has - had);
}

/* Import and export */

static int on_checked(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->new_vdi;
        struct plan *plan = &operation->plan;
        struct place from, to;
        int r;

        r = spec_take_image_size(&vdi->size, operation->size, error);
        if (r >= 0)
                r = take(vdi, error);
        if (r < 0)
                return r;
        place(plan, operation->stage, true, &from);
        from.format = XCP_VDI_FORMAT_QCOW2;
        place(plan, vdi, true, &to);
        begin(plan, vdi);
        plan_convert(plan, &from, &to);
        plan->steps[plan->n_steps > 0 ? plan->n_steps - 1 : 0].flags |= STEP_UNTRUSTED;
        publish(plan, vdi);
        return 0;
}

/* A qcow2 image passes through a range that is never in the table. */
static int import_qcow2(struct plan *plan, struct vdi *stage, int fd, uint64_t source_size, struct idl_error *error) {
        struct place to;
        int r;

        if (source_size == 0)
                return idl_error_set_not_supported(error, "import of Qcow2 into this kind of SR from anything but a file");
        stage->size = (source_size + 511) / 512 * 512;
        r = take(stage, error);
        if (r < 0)
                return r;
        place(plan, stage, true, &to);
        begin(plan, stage);
        plan_read_in(plan, fd, &to, stage->size, "-");
        plan_io(plan, "look at what is imported", STEP_UNTRUSTED, "qcow2-check", to.directory, to.name, plan_number(plan, to.offset), NULL)
                ->then = on_checked;
        return 0;
}

static int import(struct plan *plan, struct vdi *vdi, struct vdi *stage, int fd, enum xcp_vdi_format format, uint64_t source_size,
                  struct idl_error *error) {
        struct place to;
        int r;

        if (format == XCP_VDI_FORMAT_QCOW2)
                return import_qcow2(plan, stage, fd, source_size, error);
        if (vdi->size == 0 && source_size == 0)
                return idl_error_set_invalid_argument(error, "spec.size", "", "has to be given, as what is read is no file");
        if (vdi->size == 0)
                vdi->size = (source_size + 511) / 512 * 512;
        r = take(vdi, error);
        if (r < 0)
                return r;
        place(plan, vdi, true, &to);
        begin(plan, vdi);
        plan_read_in(plan, fd, &to, vdi->size, "-");
        publish(plan, vdi);
        return 0;
}

static int export(struct plan *plan, const struct vdi *vdi, const struct vdi *stage, int fd, enum xcp_vdi_format format,
                  struct idl_error *error) {
        struct place from;

        if (format != XCP_VDI_FORMAT_RAW)
                return idl_error_set_not_supported(error, "export as Qcow2 from this kind of SR");
        place(plan, vdi, false, &from);
        plan_write_out(plan, &from, vdi->size, fd);
        return 0;
}

/* After a crash */

static void look(struct plan *plan, const struct sr *sr, struct intent *intent) {
        plan_io(plan, "look at the disk", STEP_TOLERATE, "file-find", directory_of(plan, sr), name_of(sr), intent->id, NULL)->intent =
                intent;
}

static void recover(struct plan *plan, const struct sr *sr, struct intent *intent) {
        if (intent->kind == INTENT_RESIZE)
                look(plan, sr, intent);
        else
                plan_io(plan, "remove what is left of a disk", 0, "file-clear", directory_of(plan, sr), name_of(sr), "-", intent->id, NULL);
}

/* Data paths */

static int data_path(const struct vdi *vdi, struct idl_arena *arena, struct xcp_data_path *path) {
        struct xcp_dict_s_s_entry *parameters = idl_arena_alloc(arena, 3, sizeof *parameters);
        const char *offset = idl_arena_printf(arena, "%llu", (unsigned long long) vdi->offset);
        const char *size = idl_arena_printf(arena, "%llu", (unsigned long long) vdi->size);

        if (!parameters || !offset || !size)
                return -ENOMEM;
        parameters[0] = (struct xcp_dict_s_s_entry) { "format", "raw" };
        parameters[1] = (struct xcp_dict_s_s_entry) { "offset", offset };
        parameters[2] = (struct xcp_dict_s_s_entry) { "size", size };
        path->path = sr_config(vdi->sr, "path");
        path->parameters = parameters;
        path->n_parameters = 3;
        return 0;
}

static const struct xcp_dict_s_s_entry options[] = {
        {"path", "The file or block device, by its absolute path. CreateSR() makes the file, or takes what is all zeros at its beginning."},
        {"size", "Bytes, or with K, M, G or T: of a file that CreateSR() makes, or how much of a larger one or a device is used."},
        {"read-only", "yes: nothing is ever written to it. no, the default: it is written to if that is possible."},
};

const struct driver driver_file = {
        .name = "file",
        .description = "One file or block device with a table of the disks in it, without loop device or mount.",
        .features = (const char *const[]) { "raw", "snapshot", "clone", "resize", "import", "export", "file", NULL },
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .formats = 1u << XCP_VDI_FORMAT_RAW,
        .default_format = XCP_VDI_FORMAT_RAW,
        .data_paths = 1u << XCP_DATA_PATH_KIND_FILE | 1u << XCP_DATA_PATH_KIND_XEN_BLOCK | SERVER_KINDS,
        .check_config = check_config,
        .make_sr = make_sr,
        .unmake_sr = unmake_sr,
        .scan = scan,
        .scan_line = on_scan_line,
        .attach = attach,
        .adopt = adopt,
        .detach = detach,
        .space = space,
        .usage = usage,
        .take = take,
        .give = give,
        .make = make,
        .begin = begin,
        .publish = publish,
        .remove = remove_disks,
        .sync = sync_disk,
        .import = import,
        .export = export,
        .grow = grow,
        .grown = grown,
        .note = note,
        .recover = recover,
        .look = look,
        .place = place,
        .data_path = data_path,
};
