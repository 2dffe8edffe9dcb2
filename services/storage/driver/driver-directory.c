/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Storage repositories that are directories: a disk is a file UUID.raw or UUID.qcow2 in it. io/directory.c does what is said here.
 *
 * A qcow2 image on top of another names it as its backing file; images that others are on top of never change.
 */

#include <errno.h>
#include <string.h>

#include "idl-errors.h"
#include "operation.h"
#include "server.h"
#include "spec.h"

static const char *directory_of(const struct sr *sr) {
        return sr_config(sr, "path");
}

static const char *extension(enum xcp_vdi_format format) {
        return format == XCP_VDI_FORMAT_QCOW2 ? "qcow2" : "raw";
}

static const char *path_of(struct plan *plan, const struct vdi *vdi, const char *suffix) {
        return plan_text(plan, "%s/%s.%s", directory_of(vdi->sr), vdi->id, suffix);
}

static int check_config(const struct xcp_dict_s_s_entry *config, size_t n, struct idl_error *error) {
        return spec_check_path(driver_option(config, n, "path"), error);
}

static void make_sr(struct plan *plan, const struct sr *sr) {
        plan_io(plan, "make the storage repository", STEP_COMMIT, "directory-make", directory_of(sr), sr->id, NULL);
}

static void unmake_sr(struct plan *plan, const struct sr *sr) {
        plan_io(plan, "remove the storage repository", STEP_COMMIT, "directory-unmake", directory_of(sr), sr->id, NULL);
}

static void scan(struct plan *plan, const struct sr *sr, const char *expected) {
        plan_io(plan, "look at the storage repository", STEP_SHORT, "directory-scan", directory_of(sr), expected, NULL);
}

/* disk UUID FORMAT SIZE BACKING|- */
static int on_scan_line(struct scan *s, const char *line) {
        char id[UUID_TEXT_SIZE], format[8], backing[UUID_TEXT_SIZE];
        unsigned long long size;
        struct found_disk *disk;
        struct uuid uuid;

        if (sscanf(line, "disk %36s %7s %llu %36s", id, format, &size, backing) != 4 || uuid_parse(id, &uuid) < 0)
                return -EBADMSG;
        disk = scan_add(s, &uuid);
        if (!disk)
                return -ENOMEM;
        disk->size = size;
        disk->has_backing = uuid_parse(backing, &disk->backing) >= 0;
        return xcp_vdi_format_from_string(format, &disk->format) < 0 ? -EBADMSG : 0;
}

static void space(struct plan *plan, const struct sr *sr) {
        plan_io(plan, "ask for the space", STEP_SHORT, "directory-space", directory_of(sr), NULL);
}

static void usage(struct plan *plan, const struct vdi *vdi) {
        for (; vdi; vdi = vdi->parent)
                plan_io(plan, "ask for the usage", STEP_SHORT, "directory-usage", directory_of(vdi->sr),
                        plan_text(plan, "%s.%s", vdi->id, extension(vdi->format)), NULL);
}

/* An image; on top of its parent, if it has one. That need not be there yet, so its size cannot be asked for. */
static void make_image(struct plan *plan, const struct vdi *vdi, const char *parent_id) {
        const char *path = path_of(plan, vdi, "tmp"), *size = plan_number(plan, vdi->size);

        if (parent_id)
                plan_qemu(plan, "make an image", 0, "create", "-q", "-f", "qcow2", "-u", "-F", "qcow2", "-b",
                          plan_text(plan, "%s.qcow2", parent_id), path, size, NULL);
        else
                plan_qemu(plan, "make an image", 0, "create", "-q", "-f", "qcow2", path, size, NULL);
}

static void publish(struct plan *plan, const struct vdi *vdi) {
        plan_io(plan, "keep the disk", STEP_COMMIT, "directory-publish", directory_of(vdi->sr), vdi->id, extension(vdi->format), NULL);
}

static void blank(struct plan *plan, const struct vdi *vdi, const char *suffix, uint64_t size) {
        plan_io(plan, "make a file", 0, "directory-blank", directory_of(vdi->sr), plan_text(plan, "%s.%s", vdi->id, suffix),
                plan_number(plan, size), NULL);
}

static void make(struct plan *plan, const struct vdi *vdi) {
        if (vdi->format == XCP_VDI_FORMAT_RAW) {
                plan_io(plan, "make the disk", STEP_COMMIT, "directory-create", directory_of(vdi->sr), vdi->id,
                        plan_number(plan, vdi->size), NULL);
                return;
        }
        make_image(plan, vdi, vdi->parent ? vdi->parent->id : NULL);
        publish(plan, vdi);
}

static void begin(struct plan *plan, const struct vdi *vdi) {
        if (vdi->format == XCP_VDI_FORMAT_RAW)
                blank(plan, vdi, "tmp", vdi->size);
        else
                make_image(plan, vdi, NULL);
}

