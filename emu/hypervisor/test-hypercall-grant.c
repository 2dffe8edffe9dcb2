/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hypercalls about grants: what shares, maps and notifications answer, and in which order descriptors come. */

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "test-callers.h"

#define PAGES EMU_MAP_PAGES_MAX

static void test_share(struct callers *f, gconstpointer data) {
        struct handle *handle = f->handles[1];
        const struct emu_shared *reply;
        struct stat st;

        g_assert_cmpint(call_share(f, handle, 2, 1, 2), ==, -EINVAL);
        g_assert_cmpint(call_share(f, handle, 2, 0, 0), ==, -EINVAL);
        g_assert_cmpint(call_share(f, handle, 2, EMU_SHARE_PAGES_MAX + 1, 0), ==, -EINVAL);
        g_assert_cmpint(call_share(f, handle, EMU_DOMID_SELF + 1, 1, 0), ==, -EINVAL);
        g_assert_cmpuint(f->reply.n_body, ==, 0);

        g_assert_cmpint(call_share(f, handle, 2, EMU_SHARE_PAGES_MAX, 0), ==, 0);
        reply = reply_shared(f, EMU_SHARE_PAGES_MAX);
        g_assert_cmpuint(reply->share, ==, 1);
        for (uint32_t i = 0; i < EMU_SHARE_PAGES_MAX; i++)
                g_assert_cmpuint(reply->refs[i], ==, EMU_REF_FIRST_FREE + i);
        g_assert_cmpint(fstat(f->reply.fds[0], &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, EMU_SHARE_PAGES_MAX * EMU_PAGE_SIZE);

        g_assert_cmpint(call_share(f, handle, 2, 1, 0), ==, -ENOSPC);
        g_assert_cmpint(call_id(f, handle, EMU_GRANT_UNSHARE, 1), ==, 0);
        g_assert_cmpint(call_id(f, handle, EMU_GRANT_UNSHARE, 1), ==, -ENOENT);
        g_assert_cmpint(call_share(f, handle, 2, 1, EMU_GRANT_READONLY), ==, 0);
        g_assert_cmpuint(reply_shared(f, 1)->share, ==, 1);
        g_assert_cmpint(call_id(f, handle, EMU_GRANT_SHARE_MAPPED, 1), ==, 0);
        g_assert_cmpint(call_id(f, handle, EMU_GRANT_SHARE_MAPPED, 1), ==, -EINVAL);
}

static void test_ids_never_given(struct callers *f, gconstpointer data) {
        static const uint32_t never[] = { 0, 2, UINT32_MAX / 2, UINT32_MAX };
        struct map_request request = { .header.count = 1, .pages = { { .domid = 1 } } };

        g_assert_cmpint(call_share(f, f->handles[1], 2, 1, 0), ==, 0);
        request.pages[0].ref = reply_shared(f, 1)->refs[0];
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

static void test_map_refused(struct callers *f, gconstpointer data) {
        struct map_request request = { .header.count = 3, .pages = { { .domid = 1 }, { .domid = 9 }, { .domid = 1, .ref = 9999999 } } };
        const struct emu_mapped *reply;

        g_assert_cmpint(call_share(f, f->handles[1], 2, 1, 0), ==, 0);
        request.pages[0].ref = reply_shared(f, 1)->refs[0];
        g_assert_cmpint(call_map(f, f->handles[2], &request), ==, -EINVAL);
        reply = reply_mapped(f, 3);
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
static void assert_page(const struct callers *f, const struct emu_mapped *reply, uint32_t i, uint32_t number) {
        uint32_t found = UINT32_MAX;

        g_assert_cmpint(reply->pages[i].status, ==, GNTST_okay);
        g_assert_cmpuint(reply->pages[i].fd, <, f->reply.n_fds);
        g_assert_cmpint(pread(f->reply.fds[reply->pages[i].fd], &found, sizeof found, reply->pages[i].page * EMU_PAGE_SIZE), ==, sizeof found);
        g_assert_cmpuint(found, ==, number);
}

static void share_numbered(struct callers *f, uint32_t first, uint32_t count, struct emu_map_page *ret_pages) {
        const struct emu_shared *reply;

        g_assert_cmpint(call_share(f, f->handles[1], 2, count, 0), ==, 0);
        reply = reply_shared(f, count);
        for (uint32_t i = 0; i < count; i++) {
                uint32_t number = first + i;

                g_assert_cmpint(pwrite(f->reply.fds[0], &number, sizeof number, i * EMU_PAGE_SIZE), ==, sizeof number);
                ret_pages[i] = (struct emu_map_page) { .domid = 1, .ref = reply->refs[i] };
        }
}

static void test_many_memfds(struct callers *f, gconstpointer data) {
        struct map_request request = { .header.count = PAGES };

        for (uint32_t i = 0; i < PAGES; i++)
                share_numbered(f, i, 1, &request.pages[i]);
        for (uint32_t flags = 0; flags <= EMU_GRANT_READONLY; flags++) {
                request.header.flags = flags;
                g_assert_cmpint(call_map(f, f->handles[2], &request), ==, 0);
                g_assert_cmpuint(f->reply.n_fds, ==, PAGES);
                for (uint32_t i = 0; i < PAGES; i++) {
                        g_assert_cmpuint(reply_mapped(f, PAGES)->pages[i].fd, ==, i);
                        assert_page(f, reply_mapped(f, PAGES), i, i);
                }
        }
}

static void test_few_memfds(struct callers *f, gconstpointer data) {
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
                assert_page(f, reply_mapped(f, PAGES), 2 * i, PAGES / 2 - 1 - i);
                assert_page(f, reply_mapped(f, PAGES), 2 * i + 1, 1000 + i);
        }
}

static void test_notify(struct callers *f, gconstpointer data) {
        struct emu_notify notify = { .share = 1, .actions = EMU_NOTIFY_SEND_EVENT | EMU_NOTIFY_CLEAR_BYTE, .offset = 9 };
        struct handle *ports, *handle = f->handles[1];
        const struct port *peer;

        g_assert_cmpint(handle_new(f->machine.domains[1], &ports), ==, 0);
        g_assert_cmpint(call_share(f, handle, 2, 1, 0), ==, 0);
        g_assert_cmpint(call_notify(f, handle, notify), ==, -EINVAL); /* no such port */
        g_assert_cmpint(call_remote(f, ports, EMU_EVTCHN_ALLOC_UNBOUND, 2, 0), ==, 0);
        notify.port = reply_port(f);
        g_assert_cmpint(call_remote(f, f->handles[2], EMU_EVTCHN_BIND_INTERDOMAIN, 1, notify.port), ==, 0);
        peer = slots_get(&f->machine.domains[2]->ports, reply_port(f));
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

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/hypercall-grant/" path, struct callers, NULL, callers_set_up, test, callers_tear_down)
        add("share", test_share);
        add("an-id-never-given-is-ENOENT", test_ids_never_given);
        add("a-refused-map-says-why-and-maps-nothing", test_map_refused);
        add("128-pages-of-128-memfds-are-128-descriptors-in-order", test_many_memfds);
        add("each-memfd-comes-once", test_few_memfds);
        add("notify-through-any-port-of-the-domain", test_notify);
        return g_test_run();
}
