/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "diagnose.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <glib/gstdio.h>

#include "client.h"
#include "property.h"
#include "quantity.h"
#include "result.h"
#include "screen-text.h"
#include "value.h"

/* What a service says; NULL with an error. */
struct diagnosis {
        GVariant *properties;           /* a{sv} */
        GVariant *counters;             /* a{st} */
};

static void diagnosis_done(struct diagnosis *diagnosis) {
        g_clear_pointer(&diagnosis->properties, g_variant_unref);
        g_clear_pointer(&diagnosis->counters, g_variant_unref);
}

static bool ask(struct context *context, const char *service, struct diagnosis *diagnosis, GError **error) {
        g_autofree char *root = client_root(service);
        g_autoptr(GVariant) results = NULL;

        *diagnosis = (struct diagnosis) { .properties = client_properties(context, service, root, CLIENT_DIAGNOSTICS, error) };
        if (!diagnosis->properties)
                return false;
        results = client_call(context, service, root, CLIENT_DIAGNOSTICS, "GetCounters", NULL, NULL, NULL, error);
        if (!results)
                return false;
        if (!g_variant_is_of_type(results, G_VARIANT_TYPE("(a{st})")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "GetCounters() answered with %s", g_variant_get_type_string(results));
        diagnosis->counters = g_variant_get_child_value(results, 0);
        return true;
}

static struct json_object *json_of(const struct diagnosis *diagnosis) {
        struct json_object *object = property_json(CLIENT_DIAGNOSTICS, diagnosis->properties);

        json_object_object_add(object, "counters", value_json(diagnosis->counters, NULL));
        return object;
}

/* Those that are not 0: many are. */
static void add_counters(struct table *pairs, GVariant *counters) {
        GVariantIter iter;
        const char *name;
        guint64 number;

        g_variant_iter_init(&iter, counters);
        while (g_variant_iter_next(&iter, "{&st}", &name, &number))
                if (number > 0) {
                        g_autofree char *text = quantity_format(quantity_unit_of(name), number);

                        table_add(pairs, (const char *const[]) { name, text, NULL });
                }
}

static bool print_diagnosis(struct context *context, const char *service, const struct diagnosis *diagnosis, GError **error) {
        g_autofree char *name = screen_text(client_short_name(service));
        g_autofree char *title = g_strdup_printf("%s%s%s\n", context_colour(context, COLOUR_BOLD), name, context_colour(context, COLOUR_NONE));
        struct table *pairs = result_pairs_new();
        bool good;

        result_pairs_add_properties(pairs, CLIENT_DIAGNOSTICS, diagnosis->properties);
        add_counters(pairs, diagnosis->counters);
        good = (!context->header || context_print(context, title, error)) && result_pairs_print(context, pairs, error);
        table_free(pairs);
        return good;
}

static bool write_file(const char *directory, const char *service, const char *extension, const char *text, GError **error) {
        g_autofree char *name = g_strdup_printf("%s.%s", client_short_name(service), extension);
        g_autofree char *path = g_build_filename(directory, name, NULL);

        return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, error);
}

/* SERVICE.dump: what GetDump() says, section by section. */
static bool write_dump(struct context *context, const char *directory, const char *service, GError **error) {
        g_autofree char *root = client_root(service);
        g_autoptr(GVariant) results = client_call(context, service, root, CLIENT_DIAGNOSTICS, "GetDump", NULL, NULL, NULL, error);
        g_autoptr(GString) text = g_string_new(NULL);
        const char *title, *content;
        GVariantIter *iter;

        if (!results)
                return false;
        if (!g_variant_is_of_type(results, G_VARIANT_TYPE("(a(ss))")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "GetDump() answered with %s", g_variant_get_type_string(results));
        g_variant_get(results, "(a(ss))", &iter);
        while (g_variant_iter_next(iter, "(&s&s)", &title, &content))
                g_string_append_printf(text, "==== %s\n%s%s", title, content, g_str_has_suffix(content, "\n") ? "" : "\n");
        g_variant_iter_free(iter);
        return write_file(directory, service, "dump", text->str, error);
}

/* SERVICE.json: its objects with all their properties. */
static bool write_objects(struct context *context, const char *directory, const char *service, const struct diagnosis *diagnosis,
                          GError **error) {
        g_autoptr(GVariant) objects = client_objects(context, service, NULL);   /* NULL: it has none */
        struct json_object *json = json_of(diagnosis);
        bool good;

        json_object_object_add(json, "objects", objects ? value_json(objects, NULL) : NULL);
        good = write_file(directory, service, "json", json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY), error);
        json_object_put(json);
        return good;
}

