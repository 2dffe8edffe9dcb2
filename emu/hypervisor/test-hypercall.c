/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Hypercalls as packets: their lengths, their numbers, what each answers, and what it refuses. Those about grants are in
 * test-hypercall-grant.c.
 */

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <xen/xen.h>

#include "test-callers.h"

/*
 * Packets
 */

static const struct {
        uint32_t op;
        size_t n_argument;
} operations[] = {
        { EMU_EVTCHN_ALLOC_UNBOUND, sizeof(struct emu_evtchn_remote) },
        { EMU_EVTCHN_BIND_INTERDOMAIN, sizeof(struct emu_evtchn_remote) },
        { EMU_EVTCHN_BIND_VIRQ, sizeof(struct emu_evtchn_virq) },
        { EMU_EVTCHN_UNBIND, sizeof(struct emu_id) },
        { EMU_EVTCHN_RESTRICT, sizeof(struct emu_id) },
        { EMU_EVTCHN_LIST, sizeof(struct emu_id) },
        { EMU_EVTCHN_GET, sizeof(struct emu_id) },
        { EMU_GRANT_SHARE, sizeof(struct emu_share) },
        { EMU_GRANT_SHARE_MAPPED, sizeof(struct emu_id) },
        { EMU_GRANT_UNSHARE, sizeof(struct emu_id) },
        { EMU_GRANT_UNMAP, sizeof(struct emu_id) },
        { EMU_GRANT_NOTIFY, sizeof(struct emu_notify) },
        { EMU_DOMAIN_INFO, sizeof(struct emu_id) },
        { EMU_EVTCHN_STATUS, sizeof(struct emu_evtchn_remote) },
};

static void test_lengths(struct callers *f, gconstpointer data) {
        uint8_t packet[EMU_REQUEST_MAX] = {};

        for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
                const struct emu_request request = { .op = operations[i].op };
                size_t n = sizeof request + operations[i].n_argument;

                memcpy(packet, &request, sizeof request);
                g_assert_cmpint(call_packet(f, f->handles[0], packet, n - 1), ==, -EMSGSIZE);
                g_assert_cmpint(call_packet(f, f->handles[0], packet, n + 1), ==, -EMSGSIZE);
                g_assert_cmpint(call_packet(f, f->handles[0], packet, sizeof request), ==, -EMSGSIZE);
                g_assert_cmpint(call_packet(f, f->handles[0], packet, EMU_REQUEST_MAX), ==, -EMSGSIZE);
                g_assert_cmpint(call_packet(f, f->handles[0], packet, n), !=, -EMSGSIZE);
        }
        for (size_t n = 1; n < sizeof(struct emu_request); n++)
                g_assert_cmpint(call_packet(f, f->handles[0], packet, n), ==, -EMSGSIZE);
}

static void test_map_lengths(struct callers *f, gconstpointer data) {
        struct map_request request = { .header.count = 2 };
        size_t n = sizeof request.header + 2 * sizeof request.pages[0];

        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, 0), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, sizeof request.header - 1), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, sizeof request.header), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, n - 1), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, n + 1), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, n), ==, -EINVAL); /* looked at */
        reply_mapped(f, 2);

        request.header.count = EMU_MAP_PAGES_MAX;
        g_assert_cmpint(call_map(f, f->handles[1], &request), ==, -EINVAL);
        reply_mapped(f, EMU_MAP_PAGES_MAX);
        request.header.count = EMU_MAP_PAGES_MAX + 1;
        g_assert_cmpint(call_map(f, f->handles[1], &request), ==, -EINVAL);
        g_assert_cmpuint(f->reply.n_body, ==, 0);
        request.header.count = 0;
        g_assert_cmpint(call_map(f, f->handles[1], &request), ==, -EINVAL);
        g_assert_cmpuint(f->reply.n_body, ==, 0);
        request.header.count = UINT32_MAX / sizeof request.pages[0] + 2; /* its product wraps */
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, n), ==, -EINVAL);
        g_assert_cmpuint(f->reply.n_body, ==, 0);
}