static void remove_disks(struct plan *plan, const struct sr *sr, const struct vdi *const *vdis, size_t n) {
        for (size_t i = 0; i < n; i++)
                plan_io(plan, "remove the disk", STEP_COMMIT, "directory-remove", directory_of(sr), vdis[i]->id, NULL);
}

static void sync_disk(struct plan *plan, const struct vdi *vdi) {
        plan_io(plan, "write the disk out", 0, "sync", directory_of(vdi->sr), plan_text(plan, "%s.%s", vdi->id, extension(vdi->format)),
                NULL);
}

static void place(struct plan *plan, const struct vdi *vdi, bool begun, struct place *ret_place) {
        *ret_place = (struct place) {
                .directory = directory_of(vdi->sr),
                .name = plan_text(plan, "%s.%s", vdi->id, begun ? "tmp" : extension(vdi->format)),
                .length = vdi->size,
                .format = vdi->format,
        };
}

/* Import and export */

/* A raw disk is as long as what was read, unless it was to be longer. */
static int on_read_in(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->new_vdi;
        uint64_t size = (operation->bytes + 511) / 512 * 512;

        if (size > vdi->size)
                vdi->size = size;
        if (vdi->size == 0)
                return idl_error_set_invalid_argument(error, "source", "", "has to have at least one byte");
        return 0;
}

static void convert_stage(struct plan *plan, const struct vdi *vdi, const struct vdi *stage, const char *from) {
        blank(plan, vdi, "tmp", 0);
        plan_qemu(plan, "convert what is imported", STEP_UNTRUSTED, "convert", "-p", "-f", from, "-O", extension(vdi->format),
                  path_of(plan, stage, "stage"), path_of(plan, vdi, "tmp"), NULL)
                ->weight = 20;
}

/* What passed through goes before the disk is there. */
static void publish_without_stage(struct plan *plan, const struct vdi *vdi, const struct vdi *stage) {
        plan_io(plan, "remove what passed through", 0, "directory-remove", directory_of(vdi->sr), stage->id, NULL);
        publish(plan, vdi);
}

/* What was read is an image that we take, of a size that is known now. */
static int on_checked(struct operation *operation, struct idl_error *error) {
        struct vdi *vdi = operation->new_vdi;
        struct plan *plan = &operation->plan;
        uint64_t wanted = vdi->size;
        int r;

        r = spec_take_image_size(&vdi->size, operation->size, error);
        if (r < 0)
                return r;
        convert_stage(plan, vdi, operation->stage, "qcow2");
        if (wanted > operation->size)
                plan_qemu(plan, "make the disk larger", 0, "resize", "-q", "-f", extension(vdi->format), path_of(plan, vdi, "tmp"),
                          plan_number(plan, vdi->size), NULL);
        publish_without_stage(plan, vdi, operation->stage);
        return 0;
}

/*
 * What comes as it is stored goes straight into the disk. Anything else is read into a file first, which nobody else can change
 * between the look at its header and the conversion.
 */
static int import(struct plan *plan, struct vdi *vdi, struct vdi *stage, int fd, enum xcp_vdi_format format, uint64_t source_size,
                  struct idl_error *error) {
        bool direct = format == XCP_VDI_FORMAT_RAW && vdi->format == XCP_VDI_FORMAT_RAW;
        const char *suffix = direct ? "tmp" : "stage";
        const struct vdi *file = direct ? vdi : stage;
        struct place to = { .directory = directory_of(vdi->sr), .name = plan_text(plan, "%s.%s", file->id, suffix) };
        uint64_t max = format == XCP_VDI_FORMAT_RAW && vdi->size > 0 ? vdi->size : VDI_SIZE_MAX;

        blank(plan, file, suffix, 0);
        plan_read_in(plan, fd, &to, max, plan_number(plan, format == XCP_VDI_FORMAT_RAW ? vdi->size : 0));
        if (format == XCP_VDI_FORMAT_RAW)
                plan->steps[plan->n_steps - 1].then = on_read_in;
        else {
                plan_io(plan, "look at what is imported", STEP_UNTRUSTED, "qcow2-check", to.directory, to.name, "0", NULL)->then =
                        on_checked;
                return 0;
        }
        if (direct) {
                publish(plan, vdi);
                return 0;
        }
        convert_stage(plan, vdi, stage, "raw");
        publish_without_stage(plan, vdi, stage);
        return 0;
}

static int export(struct plan *plan, const struct vdi *vdi, const struct vdi *stage, int fd, enum xcp_vdi_format format,
                  struct idl_error *error) {
        struct place from;

        place(plan, vdi, false, &from);
        if (format == XCP_VDI_FORMAT_RAW && vdi->format == XCP_VDI_FORMAT_RAW) {
                plan_write_out(plan, &from, vdi->size, fd);
                return 0;
        }
        blank(plan, stage, "stage", 0);
        plan_qemu(plan, "convert what is exported", 0, "convert", "-p", "--image-opts", "-O", extension(format), plan_image(plan, &from),
                  path_of(plan, stage, "stage"), NULL)
                ->weight = 20;
        plan_write_out(plan, &(const struct place) { .directory = directory_of(vdi->sr), .name = plan_text(plan, "%s.stage", stage->id) },
                       UINT64_MAX, fd);
        plan_io(plan, "remove what passed through", 0, "directory-remove", directory_of(vdi->sr), stage->id, NULL);
        return 0;
}

