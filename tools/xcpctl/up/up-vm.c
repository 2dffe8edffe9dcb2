/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One VM of a file: made as the file has it, or, if it is there, compared with it.
 *
 * Only what the file says is compared. What can be changed is; for what cannot, nothing of the VM is touched, nor of its disks: all is looked
 * at before anything is done.
 */

#include "up.h"

#include <stdlib.h>
#include <string.h>

#include "ssh-key.h"
#include "value.h"
#include "wait.h"

#define MANAGER "org.xen.xcp.xenopsd1.Manager"
#define VM "org.xen.xcp.xenopsd1.VM"

/* How a key of VmSpec is changed of a VM that is there. */
static const struct change {
        const char *key;
        const char *property;           /* NULL: by a method */
        const char *method;
} changes[] = {
        { "description", "Description", NULL },
        { "labels", "Labels", NULL },
        { "on_crash", "OnCrash", NULL },
        { "on_reboot", "OnReboot", NULL },
        { "autostart", "Autostart", NULL },
        { "autostart_order", "AutostartOrder", NULL },
        { "autostart_delay_ms", "AutostartDelayMs", NULL },
        { "memory", NULL, "SetMemory" },
        { "vcpus", NULL, "SetVcpus" },
};

static const struct change *change_of(const char *key) {
        for (size_t i = 0; i < G_N_ELEMENTS(changes); i++)
                if (strcmp(changes[i].key, key) == 0)
                        return &changes[i];
        return NULL;
}

bool up_fail_at(const struct up *up, struct place place, GError **error) {
        g_autofree char *name = NULL, *message = NULL;
        GError *old = *error;

        if (g_error_matches(old, CONTEXT_ERROR, CONTEXT_ERROR_LEFT))
                return false;
        name = g_dbus_error_get_remote_error(old);
        g_dbus_error_strip_remote_error(old);
        message = g_strdup_printf("%s:%u:%u: %s", up->file, place.line, place.column, old->message);
        *error = name ? g_dbus_error_new_for_dbus_error(name, message) : g_error_new_literal(CONTEXT_ERROR, CONTEXT_ERROR_FAILED, message);
        g_error_free(old);
        return false;
}

bool up_fail(const struct up *up, struct place place, GError **error, const char *format, ...) {
        g_autofree char *message = NULL;
        va_list arguments;

        va_start(arguments, format);
        message = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        return context_fail(error, CONTEXT_ERROR_FAILED, "%s:%u:%u: %s", up->file, place.line, place.column, message);
}

