/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Drivers: the steps that they plan, and what they understand of what the steps say. No step is run. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "operation.h"
#include "table.h"

#define SR_ID "11111111-1111-4111-8111-111111111111"
#define VDI_ID "22222222-2222-4222-8222-222222222222"
#define OTHER_ID "33333333-3333-4333-8333-333333333333"
#define MIB TABLE_UNIT

struct fixture {
        struct storage storage;
        struct sr *sr;
        struct vdi *vdi, *other;
        struct idl_arena arena;
        struct plan plan;
        struct idl_error error;
};

static struct vdi *make_vdi(struct sr *sr, const char *id, uint64_t size) {
        struct uuid uuid;
        struct vdi *vdi;

        g_assert_cmpint(uuid_parse(id, &uuid), ==, 0);
        g_assert_cmpint(vdi_new(&vdi, sr, &uuid, "a, b", ""), ==, 0);
        vdi->size = size;
        vdi->format = XCP_VDI_FORMAT_RAW;
        return vdi;
}

static void set_up(struct fixture *f, gconstpointer driver) {
        const struct xcp_dict_s_s_entry config[] = { { "path", "/srv/a,b/disks" } };

        g_assert_cmpint(sr_new(&f->sr, &f->storage, SR_ID, "sr", driver), ==, 0);
        g_assert_cmpint(sr_set_config(f->sr, config, 1), ==, 0);
        f->vdi = make_vdi(f->sr, VDI_ID, 3 * MIB);
        f->other = make_vdi(f->sr, OTHER_ID, MIB);
        f->plan = (struct plan) { .arena = &f->arena, .io_program = "io" };
}

static void tear_down(struct fixture *f, gconstpointer driver) {
        vdi_unref(f->vdi);
        vdi_unref(f->other);
        sr_unref(f->sr);
        idl_arena_done(&f->arena);
        idl_error_done(&f->error);
}

/* A step as one line. */
static void is_step(const struct fixture *f, size_t i, const char *expected) {
        g_autofree char *line = NULL;

        g_assert_cmpint(f->plan.r, ==, 0);
        g_assert_cmpuint(i, <, f->plan.n_steps);
        line = g_strjoinv(" ", (char **) f->plan.steps[i].argv);
        g_assert_cmpstr(line, ==, expected);
}

static void test_directory_make(struct fixture *f, gconstpointer driver) {
        f->sr->driver->make(&f->plan, f->vdi);
        g_assert_cmpuint(f->plan.n_steps, ==, 1);
        is_step(f, 0, "io directory-create /srv/a,b/disks " VDI_ID " 3145728");
        g_assert_true(f->plan.steps[0].flags & STEP_COMMIT);
}

static void test_directory_image(struct fixture *f, gconstpointer driver) {
        f->vdi->format = XCP_VDI_FORMAT_QCOW2;
        f->vdi->parent = f->other;
        f->sr->driver->make(&f->plan, f->vdi);
        is_step(f, 0, "qemu-img create -q -f qcow2 -u -F qcow2 -b " OTHER_ID ".qcow2 /srv/a,b/disks/" VDI_ID ".tmp 3145728");
        is_step(f, 1, "io directory-publish /srv/a,b/disks " VDI_ID " qcow2");
        f->vdi->parent = NULL;
}

static void test_directory_freeze(struct fixture *f, gconstpointer driver) {
        f->sr->driver->freeze(&f->plan, f->vdi, f->other, NULL);
        is_step(f, 0, "qemu-img create -q -f qcow2 -u -F qcow2 -b " OTHER_ID ".qcow2 /srv/a,b/disks/" VDI_ID ".tmp 3145728");
        is_step(f, 1, "io directory-freeze /srv/a,b/disks " VDI_ID " " OTHER_ID);
        g_assert_false(f->plan.steps[0].flags & STEP_COMMIT);
        g_assert_true(f->plan.steps[1].flags & STEP_COMMIT);
}

/* Formats are always said, and a comma in a path is not the end of it. */
static void test_convert(struct fixture *f, gconstpointer driver) {
        struct place from, to;

        f->other->format = XCP_VDI_FORMAT_QCOW2;
        f->sr->driver->place(&f->plan, f->vdi, false, &from);
        f->sr->driver->place(&f->plan, f->other, true, &to);
        plan_convert(&f->plan, &from, &to);
        is_step(f, 0, "qemu-img convert -p -n --target-is-zero --image-opts --target-image-opts "
                      "driver=raw,file.driver=file,file.filename=/srv/a,,b/disks/" VDI_ID ".raw "
                      "driver=qcow2,file.driver=file,file.filename=/srv/a,,b/disks/" OTHER_ID ".tmp");
}

