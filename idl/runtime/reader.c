/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void idl_reader_init(struct idl_reader *reader, sd_bus_message *message, struct idl_arena *arena) {
        /* Not the texts: they are written before they are read. */
        reader->message = message;
        reader->arena = arena;
        reader->name[0] = reader->value[0] = reader->limit[0] = '\0';
}

/* Copies as much as fits, and never half a character. */
static void copy_text(char *to, size_t size, const char *from) {
        size_t n = strnlen(from, size);

        if (n == size) {
                n = size - sizeof("...");
                while (n > 0 && ((unsigned char) from[n] & 0xc0) == 0x80)       /* inside of a UTF-8 sequence */
                        n--;
                memcpy(to, from, n);
                memcpy(to + n, "...", sizeof("..."));
        } else
                memcpy(to, from, n + 1);
}

/* Refuses a value: returns -EINVAL. */
__attribute__((format(printf, 3, 4))) static int refuse(struct idl_reader *reader, const char *value, const char *limit_format,
                                                         ...) {
        va_list ap;

        copy_text(reader->value, sizeof(reader->value), value);
        va_start(ap, limit_format);
        vsnprintf(reader->limit, sizeof(reader->limit), limit_format, ap);
        va_end(ap);
        return -EINVAL;
}

/* Puts text, and a separator if there is something to separate from, before the name. */
static void prepend_name(struct idl_reader *reader, const char *text) {
        char before[IDL_READER_NAME_SIZE];
        const char *separator = reader->name[0] != '\0' && reader->name[0] != '[' ? "." : "";
        size_t n_text = strlen(text), n_separator = strlen(separator), n_name = strlen(reader->name);

        if (n_text + n_separator + n_name >= sizeof(reader->name))
                return;
        memcpy(before, reader->name, n_name + 1);
        memcpy(reader->name, text, n_text);
        memcpy(reader->name + n_text, separator, n_separator);
        memcpy(reader->name + n_text + n_separator, before, n_name + 1);
}

int idl_reader_at(struct idl_reader *reader, int r, const char *name) {
        prepend_name(reader, name);
        return r;
}

int idl_reader_at_index(struct idl_reader *reader, int r, size_t index) {
        char text[32];

        snprintf(text, sizeof(text), "[%zu]", index);
        prepend_name(reader, text);
        return r;
}

int idl_reader_more(struct idl_reader *reader) {
        int r = sd_bus_message_at_end(reader->message, false);

        return r < 0 ? r : r == 0;
}

int idl_read_bool(struct idl_reader *reader, bool *ret) {
        int value, r;

        r = sd_bus_message_read_basic(reader->message, 'b', &value);
        if (r < 0)
                return r;
        *ret = value != 0;
        return 0;
}

int idl_read_enum(struct idl_reader *reader, const char *const *names, size_t n_names, size_t *ret_index) {
        char limit[IDL_READER_LIMIT_SIZE];
        const char *value;
        size_t n = 0;
        int r;

        r = sd_bus_message_read_basic(reader->message, 's', &value);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_names; i++)
                if (strcmp(value, names[i]) == 0) {
                        *ret_index = i;
                        return 0;
                }

        limit[0] = '\0';
        for (size_t i = 0; i < n_names && n < sizeof(limit); i++)
                n += (size_t) snprintf(limit + n, sizeof(limit) - n, "%s%s", i == 0 ? "" : ", ", names[i]);
        return refuse(reader, value, "must be one of %.480s", limit);
}

