/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lifecycle.h"

#include <stdio.h>
#include <string.h>

#define IN(state) (1u << XCP_VM_STATE_##state)
#define STATE_LAST XCP_VM_STATE_FAILED

static const unsigned allowed[_LIFECYCLE_OPERATION_N] = {
        [LIFECYCLE_PREPARE] = IN(HALTED),
        [LIFECYCLE_START] = IN(HALTED) | IN(PREPARED),
        [LIFECYCLE_STOP] = IN(PREPARED) | IN(RUNNING) | IN(SUSPENDED),
        [LIFECYCLE_KILL] = IN(PREPARED) | IN(RUNNING) | IN(SUSPENDED) | IN(SAVED) | IN(PANICKED) | IN(IO_ERROR) | IN(FAILED),
        [LIFECYCLE_REBOOT] = IN(RUNNING),
        [LIFECYCLE_RESET] = IN(RUNNING) | IN(PANICKED) | IN(IO_ERROR),
        [LIFECYCLE_SUSPEND] = IN(RUNNING),
        [LIFECYCLE_RESUME] = IN(SUSPENDED) | IN(IO_ERROR),
        [LIFECYCLE_SAVE] = IN(RUNNING) | IN(SUSPENDED),
        [LIFECYCLE_RESTORE] = IN(SAVED),
        [LIFECYCLE_MIGRATE] = IN(RUNNING),
        [LIFECYCLE_SNAPSHOT] = IN(HALTED) | IN(RUNNING) | IN(SUSPENDED),
        [LIFECYCLE_REVERT] = IN(HALTED) | IN(SAVED),
        [LIFECYCLE_DESTROY] = IN(HALTED) | IN(PREPARED) | IN(RUNNING) | IN(SUSPENDED) | IN(SAVED) | IN(PANICKED) | IN(IO_ERROR) |
                              IN(FAILED),
        [LIFECYCLE_POWER_BUTTON] = IN(RUNNING),
        [LIFECYCLE_SET_MEMORY] = IN(HALTED) | IN(RUNNING),
        [LIFECYCLE_SET_VCPUS] = IN(HALTED) | IN(RUNNING),
        [LIFECYCLE_ADD_DEVICE] = IN(HALTED) | IN(PREPARED) | IN(RUNNING) | IN(SUSPENDED),
        [LIFECYCLE_PLUG] = IN(PREPARED) | IN(RUNNING) | IN(SUSPENDED),
        [LIFECYCLE_CHANGE_DEVICE] = IN(HALTED) | IN(PREPARED) | IN(RUNNING) | IN(SUSPENDED),
        [LIFECYCLE_REFRESH] = IN(PREPARED) | IN(RUNNING) | IN(SUSPENDED),
        [LIFECYCLE_OPEN_CONSOLE] = IN(PREPARED) | IN(RUNNING) | IN(SUSPENDED) | IN(PANICKED) | IN(IO_ERROR),
        [LIFECYCLE_OPEN_PORT] = IN(RUNNING),
};

bool lifecycle_allows(enum xcp_vm_state state, enum lifecycle_operation operation) {
        return allowed[operation] & (1u << state);
}

const char *lifecycle_expected(enum lifecycle_operation operation, char *text, size_t size) {
        size_t n = 0;

        text[0] = '\0';
        for (enum xcp_vm_state state = XCP_VM_STATE_HALTED; state <= STATE_LAST && n < size; state++)
                if (lifecycle_allows(state, operation))
                        n += (size_t) snprintf(text + n, size - n, "%s%s", n > 0 ? ", " : "", xcp_vm_state_to_string(state));
        return text;
}

enum xcp_vm_state lifecycle_after(enum xcp_vm_state state, enum lifecycle_operation operation, bool paused) {
        switch (operation) {
        case LIFECYCLE_PREPARE:
                return XCP_VM_STATE_PREPARED;
        case LIFECYCLE_START:
        case LIFECYCLE_RESTORE:
                return paused ? XCP_VM_STATE_SUSPENDED : XCP_VM_STATE_RUNNING;
        case LIFECYCLE_STOP:
        case LIFECYCLE_KILL:
        case LIFECYCLE_MIGRATE:
        case LIFECYCLE_DESTROY:
                return XCP_VM_STATE_HALTED;
        case LIFECYCLE_REBOOT:
        case LIFECYCLE_RESET:
        case LIFECYCLE_RESUME:
                return XCP_VM_STATE_RUNNING;
        case LIFECYCLE_SUSPEND:
                return XCP_VM_STATE_SUSPENDED;
        case LIFECYCLE_SAVE:
                return XCP_VM_STATE_SAVED;
        default:
                return state;
        }
}

