/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-ssh.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "objects.h"
#include "ssh-key.h"
#include "vm-port.h"

#define VM "org.xen.xcp.xenopsd1.VM"

/* How good an address is to be reached at; 0: it cannot be. */
static unsigned worth(const char *address, const char *source) {
        if (strcmp(source, "UserNetwork") == 0 || g_str_has_prefix(address, "fe80:") || g_str_has_prefix(address, "127.") || strcmp(address, "::1") == 0)
                return 0;               /* of the backend's own network, or of one link, or the guest's of itself */
        return strchr(address, ':') ? 1 : 2;
}

/* The address that is best; to be freed. NULL: there is none. */
static bool find_address(struct context *context, const char *vm, char **ret_address, GError **error) {
        g_autoptr(GVariant) addresses = client_property(context, CLIENT_XENOPSD, vm, VM, "Addresses", error);
        const char *address, *source, *best = NULL;
        unsigned best_worth = 0;
        GVariantIter iter;

        if (!addresses)
                return false;
        if (g_variant_is_of_type(addresses, G_VARIANT_TYPE("a(sss)"))) {
                g_variant_iter_init(&iter, addresses);
                while (g_variant_iter_next(&iter, "(&s&s&s)", &address, NULL, &source))
                        if (worth(address, source) > best_worth) {
                                best = address;
                                best_worth = worth(address, source);
                        }
        }
        *ret_address = best && g_hostname_is_ip_address(best) ? g_strdup(best) : NULL;
        return true;
}

/* The VM's name, which its key is called by; to be freed. */
static char *find_name(struct context *context, const char *vm, GError **error) {
        g_autoptr(GVariant) name = client_property(context, CLIENT_XENOPSD, vm, VM, "Name", error);

        if (!name)
                return NULL;
        if (g_variant_is_of_type(name, G_VARIANT_TYPE_STRING))
                return g_variant_dup_string(name, NULL);
        context_fail(error, CONTEXT_ERROR_FAILED, "Name is of type %s", g_variant_get_type_string(name));
        return NULL;
}

static void add_option(GPtrArray *argv, const char *name, const char *value) {
        g_ptr_array_add(argv, g_strdup("-o"));
        g_ptr_array_add(argv, g_strdup_printf("%s=%s", name, value));
}

/* Each VM has its own list of host keys: the addresses of those that are gone are given to others. */
static void add_key(GPtrArray *argv, const struct arguments *arguments, const char *key) {
        g_autofree char *file = ssh_key_known_hosts(key), *known = g_strdup_printf("\"%s\"", file);
        const char *identity = arguments_get(arguments, "--identity");

        add_option(argv, "UserKnownHostsFile", known);
        add_option(argv, "StrictHostKeyChecking", "accept-new");
        if (!identity && g_file_test(key, G_FILE_TEST_EXISTS)) {
                identity = key;
                add_option(argv, "IdentitiesOnly", "yes");
        }
        if (identity) {
                g_ptr_array_add(argv, g_strdup("-i"));
                g_ptr_array_add(argv, g_strdup(identity));
        }
}

/* A word of what ssh has a shell run, and in which it replaces what begins with a %. */
static void add_word(GString *command, const char *word) {
        g_autofree char *quoted = g_shell_quote(word);
        GString *escaped = g_string_new(quoted);

        g_string_replace(escaped, "%", "%%", 0);
        g_string_append_printf(command, "%s%s", command->len > 0 ? " " : "", escaped->str);
        g_string_free(escaped, TRUE);
}

/* A guest that only its backend can reach: this program is connected to it, by another command. */
static bool add_connection(struct context *context, GPtrArray *argv, const char *vm, GError **error) {
        g_autofree char *program = NULL, *nic = NULL;
        GString *command;

        if (!vm_port_find(context, vm, &nic, error))
                return false;
        if (!nic)
                return context_fail(error, CONTEXT_ERROR_FAILED,
                                    "no address is known at which the VM can be reached: xcpctl vm show lists those that are");
        program = g_file_read_link("/proc/self/exe", error);
        if (!program)
                return false;
        command = g_string_new(NULL);
        for (const char *const *word = (const char *const[]) { program, "--address", context->address, "vm", "connect", vm, NULL }; *word; word++)
                add_word(command, *word);
        g_string_append(command, " %p");
        add_option(argv, "ProxyCommand", command->str);
        g_string_free(command, TRUE);
        return true;
}

/* How the guest is reached. destination: what it is called then, to be freed. */
static bool add_way(struct context *context, GPtrArray *argv, const char *vm, const char *name, char **ret_destination, GError **error) {
        g_autofree char *address = NULL;

        if (!find_address(context, vm, &address, error))
                return false;
        if (!address && !add_connection(context, argv, vm, error))
                return false;
        *ret_destination = address ? g_steal_pointer(&address) : g_strdup(name);
        return true;
}

bool vm_ssh_run(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *vm = objects_find(context, PARAMETER_VM, NULL, arguments_get(arguments, "VM"), error), *name = NULL, *key = NULL,
                        *user = NULL, *destination = NULL;
        g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);

        name = vm ? find_name(context, vm, error) : NULL;
        key = name ? ssh_key_path(name, error) : NULL;
        if (!key || !ssh_key_make_directory(key, error))
                return false;
        g_ptr_array_add(argv, g_strdup("ssh"));
        add_key(argv, arguments, key);
        if (!add_way(context, argv, vm, name, &destination, error))
                return false;
        user = arguments_has(arguments, "--user") ? g_strdup(arguments_get(arguments, "--user")) : ssh_key_user(name);
        if (user) {
                g_ptr_array_add(argv, g_strdup("-l"));
                g_ptr_array_add(argv, g_strdup(user));
        }
        g_ptr_array_add(argv, g_strdup("-p"));
        g_ptr_array_add(argv, g_strdup(arguments_get(arguments, "--port")));
        g_ptr_array_add(argv, g_strdup("--"));
        g_ptr_array_add(argv, g_strdup(destination));
        for (const char *const *word = arguments_all(arguments, "COMMAND"); word && *word; word++)
                g_ptr_array_add(argv, g_strdup(*word));
        g_ptr_array_add(argv, NULL);
        execvp("ssh", (char **) argv->pdata);
        return context_fail(error, CONTEXT_ERROR_FAILED, "ssh (package openssh-client): %s", g_strerror(errno));
}
