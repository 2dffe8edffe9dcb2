/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domains that make hypercalls, for tests; see test-callers.h. */

#include "test-callers.h"

#include <errno.h>
#include <string.h>

void callers_set_up(struct callers *f, gconstpointer data) {
        machine_init(&f->machine, NULL);
        for (uint32_t i = 0; i < MACHINE_DOMAINS; i++)
                g_assert_cmpint(handle_new(f->machine.domains[i], &f->handles[i]), ==, 0);
}

void callers_tear_down(struct callers *f, gconstpointer data) {
        for (uint32_t i = 0; i < MACHINE_DOMAINS; i++)
                handle_free(f->handles[i]);
        machine_done(&f->machine);
}

/* Says n bytes of packet, in memory that ends where they end. */
int call_packet(struct callers *f, struct handle *handle, const void *packet, size_t n) {
        g_autofree void *copy = g_memdup2(packet, n);
        int r = hypercall(handle, copy, n, &f->reply);

        if (r < 0) {
                g_assert_cmpuint(f->reply.n_fds, ==, 0);
                g_assert_true(f->reply.n_body == 0 || r == -EINVAL);
        }
        g_assert_cmpint(r, <=, 0);
        return r;
}

int call(struct callers *f, struct handle *handle, uint32_t op, const void *argument, size_t n_argument) {
        struct {
                struct emu_request request;
                uint8_t argument[EMU_REQUEST_MAX - sizeof(struct emu_request)];
        } packet = { .request.op = op };

        g_assert_cmpuint(n_argument, <=, sizeof packet.argument);
        if (n_argument > 0)
                memcpy(packet.argument, argument, n_argument);
        return call_packet(f, handle, &packet, sizeof packet.request + n_argument);
}

int call_id(struct callers *f, struct handle *handle, uint32_t op, uint32_t id) {
        const struct emu_id argument = { .id = id };

        return call(f, handle, op, &argument, sizeof argument);
}

int call_remote(struct callers *f, struct handle *handle, uint32_t op, uint32_t domid, uint32_t port) {
        const struct emu_evtchn_remote argument = { .domid = domid, .port = port };

        return call(f, handle, op, &argument, sizeof argument);
}

int call_virq(struct callers *f, struct handle *handle, uint32_t virq) {
        const struct emu_evtchn_virq argument = { .virq = virq };

        return call(f, handle, EMU_EVTCHN_BIND_VIRQ, &argument, sizeof argument);
}

int call_share(struct callers *f, struct handle *handle, uint32_t domid, uint32_t count, uint32_t flags) {
        const struct emu_share argument = { .domid = domid, .count = count, .flags = flags };

        return call(f, handle, EMU_GRANT_SHARE, &argument, sizeof argument);
}

int call_notify(struct callers *f, struct handle *handle, struct emu_notify argument) {
        return call(f, handle, EMU_GRANT_NOTIFY, &argument, sizeof argument);
}

int call_map(struct callers *f, struct handle *handle, const struct map_request *request) {
        return call(f, handle, EMU_GRANT_MAP, request, sizeof request->header + request->header.count * sizeof request->pages[0]);
}

/* What the last reply says. */
const void *reply_body(const struct callers *f, size_t n) {
        g_assert_cmpuint(f->reply.n_body, ==, n);
        return f->reply.body;
}

uint32_t reply_port(const struct callers *f) {
        const struct emu_port *port = reply_body(f, sizeof *port);

        g_assert_cmpuint(f->reply.n_fds, ==, EMU_PORT_FDS);
        return port->port;
}

const struct emu_shared *reply_shared(const struct callers *f, uint32_t count) {
        const struct emu_shared *reply = reply_body(f, sizeof *reply + count * sizeof reply->refs[0]);

        g_assert_cmpuint(reply->n_refs, ==, count);
        g_assert_cmpuint(f->reply.n_fds, ==, 1);
        return reply;
}

const struct emu_mapped *reply_mapped(const struct callers *f, uint32_t count) {
        const struct emu_mapped *reply = reply_body(f, sizeof *reply + count * sizeof reply->pages[0]);

        g_assert_cmpuint(reply->n_pages, ==, count);
        return reply;
}
