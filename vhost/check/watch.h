/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Watches what a front-end sends, and what it is answered, and says which of the clauses for front-ends it has kept.
 *
 * A pure state machine: it sees messages, and touches no socket. What a clause is about may not happen; then it was not seen, and nothing is said of it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend.h"

enum watch_clause {
        F_1, F_2, F_3, F_4, F_5, F_6, F_7, F_8, F_9, F_10, F_11, F_12, F_13, F_14, F_15, F_16, F_17, F_18, F_19, F_20, F_21,
        _F_N,
};

struct watch_clause_text {
        const char *id;
        const char *level;              /* MUST, SHOULD, MAY */
        const char *title;
};

extern const struct watch_clause_text watch_clauses[_F_N];

enum watch_verdict {
        WATCH_NOT_SEEN,
        WATCH_PASSED,
        WATCH_FAILED,
};

struct watch_queue {
        bool has_size, has_base, has_address, has_kick, is_enabled;
        uint32_t size;
        struct vhost_vring_address address;
};

struct watch {
        struct {
                enum watch_verdict verdict;
                char why[160];
        } results[_F_N];

        /* Over all sessions. */
        unsigned n_sessions;
        bool was_cut_off;               /* the last session was ended by the back-end, and a request left in flight */
        bool has_inflight;
        dev_t inflight_device;
        ino_t inflight_inode;           /* of the region that the front-end keeps */

        /* Of this session. */
        uint64_t offered, offered_protocol, features, protocol_features;
        bool is_owned;
        uint64_t n_queues, n_slots;     /* as the back-end has told; 0: it was not asked */
        struct vhost_region regions[VHOST_SLOTS_MAX];
        size_t n_regions;
        struct watch_queue queues[VHOST_QUEUES_MAX];
        bool gave_inflight;             /* GET_INFLIGHT_FD was answered with the following, and nothing given back yet */
        uint64_t inflight_size, inflight_offset;
};

void watch_begin(struct watch *watch);
void watch_request(struct watch *watch, const struct vhost_message *message);
void watch_reply(struct watch *watch, const struct vhost_message *reply);

/* The session was ended so that the front-end comes again, and goes on. */
void watch_cut_off(struct watch *watch);

/* Notes how a clause went that others see. */
void watch_note(struct watch *watch, enum watch_clause clause, bool good, const char *format, ...) __attribute__((format(printf, 4, 5)));
