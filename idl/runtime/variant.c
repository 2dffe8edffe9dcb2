/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "variant.h"

#include <errno.h>
#include <string.h>

static bool is_basic(char type) {
        return type != '\0' && strchr("ybnqiuxtdsogh", type);
}

/* Takes the container that the reader is at into a message of its own. */
static int read_container(struct idl_reader *reader, struct idl_variant *value) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new(sd_bus_message_get_bus(reader->message), &m, SD_BUS_MESSAGE_METHOD_CALL);
        if (r < 0)
                return r;
        r = sd_bus_message_copy(m, reader->message, false);
        if (r < 0)
                return r;
        r = sd_bus_message_seal(m, 1, 0);       /* any cookie but 0: it is never sent */
        if (r < 0)
                return r;
        r = idl_arena_keep_message(reader->arena, m);
        if (r < 0)
                return r;
        value->message = m;                     /* the arena's reference */
        return 0;
}

int idl_variant_read(struct idl_reader *reader, struct idl_variant *ret) {
        struct idl_variant value = { .type = '\0' };
        const char *contents;
        int r;

        r = sd_bus_message_peek_type(reader->message, NULL, &contents);
        if (r < 0)
                return r;
        if (r == 0 || !contents)
                return -EBADMSG;
        value.type = contents[0];

        r = sd_bus_message_enter_container(reader->message, 'v', contents);
        if (r < 0)
                return r;
        if (value.type == 'b')
                r = idl_read_bool(reader, &value.b);
        else if (is_basic(value.type))
                r = sd_bus_message_read_basic(reader->message, value.type, &value.y);   /* every member begins where y does */
        else
                r = read_container(reader, &value);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(reader->message);
        if (r < 0)
                return r;

        *ret = value;
        return 0;
}

static int append_basic(sd_bus_message *message, const struct idl_variant *value) {
        if (value->type == 'b')
                return idl_append_bool(message, value->b);
        if (strchr("sog", value->type))
                return sd_bus_message_append_basic(message, value->type, value->s);
        return sd_bus_message_append_basic(message, value->type, &value->y);
}

int idl_variant_append(sd_bus_message *message, const struct idl_variant *value) {
        const char basic[] = { value->type, '\0' }, *contents = basic;
        int r;

        if (value->type == '\0')
                return -EINVAL;
        if (!is_basic(value->type)) {
                r = sd_bus_message_rewind(value->message, true);
                if (r < 0)
                        return r;
                contents = sd_bus_message_get_signature(value->message, true);
        }

        r = sd_bus_message_open_container(message, 'v', contents);
        if (r < 0)
                return r;
        if (is_basic(value->type))
                r = append_basic(message, value);
        else
                r = sd_bus_message_copy(message, value->message, true);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(message);
}

int idl_variant_copy(struct idl_arena *arena, struct idl_variant *to, const struct idl_variant *from) {
        struct idl_variant value = *from;
        int r;

        if (from->type == '\0')
                r = 0;
        else if (!is_basic(from->type))
                r = idl_arena_keep_message(arena, from->message);
        else if (strchr("sog", from->type)) {
                value.s = idl_arena_strdup(arena, from->s);
                r = value.s ? 0 : -errno;
        } else if (from->type == 'h')
                r = value.h = idl_arena_keep_fd(arena, from->h);
        else
                r = 0;
        if (r < 0)
                return r;

        *to = value;
        return 0;
}
