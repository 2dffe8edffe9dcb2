/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rounds (rounds.h) of method calls: call [--window N] [--bytes N] ADDRESS NAME INTERFACE MEMBER ARGUMENTS PATH...
 *
 * ARGUMENTS is a tuple in GVariant's text format; with --bytes there is one more, an array of so many bytes. A round of N makes N calls,
 * to the objects in turn: one after another, or with --window so many are on their way at a time.
 *
 * This is as little of a client as can be, so that it adds next to nothing to what is measured, and the same for every service: the calls
 * are marshalled before the first round and an answer is only read, by its length. To make a call takes two system calls.
 */

#include <errno.h>
#include <gio/gio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rounds.h"

#define PROGRAM "call"
#define ADDRESS_PREFIX "unix:path="
#define HEADER_SIZE 16u                 /* D-Bus Specification, "Message Format": up to and with the length of the fields */
#define MESSAGE_SIZE_MAX (128u << 20)   /* the same: "the maximum length of a message" */
#define BUFFER_SIZE_MIN (64u << 10)

enum message_type { METHOD_RETURN = 2, METHOD_ERROR = 3 };

struct caller {
        int fd;
        GPtrArray *calls;               /* of GByteArray: a marshalled call each */
        guint next;
        uint32_t serial;
        unsigned window;                /* calls that may be unanswered */
        uint8_t *buffer;
        size_t buffer_size, n;          /* n bytes were read beyond the last message */
};

static int write_all(int fd, const void *data, size_t n) {
        ssize_t k = send(fd, data, n, MSG_NOSIGNAL);

        return k < 0 ? -errno : (size_t) k == n ? 0 : -EIO;
}

/* The bytes that a message has, as its header says; 0 if that is not there yet. */
static int message_size(const uint8_t *header, size_t n, size_t *ret_size) {
        uint32_t n_body, n_fields;
        size_t size;

        if (n < HEADER_SIZE) {
                *ret_size = 0;
                return 0;
        }
        memcpy(&n_body, header + 4, sizeof n_body);     /* both brokers of this machine speak its byte order */
        memcpy(&n_fields, header + 12, sizeof n_fields);
        size = HEADER_SIZE + (((size_t) n_fields + 7) & ~(size_t) 7) + n_body;
        if (size > MESSAGE_SIZE_MAX)
                return -EBADMSG;
        *ret_size = size;
        return 0;
}

static int make_room(struct caller *caller, size_t size) {
        uint8_t *buffer;

        if (size < BUFFER_SIZE_MIN)
                size = BUFFER_SIZE_MIN;
        if (size <= caller->buffer_size)
                return 0;
        buffer = realloc(caller->buffer, size);
        if (!buffer)
                return -ENOMEM;
        caller->buffer = buffer;
        caller->buffer_size = size;
        return 0;
}

/* Reads a message, and passes over it. */
static int read_message(struct caller *caller, enum message_type *ret_type) {
        size_t size;
        ssize_t k;
        int r;

        for (;;) {
                r = message_size(caller->buffer, caller->n, &size);
                if (r < 0)
                        return r;
                if (size > 0 && caller->n >= size)
                        break;
                r = make_room(caller, size);
                if (r < 0)
                        return r;
                k = read(caller->fd, caller->buffer + caller->n, caller->buffer_size - caller->n);
                if (k <= 0)
                        return k < 0 ? -errno : -ECONNRESET;
                caller->n += (size_t) k;
        }
        *ret_type = caller->buffer[1];
        caller->n -= size;
        memmove(caller->buffer, caller->buffer + size, caller->n);
        return 0;
}

static int send_call(struct caller *caller, GByteArray *call) {
        caller->serial++;
        memcpy(call->data + 8, &caller->serial, sizeof caller->serial);
        return write_all(caller->fd, call->data, call->len);
}

static int await_answer(struct caller *caller) {
        enum message_type type;
        int r;

        do {                            /* signals may come before it */
                r = read_message(caller, &type);
                if (r < 0)
                        return r;
        } while (type != METHOD_RETURN && type != METHOD_ERROR);
        return type == METHOD_RETURN ? 0 : -EREMOTEIO;
}

static int call_once(struct caller *caller, GByteArray *call) {
        int r = send_call(caller, call);

        return r < 0 ? r : await_answer(caller);
}

