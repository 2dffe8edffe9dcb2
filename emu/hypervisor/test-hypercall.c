/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hypercalls as packets: their lengths, their numbers, what each answers, and what it refuses. */

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "hypercall.h"
#include "test-machine.h"

#define PAGES EMU_MAP_PAGES_MAX

struct fixture {
        struct machine machine;
        struct handle *handles[MACHINE_DOMAINS]; /* one of each domain */
        struct reply reply;
};

struct map_request {
        struct emu_map header;
        struct emu_map_page pages[PAGES + 1];
};

static void set_up(struct fixture *f, gconstpointer data) {
        machine_init(&f->machine, NULL);
        for (uint32_t i = 0; i < MACHINE_DOMAINS; i++)
                g_assert_cmpint(handle_new(f->machine.domains[i], &f->handles[i]), ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        for (uint32_t i = 0; i < MACHINE_DOMAINS; i++)
                handle_free(f->handles[i]);
        machine_done(&f->machine);
}

/* Says n bytes of packet, in memory that ends where they end. */
static int say(struct fixture *f, struct handle *handle, const void *packet, size_t n) {
        g_autofree void *copy = g_memdup2(packet, n);
        int r = hypercall(handle, copy, n, &f->reply);

        if (r < 0) {
                g_assert_cmpuint(f->reply.n_fds, ==, 0);
                g_assert_true(f->reply.n_body == 0 || r == -EINVAL);
        }
        g_assert_cmpint(r, <=, 0);
        return r;
}

static int call(struct fixture *f, struct handle *handle, uint32_t op, const void *argument, size_t n_argument) {
        struct {
                struct emu_request request;
                uint8_t argument[EMU_REQUEST_MAX - sizeof(struct emu_request)];
        } packet = { .request.op = op };

        g_assert_cmpuint(n_argument, <=, sizeof packet.argument);
        if (n_argument > 0)
                memcpy(packet.argument, argument, n_argument);
        return say(f, handle, &packet, sizeof packet.request + n_argument);
}

static int call_id(struct fixture *f, struct handle *handle, uint32_t op, uint32_t id) {
        const struct emu_id argument = { .id = id };

        return call(f, handle, op, &argument, sizeof argument);
}

static int call_remote(struct fixture *f, struct handle *handle, uint32_t op, uint32_t domid, uint32_t port) {
        const struct emu_evtchn_remote argument = { .domid = domid, .port = port };

        return call(f, handle, op, &argument, sizeof argument);
}

static int call_virq(struct fixture *f, struct handle *handle, uint32_t virq) {
        const struct emu_evtchn_virq argument = { .virq = virq };

        return call(f, handle, EMU_EVTCHN_BIND_VIRQ, &argument, sizeof argument);
}

static int call_share(struct fixture *f, struct handle *handle, uint32_t domid, uint32_t count, uint32_t flags) {
        const struct emu_share argument = { .domid = domid, .count = count, .flags = flags };

        return call(f, handle, EMU_GRANT_SHARE, &argument, sizeof argument);
}

static int call_notify(struct fixture *f, struct handle *handle, struct emu_notify argument) {
        return call(f, handle, EMU_GRANT_NOTIFY, &argument, sizeof argument);
}

static int call_map(struct fixture *f, struct handle *handle, const struct map_request *request) {
        return call(f, handle, EMU_GRANT_MAP, request, sizeof request->header + request->header.count * sizeof request->pages[0]);
}

/* What the last reply says. */
static const void *body(const struct fixture *f, size_t n) {
        g_assert_cmpuint(f->reply.n_body, ==, n);
        return f->reply.body;
}

static uint32_t bound(const struct fixture *f) {
        const struct emu_port *port = body(f, sizeof *port);

        g_assert_cmpuint(f->reply.n_fds, ==, EMU_PORT_FDS);
        return port->port;
}

static const struct emu_shared *shared(const struct fixture *f, uint32_t count) {
        const struct emu_shared *reply = body(f, sizeof *reply + count * sizeof reply->refs[0]);

        g_assert_cmpuint(reply->n_refs, ==, count);
        g_assert_cmpuint(f->reply.n_fds, ==, 1);
        return reply;
}

static const struct emu_mapped *mapped(const struct fixture *f, uint32_t count) {
        const struct emu_mapped *reply = body(f, sizeof *reply + count * sizeof reply->pages[0]);

        g_assert_cmpuint(reply->n_pages, ==, count);
        return reply;
}

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

static void test_lengths(struct fixture *f, gconstpointer data) {
        uint8_t packet[EMU_REQUEST_MAX] = {};

        for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
                const struct emu_request request = { .op = operations[i].op };
                size_t n = sizeof request + operations[i].n_argument;

                memcpy(packet, &request, sizeof request);
                g_assert_cmpint(say(f, f->handles[0], packet, n - 1), ==, -EMSGSIZE);
                g_assert_cmpint(say(f, f->handles[0], packet, n + 1), ==, -EMSGSIZE);
                g_assert_cmpint(say(f, f->handles[0], packet, sizeof request), ==, -EMSGSIZE);
                g_assert_cmpint(say(f, f->handles[0], packet, EMU_REQUEST_MAX), ==, -EMSGSIZE);
                g_assert_cmpint(say(f, f->handles[0], packet, n), !=, -EMSGSIZE);
        }
        for (size_t n = 1; n < sizeof(struct emu_request); n++)
                g_assert_cmpint(say(f, f->handles[0], packet, n), ==, -EMSGSIZE);
}