/* Snapshots and sizes */

static void freeze(struct plan *plan, const struct vdi *vdi, const struct vdi *frozen, const struct vdi *clone) {
        make_image(plan, vdi, frozen->id);
        if (clone)
                make_image(plan, clone, frozen->id);
        plan_io(plan, "put the disk on top of its snapshot", STEP_COMMIT, "directory-freeze", directory_of(vdi->sr), vdi->id, frozen->id,
                clone ? clone->id : NULL, NULL);
}

static int grow(struct plan *plan, struct vdi *vdi, uint64_t size, struct idl_error *error) {
        if (vdi->format == XCP_VDI_FORMAT_RAW)
                plan_io(plan, "make the disk larger", STEP_COMMIT, "directory-resize", directory_of(vdi->sr), vdi->id,
                        plan_number(plan, size), NULL);
        else {
                plan_qemu(plan, "make the disk larger", STEP_COMMIT, "resize", "-q", "-f", "qcow2", path_of(plan, vdi, "qcow2"),
                          plan_number(plan, size), NULL);
                sync_disk(plan, vdi);
        }
        return 0;
}

/* After a crash */

static void look(struct plan *plan, const struct sr *sr, struct intent *intent) {
        plan_io(plan, "look at the disk", STEP_TOLERATE, "directory-stat", directory_of(sr), intent->id, extension(intent->format), NULL)
                ->intent = intent;
}

static void recover(struct plan *plan, const struct sr *sr, struct intent *intent) {
        switch (intent->kind) {
        case INTENT_MAKE:
        case INTENT_REMOVE:
                plan_io(plan, "remove what is left of a disk", 0, "directory-remove", directory_of(sr), intent->id, NULL);
                break;
        case INTENT_FREEZE:
                plan_io(plan, "undo a snapshot", 0, "directory-thaw", directory_of(sr), intent->id, intent->frozen,
                        *intent->clone ? intent->clone : NULL, NULL);
                break;
        case INTENT_RESIZE:
                if (intent->format == XCP_VDI_FORMAT_QCOW2)     /* an image that was being enlarged may have lost clusters: exit status 3 */
                        plan_qemu(plan, "check the image", STEP_TOLERATE, "check", "-q", "-f", "qcow2", "-r", "leaks",
                                  plan_text(plan, "%s/%s.qcow2", directory_of(sr), intent->id), NULL);
                look(plan, sr, intent);
                break;
        default:
                break;
        }
}

/* Data paths */

static int data_path(const struct vdi *vdi, struct idl_arena *arena, struct xcp_data_path *path) {
        struct xcp_dict_s_s_entry *parameters = idl_arena_alloc(arena, 1, sizeof *parameters);

        path->path = idl_arena_printf(arena, "%s/%s.%s", directory_of(vdi->sr), vdi->id, extension(vdi->format));
        if (!parameters || !path->path)
                return -ENOMEM;
        parameters[0] = (struct xcp_dict_s_s_entry) { "format", extension(vdi->format) };
        path->parameters = parameters;
        path->n_parameters = 1;
        return 0;
}

static const struct xcp_dict_s_s_entry options[] = {
        { "path", "The directory, by its absolute path. CreateSR() makes it, or takes one that is empty." },
        { "read-only", "yes: nothing is ever written to it. no, the default: it is written to if that is possible." },
};

const struct driver driver_directory = {
        .name = "directory",
        .description = "A directory with a file for each disk: sparse files, or qcow2 images that share what they have in common.",
        .features = (const char *const[]) { "raw", "qcow2", "snapshot", "clone", "resize", "import", "export", "file", NULL },
        .options = options,
        .n_options = sizeof options / sizeof options[0],
        .formats = 1u << XCP_VDI_FORMAT_RAW | 1u << XCP_VDI_FORMAT_QCOW2,
        .default_format = XCP_VDI_FORMAT_RAW,     /* which a reader cannot take for something else */
        .data_paths = 1u << XCP_DATA_PATH_KIND_FILE | 1u << XCP_DATA_PATH_KIND_XEN_BLOCK | SERVER_KINDS,
        .check_config = check_config,
        .make_sr = make_sr,
        .unmake_sr = unmake_sr,
        .scan = scan,
        .scan_line = on_scan_line,
        .space = space,
        .usage = usage,
        .make = make,
        .begin = begin,
        .publish = publish,
        .remove = remove_disks,
        .sync = sync_disk,
        .import = import,
        .export = export,
        .freeze = freeze,
        .grow = grow,
        .recover = recover,
        .look = look,
        .place = place,
        .data_path = data_path,
};
