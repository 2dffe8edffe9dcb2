/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl task: tasks of all services. */

#include <string.h>

#include "objects.h"
#include "operation.h"
#include "property.h"
#include "quantity.h"
#include "result.h"
#include "wait.h"

static void add_row(struct table *table, const char *service, const char *path, GVariant *task) {
        const char *state = "", *description = "";
        double progress = 0;
        guint64 created = 0;
        g_autofree char *name = NULL, *percent = NULL, *time = NULL;

        g_variant_lookup(task, "State", "&s", &state);
        g_variant_lookup(task, "Description", "&s", &description);
        g_variant_lookup(task, "Progress", "d", &progress);
        g_variant_lookup(task, "CreatedUs", "t", &created);
        name = g_strdup_printf("%s/%s", client_short_name(service), strrchr(path, '/') + 1);
        percent = g_strdup_printf("%.0f %%", progress * 100);
        time = quantity_format_time(created);
        table_add(table, (const char *const[]) { name, state, percent, time, description, NULL });
}

static void add_tasks(struct context *context, const char *service, struct table *table, struct json_object *json) {
        g_autoptr(GVariant) objects = client_objects(context, service, NULL);   /* NULL: it has none */

        for (gsize i = 0; objects && i < g_variant_n_children(objects); i++) {
                g_autoptr(GVariant) interfaces = NULL, task = NULL;
                struct json_object *object;
                const char *path;

                g_variant_get_child(objects, i, "{&o@a{sa{sv}}}", &path, &interfaces);
                task = g_variant_lookup_value(interfaces, CLIENT_TASK, G_VARIANT_TYPE_VARDICT);
                if (!task)
                        continue;
                add_row(table, service, path, task);
                object = property_json(CLIENT_TASK, task);
                json_object_object_add(object, "task", json_object_new_string(path));
                json_object_array_add(json, object);
        }
}

static bool run_list(struct context *context, const struct arguments *arguments, GError **error) {
        g_auto(GStrv) services = client_services(context, false, error);
        struct table *table = table_new((const char *const[]) { "TASK", "STATE", "DONE", "SINCE", "DESCRIPTION", NULL });
        struct json_object *json = json_object_new_array();
        bool good = services != NULL;

        table_align_right(table, 2);
        for (char **service = services; service && *service; service++)
                add_tasks(context, *service, table, json);
        return context_print_list(context, table, json, good, error);
}

static bool run_show(struct context *context, const struct arguments *arguments, GError **error) {
        return property_show(context, PARAMETER_TASK, NULL, arguments_get(arguments, "TASK"), error);
}

static bool run_wait(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *path = objects_find(context, PARAMETER_TASK, NULL, arguments_get(arguments, "TASK"), error), *service = NULL;
        g_autoptr(GVariant) result = NULL;

        service = path ? client_service_of(path) : NULL;
        if (path && !service)
                return context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is below no service's /org/xen/xcp/SERVICE", path);
        return path && wait_for_task(context, service, path, &result, error) && result_show_value(context, result, NULL, "result", error);
}

#define TASK_PARAMETER { "TASK", PARAMETER_TASK, "SERVICE/NUMBER, as task list has it, or its object path." }
#define JUST_TASK .parameters = (const struct parameter[]) { TASK_PARAMETER, {} }

const struct command task_commands[] = {
        {
                .name = "task list",
                .summary = "List the tasks of all services that run.",
                .parameters = (const struct parameter[]) { {} },
                .run = run_list,
        },
        { .name = "task show", .summary = "Show all about a task.", JUST_TASK, .run = run_show },
        {
                .name = "task wait",
                .summary = "Wait for the end of a task, and show its result.",
                .details = "A task of somebody who has left the bus, as one that was not waited for is, goes at its end: wait for it while it runs.",
                JUST_TASK,
                .run = run_wait,
        },
        { .name = "task cancel", .summary = "Have a task undone. Returns at once.", JUST_TASK, OPERATION(CLIENT_TASK, "Cancel") },
        { .name = "task destroy", .summary = "Forget a task that is at its end.", JUST_TASK, OPERATION(CLIENT_TASK, "Destroy") },
        {},
};