static void test_flags(struct callers *f, gconstpointer data) {
        uint8_t packet[EMU_REQUEST_MAX] = {};

        for (size_t i = 0; i < G_N_ELEMENTS(operations); i++)
                for (unsigned int bit = 0; bit < 32; bit += 31) {
                        const struct emu_request request = { .op = operations[i].op, .flags = 1u << bit };

                        if (emu_request_is_posted(&request))
                                continue;
                        memcpy(packet, &request, sizeof request);
                        g_assert_cmpint(call_packet(f, f->handles[0], packet, sizeof request + operations[i].n_argument), ==, -EINVAL);
                        g_assert_cmpuint(f->reply.n_body, ==, 0);
                }
}

static void test_posted(struct callers *f, gconstpointer data) {
        struct {
                struct emu_request request;
                struct emu_id id;
        } packet = { .request = { .op = EMU_GRANT_UNSHARE, .flags = EMU_REQUEST_POSTED } };

        g_assert_cmpint(call_share(f, f->handles[1], 2, 1, 0), ==, 0);
        packet.id.id = reply_shared(f, 1)->share;
        g_assert_true(emu_request_is_posted(&packet.request));
        g_assert_cmpint(call_packet(f, f->handles[1], &packet, sizeof packet), ==, 0);
        g_assert_cmpuint(f->machine.domains[1]->n_shared_pages, ==, 0);

        packet.request.flags |= 2;
        g_assert_false(emu_request_is_posted(&packet.request));
        g_assert_cmpint(call_packet(f, f->handles[1], &packet, sizeof packet), ==, -EINVAL);
        packet.request = (struct emu_request) { .op = EMU_GRANT_MAP, .flags = EMU_REQUEST_POSTED };
        g_assert_false(emu_request_is_posted(&packet.request));
}

static void test_unknown_operations(struct callers *f, gconstpointer data) {
        static const uint32_t unknown[] = {
                0, EMU_HELLO, 15, 23, 31, 35, 47, 51, 63, 66, EMU_DOMAIN_CREATE, EMU_DOMAIN_DESTROY, EMU_SHUTDOWN, UINT32_MAX,
        };

        for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
                g_assert_cmpint(call(f, f->handles[0], unknown[i], NULL, 0), ==, -EOPNOTSUPP);
                g_assert_cmpint(call_id(f, f->handles[0], unknown[i], 0), ==, -EOPNOTSUPP);
        }
}

/*
 * Event channels
 */

static void test_event_channels(struct callers *f, gconstpointer data) {
        struct handle *one = f->handles[1], *two = f->handles[2];
        const struct emu_evtchn_status *status;
        uint32_t port, peer;

        g_assert_cmpint(call_remote(f, one, EMU_EVTCHN_ALLOC_UNBOUND, 2, 1), ==, -EINVAL);
        g_assert_cmpint(call_remote(f, one, EMU_EVTCHN_ALLOC_UNBOUND, 2, 0), ==, 0);
        port = reply_port(f);
        g_assert_cmpint(call_remote(f, two, EMU_EVTCHN_BIND_INTERDOMAIN, 1, port), ==, 0);
        peer = reply_port(f);
        g_assert_cmpint(call_remote(f, two, EMU_EVTCHN_BIND_INTERDOMAIN, 1, port), ==, -EINVAL);
        g_assert_cmpint(call_remote(f, two, EMU_EVTCHN_BIND_INTERDOMAIN, 77, port), ==, -ESRCH);
        g_assert_cmpint(call_virq(f, one, 3), ==, 0);
        g_assert_cmpuint(reply_port(f), ==, port + 1);
        g_assert_cmpint(call_virq(f, one, 3), ==, -EEXIST);
        g_assert_cmpint(call_virq(f, one, 24), ==, -EINVAL);

        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 1, port), ==, 0);
        status = reply_body(f, sizeof *status);
        g_assert_cmpuint(status->state, ==, EMU_EVTCHN_INTERDOMAIN);
        g_assert_cmpuint(status->remote_domid, ==, 2);
        g_assert_cmpuint(status->remote_port, ==, peer);

        g_assert_cmpint(call_id(f, one, EMU_EVTCHN_GET, port), ==, 0);
        g_assert_cmpuint(reply_port(f), ==, port);
        g_assert_cmpint(call_id(f, one, EMU_EVTCHN_UNBIND, port), ==, 0);
        g_assert_cmpint(call_id(f, one, EMU_EVTCHN_UNBIND, port), ==, -ENOTCONN);
        g_assert_cmpint(call_remote(f, two, EMU_EVTCHN_BIND_INTERDOMAIN, 1, port), ==, -EINVAL);
        g_assert_cmpint(call_id(f, two, EMU_EVTCHN_GET, peer), ==, 0);
}

