/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A disk, a VM that has it, and what can go wrong: a client with libxcpbus-client.
 *
 *         cc glib_client.c -o glib_client $(pkg-config --cflags --libs xcpbus-client)
 *         ./glib_client ADDRESS DIRECTORY         of the bus; an empty one, for the disk
 *
 * Debian: libglib2.0-dev.
 */

#include <xcpbus-client.h>

#define STORAGE "org.xen.xcp.storage"
#define XENOPSD "org.xen.xcp.xenopsd"
#define CALL G_DBUS_CALL_FLAGS_NONE, -1         /* wait as long for the answer as is usual */

static gboolean is_final(const char *state) {
        return g_str_equal(state, "Succeeded") || g_str_equal(state, "Failed") || g_str_equal(state, "Cancelled");
}

static void on_task_changed(XcpTask1 *task, GVariant *changed, char **invalidated, gpointer data) {
        g_print("%s: %3.0f%% %s\n", xcp_task1_get_description(task), 100 * xcp_task1_get_progress(task), xcp_task1_get_state(task));
}

/* Waits for the end of a task. Returns its result, or NULL and its error, as if the method had failed with it. */
static GVariant *follow(GDBusConnection *bus, const char *service, const char *path, GError **error) {
        g_autoptr(XcpTask1) task = NULL;
        const char *name, *message;

        /* From here on the proxy knows the properties, and hears of changes. */
        task = xcp_task1_proxy_new_sync(bus, G_DBUS_PROXY_FLAGS_NONE, service, path, NULL, error);
        if (!task)
                return NULL;
        g_signal_connect(task, "g-properties-changed", G_CALLBACK(on_task_changed), NULL);
        on_task_changed(task, NULL, NULL, NULL);
        /* Pending: signals, of others too, that came before the end was known. */
        while (g_main_context_pending(NULL) || !is_final(xcp_task1_get_state(task)))
                g_main_context_iteration(NULL, TRUE);
        xcp_task1_call_destroy_sync(task, CALL, NULL, NULL);

        if (g_str_equal(xcp_task1_get_state(task), "Succeeded"))
                return xcp_task1_dup_result(task);
        g_variant_get(xcp_task1_get_error(task), "(&s&s@a{sv})", &name, &message, NULL);
        g_dbus_error_set_dbus_error(error, name, message, NULL);
        return NULL;
}

static gboolean make_disk(GDBusConnection *bus, const char *directory, char **ret_sr, char **ret_vdi, GError **error) {
        g_autoptr(XcpStorage1Manager) manager = NULL;
        g_autoptr(XcpStorage1SR) sr = NULL;
        g_autoptr(GVariant) created_sr = NULL, created_vdi = NULL, disks = NULL;
        g_autofree char *sr_task = NULL, *vdi_task = NULL;
        const char *path, *uuid, *name;
        GVariantIter iter;
        GVariant *spec;
        guint64 size;

        manager = xcp_storage1_manager_proxy_new_sync(bus, G_DBUS_PROXY_FLAGS_NONE, STORAGE, "/org/xen/xcp/storage", NULL, error);
        if (!manager)
                return FALSE;
        spec = g_variant_new_parsed("{'name': <'local'>, 'driver': <'directory'>, 'config': <{'path': %s}>}", directory);
        if (!xcp_storage1_manager_call_create_sr_sync(manager, spec, CALL, &sr_task, NULL, error))
                return FALSE;
        created_sr = follow(bus, STORAGE, sr_task, error);
        if (!created_sr)
                return FALSE;
        g_variant_lookup(created_sr, "sr", "o", ret_sr);

        sr = xcp_storage1_sr_proxy_new_sync(bus, G_DBUS_PROXY_FLAGS_NONE, STORAGE, *ret_sr, NULL, error);
        if (!sr)
                return FALSE;
        spec = g_variant_new_parsed("{'name': <'root'>, 'size': <%t>}", (guint64) 64 << 20);
        if (!xcp_storage1_sr_call_create_vdi_sync(sr, spec, CALL, &vdi_task, NULL, error))
                return FALSE;
        created_vdi = follow(bus, STORAGE, vdi_task, error);
        if (!created_vdi)
                return FALSE;
        g_variant_lookup(created_vdi, "vdi", "o", ret_vdi);

        if (!xcp_storage1_sr_call_list_vdis_sync(sr, CALL, &disks, NULL, error))
                return FALSE;
        g_variant_iter_init(&iter, disks);
        while (g_variant_iter_next(&iter, "(&o&s&st)", &path, &uuid, &name, &size))
                g_print("Disk %s %" G_GUINT64_FORMAT "\n", name, size);
        return TRUE;
}

