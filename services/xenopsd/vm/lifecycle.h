/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The life of a VM: which operation makes sense in which state, what state follows, and what becomes of a VM whose guest does
 * something by itself. docs/xenopsd.md has the table. Knows no VM, no bus and no backend.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor.h"
#include "xcp-types.h"

#define RESTARTS_MAX 5u                                         /* types.xml, GuestAction: */
#define RESTARTS_WINDOW_USEC (600 * UINT64_C(1000000))          /* no more than 5 times in 10 minutes */

enum lifecycle_operation {
        LIFECYCLE_PREPARE,
        LIFECYCLE_START,
        LIFECYCLE_STOP,
        LIFECYCLE_KILL,
        LIFECYCLE_REBOOT,
        LIFECYCLE_RESET,
        LIFECYCLE_SUSPEND,
        LIFECYCLE_RESUME,
        LIFECYCLE_SAVE,
        LIFECYCLE_RESTORE,
        LIFECYCLE_MIGRATE,
        LIFECYCLE_SNAPSHOT,
        LIFECYCLE_REVERT,
        LIFECYCLE_DESTROY,
        LIFECYCLE_POWER_BUTTON,
        LIFECYCLE_SET_MEMORY,
        LIFECYCLE_SET_VCPUS,
        LIFECYCLE_ADD_DEVICE,
        LIFECYCLE_PLUG,                 /* of a device, and unplug */
        LIFECYCLE_CHANGE_DEVICE,        /* insert, eject, move, remove */
        LIFECYCLE_REFRESH,
        LIFECYCLE_OPEN_CONSOLE,
        LIFECYCLE_OPEN_PORT,
        _LIFECYCLE_OPERATION_N,
};

bool lifecycle_allows(enum xcp_vm_state state, enum lifecycle_operation operation);

/* The states in which an operation is allowed, as in "Halted, Prepared". Returns text. */
const char *lifecycle_expected(enum lifecycle_operation operation, char *text, size_t size);

/* The state after an operation that has succeeded; the same for those that do not change it. paused: of Start and Restore. */
enum xcp_vm_state lifecycle_after(enum xcp_vm_state state, enum lifecycle_operation operation, bool paused);

/* Is there something of the VM in its backend? */
bool lifecycle_is_alive(enum xcp_vm_state state);

/* What the manager does next. */
enum lifecycle_follow {
        FOLLOW_NOTHING,
        FOLLOW_RELEASE,                 /* what the guest left is cleared away; the VM is Halted */
        FOLLOW_RESTART,                 /* the same, and it is started again */
};

struct lifecycle_outcome {
        enum xcp_vm_state state;
        enum xcp_vm_state_reason reason;
        enum lifecycle_follow follow;
};

/* What an event makes of a VM that is alive. action: OnReboot after a reboot, OnCrash after all else. */
struct lifecycle_outcome lifecycle_event(enum xcp_vm_state state, enum hypervisor_event event, enum xcp_guest_action action);

/* Which of the two actions an event is about. */
bool lifecycle_event_is_reboot(enum hypervisor_event event);

/* When a VM was restarted. */
struct restarts {
        uint64_t usec[RESTARTS_MAX];    /* the last ones */
        unsigned n;                     /* in all */
};

/* Counts a restart, if there may be one. Times are of one clock, and do not go back. */
bool restarts_allow(struct restarts *restarts, uint64_t now_usec);