static void test_foreign_ports(struct callers *f, gconstpointer data) {
        static const uint32_t never[] = { 0, 2, 1023, 1024, UINT32_MAX };
        struct handle *sibling;

        g_assert_cmpint(call_remote(f, f->handles[1], EMU_EVTCHN_ALLOC_UNBOUND, 2, 0), ==, 0);
        g_assert_cmpuint(reply_port(f), ==, 1);
        for (size_t i = 0; i < G_N_ELEMENTS(never); i++) {
                g_assert_cmpint(call_id(f, f->handles[1], EMU_EVTCHN_UNBIND, never[i]), ==, -ENOTCONN);
                g_assert_cmpint(call_id(f, f->handles[1], EMU_EVTCHN_GET, never[i]), ==, -ENOTCONN);
        }
        g_assert_cmpint(handle_new(f->machine.domains[1], &sibling), ==, 0);
        g_assert_cmpint(call_id(f, sibling, EMU_EVTCHN_UNBIND, 1), ==, -ENOTCONN);
        g_assert_cmpint(call_id(f, sibling, EMU_EVTCHN_GET, 1), ==, -ENOTCONN);
        g_assert_cmpint(call_id(f, f->handles[2], EMU_EVTCHN_GET, 1), ==, -ENOTCONN);
        handle_free(sibling);
}

static void test_restricted(struct callers *f, gconstpointer data) {
        struct handle *handle = f->handles[1];

        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_ALLOC_UNBOUND, 1, 0), ==, 0);
        g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_RESTRICT, 0), ==, -EINVAL);
        g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_RESTRICT, EMU_DOMID_SELF), ==, -EINVAL);
        g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_RESTRICT, UINT32_MAX), ==, -EINVAL);
        g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_RESTRICT, 2), ==, 0);
        g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_RESTRICT, 2), ==, -EACCES);
        g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_RESTRICT, 3), ==, -EACCES);

        g_assert_cmpint(call_remote(f, handle, EMU_EVTCHN_ALLOC_UNBOUND, 0, 0), ==, -EACCES);
        g_assert_cmpint(call_remote(f, handle, EMU_EVTCHN_ALLOC_UNBOUND, EMU_DOMID_SELF, 0), ==, -EACCES);
        g_assert_cmpint(call_remote(f, handle, EMU_EVTCHN_BIND_INTERDOMAIN, 0, 1), ==, -EACCES);
        g_assert_cmpint(call_virq(f, handle, 3), ==, -EACCES);
        g_assert_cmpuint(f->machine.domains[1]->ports.n_used, ==, 0);

        g_assert_cmpint(call_remote(f, handle, EMU_EVTCHN_ALLOC_UNBOUND, 2, 0), ==, 0);
        g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_UNBIND, reply_port(f)), ==, 0);
}

/* 130 ports of two handles in turn: each is told its own, in pieces. */
static void test_list(struct callers *f, gconstpointer data) {
        struct handle *handle = f->handles[1], *sibling;
        uint32_t expected = 1, next = 0;
        const struct emu_list *list;

        g_assert_cmpint(handle_new(f->machine.domains[1], &sibling), ==, 0);
        for (unsigned int i = 0; i < 260; i++)
                g_assert_cmpint(call_remote(f, i % 2 ? sibling : handle, EMU_EVTCHN_ALLOC_UNBOUND, 2, 0), ==, 0);

        for (;;) {
                g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_LIST, next), ==, 0);
                list = (const struct emu_list *) f->reply.body;
                reply_body(f, sizeof *list + list->n_entries * sizeof(uint32_t));
                g_assert_cmpuint(list->entry_size, ==, sizeof(uint32_t));
                if (list->n_entries == 0)
                        break;
                g_assert_cmpuint(list->n_entries, ==, expected < 257 ? EMU_LIST_MAX : 2);
                for (uint32_t i = 0; i < list->n_entries; i++, expected += 2)
                        g_assert_cmpuint(((const uint32_t *) (list + 1))[i], ==, expected);
                next = expected - 1;
        }
        g_assert_cmpuint(expected, ==, 261);
        g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_LIST, UINT32_MAX), ==, 0);
        reply_body(f, sizeof *list);
        handle_free(sibling);
}

