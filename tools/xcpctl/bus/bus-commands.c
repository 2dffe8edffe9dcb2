/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl services, tree, show, get, set, call: what is on the bus, whichever service it is of. */

#include <string.h>

#include "contract.h"
#include "introspection.h"
#include "objects.h"
#include "operation.h"
#include "quantity.h"
#include "result.h"
#include "value.h"

/* A line of xcpctl services. */
struct service_line {
        const char *name;               /* in full */
        bool running;
        guint32 pid, domain;
        char *version, *health;         /* NULL if unknown */
};

static char *text_property(GVariant *properties, const char *name) {
        char *text = NULL;

        if (properties)
                g_variant_lookup(properties, name, "s", &text);
        return text;
}

static void ask_domain(struct context *context, bool has_bridge, struct service_line *line) {
        g_autoptr(GVariant) answer = NULL;

        line->domain = context->domain;
        if (!has_bridge)
                return;
        answer = client_call_briefly(context, CLIENT_BRIDGE, CLIENT_BRIDGE_ROOT, "org.xen.xcp.bridge1.Manager", "GetConnectionDomain",
                                     g_variant_new("(s)", line->name));
        if (answer && g_variant_is_of_type(answer, G_VARIANT_TYPE("(usts)")))
                g_variant_get_child(answer, 0, "u", &line->domain);
}

/* Fills in what a running service says; one that does not answer soon is shown as such. */
static void ask(struct context *context, bool has_bridge, struct service_line *line) {
        g_autoptr(GVariant) pid = NULL, answer = NULL, properties = NULL;
        g_autofree char *root = client_root(line->name);

        pid = client_call_briefly(context, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
                                  g_variant_new("(s)", line->name));
        if (pid)
                g_variant_get(pid, "(u)", &line->pid);
        answer = client_call_briefly(context, line->name, root, "org.freedesktop.DBus.Properties", "GetAll",
                                     g_variant_new("(s)", CLIENT_DIAGNOSTICS));
        if (answer && g_variant_is_of_type(answer, G_VARIANT_TYPE("(a{sv})")))
                properties = g_variant_get_child_value(answer, 0);
        line->version = text_property(properties, "Version");
        line->health = text_property(properties, "Health");
        if (!line->health)
                line->health = g_strdup("no answer");
        ask_domain(context, has_bridge, line);
}

static struct json_object *json_of_line(const struct service_line *line) {
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "name", json_object_new_string(line->name));
        json_object_object_add(object, "running", json_object_new_boolean(line->running));
        json_object_object_add(object, "pid", line->pid ? json_object_new_int64(line->pid) : NULL);
        json_object_object_add(object, "version", line->version ? json_object_new_string(line->version) : NULL);
        json_object_object_add(object, "health", line->health ? json_object_new_string(line->health) : NULL);
        json_object_object_add(object, "domain", line->running ? json_object_new_int64(line->domain) : NULL);
        return object;
}

static void add_line(struct table *table, const struct service_line *line) {
        g_autofree char *pid = line->pid ? g_strdup_printf("%u", line->pid) : g_strdup("-");
        g_autofree char *domain = line->running ? g_strdup_printf("%u", line->domain) : g_strdup("-");

        table_add(table, (const char *const[]) { client_short_name(line->name), line->running ? "running" : "activatable", pid,
                                                 line->version ? line->version : "-", line->health ? line->health : "-", domain, NULL });
}

static bool run_services(struct context *context, const struct arguments *arguments, GError **error) {
        g_auto(GStrv) names = client_services(context, true, error);
        struct json_object *json = json_object_new_array();
        struct table *table = table_new((const char *const[]) { "SERVICE", "STATE", "PID", "VERSION", "HEALTH", "DOMAIN", NULL });
        bool has_bridge;

        table_align_right(table, 2);
        table_align_right(table, 5);
        has_bridge = names && client_is_running(context, CLIENT_BRIDGE);
        for (char **name = names; name && *name; name++) {
                struct service_line line = { .name = *name, .running = client_is_running(context, *name) };

                if (line.running)
                        ask(context, has_bridge, &line);
                json_object_array_add(json, json_of_line(&line));
                add_line(table, &line);
                g_free(line.version);
                g_free(line.health);
        }
        return context_print_list(context, table, json, names != NULL, error);
}

