/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that wait no longer than their socket says: SO_SNDTIMEO for connect, SO_RCVTIMEO for accept (socket(7)). */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "supervisor.h"

static int64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

void timeout_set(struct supervisor *supervisor, struct call *call, int fd) {
        int option = call->data.nr == __NR_connect ? SO_SNDTIMEO : SO_RCVTIMEO;
        struct timeval time = {};
        socklen_t n = sizeof time;

        if (call->started)              /* it has waited before, and goes on with what is left */
                return;
        if (getsockopt(fd, SOL_SOCKET, option, &time, &n) < 0 || (time.tv_sec == 0 && time.tv_usec == 0))
                return;
        call->deadline_ms = now_ms() + (time.tv_sec < INT_MAX ? time.tv_sec : INT_MAX) * INT64_C(1000) + time.tv_usec / 1000;
        if (call->deadline_ms < supervisor->next_deadline_ms)
                supervisor->next_deadline_ms = call->deadline_ms;
}

int timeouts_wait_ms(const struct supervisor *supervisor) {
        int64_t left;

        if (supervisor->next_deadline_ms == INT64_MAX)
                return -1;
        left = supervisor->next_deadline_ms - now_ms();
        return left < 0 ? 0 : left < INT_MAX ? (int) left : INT_MAX;
}

/* Answers the socket's calls whose time is over. Returns when the next one's is. */
static int64_t expire(struct carried *carried, int64_t now) {
        int64_t next = INT64_MAX;

        for (struct call **link = &carried->calls, *call; (call = *link);) {
                if (call->deadline_ms > now) {
                        next = call->deadline_ms < next ? call->deadline_ms : next;
                        link = &call->next;
                        continue;
                }
                *link = call->next;
                (void) call_answer(call->program->listener, call->id, call->data.nr == __NR_connect ? -EINPROGRESS : -EAGAIN);
                free(call);
        }
        return next;
}

void timeouts_run(struct supervisor *supervisor) {
        int64_t now, next = INT64_MAX;

        if (supervisor->next_deadline_ms == INT64_MAX || supervisor->next_deadline_ms > (now = now_ms()))
                return;
        for (unsigned i = 0; i < CARRIED_BUCKETS; i++)
                for (struct carried *carried = supervisor->by_watch[i]; carried; carried = carried->next_watch) {
                        int64_t of_this = expire(carried, now);

                        next = of_this < next ? of_this : next;
                }
        supervisor->next_deadline_ms = next;
}
