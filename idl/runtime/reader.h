/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Readers: what generated code reads messages with.
 *
 * Values go into the reader's arena or stay in the message: they live as long as both do. All functions return 0 or a negative errno:
 * -EINVAL if a value is not one that the interface allows (then the reader knows which, and why), -EBADMSG or -ENXIO if the
 * message is broken, -E2BIG if it would need too much memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#include "arena.h"

#define IDL_READER_NAME_SIZE 128u       /* a name like disks[3].mode; longer ones lose their beginning */
#define IDL_READER_VALUE_SIZE 128u      /* of a refused value, what an error needs to show */
#define IDL_READER_LIMIT_SIZE 512u      /* room for the list of an enum's values or a record's keys */

struct idl_reader {
        sd_bus_message *message;
        struct idl_arena *arena;

        /* After -EINVAL: what was refused, its value, and what would have been right. */
        char name[IDL_READER_NAME_SIZE];
        char value[IDL_READER_VALUE_SIZE];
        char limit[IDL_READER_LIMIT_SIZE];
};

void idl_reader_init(struct idl_reader *reader, sd_bus_message *message, struct idl_arena *arena);

/* On the way out of an error, tell in what it happened. Return r. */
int idl_reader_at(struct idl_reader *reader, int r, const char *name);
int idl_reader_at_index(struct idl_reader *reader, int r, size_t index);

/* Is there another element in the container? 1, 0, or a negative errno. */
int idl_reader_more(struct idl_reader *reader);

int idl_read_bool(struct idl_reader *reader, bool *ret);

/* The index of a string in a list; refuses a string that is not in it. */
int idl_read_enum(struct idl_reader *reader, const char *const *names, size_t n_names, size_t *ret_index);

/* An array of numbers, in the message itself unless that has the other byte order. */
int idl_read_fixed_array(struct idl_reader *reader, char type, size_t size, const void **ret_items, size_t *ret_n);

/* An array of strings, object paths or signatures. A NULL that is not counted follows the last. */
int idl_read_string_array(struct idl_reader *reader, char type, const char *const **ret_items, size_t *ret_n);

/* Records: dictionaries a{sv} with known keys, each of a known type. */
struct idl_key {
        const char *name;
        const char *signature;
        bool required;
};

#define IDL_KEYS_MAX 64u                /* as many as seen below has bits */

int idl_record_enter(struct idl_reader *reader);

/* Steps to the next key and into its value: 1 and the key's index in keys, 0 after the last, or a negative errno. Refuses keys that are
 * not on the list, keys that come twice, and values of a type that is not the key's. */
int idl_record_next(struct idl_reader *reader, const struct idl_key *keys, size_t n_keys, uint64_t *seen, size_t *ret_index);

/* Leaves the value. */
int idl_record_next_done(struct idl_reader *reader);

/* Leaves the record. Refuses one without a key that is required. */
int idl_record_exit(struct idl_reader *reader, const struct idl_key *keys, size_t n_keys, uint64_t seen);

/* For writing. */
int idl_append_bool(sd_bus_message *message, bool value);
int idl_append_string_array(sd_bus_message *message, char type, const char *const *items, size_t n);
int idl_append_enum(sd_bus_message *message, const char *name);

/* Open and close an entry of a record around its value. */
int idl_append_key_open(sd_bus_message *message, const char *name, const char *signature);
int idl_append_key_close(sd_bus_message *message);