/* An object's interfaces as an array, without those that every object has. */
static void add_interfaces(struct json_object *tree, const char *path, char **interfaces) {
        struct json_object *list = json_object_new_array();

        for (; *interfaces; interfaces++)
                json_object_array_add(list, json_object_new_string(*interfaces));
        json_object_object_add(tree, path, list);
}

static bool add_tree(struct context *context, const char *service, struct json_object *tree, GError **error) {
        g_autoptr(GPtrArray) objects = introspection_objects(context, service, error);

        for (unsigned i = 0; objects && i < objects->len; i++) {
                const struct introspected_object *object = objects->pdata[i];

                add_interfaces(tree, object->path, object->interfaces);
        }
        return objects != NULL;
}

static bool print_tree(struct context *context, struct json_object *tree, GError **error) {
        json_object_object_foreach(tree, path, interfaces) {
                g_autoptr(GString) line = g_string_new(path);
                size_t n = json_object_array_length(interfaces);

                for (size_t i = 0; i < n; i++)
                        g_string_append_printf(line, "%s%s", i == 0 ? "  " : ", ",
                                               json_object_get_string(json_object_array_get_idx(interfaces, i)));
                if (!context_print_line(context, line->str, error))
                        return false;
        }
        return true;
}

static bool run_tree(struct context *context, const struct arguments *arguments, GError **error) {
        struct json_object *tree = json_object_new_object();
        const char *only = arguments_get(arguments, "SERVICE");
        g_auto(GStrv) names = NULL;
        bool good = true;

        if (only) {
                g_autofree char *name = client_service_name(only);

                good = add_tree(context, name, tree, error);
        } else {
                names = client_services(context, false, error);
                good = names != NULL;
        }
        for (char **name = names; name && *name && good; name++)
                good = add_tree(context, *name, tree, error);
        if (good)
                good = context->json ? context_print_json(context, json_object_get(tree), false, error) : print_tree(context, tree, error);
        json_object_put(tree);
        return good;
}

/* The properties of the interfaces that are not D-Bus's own. */
static bool run_show(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *path = objects_find(context, PARAMETER_OBJECT, NULL, arguments_get(arguments, "OBJECT"), error), *service = NULL;

        if (!path)
                return false;
        service = client_service_of(path);
        if (!service)
                return context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is below no service's /org/xen/xcp/SERVICE", path);
        return introspection_show(context, service, path, error);
}

/* What get, set and call begin with. */
struct place {
        char *service;
        const char *path, *interface;
        GDBusNodeInfo *node;
        GDBusInterfaceInfo *info;
};

static void place_done(struct place *place) {
        g_free(place->service);
        g_clear_pointer(&place->node, g_dbus_node_info_unref);
}

static bool find_place(struct context *context, const struct arguments *arguments, struct place *place, GError **error) {
        *place = (struct place) {
                .service = client_service_name(arguments_get(arguments, "SERVICE")),
                .path = arguments_get(arguments, "PATH"),
                .interface = arguments_get(arguments, "INTERFACE"),
        };
        if (!g_dbus_is_name(place->service))
                return context_fail(error, CONTEXT_ERROR_USAGE, "SERVICE: '%.64s' is no bus name", place->service);
        if (!g_variant_is_object_path(place->path))
                return context_fail(error, CONTEXT_ERROR_USAGE, "PATH: '%.64s' is no object path", place->path);
        place->node = client_introspect(context, place->service, place->path, error);
        if (!place->node)
                return false;
        place->info = g_dbus_node_info_lookup_interface(place->node, place->interface);
        return place->info || context_fail(error, CONTEXT_ERROR_FAILED, "%s has no interface '%.64s'", place->path, place->interface);
}

