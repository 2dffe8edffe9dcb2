/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Plans: the programs that an operation has to run, one after the other.
 *
 * Drivers write them, operation.c runs them. Whatever is added is copied; an allocation that fails is remembered, so that only
 * plan_check() has to be looked at in the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "storage.h"

struct intent;

enum {                                  /* flags of a step */
        STEP_COMMIT = 1 << 0,           /* from its beginning, it is too late to cancel */
        STEP_TOLERATE = 1 << 1,         /* its failure is an answer too */
        STEP_UNTRUSTED = 1 << 2,        /* looks at what somebody else has made: it has limits */
        STEP_SHORT = 1 << 3,            /* has a deadline */
};

struct step {
        const char *what;               /* what it does, as in: could not WHAT */
        const char *const *argv;
        int fd;                         /* becomes its descriptor 3; -1: none */
        double weight;                  /* its part of the whole, for progress */
        unsigned flags;
        bool is_qemu;
        struct intent *intent;          /* whose recovery it is a part of, or NULL */

        /* After it has succeeded: looks at what it said, and may add steps. May be NULL. */
        int (*then)(struct operation *operation, struct idl_error *error);
};

struct plan {
        struct idl_arena *arena;
        const char *io_program;
        struct step *steps;
        size_t n_steps, n_allocated;
        int r;                          /* a negative errno, once something did not work */
        struct step nowhere;            /* what is returned then; never run */
};

/* Where bytes are. */
struct place {
        const char *directory, *name;
        bool is_range;                  /* a part of it */
        bool is_device;
        uint64_t offset, length;
        enum xcp_vdi_format format;
};

/* Add a step and return it, to set more of it. Arguments end with NULL. Never NULL: after a failure, it is one that nobody runs. */
struct step *plan_io(struct plan *plan, const char *what, unsigned flags, ...) __attribute__((sentinel));
struct step *plan_qemu(struct plan *plan, const char *what, unsigned flags, ...) __attribute__((sentinel));

/* Text for an argument. */
const char *plan_number(struct plan *plan, uint64_t number);
const char *plan_text(struct plan *plan, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The place as qemu-img takes it with --image-opts. */
const char *plan_image(struct plan *plan, const struct place *place);

/* Steps that more than one driver has. fd: -1 for a place. */
void plan_copy(struct plan *plan, const struct place *from, const struct place *to, uint64_t size, bool grows);
void plan_read_in(struct plan *plan, int fd, const struct place *to, uint64_t max, const char *final_size);
void plan_write_out(struct plan *plan, const struct place *from, uint64_t size, int fd);
void plan_convert(struct plan *plan, const struct place *from, const struct place *to);
