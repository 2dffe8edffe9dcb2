/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "call.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "idl-errors.h"

struct idl_call {
        unsigned n_refs;
        bool answered;
        struct idl_method *method;
        uint64_t begun_nsec;
        sd_bus_message *message;
        struct idl_arena arena;
        struct idl_reader reader;
};

#define PROPERTIES_MAX 31u              /* of an interface, that are announced: the bits of an enum */

static uint64_t now_nsec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

int idl_call_new(struct idl_call **ret_call, sd_bus_message *message, struct idl_method *method) {
        struct idl_call *call = malloc(sizeof(*call));

        if (!call)
                return -ENOMEM;
        call->n_refs = 1;
        call->answered = false;
        call->method = method;
        call->begun_nsec = now_nsec();
        call->message = sd_bus_message_ref(message);
        call->arena = (struct idl_arena) IDL_ARENA_NULL;
        idl_reader_init(&call->reader, message, &call->arena);
        method->n_calls++;
        *ret_call = call;
        return 0;
}

struct idl_call *idl_call_ref(struct idl_call *call) {
        assert(call->n_refs > 0);

        call->n_refs++;
        return call;
}

struct idl_call *idl_call_unref(struct idl_call *call) {
        assert(call->n_refs > 0);

        if (--call->n_refs > 0)
                return NULL;

        if (!call->answered && sd_bus_message_get_expect_reply(call->message) > 0) {
                __attribute__((cleanup(idl_error_done))) struct idl_error error = IDL_ERROR_NULL;

                idl_error_set_internal(&error, sd_bus_message_get_member(call->message), "the service ended the call without an answer");
                idl_call_fail(call, &error);
        }
        idl_arena_done(&call->arena);           /* before the message whose strings it points to */
        sd_bus_message_unref(call->message);
        call->method->nsec += now_nsec() - call->begun_nsec;
        free(call);
        return NULL;
}

sd_bus_message *idl_call_message(struct idl_call *call) {
        return call->message;
}

struct idl_arena *idl_call_arena(struct idl_call *call) {
        return &call->arena;
}

static uint64_t n_failed[IDL_ERRORS_N + 1];      /* by error, as the methods' counters are */

static void count_failure(struct idl_call *call, const struct idl_error *error) {
        size_t i = 0;

        while (i < IDL_ERRORS_N && strcmp(error->name, idl_error_names[i]) != 0)
                i++;
        n_failed[i]++;
        call->method->n_failed++;
}

uint64_t idl_call_n_failed(size_t i) {
        return n_failed[i];
}

int idl_call_fail(struct idl_call *call, const struct idl_error *error) {
        int r;

        assert(error->name);

        if (call->answered)
                return -EALREADY;
        r = idl_error_reply(call->message, error);
        if (r < 0)
                return r;
        call->answered = true;
        count_failure(call, error);
        return 0;
}

int idl_error_set_refused(struct idl_error *error, const struct idl_reader *reader, int r) {
        if (r == -EINVAL && reader->limit[0] != '\0')
                return idl_error_set_invalid_argument(error, reader->name, reader->value, reader->limit);
        if (r == -E2BIG)
                return idl_error_set_limit_exceeded(error, "bytes of arguments", reader->arena->n_wanted, IDL_ARENA_MAX);
        if (r == -ENOMEM)
                return idl_error_set_errno(error, r, "arguments");
        return idl_error_set_invalid_argument(error, reader->name, "", "is malformed");
}

struct idl_reader *idl_call_reader(struct idl_call *call) {
        return &call->reader;
}

int idl_call_refuse(struct idl_call *call, int r) {
        __attribute__((cleanup(idl_error_done))) struct idl_error error = IDL_ERROR_NULL;

        r = idl_error_set_refused(&error, &call->reader, r);
        return idl_call_handled(call, r, &error);
}

int idl_call_unsupported(struct idl_call *call) {
        __attribute__((cleanup(idl_error_done))) struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = idl_error_set_not_supported(&error, sd_bus_message_get_member(call->message));
        return idl_call_handled(call, r, &error);
}

int idl_call_handled(struct idl_call *call, int r, struct idl_error *error) {
        if (r >= 0 || call->answered)
                return 1;                       /* sd_bus_add_object(3): we take care of the answer */

        idl_error_set_errno(error, r, sd_bus_message_get_member(call->message));
        r = idl_call_fail(call, error);
        return r < 0 ? r : 1;
}

int idl_call_handled_without_reply(struct idl_call *call, int r, struct idl_error *error) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;

        /* A client that does wait, as GLib's proxies do, is not kept waiting. */
        if (r >= 0 && !call->answered && sd_bus_message_get_expect_reply(call->message) > 0) {
                r = idl_call_reply_new(call, &m);
                if (r >= 0)
                        r = idl_call_reply_send(call, m);
        }
        return idl_call_handled(call, r, error);
}

int idl_call_reply_new(struct idl_call *call, sd_bus_message **ret_reply) {
        if (call->answered)
                return -EALREADY;
        return sd_bus_message_new_method_return(call->message, ret_reply);
}

int idl_call_reply_send(struct idl_call *call, sd_bus_message *reply) {
        int r;

        r = sd_bus_message_send(reply);
        if (r < 0)
                return r;
        call->answered = true;
        return 0;
}

int idl_property_failed(int r, const char *property, struct idl_error *error, sd_bus_error *ret_error) {
        __attribute__((cleanup(idl_error_done))) struct idl_error own = IDL_ERROR_NULL;

        if (!error)
                error = &own;
        idl_error_set_errno(error, r, property);
        return idl_error_to_sd_bus(error, ret_error);
}

int idl_emit_changed(sd_bus *bus, const char *path, const char *interface, const char *const *names, size_t n, unsigned properties) {
        char *changed[PROPERTIES_MAX + 1];
        size_t n_changed = 0;
        int r;

        assert(n <= PROPERTIES_MAX);

        for (size_t i = 0; i < n; i++)
                if (properties & (1u << i))
                        changed[n_changed++] = (char *) names[i];
        changed[n_changed] = NULL;
        r = sd_bus_emit_properties_changed_strv(bus, path, interface, changed);
        return r < 0 ? r : 0;
}