static bool find_property(const struct place *place, const char *name, GDBusPropertyInfo **ret_property, GError **error) {
        *ret_property = g_dbus_interface_info_lookup_property(place->info, name);
        return *ret_property || context_fail(error, CONTEXT_ERROR_FAILED, "%s has no property '%.64s'", place->interface, name);
}

static bool get(struct context *context, const struct place *place, const char *name, GError **error) {
        const struct contract_value *known = contract_property(place->interface, name);
        g_autoptr(GVariant) value = NULL;
        GDBusPropertyInfo *property;

        if (!find_property(place, name, &property, error))
                return false;
        value = client_property(context, place->service, place->path, place->interface, name, error);
        return value && result_show_value(context, value, known ? known->type : NULL, name, error);
}

static bool set(struct context *context, const struct place *place, const char *name, const char *text, GError **error) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(GVariant) value = NULL;
        GDBusPropertyInfo *property;

        if (!find_property(place, name, &property, error))
                return false;
        value = value_parse(text, G_VARIANT_TYPE(property->signature), NULL, &problem);
        if (!value)
                return context_fail(error, CONTEXT_ERROR_USAGE, "%s: %s", name, problem->message);
        return client_set_property(context, place->service, place->path, place->interface, name, value, error);
}

static bool run_get(struct context *context, const struct arguments *arguments, GError **error) {
        struct place place;
        bool good = find_place(context, arguments, &place, error) && get(context, &place, arguments_get(arguments, "PROPERTY"), error);

        place_done(&place);
        return good;
}

static bool run_set(struct context *context, const struct arguments *arguments, GError **error) {
        struct place place;
        bool good = find_place(context, arguments, &place, error) &&
                    set(context, &place, arguments_get(arguments, "PROPERTY"), arguments_get(arguments, "VALUE"), error);

        place_done(&place);
        return good;
}

/* The arguments of a call, as its introspection has them. */
static GVariant *parse_inputs(const GDBusMethodInfo *method, const char *const *texts, GUnixFDList *fds, GError **error) {
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_TUPLE);
        unsigned n = 0, n_texts = g_strv_length((char **) texts);

        while (method->in_args && method->in_args[n])
                n++;
        if (n != n_texts) {
                g_autofree char *usage = introspection_usage(method);

                context_fail(error, CONTEXT_ERROR_USAGE, "%s takes %u arguments, not %u: %s", method->name, n, n_texts, usage);
                return NULL;
        }
        for (unsigned i = 0; i < n; i++) {
                g_autoptr(GError) problem = NULL;
                g_autoptr(GVariant) value = value_parse(texts[i], G_VARIANT_TYPE(method->in_args[i]->signature), fds, &problem);

                if (!value) {
                        context_fail(error, CONTEXT_ERROR_USAGE, "%s: %s", method->in_args[i]->name, problem->message);
                        return NULL;
                }
                g_variant_builder_add_value(&builder, value);
        }
        return g_variant_builder_end(&builder);
}

static bool call(struct context *context, const struct place *place, const char *name, const char *const *texts, GError **error) {
        const struct contract_call *known = contract_call(place->interface, name);
        const GDBusMethodInfo *method = g_dbus_interface_info_lookup_method(place->info, name);
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
        g_autoptr(GVariant) results = NULL;
        g_autofree struct contract_value *outputs = NULL;
        GVariant *inputs;

        if (!method)
                return context_fail(error, CONTEXT_ERROR_FAILED, "%s has no method '%.64s'", place->interface, name);
        inputs = parse_inputs(method, texts, fds, error);
        if (!inputs)
                return false;
        results = client_call(context, place->service, place->path, place->interface, name, inputs, fds, NULL, error);
        outputs = introspection_outputs(method);
        return results && result_show(context, place->service, known ? known->outputs : outputs, known ? known->result : NULL, results, error);
}

static bool run_call(struct context *context, const struct arguments *arguments, GError **error) {
        struct place place;
        bool good = find_place(context, arguments, &place, error) &&
                    call(context, &place, arguments_get(arguments, "METHOD"), arguments_all(arguments, "ARGUMENT"), error);

        place_done(&place);
        return good;
}