bool lifecycle_is_alive(enum xcp_vm_state state) {
        return state != XCP_VM_STATE_HALTED && state != XCP_VM_STATE_SAVED;
}

bool lifecycle_event_is_reboot(enum hypervisor_event event) {
        return event == HYPERVISOR_REBOOTED;
}

static struct lifecycle_outcome crashed(enum xcp_vm_state state, enum xcp_vm_state_reason reason, enum xcp_guest_action action) {
        static const enum lifecycle_follow follow[] = {
                [XCP_GUEST_ACTION_HALT] = FOLLOW_RELEASE,
                [XCP_GUEST_ACTION_RESTART] = FOLLOW_RESTART,
                [XCP_GUEST_ACTION_PRESERVE] = FOLLOW_NOTHING,
        };

        return (struct lifecycle_outcome) { state, reason, follow[action] };
}

static struct lifecycle_outcome rebooted(enum xcp_guest_action action) {
        const enum xcp_vm_state_reason reason = XCP_VM_STATE_REASON_GUEST_REBOOT;

        switch (action) {
        case XCP_GUEST_ACTION_RESTART:
                return (struct lifecycle_outcome) { XCP_VM_STATE_RUNNING, reason, FOLLOW_RESTART };
        case XCP_GUEST_ACTION_PRESERVE:
                return (struct lifecycle_outcome) { XCP_VM_STATE_SUSPENDED, reason, FOLLOW_NOTHING };
        default:
                return (struct lifecycle_outcome) { XCP_VM_STATE_HALTED, reason, FOLLOW_RELEASE };
        }
}

struct lifecycle_outcome lifecycle_event(enum xcp_vm_state state, enum hypervisor_event event, enum xcp_guest_action action) {
        switch (event) {
        case HYPERVISOR_POWERED_OFF:
                return (struct lifecycle_outcome) { XCP_VM_STATE_HALTED, XCP_VM_STATE_REASON_GUEST_POWER_OFF, FOLLOW_RELEASE };
        case HYPERVISOR_REBOOTED:
                return rebooted(action);
        case HYPERVISOR_PANICKED:
                return crashed(XCP_VM_STATE_PANICKED, XCP_VM_STATE_REASON_GUEST_PANIC, action);
        case HYPERVISOR_WATCHDOG:
                return crashed(XCP_VM_STATE_PANICKED, XCP_VM_STATE_REASON_WATCHDOG, action);
        case HYPERVISOR_DISK_FAILED:
                return (struct lifecycle_outcome) { XCP_VM_STATE_IO_ERROR, XCP_VM_STATE_REASON_DISK_FAILED, FOLLOW_NOTHING };
        case HYPERVISOR_EXITED:
                return crashed(XCP_VM_STATE_FAILED, XCP_VM_STATE_REASON_BACKEND_EXITED, action);
        case HYPERVISOR_BROKEN:
                return crashed(XCP_VM_STATE_FAILED, XCP_VM_STATE_REASON_BACKEND_FAILED, action);
        case HYPERVISOR_TAKEN:
                return (struct lifecycle_outcome) { XCP_VM_STATE_SUSPENDED, XCP_VM_STATE_REASON_FOUND, FOLLOW_NOTHING };
        default:
                return (struct lifecycle_outcome) { state, 0, FOLLOW_NOTHING };
        }
}

bool restarts_allow(struct restarts *restarts, uint64_t now_usec) {
        uint64_t *oldest = restarts->usec + restarts->n % RESTARTS_MAX;

        if (restarts->n >= RESTARTS_MAX && now_usec - *oldest < RESTARTS_WINDOW_USEC)
                return false;
        *oldest = now_usec;
        restarts->n++;
        return true;
}