static gboolean remove_disk(GDBusConnection *bus, const char *sr_path, const char *vdi_path, GError **error) {
        g_autoptr(XcpStorage1SR) sr = NULL;
        g_autoptr(XcpStorage1VDI) vdi = NULL;
        g_autoptr(GVariant) sr_result = NULL, vdi_result = NULL;
        g_autofree char *sr_task = NULL, *vdi_task = NULL;

        vdi = xcp_storage1_vdi_proxy_new_sync(bus, G_DBUS_PROXY_FLAGS_NONE, STORAGE, vdi_path, NULL, error);
        if (!vdi || !xcp_storage1_vdi_call_destroy_sync(vdi, CALL, &vdi_task, NULL, error))
                return FALSE;
        vdi_result = follow(bus, STORAGE, vdi_task, error);
        if (!vdi_result)
                return FALSE;
        sr = xcp_storage1_sr_proxy_new_sync(bus, G_DBUS_PROXY_FLAGS_NONE, STORAGE, sr_path, NULL, error);
        if (!sr || !xcp_storage1_sr_call_destroy_sync(sr, CALL, &sr_task, NULL, error))
                return FALSE;
        sr_result = follow(bus, STORAGE, sr_task, error);
        return sr_result != NULL;
}

static XcpXenopsd1VM *make_vm(GDBusConnection *bus, XcpXenopsd1Manager *manager, const char *vdi, GError **error) {
        g_autofree char *path = NULL;
        GVariant *spec;

        spec = g_variant_new_parsed("{'name': <'web'>, 'backend': <'noop'>, 'backend_options': <{'start': '1000'}>,"
                                    " 'disks': <[{'vdi': <%o>}]>}", vdi);
        if (!xcp_xenopsd1_manager_call_create_sync(manager, spec, CALL, &path, NULL, error))
                return NULL;
        return xcp_xenopsd1_vm_proxy_new_sync(bus, G_DBUS_PROXY_FLAGS_NONE, XENOPSD, path, NULL, error);
}

static gboolean start_vm(GDBusConnection *bus, XcpXenopsd1VM *vm, GError **error) {
        g_autoptr(GVariant) result = NULL;
        g_autofree char *task = NULL;

        if (!xcp_xenopsd1_vm_call_start_sync(vm, FALSE, CALL, &task, NULL, error))
                return FALSE;
        result = follow(bus, XENOPSD, task, error);
        return result != NULL;
}

static gboolean remove_vm(GDBusConnection *bus, XcpXenopsd1VM *vm, GError **error) {
        g_autoptr(GVariant) stopped = NULL, destroyed = NULL;
        g_autofree char *stop = NULL, *destroy = NULL;

        if (!xcp_xenopsd1_vm_call_stop_sync(vm, 1000, CALL, &stop, NULL, error))
                return FALSE;
        stopped = follow(bus, XENOPSD, stop, error);
        if (!stopped || !xcp_xenopsd1_vm_call_destroy_sync(vm, CALL, &destroy, NULL, error))
                return FALSE;
        destroyed = follow(bus, XENOPSD, destroy, error);
        return destroyed != NULL;
}

static void on_state_changed(XcpXenopsd1VM *vm, const char *before, const char *after, const char *reason, gpointer data) {
        g_print("VM %s: %s -> %s (%s)\n", xcp_xenopsd1_vm_get_name(vm), before, after, reason);
}

