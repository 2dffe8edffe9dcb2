/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-xenopsd: the VM manager. docs/xenopsd.md */

#include "xenopsd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "attachment.h"
#include "autostart.h"
#include "cleanup.h"
#include "clock.h"
#include "garbage.h"
#include "job.h"
#include "operations.h"
#include "snapshot.h"
#include "vm.h"

#define FIND_MS 15000u                  /* for all VMs to be found when the service starts: three times what one may take */

/* Backends */

int xenopsd_find_backend(struct xenopsd *xenopsd, const char *name, struct backend **ret_backend, struct idl_error *error) {
        for (size_t i = 0; i < xenopsd->n_backends; i++) {
                struct backend *backend = xenopsd->backends + i;
                char what[256];

                if (strcmp(backend->hypervisor->name, name) != 0)
                        continue;
                if (!backend->available) {
                        snprintf(what, sizeof what, "The backend %s (%s)", name, backend->reason ?: "");
                        return idl_error_set_not_supported(error, what);
                }
                *ret_backend = backend;
                return 0;
        }
        return idl_error_set_does_not_exist(error, "backend", name);
}

static bool has_mac(void *userdata, const char *mac) {
        return store_has_mac(((struct xenopsd *) userdata)->store, mac);
}

struct spec_defaults xenopsd_spec_defaults(struct xenopsd *xenopsd) {
        return (struct spec_defaults) { .backend = xenopsd->default_backend, .has_mac = has_mac, .userdata = xenopsd };
}

/* Most hosts have one hypervisor: that others cannot be used is a problem if a VM is theirs. */
static void backend_unusable(struct xenopsd *xenopsd, const struct backend *backend) {
        AUTO_FREE char *name = NULL, *text = NULL;

        if (asprintf(&name, "backend-%s", backend->hypervisor->name) < 0 ||
            asprintf(&text, "The backend %s cannot be used: %s", backend->hypervisor->name, backend->reason) < 0)
                return;
        diagnostics_problem(service_diagnostics(xenopsd->service), HEALTH_DEGRADED, name, text);
}

static int open_backend(struct xenopsd *xenopsd, const struct hypervisor *hypervisor) {
        struct backend *backend = xenopsd->backends + xenopsd->n_backends++;
        AUTO_FREE char *dir = NULL;
        struct hypervisor_host host;
        int r;

        backend->hypervisor = hypervisor;
        if (asprintf(&dir, "%s/%s", service_state_dir(xenopsd->service), hypervisor->name) < 0) {
                dir = NULL;
                return -ENOMEM;
        }
        host = (struct hypervisor_host) { .event = xenopsd->event, .state_dir = dir, .stall_ms = xenopsd->stall_ms, .on_event = vm_on_event };
        r = mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
        if (r >= 0)
                r = admission_open(&backend->admission, xenopsd->event, hypervisor->starts_per_cpu, &xenopsd->n_waiting);
        if (r >= 0)
                r = hypervisor->open(&host, &backend->backend);
        if (r < 0) {
                backend->failure = strdup(strerrordesc_np(-r) ?: "unknown error");
                backend->reason = backend->failure;
        } else
                backend->available = hypervisor->available(backend->backend, &backend->version, &backend->reason);
        return 0;
}

static int open_backends(struct xenopsd *xenopsd) {
        int r = 0;

        for (size_t i = 0; hypervisors[i] && i < XENOPSD_BACKENDS_MAX && r >= 0; i++)
                r = open_backend(xenopsd, hypervisors[i]);
        return r;
}

/* VMs of the store */

static bool is_known(void *userdata, const char *uuid) {
        for (const struct vm *vm = ((struct xenopsd *) userdata)->first; vm; vm = vm->next)
                if (strcmp(vm->uuid, uuid) == 0)
                        return true;
        return false;
}

/* What was known of a VM, until its backend has been asked. */
struct finding {
        struct vm *vm;
        enum xcp_vm_state state;
        enum xcp_vm_state_reason reason;
        char *detail;
        struct finding *next;
};

struct loading {
        struct xenopsd *xenopsd;
        struct finding *first;
};

static void on_restart(void *userdata, uint64_t at_usec) {
        struct vm *vm = userdata;

        restarts_allow(&vm->restarts, at_usec);
}