static void test_directory_recovery(struct fixture *f, gconstpointer driver) {
        struct intent make = { .kind = INTENT_MAKE, .id = VDI_ID, .format = XCP_VDI_FORMAT_QCOW2 };
        struct intent freeze = { .kind = INTENT_FREEZE, .id = VDI_ID, .frozen = OTHER_ID, .format = XCP_VDI_FORMAT_QCOW2 };
        struct intent resize = { .kind = INTENT_RESIZE, .id = VDI_ID, .format = XCP_VDI_FORMAT_QCOW2 };

        f->sr->driver->recover(&f->plan, f->sr, &make);
        f->sr->driver->recover(&f->plan, f->sr, &freeze);
        f->sr->driver->recover(&f->plan, f->sr, &resize);
        is_step(f, 0, "io directory-remove /srv/a,b/disks " VDI_ID);
        is_step(f, 1, "io directory-thaw /srv/a,b/disks " VDI_ID " " OTHER_ID);
        is_step(f, 2, "qemu-img check -q -f qcow2 -r leaks /srv/a,b/disks/" VDI_ID ".qcow2");
        is_step(f, 3, "io directory-stat /srv/a,b/disks " VDI_ID " qcow2");
        g_assert_true(f->plan.steps[3].intent == &resize);
}

static void test_directory_scan(struct fixture *f, gconstpointer driver) {
        struct scan *scan;

        g_assert_cmpint(scan_new(&scan, f->sr), ==, 0);
        g_assert_cmpint(scan_line(scan, "sr " SR_ID), ==, 0);
        g_assert_cmpint(scan_line(scan, "read-only 1"), ==, 0);
        g_assert_cmpint(scan_line(scan, "disk " VDI_ID " Qcow2 1048576 " OTHER_ID), ==, 0);
        g_assert_cmpint(scan_line(scan, "disk " OTHER_ID " Raw 512 -"), ==, 0);
        g_assert_cmpint(scan_line(scan, "disk ../../../../etc/passwd Raw 512 -"), ==, -EBADMSG);
        g_assert_cmpint(scan_line(scan, "nonsense"), ==, -EBADMSG);
        g_assert_false(scan->is_complete);
        g_assert_cmpint(scan_line(scan, "end"), ==, 0);
        g_assert_true(scan->is_complete && scan->read_only);
        g_assert_cmpuint(scan->n_disks, ==, 2);
        g_assert_true(scan->disks[0].has_backing && !scan->disks[1].has_backing);
        scan_free(scan);
}

static void attach_file(struct fixture *f, const char *entry) {
        struct scan *scan;

        g_assert_cmpint(scan_new(&scan, f->sr), ==, 0);
        g_assert_cmpint(scan_line(scan, "layout 17825792 1048576 64 0"), ==, 0);        /* 16 units */
        if (entry)
                g_assert_cmpint(scan_line(scan, entry), ==, 0);
        g_assert_cmpint(f->sr->driver->attach(f->sr, scan), ==, 0);
        scan_free(scan);
}

static void test_file_make(struct fixture *f, gconstpointer driver) {
        attach_file(f, NULL);
        g_assert_cmpint(f->sr->driver->take(f->vdi, &f->error), ==, 0);
        f->sr->driver->make(&f->plan, f->vdi);
        is_step(f, 0, "io zero /srv/a,b disks 1048576 3145728");
        is_step(f, 1, "io file-set /srv/a,b disks 0 " VDI_ID " 1048576 3145728 3145728 0 0 - x612c2062");
        g_assert_cmpint(f->sr->driver->take(f->other, &f->error), ==, 0);
        g_assert_cmpuint(f->other->offset, ==, 4 * MIB);
        f->sr->driver->give(f->vdi);
        f->sr->driver->give(f->other);
}

static void test_file_is_full(struct fixture *f, gconstpointer driver) {
        attach_file(f, "entry " OTHER_ID " 5 2097152 12582912 512 0 1 - x");     /* units 1 to 12 of 16 */
        f->vdi->size = 4 * MIB;
        g_assert_cmpint(f->sr->driver->take(f->vdi, &f->error), ==, -ENOSPC);
        g_assert_cmpstr(f->error.message, ==, "4 MiB of disk space are needed, and 3 MiB are free");
        idl_error_done(&f->error);
        f->vdi->size = 3 * MIB;
        g_assert_cmpint(f->sr->driver->take(f->vdi, &f->error), ==, 0);
        g_assert_cmpuint(f->vdi->offset, ==, 14 * MIB);
        f->sr->driver->give(f->vdi);
}

