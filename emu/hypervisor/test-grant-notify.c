/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Notifications of a grant: the byte that is cleared and the event that is sent when it ends. */

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "test-shares.h"

static void set_up(struct machine *m, gconstpointer limits) {
        machine_init(m, limits);
}

static void tear_down(struct machine *m, gconstpointer limits) {
        machine_done(m);
}

struct channel_ends {
        struct port *own, *peer;
};

static struct channel_ends join(struct machine *m, uint32_t domid) {
        struct channel_ends ends;

        g_assert_cmpint(event_alloc_unbound(m->domains[domid], 0, &ends.own), ==, 0);
        g_assert_cmpint(event_bind_interdomain(m->domains[0], domid, ends.own->number, &ends.peer), ==, 0);
        take_event(ends.peer);
        return ends;
}

static void leave(struct channel_ends ends) {
        port_unref(ends.own);
        port_unref(ends.peer);
}

static void fill(int fd, uint32_t n_pages) {
        g_autofree char *bytes = g_malloc(n_pages * EMU_PAGE_SIZE);

        memset(bytes, 'x', n_pages * EMU_PAGE_SIZE);
        g_assert_cmpint(pwrite(fd, bytes, n_pages * EMU_PAGE_SIZE, 0), ==, n_pages * EMU_PAGE_SIZE);
}

/* Demands that of the bytes that fill() wrote exactly the one at offset is 0, or none for UINT32_MAX. */
static void assert_cleared(int fd, uint32_t n_pages, uint32_t offset) {
        g_autofree char *bytes = g_malloc(n_pages * EMU_PAGE_SIZE);

        g_assert_cmpint(pread(fd, bytes, n_pages * EMU_PAGE_SIZE, 0), ==, n_pages * EMU_PAGE_SIZE);
        for (uint32_t i = 0; i < n_pages * EMU_PAGE_SIZE; i++)
                g_assert_cmpint(bytes[i], ==, i == offset ? 0 : 'x');
}

static void test_clear_at_unshare(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 3, false);
        int fd = dup(share->memfd);

        fill(fd, 3);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_CLEAR_BYTE, EMU_PAGE_SIZE + 9, NULL), ==, 0);
        assert_cleared(fd, 3, UINT32_MAX);
        share_end(share);
        assert_cleared(fd, 3, EMU_PAGE_SIZE + 9);
        close(fd);
}

/* After the seal nobody can write by descriptor, and the byte is cleared all the same. */
static void test_clear_in_readonly(struct machine *m, gconstpointer limits) {
        for (unsigned int sealed = 0; sealed < 2; sealed++) {
                struct share *share = share_pages(m, 2, true);
                int fd = dup(share->memfd);

                fill(fd, 2);
                if (sealed)
                        g_assert_cmpint(share_seal(share), ==, 0);
                g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_CLEAR_BYTE, 2 * EMU_PAGE_SIZE - 1, NULL), ==, 0);
                share_end(share);
                assert_cleared(fd, 2, 2 * EMU_PAGE_SIZE - 1);
                close(fd);
        }
}

/* A mapping's pages in another order than the share's, and of another share too. */
static void test_clear_at_unmap(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 3, false), *other = share_pages(m, 1, false);
        struct emu_map_page pages[] = { page_of(other, 0), page_of(share, 2), page_of(share, 0) };
        int16_t statuses[G_N_ELEMENTS(pages)];
        struct mapping *mapping;

        fill(share->memfd, 3);
        fill(other->memfd, 1);
        for (uint32_t page = 0; page < 2; page++) {
                g_assert_cmpint(mapping_new(m->domains[GRANTEE], pages, G_N_ELEMENTS(pages), false, statuses, &mapping), ==, 0);
                g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_CLEAR_BYTE, page * EMU_PAGE_SIZE + 1, NULL), ==, 0);
                assert_cleared(share->memfd, 3, UINT32_MAX);
                mapping_end(mapping);
                assert_cleared(other->memfd, 1, 1);
                assert_cleared(share->memfd, 3, page == 0 ? UINT32_MAX : 2 * EMU_PAGE_SIZE + 1);
        }
        share_end(share);
        share_end(other);
}

/* The share has ended, the mapping is the last that holds its page. */
static void test_clear_after_the_share(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct mapping *mapping = map(m, page_of(share, 0), false);
        int fd = dup(share->memfd);

        fill(fd, 1);
        g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_CLEAR_BYTE, 0, NULL), ==, 0);
        share_end(share);
        assert_cleared(fd, 1, UINT32_MAX);
        mapping_end(mapping);
        assert_cleared(fd, 1, 0);
        close(fd);
}