bool up_task(struct context *context, const char *service, const char *path, const char *interface, const char *method, GVariant *arguments,
             GUnixFDList *fds, GVariant **ret_result, GError **error) {
        g_autoptr(GVariant) results = client_call(context, service, path, interface, method, arguments, fds, NULL, error), result = NULL;
        const char *task;

        if (!results)
                return false;
        if (!g_variant_is_of_type(results, G_VARIANT_TYPE("(o)")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "%s() answered with %s", method, g_variant_get_type_string(results));
        g_variant_get(results, "(&o)", &task);
        if (!wait_for_task(context, service, task, &result, error))
                return false;
        if (ret_result)
                *ret_result = g_steal_pointer(&result);
        return true;
}

void up_note(const struct up *up, const char *list, const char *device, const char *key) {
        if (!up->path)
                return;                 /* it is being made, with all that it has */
        g_ptr_array_add(up->changes, device ? g_strconcat(list, ".", device, key ? "." : "", key ? key : "", NULL) : g_strdup(key));
}

static bool vm_task(const struct up *up, const char *method, GVariant *arguments, GError **error) {
        return up_task(up->context, CLIENT_XENOPSD, up->path, VM, method, arguments, NULL, NULL, error);
}

/* Finds the VM by its name; a name that nobody has is no error. */
static bool find_vm(struct up *up, GError **error) {
        g_autofree char *root = client_root(CLIENT_XENOPSD), *name = NULL;
        g_autoptr(GError) problem = NULL;
        g_autoptr(GVariant) results = client_call(up->context, CLIENT_XENOPSD, root, MANAGER, "LookupByName", g_variant_new("(s)", up->name), NULL,
                                                  NULL, &problem);

        if (results && g_variant_is_of_type(results, G_VARIANT_TYPE("(o)"))) {
                g_variant_get(results, "(o)", &up->path);
                return true;
        }
        if (results)
                return context_fail(error, CONTEXT_ERROR_FAILED, "LookupByName() answered with %s", g_variant_get_type_string(results));
        name = g_dbus_error_get_remote_error(problem);
        if (g_strcmp0(name, "org.xen.xcp.Error.DoesNotExist") == 0)
                return true;
        g_propagate_error(error, g_steal_pointer(&problem));
        return false;
}

static char *state_of(const struct up *up, GError **error) {
        g_autoptr(GVariant) state = client_property(up->context, CLIENT_XENOPSD, up->path, VM, "State", error);

        if (!state)
                return NULL;
        if (g_variant_is_of_type(state, G_VARIANT_TYPE_STRING))
                return g_variant_dup_string(state, NULL);
        context_fail(error, CONTEXT_ERROR_FAILED, "State is of type %s", g_variant_get_type_string(state));
        return NULL;
}

/* Making */

/* Where the manager's words about the specification are about: spec.disks[1].mode: ... */
static struct place place_of_message(const struct wish *vm, const char *message) {
        g_autofree char *path = g_strndup(message, strcspn(message, ":"));
        g_auto(GStrv) parts = g_strsplit(path, ".", 4);
        const GPtrArray *devices;
        unsigned long i;

        if (g_strcmp0(parts[0], "spec") != 0 || !parts[1])
                return vm->place;
        if (g_str_has_prefix(parts[1], "disks["))
                devices = vm->disks;
        else if (g_str_has_prefix(parts[1], "network_interfaces["))
                devices = vm->nics;
        else
                return wish_place(vm, parts[1]);
        i = strtoul(strchr(parts[1], '[') + 1, NULL, 10);
        if (i >= devices->len)
                return vm->place;
        return parts[2] ? wish_place(devices->pdata[i], parts[2]) : ((const struct wish *) devices->pdata[i])->place;
}

/* The same of an error, as a service answers with it. */
static struct place place_of_error(const struct wish *vm, const GError *error) {
        g_autoptr(GError) plain = g_error_copy(error);

        g_dbus_error_strip_remote_error(plain);
        return place_of_message(vm, plain->message);
}

static GVariant *nic_record(const struct wish *nic) {
        GVariantBuilder *builder = wish_record(nic, "NetworkInterfaceSpec");
        GVariant *record = g_variant_ref_sink(g_variant_builder_end(builder));

        g_variant_builder_unref(builder);
        return record;
}

/* Whether all disks can be found or made, as far as that can be known before. */
static bool look_at_disks(const struct up *up, GError **error) {
        for (unsigned i = 0; i < up->vm->disks->len; i++) {
                g_autoptr(GVariant) disk = up_disk(up, up->vm->disks->pdata[i], UP_LOOK, error);

                if (!disk)
                        return false;
        }
        return true;
}

static bool add_disks(const struct up *up, GVariantBuilder *spec, GError **error) {
        g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));

        for (unsigned i = 0; i < up->vm->disks->len; i++) {
                g_autoptr(GVariant) disk = up_disk(up, up->vm->disks->pdata[i], UP_DO, error);

                if (!disk)
                        return false;
                g_variant_builder_add_value(&list, disk);
        }
        if (up->vm->seed) {
                g_autoptr(GVariant) seed = up_seed(up, true, error);

                if (!seed)
                        return false;
                g_variant_builder_add_value(&list, seed);
        }
        g_variant_builder_add(spec, "{sv}", "disks", g_variant_builder_end(&list));
        return true;
}