/* Makes one number of the host's out of each of the message's. */
static int read_fixed_array_by_element(struct idl_reader *reader, char type, size_t size, const void **ret_items, size_t *ret_n) {
        size_t n = 0, n_allocated = 0;
        const char contents[] = { type, '\0' };
        void *items = NULL;
        int r;

        r = sd_bus_message_enter_container(reader->message, 'a', contents);
        if (r < 0)
                return r;
        while ((r = idl_reader_more(reader)) > 0) {
                r = idl_arena_grow(reader->arena, &items, &n_allocated, n + 1, size);
                if (r < 0)
                        return r;
                r = sd_bus_message_read_basic(reader->message, type, (char *) items + n * size);
                if (r < 0)
                        return r;
                n++;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(reader->message);
        if (r < 0)
                return r;

        *ret_items = items;
        *ret_n = n;
        return 0;
}

int idl_read_fixed_array(struct idl_reader *reader, char type, size_t size, const void **ret_items, size_t *ret_n) {
        const void *items;
        size_t n_bytes;
        int r;

        r = sd_bus_message_read_array(reader->message, type, &items, &n_bytes);
        if (r == -EOPNOTSUPP)           /* sd_bus_message_read_array(3) hands out the message's own bytes, and they are swapped */
                return read_fixed_array_by_element(reader, type, size, ret_items, ret_n);
        if (r < 0)
                return r;

        *ret_items = n_bytes > 0 ? items : NULL;
        *ret_n = n_bytes / size;
        return 0;
}

int idl_read_string_array(struct idl_reader *reader, char type, const char *const **ret_items, size_t *ret_n) {
        const char contents[] = { type, '\0' }, **items = NULL;
        size_t n = 0, n_allocated = 0;
        int r;

        r = sd_bus_message_enter_container(reader->message, 'a', contents);
        if (r < 0)
                return r;
        for (;;) {
                r = idl_arena_grow(reader->arena, (void **) &items, &n_allocated, n + 1, sizeof(*items));
                if (r < 0)
                        return r;
                items[n] = NULL;
                r = idl_reader_more(reader);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                r = sd_bus_message_read_basic(reader->message, type, &items[n]);
                if (r < 0)
                        return idl_reader_at_index(reader, r, n);
                n++;
        }
        r = sd_bus_message_exit_container(reader->message);
        if (r < 0)
                return r;

        *ret_items = items;
        *ret_n = n;
        return 0;
}

int idl_record_enter(struct idl_reader *reader) {
        int r = sd_bus_message_enter_container(reader->message, 'a', "{sv}");

        return r < 0 ? r : 0;
}

static int refuse_unknown_key(struct idl_reader *reader, const struct idl_key *keys, size_t n_keys, const char *key) {
        char limit[IDL_READER_LIMIT_SIZE];
        size_t n = 0;

        limit[0] = '\0';
        for (size_t i = 0; i < n_keys && n < sizeof(limit); i++)
                n += (size_t) snprintf(limit + n, sizeof(limit) - n, "%s%s", i == 0 ? "" : ", ", keys[i].name);
        return refuse(reader, key, "is not a key; the keys are %.480s", limit);
}

int idl_record_next(struct idl_reader *reader, const struct idl_key *keys, size_t n_keys, uint64_t *seen, size_t *ret_index) {
        const char *key, *contents;
        size_t i;
        int r;

        r = sd_bus_message_enter_container(reader->message, 'e', "sv");
        if (r <= 0)
                return r;
        r = sd_bus_message_read_basic(reader->message, 's', &key);
        if (r < 0)
                return r;

        for (i = 0; i < n_keys; i++)
                if (strcmp(key, keys[i].name) == 0)
                        break;
        if (i == n_keys)
                return refuse_unknown_key(reader, keys, n_keys, key);
        if (*seen & (UINT64_C(1) << i))
                return refuse(reader, key, "is a key that is there twice");

        r = sd_bus_message_peek_type(reader->message, NULL, &contents);
        if (r < 0)
                return r;
        if (strcmp(contents, keys[i].signature) != 0) {
                r = refuse(reader, contents, "is its type, which must be '%s'", keys[i].signature);
                return idl_reader_at(reader, r, keys[i].name);
        }
        r = sd_bus_message_enter_container(reader->message, 'v', contents);
        if (r < 0)
                return r;

        *seen |= UINT64_C(1) << i;
        *ret_index = i;
        return 1;
}

int idl_record_next_done(struct idl_reader *reader) {
        int r = sd_bus_message_exit_container(reader->message);

        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(reader->message);
        return r < 0 ? r : 0;
}

int idl_record_exit(struct idl_reader *reader, const struct idl_key *keys, size_t n_keys, uint64_t seen) {
        int r;

        for (size_t i = 0; i < n_keys; i++)
                if (keys[i].required && !(seen & (UINT64_C(1) << i))) {
                        r = refuse(reader, "nothing", "is required");
                        return idl_reader_at(reader, r, keys[i].name);
                }

        r = sd_bus_message_exit_container(reader->message);
        return r < 0 ? r : 0;
}

int idl_append_bool(sd_bus_message *message, bool value) {
        int i = value;

        return sd_bus_message_append_basic(message, 'b', &i);
}

int idl_append_string_array(sd_bus_message *message, char type, const char *const *items, size_t n) {
        const char contents[] = { type, '\0' };
        int r;

        r = sd_bus_message_open_container(message, 'a', contents);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                r = sd_bus_message_append_basic(message, type, items[i]);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(message);
}

int idl_append_enum(sd_bus_message *message, const char *name) {
        if (!name)                      /* a number that is not in the enum */
                return -EINVAL;
        return sd_bus_message_append_basic(message, 's', name);
}

int idl_append_key_open(sd_bus_message *message, const char *name, const char *signature) {
        int r;

        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(message, 's', name);
        if (r < 0)
                return r;
        return sd_bus_message_open_container(message, 'v', signature);
}

int idl_append_key_close(sd_bus_message *message) {
        int r = sd_bus_message_close_container(message);

        return r < 0 ? r : sd_bus_message_close_container(message);
}
