/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Figures of a QEMU guest: of its process, its block nodes, and its tap devices. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "clock.h"
#include "devices.h"
#include "operations.h"
#include "tap.h"

/* proc(5), /proc/PID/stat: utime and stime are fields 14 and 15, rss is 24. */
static int read_process(pid_t pid, uint64_t *ret_cpu_usec, uint64_t *ret_memory) {
        char path[64], text[1024], *p;
        uint64_t user, system, resident;
        AUTO_CLOSE int fd = -1;
        ssize_t n;

        snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        if (n < 0)
                return -ESRCH;
        text[n] = '\0';
        p = strrchr(text, ')');
        if (!p || sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %*d %*d %*d %*d %*d %*d %*u %*u %" SCNu64,
                         &user, &system, &resident) != 3)
                return -ESRCH;
        *ret_cpu_usec = (user + system) * (UINT64_C(1000000) / (uint64_t) sysconf(_SC_CLK_TCK));
        *ret_memory = resident * (uint64_t) sysconf(_SC_PAGESIZE);
        return 0;
}

static void count_process(struct qemu_action *action) {
        struct xcp_vm_statistics *statistics = &action->call->statistics;
        const struct qemu_guest *guest = action->guest;
        uint64_t now = clock_now_usec(CLOCK_REALTIME);

        *statistics = (struct xcp_vm_statistics) {};
        if (guest->process && read_process(process_identity(guest->process).pid, &statistics->cpu_time_us, &statistics->memory) >= 0) {
                statistics->has_cpu_time_us = statistics->has_memory = true;
                if (guest->facts.phase == FACTS_STARTED && now > guest->facts.started_usec)     /* the clock may have been set back */
                        statistics->uptime_us = now - guest->facts.started_usec;
        }
        action_end(action, 0, NULL);
}

int statistics_vm(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "count", &action);
        if (r >= 0)
                action_wait(action, 0, count_process);
        return r;
}

/* Disks */

static uint64_t number(struct json_object *object, const char *name) {
        struct json_object *value;

        return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, json_type_int)
                       ? json_object_get_uint64(value) : 0;
}

static bool is_of(struct json_object *entry, const char *id) {
        struct json_object *path;
        const char *whole, *name;

        if (!json_object_is_type(entry, json_type_object) || !json_object_object_get_ex(entry, "qdev", &path) ||
            !json_object_is_type(path, json_type_string))
                return false;
        whole = json_object_get_string(path);   /* the identifier alone, or a path in which it is a part */
        if (strcmp(whole, id) == 0)
                return true;
        name = strstr(whole, id);
        return name && name > whole && name[-1] == '/' && (name[strlen(id)] == '\0' || name[strlen(id)] == '/');
}

static void on_blockstats(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct xcp_disk_statistics *statistics = &action->call->disk_statistics;
        size_t n = r >= 0 && json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
        struct json_object *figures;

        if (r < 0) {
                action_fail(action, why);
                return;
        }
        *statistics = (struct xcp_disk_statistics) {};
        for (size_t i = 0; i < n; i++) {
                struct json_object *entry = json_object_array_get_idx(value, i);

                if (!is_of(entry, action->id) || !json_object_object_get_ex(entry, "stats", &figures) ||
                    !json_object_is_type(figures, json_type_object))
                        continue;
                *statistics = (struct xcp_disk_statistics) {
                        .read_bytes = number(figures, "rd_bytes"),
                        .read_operations = number(figures, "rd_operations"),
                        .written_bytes = number(figures, "wr_bytes"),
                        .write_operations = number(figures, "wr_operations"),
                        .errors = number(figures, "failed_rd_operations") + number(figures, "failed_wr_operations"),
                };
        }
        action_end(action, 0, NULL);
}

int statistics_disk(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "count", &action);
        if (r < 0)
                return r;
        device_id(true, name, action->id);
        action_execute(action, "query-blockstats", NULL, -1, on_blockstats);
        return 0;
}

/* Network interfaces */

static void count_network(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = tap_statistics(action->guest->uuid, action->node, &action->call->network_statistics);
        if (r < 0)
                r = idl_error_set_not_supported(&error, "Counting what passes through QEMU's own network");
        action_end(action, r, &error);
        idl_error_done(&error);
}

int statistics_network(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "count", &action);
        if (r < 0)
                return r;
        snprintf(action->node, sizeof action->node, "%s", name);
        action_wait(action, 0, count_network);
        return 0;
}