static void test_map_lengths(struct fixture *f, gconstpointer data) {
        struct map_request request = { .header.count = 2 };
        size_t n = sizeof request.header + 2 * sizeof request.pages[0];

        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, 0), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, sizeof request.header - 1), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, sizeof request.header), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, n - 1), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, n + 1), ==, -EMSGSIZE);
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, n), ==, -EINVAL); /* looked at */
        mapped(f, 2);

        request.header.count = PAGES;
        g_assert_cmpint(call_map(f, f->handles[1], &request), ==, -EINVAL);
        mapped(f, PAGES);
        request.header.count = PAGES + 1;
        g_assert_cmpint(call_map(f, f->handles[1], &request), ==, -EINVAL);
        g_assert_cmpuint(f->reply.n_body, ==, 0);
        request.header.count = 0;
        g_assert_cmpint(call_map(f, f->handles[1], &request), ==, -EINVAL);
        g_assert_cmpuint(f->reply.n_body, ==, 0);
        request.header.count = UINT32_MAX / sizeof request.pages[0] + 2; /* its product wraps */
        g_assert_cmpint(call(f, f->handles[1], EMU_GRANT_MAP, &request, n), ==, -EINVAL);
        g_assert_cmpuint(f->reply.n_body, ==, 0);
}

static void test_flags(struct fixture *f, gconstpointer data) {
        uint8_t packet[EMU_REQUEST_MAX] = {};

        for (size_t i = 0; i < G_N_ELEMENTS(operations); i++)
                for (unsigned int bit = 0; bit < 32; bit += 31) {
                        const struct emu_request request = { .op = operations[i].op, .flags = 1u << bit };

                        if (emu_request_is_posted(&request))
                                continue;
                        memcpy(packet, &request, sizeof request);
                        g_assert_cmpint(say(f, f->handles[0], packet, sizeof request + operations[i].n_argument), ==, -EINVAL);
                        g_assert_cmpuint(f->reply.n_body, ==, 0);
                }
}

