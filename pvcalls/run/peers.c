/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "peers.h"

#define ROUNDS_MAX 0xfffeu

/* Where it is, or would be: one of the places of a few that have the same hash. */
static uint32_t places_of(const struct pvcalls_name *name) {
        const uint8_t *bytes = (const uint8_t *) &name->any;
        uint32_t hash = 2166136261u;

        for (socklen_t i = 0; i < name->size; i++)
                hash = (hash ^ bytes[i]) * 16777619u;
        return (hash ^ hash >> 16) % (PEERS_MAX / PEERS_AT_ONCE) * PEERS_AT_ONCE;
}

/* The place that has it; otherwise one that is free, or which was longest not heard from. */
static uint32_t place_of(const struct peers *peers, const struct pvcalls_name *name) {
        uint32_t first = places_of(name), place = first;

        for (uint32_t i = first; i < first + PEERS_AT_ONCE; i++) {
                if (peers->peer[i].round > 0 && pvcalls_name_equal(&peers->peer[i].name, name))
                        return i;
                if (peers->peer[i].heard < peers->peer[place].heard)
                        place = i;
        }
        return place;
}

uint32_t peers_number(struct peers *peers, const struct pvcalls_name *name) {
        uint32_t place = place_of(peers, name);
        typeof(peers->peer[0]) *peer = &peers->peer[place];

        peer->heard = ++peers->n_heard;
        if (peer->round == 0 || !pvcalls_name_equal(&peer->name, name)) {
                peer->round = peer->round < ROUNDS_MAX ? (uint16_t) (peer->round + 1) : 1;
                peer->name = *name;
        }
        return (uint32_t) peer->round * PEERS_MAX + place;
}

const struct pvcalls_name *peers_find(const struct peers *peers, uint32_t number) {
        uint32_t place = number % PEERS_MAX;

        return number / PEERS_MAX == peers->peer[place].round && peers->peer[place].round > 0 ? &peers->peer[place].name : NULL;
}
