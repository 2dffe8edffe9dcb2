/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "operation.h"

#include <string.h>

#include "contract.h"
#include "objects.h"
#include "quantity.h"
#include "record.h"
#include "result.h"

static bool is_of_manager(const struct command *command) {
        return g_str_has_suffix(command->interface, ".Manager");
}

/* org.xen.xcp.storage of org.xen.xcp.storage1.VDI. */
static char *service_of_interface(const char *interface) {
        return g_strndup(interface, strcspn(interface, "0123456789"));
}

/* How many of the command's parameters name the object. */
static unsigned n_target(const struct command *command) {
        const struct parameter *second = command->parameters->name ? command->parameters + 1 : NULL;

        if (is_of_manager(command))
                return 0;
        return second && second->name && (second->kind == PARAMETER_DISK || second->kind == PARAMETER_NIC) ? 2 : 1;
}

const struct parameter *operation_parameter(const struct command *command, unsigned i) {
        for (const struct parameter *parameter = command->parameters + n_target(command); parameter->name; parameter++)
                if (!parameter->key && i-- == 0)
                        return parameter;
        return NULL;
}

/* The object that a command's first arguments name, and its service; both to be freed. */
static char *operation_target(struct context *context, const struct arguments *arguments, char **ret_service, GError **error) {
        const struct command *command = arguments_command(arguments);
        g_autofree char *path = NULL;

        if (is_of_manager(command)) {
                *ret_service = service_of_interface(command->interface);
                return client_root(*ret_service);
        }
        for (unsigned i = 0; i < n_target(command); i++) {
                const struct parameter *parameter = command->parameters + i;
                char *next = objects_find(context, parameter->kind, path, arguments_get(arguments, parameter->name), error);

                g_free(path);
                path = next;
                if (!path)
                        return NULL;
        }
        *ret_service = strcmp(command->interface, CLIENT_TASK) == 0 ? client_service_of(path) : service_of_interface(command->interface);
        if (*ret_service)
                return g_steal_pointer(&path);
        context_fail(error, CONTEXT_ERROR_USAGE, "'%.64s' is no object of a service that is known here", path);
        return NULL;
}

/* One argument of the method. The values are as the command line's parser has found them good. */
static GVariant *input_of(struct context *context, const struct parameter *parameter, const struct contract_value *input, GError **error) {
        const struct arguments *arguments = context->arguments;
        const struct contract_type *named = contract_named(input->type);
        const char *text = arguments_get(arguments, parameter->name);
        g_autofree char *path = NULL;
        uint64_t number = 0;

        if (parameter->kind == PARAMETER_RECORD)
                return record_of_arguments(context, named->name, error);
        switch (*input->type) {
        case 'a':
                return g_variant_ref_sink(g_variant_new_strv(arguments_all(arguments, parameter->name), -1));
        case 'b':
                return g_variant_ref_sink(g_variant_new_boolean(arguments_has(arguments, parameter->name)));
        case 'o':
                path = objects_find(context, parameter->kind, NULL, text, error);
                return path ? g_variant_ref_sink(g_variant_new_object_path(path)) : NULL;
        case 'u':
                if (parameter->kind == PARAMETER_DURATION)
                        quantity_parse_duration(text, &number, NULL);
                else
                        quantity_parse_number(text, UINT32_MAX, &number, NULL);
                return g_variant_ref_sink(g_variant_new_uint32((uint32_t) number));
        case 't':
                quantity_parse_size(text, &number, NULL);
                return g_variant_ref_sink(g_variant_new_uint64(number));
        default:
                return g_variant_ref_sink(g_variant_new_string(text));
        }
}

static GVariant *inputs_of(struct context *context, const struct contract_call *call, GError **error) {
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_TUPLE);

        for (unsigned i = 0; call->inputs[i].name; i++) {
                const struct parameter *parameter = operation_parameter(arguments_command(context->arguments), i);
                g_autoptr(GVariant) value = input_of(context, parameter, &call->inputs[i], error);

                if (!value)
                        return NULL;
                g_variant_builder_add_value(&builder, value);
        }
        return g_variant_builder_end(&builder);
}

static bool call_target(struct context *context, const char *service, const char *path, GVariant *inputs, GUnixFDList *fds, GError **error) {
        const struct command *command = arguments_command(context->arguments);
        const struct contract_call *call = contract_call(command->interface, command->method);
        g_autoptr(GVariant) results = client_call(context, service, path, command->interface, command->method, inputs, fds, NULL, error);

        return results && result_show(context, service, call->outputs, call->result, results, error);
}

bool operation_call(struct context *context, const struct arguments *arguments, GVariant *inputs, GUnixFDList *fds, GError **error) {
        g_autoptr(GVariant) owned = g_variant_ref_sink(inputs);
        g_autofree char *service = NULL, *path = operation_target(context, arguments, &service, error);

        return path && call_target(context, service, path, owned, fds, error);
}

bool operation_run(struct context *context, const struct arguments *arguments, GError **error) {
        const struct command *command = arguments_command(arguments);
        g_autofree char *service = NULL, *path = operation_target(context, arguments, &service, error);
        GVariant *inputs = path ? inputs_of(context, contract_call(command->interface, command->method), error) : NULL;

        return inputs && call_target(context, service, path, inputs, NULL, error);
}
