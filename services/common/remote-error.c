/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote-error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The errors that are passed on; all else is BackendFailed. Names and numbers are those of idl/errors.xml. */
static const struct {
        const char *name;
        int number;
} known[] = {
        { IDL_ERROR_INVALID_ARGUMENT, EINVAL }, { IDL_ERROR_LIMIT_EXCEEDED, E2BIG },       { IDL_ERROR_NOT_SUPPORTED, EOPNOTSUPP },
        { IDL_ERROR_DOES_NOT_EXIST, ENOENT },   { IDL_ERROR_ALREADY_EXISTS, EEXIST },      { IDL_ERROR_BAD_STATE, EBADFD },
        { IDL_ERROR_BUSY, EBUSY },              { IDL_ERROR_NOT_ENOUGH_SPACE, ENOSPC },    { IDL_ERROR_NOT_ENOUGH_MEMORY, ENOMEM },
        { IDL_ERROR_READ_ONLY, EROFS },         { IDL_ERROR_CORRUPT, EUCLEAN },            { IDL_ERROR_TIMED_OUT, ETIMEDOUT },
        { IDL_ERROR_UNREACHABLE, EHOSTUNREACH }, { IDL_ERROR_BACKEND_FAILED, EIO },        { IDL_ERROR_INTERNAL, EIO },
};

static const char *const detail_names[] = { "name", "value", "limit", "what", "kind", "id", "expected", "found", "holder",
                                            "needed", "free", "reason", "limit_ms", "backend", NULL };

static int from_name(struct idl_error *error, const char *service, const char *name, const char *message) {
        if (strcmp(name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0 || strcmp(name, SD_BUS_ERROR_UNKNOWN_METHOD) == 0)
                return idl_error_set_does_not_exist(error, "object", message);
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                if (strcmp(name, known[i].name) == 0) {
                        idl_error_done(error);
                        *error = (struct idl_error) { .name = known[i].name, .message = strdup(message), .number = known[i].number };
                        return -known[i].number;
                }
        if (strcmp(name, SD_BUS_ERROR_SERVICE_UNKNOWN) == 0 || strcmp(name, SD_BUS_ERROR_NAME_HAS_NO_OWNER) == 0 ||
            strcmp(name, SD_BUS_ERROR_NO_REPLY) == 0 || strcmp(name, SD_BUS_ERROR_TIMEOUT) == 0 ||
            strcmp(name, SD_BUS_ERROR_DISCONNECTED) == 0 || strncmp(name, "org.freedesktop.DBus.Error.Spawn", 32) == 0)
                return idl_error_set_unreachable(error, "service", service, message);
        return idl_error_set_backend_failed(error, service, "do its part", message);
}

int remote_error_from_reply(struct idl_error *error, const char *service, const sd_bus_error *from) {
        return from_name(error, service, from->name ?: "", from->message ?: "");
}

static void add_detail(struct idl_error *error, const char *name, const char *type, sd_bus_message *message) {
        struct idl_error_detail *detail = error->details + error->n_details;
        const char *text;
        uint64_t number;

        if (error->n_details >= IDL_ERROR_DETAILS_MAX)
                return;
        for (size_t i = 0; detail_names[i]; i++) {
                if (strcmp(detail_names[i], name) != 0)
                        continue;
                if (*type == 't' && sd_bus_message_read(message, "t", &number) > 0) {
                        *detail = (struct idl_error_detail) { .name = detail_names[i], .type = 't', .t = number };
                        error->n_details++;
                } else if (*type == 's' && sd_bus_message_read(message, "s", &text) > 0) {
                        char *copy = strdup(text);

                        if (!copy)
                                return;
                        *detail = (struct idl_error_detail) { .name = detail_names[i], .type = 's', .s = copy };
                        error->n_details++;
                }
                return;
        }
}

static int read_details(struct idl_error *error, sd_bus_message *message) {
        const char *name, *type;
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = sd_bus_message_read(message, "s", &name);
                if (r >= 0)
                        r = sd_bus_message_peek_type(message, NULL, &type);
                if (r >= 0 && (strcmp(type, "t") == 0 || strcmp(type, "s") == 0)) {
                        r = sd_bus_message_enter_container(message, 'v', type);
                        if (r >= 0) {
                                add_detail(error, name, type, message);
                                r = sd_bus_message_at_end(message, false) ? 0 : sd_bus_message_skip(message, type);
                        }
                        if (r >= 0)
                                r = sd_bus_message_exit_container(message);
                } else if (r >= 0)
                        r = sd_bus_message_skip(message, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r;
}

int remote_error_read(struct idl_error *error, const char *service, sd_bus_message *message) {
        const char *name, *text;
        int r;

        r = sd_bus_message_enter_container(message, 'r', "ssa{sv}");
        if (r >= 0)
                r = sd_bus_message_read(message, "ss", &name, &text);
        if (r <= 0)
                return idl_error_set_backend_failed(error, service, "say what failed", "its answer cannot be read");
        r = from_name(error, service, name, text);
        read_details(error, message);
        return r;
}
