/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SIZE_FIRST 16u

struct slot {
        uint64_t hash;
        void *value;                    /* NULL: empty */
        size_t n_key;
        union {
                uint64_t here;          /* a key of up to so many bytes: any number */
                void *there;
        } key;
};

/*
 * Open addressing with linear probing, at most half full. A removed slot becomes a grave, which has a key of no bytes and a value that is
 * GRAVE, so that a search goes on behind it and an iteration can go on after a removal.
 */
struct table {
        struct slot *slots;
        size_t size, n_used, n_graves;
        uint64_t secret[2];
};

static char grave;
#define GRAVE ((void *) &grave)

static uint64_t rotate(uint64_t x, unsigned n) {
        return x << n | x >> (64 - n);
}

#define SIP_ROUND(v0, v1, v2, v3)                                                                                                       \
        do {                                                                                                                            \
                v0 += v1; v1 = rotate(v1, 13) ^ v0; v0 = rotate(v0, 32);                                                                \
                v2 += v3; v3 = rotate(v3, 16) ^ v2;                                                                                     \
                v0 += v3; v3 = rotate(v3, 21) ^ v0;                                                                                     \
                v2 += v1; v1 = rotate(v1, 17) ^ v2; v2 = rotate(v2, 32);                                                                \
        } while (0)

/*
 * SipHash-1-3: Aumasson and Bernstein 2012, with a round for each word and three at the end, as other tables have it (Rust's, Python's, Ruby's). Nobody sees
 * a hash, so that it does not have to be as strong as one that authenticates.
 */
static uint64_t hash_of(const struct table *table, const uint8_t *key, size_t n) {
        uint64_t v0 = table->secret[0] ^ UINT64_C(0x736f6d6570736575), v1 = table->secret[1] ^ UINT64_C(0x646f72616e646f6d);
        uint64_t v2 = table->secret[0] ^ UINT64_C(0x6c7967656e657261), v3 = table->secret[1] ^ UINT64_C(0x7465646279746573);
        uint64_t word, last = (uint64_t) n << 56;

        for (; n >= sizeof word; key += sizeof word, n -= sizeof word) {
                memcpy(&word, key, sizeof word);
                v3 ^= word;
                SIP_ROUND(v0, v1, v2, v3);
                v0 ^= word;
        }
        for (size_t i = 0; i < n; i++)
                last |= (uint64_t) key[i] << (8 * i);
        v3 ^= last;
        SIP_ROUND(v0, v1, v2, v3);
        v0 ^= last;
        v2 ^= 0xff;
        for (int i = 0; i < 3; i++)
                SIP_ROUND(v0, v1, v2, v3);
        return v0 ^ v1 ^ v2 ^ v3;
}

static bool is_here(const struct slot *slot) {
        return slot->n_key <= sizeof slot->key.here;
}

static const void *key_of(const struct slot *slot) {
        return is_here(slot) ? &slot->key.here : slot->key.there;
}

static int copy_key(struct slot *slot, const void *key) {
        if (!is_here(slot)) {
                slot->key.there = malloc(slot->n_key);
                if (!slot->key.there)
                        return -ENOMEM;
        }
        memcpy(is_here(slot) ? &slot->key.here : slot->key.there, key, slot->n_key);
        return 0;
}

static void free_key(struct slot *slot) {
        if (!is_here(slot))
                free(slot->key.there);
}

int table_new(struct table **ret_table) {
        struct table *table = calloc(1, sizeof *table);

        if (!table)
                return -ENOMEM;
        if (getrandom(table->secret, sizeof table->secret, 0) != sizeof table->secret) {
                free(table);
                return -EIO;
        }
        *ret_table = table;
        return 0;
}

struct table *table_free(struct table *table) {
        if (!table)
                return NULL;
        for (size_t i = 0; i < table->size; i++)
                free_key(&table->slots[i]);
        free(table->slots);
        free(table);
        return NULL;
}

/* The slot that has the key, or else NULL. */
static struct slot *find(const struct table *table, const void *key, size_t n_key, uint64_t hash) {
        if (table->size == 0)
                return NULL;
        for (size_t i = hash & (table->size - 1);; i = (i + 1) & (table->size - 1)) {
                struct slot *slot = &table->slots[i];

                if (!slot->value)
                        return NULL;
                if (slot->value != GRAVE && slot->hash == hash && slot->n_key == n_key && memcmp(key_of(slot), key, n_key) == 0)
                        return slot;
        }
}

static void put(struct table *table, const struct slot *slot) {
        size_t i;

        for (i = slot->hash & (table->size - 1); table->slots[i].value; i = (i + 1) & (table->size - 1))
                ;
        table->slots[i] = *slot;
}

/* Makes room for one more; graves go. */
static int make_room(struct table *table) {
        struct slot *before = table->slots, *slots;
        size_t size_before = table->size, size;

        if (table->size > 0 && 2 * (table->n_used + table->n_graves + 1) <= table->size)
                return 0;
        for (size = SIZE_FIRST; size < 4 * (table->n_used + 1); size *= 2)
                ;
        slots = calloc(size, sizeof *slots);
        if (!slots)
                return -ENOMEM;
        table->slots = slots;
        table->size = size;
        table->n_graves = 0;
        for (size_t i = 0; i < size_before; i++)
                if (before[i].value && before[i].value != GRAVE)
                        put(table, &before[i]);
        free(before);
        return 0;
}

int table_add(struct table *table, const void *key, size_t n_key, void *value) {
        struct slot slot = { .hash = hash_of(table, key, n_key), .value = value, .n_key = n_key };
        int r;

        if (find(table, key, n_key, slot.hash))
                return -EEXIST;
        r = make_room(table);
        if (r < 0)
                return r;
        r = copy_key(&slot, key);
        if (r < 0)
                return r;
        put(table, &slot);
        table->n_used++;
        return 0;
}

void *table_get(const struct table *table, const void *key, size_t n_key) {
        struct slot *slot = find(table, key, n_key, hash_of(table, key, n_key));

        return slot ? slot->value : NULL;
}

void *table_remove(struct table *table, const void *key, size_t n_key) {
        struct slot *slot = find(table, key, n_key, hash_of(table, key, n_key));
        void *value;

        if (!slot)
                return NULL;
        value = slot->value;
        free_key(slot);
        *slot = (struct slot) { .value = GRAVE };
        table->n_used--;
        table->n_graves++;
        return value;
}

size_t table_count(const struct table *table) {
        return table->n_used;
}

void *table_next(const struct table *table, size_t *iterator) {
        while (*iterator < table->size) {
                void *value = table->slots[(*iterator)++].value;

                if (value && value != GRAVE)
                        return value;
        }
        return NULL;
}

int table_add_string(struct table *table, const char *key, void *value) {
        return table_add(table, key, strlen(key), value);
}

void *table_get_string(const struct table *table, const char *key) {
        return table_get(table, key, strlen(key));
}

void *table_remove_string(struct table *table, const char *key) {
        return table_remove(table, key, strlen(key));
}