static void add_nics(const struct up *up, GVariantBuilder *spec) {
        g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));

        for (unsigned i = 0; i < up->vm->nics->len; i++) {
                g_autoptr(GVariant) nic = nic_record(up->vm->nics->pdata[i]);

                g_variant_builder_add_value(&list, nic);
        }
        g_variant_builder_add(spec, "{sv}", "network_interfaces", g_variant_builder_end(&list));
}

static bool create(struct up *up, GError **error) {
        g_autoptr(GVariantBuilder) spec = wish_record(up->vm, "VmSpec");
        g_autofree char *root = client_root(CLIENT_XENOPSD);
        g_autoptr(GVariant) results = NULL;

        if (!look_at_disks(up, error) || !add_disks(up, spec, error))
                return false;
        add_nics(up, spec);
        results = client_call(up->context, CLIENT_XENOPSD, root, MANAGER, "Create", g_variant_new("(@a{sv})", g_variant_builder_end(spec)), NULL, NULL,
                              error);
        if (!results)
                return up_fail_at(up, place_of_error(up->vm, *error), error);
        if (!g_variant_is_of_type(results, G_VARIANT_TYPE("(o)")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "Create() answered with %s", g_variant_get_type_string(results));
        g_variant_get(results, "(o)", &up->path);
        up->action = "created";
        return true;
}

/* Comparing */

static bool same_dictionary(GVariant *a, GVariant *b) {
        GVariantIter iter;
        const char *key, *value, *other;

        g_variant_iter_init(&iter, a);
        while (g_variant_iter_next(&iter, "{&s&s}", &key, &value))
                if (!g_variant_lookup(b, key, "&s", &other) || strcmp(value, other) != 0)
                        return false;
        return g_variant_n_children(a) == g_variant_n_children(b);
}

/* What it is if it is not there: the contract's default, as text. */
static bool is_fallback(const struct contract_value *key, GVariant *wanted) {
        g_autofree char *text = g_variant_is_of_type(wanted, G_VARIANT_TYPE_STRING) ? g_variant_dup_string(wanted, NULL) : g_variant_print(wanted, FALSE);

        return g_strcmp0(key->fallback, text) == 0;
}

static bool is_same(const struct contract_value *key, GVariant *wanted, GVariant *record) {
        g_autoptr(GVariant) found = g_variant_lookup_value(record, key->name, NULL);

        if (!found)
                return g_variant_is_of_type(wanted, G_VARIANT_TYPE("a{ss}")) ? g_variant_n_children(wanted) == 0 : is_fallback(key, wanted);
        if (g_variant_is_of_type(wanted, G_VARIANT_TYPE("a{ss}")) && g_variant_is_of_type(found, G_VARIANT_TYPE("a{ss}")))
                return same_dictionary(wanted, found);
        return g_variant_equal(wanted, found);
}

/* A key that is there, is another than the file has it, and cannot be changed. */
static bool fail_different(const struct up *up, struct place place, const struct contract_value *key, const char *what, GVariant *record,
                           GError **error) {
        g_autoptr(GVariant) found = g_variant_lookup_value(record, key->name, NULL);
        g_autofree char *text = found ? value_text(found, key->type, key->name) : g_strdup(key->fallback ? key->fallback : "not set");

        return up_fail(up, place, error, "%s of %s is %s and cannot be changed: xcpctl down, and up again, makes the VM anew with its disks", key->name,
                       what, text);
}

/* A device that is there already: all that the file says has to be so. */
static bool check_device(const struct up *up, const struct wish *wish, const char *record, GVariant *wanted, GVariant *found, GError **error) {
        g_autofree char *what = g_strdup_printf("%s of %s", wish_text(wish, "name"), up->name);
        GVariantIter iter;
        const char *name;
        GVariant *value;
        bool good = true;

        g_variant_iter_init(&iter, wanted);
        while (good && g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
                const struct contract_value *key = contract_member(contract_type(record)->members, name);

                if (!is_same(key, value, found))
                        good = fail_different(up, wish_place(wish, name), key, what, found, error);
                g_variant_unref(value);
        }
        return good;
}

/* The device of that name in a list of records; NULL if there is none. */
static GVariant *device_named(GVariant *spec, const char *list_name, const char *wanted) {
        g_autoptr(GVariant) list = g_variant_lookup_value(spec, list_name, G_VARIANT_TYPE("aa{sv}"));

        for (size_t i = 0; list && i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) device = g_variant_get_child_value(list, i);
                const char *name = NULL;

                if (g_variant_lookup(device, "name", "&s", &name) && strcmp(name, wanted) == 0)
                        return g_steal_pointer(&device);
        }
        return NULL;
}

