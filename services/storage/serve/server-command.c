/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Command lines of xcp-vhost-blk and qemu-storage-daemon, which over vhost-user has xcp-vhost-relay before it. */

#include "server-command.h"

#include <errno.h>
#include <string.h>

#include "driver.h"
#include "plan.h"

#define ARGUMENTS_MAX 40u
#define QEMU_QUEUES "4"                         /* of a vhost-user export: a guest uses as many as it likes of them */

struct command {
        struct plan plan;                       /* for the texts; it has no steps */
        const char *argv[ARGUMENTS_MAX];
        size_t n;
};

static void add(struct command *command, const char *argument) {
        if (command->n < ARGUMENTS_MAX - 1)
                command->argv[command->n++] = argument;
}

bool server_is_ours(const struct vdi *vdi, const struct data_path *path) {
        return path->kind == XCP_DATA_PATH_KIND_VHOST_USER && vdi->format == XCP_VDI_FORMAT_RAW;
}

uint64_t server_told_size(const struct vdi *vdi) {
        return vdi->has_range ? vdi->size : 0;  /* a file of its own is as large as its disk */
}

static void vhost_blk(struct command *command, const struct vdi *vdi, const struct data_path *path, bool stands_by, const struct place *place) {
        char serial[21] = "";
        size_t n = 0;

        for (const char *p = vdi->id; *p && n < sizeof serial - 1; p++)
                if (*p != '-')
                        serial[n++] = *p;
        add(command, vdi->sr->storage->vhost_program);
        add(command, "--fd=3");
        add(command, "--control=4");
        add(command, "--counters=5");
        add(command, plan_text(&command->plan, "--blk-dir=%s", place->directory));
        add(command, plan_text(&command->plan, "--blk-file=%s", place->name));
        add(command, plan_text(&command->plan, "--serial=%s", serial));
        if (place->is_range) {
                add(command, plan_text(&command->plan, "--offset=%llu", (unsigned long long) place->offset));
                add(command, plan_text(&command->plan, "--size=%llu", (unsigned long long) vdi->size));
        }
        if (vdi->iops_limit > 0)
                add(command, plan_text(&command->plan, "--iops=%llu", (unsigned long long) vdi->iops_limit));
        if (vdi->rate_limit > 0)
                add(command, plan_text(&command->plan, "--bandwidth=%llu", (unsigned long long) vdi->rate_limit));
        if (path->mode == XCP_DISK_MODE_READ_ONLY)
                add(command, "--read-only");
        if (vdi->sharable)
                add(command, "--share");
        if (stands_by)
                add(command, "--standby");
}

bool server_is_relayed(const struct vdi *vdi, const struct data_path *path) {
        return path->kind == XCP_DATA_PATH_KIND_VHOST_USER && vdi->format != XCP_VDI_FORMAT_RAW;
}

/* A node on top of the image, which the export is of: also without limits, as there may be some later. In QEMU, too, 0 is no limit. */
static void throttle(struct command *command, const struct vdi *vdi, bool read_only) {
        add(command, "--object");
        add(command, plan_text(&command->plan, "throttle-group,id=" SERVER_LIMITS ",limits.iops-total=%llu,limits.bps-total=%llu",
                               (unsigned long long) vdi->iops_limit, (unsigned long long) vdi->rate_limit));
        add(command, "--blockdev");
        add(command, plan_text(&command->plan, "throttle,node-name=" SERVER_EXPORT ",file=image,throttle-group=" SERVER_LIMITS ",discard=unmap,read-only=%s",
                               read_only ? "on" : "off"));
}

static void export(struct command *command, const struct data_path *path) {
        add(command, "--export");
        add(command, plan_text(&command->plan, "id=" SERVER_EXPORT ",node-name=" SERVER_EXPORT ",writable=%s,%s",
                               path->mode == XCP_DISK_MODE_READ_ONLY ? "off" : "on",
                               path->kind == XCP_DATA_PATH_KIND_NBD ?
                                       "type=nbd,name=" SERVER_EXPORT :
                                       "type=vhost-user-blk,addr.type=fd,addr.str=3,num-queues=" QEMU_QUEUES));
}

/* The same export, of nothing, which has nothing to do but to say what it is. */
static void understudy(struct command *command, const struct vdi *vdi, const struct data_path *path) {
        add(command, "--");
        add(command, "qemu-storage-daemon");
        add(command, "--blockdev");
        add(command, plan_text(&command->plan, "null-co,node-name=" SERVER_EXPORT ",size=%llu,read-only=%s", (unsigned long long) vdi->size,
                               path->mode == XCP_DISK_MODE_READ_ONLY ? "on" : "off"));
        export(command, path);
}

static void qemu(struct command *command, const struct vdi *vdi, const struct data_path *path, bool stands_by, const struct place *place) {
        bool read_only = path->mode == XCP_DISK_MODE_READ_ONLY;

        if (server_is_relayed(vdi, path))
                add(command, vdi->sr->storage->relay_program);
        add(command, "qemu-storage-daemon");
        add(command, "--blockdev");
        add(command, plan_text(&command->plan, "%s,node-name=image,discard=unmap,read-only=%s", plan_image(&command->plan, place),
                               read_only ? "on" : "off"));
        throttle(command, vdi, read_only);
        add(command, "--chardev");
        add(command, "socket,id=control,fd=4");
        add(command, "--monitor");
        add(command, "chardev=control");
        if (path->kind == XCP_DATA_PATH_KIND_NBD) {
                add(command, "--nbd-server");
                add(command, "addr.type=fd,addr.str=3,max-connections=16");
        }
        export(command, path);
        if (stands_by)
                understudy(command, vdi, path);
}

int server_command(const struct vdi *vdi, const struct data_path *path, bool stands_by, struct idl_arena *arena, const char *const **ret_argv) {
        struct command command = { .plan = { .arena = arena } };
        struct place place = {};

        vdi->sr->driver->place(&command.plan, vdi, false, &place);
        if (server_is_ours(vdi, path))
                vhost_blk(&command, vdi, path, stands_by, &place);
        else
                qemu(&command, vdi, path, stands_by, &place);
        if (command.plan.r < 0)
                return command.plan.r;
        *ret_argv = idl_arena_memdup(arena, command.argv, command.n + 1, sizeof *command.argv);
        return *ret_argv ? 0 : -ENOMEM;
}
