/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The limits of a pull, and the free space of the disk against them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fetch.h"
#include "pull-limits.h"

#define SPEED 1024u                     /* a telephone line brings more */
#define SECONDS 60u
#define SECONDS_MAX 86400u
#define SIZE_MAX_BYTES (UINT64_C(1) << 40)      /* what begins as a disk of 1 TiB; one that unpacks to it as zeros takes minutes */
#define RESERVE_MAX (UINT64_C(256) << 20)       /* what others who write there get by with until somebody looks */
#define RESERVE_PART 20u                /* a small disk keeps a twentieth */
#define STEP (UINT64_C(16) << 20)       /* after which it is looked again how much is free */

struct limits limits = { .speed = SPEED, .seconds = SECONDS, .size_max = SIZE_MAX_BYTES };

static uint64_t taken;                  /* written by this process */
static uint64_t step_left;

static int parse_number(const char *text, uint64_t max, uint64_t *ret_number) {
        unsigned long long number;
        char *end;

        if (!text || *text < '0' || *text > '9')
                return -EINVAL;
        errno = 0;
        number = strtoull(text, &end, 10);
        if (errno || *end || number == 0 || number > max)
                return -EINVAL;
        *ret_number = number;
        return 0;
}

int limits_parse(const char *text) {
        char *const names[] = { (char[]) { "speed" }, (char[]) { "seconds" }, (char[]) { "size" }, NULL };
        struct limits parsed = limits;
        uint64_t *const fields[] = { &parsed.speed, &parsed.seconds, &parsed.size_max };
        const uint64_t most[] = { INT32_MAX, SECONDS_MAX, INT64_MAX };
        char *copy = strdup(text), *rest = copy, *value;
        int r = copy ? 0 : -ENOMEM;

        while (r == 0 && *rest) {
                int i = getsubopt(&rest, names, &value);

                r = i < 0 ? -EINVAL : parse_number(value, most[i], fields[i]);
        }
        free(copy);
        if (r == 0)
                limits = parsed;
        return r;
}

int limits_check_size(uint64_t size) {
        return size > limits.size_max ? fail_numbers(FAILURE_LIMIT, size, limits.size_max) : 0;
}

/* What may be written. */
static int find_room(int fd, uint64_t *ret_room) {
        struct statvfs st;
        uint64_t reserve, available;

        if (fstatvfs(fd, &st) < 0)
                return fail_errno("find out how much is free");
        reserve = (uint64_t) st.f_blocks * st.f_frsize / RESERVE_PART;
        if (reserve > RESERVE_MAX)
                reserve = RESERVE_MAX;
        available = (uint64_t) st.f_bavail * st.f_frsize;
        *ret_room = available > reserve ? available - reserve : 0;
        return 0;
}

int limits_check_room(int fd, uint64_t n) {
        uint64_t room;

        if (find_room(fd, &room) < 0)
                return -1;
        return n > room ? fail_numbers(FAILURE_SPACE, taken + n, taken + room) : 0;
}

int limits_take_room(int fd, uint64_t n) {
        if (n > step_left) {
                uint64_t room;

                if (find_room(fd, &room) < 0)
                        return -1;
                if (n > room)
                        return fail_numbers(FAILURE_SPACE, taken + n, taken + room);
                step_left = room < STEP || n > STEP ? room : STEP;
        }
        step_left -= n;
        taken += n;
        return 0;
}

bool limits_is_fast(uint64_t bytes, uint64_t msec) {
        uint64_t seconds = (msec + 999) / 1000;

        return bytes / limits.speed >= (seconds > 0 ? seconds : 1);
}
