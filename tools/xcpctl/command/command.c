/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "command.h"

#include <string.h>

#include "contract.h"

const struct command_group command_groups[] = {
        { "Services", bus_commands },
        { "Files of virtual machines", up_commands },
        { "Virtual machines", vm_commands },
        { "Devices of virtual machines", vm_device_commands },
        { "Snapshots of virtual machines", vm_snapshot_commands },
        { "Storage repositories", sr_commands },
        { "Disks", vdi_commands },
        { "Images of disks", image_commands },
        { "Sockets in other domains", pvcalls_commands },
        { "Tasks", task_commands },
        { "Links to other domains", bridge_commands },
        { "Policy of the bridge", policy_commands },
        { "Watching", watch_commands },
        {},
};

const struct parameter command_options[] = {
        { "--domain", PARAMETER_NUMBER, "Talk to the bus of this domain, by its id, of those in the run directory. Default: 0, or where 0 has none the only one there is." },
        { "--address", PARAMETER_TEXT, "Talk to the bus at this D-Bus address, as in unix:path=/run/xcpbus/dom0/bus." },
        { "--manager", PARAMETER_TEXT, "Take this for the VM manager, by its bus name: where there are two on a bus, one of them has another than org.xen.xcp.xenopsd." },
        { "--json", PARAMETER_FLAG, "Print JSON, with the names of the interfaces for keys." },
        { "--no-header", PARAMETER_FLAG, "Print tables without their titles." },
        { "--no-wait", PARAMETER_FLAG, "Begin a task, print its path, and do not wait for its end." },
        { "--timeout", PARAMETER_DURATION, "Wait no longer than this for a task. It goes on, and the exit status is 3." },
        { "--help", PARAMETER_FLAG, "Print help; after a command, that command's." },
        { "--version", PARAMETER_FLAG, "Print the version." },
        {},
};

const struct command *command_find(const char *name) {
        for (const struct command_group *group = command_groups; group->title; group++)
                for (const struct command *command = group->commands; command->name; command++)
                        if (strcmp(command->name, name) == 0)
                                return command;
        return NULL;
}

bool command_is_group(const char *words) {
        size_t n = strlen(words);

        for (const struct command_group *group = command_groups; group->title; group++)
                for (const struct command *command = group->commands; command->name; command++)
                        if (strncmp(command->name, words, n) == 0 && command->name[n] == ' ')
                                return true;
        return false;
}

/* What can be given several times is named after one: --disk for disks. */
static const char *option_name(const struct contract_value *key, bool many, bool negated, GStringChunk *names) {
        g_autofree char *name = NULL;

        if (strcmp(key->name, "network_interfaces") == 0)
                return "--nic";
        name = g_strconcat(negated ? "--no-" : "--", key->name, NULL);
        g_strdelimit(name + 2, "_", '-');
        if (many && g_str_has_suffix(name, "s"))
                name[strlen(name) - 1] = '\0';
        return g_string_chunk_insert(names, name);
}

enum parameter_kind parameter_kind_of_object(const char *key) {
        if (strcmp(key, "vdi") == 0)
                return PARAMETER_VDI;
        return strcmp(key, "sr") == 0 ? PARAMETER_SR : PARAMETER_OBJECT;
}

static enum parameter_kind kind_of_key(const struct contract_value *key) {
        const struct contract_type *type = contract_named(key->type);

        if (type && type->kind == CONTRACT_ENUM)
                return PARAMETER_WORD;
        switch (*key->type) {
        case 'b':
                return PARAMETER_FLAG;
        case 't':
                return PARAMETER_SIZE;
        case 'q':
        case 'u':
                return PARAMETER_NUMBER;
        case 'o':
                return parameter_kind_of_object(key->name);
        default:
                return PARAMETER_TEXT;
        }
}

/* For help: it is the service that takes it. */
static const char *shown_fallback(const struct contract_value *key) {
        return key->fallback && *key->fallback && *key->type != 'b' ? key->fallback : NULL;
}

static bool has_own_parameter(const struct command *command, const char *key) {
        for (const struct parameter *parameter = command->parameters; parameter->name; parameter++)
                if (g_strcmp0(parameter->key, key) == 0)
                        return true;
        return false;
}

static void add_keys(struct parameters *parameters, const struct command *command, const char *record) {
        for (const struct contract_value *key = contract_type(record)->members; key->name; key++) {
                bool many = *key->type == 'a', negated = *key->type == 'b' && g_strcmp0(key->fallback, "true") == 0;
                struct parameter parameter = {
                        .name = option_name(key, many, negated, parameters->names),
                        .kind = kind_of_key(key),
                        .help = key->doc,
                        .type = key->type,
                        .fallback = shown_fallback(key),
                        .key = key->name,
                        .flags = (many ? PARAMETER_MANY : 0) | (negated ? PARAMETER_NEGATED : 0),
                };

                if (!has_own_parameter(command, key->name))
                        g_array_append_val(parameters->list, parameter);
        }
}

struct parameters *parameters_new(const struct command *command) {
        struct parameters *parameters = g_new(struct parameters, 1);

        parameters->list = g_array_new(FALSE, FALSE, sizeof(struct parameter));
        parameters->names = g_string_chunk_new(256);
        for (const struct parameter *own = command ? command->parameters : NULL; own && own->name; own++)
                if (own->kind == PARAMETER_RECORD)
                        add_keys(parameters, command, own->type);
                else
                        g_array_append_vals(parameters->list, own, 1);
        for (const struct parameter *general = command_options; general->name; general++)
                g_array_append_vals(parameters->list, general, 1);
        return parameters;
}

void parameters_free(struct parameters *parameters) {
        if (!parameters)
                return;
        g_array_unref(parameters->list);
        g_string_chunk_free(parameters->names);
        g_free(parameters);
}

const struct parameter *parameters_at(const struct parameters *parameters, unsigned i) {
        return i < parameters->list->len ? &g_array_index(parameters->list, struct parameter, i) : NULL;
}

const struct parameter *parameters_find(const struct parameters *parameters, const char *name) {
        const struct parameter *parameter;

        for (unsigned i = 0; (parameter = parameters_at(parameters, i)); i++)
                if (strcmp(parameter->name, name) == 0)
                        return parameter;
        return NULL;
}

const char *parameter_placeholder(const struct parameter *parameter) {
        const struct contract_type *element;

        if (!parameter_is_option(parameter))
                return parameter->name;
        if (parameter->key && g_str_has_prefix(parameter->type, "a{"))
                return "KEY=VALUE";
        element = parameter->key && *parameter->type == 'a' ? contract_named(parameter->type + 1) : NULL;
        if (element)
                return strcmp(element->name, "DiskSpec") == 0 ? "VDI[,KEY=VALUE...]" : "NETWORK[,KEY=VALUE...]";
        switch (parameter->kind) {
        case PARAMETER_NUMBER:
                return "NUMBER";
        case PARAMETER_SIZE:
                return "SIZE";
        case PARAMETER_DURATION:
                return "TIME";
        case PARAMETER_WORD:
                return "WORD";
        case PARAMETER_FILE:
                return "FILE";
        case PARAMETER_SERVICE:
                return "SERVICE";
        case PARAMETER_VM:
                return "VM";
        case PARAMETER_VDI:
                return "VDI";
        case PARAMETER_SR:
                return "SR";
        case PARAMETER_LINK:
                return "LINK";
        default:
                return "TEXT";
        }
}
