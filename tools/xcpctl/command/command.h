/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Commands: what can be asked of xcpctl, as data.
 *
 * The command table is the one source: arguments are parsed, and --help, the manual page and completion are made, from it. Most commands
 * are a method of the contract and say nothing but which (operation.h); others bring a function.
 */

#include <stdbool.h>

#include <glib.h>

struct arguments;
struct context;

enum parameter_kind {
        PARAMETER_TEXT,
        PARAMETER_FLAG,                 /* an option without a value */
        PARAMETER_NUMBER,
        PARAMETER_SIZE,
        PARAMETER_DURATION,             /* milliseconds */
        PARAMETER_WORD,                 /* one of the enum .type */
        PARAMETER_FILE,
        PARAMETER_SERVICE,
        PARAMETER_OBJECT,
        PARAMETER_VM,
        PARAMETER_DISK,                 /* of the VM that is named before */
        PARAMETER_NIC,
        PARAMETER_VDI,
        PARAMETER_SR,
        PARAMETER_IMAGE,
        PARAMETER_TASK,
        PARAMETER_LINK,                 /* of the bridge */
        PARAMETER_ATTACHED,             /* a domain with PV Calls */
        PARAMETER_CONSOLE,              /* of the VM that is named before */
        PARAMETER_SNAPSHOT,
        PARAMETER_PROPERTY,             /* of the interface .type, one that can be set */
        PARAMETER_VALUE,                /* of the property of the interface .type that is named before */
        PARAMETER_RECORD,               /* stands for options: one for each key of the record .type */
};

enum {
        PARAMETER_OPTIONAL = 1 << 0,    /* an argument that may be left out */
        PARAMETER_MANY = 1 << 1,        /* an argument that takes all that is left, or an option that may be given several times */
        PARAMETER_NEGATED = 1 << 2,     /* a flag that makes its key false */
};

struct parameter {
        const char *name;               /* VM: an argument; --paused: an option. The table ends with NULL */
        enum parameter_kind kind;
        const char *help;
        const char *type;               /* of the contract, where the kind needs one */
        const char *fallback;           /* what is taken if it is not given */
        const char *key;                /* of the command's record: it belongs there, and is no argument of the method */
        unsigned flags;
};

/* A parameter that stands for the keys of a record. */
#define PARAMETER_KEYS_OF(record) { "OPTION", PARAMETER_RECORD, .type = record }

struct command {
        const char *name;               /* as typed: "vm disk add". The table ends with NULL */
        const char *summary;            /* a sentence */
        const char *details;            /* paragraphs for --help and the manual page; may be NULL */
        const struct parameter *parameters;
        bool (*run)(struct context *context, const struct arguments *arguments, GError **error);
        const char *interface, *method; /* of an operation */
};

/* What --help lists together. */
struct command_group {
        const char *title;
        const struct command *commands;
};

/* All commands; ends with a group without a title. */
extern const struct command_group command_groups[];

/* What every command takes. */
extern const struct parameter command_options[];

extern const struct command bus_commands[];
extern const struct command up_commands[];
extern const struct command vm_commands[];
extern const struct command vm_device_commands[];
extern const struct command vm_snapshot_commands[];
extern const struct command sr_commands[];
extern const struct command vdi_commands[];
extern const struct command image_commands[];
extern const struct command task_commands[];
extern const struct command bridge_commands[];
extern const struct command policy_commands[];
extern const struct command pvcalls_commands[];
extern const struct command watch_commands[];

/* NULL if there is none of that name. */
const struct command *command_find(const char *name);

/* Whether commands begin with these words and a blank, as with "vm" and "vm disk". */
bool command_is_group(const char *words);

/* The parameters of a command, with those that a record stands for. NULL gives those of all commands alone. */
struct parameters {
        GArray *list;                   /* of struct parameter */
        GStringChunk *names;
};

struct parameters *parameters_new(const struct command *command);
void parameters_free(struct parameters *parameters);
const struct parameter *parameters_at(const struct parameters *parameters, unsigned i);
const struct parameter *parameters_find(const struct parameters *parameters, const char *name);

static inline bool parameter_is_option(const struct parameter *parameter) {
        return parameter->name[0] == '-';
}

/* What objects a key of a record is about, by its name. */
enum parameter_kind parameter_kind_of_object(const char *key);

/* What stands for its value in usage lines: NUMBER, SIZE, ... */
const char *parameter_placeholder(const struct parameter *parameter);