static bool run_move(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *name = client_service_name(arguments_get(arguments, "SERVICE"));
        const char *to = arguments_get(arguments, "--to");
        uint64_t domain;

        if (!to)
                return context_fail(error, CONTEXT_ERROR_USAGE, "--to DOMAIN is missing: the id of the domain that it is to go to");
        if (!quantity_parse_number(to, UINT32_MAX, &domain, error))
                return false;
        return operation_call(context, arguments, g_variant_new("(su)", name, (guint32) domain), NULL, error);
}

#define SERVICE_PARAMETER { "SERVICE", PARAMETER_SERVICE, "A service's name: storage, or in full org.xen.xcp.storage." }
#define PLACE_PARAMETERS                                                                                                                      \
        SERVICE_PARAMETER, { "PATH", PARAMETER_TEXT, "The object's path." }, { "INTERFACE", PARAMETER_TEXT, "The interface's name." }

const struct command bus_commands[] = {
        {
                .name = "services",
                .summary = "List services: those that run, and those that the first call starts.",
                .details = "HEALTH is what the service says of itself, DOMAIN where it runs as the bridge knows it. A service that does not "
                           "answer within 3 seconds is shown with no answer.",
                .parameters = (const struct parameter[]) { {} },
                .run = run_services,
        },
        {
                .name = "service move",
                .summary = "Move a service to another domain, without a call being lost.",
                .details = "It finishes what it has begun, and calls wait until it goes on there, as it was. If that cannot be, everything stays as "
                           "it is. The storage service can be moved; the policy of both bridges has to allow it. Others stay where what they see "
                           "to is: NotSupported.",
                .parameters = (const struct parameter[]) {
                        { "SERVICE", PARAMETER_SERVICE, "Its name: storage, or in full org.xen.xcp.storage." },
                        { "--to", PARAMETER_NUMBER, "The id of the domain. Has to be given." },
                        {},
                },
                .run = run_move, .interface = "org.xen.xcp.bridge1.Manager", .method = "MoveService",
        },
        {
                .name = "tree",
                .summary = "List objects with their interfaces.",
                .parameters = (const struct parameter[]) {
                        { "SERVICE", PARAMETER_SERVICE, "Of this service only.", .flags = PARAMETER_OPTIONAL },
                        {},
                },
                .run = run_tree,
        },
        {
                .name = "show",
                .summary = "Show all properties of an object.",
                .parameters = (const struct parameter[]) {
                        { "OBJECT", PARAMETER_OBJECT, "SERVICE, SERVICE/PATH, vm/VM, vdi/VDI, sr/SR, or an object path." },
                        {},
                },
                .run = run_show,
        },
        {
                .name = "get",
                .summary = "Show a property.",
                .parameters = (const struct parameter[]) { PLACE_PARAMETERS, { "PROPERTY", PARAMETER_TEXT, "The property's name." }, {} },
                .run = run_get,
        },
        {
                .name = "set",
                .summary = "Change a property.",
                .parameters = (const struct parameter[]) {
                        PLACE_PARAMETERS,
                        { "PROPERTY", PARAMETER_TEXT, "The property's name." },
                        { "VALUE", PARAMETER_TEXT, "The value, written as the arguments of call are." },
                        {},
                },
                .run = run_set,
        },
        {
                .name = "call",
                .summary = "Call a method.",
                .details = "What types the arguments have is asked of the object. Text, paths and numbers are written as they are, numbers of 64 bits "
                           "also as sizes (10GiB), booleans true or false. A descriptor is @FILE, opened for reading, @>FILE for writing, "
                           "or @- and @>- for standard input and output. All else is in GVariant's text format: ['a', 'b'], {'key': <uint32 5>}. "
                           "If a task comes back it is waited for.",
                .parameters = (const struct parameter[]) {
                        PLACE_PARAMETERS,
                        { "METHOD", PARAMETER_TEXT, "The method's name." },
                        { "ARGUMENT", PARAMETER_TEXT, "Its arguments.", .flags = PARAMETER_OPTIONAL | PARAMETER_MANY },
                        {},
                },
                .run = run_call,
        },
        {},
};
