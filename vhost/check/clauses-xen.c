/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses about memory that another Xen domain grants: XEN_MMAP. This program is that domain; --xen says which, and where the back-end is. */

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <unistd.h>
#include <xengnttab.h>

#include "clauses.h"

#define N_PAGES 8u                      /* a ring's three, header, status and data; as many as one memory table has regions */
#define PAGE 4096u
#define NO_REF (UINT32_MAX - N_PAGES)   /* beyond any table of grants */

/* Memory of a session's, in pages that are granted to the back-end's domain. */
struct granted {
        xengntshr_handle *handle;
        int fd;                         /* what goes with a region: gntdev, of which a back-end may make use, where there is one */
        uint32_t refs[N_PAGES];
};

static bool make(struct session *s, struct granted *g) {
        g->handle = xengntshr_open(NULL, 0);
        g->fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
        if (g->fd < 0)
                g->fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        s->memory = (struct vhost_driver_memory) { .fd = -1, .size = N_PAGES * PAGE, .refs = g->refs };
        s->memory.base = g->handle ? xengntshr_share_pages(g->handle, s->xen_backend, N_PAGES, g->refs, 1) : NULL;
        if (!s->memory.base || vhost_driver_new(&s->driver, &s->memory, 0, RING_SIZE, false) < 0) {
                session_fail(s, "cannot grant pages to domain %u", s->xen_backend);
                return false;
        }
        s->has_driver = true;
        s->buffer = vhost_driver_memory_take(&s->memory, DATA + PAGE);
        return true;
}

static void done(struct session *s, struct granted *g) {
        if (s->has_driver)
                vhost_driver_done(&s->driver);
        if (s->memory.base)
                xengntshr_unshare(g->handle, s->memory.base, N_PAGES);
        if (g->handle)
                xengntshr_close(g->handle);
        if (g->fd >= 0)
                close(g->fd);
        s->has_driver = false;
        s->memory = (struct vhost_driver_memory) { .fd = -1 };
        session_close(s);
}

static struct vhost_xen_region region(const struct session *s, uint32_t page, uint32_t flags) {
        uint8_t *at = s->memory.base + page * PAGE;

        return (struct vhost_xen_region) {
                .at = { .guest_address = vhost_driver_memory_guest(&s->memory, at), .size = PAGE, .user_address = (uintptr_t) at },
                .flags = VHOST_XEN_GRANT | flags,
                .domid = s->xen_own,
        };
}

/* Each page is a region, as nobody says that references follow each other: those of the ring, and with these flags those of buffers. */
static int lend(const struct session *s, const struct granted *g, uint32_t flags) {
        union vhost_payload payload = { .xen_memory = { .n_regions = N_PAGES } };
        int fds[N_PAGES];

        for (uint32_t i = 0; i < N_PAGES; i++) {
                payload.xen_memory.regions[i] = region(s, i, s->memory.base + i * PAGE < s->buffer ? 0 : flags);
                fds[i] = g->fd;
        }
        return vhost_frontend_tell(&((struct session *) s)->frontend, VHOST_USER_SET_MEM_TABLE, &payload, sizeof payload.xen_memory, fds, N_PAGES);
}

/* Connects, and negotiates XEN_MMAP. */
static bool begin(struct session *s) {
        if (session_connect(s) < 0)
                return false;
        if (!session_has(s, VHOST_PROTOCOL_F_XEN_MMAP)) {
                session_not_offered(s, "XEN_MMAP");
                return false;
        }
        s->more_protocol_features = VHOST_BIT(VHOST_PROTOCOL_F_XEN_MMAP);
        return session_negotiate(s, VHOST_BIT(VHOST_F_EVENT_IDX)) == 0;
}

static bool start(struct session *s, const struct granted *g, uint32_t flags) {
        if (lend(s, g, flags) < 0)
                session_fail(s, "granted pages are refused");
        else if (vhost_driver_start(&s->driver, &s->frontend, 0, s->features & VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) < 0)
                session_fail(s, "a ring in granted pages is refused");
        return s->verdict == VERDICT_PASSED;
}

/* What is written is what is read, again and again: in both directions, data go through pages that are granted. */
static void serve(struct session *s, uint32_t flags) {
        struct granted g = { .fd = -1 };

        if (begin(s) && make(s, &g) && start(s, &g, flags))
                for (int i = 0; i < 50 && s->verdict == VERDICT_PASSED; i++) {
                        memset(s->buffer + DATA, 'a' + i % 26, PAGE);
                        if (block_do(s, VIRTIO_BLK_T_OUT, 8, PAGE, false) != VIRTIO_BLK_S_OK)
                                session_fail(s, "write %d fails", i + 1);
                        memset(s->buffer + DATA, 0, PAGE);
                        if (block_do(s, VIRTIO_BLK_T_IN, 8, PAGE, true) != VIRTIO_BLK_S_OK)
                                session_fail(s, "read %d fails", i + 1);
                        for (uint32_t k = 0; k < PAGE; k++)
                                if (s->buffer[DATA + k] != 'a' + i % 26)
                                        session_fail(s, "byte %u of read %d is another", k, i + 1);
                }
        done(s, &g);
}

