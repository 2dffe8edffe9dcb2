/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who has sent what to a UDP socket that is connected to nobody. Its datagrams come to the program's socket over the loopback, from an address of
 * 127.0.0.0/8 that is a number: that of the sender. Numbers are not used again for long, so that what has waited is nobody else's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "name.h"

#define PEERS_MAX 256u                  /* senders that are remembered, at most; then one of before is forgotten */

#define PEERS_AT_ONCE 16u               /* so many are remembered, whoever they are; of more, some may be forgotten before there are PEERS_MAX */

struct peers {
        uint64_t n_heard;
        struct {
                uint64_t heard;         /* the last time, of n_heard; 0: never */
                uint16_t round;         /* how many there were here before; the number's upper half */
                struct pvcalls_name name;
        } peer[PEERS_MAX];
};

/* The number of a sender, of 24 bits, neither 0 nor 1 nor the last. */
uint32_t peers_number(struct peers *peers, const struct pvcalls_name *name);

/* And back. NULL: it is of none that is remembered. */
const struct pvcalls_name *peers_find(const struct peers *peers, uint32_t number);
