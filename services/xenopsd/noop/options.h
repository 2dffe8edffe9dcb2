/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The backend_options of a noop guest: what it does when, and what goes wrong. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor.h"

#define NOOP_NEVER UINT32_MAX
#define NOOP_MS_MAX (24u * 3600 * 1000) /* of any time: a day */
#define NOOP_SHUTDOWN_SLOW_MS 2000u     /* shutdown=slow without shutdown-ms */

/* Operations that can be told how to go. */
enum noop_verb {
        NOOP_PREPARE,
        NOOP_START,
        NOOP_STOP,                      /* with a timeout; without one, it cannot go wrong */
        NOOP_REBOOT,
        NOOP_RESET,
        NOOP_SUSPEND,
        NOOP_RESUME,
        NOOP_DESTROY,
        NOOP_SAVE,
        NOOP_RESTORE,
        NOOP_SEND,
        NOOP_RECEIVE,
        NOOP_MEMORY,
        NOOP_VCPUS,
        NOOP_PLUG,
        NOOP_UNPLUG,
        NOOP_QUERY,
        NOOP_STATISTICS,
        NOOP_CHECK_SEND,                /* whether it may be sent */
        _NOOP_VERB_N,
};

enum noop_way {
        NOOP_OK,                        /* after ms */
        NOOP_FAIL,
        NOOP_UNHEEDED,                  /* the guest's time for it has run out: of what takes its kernel */
        NOOP_STUCK,                     /* never ends, unless it is cancelled */
};

enum noop_shutdown {
        NOOP_SHUTDOWN_CLEAN,            /* after shutdown-ms */
        NOOP_SHUTDOWN_IGNORE,
        NOOP_SHUTDOWN_CRASH,
};

/* What a guest does by itself, at a time after its boot. */
struct noop_moment {
        enum hypervisor_event event;
        uint32_t ms;                    /* NOOP_NEVER */
};

#define NOOP_MOMENTS 7u

struct noop_options {
        struct {
                enum noop_way way;
                uint32_t ms;
        } verbs[_NOOP_VERB_N];
        enum noop_shutdown shutdown;
        uint32_t shutdown_ms;
        uint32_t boot_ms;
        uint32_t address_ms;            /* NOOP_NEVER: no address */
        struct noop_moment moments[NOOP_MOMENTS];
};

extern const struct hypervisor_option noop_option_list[];

/* Reads them. With error: InvalidArgument, which says what is wrong. */
int noop_options_read(struct noop_options *ret_options, const struct xcp_dict_s_s_entry *entries, size_t n_entries,
                      struct idl_error *error);

/* What has become of a guest that has run for so long: the first event that has come, and when something happens next. */
enum hypervisor_event noop_options_event(const struct noop_options *options, uint64_t ran_usec, bool disk_failure_is_over,
                                         uint64_t *ret_next_usec);