static int on_vm(void *userdata, const struct xcp_vm_spec *spec, const struct store_fate *fate, const struct store_life *life) {
        struct loading *loading = userdata;
        struct xenopsd *xenopsd = loading->xenopsd;
        struct backend *backend = xenopsd->backends;
        struct finding *finding;
        struct vm *vm;
        int r;

        for (size_t i = 0; i < xenopsd->n_backends; i++)
                if (strcmp(xenopsd->backends[i].hypervisor->name, spec->backend) == 0)
                        backend = xenopsd->backends + i;
        if (!backend->available)
                backend_unusable(xenopsd, backend);
        r = vm_new(&vm, xenopsd, backend, spec);
        if (r < 0)
                return r;
        vm->next = xenopsd->first;
        xenopsd->first = vm;
        xenopsd->n_vms++;
        vm->is_away = fate->is_away;
        vm->saved_vdi = fate->saved_vdi ? strdup(fate->saved_vdi) : NULL;
        vm->passing = fate->passing;
        r = store_load_restarts(xenopsd->store, vm->uuid, on_restart, vm);
        if (r < 0)
                return r;
        finding = calloc(1, sizeof *finding);
        if (!finding || (fate->saved_vdi && !vm->saved_vdi)) {
                free(finding);
                return -ENOMEM;
        }
        *finding = (struct finding) { vm, life->state, life->reason, strdup(life->detail ?: ""), loading->first };
        loading->first = finding;
        return vm_publish(vm);
}

static int on_snapshot(void *userdata, const struct store_snapshot *snapshot) {
        struct vm *vm = vm_find_uuid(userdata, snapshot->vm);

        return vm ? snapshot_load(vm, snapshot) : 0;
}

static int on_attachment(void *userdata, const char *uuid, const char *disk, const char *vdi, const char *reader) {
        struct xenopsd *xenopsd = userdata;

        return attachment_load(xenopsd, vm_find_uuid(xenopsd, uuid), uuid, disk, vdi, reader);
}

static int sweep(struct xenopsd *xenopsd) {
        for (size_t i = 0; i < xenopsd->n_backends; i++) {
                struct backend *backend = xenopsd->backends + i;
                int r;

                if (!backend->backend || !backend->hypervisor->sweep)
                        continue;
                r = backend->hypervisor->sweep(backend->backend, is_known, xenopsd);
                if (r < 0)
                        log_event(LOG_WARNING, NULL, "Cannot look for guests of %s that are no VM's: %s", backend->hypervisor->name,
                                  strerrordesc_np(-r) ?: "unknown error");
        }
        return 0;
}

/* Finding: each backend says what its guests are, before anybody can ask for it */

static void finding_free(void *userdata) {
        struct finding *finding = userdata;

        free(finding->detail);
        free(finding);
}

static void on_found(struct vm *vm, int r, const struct hypervisor_call *call, void *userdata, struct idl_error *error) {
        struct finding *finding = userdata;
        const struct store_life life = { finding->state, finding->reason, finding->detail };

        if (r >= 0)
                vm_found(vm, &call->status, &life);
        finding_free(finding);
        if (r >= 0)
                return;
        vm->is_found = true;
        vm_set_state(vm, XCP_VM_STATE_FAILED, XCP_VM_STATE_REASON_BACKEND_FAILED, error->message ?: "its backend does not answer");
        idl_error_done(error);
}

static bool all_found(const struct xenopsd *xenopsd) {
        for (const struct vm *vm = xenopsd->first; vm; vm = vm->next)
                if (!vm->is_found)
                        return false;
        return true;
}

/*
 * The loop runs without the bus: nobody is to hear of a VM what may not be so any more. A guest that cannot be found is one VM's trouble;
 * whoever has not answered by the end, on a host that hardly lets the manager run, is still waited for.
 */
