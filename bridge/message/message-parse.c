/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Headers as views. */

#include "body.h"
#include "header.h"
#include "message.h"

struct fixed {
        bool big_endian;
        uint32_t n_body, serial, n_fields;
};

/* Reads the fixed part as far as it says where things are: MESSAGE_FIXED_SIZE bytes. */
static int read_fixed(const uint8_t *p, struct fixed *ret_fixed) {
        bool big_endian = p[0] == 'B';
        uint32_t untrusted_n_body, untrusted_n_fields;

        if (p[0] != 'l' && p[0] != 'B')
                return MESSAGE_BAD_ENDIAN;
        if (p[3] != 1)
                return MESSAGE_BAD_VERSION;
        untrusted_n_body = load_u32(p + 4, big_endian);
        untrusted_n_fields = load_u32(p + 12, big_endian);
        if (untrusted_n_fields > MESSAGE_FIELDS_MAX)
                return MESSAGE_FIELDS_TOO_LARGE;
        if (untrusted_n_body > MESSAGE_SIZE_MAX - align_up(MESSAGE_FIXED_SIZE + untrusted_n_fields, 8))
                return MESSAGE_TOO_LARGE;

        *ret_fixed = (struct fixed) {
                .big_endian = big_endian,
                .n_body = untrusted_n_body,
                .serial = load_u32(p + 8, big_endian),
                .n_fields = untrusted_n_fields,
        };
        return 0;
}

int message_length(const void *data, size_t n, size_t *ret_length) {
        struct fixed fixed;
        int r;

        if (n < MESSAGE_FIXED_SIZE)
                return MESSAGE_TRUNCATED;
        r = read_fixed(data, &fixed);
        if (r != 0)
                return r;
        *ret_length = align_up(MESSAGE_FIXED_SIZE + fixed.n_fields, 8) + fixed.n_body;
        return 0;
}

int header_begin_field(struct value_cursor *cursor, uint8_t *ret_code, const char **ret_type, struct signature *ret_signature) {
        int r;

        r = value_align(cursor, 8);
        if (r != 0)
                return r;
        if (cursor->at == cursor->n)
                return MESSAGE_BAD_ARRAY;       /* padding, and then no field */
        *ret_code = cursor->p[cursor->at++];
        r = value_signature(cursor, ret_type, ret_signature);
        if (r != 0)
                return r;
        return signature_is_single(ret_signature) ? 0 : MESSAGE_BAD_SIGNATURE;
}

/* The rules for a known field that is a string. */
struct string_field {
        size_t offset;                          /* in struct message */
        char type;
        bool (*is_valid)(const char *p, size_t n);
        int fault;
};

static const struct string_field string_fields[_HEADER_KNOWN_MAX] = {
        [HEADER_PATH] = { offsetof(struct message, path), 'o', name_is_path, MESSAGE_BAD_PATH },
        [HEADER_INTERFACE] = { offsetof(struct message, interface), 's', name_is_interface, MESSAGE_BAD_INTERFACE },
        [HEADER_MEMBER] = { offsetof(struct message, member), 's', name_is_member, MESSAGE_BAD_MEMBER },
        [HEADER_ERROR_NAME] = { offsetof(struct message, error_name), 's', name_is_interface, MESSAGE_BAD_ERROR_NAME },
        [HEADER_DESTINATION] = { offsetof(struct message, destination), 's', name_is_bus_name, MESSAGE_BAD_DESTINATION },
        [HEADER_SENDER] = { offsetof(struct message, sender), 's', name_is_bus_name, MESSAGE_BAD_SENDER },
        [HEADER_CONTAINER_INSTANCE] = { offsetof(struct message, container), 'o', name_is_path, MESSAGE_BAD_CONTAINER },
};

static int read_string_field(struct value_cursor *cursor, const struct string_field *field, struct message *message) {
        const char *text;
        size_t n;
        int r;

        r = value_string(cursor, &text, &n);
        if (r != 0)
                return r;
        if (!field->is_valid(text, n))
                return field->fault;
        *(const char **) ((char *) message + field->offset) = text;
        return 0;
}

static int read_signature_field(struct value_cursor *cursor, struct message *message) {
        struct signature signature;
        const char *text;
        int r;

        r = value_signature(cursor, &text, &signature);
        if (r == 0 && signature.n > 0)          /* an empty one says what none says */
                message->signature = text;
        return r;
}