/* A disk that up made for the VM, and that nobody has now under its name. */
static bool fail_lost(const struct up *up, const struct wish *disk, GError **error) {
        return up_fail(up, disk->place, error, "%s has a disk %s that is not called %s-%s, as up calls it: xcpctl down, and up again, makes both anew",
                       up->name, wish_text(disk, "name"), up->name, wish_text(disk, "name"));
}

/* The devices of one kind: those that are there are compared, then disks that are too small are grown, and the others added. */
static bool compare_devices(struct up *up, GVariant *spec, bool are_disks, enum up_effect effect, GError **error) {
        const char *record = are_disks ? "DiskSpec" : "NetworkInterfaceSpec", *list = are_disks ? "disks" : "network_interfaces";
        const GPtrArray *wishes = are_disks ? up->vm->disks : up->vm->nics;

        for (unsigned i = 0; i < wishes->len; i++) {
                const struct wish *wish = wishes->pdata[i];
                g_autoptr(GVariant) found = device_named(spec, list, wish_text(wish, "name"));
                g_autoptr(GVariant) wanted = are_disks ? up_disk(up, wish, effect, error) : nic_record(wish);

                if (!wanted)
                        return false;
                if (effect == UP_LOOK && found && up_is_own(wish) && !g_variant_lookup(wanted, "vdi", "&o", NULL))
                        return fail_lost(up, wish, error);
                if (effect == UP_LOOK && found && !check_device(up, wish, record, wanted, found, error))
                        return false;
                if (effect == UP_LOOK || found)
                        continue;
                if (!vm_task(up, are_disks ? "AddDisk" : "AddNetworkInterface", g_variant_new("(@a{sv})", wanted), error))
                        return up_fail_at(up, wish->place, error);
                up_note(up, list, wish_text(wish, "name"), NULL);
        }
        return true;
}

static bool change_key(struct up *up, const struct contract_value *key, const struct change *change, GError **error) {
        GVariant *wanted = wish_get(up->vm, key->name);

        up_note(up, NULL, NULL, key->name);
        if (change->property ? client_set_property(up->context, CLIENT_XENOPSD, up->path, VM, change->property, wanted, error)
                             : vm_task(up, change->method, g_variant_new("(@*)", wanted), error))
                return true;
        return up_fail_at(up, wish_place(up->vm, key->name), error);
}

/* The VM's own keys: change, or only see whether all that differs can be. */
static bool compare_keys(struct up *up, GVariant *spec, enum up_effect effect, GError **error) {
        for (const struct contract_value *key = contract_type("VmSpec")->members; key->name; key++) {
                GVariant *wanted = wish_get(up->vm, key->name);
                const struct change *how = change_of(key->name);

                if (!wanted || is_same(key, wanted, spec))
                        continue;
                if (!how)
                        return fail_different(up, wish_place(up->vm, key->name), key, up->name, spec, error);
                if (effect == UP_DO && !change_key(up, key, how, error))
                        return false;
        }
        return true;
}

