/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.xenopsd1.Manager */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "host-info.h"
#include "job.h"
#include "spec.h"
#include "xenopsd1-manager.h"

/* New VMs */

static void add_to_list(struct vm *vm) {
        struct xenopsd *xenopsd = vm->xenopsd;

        vm->next = xenopsd->first;
        xenopsd->first = vm;
        xenopsd->n_vms++;
}

/* Checks a configuration, completes it, and finds its backend. */
static int complete(struct xenopsd *xenopsd, const struct xcp_vm_spec *spec, struct idl_arena *arena, struct xcp_vm_spec *ret_spec,
                    struct backend **ret_backend, struct idl_error *error) {
        const struct spec_defaults defaults = xenopsd_spec_defaults(xenopsd);
        struct backend *backend;
        int r;

        r = spec_complete(spec, &defaults, arena, ret_spec, error);
        if (r >= 0)
                r = xenopsd_find_backend(xenopsd, ret_spec->backend, &backend, error);
        if (r >= 0)
                r = backend->hypervisor->check(backend->backend, ret_spec, error);
        if (r < 0)
                return r;
        if (xenopsd->n_vms >= XENOPSD_VMS_MAX)
                return idl_error_set_limit_exceeded(error, "VMs", xenopsd->n_vms + 1, XENOPSD_VMS_MAX);
        *ret_backend = backend;
        return 0;
}

static int on_create(void *object, struct idl_call *call, const struct xcp_vm_spec *spec, struct idl_error *error) {
        struct xenopsd *xenopsd = object;
        struct xcp_vm_spec complete_spec;
        struct backend *backend;
        struct vm *vm;
        int r;

        r = complete(xenopsd, spec, idl_call_arena(call), &complete_spec, &backend, error);
        if (r < 0)
                return r;
        r = store_add_vm(xenopsd->store, xenopsd->bus, &complete_spec, error);
        if (r < 0)
                return r;
        r = vm_new(&vm, xenopsd, backend, &complete_spec);
        if (r < 0) {
                store_remove_vm(xenopsd->store, complete_spec.uuid, NULL);
                return r;
        }
        vm->is_found = true;
        r = vm_find_guest(vm, error);
        if (r >= 0)
                r = vm_publish(vm);
        if (r < 0) {
                vm_free(vm);
                store_remove_vm(xenopsd->store, complete_spec.uuid, NULL);
                return r;
        }
        add_to_list(vm);
        return xenopsd1_manager_reply_create(call, vm->path);
}

/* A VM that comes is on the list, and not on the bus until it is ours. */
static int check_is_new(struct xenopsd *xenopsd, const struct xcp_vm_spec *spec, struct idl_error *error) {
        for (const struct vm *vm = xenopsd->first; vm; vm = vm->next) {
                if (strcmp(vm->uuid, spec->uuid) == 0)
                        return idl_error_set_already_exists(error, "VM", spec->uuid);
                if (strcmp(vm->spec.name, spec->name) == 0)
                        return idl_error_set_already_exists(error, "VM", spec->name);
        }
        return 0;
}

static int begin_receive(struct vm *vm, struct idl_call *call, int fd, const char **ret_task, struct idl_error *error) {
        sd_id128_t random;
        int r;

        r = sd_id128_randomize(&random);
        if (r < 0)
                return r;
        r = job_add(vm, OPERATION_RECEIVE, &(struct job_arguments) { .number = random.qwords[0] }, call, ret_task, error);
        if (r < 0)
                return r;
        ((struct job *) vm->queue.first)->fd = fd;
        return 0;
}

static int on_receive(void *object, struct idl_call *call, const struct xcp_vm_spec *spec, struct idl_error *error) {
        struct xenopsd *xenopsd = object;
        struct xcp_vm_spec complete_spec;
        struct backend *backend;
        AUTO_CLOSE int theirs = -1;
        const char *task;
        struct vm *vm;
        int fds[2], r;

        if (!spec->uuid)
                return idl_error_set_invalid_argument(error, "spec.uuid", "", "has to be there: it is that of a VM that runs");
        r = complete(xenopsd, spec, idl_call_arena(call), &complete_spec, &backend, error);
        if (r >= 0)
                r = check_is_new(xenopsd, &complete_spec, error);
        if (r < 0)
                return r;
        if (!backend->hypervisor->receive)
                return idl_error_set_not_supported(error, "Receive");
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        theirs = fds[1];
        r = vm_new(&vm, xenopsd, backend, &complete_spec);
        if (r < 0) {
                close(fds[0]);
                return r;
        }
        vm->is_found = true;
        r = begin_receive(vm, call, fds[0], &task, error);
        if (r < 0) {
                close(fds[0]);
                vm_free(vm);
                return r;
        }
        add_to_list(vm);
        r = xenopsd1_manager_reply_receive(call, task, theirs);
        job_next(vm);
        return r;
}

/* Finding VMs */

static int compare_names(const void *a, const void *b) {
        return strcmp(((const struct xcp_vm_summary *) a)->name, ((const struct xcp_vm_summary *) b)->name);
}