/* Puts the files of a directory into an archive, and removes them. */
static bool pack(const char *directory, const char *archive, GError **error) {
        const char *const argv[] = { "tar", "--create", "--gzip", "--file", archive, "--directory", directory, ".", NULL };
        g_autofree char *said = NULL;
        int status;

        if (!g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &said, &status, error))
                return false;
        return g_spawn_check_wait_status(status, NULL) || context_fail(error, CONTEXT_ERROR_FAILED, "tar: %s", said);
}

static void remove_directory(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *file = g_build_filename(path, name, NULL);

                g_unlink(file);
        }
        g_rmdir(path);
}

/* All about one service, into a directory if there is one, else to standard output. */
static bool diagnose(struct context *context, const char *service, const char *directory, struct json_object *json, GError **error) {
        struct diagnosis diagnosis;
        bool good = ask(context, service, &diagnosis, error);

        if (good && directory)
                good = write_dump(context, directory, service, error) && write_objects(context, directory, service, &diagnosis, error);
        else if (good && context->json)
                json_object_object_add(json, service, json_of(&diagnosis));
        else if (good)
                good = print_diagnosis(context, service, &diagnosis, error);
        diagnosis_done(&diagnosis);
        return good;
}

/* One that fails does not keep the others from being looked at. */
static bool diagnose_all(struct context *context, char **services, const char *directory, struct json_object *json, GError **error) {
        g_autoptr(GString) failures = g_string_new(NULL);

        for (; *services; services++) {
                g_autoptr(GError) problem = NULL;

                if (diagnose(context, *services, directory, json, &problem))
                        continue;
                g_string_append_printf(failures, "%s%s: %s", failures->len ? "\n" : "", client_short_name(*services), problem->message);
                if (directory)
                        write_file(directory, *services, "error", problem->message, NULL);
        }
        return failures->len == 0 || context_fail(error, CONTEXT_ERROR_FAILED, "%s", failures->str);
}

/* Makes a new directory, which others cannot read. */
static bool make_directory(const char *path, GError **error) {
        return g_mkdir(path, 0700) == 0 || context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
}

static bool run_to_archive(struct context *context, char **services, const char *archive, GError **error) {
        g_autofree char *directory = g_dir_make_tmp("xcpctl-XXXXXX", error);
        bool good = directory != NULL, packed = false;

        if (good) {
                good = diagnose_all(context, services, directory, NULL, error);
                packed = pack(directory, archive, good ? error : NULL);
                remove_directory(directory);
        }
        return good && packed;
}

static bool run_to_screen(struct context *context, char **services, GError **error) {
        struct json_object *json = json_object_new_object();
        bool good = diagnose_all(context, services, NULL, json, error);

        if (context->json)
                good = context_print_json(context, json_object_get(json), false, good ? error : NULL) && good;
        json_object_put(json);
        return good;
}

bool diagnose_run(struct context *context, const struct arguments *arguments, GError **error) {
        const char *only = arguments_get(arguments, "SERVICE"), *dump = arguments_get(arguments, "--dump");
        g_auto(GStrv) services = NULL;

        if (only) {
                services = g_new0(char *, 2);
                services[0] = client_service_name(only);
        } else {
                services = client_services(context, false, error);
        }
        if (!services)
                return false;
        if (dump && (g_str_has_suffix(dump, ".tar.gz") || g_str_has_suffix(dump, ".tgz")))
                return run_to_archive(context, services, dump, error);
        if (dump)
                return make_directory(dump, error) && diagnose_all(context, services, dump, NULL, error);
        return run_to_screen(context, services, error);
}