/* What the guest has read, or will have read by its end of the first boot, is not changed under it. */
static bool compare_seed(const struct up *up, GVariant *spec, GError **error) {
        g_autoptr(GVariant) wanted = NULL, found = NULL;
        const char *vdi = "", *other = "";

        if (!up->vm->seed)
                return true;
        wanted = up_seed(up, false, error);
        if (!wanted)
                return false;
        found = device_named(spec, "disks", "seed");
        if (found && g_variant_lookup(wanted, "vdi", "&o", &vdi) && g_variant_lookup(found, "vdi", "&o", &other) && strcmp(vdi, other) == 0)
                return true;
        return up_fail(up, up->vm->seed->place, error, "%s was made without this cloud_init: xcpctl down, and up again, makes it anew", up->name);
}

static bool compare(struct up *up, GError **error) {
        g_autoptr(GVariant) results = client_call(up->context, CLIENT_XENOPSD, up->path, VM, "GetSpec", NULL, NULL, NULL, error), spec = NULL;

        if (!results)
                return false;
        if (!g_variant_is_of_type(results, G_VARIANT_TYPE("(a{sv})")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "GetSpec() answered with %s", g_variant_get_type_string(results));
        spec = g_variant_get_child_value(results, 0);
        up->action = "unchanged";
        return compare_keys(up, spec, UP_LOOK, error) && compare_seed(up, spec, error) && compare_devices(up, spec, true, UP_LOOK, error) &&
               compare_devices(up, spec, false, UP_LOOK, error) && compare_keys(up, spec, UP_DO, error) &&
               compare_devices(up, spec, true, UP_DO, error) && compare_devices(up, spec, false, UP_DO, error);
}

/* Running */

static bool run(struct up *up, GError **error) {
        static const struct {
                const char *state, *method, *arguments;
        } ways[] = {
                { "Halted", "Start", "(false,)" },
                { "Prepared", "Start", "(false,)" },
                { "Suspended", "Resume", "()" },
                { "Saved", "Restore", "(false,)" },
        };
        g_autofree char *state = state_of(up, error);

        if (!state)
                return false;
        if (strcmp(state, "Running") == 0)
                return true;
        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
                if (strcmp(ways[i].state, state) != 0)
                        continue;
                if (strcmp(up->action, "unchanged") == 0)
                        up->action = "started";
                return vm_task(up, ways[i].method, g_variant_new_parsed(ways[i].arguments), error) || up_fail_at(up, up->vm->place, error);
        }
        return up_fail(up, up->vm->place, error, "%s is %s: xcpctl vm show %s says why, and after xcpctl vm kill %s it can be started", up->name, state,
                       up->name, up->name);
}

bool up_vm(struct up *up, GError **error) {
        if (!find_vm(up, error))
                return false;
        if (!(up->path ? compare(up, error) : create(up, error)))
                return false;
        if (up->changes->len > 0)
                up->action = "changed";
        return !wish_flag(up->vm, "start", true) || run(up, error);
}

bool down_vm(struct up *up, uint32_t grace_ms, bool disks, GError **error) {
        g_autofree char *state = NULL;

        up->action = "absent";
        if (!find_vm(up, error))
                return false;
        if (up->path) {
                state = state_of(up, error);
                if (!state)
                        return false;
                if (strcmp(state, "Running") == 0 && !vm_task(up, "Stop", g_variant_new("(u)", grace_ms), error))
                        return up_fail_at(up, up->vm->place, error);
                if (!vm_task(up, "Destroy", NULL, error))
                        return up_fail_at(up, up->vm->place, error);
                g_clear_pointer(&up->path, g_free);
                up->action = "removed";
        }
        for (unsigned i = 0; disks && i < up->vm->disks->len; i++)
                if (!down_disk(up, up->vm->disks->pdata[i], error))
                        return false;
        if (!disks)
                return true;
        ssh_key_forget_guest(up->name);
        return !up->vm->seed || down_seed(up, error);
}