static int call_many(void *userdata, uint64_t n) {
        struct caller *caller = userdata;
        uint64_t n_sent = 0;
        int r;

        for (uint64_t n_answered = 0; n_answered < n; n_answered++) {
                for (; n_sent < n && n_sent - n_answered < caller->window; n_sent++) {
                        r = send_call(caller, g_ptr_array_index(caller->calls, caller->next++ % caller->calls->len));
                        if (r < 0)
                                return r;
                }
                r = await_answer(caller);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A call with a serial to be put in. body: taken over if it is floating. */
static GByteArray *marshal(const char *name, const char *path, const char *interface, const char *member, GVariant *body) {
        g_autoptr(GDBusMessage) message = g_dbus_message_new_method_call(name, path, interface, member);
        g_autoptr(GError) error = NULL;
        guint8 *data;
        gsize n;

        g_dbus_message_set_body(message, body);
        g_dbus_message_set_serial(message, 1);
        data = g_dbus_message_to_blob(message, &n, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
        if (!data)
                g_printerr("%s: %s\n", PROGRAM, error->message);
        return data ? g_byte_array_new_take(data, n) : NULL;
}

/* D-Bus Specification, "Authentication Protocol": as the user who runs it. */
static int authenticate(int fd) {
        g_autofree char *user = g_strdup_printf("%u", (unsigned) geteuid());
        g_autoptr(GString) text = g_string_new("AUTH EXTERNAL ");
        char answer[256];
        ssize_t k;
        int r;

        for (const char *p = user; *p; p++)
                g_string_append_printf(text, "%02x", (unsigned) *p);
        g_string_append(text, "\r\n");
        r = write_all(fd, "", 1);
        if (r >= 0)
                r = write_all(fd, text->str, text->len);
        if (r < 0)
                return r;
        k = read(fd, answer, sizeof answer);
        if (k < 3 || memcmp(answer, "OK ", 3) != 0)
                return k < 0 ? -errno : -EACCES;
        return write_all(fd, "BEGIN\r\n", 7);
}

static int open_bus(struct caller *caller, const char *address) {
        g_autoptr(GByteArray) hello = marshal("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello",
                                              g_variant_new("()"));
        struct sockaddr_un bus = { .sun_family = AF_UNIX };
        int r;

        if (!g_str_has_prefix(address, ADDRESS_PREFIX) ||
            g_strlcpy(bus.sun_path, address + strlen(ADDRESS_PREFIX), sizeof bus.sun_path) >= sizeof bus.sun_path)
                return -EINVAL;
        caller->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (caller->fd < 0 || connect(caller->fd, (struct sockaddr *) &bus, sizeof bus) < 0)
                return -errno;
        r = authenticate(caller->fd);
        if (r < 0)
                return r;
        r = make_room(caller, 0);
        return r < 0 ? r : call_once(caller, hello);
}

/* The tuple of a text, and an array of n bytes at its end if n is not 0. NULL after a word on standard error. */
static GVariant *make_body(const char *text, gint n) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) given = g_variant_parse(NULL, text, NULL, NULL, &error);
        g_autofree guint8 *bytes = NULL;
        GVariantBuilder builder;

        if (!given || !g_variant_is_of_type(given, G_VARIANT_TYPE_TUPLE)) {
                g_printerr("%s: %s: %s\n", PROGRAM, text, error ? error->message : "not a tuple");
                return NULL;
        }
        if (n <= 0)
                return g_steal_pointer(&given);
        g_variant_builder_init(&builder, G_VARIANT_TYPE_TUPLE);
        for (gsize i = 0; i < g_variant_n_children(given); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(given, i);

                g_variant_builder_add_value(&builder, child);
        }
        bytes = g_malloc0((gsize) n);
        g_variant_builder_add_value(&builder, g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes, (gsize) n, 1));
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static int serve(struct caller *caller, gint n_bytes, char **argv) {
        g_autoptr(GVariant) body = make_body(argv[5], n_bytes);
        int r;

        if (!body)
                return 2;
        for (char **path = argv + 6; *path; path++)
                g_ptr_array_add(caller->calls, marshal(argv[2], *path, argv[3], argv[4], body));
        r = open_bus(caller, argv[1]);
        if (r < 0) {
                errno = -r;
                return rounds_fail(PROGRAM, argv[1]);
        }
        return rounds_serve(PROGRAM, call_many, caller);
}

int main(int argc, char **argv) {
        struct caller caller = { .fd = -1 };
        gint window = 1, n_bytes = 0;
        const GOptionEntry entries[] = {
                { "window", 0, 0, G_OPTION_ARG_INT, &window, "calls that may be unanswered", "N" },
                { "bytes", 0, 0, G_OPTION_ARG_INT, &n_bytes, "an array of so many bytes is an argument, too", "N" },
                { NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new("ADDRESS NAME INTERFACE MEMBER ARGUMENTS PATH...");
        g_autoptr(GError) error = NULL;
        int status;

        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error) || argc < 7 || window < 1 || n_bytes < 0) {
                g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);

                g_printerr("%s", error ? error->message : help);
                return 2;
        }
        caller.window = (unsigned) window;
        caller.calls = g_ptr_array_new_with_free_func((GDestroyNotify) g_byte_array_unref);
        status = serve(&caller, n_bytes, argv);
        if (caller.fd >= 0)
                close(caller.fd);
        free(caller.buffer);
        g_ptr_array_unref(caller.calls);
        return status;
}