static void test_posted(struct fixture *f, gconstpointer data) {
        struct {
                struct emu_request request;
                struct emu_id id;
        } packet = { .request = { .op = EMU_GRANT_UNSHARE, .flags = EMU_REQUEST_POSTED } };

        g_assert_cmpint(call_share(f, f->handles[1], 2, 1, 0), ==, 0);
        packet.id.id = shared(f, 1)->share;
        g_assert_true(emu_request_is_posted(&packet.request));
        g_assert_cmpint(say(f, f->handles[1], &packet, sizeof packet), ==, 0);
        g_assert_cmpuint(f->machine.domains[1]->n_shared_pages, ==, 0);

        packet.request.flags |= 2;
        g_assert_false(emu_request_is_posted(&packet.request));
        g_assert_cmpint(say(f, f->handles[1], &packet, sizeof packet), ==, -EINVAL);
        packet.request = (struct emu_request) { .op = EMU_GRANT_MAP, .flags = EMU_REQUEST_POSTED };
        g_assert_false(emu_request_is_posted(&packet.request));
}

static void test_unknown_operations(struct fixture *f, gconstpointer data) {
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

static void test_event_channels(struct fixture *f, gconstpointer data) {
        struct handle *one = f->handles[1], *two = f->handles[2];
        const struct emu_evtchn_status *status;
        uint32_t port, peer;

        g_assert_cmpint(call_remote(f, one, EMU_EVTCHN_ALLOC_UNBOUND, 2, 1), ==, -EINVAL);
        g_assert_cmpint(call_remote(f, one, EMU_EVTCHN_ALLOC_UNBOUND, 2, 0), ==, 0);
        port = bound(f);
        g_assert_cmpint(call_remote(f, two, EMU_EVTCHN_BIND_INTERDOMAIN, 1, port), ==, 0);
        peer = bound(f);
        g_assert_cmpint(call_remote(f, two, EMU_EVTCHN_BIND_INTERDOMAIN, 1, port), ==, -EINVAL);
        g_assert_cmpint(call_remote(f, two, EMU_EVTCHN_BIND_INTERDOMAIN, 77, port), ==, -ESRCH);
        g_assert_cmpint(call_virq(f, one, 3), ==, 0);
        g_assert_cmpuint(bound(f), ==, port + 1);
        g_assert_cmpint(call_virq(f, one, 3), ==, -EEXIST);
        g_assert_cmpint(call_virq(f, one, 24), ==, -EINVAL);

        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 1, port), ==, 0);
        status = body(f, sizeof *status);
        g_assert_cmpuint(status->state, ==, EMU_EVTCHN_INTERDOMAIN);
        g_assert_cmpuint(status->remote_domid, ==, 2);
        g_assert_cmpuint(status->remote_port, ==, peer);

        g_assert_cmpint(call_id(f, one, EMU_EVTCHN_GET, port), ==, 0);
        g_assert_cmpuint(bound(f), ==, port);
        g_assert_cmpint(call_id(f, one, EMU_EVTCHN_UNBIND, port), ==, 0);
        g_assert_cmpint(call_id(f, one, EMU_EVTCHN_UNBIND, port), ==, -ENOTCONN);
        g_assert_cmpint(call_remote(f, two, EMU_EVTCHN_BIND_INTERDOMAIN, 1, port), ==, -EINVAL);
        g_assert_cmpint(call_id(f, two, EMU_EVTCHN_GET, peer), ==, 0);
}

static void test_foreign_ports(struct fixture *f, gconstpointer data) {
        static const uint32_t never[] = { 0, 2, 1023, 1024, UINT32_MAX };
        struct handle *sibling;

        g_assert_cmpint(call_remote(f, f->handles[1], EMU_EVTCHN_ALLOC_UNBOUND, 2, 0), ==, 0);
        g_assert_cmpuint(bound(f), ==, 1);
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

static void test_restricted(struct fixture *f, gconstpointer data) {
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
        g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_UNBIND, bound(f)), ==, 0);
}

