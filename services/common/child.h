/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Children: programs that a service runs for what would make it wait.
 *
 * A child has a clean environment, no descriptors but those it is given, default signals, limits, and it ends with the service,
 * however that ends (PR_SET_PDEATHSIG). What it prints comes as lines, which may end in \n or \r; of what it says on standard error the
 * last words are kept. Its end is told once, after all of its output, and never from within a function of this header.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <systemd/sd-event.h>

#define CHILD_LINE_MAX 8192u            /* bytes; a longer line comes in pieces */
#define CHILD_FDS_MAX 8u                /* that it can be given */
#define CHILD_WORDS_MAX 1024u           /* of last words */

struct child;

struct child_spec {
        const char *const *argv;        /* argv[0] is a path, or is looked for where Debian has programs */
        const int *fds;                 /* become its descriptors 3, 4, ...; they stay the caller's */
        size_t n_fds;
        uint64_t deadline_usec;         /* it is killed when it takes longer; 0: it may take as long as it does */
        uint64_t memory_max;            /* bytes of address space; 0: no limit */
        uint64_t cpu_max_sec;           /* seconds of CPU; 0: no limit */
};

struct child_end {
        int status;                     /* as waitpid(2) tells it */
        bool killed;                    /* by child_kill() */
        bool timed_out;                 /* its deadline passed */
        const char *last_words;         /* of standard error, in one line of UTF-8 */
};

struct child_listener {
        void (*line)(const char *line, void *userdata);         /* may be NULL; may not free the child */
        void (*end)(const struct child_end *end, void *userdata);       /* frees it, or does so later */
};

/* Starts one. The listener is kept, not copied. -ENOENT: there is no such program. */
int child_start(struct child **ret_child, sd_event *event, const struct child_spec *spec, const struct child_listener *listener,
                void *userdata);

/* Has it killed. Its end comes as always. */
void child_kill(struct child *child);

/* If it still runs, it is killed and nobody hears of it again. */
struct child *child_free(struct child *child);

/* Lets go of one that is to outlive this process. What it says is not heard any more. Only right before this process ends: nobody collects its status. */
void child_release(struct child *child);

static inline void child_freep(struct child **child) {
        child_free(*child);
}

pid_t child_pid(const struct child *child);

/* What became of it in words, as in "was killed by signal 9" or "ended with status 1: no such file". text has room for n bytes. */
void child_end_describe(const struct child_end *end, char *text, size_t n);

static inline bool child_end_good(const struct child_end *end) {
        return !end->killed && !end->timed_out && end->status == 0;
}
