/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-storage: the storage service. It starts with what its database knows, and looks at each storage repository that was attached. */

#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exported.h"
#include "handover-storage.h"
#include "hold.h"
#include "keeper.h"
#include "operation.h"
#include "operations.h"
#include "server.h"
#include "store.h"

#define PROBE_INTERVAL_USEC UINT64_C(5000000)   /* of storage repositories that are unreachable */

static bool is_in_tree(void) {
        static const char build_root[] = STORAGE_BUILD_ROOT "/";
        char path[PATH_MAX] = "";
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

        return n > 0 && strncmp(path, build_root, sizeof build_root - 1) == 0;
}

/* In the build tree, the program beside this one. */
const char *storage_io_program(void) {
        return is_in_tree() ? STORAGE_BUILD_ROOT "/services/storage/xcp-storage-io" : STORAGE_LIBEXEC "/xcp-storage-io";
}

static int on_probe(sd_event_source *source, uint64_t usec, void *userdata) {
        struct storage *storage = userdata;
        int r;

        for (struct sr *sr = storage->srs, *next; sr; sr = next) {
                next = sr->next;
                if (sr->state == XCP_SR_STATE_UNREACHABLE && sr->path)
                        sr_probe(sr);
        }
        r = sd_event_source_set_time_relative(source, PROBE_INTERVAL_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int storage_start_probes(struct storage *storage) {
        for (struct sr *sr = storage->srs, *next; sr; sr = next) {
                next = sr->next;
                sr_probe(sr);
        }
        return sd_event_add_time_relative(storage->event, &storage->prober, CLOCK_MONOTONIC, PROBE_INTERVAL_USEC, 0, on_probe, storage);
}

static void check_qemu(struct storage *storage) {
        if (access("/usr/bin/qemu-img", X_OK) < 0 && access("/usr/local/bin/qemu-img", X_OK) < 0)
                diagnostics_problem(service_diagnostics(storage->service), HEALTH_DEGRADED, "qemu-img",
                                    "qemu-img is not installed: disks in the format Qcow2 and copies of disks fail");
}

static int storage_start(struct service *service, void **ret_userdata) {
        struct storage *storage;
        int r;

        storage = calloc(1, sizeof *storage);
        if (!storage)
                return -ENOMEM;
        *ret_userdata = storage;        /* from here on, storage_stop() frees what there is */
        storage->service = service;
        storage->bus = service_bus(service);
        storage->event = service_event(service);
        storage->db = service_database(service);
        storage->io_program = storage_io_program();
        storage->vhost_program = is_in_tree() ? STORAGE_BUILD_ROOT "/vhost/blk/xcp-vhost-blk" : STORAGE_BIN "/xcp-vhost-blk";
        storage->relay_program = is_in_tree() ? STORAGE_BUILD_ROOT "/vhost/relay/xcp-vhost-relay" : STORAGE_LIBEXEC "/xcp-vhost-relay";

        r = operations_init(storage);
        if (r >= 0)
                r = operation_counters_init(storage);
        if (r >= 0)
                r = sr_export(storage);
        if (r >= 0)
                r = vdi_export_objects(storage);
        if (r >= 0)
                r = manager_export(storage);
        if (r >= 0)
                r = store_load(storage);
        if (r < 0)
                return r;
        check_qemu(storage);
        return 0;
}

static void nothing(void *item) {
}

static void storage_stop(void *userdata) {
        struct storage *storage = userdata;

        operations_stop(storage);
        servers_stop(storage);
        holds_stop(storage);
        keeper_free(storage->keeper);
        sd_event_source_disable_unref(storage->prober);
        objects_free(storage->vdi_objects);     /* says nothing to anybody: the objects are still there, only the service is not */
        objects_free(storage->sr_objects);
        while (storage->srs) {
                struct sr *sr = storage->srs;

                while (sr->first) {
                        struct vdi *vdi = sr->first;

                        sr->first = vdi->next;
                        vdi_unref(vdi);
                }
                storage->srs = sr->next;
                sr_unref(sr);
        }
        tdestroy(storage->vdis, nothing);
        tdestroy(storage->making, nothing);
        free(storage->counters);
        free(storage);
}

static void storage_dump(void *userdata, FILE *f) {
        const struct storage *storage = userdata;

        for (const struct sr *sr = storage->srs; sr; sr = sr->next)
                fprintf(f, "%s %s %s %s%s %s, %zu disks, %zu data paths, %llu bytes promised, %zu operations%s%s\n", sr->id,
                        sr->driver->name, sr->name, xcp_sr_state_to_string(sr->state), sr->read_only ? " read-only" : "",
                        sr_config(sr, "path") ?: "", sr->n_vdis, sr->n_data_paths, (unsigned long long) sr->promised, sr->n_operations,
                        *sr->reason ? ": " : "", sr->reason);
        fprintf(f, "%zu operations, %u quick and %u slow ones running, %zu and %zu waiting for a place\n", storage->n_operations,
                storage->quick.n_shared, storage->slow.n_shared, storage->quick.n_waiting, storage->slow.n_waiting);
        for (const struct operation *operation = storage->operations; operation; operation = operation->next) {
                static const char *const states[] = { "waiting", "ready", "running", "undoing" };

                fprintf(f, "%s %s %s, step %zu of %zu\n", operation->kind->name, operation->vdi ? operation->vdi->id : "",
                        states[operation->state], operation->i_step, operation->plan.n_steps);
        }
}

static const char *const features[] = { "driver-directory", "driver-file", "data-path-file", "data-path-nbd", "data-path-vhost-user", "qcow2", "handover", NULL };

int main(int argc, char **argv) {
        const struct service_kind kind = {
                .name = "storage",
                .about = "Storage repositories and their disks.",
                .features = features,
                .schema = store_schema,
                .start = storage_start,
                .stop = storage_stop,
                .handover = &storage_handover,
                .dump = storage_dump,
        };

        return service_main(&kind, argc, argv);
}