static int read_known_field(struct value_cursor *cursor, uint8_t code, char type, struct message *message) {
        const struct string_field *string = &string_fields[code];
        int r;

        if (string->type)
                return type == string->type ? read_string_field(cursor, string, message) : MESSAGE_BAD_FIELD_TYPE;
        if (type != (code == HEADER_SIGNATURE ? 'g' : 'u'))
                return MESSAGE_BAD_FIELD_TYPE;
        if (code == HEADER_SIGNATURE)
                return read_signature_field(cursor, message);
        if (code == HEADER_UNIX_FDS)
                return value_u32(cursor, &message->n_fds);
        r = value_u32(cursor, &message->reply_serial);
        if (r != 0)
                return r;
        return message->reply_serial != 0 ? 0 : MESSAGE_BAD_REPLY_SERIAL;
}

static int read_field(struct value_cursor *cursor, struct message *message, unsigned *seen) {
        struct signature signature;
        const char *type;
        uint8_t code;
        int r;

        r = header_begin_field(cursor, &code, &type, &signature);
        if (r != 0)
                return r;
        if (code == 0)
                return MESSAGE_BAD_FIELD;
        if (code >= _HEADER_KNOWN_MAX) {
                message->unknown = cursor->p + MESSAGE_FIXED_SIZE;
                message->n_unknown = cursor->n - MESSAGE_FIXED_SIZE;
                return value_walk(cursor, type, &signature, 0, signature.n);
        }
        if (*seen & (1u << code))
                return MESSAGE_DUPLICATE_FIELD;
        *seen |= 1u << code;
        return read_known_field(cursor, code, signature.n == 1 ? type[0] : '\0', message);
}

static bool begins_with(const char *text, const char *beginning) {
        return strncmp(text, beginning, strlen(beginning)) == 0;
}

static int check_fields(const struct message *message) {
        switch (message->type) {
        case MESSAGE_METHOD_CALL:
                if (!message->path || !message->member)
                        return MESSAGE_MISSING_FIELD;
                break;
        case MESSAGE_SIGNAL:
                if (!message->path || !message->interface || !message->member)
                        return MESSAGE_MISSING_FIELD;
                break;
        case MESSAGE_ERROR:
                if (!message->error_name || message->reply_serial == 0)
                        return MESSAGE_MISSING_FIELD;
                break;
        case MESSAGE_METHOD_RETURN:
                if (message->reply_serial == 0)
                        return MESSAGE_MISSING_FIELD;
                break;
        }
        /* libdbus, and so dbus-daemon, disconnects for anything that only begins like these. */
        if (message->path && begins_with(message->path, "/org/freedesktop/DBus/Local"))
                return MESSAGE_LOCAL;
        if (message->interface && begins_with(message->interface, "org.freedesktop.DBus.Local"))
                return MESSAGE_LOCAL;
        /* No type is marshalled to nothing. */
        return (message->n_body > 0) == (message->signature != NULL) ? 0 : MESSAGE_BODY_MISMATCH;
}

/* Reads the fields, which are at the end of what the cursor may read. */
static int read_fields(struct value_cursor *cursor, struct message *message) {
        unsigned seen = 0;

        while (cursor->at < cursor->n) {
                int r = read_field(cursor, message, &seen);

                if (r != 0)
                        return r;
        }
        return 0;
}

int message_parse(const void *data, size_t n, struct message *ret_message) {
        const uint8_t *p = data;
        struct fixed fixed;
        size_t length, n_header;
        int r;

        r = message_length(p, n, &length);
        if (r != 0)
                return r;
        if (n != length)
                return n < length ? MESSAGE_TRUNCATED : MESSAGE_TRAILING;
        r = read_fixed(p, &fixed);
        if (r != 0)
                return r;
        if (p[1] == 0)
                return MESSAGE_BAD_TYPE;
        if (fixed.serial == 0)
                return MESSAGE_BAD_SERIAL;

        n_header = length - fixed.n_body;
        struct message message = {
                .big_endian = fixed.big_endian,
                .type = p[1],
                .flags = p[2],
                .serial = fixed.serial,
                .body = fixed.n_body > 0 ? p + n_header : NULL,
                .n_body = fixed.n_body,
        };
        struct value_cursor cursor = {
                .p = p,
                .n = MESSAGE_FIXED_SIZE + fixed.n_fields,
                .at = MESSAGE_FIXED_SIZE,
                .big_endian = fixed.big_endian,
                .n_values_max = SIZE_MAX,
        };
        r = read_fields(&cursor, &message);
        if (r != 0)
                return r;
        cursor.n = n_header;
        r = value_align(&cursor, 8);
        if (r != 0)
                return r;
        r = check_fields(&message);
        if (r != 0)
                return r;
        *ret_message = message;
        return 0;
}
