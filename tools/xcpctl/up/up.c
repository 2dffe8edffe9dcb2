/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl up, down and validate: the VMs of a file. */

#include "up.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "document.h"
#include "quantity.h"
#include "up-lock.h"

/* As much as there may be, and a byte more, by which it is seen that there is more. */
static bool read_all(int fd, GString *text) {
        char block[4096];
        ssize_t n;

        while ((n = read(fd, block, sizeof block)) > 0 && text->len <= DOCUMENT_SIZE_MAX)
                g_string_append_len(text, block, n);
        return n >= 0;
}

/* The file, with what is wrong about it; NULL if it cannot be read at all. */
static struct vm_file *read_file(const char *path, struct problems *problems, GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);
        bool is_input = strcmp(path, "-") == 0, good;
        int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        good = fd >= 0 && read_all(fd, text);
        if (!good)
                context_fail(error, errno == ENOENT ? CONTEXT_ERROR_MISSING : CONTEXT_ERROR_FAILED, "%s: %s", problems->file, g_strerror(errno));
        if (fd >= 0 && !is_input)
                close(fd);
        return good ? vm_file_parse(text->str, text->len, problems) : NULL;
}

/* The same, refused if anything is wrong. */
static struct vm_file *read_good_file(const char *path, GError **error) {
        struct problems *problems = problems_new(strcmp(path, "-") == 0 ? "standard input" : path);
        struct vm_file *file = read_file(path, problems, error);

        if (file && !problems_is_empty(problems)) {
                g_autofree char *text = problems_text(problems);

                context_fail(error, CONTEXT_ERROR_FAILED, "%s", text);
                g_clear_pointer(&file, vm_file_free);
        }
        problems_free(problems);
        return file;
}

/* Reporting */

struct report {
        struct table *table;
        struct json_object *json;
};

static struct json_object *changes_json(const struct up *up) {
        struct json_object *list = json_object_new_array();

        for (unsigned i = 0; i < up->changes->len; i++)
                json_object_array_add(list, json_object_new_string(up->changes->pdata[i]));
        return list;
}

static char *changes_text(const struct up *up) {
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; i < up->changes->len; i++)
                g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", (const char *) up->changes->pdata[i]);
        return g_string_free(text, FALSE);
}

static bool report_add(struct report *report, const struct up *up, GError **error) {
        g_autofree char *state = NULL, *changes = changes_text(up);
        struct json_object *row = json_object_new_object();

        if (up->path) {
                g_autoptr(GVariant) property = client_property(up->context, CLIENT_XENOPSD, up->path, "org.xen.xcp.xenopsd1.VM", "State", error);

                if (!property || !g_variant_is_of_type(property, G_VARIANT_TYPE_STRING)) {
                        json_object_put(row);
                        return property ? context_fail(error, CONTEXT_ERROR_FAILED, "State is no text") : false;
                }
                state = g_variant_dup_string(property, NULL);
        }
        table_add(report->table, (const char *const[]) { up->name, up->action, state ? state : "-", *changes ? changes : "-", NULL });
        json_object_object_add(row, "name", json_object_new_string(up->name));
        json_object_object_add(row, "vm", up->path ? json_object_new_string(up->path) : NULL);
        json_object_object_add(row, "action", json_object_new_string(up->action));
        json_object_object_add(row, "state", state ? json_object_new_string(state) : NULL);
        json_object_object_add(row, "changes", changes_json(up));
        json_object_array_add(report->json, row);
        return true;
}

/* What was done, which is as true if something failed after it. */
static bool report_print(struct context *context, const struct report *report, bool good, GError **error) {
        if (!good && json_object_array_length(report->json) == 0)
                return false;
        if (!good)
                error = NULL;           /* the first one counts */
        if (context->json)
                return context_print_json(context, json_object_get(report->json), false, error) && good;
        return context_print_table(context, report->table, error) && good;
}

