/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "choice.h"

#include <string.h>

#include "context.h"
#include "suggest.h"

#define NAME_SHOWN 64                   /* bytes of a name in a message */

static void candidate_free(void *pointer) {
        struct candidate *candidate = pointer;

        g_free(candidate->path);
        g_free(candidate->uuid);
        g_free(candidate->name);
        g_free(candidate);
}

GPtrArray *candidates_new(void) {
        return g_ptr_array_new_with_free_func(candidate_free);
}

void candidates_add(GPtrArray *candidates, const char *path, const char *uuid, const char *name) {
        struct candidate *candidate = g_new(struct candidate, 1);

        *candidate = (struct candidate) { .path = g_strdup(path), .uuid = g_strdup(uuid), .name = g_strdup(name) };
        g_ptr_array_add(candidates, candidate);
}

bool choice_is_uuid(const char *text) {
        return g_uuid_string_is_valid(text);
}

static bool has_name(const struct candidate *candidate, const char *text) {
        return strcmp(candidate->name, text) == 0;
}

static bool has_uuid(const struct candidate *candidate, const char *text) {
        return *candidate->uuid && g_ascii_strcasecmp(candidate->uuid, text) == 0;
}

static bool begins_uuid(const struct candidate *candidate, const char *text) {
        return strlen(text) >= CHOICE_PREFIX_MIN && g_ascii_strncasecmp(candidate->uuid, text, strlen(text)) == 0;
}

typedef bool (*fits_t)(const struct candidate *candidate, const char *text);

static void find(const GPtrArray *candidates, fits_t fits, const char *text, GPtrArray *found) {
        for (unsigned i = 0; i < candidates->len; i++)
                if (fits(candidates->pdata[i], text))
                        g_ptr_array_add(found, candidates->pdata[i]);
}

static void refuse_ambiguous(const GPtrArray *found, const char *kind, const char *text, GError **error) {
        g_autoptr(GString) list = g_string_new(NULL);

        for (unsigned i = 0; i < found->len && i < CHOICE_SHOWN; i++) {
                const struct candidate *candidate = found->pdata[i];

                g_string_append_printf(list, "%s%s (%.*s)", i > 0 ? ", " : "", candidate->uuid, NAME_SHOWN, candidate->name);
        }
        if (found->len > CHOICE_SHOWN)
                g_string_append_printf(list, " and %u more", found->len - CHOICE_SHOWN);
        context_fail(error, CONTEXT_ERROR_FAILED, "'%.*s' is ambiguous, it could be each of the %ss %s", NAME_SHOWN, text, kind, list->str);
}

static void refuse_missing(const GPtrArray *candidates, const char *kind, const char *text, GError **error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        const char *near;

        for (unsigned i = 0; i < candidates->len; i++)
                g_ptr_array_add(names, ((const struct candidate *) candidates->pdata[i])->name);
        g_ptr_array_add(names, NULL);
        near = suggest_near(text, (const char *const *) names->pdata);
        if (near)
                context_fail(error, CONTEXT_ERROR_MISSING, "there is no %s '%.*s'; did you mean %s?", kind, NAME_SHOWN, text, near);
        else
                context_fail(error, CONTEXT_ERROR_MISSING, "there is no %s '%.*s'", kind, NAME_SHOWN, text);
}

const struct candidate *choice_make(const GPtrArray *candidates, const char *kind, const char *text, GError **error) {
        static const fits_t ways[] = { has_uuid, has_name, begins_uuid };
        g_autoptr(GPtrArray) found = g_ptr_array_new();

        for (size_t i = 0; i < G_N_ELEMENTS(ways) && found->len == 0; i++)
                find(candidates, ways[i], text, found);
        if (found->len == 1)
                return found->pdata[0];
        if (found->len == 0)
                refuse_missing(candidates, kind, text, error);
        else
                refuse_ambiguous(found, kind, text, error);
        return NULL;
}