static gboolean list_services(GDBusConnection *bus, GError **error) {
        g_autoptr(GVariant) reply = NULL, names = NULL;
        GVariantIter iter;
        const char *name;

        reply = g_dbus_connection_call_sync(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                            "ListActivatableNames", NULL, G_VARIANT_TYPE("(as)"), CALL, NULL, error);
        if (!reply)
                return FALSE;
        names = g_variant_get_child_value(reply, 0);
        g_variant_iter_init(&iter, names);
        while (g_variant_iter_next(&iter, "&s", &name))
                if (g_str_has_prefix(name, "org.xen.xcp."))
                        g_print("Service %s\n", name);
        return TRUE;
}

/* The object manager holds all objects of a service, each with a proxy for each of its interfaces, and keeps them up to date. */
static gboolean list_vms(GDBusConnection *bus, GError **error) {
        g_autoptr(GDBusObjectManager) manager = NULL;

        manager = xcp_object_manager_client_new_sync(bus, G_DBUS_OBJECT_MANAGER_CLIENT_FLAGS_NONE, XENOPSD, "/org/xen/xcp/xenopsd",
                                                     NULL, error);
        if (!manager)
                return FALSE;
        GList *objects = g_dbus_object_manager_get_objects(manager);
        for (GList *object = objects; object; object = object->next) {
                XcpXenopsd1VM *vm = xcp_object_peek_xenopsd1_vm(XCP_OBJECT(object->data));

                if (vm)
                        g_print("VM %s %s\n", xcp_xenopsd1_vm_get_name(vm), xcp_xenopsd1_vm_get_state(vm));
        }
        g_list_free_full(objects, g_object_unref);
        return TRUE;
}

/* What goes wrong comes as a GError in the domain XCP_ERROR, whether it came at once or a task found out. */
static void fail_in_two_ways(GDBusConnection *bus, XcpXenopsd1Manager *manager, XcpXenopsd1VM *vm) {
        g_autoptr(GError) running = NULL, nobody = NULL;
        g_autofree char *path = NULL;

        start_vm(bus, vm, &running);
        if (g_error_matches(running, XCP_ERROR, XCP_ERROR_BAD_POWER_STATE)) {
                g_dbus_error_strip_remote_error(running);
                g_print("BadPowerState: %s\n", running->message);
        }
        xcp_xenopsd1_manager_call_lookup_by_name_sync(manager, "nobody", CALL, &path, NULL, &nobody);
        if (g_error_matches(nobody, XCP_ERROR, XCP_ERROR_DOES_NOT_EXIST)) {
                g_dbus_error_strip_remote_error(nobody);
                g_print("DoesNotExist: %s\n", nobody->message);
        }
}

static gboolean client(const char *address, const char *directory, GError **error) {
        g_autoptr(GDBusConnection) bus = NULL;
        g_autoptr(XcpXenopsd1Manager) manager = NULL;
        g_autoptr(XcpXenopsd1VM) vm = NULL;
        g_autofree char *sr = NULL, *vdi = NULL;

        xcp_error_quark();      /* from here on errors are XCP_ERROR, and no longer G_IO_ERROR_DBUS_ERROR */
        bus = g_dbus_connection_new_for_address_sync(address,
                        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, error);
        if (!bus || !list_services(bus, error) || !make_disk(bus, directory, &sr, &vdi, error))
                return FALSE;
        manager = xcp_xenopsd1_manager_proxy_new_sync(bus, G_DBUS_PROXY_FLAGS_NONE, XENOPSD, "/org/xen/xcp/xenopsd", NULL, error);
        if (!manager)
                return FALSE;
        vm = make_vm(bus, manager, vdi, error);
        if (!vm)
                return FALSE;
        g_signal_connect(vm, "state-changed", G_CALLBACK(on_state_changed), NULL);
        if (!start_vm(bus, vm, error) || !list_vms(bus, error))
                return FALSE;
        fail_in_two_ways(bus, manager, vm);
        return remove_vm(bus, vm, error) && remove_disk(bus, sr, vdi, error);
}

int main(int argc, char **argv) {
        g_autoptr(GError) error = NULL;

        if (argc != 3)
                g_error("Usage: %s ADDRESS DIRECTORY", argv[0]);
        if (client(argv[1], argv[2], &error))
                return 0;
        g_printerr("glib_client: %s\n", error->message);
        return 1;
}