/* 130 ports of two handles in turn: each is told its own, in pieces. */
static void test_list(struct fixture *f, gconstpointer data) {
        struct handle *handle = f->handles[1], *sibling;
        uint32_t expected = 1, next = 0;
        const struct emu_list *list;

        g_assert_cmpint(handle_new(f->machine.domains[1], &sibling), ==, 0);
        for (unsigned int i = 0; i < 260; i++)
                g_assert_cmpint(call_remote(f, i % 2 ? sibling : handle, EMU_EVTCHN_ALLOC_UNBOUND, 2, 0), ==, 0);

        for (;;) {
                g_assert_cmpint(call_id(f, handle, EMU_EVTCHN_LIST, next), ==, 0);
                list = (const struct emu_list *) f->reply.body;
                body(f, sizeof *list + list->n_entries * sizeof(uint32_t));
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
        body(f, sizeof *list);
        handle_free(sibling);
}

/*
 * Grants
 */

static void test_share(struct fixture *f, gconstpointer data) {
        struct handle *handle = f->handles[1];
        const struct emu_shared *reply;
        struct stat st;

        g_assert_cmpint(call_share(f, handle, 2, 1, 2), ==, -EINVAL);
        g_assert_cmpint(call_share(f, handle, 2, 0, 0), ==, -EINVAL);
        g_assert_cmpint(call_share(f, handle, 2, EMU_SHARE_PAGES_MAX + 1, 0), ==, -EINVAL);
        g_assert_cmpint(call_share(f, handle, EMU_DOMID_SELF + 1, 1, 0), ==, -EINVAL);
        g_assert_cmpuint(f->reply.n_body, ==, 0);

        g_assert_cmpint(call_share(f, handle, 2, EMU_SHARE_PAGES_MAX, 0), ==, 0);
        reply = shared(f, EMU_SHARE_PAGES_MAX);
        g_assert_cmpuint(reply->share, ==, 1);
        for (uint32_t i = 0; i < EMU_SHARE_PAGES_MAX; i++)
                g_assert_cmpuint(reply->refs[i], ==, EMU_REF_FIRST_FREE + i);
        g_assert_cmpint(fstat(f->reply.fds[0], &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, EMU_SHARE_PAGES_MAX * EMU_PAGE_SIZE);

        g_assert_cmpint(call_share(f, handle, 2, 1, 0), ==, -ENOSPC);
        g_assert_cmpint(call_id(f, handle, EMU_GRANT_UNSHARE, 1), ==, 0);
        g_assert_cmpint(call_id(f, handle, EMU_GRANT_UNSHARE, 1), ==, -ENOENT);
        g_assert_cmpint(call_share(f, handle, 2, 1, EMU_GRANT_READONLY), ==, 0);
        g_assert_cmpuint(shared(f, 1)->share, ==, 1);
        g_assert_cmpint(call_id(f, handle, EMU_GRANT_SHARE_MAPPED, 1), ==, 0);
        g_assert_cmpint(call_id(f, handle, EMU_GRANT_SHARE_MAPPED, 1), ==, -EINVAL);
}

static void test_ids_never_given(struct fixture *f, gconstpointer data) {
        static const uint32_t never[] = { 0, 2, UINT32_MAX / 2, UINT32_MAX };
        struct map_request request = { .header.count = 1, .pages = { { .domid = 1 } } };

        g_assert_cmpint(call_share(f, f->handles[1], 2, 1, 0), ==, 0);
        request.pages[0].ref = shared(f, 1)->refs[0];
        g_assert_cmpint(call_map(f, f->handles[2], &request), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(never); i++) {
                g_assert_cmpint(call_id(f, f->handles[1], EMU_GRANT_UNSHARE, never[i]), ==, -ENOENT);
                g_assert_cmpint(call_id(f, f->handles[1], EMU_GRANT_SHARE_MAPPED, never[i]), ==, -ENOENT);
                g_assert_cmpint(call_id(f, f->handles[2], EMU_GRANT_UNMAP, never[i]), ==, -ENOENT);
                if (never[i] != 0) {
                        g_assert_cmpint(call_notify(f, f->handles[1], (struct emu_notify) { .share = never[i] }), ==, -ENOENT);
                        g_assert_cmpint(call_notify(f, f->handles[2], (struct emu_notify) { .mapping = never[i] }), ==, -ENOENT);
                }
        }

        /* Numbers are a handle's own. */
        g_assert_cmpint(call_id(f, f->handles[2], EMU_GRANT_UNSHARE, 1), ==, -ENOENT);
        g_assert_cmpint(call_id(f, f->handles[1], EMU_GRANT_UNMAP, 1), ==, -ENOENT);
        g_assert_cmpint(call_notify(f, f->handles[2], (struct emu_notify) { .share = 1 }), ==, -ENOENT);
        g_assert_cmpint(call_notify(f, f->handles[1], (struct emu_notify) { .mapping = 1 }), ==, -ENOENT);
        g_assert_cmpint(call_id(f, f->handles[2], EMU_GRANT_UNMAP, 1), ==, 0);
}

static void test_map_refused(struct fixture *f, gconstpointer data) {
        struct map_request request = { .header.count = 3, .pages = { { .domid = 1 }, { .domid = 9 }, { .domid = 1, .ref = 9999999 } } };
        const struct emu_mapped *reply;

        g_assert_cmpint(call_share(f, f->handles[1], 2, 1, 0), ==, 0);
        request.pages[0].ref = shared(f, 1)->refs[0];
        g_assert_cmpint(call_map(f, f->handles[2], &request), ==, -EINVAL);
        reply = mapped(f, 3);
        g_assert_cmpuint(reply->mapping, ==, 0);
        g_assert_cmpint(reply->pages[0].status, ==, GNTST_okay);
        g_assert_cmpint(reply->pages[1].status, ==, GNTST_bad_domain);
        g_assert_cmpint(reply->pages[2].status, ==, GNTST_bad_gntref);
        g_assert_cmpuint(f->machine.domains[2]->n_maptrack, ==, 0);

        request.header = (struct emu_map) { .count = 1, .flags = 2 };
        g_assert_cmpint(call_map(f, f->handles[2], &request), ==, -EINVAL);
        g_assert_cmpuint(f->reply.n_body, ==, 0);
}

/* Demands that the descriptor of page i is that of memory that holds number i at its beginning. */
static void assert_page(const struct fixture *f, const struct emu_mapped *reply, uint32_t i, uint32_t number) {
        uint32_t found = UINT32_MAX;

        g_assert_cmpint(reply->pages[i].status, ==, GNTST_okay);
        g_assert_cmpuint(reply->pages[i].fd, <, f->reply.n_fds);
        g_assert_cmpint(pread(f->reply.fds[reply->pages[i].fd], &found, sizeof found, reply->pages[i].page * EMU_PAGE_SIZE), ==, sizeof found);
        g_assert_cmpuint(found, ==, number);
}

static void share_numbered(struct fixture *f, uint32_t first, uint32_t count, struct emu_map_page *ret_pages) {
        const struct emu_shared *reply;

        g_assert_cmpint(call_share(f, f->handles[1], 2, count, 0), ==, 0);
        reply = shared(f, count);
        for (uint32_t i = 0; i < count; i++) {
                uint32_t number = first + i;

                g_assert_cmpint(pwrite(f->reply.fds[0], &number, sizeof number, i * EMU_PAGE_SIZE), ==, sizeof number);
                ret_pages[i] = (struct emu_map_page) { .domid = 1, .ref = reply->refs[i] };
        }
}

static void test_many_memfds(struct fixture *f, gconstpointer data) {
        struct map_request request = { .header.count = PAGES };

        for (uint32_t i = 0; i < PAGES; i++)
                share_numbered(f, i, 1, &request.pages[i]);
        for (uint32_t flags = 0; flags <= EMU_GRANT_READONLY; flags++) {
                request.header.flags = flags;
                g_assert_cmpint(call_map(f, f->handles[2], &request), ==, 0);
                g_assert_cmpuint(f->reply.n_fds, ==, PAGES);
                for (uint32_t i = 0; i < PAGES; i++) {
                        g_assert_cmpuint(mapped(f, PAGES)->pages[i].fd, ==, i);
                        assert_page(f, mapped(f, PAGES), i, i);
                }
        }
}

static void test_few_memfds(struct fixture *f, gconstpointer data) {
        struct emu_map_page one[PAGES / 2], two[PAGES / 2];
        struct map_request request = { .header.count = PAGES };

        share_numbered(f, 0, PAGES / 2, one);
        share_numbered(f, 1000, PAGES / 2, two);
        for (uint32_t i = 0; i < PAGES / 2; i++) {
                request.pages[2 * i] = one[PAGES / 2 - 1 - i];
                request.pages[2 * i + 1] = two[i];
        }
        g_assert_cmpint(call_map(f, f->handles[2], &request), ==, 0);
        g_assert_cmpuint(f->reply.n_fds, ==, 2);
        for (uint32_t i = 0; i < PAGES / 2; i++) {
                assert_page(f, mapped(f, PAGES), 2 * i, PAGES / 2 - 1 - i);
                assert_page(f, mapped(f, PAGES), 2 * i + 1, 1000 + i);
        }
}

static void test_notify(struct fixture *f, gconstpointer data) {
        struct emu_notify notify = { .share = 1, .actions = EMU_NOTIFY_SEND_EVENT | EMU_NOTIFY_CLEAR_BYTE, .offset = 9 };
        struct handle *ports, *handle = f->handles[1];
        const struct port *peer;

        g_assert_cmpint(handle_new(f->machine.domains[1], &ports), ==, 0);
        g_assert_cmpint(call_share(f, handle, 2, 1, 0), ==, 0);
        g_assert_cmpint(call_notify(f, handle, notify), ==, -EINVAL); /* no such port */
        g_assert_cmpint(call_remote(f, ports, EMU_EVTCHN_ALLOC_UNBOUND, 2, 0), ==, 0);
        notify.port = bound(f);
        g_assert_cmpint(call_remote(f, f->handles[2], EMU_EVTCHN_BIND_INTERDOMAIN, 1, notify.port), ==, 0);
        peer = slots_get(&f->machine.domains[2]->ports, bound(f));
        take_event(peer);

        g_assert_cmpint(call_notify(f, handle, (struct emu_notify) { .actions = EMU_NOTIFY_CLEAR_BYTE }), ==, -EINVAL);
        g_assert_cmpint(call_notify(f, handle, (struct emu_notify) { .share = 1, .mapping = 1 }), ==, -EINVAL);
        g_assert_cmpint(call_notify(f, handle, (struct emu_notify) { .share = 1, .actions = 4 }), ==, -EINVAL);
        g_assert_cmpint(call_notify(f, handle, (struct emu_notify) { .share = 1, .actions = 1, .offset = EMU_PAGE_SIZE }), ==, -EINVAL);
        g_assert_cmpint(call_notify(f, handle, notify), ==, 0);
        handle_free(ports);
        g_assert_cmpint(call_notify(f, handle, notify), ==, 0); /* again, and nothing else keeps the port open */
        g_assert_cmpint(call_id(f, handle, EMU_GRANT_UNSHARE, 1), ==, 0);
        g_assert_cmpuint(take_event(peer), ==, 1);
        g_assert_cmpuint(f->machine.domains[1]->ports.n_used, ==, 0);
}

/*
 * What only domain 0 may ask
 */

static void test_privileged(struct fixture *f, gconstpointer data) {
        for (uint32_t i = 1; i < MACHINE_DOMAINS; i++) {
                g_assert_cmpint(call_id(f, f->handles[i], EMU_DOMAIN_INFO, 0), ==, -EPERM);
                g_assert_cmpint(call_id(f, f->handles[i], EMU_DOMAIN_INFO, i), ==, -EPERM);
                g_assert_cmpint(call_id(f, f->handles[i], EMU_DOMAIN_INFO, 1000), ==, -EPERM);
                g_assert_cmpint(call_remote(f, f->handles[i], EMU_EVTCHN_STATUS, EMU_DOMID_SELF, 1), ==, -EPERM);
                g_assert_cmpint(call_remote(f, f->handles[i], EMU_EVTCHN_STATUS, 1000, 1), ==, -EPERM);
                g_assert_cmpuint(f->reply.n_body, ==, 0);
        }
}

static void test_domain_info(struct fixture *f, gconstpointer data) {
        const struct emu_domain_info *info;

        f->machine.domains[1]->flags |= EMU_DOMAIN_DYING;
        for (uint32_t i = 0; i < MACHINE_DOMAINS; i++) {
                g_assert_cmpint(call_id(f, f->handles[0], EMU_DOMAIN_INFO, i), ==, 0);
                info = body(f, sizeof *info);
                g_assert_cmpuint(info->domid, ==, i);
                g_assert_cmpuint(info->uuid[0], ==, i);
                g_assert_cmpuint(info->flags, ==, i == 1 ? EMU_DOMAIN_DYING : 0);
                g_assert_cmpuint(info->handles, ==, 1);
        }
        g_assert_cmpint(call_id(f, f->handles[0], EMU_DOMAIN_INFO, MACHINE_DOMAINS), ==, -ESRCH);
        g_assert_cmpint(call_id(f, f->handles[0], EMU_DOMAIN_INFO, UINT32_MAX), ==, -ESRCH);
}

static void test_status(struct fixture *f, gconstpointer data) {
        const struct emu_evtchn_status *status;

        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 1, 1023), ==, 0);
        status = body(f, sizeof *status);
        g_assert_cmpuint(status->state, ==, EMU_EVTCHN_CLOSED);
        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 1, 1024), ==, -EINVAL);
        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 1, UINT32_MAX), ==, -EINVAL);
        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, 3, 1), ==, -ESRCH);

        g_assert_cmpint(call_virq(f, f->handles[0], 3), ==, 0);
        g_assert_cmpint(call_remote(f, f->handles[0], EMU_EVTCHN_STATUS, EMU_DOMID_SELF, 1), ==, 0);
        status = body(f, sizeof *status);
        g_assert_cmpuint(status->state, ==, EMU_EVTCHN_VIRQ);
        g_assert_cmpuint(status->virq, ==, 3);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/hypercall/" path, struct fixture, NULL, set_up, test, tear_down)
        add("a-byte-too-few-or-too-many-is-EMSGSIZE", test_lengths);
        add("a-map-is-as-long-as-its-count-says", test_map_lengths);
        add("what-cannot-fail-may-be-posted", test_posted);
        add("flags-that-are-not-for-it-are-EINVAL", test_flags);
        add("unknown-operations-are-EOPNOTSUPP", test_unknown_operations);
        add("event-channels", test_event_channels);
        add("another-handle's-port-is-ENOTCONN", test_foreign_ports);
        add("a-restricted-handle-binds-to-one-domain", test_restricted);
        add("list-tells-a-handle's-ports-in-pieces", test_list);
        add("share", test_share);
        add("an-id-never-given-is-ENOENT", test_ids_never_given);
        add("a-refused-map-says-why-and-maps-nothing", test_map_refused);
        add("128-pages-of-128-memfds-are-128-descriptors-in-order", test_many_memfds);
        add("each-memfd-comes-once", test_few_memfds);
        add("notify-through-any-port-of-the-domain", test_notify);
        add("a-guest's-privileged-request-is-EPERM", test_privileged);
        add("domain-info", test_domain_info);
        add("port-status", test_status);
        return g_test_run();
}
