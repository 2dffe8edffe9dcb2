/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>

#include "quantity.h"
#include "value.h"

static GVariant *refuse(const char *text, const GVariantType *type, const char *because, GError **error) {
        g_autofree char *signature = g_variant_type_dup_string(type);

        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "'%.64s' is no value of type %s: %s", text, signature, because);
        return NULL;
}

/* What @... names, as an index into fds. */
static GVariant *parse_descriptor(const char *text, const GVariantType *type, GUnixFDList *fds, GError **error) {
        bool writing = g_str_has_prefix(text, "@>");
        const char *path = text + (writing ? 2 : 1);
        int fd, index;

        if (*text != '@' || !fds)
                return refuse(text, type, "a descriptor is written @FILE for reading, @>FILE for writing", error);
        if (strcmp(path, "-") == 0)
                fd = fcntl(writing ? STDOUT_FILENO : STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        else
                fd = open(path, (writing ? O_WRONLY | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOCTTY, 0666);
        if (fd < 0) {
                g_set_error(error, G_IO_ERROR, (int) g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
                return NULL;
        }
        index = g_unix_fd_list_append(fds, fd, error);
        close(fd);
        return index < 0 ? NULL : g_variant_ref_sink(g_variant_new_handle(index));
}

static GVariant *parse_text(const char *text, const GVariantType *type, GError **error) {
        if (!g_utf8_validate(text, -1, NULL))
                return refuse(text, type, "it is not UTF-8", error);
        switch (*g_variant_type_peek_string(type)) {
        case 'o':
                if (!g_variant_is_object_path(text))
                        return refuse(text, type, "it is no object path", error);
                return g_variant_ref_sink(g_variant_new_object_path(text));
        case 'g':
                if (!g_variant_is_signature(text))
                        return refuse(text, type, "it is no signature", error);
                return g_variant_ref_sink(g_variant_new_signature(text));
        default:
                return g_variant_ref_sink(g_variant_new_string(text));
        }
}

static GVariant *parse_boolean(const char *text, const GVariantType *type, GError **error) {
        if (strcmp(text, "true") == 0 || strcmp(text, "yes") == 0)
                return g_variant_ref_sink(g_variant_new_boolean(TRUE));
        if (strcmp(text, "false") == 0 || strcmp(text, "no") == 0)
                return g_variant_ref_sink(g_variant_new_boolean(FALSE));
        return refuse(text, type, "there are true and false", error);
}

GVariant *value_parse(const char *text, const GVariantType *type, GUnixFDList *fds, GError **error) {
        g_autoptr(GError) problem = NULL;
        GVariant *value;
        uint64_t bytes;

        switch (*g_variant_type_peek_string(type)) {
        case 's':
        case 'o':
        case 'g':
                return parse_text(text, type, error);
        case 'h':
                return parse_descriptor(text, type, fds, error);
        case 'b':
                return parse_boolean(text, type, error);
        case 't':
                if (!quantity_parse_size(text, &bytes, &problem))
                        return refuse(text, type, "it is no number from 0 to 18446744073709551615, also with K, M, G, T, P or E", error);
                return g_variant_ref_sink(g_variant_new_uint64(bytes));
        default:
                value = g_variant_parse(type, text, NULL, NULL, &problem);
                return value ? value : refuse(text, type, problem->message, error);
        }
}