static void test_notify_arguments(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, false);
        struct mapping *mapping = map(m, page_of(share, 0), false), *readonly = map(m, page_of(share, 0), true);
        struct channel_ends ends = join(m, GRANTEE);

        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_CLEAR_BYTE, 2 * EMU_PAGE_SIZE, NULL), ==, -EINVAL);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_CLEAR_BYTE, UINT32_MAX, NULL), ==, -EINVAL);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, NULL), ==, -EINVAL);
        g_assert_cmpint(share_set_notify(share, 4, 0, NULL), ==, -EINVAL);
        g_assert_cmpint(share_set_notify(share, UINT32_MAX, 0, ends.own), ==, -EINVAL);
        g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_CLEAR_BYTE, EMU_PAGE_SIZE, NULL), ==, -EINVAL);
        g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_CLEAR_BYTE, EMU_PAGE_SIZE - 1, NULL), ==, 0);
        g_assert_cmpint(mapping_set_notify(readonly, EMU_NOTIFY_CLEAR_BYTE, 0, NULL), ==, -EINVAL);
        g_assert_cmpint(mapping_set_notify(readonly, EMU_NOTIFY_SEND_EVENT, UINT32_MAX, ends.own), ==, 0);
        mapping_end(mapping);
        mapping_end(readonly);
        g_assert_cmpuint(take_event(ends.peer), ==, 1);
        share_end(share);
        leave(ends);
}

static void test_event(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct mapping *mapping = map(m, page_of(share, 0), false);
        struct channel_ends granter = join(m, GRANTER), grantee = join(m, GRANTEE);

        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, granter.own), ==, 0);
        g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_SEND_EVENT | EMU_NOTIFY_CLEAR_BYTE, 0, grantee.own), ==, 0);
        g_assert_cmpuint(take_event(granter.peer), ==, 0);
        share_end(share);
        g_assert_cmpuint(take_event(granter.peer), ==, 1);
        g_assert_cmpuint(take_event(grantee.peer), ==, 0);
        mapping_end(mapping);
        g_assert_cmpuint(take_event(granter.peer), ==, 0);
        g_assert_cmpuint(take_event(grantee.peer), ==, 1);
        leave(granter);
        leave(grantee);
}

static void test_replaced(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct channel_ends first = join(m, GRANTER), second = join(m, GRANTER);

        fill(share->memfd, 1);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT | EMU_NOTIFY_CLEAR_BYTE, 1, first.own), ==, 0);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 2, second.own), ==, 0);
        g_assert_cmpuint(first.own->n_refs, ==, 1);
        g_assert_cmpint(share_set_notify(share, 8, 0, NULL), ==, -EINVAL); /* changes nothing */
        assert_cleared(share->memfd, 1, UINT32_MAX);
        share_end(share);
        g_assert_cmpuint(take_event(first.peer), ==, 0);
        g_assert_cmpuint(take_event(second.peer), ==, 1);
        g_assert_cmpuint(second.own->n_refs, ==, 1);

        share = share_pages(m, 1, false);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, first.own), ==, 0);
        g_assert_cmpint(share_set_notify(share, 0, 0, first.own), ==, 0);
        g_assert_cmpuint(first.own->n_refs, ==, 1);
        share_end(share);
        g_assert_cmpuint(take_event(first.peer), ==, 0);
        leave(first);
        leave(second);
}

static void test_replaced_by_the_same_port(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct channel_ends ends = join(m, GRANTER);

        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, ends.own), ==, 0);
        port_unref(ends.own); /* the notification alone keeps it open */
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, ends.own), ==, 0);
        g_assert_cmpuint(ends.own->n_refs, ==, 1);
        share_end(share);
        g_assert_cmpuint(m->domains[GRANTER]->ports.n_used, ==, 0);
        g_assert_cmpuint(take_event(ends.peer), ==, 1);
        port_unref(ends.peer);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, limits, test) g_test_add("/grant-notify/" path, struct machine, limits, set_up, test, tear_down)
        add("unshare-clears-the-byte", NULL, test_clear_at_unshare);
        add("unshare-clears-the-byte-of-a-read-only-share", NULL, test_clear_in_readonly);
        add("unmap-clears-the-byte-of-the-right-page", NULL, test_clear_at_unmap);
        add("unmap-clears-the-byte-after-the-share-has-ended", NULL, test_clear_after_the_share);
        add("a-notification-has-bounds", NULL, test_notify_arguments);
        add("each-end-sends-its-event-once", NULL, test_event);
        add("a-replaced-notification-gives-its-port-back", NULL, test_replaced);
        add("a-notification-may-be-replaced-by-itself", NULL, test_replaced_by_the_same_port);
        return g_test_run();
}
