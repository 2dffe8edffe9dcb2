/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A machine for tests: three domains, and the questions that tests ask. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "domain.h"
#include "event.h"

#define MACHINE_DOMAINS 3

struct machine {
        struct domain_table table;
        struct domain *domains[MACHINE_DOMAINS];
        unsigned int n_fds;             /* open before */
};

/* limits: of the guests, NULL for the defaults. Domain 0 has the most. */
void machine_init(struct machine *machine, const struct emu_limits *limits);

/* Demands that nothing of any domain is left and that no descriptor stayed open. */
void machine_done(struct machine *machine);

unsigned int count_fds(void);

/* Makes the next descriptor fail with EMFILE, until it is called with false. */
void machine_exhaust_fds(bool exhausted);

/* Sets the word of a port's own side, as its process or its peer's could. */
void set_word(const struct port *port, uint32_t value);

/* Takes what has been sent to a port, as its process would. Returns how often that was woken. */
uint64_t take_event(const struct port *port);
