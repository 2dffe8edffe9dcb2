/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "admission.h"

#include <errno.h>
#include <unistd.h>

#include "job.h"

static struct admission *admission_of(const struct job *job) {
        return &job->vm->backend->admission;
}

static bool has_room(const struct admission *admission) {
        return admission->n_places == 0 || admission->n_taken < admission->n_places;
}

static void take(struct job *job) {
        job->place_taken = true;
        admission_of(job)->n_taken++;
        if (job->work && job->step == 0)
                work_run(job->work);
}

static void stop_waiting(struct job *job) {
        struct admission *admission = admission_of(job);

        for (struct job **p = &admission->first; *p; p = &(*p)->next_waiting)
                if (*p == job) {
                        *p = job->next_waiting;
                        --*admission->n_waiting;
                        return;
                }
}

/* Not from within: who gives a place back is not done yet with what it is at. */
static void wake(struct admission *admission) {
        if (admission->first && has_room(admission))
                (void) sd_event_source_set_enabled(admission->source, SD_EVENT_ONESHOT);       /* cannot fail: it is there */
}

static int on_room(sd_event_source *source, void *userdata) {
        struct admission *admission = userdata;

        while (admission->first && has_room(admission)) {
                struct idl_error none = IDL_ERROR_NULL;
                struct job *job = admission->first;

                stop_waiting(job);
                take(job);
                job_done(job, 0, &none);
        }
        return 0;
}

int admission_open(struct admission *admission, sd_event *event, unsigned per_cpu, uint64_t *n_waiting) {
        long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
        size_t n = per_cpu * (n_cpus > 0 ? (size_t) n_cpus : 1);
        int r;

        *admission = (struct admission) { .n_places = per_cpu > 0 && n < ADMISSION_MIN ? ADMISSION_MIN : n, .n_waiting = n_waiting };
        r = sd_event_add_defer(event, &admission->source, on_room, admission);
        return r < 0 ? r : sd_event_source_set_enabled(admission->source, SD_EVENT_OFF);
}

void admission_close(struct admission *admission) {
        admission->source = sd_event_source_disable_unref(admission->source);
}

static int on_cancelled(sd_event_source *source, void *userdata) {
        struct idl_error none = IDL_ERROR_NULL;
        struct job *job = userdata;

        job->io = sd_event_source_disable_unref(job->io);
        job_done(job, -ECANCELED, &none);
        return 0;
}

/* Not from within: whoever cancels is not done with the job. */
static void cancel_wait(struct job *job) {
        if (sd_event_add_defer(job->vm->xenopsd->event, &job->io, on_cancelled, job) < 0)
                return;                 /* then it is cancelled when its turn comes */
        job->cancel = NULL;
        stop_waiting(job);
}

int step_admit(struct job *job, struct idl_error *error) {
        struct admission *admission = admission_of(job);
        struct job **p = &admission->first;

        if (!*p && has_room(admission)) {
                take(job);
                return 1;
        }
        while (*p)
                p = &(*p)->next_waiting;
        job->next_waiting = NULL;
        *p = job;
        ++*admission->n_waiting;
        job->cancel = cancel_wait;
        return 0;
}

bool admission_waits(const struct job *job) {
        return job->cancel == cancel_wait;
}

void admission_leave(struct job *job) {
        struct admission *admission = admission_of(job);

        stop_waiting(job);
        if (job->place_taken)
                admission->n_taken--;
        job->place_taken = false;
        wake(admission);
}
