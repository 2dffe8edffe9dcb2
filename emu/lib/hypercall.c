/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The hypercalls of emulated Xen, in the structures of Xen 4.17's public headers; see call-handle.h.
 */

#define __XEN_TOOLS__ 1 /* domctl.h is for the toolstack only */

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/version.h>

#include "call-handle.h"

#define XEN_MAJOR 4L
#define XEN_MINOR 17L

/* An argument that is a pointer into this process. */
static void *pointer(uint64_t argument) {
        return (void *) (uintptr_t) argument;
}

static void domaininfo_from(struct xen_domctl_getdomaininfo *info, const struct emu_domain_info *emu) {
        *info = (struct xen_domctl_getdomaininfo) {
                .domain = emu->domid,
                .flags = emu->flags & EMU_DOMAIN_DYING ? XEN_DOMINF_dying | XEN_DOMINF_shutdown : XEN_DOMINF_running,
                .tot_pages = emu->shared_pages,
                .max_pages = emu->limits.shared_pages,
                .nr_online_vcpus = 1,
                .max_vcpu_id = 0,
        };
        _Static_assert(sizeof info->handle == sizeof emu->uuid, "a domain's handle is its UUID");
        memcpy(info->handle, emu->uuid, sizeof info->handle);
}

/* The first domain at or after the one asked for, as in Xen. */
static long domctl_getdomaininfo(xencall_handle *xcall, struct xen_domctl *domctl) {
        struct emu_id id = { .id = domctl->domain };
        struct emu_domain_info info;
        int r;

        r = connection_call(&xcall->connection, EMU_DOMAIN_INFO, &id, sizeof id, &info, sizeof info, NULL, 0);
        if (r < 0)
                return r;

        domaininfo_from(&domctl->u.getdomaininfo, &info);
        domctl->domain = info.domid;
        return 0;
}

static long call_domctl(xencall_handle *xcall, const uint64_t arguments[]) {
        struct xen_domctl *domctl = pointer(arguments[0]);

        if (!domctl)
                return -EFAULT;
        if (domctl->interface_version != XEN_DOMCTL_INTERFACE_VERSION)
                return -EACCES;
        return domctl->cmd == XEN_DOMCTL_getdomaininfo ? domctl_getdomaininfo(xcall, domctl) : -ENOSYS;
}

static long evtchn_status(xencall_handle *xcall, struct evtchn_status *status) {
        struct emu_evtchn_remote port = { .domid = status->dom, .port = status->port };
        struct emu_evtchn_status emu;
        int r;

        r = connection_call(&xcall->connection, EMU_EVTCHN_STATUS, &port, sizeof port, &emu, sizeof emu, NULL, 0);
        if (r < 0)
                return r;

        status->status = emu.state;
        status->vcpu = 0;
        if (emu.state == EMU_EVTCHN_UNBOUND)
                status->u.unbound.dom = emu.remote_domid;
        else if (emu.state == EMU_EVTCHN_INTERDOMAIN) {
                status->u.interdomain.dom = emu.remote_domid;
                status->u.interdomain.port = emu.remote_port;
        } else if (emu.state == EMU_EVTCHN_VIRQ)
                status->u.virq = emu.virq;
        return 0;
}

static long call_event_channel_op(xencall_handle *xcall, const uint64_t arguments[]) {
        if (arguments[0] != EVTCHNOP_status)
                return -ENOSYS;
        return arguments[1] ? evtchn_status(xcall, pointer(arguments[1])) : -EFAULT;
}

static long give_text(uint64_t argument, size_t size, const char *text) {
        if (!argument)
                return -EFAULT;
        strncpy(pointer(argument), text, size);
        return 0;
}

static long call_xen_version(xencall_handle *xcall, const uint64_t arguments[]) {
        switch (arguments[0]) {
        case XENVER_version:
                return XEN_MAJOR << 16 | XEN_MINOR;
        case XENVER_extraversion:
                return give_text(arguments[1], sizeof(xen_extraversion_t), "-xenemu");
        case XENVER_capabilities:
                return give_text(arguments[1], sizeof(xen_capabilities_info_t), "xen-3.0-x86_64 ");
        case XENVER_changeset:
                return give_text(arguments[1], sizeof(xen_changeset_info_t), "emulated: no hypervisor");
        default:
                return -ENOSYS;
        }
}

static const struct {
        unsigned int op;
        long (*call)(xencall_handle *xcall, const uint64_t arguments[]);
} hypercalls[] = {
        { __HYPERVISOR_domctl, call_domctl },
        { __HYPERVISOR_event_channel_op, call_event_channel_op },
        { __HYPERVISOR_xen_version, call_xen_version },
};

long hypercall_make(xencall_handle *xcall, unsigned int op, const uint64_t arguments[HYPERCALL_ARGUMENTS]) {
        for (size_t i = 0; i < sizeof hypercalls / sizeof hypercalls[0]; i++)
                if (hypercalls[i].op == op)
                        return hypercalls[i].call(xcall, arguments);
        return -ENOSYS;
}
