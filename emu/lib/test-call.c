/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libxencall, as libxenctrl uses it, against the hypervisor's own logic. */

#define __XEN_TOOLS__ 1

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <unistd.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/version.h>
#include <xencall.h>

#include "client.h"
#include "test-hypervisor.h"

struct fixture {
        struct test_hypervisor *hypervisor;
        xencall_handle *xcall;          /* of domain 0 */
};

static void set_up(struct fixture *fixture, const void *data) {
        fixture->hypervisor = test_hypervisor_start();
        test_hypervisor_enter(fixture->hypervisor, 0);
        fixture->xcall = xencall_open(NULL, 0);
        g_assert_nonnull(fixture->xcall);
}

static void tear_down(struct fixture *fixture, const void *data) {
        xencall_close(fixture->xcall);
        test_hypervisor_stop(fixture->hypervisor);
}

static int getdomaininfo(xencall_handle *xcall, uint16_t domid, struct xen_domctl *domctl) {
        *domctl = (struct xen_domctl) {
                .cmd = XEN_DOMCTL_getdomaininfo,
                .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
                .domain = domid,
        };
        return xencall1(xcall, __HYPERVISOR_domctl, (uintptr_t) domctl);
}

static void test_domains(struct fixture *fixture, const void *data) {
        struct xen_domctl *domctl = xencall_alloc_buffer(fixture->xcall, sizeof *domctl);

        for (uint16_t i = 0; i < TEST_DOMAINS; i++) {
                g_assert_cmpint(getdomaininfo(fixture->xcall, i, domctl), ==, 0);
                g_assert_cmpuint(domctl->domain, ==, i);
                g_assert_cmpuint(domctl->u.getdomaininfo.domain, ==, i);
                g_assert_cmpuint(domctl->u.getdomaininfo.flags, ==, XEN_DOMINF_running);
                g_assert_cmpuint(domctl->u.getdomaininfo.handle[4], ==, i);
                g_assert_cmpuint(domctl->u.getdomaininfo.nr_online_vcpus, ==, 1);
        }
        g_assert_cmpint(getdomaininfo(fixture->xcall, TEST_DOMAINS, domctl), ==, -1);
        g_assert_cmpint(errno, ==, ESRCH);

        errno = ENOANO;
        xencall_free_buffer(fixture->xcall, domctl);
        g_assert_cmpint(errno, ==, ENOANO);
}

static void test_domctl_errors(struct fixture *fixture, const void *data) {
        struct xen_domctl domctl = { .cmd = XEN_DOMCTL_getdomaininfo, .interface_version = XEN_DOMCTL_INTERFACE_VERSION - 1 };

        g_assert_cmpint(xencall1(fixture->xcall, __HYPERVISOR_domctl, (uintptr_t) &domctl), ==, -1);
        g_assert_cmpint(errno, ==, EACCES);
        domctl.interface_version++;
        domctl.cmd = XEN_DOMCTL_destroydomain;
        g_assert_cmpint(xencall1(fixture->xcall, __HYPERVISOR_domctl, (uintptr_t) &domctl), ==, -1);
        g_assert_cmpint(errno, ==, ENOSYS);
        g_assert_cmpint(xencall1(fixture->xcall, __HYPERVISOR_domctl, 0), ==, -1);
        g_assert_cmpint(errno, ==, EFAULT);
}

static void test_guest(struct fixture *fixture, const void *data) {
        struct xen_domctl domctl;
        xencall_handle *xcall;

        test_hypervisor_enter(fixture->hypervisor, 1);
        xcall = xencall_open(NULL, 0);
        g_assert_cmpint(getdomaininfo(xcall, 0, &domctl), ==, -1);
        g_assert_cmpint(errno, ==, EPERM);
        xencall_close(xcall);
}

