/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-port.h"

#include <string.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>

#include "carry.h"
#include "objects.h"

#define NIC "org.xen.xcp.xenopsd1.NetworkInterface"
#define USER_NETWORK "user"

static bool is_in_user_network(GVariant *interfaces) {
        g_autoptr(GVariant) properties = g_variant_lookup_value(interfaces, NIC, G_VARIANT_TYPE_VARDICT);
        const char *network;

        return properties && g_variant_lookup(properties, "Network", "&s", &network) && strcmp(network, USER_NETWORK) == 0;
}

bool vm_port_find(struct context *context, const char *vm, char **ret_nic, GError **error) {
        g_autoptr(GVariant) objects = client_objects(context, CLIENT_XENOPSD, error);
        g_autofree char *first = NULL;

        if (!objects)
                return false;
        for (gsize i = 0; i < g_variant_n_children(objects); i++) {
                g_autoptr(GVariant) interfaces = NULL;
                const char *path;

                g_variant_get_child(objects, i, "{&o@a{sa{sv}}}", &path, &interfaces);
                if (g_str_has_prefix(path, vm) && path[strlen(vm)] == '/' && is_in_user_network(interfaces) &&
                    (!first || strcmp(path, first) < 0)) {
                        g_free(first);
                        first = g_strdup(path);
                }
        }
        *ret_nic = g_steal_pointer(&first);
        return true;
}

/* The one that was named, or the first that can be; to be freed. */
static char *choose(struct context *context, const char *vm, const char *name, GError **error) {
        char *nic = NULL;

        if (name)
                return objects_find(context, PARAMETER_NIC, vm, name, error);
        if (vm_port_find(context, vm, &nic, error) && !nic)
                context_fail(error, CONTEXT_ERROR_FAILED, "no network interface of the VM is in the network " USER_NETWORK);
        return nic;
}

static int open_port(struct context *context, const char *nic, const char *text, GError **error) {
        g_autoptr(GUnixFDList) fds = NULL;
        g_autoptr(GVariant) results = NULL;
        guint64 port;

        if (!g_ascii_string_to_unsigned(text, 10, 1, UINT16_MAX, &port, NULL)) {
                context_fail(error, CONTEXT_ERROR_USAGE, "'%s' is no port: it has to be 1 to 65535", text);
                return -1;
        }
        results = client_call(context, CLIENT_XENOPSD, nic, NIC, "OpenPort", g_variant_new("(q)", (guint16) port), NULL, &fds, error);
        if (!results)
                return -1;
        if (fds && g_unix_fd_list_get_length(fds) == 1)
                return g_unix_fd_list_get(fds, 0, error);
        context_fail(error, CONTEXT_ERROR_FAILED, "OpenPort() answered without a descriptor");
        return -1;
}

bool vm_port_run(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *vm = objects_find(context, PARAMETER_VM, NULL, arguments_get(arguments, "VM"), error), *nic = NULL;
        bool good;
        int fd;

        nic = vm ? choose(context, vm, arguments_get(arguments, "--nic"), error) : NULL;
        fd = nic ? open_port(context, nic, arguments_get(arguments, "PORT"), error) : -1;
        if (fd < 0)
                return false;
        good = carry(fd, CARRY_END, error);
        close(fd);
        return good;
}