/* All VMs of the file, from the first or from the last. */
static bool run_vms(struct context *context, const struct vm_file *file, bool is_down, GError **error) {
        const struct arguments *arguments = context->arguments;
        struct report report = { table_new((const char *const[]) { "VM", "ACTION", "STATE", "CHANGES", NULL }), json_object_new_array() };
        g_autoptr(GHashTable) pulled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        uint64_t grace_ms = 0;
        bool good = true;

        if (is_down)
                good = quantity_parse_duration(arguments_get(arguments, "--grace"), &grace_ms, error);
        for (unsigned i = 0; good && i < file->vms->len; i++) {
                const struct wish *vm = file->vms->pdata[is_down ? file->vms->len - 1 - i : i];
                struct up up = {
                        .context = context,
                        .file = arguments_get(arguments, "FILE"),
                        .vm = vm,
                        .name = wish_text(vm, "name"),
                        .pulled = pulled,
                        .changes = g_ptr_array_new_with_free_func(g_free),
                };

                good = is_down ? down_vm(&up, (uint32_t) MIN(grace_ms, UINT32_MAX), arguments_has(arguments, "--disks"), error) : up_vm(&up, error);
                good = good && report_add(&report, &up, error);
                g_ptr_array_unref(up.changes);
                g_free(up.path);
        }
        good = report_print(context, &report, good, error);
        table_free(report.table);
        json_object_put(report.json);
        return good;
}

static bool run_file(struct context *context, bool is_down, GError **error) {
        struct vm_file *file = NULL;
        bool good;

        if (!context->wait)
                return context_fail(error, CONTEXT_ERROR_USAGE, "--no-wait cannot be had: one step needs the one before");
        file = read_good_file(arguments_get(context->arguments, "FILE"), error);
        good = file && up_lock(context, error) && run_vms(context, file, is_down, error);
        vm_file_free(file);
        return good;
}

static bool run_up(struct context *context, const struct arguments *arguments, GError **error) {
        return run_file(context, false, error);
}

static bool run_down(struct context *context, const struct arguments *arguments, GError **error) {
        return run_file(context, true, error);
}

static bool print_validity(struct context *context, const struct vm_file *file, const struct problems *problems, GError **error) {
        bool good = problems_is_empty(problems);
        g_autofree char *text = NULL;

        if (context->json) {
                struct json_object *json = json_object_new_object();

                json_object_object_add(json, "valid", json_object_new_boolean(good));
                json_object_object_add(json, "vms", json_object_new_int64(file->vms->len));
                json_object_object_add(json, "problems", problems_json(problems));
                return context_print_json(context, json, false, error);
        }
        if (good)
                text = g_strdup_printf("%s: good, with %u VM%s", problems->file, file->vms->len, file->vms->len == 1 ? "" : "s");
        else
                text = problems_text(problems);
        for (char *line = text, *end; line; line = end ? end + 1 : NULL) {
                end = strchr(line, '\n');
                if (end)
                        *end = '\0';
                if (!context_print_line(context, line, error))
                        return false;
        }
        return true;
}

static bool run_validate(struct context *context, const struct arguments *arguments, GError **error) {
        const char *path = arguments_get(arguments, "FILE");
        struct problems *problems = problems_new(strcmp(path, "-") == 0 ? "standard input" : path);
        struct vm_file *file = read_file(path, problems, error);
        bool good = file && print_validity(context, file, problems, error);

        if (good && !problems_is_empty(problems))
                good = context_fail(error, CONTEXT_ERROR_NO, "there are problems");
        vm_file_free(file);
        problems_free(problems);
        return good;
}

#define FILE_PARAMETER { "FILE", PARAMETER_FILE, "The file, in YAML; - is standard input." }

const struct command up_commands[] = {
        {
                .name = "up",
                .summary = "Make the VMs of a file, as far as they are not there, and start them.",
                .details = "What a VM that is there has otherwise than the file says is changed, if that can be; if it cannot, the VM is left as it is, "
                           "and the line of the file is named. CHANGES are the keys that were changed. What the file does not say is left alone. A disk with a size is made in the "
                           "storage repository, as VM-DISK, or taken if there is one of that name. Nothing is done twice: after an error, mend its "
                           "cause and repeat the command.",
                .parameters = (const struct parameter[]) { FILE_PARAMETER, {} },
                .run = run_up,
        },
        {
                .name = "down",
                .summary = "Stop and remove the VMs of a file, the last first.",
                .details = "Disks stay, and are found again by the next up.",
                .parameters = (const struct parameter[]) {
                        FILE_PARAMETER,
                        { "--grace", PARAMETER_DURATION, "How long a guest has to power down, before it is switched off.", .fallback = "30s" },
                        { "--disks", PARAMETER_FLAG, "Destroy the disks that up has made, with all that is on them." },
                        {},
                },
                .run = run_down,
        },
        {
                .name = "validate",
                .summary = "Check a file of VMs without asking any service.",
                .details = "Prints all that is wrong, with the lines; the exit status is 4 then.",
                .parameters = (const struct parameter[]) { FILE_PARAMETER, {} },
                .run = run_validate,
        },
        {},
};