/*
 * What only domain 0 may ask
 */

static void test_privileged(struct callers *f, gconstpointer data) {
        for (uint32_t i = 1; i < MACHINE_DOMAINS; i++) {
                g_assert_cmpint(call_id(f, f->handles[i], EMU_DOMAIN_INFO, 0), ==, -EPERM);
                g_assert_cmpint(call_id(f, f->handles[i], EMU_DOMAIN_INFO, i), ==, -EPERM);
                g_assert_cmpint(call_id(f, f->handles[i], EMU_DOMAIN_INFO, 1000), ==, -EPERM);
                g_assert_cmpint(call_remote(f, f->handles[i], EMU_EVTCHN_STATUS, EMU_DOMID_SELF, 1), ==, -EPERM);
                g_assert_cmpint(call_remote(f, f->handles[i], EMU_EVTCHN_STATUS, 1000, 1), ==, -EPERM);
                g_assert_cmpuint(f->reply.n_body, ==, 0);
        }
}

static void test_domain_info(struct callers *f, gconstpointer data) {
        const struct emu_domain_info *info;

        f->machine.domains[1]->flags |= EMU_DOMAIN_DYING;
        for (uint32_t i = 0; i < MACHINE_DOMAINS; i++) {
                g_assert_cmpint(call_id(f, f->handles[0], EMU_DOMAIN_INFO, i), ==, 0);
                info = reply_body(f, sizeof *info);
                g_assert_cmpuint(info->domid, ==, i);
                g_assert_cmpuint(info->uuid[0], ==, i);
                g_assert_cmpuint(info->flags, ==, i == 1 ? EMU_DOMAIN_DYING : 0);
                g_assert_cmpuint(info->handles, ==, 1);
        }
        g_assert_cmpint(call_id(f, f->handles[0], EMU_DOMAIN_INFO, MACHINE_DOMAINS), ==, -ESRCH);
        g_assert_cmpint(call_id(f, f->handles[0], EMU_DOMAIN_INFO, UINT32_MAX), ==, -ESRCH);
}

static void test_status(struct callers *f, gconstpointer data) {
        const struct emu_evtchn_status *status;

        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 1, 1023), ==, 0);
        status = reply_body(f, sizeof *status);
        g_assert_cmpuint(status->state, ==, EMU_EVTCHN_CLOSED);
        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 1, 1024), ==, -EINVAL);
        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 1, UINT32_MAX), ==, -EINVAL);
        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 3, 1), ==, -ESRCH);

        g_assert_cmpint(call_virq(f, f->handles[0], 3), ==, 0);
        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, EMU_DOMID_SELF, 1), ==, 0);
        status = reply_body(f, sizeof *status);
        g_assert_cmpuint(status->state, ==, EMU_EVTCHN_VIRQ);
        g_assert_cmpuint(status->virq, ==, 3);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/hypercall/" path, struct callers, NULL, callers_set_up, test, callers_tear_down)
        add("a-byte-too-few-or-too-many-is-EMSGSIZE", test_lengths);
        add("a-map-is-as-long-as-its-count-says", test_map_lengths);
        add("what-cannot-fail-may-be-posted", test_posted);
        add("flags-that-are-not-for-it-are-EINVAL", test_flags);
        add("unknown-operations-are-EOPNOTSUPP", test_unknown_operations);
        add("event-channels", test_event_channels);
        add("another-handle's-port-is-ENOTCONN", test_foreign_ports);
        add("a-restricted-handle-binds-to-one-domain", test_restricted);
        add("list-tells-a-handle's-ports-in-pieces", test_list);
        add("a-guest's-privileged-request-is-EPERM", test_privileged);
        add("domain-info", test_domain_info);
        add("port-status", test_status);
        return g_test_run();
}