static int find_all(struct xenopsd *xenopsd, struct loading *loading) {
        uint64_t until = clock_now_usec(CLOCK_MONOTONIC) + FIND_MS * UINT64_C(1000);
        int r;

        while (loading->first) {
                struct idl_error error = IDL_ERROR_NULL;
                struct finding *finding = loading->first;

                loading->first = finding->next;
                r = vm_ask(finding->vm, vm_ask_query, on_found, finding_free, finding, &error);
                if (r < 0)
                        on_found(finding->vm, r, NULL, finding, &error);
        }
        r = sd_bus_detach_event(xenopsd->bus);
        while (r >= 0 && !all_found(xenopsd) && clock_now_usec(CLOCK_MONOTONIC) < until &&
               sd_event_get_state(xenopsd->event) != SD_EVENT_FINISHED)
                r = sd_event_run(xenopsd->event, until - clock_now_usec(CLOCK_MONOTONIC));
        if (r >= 0)
                r = sd_bus_attach_event(xenopsd->bus, xenopsd->event, SD_EVENT_PRIORITY_NORMAL);
        return r;
}

/* A VM that has no guest needs no disks, unless its memory is on one. */
static void drop_attachments(struct xenopsd *xenopsd) {
        for (struct vm *vm = xenopsd->first; vm; vm = vm->next)
                for (struct attachment *attachment = vm->attachments; attachment; attachment = attachment->next) {
                        bool is_saved = strcmp(attachment->disk, ATTACHMENT_SAVED) == 0;

                        if (is_saved ? !vm->saved_vdi : vm->is_found && !lifecycle_is_alive(vm->state) && !vm->job)
                                attachment_drop(attachment);
                }
        for (struct attachment *attachment = xenopsd->orphans; attachment; attachment = attachment->next)
                attachment_drop(attachment);
}

static int load(struct xenopsd *xenopsd) {
        struct loading loading = { .xenopsd = xenopsd };
        int r;

        r = store_load_vms(xenopsd->store, xenopsd->bus, on_vm, &loading);
        if (r >= 0)
                r = store_load_snapshots(xenopsd->store, on_snapshot, xenopsd);
        if (r >= 0)
                r = store_load_attachments(xenopsd->store, on_attachment, xenopsd);
        if (r >= 0)
                r = sweep(xenopsd);
        if (r >= 0)
                r = find_all(xenopsd, &loading);
        while (loading.first) {
                struct finding *finding = loading.first;

                loading.first = finding->next;
                finding_free(finding);
        }
        if (r < 0)
                return r;
        snapshots_recover(xenopsd);
        drop_attachments(xenopsd);
        return autostart_begin(xenopsd);
}

/* Start and stop */

/* A guest's console takes two descriptors, and everybody who reads it one. */
static void raise_descriptors(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                log_event(LOG_WARNING, NULL, "Cannot have more than a few descriptors: %s", strerrordesc_np(errno));
}

static int count_operations(struct xenopsd *xenopsd) {
        static char names[_OPERATION_N][2][40];
        struct diagnostics *diagnostics = service_diagnostics(xenopsd->service);
        int r = 0;

        for (size_t i = 0; i < _OPERATION_N && r >= 0; i++) {
                snprintf(names[i][0], sizeof names[i][0], "done.%s", operations[i].name);
                snprintf(names[i][1], sizeof names[i][1], "failed.%s", operations[i].name);
                r = diagnostics_count(diagnostics, names[i][0], &operations[i].n_done);
                if (r >= 0)
                        r = diagnostics_count(diagnostics, names[i][1], &operations[i].n_failed);
        }
        if (r >= 0)
                r = diagnostics_count(diagnostics, "attachments.stale", &xenopsd->n_attachments_stale);
        return r < 0 ? r : diagnostics_count(diagnostics, "starts.waiting", &xenopsd->n_waiting);
}

static int export_objects(struct xenopsd *xenopsd) {
        int r;

        r = objects_new(&xenopsd->vms, xenopsd->bus, XENOPSD_VM_PREFIX);
        if (r >= 0)
                r = objects_new(&xenopsd->disks, xenopsd->bus, XENOPSD_VM_PREFIX);
        if (r >= 0)
                r = objects_new(&xenopsd->networks, xenopsd->bus, XENOPSD_VM_PREFIX);
        if (r >= 0)
                r = vm_objects_export(xenopsd);
        if (r >= 0)
                r = disk_objects_export(xenopsd);
        if (r >= 0)
                r = network_objects_export(xenopsd);
        return r < 0 ? r : manager_object_export(xenopsd);
}

