/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Admission: how many guests of a backend are brought up at once.
 *
 * To bring one up takes a processor for a while. A hundred at once take as long as one after another, but each of them takes all that time, and
 * what has a deadline misses it. So a job takes a place before it begins, and waits for one, in the order in which they came. The place is
 * free again when the backend says that the guest is up (struct hypervisor_call, launched), or when the job ends.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#define ADMISSION_MIN 4u                /* places at least: one that hangs is not to be in the way of all others */

struct idl_error;
struct job;

struct admission {
        size_t n_places;                /* 0: any number */
        size_t n_taken;
        struct job *first;              /* of those that wait */
        sd_event_source *source;        /* lets the next in */
        uint64_t *n_waiting;            /* counted, for all backends */
};

/* per_cpu: places for each processor of the host; 0: any number of them. */
int admission_open(struct admission *admission, sd_event *event, unsigned per_cpu, uint64_t *n_waiting);
void admission_close(struct admission *admission);

/* A step: takes a place, or waits for one. While the first step of a job waits, so does its task. */
int step_admit(struct job *job, struct idl_error *error);

bool admission_waits(const struct job *job);

/* Gives it back, if it is there, or waits no longer. */
void admission_leave(struct job *job);