static void test_ports(struct fixture *fixture, const void *data) {
        struct emu_evtchn_remote remote = { .domid = 1 };
        struct evtchn_status status = { .dom = 2, .port = 1 };
        struct emu_port port;
        int connection, fds[EMU_PORT_FDS], r;

        g_assert_cmpint(xencall2(fixture->xcall, __HYPERVISOR_event_channel_op, EVTCHNOP_status, (uintptr_t) &status), ==, 0);
        g_assert_cmpuint(status.status, ==, EVTCHNSTAT_closed);

        test_hypervisor_enter(fixture->hypervisor, 2);
        connection = emu_connect(g_getenv("XENEMU_SOCKET"), 1);
        r = emu_call(connection, EMU_EVTCHN_ALLOC_UNBOUND, &remote, sizeof remote, &port, sizeof port, fds, EMU_PORT_FDS);
        g_assert_cmpint(r, ==, 0);
        for (size_t i = 0; i < EMU_PORT_FDS; i++)
                close(fds[i]);

        status.port = port.port;
        g_assert_cmpint(xencall2(fixture->xcall, __HYPERVISOR_event_channel_op, EVTCHNOP_status, (uintptr_t) &status), ==, 0);
        g_assert_cmpuint(status.status, ==, EVTCHNSTAT_unbound);
        g_assert_cmpuint(status.u.unbound.dom, ==, 1);
        close(connection);

        status.port = UINT32_MAX;
        g_assert_cmpint(xencall2(fixture->xcall, __HYPERVISOR_event_channel_op, EVTCHNOP_status, (uintptr_t) &status), ==, -1);
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_cmpint(xencall2(fixture->xcall, __HYPERVISOR_event_channel_op, EVTCHNOP_send, (uintptr_t) &status), ==, -1);
        g_assert_cmpint(errno, ==, ENOSYS);
}

static void test_version(struct fixture *fixture, const void *data) {
        xen_capabilities_info_t capabilities;

        g_assert_cmpint(xencall2(fixture->xcall, __HYPERVISOR_xen_version, XENVER_version, 0), ==, 4 << 16 | 17);
        g_assert_cmpint(xencall2L(fixture->xcall, __HYPERVISOR_xen_version, XENVER_version, 0), ==, 4 << 16 | 17);
        g_assert_cmpint(xencall2(fixture->xcall, __HYPERVISOR_xen_version, XENVER_capabilities, (uintptr_t) capabilities), ==, 0);
        g_assert_true(g_str_has_prefix(capabilities, "xen-3.0-"));
        g_assert_cmpint(xencall2(fixture->xcall, __HYPERVISOR_xen_version, XENVER_commandline, (uintptr_t) capabilities), ==, -1);
        g_assert_cmpint(errno, ==, ENOSYS);
        g_assert_cmpint(xencall0(fixture->xcall, __HYPERVISOR_iret), ==, -1);
        g_assert_cmpint(errno, ==, ENOSYS);
}

static void test_buffers(struct fixture *fixture, const void *data) {
        static const char zeroes[3 * EMU_PAGE_SIZE];
        void *pages = xencall_alloc_buffer_pages(fixture->xcall, 3);

        g_assert_cmpuint((uintptr_t) pages % EMU_PAGE_SIZE, ==, 0);
        g_assert_cmpmem(pages, sizeof zeroes, zeroes, sizeof zeroes);
        xencall_free_buffer_pages(fixture->xcall, pages, 3);
        g_assert_null(xencall_alloc_buffer_pages(fixture->xcall, SIZE_MAX / 2));
        g_assert_cmpint(errno, ==, ENOMEM);
        g_assert_cmpint(xencall_buffers_never_fault(fixture->xcall), ==, 1);
        g_assert_cmpint(xencall_fd(fixture->xcall), >=, 0);
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                void (*test)(struct fixture *, const void *);
        } tests[] = {
                { "/call/domains-are-found-as-in-xen", test_domains },
                { "/call/domctl-errors", test_domctl_errors },
                { "/call/guests-may-not", test_guest },
                { "/call/states-of-ports", test_ports },
                { "/call/version", test_version },
                { "/call/buffers", test_buffers },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, struct fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