static void test_file_grow(struct fixture *f, gconstpointer driver) {
        attach_file(f, NULL);
        g_assert_cmpint(f->sr->driver->take(f->vdi, &f->error), ==, 0);
        g_assert_cmpint(f->sr->driver->grow(&f->plan, f->vdi, 5 * MIB - 512, &f->error), ==, 0);
        is_step(f, 0, "io zero /srv/a,b disks 4194304 2097152");
        is_step(f, 1, "io file-set /srv/a,b disks 0 " VDI_ID " 1048576 5242880 5242368 0 0 - x612c2062");
        f->sr->driver->grown(f->vdi, 5 * MIB - 512, true);
        g_assert_cmpuint(f->vdi->length, ==, 5 * MIB);
        g_assert_cmpint(f->sr->driver->take(f->other, &f->error), ==, 0);
        g_assert_cmpint(f->sr->driver->grow(&f->plan, f->vdi, 6 * MIB, &f->error), ==, -ENOSPC);
        f->sr->driver->give(f->other);
        f->sr->driver->give(f->vdi);
}

/* Two processes read and write parts of one file at the same time: QEMU must not lock all of it. */
static void test_file_convert(struct fixture *f, gconstpointer driver) {
        struct place from, to;

        attach_file(f, NULL);
        g_assert_cmpint(f->sr->driver->take(f->vdi, &f->error), ==, 0);
        f->sr->driver->place(&f->plan, f->vdi, false, &from);
        to = from;
        from.format = XCP_VDI_FORMAT_QCOW2;
        plan_convert(&f->plan, &from, &to);
        is_step(f, 0, "qemu-img convert -p -n --target-is-zero --image-opts --target-image-opts "
                      "driver=qcow2,file.driver=raw,file.offset=1048576,file.size=3145728,file.file.driver=file,file.file.locking=off,"
                      "file.file.filename=/srv/a,,b/disks "
                      "driver=raw,offset=1048576,size=3145728,file.driver=file,file.locking=off,file.filename=/srv/a,,b/disks");
        f->sr->driver->give(f->vdi);
}

static void test_file_scan_overlap(struct fixture *f, gconstpointer driver) {
        struct scan *scan;

        g_assert_cmpint(scan_new(&scan, f->sr), ==, 0);
        g_assert_cmpint(scan_line(scan, "layout 17825792 1048576 64 0"), ==, 0);
        g_assert_cmpint(scan_line(scan, "entry " VDI_ID " 0 1048576 2097152 512 0 1 - x"), ==, 0);
        g_assert_cmpint(scan_line(scan, "entry " OTHER_ID " 1 2097152 1048576 512 0 1 - x"), ==, 0);
        g_assert_cmpint(f->sr->driver->attach(f->sr, scan), ==, -EBUSY);
        g_assert_null(f->sr->file);
        g_assert_cmpint(scan_line(scan, "entry " OTHER_ID " 1 2097152"), ==, -EBADMSG);
        scan_free(scan);
}

static void test_a_path_of_the_root(struct fixture *f, gconstpointer driver) {
        const struct xcp_dict_s_s_entry config[] = { { "path", "/disks" } };

        g_assert_cmpint(sr_set_config(f->sr, config, 1), ==, 0);
        f->sr->driver->scan(&f->plan, f->sr, "-");
        is_step(f, 0, "io file-scan / disks -");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(driver, name, function) g_test_add("/driver/" name, struct fixture, &driver, set_up, function, tear_down)
        ADD(driver_directory, "directory/make", test_directory_make);
        ADD(driver_directory, "directory/image", test_directory_image);
        ADD(driver_directory, "directory/freeze", test_directory_freeze);
        ADD(driver_directory, "directory/convert", test_convert);
        ADD(driver_directory, "directory/recovery", test_directory_recovery);
        ADD(driver_directory, "directory/scan", test_directory_scan);
        ADD(driver_file, "file/make", test_file_make);
        ADD(driver_file, "file/is-full", test_file_is_full);
        ADD(driver_file, "file/grow", test_file_grow);
        ADD(driver_file, "file/convert", test_file_convert);
        ADD(driver_file, "file/scan-overlap", test_file_scan_overlap);
        ADD(driver_file, "file/a-path-of-the-root", test_a_path_of_the_root);
        return g_test_run();
}