static int on_list_vms(void *object, struct idl_call *call, struct idl_error *error) {
        struct xenopsd *xenopsd = object;
        struct xcp_vm_summary *list;
        size_t n = 0;

        list = idl_arena_alloc(idl_call_arena(call), xenopsd->n_vms + 1, sizeof *list);
        if (!list)
                return -ENOMEM;
        for (const struct vm *vm = xenopsd->first; vm; vm = vm->next)
                if (vm->path)
                        list[n++] = (struct xcp_vm_summary) { vm->path, vm->uuid, vm->spec.name, vm->state, vm->spec.backend };
        qsort(list, n, sizeof *list, compare_names);
        return xenopsd1_manager_reply_list_vms(call, list, n);
}

static int on_lookup_by_name(void *object, struct idl_call *call, const char *name, struct idl_error *error) {
        const struct vm *vm = vm_find_name(object, name);

        return vm ? xenopsd1_manager_reply_lookup_by_name(call, vm->path) : idl_error_set_does_not_exist(error, "VM", name);
}

static int on_lookup_by_uuid(void *object, struct idl_call *call, const char *uuid, struct idl_error *error) {
        const struct vm *vm = NULL;
        char text[37];

        if (spec_uuid(uuid, text) >= 0)
                vm = vm_find_uuid(object, text);
        return vm ? xenopsd1_manager_reply_lookup_by_uuid(call, vm->path) : idl_error_set_does_not_exist(error, "VM", uuid);
}

static int on_lookup_by_domain(void *object, struct idl_call *call, uint32_t domain, struct idl_error *error) {
        struct xenopsd *xenopsd = object;
        char text[16];

        for (const struct vm *vm = xenopsd->first; vm; vm = vm->next)
                for (size_t i = 0; i < vm->n_domains && vm->path; i++)
                        if (vm->domains[i] == domain)
                                return xenopsd1_manager_reply_lookup_by_domain(call, vm->path);
        snprintf(text, sizeof text, "%u", domain);
        return idl_error_set_does_not_exist(error, "VM that is the domain", text);
}

/* Backends and the host */

static int describe(const struct backend *backend, struct idl_arena *arena, struct xcp_backend_info *ret_info) {
        const struct hypervisor *hypervisor = backend->hypervisor;
        struct xcp_dict_s_s_entry *options;
        size_t n = 0;

        *ret_info = (struct xcp_backend_info) { .name = hypervisor->name, .available = backend->available, .reason = backend->reason ?: "",
                                                .version = backend->version ?: "", .features = hypervisor->features };
        while (hypervisor->features[ret_info->n_features])
                ret_info->n_features++;
        while (hypervisor->options[n].name)
                n++;
        options = idl_arena_alloc(arena, n + 1, sizeof *options);
        if (!options)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                options[i] = (struct xcp_dict_s_s_entry) { hypervisor->options[i].name, hypervisor->options[i].about };
        ret_info->options = options;
        ret_info->n_options = n;
        return 0;
}

static int on_list_backends(void *object, struct idl_call *call, struct idl_error *error) {
        struct xenopsd *xenopsd = object;
        struct xcp_backend_info list[XENOPSD_BACKENDS_MAX];
        int r;

        for (size_t i = 0; i < xenopsd->n_backends; i++) {
                r = describe(xenopsd->backends + i, idl_call_arena(call), list + i);
                if (r < 0)
                        return r;
        }
        return xenopsd1_manager_reply_list_backends(call, list, xenopsd->n_backends);
}

static int on_get_host_info(void *object, struct idl_call *call, struct idl_error *error) {
        struct xcp_host_info info;
        int r;

        r = host_info_get(&info);
        return r < 0 ? r : xenopsd1_manager_reply_get_host_info(call, &info);
}

static int get_default_backend(void *object, struct idl_arena *arena, const char **ret) {
        *ret = ((struct xenopsd *) object)->default_backend;
        return 0;
}

static int set_default_backend(void *object, const char *name, struct idl_error *error) {
        struct xenopsd *xenopsd = object;
        struct backend *backend;
        char *copy;
        int r;

        if (strcmp(name, xenopsd->default_backend) == 0)
                return 0;
        r = xenopsd_find_backend(xenopsd, name, &backend, error);
        if (r < 0)
                return r;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        r = store_set_setting(xenopsd->store, "default-backend", name, error);
        if (r < 0) {
                free(copy);
                return r;
        }
        free(xenopsd->default_backend);
        xenopsd->default_backend = copy;
        return 1;
}

static const struct xenopsd1_manager_handlers handlers = {
        .create = on_create,
        .list_vms = on_list_vms,
        .lookup_by_name = on_lookup_by_name,
        .lookup_by_uuid = on_lookup_by_uuid,
        .lookup_by_domain = on_lookup_by_domain,
        .list_backends = on_list_backends,
        .get_host_info = on_get_host_info,
        .receive = on_receive,
        .get_default_backend = get_default_backend,
        .set_default_backend = set_default_backend,
};

int manager_object_export(struct xenopsd *xenopsd) {
        return xenopsd1_manager_export(xenopsd->bus, NULL, service_path(xenopsd->service), &handlers, xenopsd);
}
