# SPDX-License-Identifier: LGPL-2.1-or-later
"""The C that types_c.py fills in, for text.fill(): @NAME@ stands for text or lines."""

HEADER = """
    #pragma once

    /*
     * The types of the interfaces.
     *
     * Values that are read belong to the reader's arena and message; values that are written stay the caller's. Records, a{sv} on
     * the bus, are structs: a key that may be absent says how that looks. In an enum, 0 is no value.
     */

    #include <stdbool.h>
    #include <stddef.h>
    #include <stdint.h>

    #include "idl.h"
    """

SOURCE = """
    #include "@file@.h"

    #include <errno.h>
    #include <string.h>

    #define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))
    """

ENUM = """
    static const char *const @name@_names[] = {
            @strings@
    };

    const char *@name@_to_string(enum @name@ value) {
            size_t i = (size_t) value - @first@;

            return i < ELEMENTSOF(@name@_names) ? @name@_names[i] : NULL;
    }

    int @name@_from_string(const char *string, enum @name@ *ret) {
            for (size_t i = 0; i < ELEMENTSOF(@name@_names); i++)
                    if (strcmp(string, @name@_names[i]) == 0) {
                            *ret = (enum @name@) (i + @first@);
                            return 0;
                    }
            return -EINVAL;
    }

    int @name@_read(struct idl_reader *reader, enum @name@ *ret) {
            size_t i;
            int r;

            r = idl_read_enum(reader, @name@_names, ELEMENTSOF(@name@_names), &i);
            if (r < 0)
                    return r;
            *ret = (enum @name@) (i + @first@);
            return 0;
    }

    int @name@_append(sd_bus_message *message, enum @name@ value) {
            return idl_append_enum(message, @name@_to_string(value));
    }
    """

STRUCT = """
    int @name@_read(struct idl_reader *reader, struct @name@ *ret) {
            struct @name@ value = {};
            int r;

            r = sd_bus_message_enter_container(reader->message, 'r', @contents@);
            if (r < 0)
                    return r;
            @read_members@
            r = sd_bus_message_exit_container(reader->message);
            if (r < 0)
                    return r;

            *ret = value;
            return 0;
    }

    int @name@_append(sd_bus_message *message, const struct @name@ *value) {
            int r;

            r = sd_bus_message_open_container(message, 'r', @contents@);
            if (r < 0)
                    return r;
            @append_members@
            return sd_bus_message_close_container(message);
    }
    """

STRUCT_READ_MEMBER = """
    r = @read@;
    if (r < 0)
            return idl_reader_at(reader, r, @member@);
    """

APPEND = """
    r = @append@;
    if (r < 0)
            return r;
    """

RECORD = """
    static const struct idl_key @name@_keys[] = {
            @keys@
    };

    int @name@_read(struct idl_reader *reader, struct @name@ *ret) {
            struct @name@ value = {
                    @defaults@
            };
            uint64_t seen = 0;
            size_t i;
            int r;

            r = idl_record_enter(reader);
            if (r < 0)
                    return r;
            while ((r = idl_record_next(reader, @name@_keys, ELEMENTSOF(@name@_keys), &seen, &i)) > 0) {
                    switch (i) {
                    @cases@
                    }
                    if (r < 0)
                            return idl_reader_at(reader, r, @name@_keys[i].name);
                    r = idl_record_next_done(reader);
                    if (r < 0)
                            return r;
            }
            if (r < 0)
                    return r;
            r = idl_record_exit(reader, @name@_keys, ELEMENTSOF(@name@_keys), seen);
            if (r < 0)
                    return r;

            *ret = value;
            return 0;
    }

    int @name@_append(sd_bus_message *message, const struct @name@ *value) {
            int r;

            r = sd_bus_message_open_container(message, 'a', "{sv}");
            if (r < 0)
                    return r;
            @append_members@
            return sd_bus_message_close_container(message);
    }
    """

RECORD_CASE = """
    case @number@: /* @key@ */
            r = @read@;
            @set_flag@
            break;
    """

RECORD_APPEND_MEMBER = """
    r = idl_append_key_open(message, @key@, @signature@);
    if (r < 0)
            return r;
    r = @append@;
    if (r < 0)
            return r;
    r = idl_append_key_close(message);
    if (r < 0)
            return r;
    """

IF = """
    if (@condition@) {
            @body@
    }
    """

AGGREGATE_COPY = """
    int @name@_copy(struct idl_arena *arena, struct @name@ *to, const struct @name@ *from) {
            struct @name@ value = *from;
            @declare_r@

            @copy_members@
            *to = value;
            return 0;
    }
    """

LIST = """
    @prototype_read@ {
            @item@ *items = NULL;
            size_t n = 0, n_allocated = 0;
            int r;

            r = sd_bus_message_enter_container(reader->message, 'a', @contents@);
            if (r < 0)
                    return r;
            while ((r = idl_reader_more(reader)) > 0) {
                    r = idl_arena_grow(reader->arena, (void **) &items, &n_allocated, n + 1, sizeof(*items));
                    if (r < 0)
                            return r;
                    @read_item@
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

    @prototype_append@ {
            int r;

            r = sd_bus_message_open_container(message, 'a', @contents@);
            if (r < 0)
                    return r;
            for (size_t i = 0; i < n; i++) {
                    @append_item@
            }
            return sd_bus_message_close_container(message);
    }

    @prototype_copy@ {
            @item@ *copies = NULL;
            @declare_r@

            if (n > 0) {
                    copies = idl_arena_memdup(arena, from, n, sizeof(*copies));
                    if (!copies)
                            return -errno;
            }
            @copy_items@
            *to = copies;
            *to_n = n;
            return 0;
    }
    """

READ_ITEM = """
    r = @read@;
    if (r < 0)
            return idl_reader_at_index(reader, r, n);
    """

READ_ENTRY = """
    r = sd_bus_message_enter_container(reader->message, 'e', @contents@);
    if (r < 0)
            return r;
    @read_parts@
    r = sd_bus_message_exit_container(reader->message);
    if (r < 0)
            return r;
    """

APPEND_ENTRY = """
    r = sd_bus_message_open_container(message, 'e', @contents@);
    if (r < 0)
            return r;
    @append_parts@
    r = sd_bus_message_close_container(message);
    if (r < 0)
            return r;
    """

COPY_ITEMS = """
    for (size_t i = 0; i < n; i++) {
            @copy_parts@
    }
    """
