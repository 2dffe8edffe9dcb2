/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The toy frontend's words that become requests; toy-frontend.c says what there are. */

#include "toy-device.h"

/* A word's number, 0 if there is none; whether the first word is this one. */
uint64_t toy_number(char **words, int i);
bool toy_is(char **words, const char *name);

/* Puts the address that words i and i + 1 say. Returns its length; what does not fit goes before it in requests of its own, for the socket of word 1. */
uint32_t toy_address_put(struct toy *toy, char **words, int i, uint8_t addr[PVCALLS_ADDRESS_SIZE]);

/* Returns the request's number, a negative errno, or -ENOENT if the words are no request. */
int64_t toy_make_request(struct toy *toy, char **words);