static void in_advance(struct session *s) {
        serve(s, 0);
}

static void on_use(struct session *s) {
        serve(s, VHOST_XEN_ON_USE);
}

/* A region that must not be taken, made by what spoils a good one. */
static void refused(struct session *s, void (*spoil)(struct vhost_xen_region *region), uint32_t size, const char *what) {
        struct granted g = { .fd = -1 };
        union vhost_payload payload = { .xen_memory = { .n_regions = 1 } };

        if (begin(s) && make(s, &g)) {
                payload.xen_memory.regions[0] = region(s, 0, 0);
                if (spoil)
                        spoil(&payload.xen_memory.regions[0]);
                if (!session_is_refused(s, VHOST_USER_SET_MEM_TABLE, &payload, 8 + size, &g.fd, 1))
                        session_fail(s, "%s is taken", what);
        }
        done(s, &g);
        s->more_protocol_features = 0;
        if (s->verdict == VERDICT_PASSED)
                session_is_alive(s);
}

static void not_granted(struct vhost_xen_region *region) {
        region->at.guest_address = VHOST_XEN_GRANT_ADDRESS | (uint64_t) NO_REF * PAGE;
}

static void of_another(struct vhost_xen_region *region) {
        region->domid++;
}

static void of_both_kinds(struct vhost_xen_region *region) {
        region->flags |= VHOST_XEN_FOREIGN;
}

static void pages_not_granted(struct session *s) {
        refused(s, not_granted, sizeof(struct vhost_xen_region), "a page that was not granted");
}

static void another_domain(struct session *s) {
        refused(s, of_another, sizeof(struct vhost_xen_region), "another domain's page");
}

static void both_kinds(struct session *s) {
        refused(s, of_both_kinds, sizeof(struct vhost_xen_region), "a region that is both foreign and granted");
}

static void short_region(struct session *s) {
        refused(s, NULL, sizeof(struct vhost_region), "a region without the two fields");
}

/* A region on use may say more than was granted: it is the guest who has to have granted what it uses. */
static void buffer_not_granted(struct session *s) {
        struct granted g = { .fd = -1 };

        if (begin(s) && make(s, &g) && start(s, &g, VHOST_XEN_ON_USE)) {
                uint32_t data = DATA / PAGE + (uint32_t) ((s->buffer - s->memory.base) / PAGE), head, length;
                struct vhost_xen_region wrong = region(s, data, VHOST_XEN_ON_USE);
                union vhost_payload payload = {};

                not_granted(&wrong);
                payload.xen_slot.region = wrong;
                if (!session_has(s, VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
                        session_not_offered(s, "CONFIGURE_MEM_SLOTS");
                else if (vhost_frontend_tell(&s->frontend, VHOST_USER_ADD_MEM_REG, &payload, sizeof payload.xen_slot, &g.fd, 1) < 0)
                        session_fail(s, "a region that may only be mapped on use is refused before it is used");
                block_describe(s, VIRTIO_BLK_T_IN, 0, 512, true);
                s->driver.descriptors[1].address = wrong.at.guest_address;
                block_send(s);
                if (vhost_driver_wait(&s->driver, s->quiet_ms, &head, &length) == 0 && s->buffer[4096] == VIRTIO_BLK_S_OK)
                        session_fail(s, "it succeeds");
        }
        done(s, &g);
        s->more_protocol_features = 0;
        if (s->verdict == VERDICT_PASSED)
                session_is_alive(s);
}

const struct clause clauses_xen[] = {
        { "X-1", "MUST", "pages that are granted are memory, of rings and of buffers", in_advance, true },
        { "X-2", "MUST", "of a region that may only be mapped on use, buffers are served", on_use, true },
        { "X-3", "MUST", "a page that was not granted is refused, and does no harm", pages_not_granted, false },
        { "X-4", "MUST", "a page of another domain is refused, and does no harm", another_domain, false },
        { "X-5", "MUST", "a region that is both foreign and granted is refused", both_kinds, false },
        { "X-6", "MUST", "a region without the two fields is refused", short_region, false },
        { "X-7", "MUST", "a buffer on use that was not granted does not succeed, and does no harm", buffer_not_granted, false },
        {},
};