static int load_settings(struct xenopsd *xenopsd) {
        int r;

        r = store_get_setting(xenopsd->store, "default-backend", &xenopsd->default_backend);
        if (r != -ENOENT)
                return r;
        xenopsd->default_backend = strdup(xenopsd->backends[0].hypervisor->name);
        return xenopsd->default_backend ? 0 : -ENOMEM;
}

static uint64_t find_stall_ms(void) {
        const char *given = secure_getenv("XCP_STALL_MS");
        unsigned long ms = given ? strtoul(given, NULL, 10) : 0;

        return ms >= 1 && ms <= 24 * 3600 * 1000ul ? ms : XENOPSD_STALL_MS;
}

static int xenopsd_start(struct service *service, void **ret_userdata) {
        struct xenopsd *xenopsd = calloc(1, sizeof *xenopsd);
        int r;

        if (!xenopsd)
                return -ENOMEM;
        xenopsd->service = service;
        xenopsd->bus = service_bus(service);
        xenopsd->event = service_event(service);
        xenopsd->stall_ms = find_stall_ms();
        *ret_userdata = xenopsd;

        raise_descriptors();
        r = store_open(&xenopsd->store, service_database(service), service_state_dir(service));
        if (r >= 0)
                r = remote_tasks_new(&xenopsd->remote, xenopsd->bus);
        if (r >= 0)
                r = attachments_start(xenopsd);
        if (r >= 0)
                r = garbage_new(xenopsd);
        if (r >= 0)
                r = open_backends(xenopsd);
        if (r >= 0)
                r = load_settings(xenopsd);
        if (r >= 0)
                r = count_operations(xenopsd);
        if (r >= 0)
                r = export_objects(xenopsd);
        return r < 0 ? r : load(xenopsd);
}

static void xenopsd_stop(void *userdata) {
        struct xenopsd *xenopsd = userdata;

        autostart_end(xenopsd);
        while (xenopsd->first) {
                struct vm *vm = xenopsd->first;

                xenopsd->first = vm->next;
                vm_free(vm);
        }
        garbage_free(xenopsd);
        attachments_stop(xenopsd);
        for (size_t i = 0; i < xenopsd->n_backends; i++) {
                if (xenopsd->backends[i].backend)
                        xenopsd->backends[i].hypervisor->close(xenopsd->backends[i].backend);
                admission_close(&xenopsd->backends[i].admission);
                free(xenopsd->backends[i].failure);
        }
        objects_free(xenopsd->vms);
        objects_free(xenopsd->disks);
        objects_free(xenopsd->networks);
        remote_tasks_free(xenopsd->remote);
        store_close(xenopsd->store);
        free(xenopsd->default_backend);
        free(xenopsd);
}

static void xenopsd_dump(void *userdata, FILE *f) {
        const struct xenopsd *xenopsd = userdata;

        for (size_t i = 0; i < xenopsd->n_backends; i++)
                fprintf(f, "backend %s: %s\n", xenopsd->backends[i].hypervisor->name,
                        xenopsd->backends[i].available ? "usable" : xenopsd->backends[i].reason ?: "not usable");
        for (const struct vm *vm = xenopsd->first; vm; vm = vm->next)
                fprintf(f, "%s %s %s: %s, %s, %zu waiting%s%s%s%s\n", vm->uuid, vm->spec.name, vm->spec.backend,
                        xcp_vm_state_to_string(vm->state), xcp_vm_state_reason_to_string(vm->reason), vm->queue.n,
                        vm->job ? ", in " : "", vm->job ? vm->job->operation->name : "", vm->detail ? ", " : "", vm->detail ?: "");
        for (const struct attachment *attachment = xenopsd->orphans; attachment; attachment = attachment->next)
                fprintf(f, "still to be detached: %s of %s, which is gone\n", attachment->vdi, attachment->uuid);
}

int main(int argc, char **argv) {
        const struct service_kind xenopsd = {
                .name = "xenopsd",
                .about = "The VM manager: VMs as objects, on several hypervisors.",
                .features = (const char *const[]) { "autostart", "console", "migrate", "save", "snapshot", NULL },
                .schema = store_schema,
                .start = xenopsd_start,
                .stop = xenopsd_stop,
                .dump = xenopsd_dump,
        };

        return service_main(&xenopsd, argc, argv);
}
