/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "status.h"

#include <stdio.h>

enum hypervisor_event xen_status_event(int reason) {
        switch (reason) {
        case LIBXL_SHUTDOWN_REASON_POWEROFF:
                return HYPERVISOR_POWERED_OFF;
        case LIBXL_SHUTDOWN_REASON_REBOOT:
        case LIBXL_SHUTDOWN_REASON_SOFT_RESET:  /* a guest that wants to go on with another kernel gets a boot */
                return HYPERVISOR_REBOOTED;
        case LIBXL_SHUTDOWN_REASON_SUSPEND:
                return HYPERVISOR_NO_EVENT;
        case LIBXL_SHUTDOWN_REASON_CRASH:
                return HYPERVISOR_PANICKED;
        case LIBXL_SHUTDOWN_REASON_WATCHDOG:
                return HYPERVISOR_WATCHDOG;
        case -1:
                return HYPERVISOR_EXITED;
        default:
                return HYPERVISOR_BROKEN;
        }
}

const char *xen_status_detail(enum hypervisor_event event) {
        switch (event) {
        case HYPERVISOR_PANICKED:
                return "its kernel crashed";
        case HYPERVISOR_WATCHDOG:
                return "its watchdog ran out";
        case HYPERVISOR_EXITED:
                return "its domain is gone";
        case HYPERVISOR_BROKEN:
                return "its domain shut down for a reason that is not known here";
        default:
                return "";
        }
}

void xen_status_read(struct hypervisor_status *ret_status, const struct xen_facts *facts, const libxl_dominfo *info) {
        *ret_status = (struct hypervisor_status) { .state = HYPERVISOR_ABSENT };
        if (facts->phase == FACTS_NONE)
                return;
        ret_status->started_usec = facts->started_usec;
        if (info)
                ret_status->domains[ret_status->n_domains++] = info->domid;
        if (!info || info->shutdown)
                ret_status->event = xen_status_event(info ? (int) info->shutdown_reason : -1);
        if (ret_status->event != HYPERVISOR_NO_EVENT) {
                ret_status->state = HYPERVISOR_ENDED;
                snprintf(ret_status->detail, sizeof ret_status->detail, "%s", xen_status_detail(ret_status->event));
        } else if (facts->phase == FACTS_PREPARED)
                ret_status->state = HYPERVISOR_PREPARED;
        else
                ret_status->state = info->paused || info->shutdown ? HYPERVISOR_SUSPENDED : HYPERVISOR_RUNNING;
}
