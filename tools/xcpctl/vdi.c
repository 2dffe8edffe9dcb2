/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl vdi: disks. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>

#include "objects.h"
#include "operation.h"
#include "property.h"
#include "quantity.h"
#include "record.h"

#define SR "org.xen.xcp.storage1.SR"
#define VDI "org.xen.xcp.storage1.VDI"

/* The rows of one SR: (osst) of each disk. */
static bool add_rows(struct context *context, const struct candidate *sr, struct table *table, struct json_object *json, GError **error) {
        g_autoptr(GVariant) results = client_call(context, CLIENT_STORAGE, sr->path, SR, "ListVDIs", NULL, NULL, NULL, error);
        GVariantIter *iter;
        const char *path, *uuid, *name;
        guint64 size;

        if (!results)
                return false;
        if (!g_variant_is_of_type(results, G_VARIANT_TYPE("(a(osst))")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "ListVDIs() answered with %s", g_variant_get_type_string(results));
        g_variant_get(results, "(a(osst))", &iter);
        while (g_variant_iter_next(iter, "(&o&s&st)", &path, &uuid, &name, &size)) {
                g_autofree char *text = quantity_format_size(size);
                struct json_object *row = json_object_new_object();

                table_add(table, (const char *const[]) { sr->name, name, uuid, text, NULL });
                json_object_object_add(row, "vdi", json_object_new_string(path));
                json_object_object_add(row, "uuid", json_object_new_string(uuid));
                json_object_object_add(row, "name", json_object_new_string(name));
                json_object_object_add(row, "size", json_object_new_uint64(size));
                json_object_object_add(row, "sr", json_object_new_string(sr->path));
                json_object_array_add(json, row);
        }
        g_variant_iter_free(iter);
        return true;
}

static bool run_list(struct context *context, const struct arguments *arguments, GError **error) {
        const char *only = arguments_get(arguments, "SR");
        g_autofree char *path = only ? objects_find(context, PARAMETER_SR, NULL, only, error) : NULL;
        g_autoptr(GPtrArray) srs = only && !path ? NULL : objects_list(context, PARAMETER_SR, NULL, error);
        struct table *table = table_new((const char *const[]) { "SR", "NAME", "UUID", "SIZE", NULL });
        struct json_object *json = json_object_new_array();
        bool good = srs != NULL;

        table_align_right(table, 3);
        for (unsigned i = 0; good && i < srs->len; i++) {
                const struct candidate *sr = srs->pdata[i];

                if (!path || strcmp(path, sr->path) == 0)
                        good = add_rows(context, sr, table, json, error);
        }
        return context_print_list(context, table, json, good, error);
}

static bool run_show(struct context *context, const struct arguments *arguments, GError **error) {
        return property_show(context, PARAMETER_VDI, NULL, arguments_get(arguments, "VDI"), error);
}

static bool run_set(struct context *context, const struct arguments *arguments, GError **error) {
        return property_set(context, PARAMETER_VDI, arguments_get(arguments, "VDI"), arguments_get(arguments, "PROPERTY"),
                            arguments_get(arguments, "VALUE"), error);
}

/* A file for a service, in a list of descriptors that owns it; NULL with an error. */
static GUnixFDList *open_file(const char *path, int flags, int standard, GError **error) {
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
        bool is_standard = strcmp(path, "-") == 0;
        int fd = is_standard ? standard : open(path, flags | O_CLOEXEC | O_NOCTTY, 0666), index = -1;

        if (fd < 0) {
                context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
                return NULL;
        }
        if (isatty(fd))
                context_fail(error, CONTEXT_ERROR_USAGE, "%s: a disk is nothing for a terminal; redirect it", is_standard ? "-" : path);
        else
                index = g_unix_fd_list_append(fds, fd, error);
        if (!is_standard)
                close(fd);
        return index < 0 ? NULL : g_steal_pointer(&fds);
}

static bool run_import(struct context *context, const struct arguments *arguments, GError **error) {
        g_autoptr(GUnixFDList) fds = open_file(arguments_get(arguments, "FILE"), O_RDONLY, STDIN_FILENO, error);
        g_autoptr(GVariant) spec = fds ? record_of_arguments(context, "VDISpec", error) : NULL;

        if (!spec)
                return false;
        return operation_call(context, arguments, g_variant_new("(@a{sv}hs)", spec, 0, arguments_get(arguments, "--from")), fds, error);
}

/* What was begun and is no disk is not left behind. */
static bool run_export(struct context *context, const struct arguments *arguments, GError **error) {
        const char *path = arguments_get(arguments, "FILE");
        int flags = O_RDWR | O_CREAT | (arguments_has(arguments, "--force") ? O_TRUNC : O_EXCL);
        g_autoptr(GUnixFDList) fds = open_file(path, flags, STDOUT_FILENO, error);
        g_autoptr(GError) problem = NULL;

        if (!fds)
                return false;
        if (strcmp(path, "-") == 0)
                context->json = false;          /* the disk alone goes to standard output */
        if (operation_call(context, arguments, g_variant_new("(hs)", 0, arguments_get(arguments, "--format")), fds, &problem))
                return true;
        if (strcmp(path, "-") != 0 && !arguments_has(arguments, "--force") && !g_error_matches(problem, CONTEXT_ERROR, CONTEXT_ERROR_LEFT))
                unlink(path);
        g_propagate_error(error, g_steal_pointer(&problem));
        return false;
}

#define VDI_PARAMETER { "VDI", PARAMETER_VDI, "Its name, its UUID or the beginning of that, or its object path." }
#define JUST_VDI .parameters = (const struct parameter[]) { VDI_PARAMETER, {} }
#define SR_PARAMETER { "SR", PARAMETER_SR, "The storage repository." }
#define NAME_PARAMETER { "NAME", PARAMETER_TEXT, "What to call it.", .type = "s", .key = "name" }
#define NEW_NAME_PARAMETER { "NAME", PARAMETER_TEXT, "What to call the new one." }
#define READER_PARAMETER { "READER", PARAMETER_TEXT, "The reader's name, such as the UUID of a VM." }
#define FORMAT(name_, help_) { name_, PARAMETER_WORD, help_, .type = "[VDIFormat]", .fallback = "Raw" }

const struct command vdi_commands[] = {
        {
                .name = "vdi list",
                .summary = "List disks.",
                .parameters = (const struct parameter[]) {
                        { "SR", PARAMETER_SR, "Of this storage repository only.", .flags = PARAMETER_OPTIONAL },
                        {},
                },
                .run = run_list,
        },
        { .name = "vdi show", .summary = "Show all about a disk.", JUST_VDI, .run = run_show },
        {
                .name = "vdi create",
                .summary = "Make a disk, which reads as zeros, and print its UUID.",
                .parameters = (const struct parameter[]) {
                        SR_PARAMETER,
                        NAME_PARAMETER,
                        { "SIZE", PARAMETER_SIZE, "What readers see, as in 10GiB.", .type = "t", .key = "size" },
                        PARAMETER_KEYS_OF("VDISpec"),
                        {},
                },
                OPERATION(SR, "CreateVDI"),
        },
        {
                .name = "vdi clone",
                .summary = "Make a disk that begins as this one, and shares with it what neither changes.",
                .parameters = (const struct parameter[]) { VDI_PARAMETER, NEW_NAME_PARAMETER, {} },
                OPERATION(VDI, "Clone"),
        },
        {
                .name = "vdi snapshot",
                .summary = "Make a disk that stays what this one is at this moment.",
                .parameters = (const struct parameter[]) { VDI_PARAMETER, NEW_NAME_PARAMETER, {} },
                OPERATION(VDI, "Snapshot"),
        },
        {
                .name = "vdi copy",
                .summary = "Make a disk that is this one in full.",
                .parameters = (const struct parameter[]) {
                        VDI_PARAMETER,
                        { "SR", PARAMETER_SR, "Where." },
                        NAME_PARAMETER,
                        PARAMETER_KEYS_OF("VDISpec"),
                        {},
                },
                OPERATION(VDI, "Copy"),
        },
        {
                .name = "vdi resize",
                .summary = "Make it larger.",
                .parameters = (const struct parameter[]) { VDI_PARAMETER, { "SIZE", PARAMETER_SIZE, "What readers shall see." }, {} },
                OPERATION(VDI, "Resize"),
        },
        {
                .name = "vdi import",
                .summary = "Make a disk of a file or of standard input, and print its UUID.",
                .parameters = (const struct parameter[]) {
                        SR_PARAMETER,
                        NAME_PARAMETER,
                        { "FILE", PARAMETER_FILE, "What to read; - is standard input." },
                        FORMAT("--from", "The format of what is read. Qcow2 has to come from a file."),
                        PARAMETER_KEYS_OF("VDISpec"),
                        {},
                },
                .run = run_import, .interface = SR, .method = "ImportVDI",
        },
        {
                .name = "vdi export",
                .summary = "Write it to a file or to standard output.",
                .parameters = (const struct parameter[]) {
                        VDI_PARAMETER,
                        { "FILE", PARAMETER_FILE, "A new file; - is standard output." },
                        FORMAT("--format", "As what. Qcow2 needs a file."),
                        { "--force", PARAMETER_FLAG, "Overwrite FILE." },
                        {},
                },
                .run = run_export, .interface = VDI, .method = "Export",
        },
        { .name = "vdi destroy", .summary = "Remove it.", JUST_VDI, OPERATION(VDI, "Destroy") },
        { .name = "vdi usage", .summary = "Show what it takes of its storage repository.", JUST_VDI, OPERATION(VDI, "GetUsage") },
        {
                .name = "vdi stats",
                .summary = "Show what a reader has done.",
                .parameters = (const struct parameter[]) { VDI_PARAMETER, READER_PARAMETER, {} },
                OPERATION(VDI, "GetStatistics"),
        },
        {
                .name = "vdi attach",
                .summary = "Set up a way for a reader, and show it.",
                .parameters = (const struct parameter[]) {
                        VDI_PARAMETER,
                        READER_PARAMETER,
                        { "--mode", PARAMETER_WORD, "Whether it will write.", .type = "[DiskMode]", .fallback = "ReadOnly" },
                        { "KIND", PARAMETER_WORD, "The ways that it can take, the one that it likes best first.", .type = "[DataPathKind]",
                          .flags = PARAMETER_MANY },
                        {},
                },
                OPERATION(VDI, "Attach"),
        },
        {
                .name = "vdi activate",
                .summary = "Let a reader read and write.",
                .parameters = (const struct parameter[]) { VDI_PARAMETER, READER_PARAMETER, {} },
                OPERATION(VDI, "Activate"),
        },
        {
                .name = "vdi deactivate",
                .summary = "See that what a reader wrote is on the disk, and let it write no more.",
                .parameters = (const struct parameter[]) { VDI_PARAMETER, READER_PARAMETER, {} },
                OPERATION(VDI, "Deactivate"),
        },
        {
                .name = "vdi detach",
                .summary = "Take a reader's way down.",
                .parameters = (const struct parameter[]) { VDI_PARAMETER, READER_PARAMETER, {} },
                OPERATION(VDI, "Detach"),
        },
        {
                .name = "vdi set",
                .summary = "Change a property of it.",
                .parameters = (const struct parameter[]) {
                        VDI_PARAMETER,
                        { "PROPERTY", PARAMETER_PROPERTY, "Name, Description, Labels, ReadOnly, IopsLimit or RateLimit.", .type = VDI },
                        { "VALUE", PARAMETER_VALUE, "The value; labels as {'key': 'value'}.", .type = VDI },
                        {},
                },
                .run = run_set,
        },
        {},
};
