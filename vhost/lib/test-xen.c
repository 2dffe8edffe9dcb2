/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Granted pages: which are mapped for an address, regions that cannot be, and loans of requests in both kinds of rings. A file stands in for Xen. */

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver.h"
#include "memory.h"
#include "ring.h"

#define PAGE VHOST_XEN_PAGE
#define DOMID 7u
#define FIRST_REF 100u
#define N_PAGES 64u

/* The other domain's pages: reference FIRST_REF + n is page n of a file. */
static struct {
        int fd;
        uint8_t *all;
        unsigned n_mapped;              /* pages, now */
        uint32_t first_ref, n;          /* of the last mapping */
        bool to_write;
} granted = { .fd = -1 };

static int map(void *userdata, uint32_t first_ref, uint32_t n_pages, bool to_write, void **ret_pages) {
        void *p;

        g_assert_true(userdata == &granted);
        if (first_ref < FIRST_REF || first_ref - FIRST_REF + n_pages > N_PAGES)
                return -EINVAL;
        p = mmap(NULL, n_pages * PAGE, PROT_READ | (to_write ? PROT_WRITE : 0), MAP_SHARED, granted.fd, (off_t) (first_ref - FIRST_REF) * PAGE);
        g_assert_true(p != MAP_FAILED);
        granted.n_mapped += n_pages;
        granted.first_ref = first_ref;
        granted.n = n_pages;
        granted.to_write = to_write;
        *ret_pages = p;
        return 0;
}

static void unmap(void *userdata, void *pages, uint32_t n_pages) {
        g_assert_cmpuint(granted.n_mapped, >=, n_pages);
        granted.n_mapped -= n_pages;
        g_assert_cmpint(munmap(pages, n_pages * PAGE), ==, 0);
}

static const struct vhost_xen xen = { .domid = DOMID, .userdata = &granted, .map = map, .unmap = unmap };

static uint64_t address(uint32_t page) {
        return VHOST_XEN_GRANT_ADDRESS | (uint64_t) (FIRST_REF + page) * PAGE;
}

static struct vhost_xen_region region(uint32_t page, uint32_t n_pages, uint32_t flags) {
        return (struct vhost_xen_region) {
                .at = { .guest_address = address(page), .size = (uint64_t) n_pages * PAGE, .user_address = 0x10000000 + page * PAGE },
                .flags = VHOST_XEN_GRANT | flags,
                .domid = DOMID,
        };
}

static void test_in_advance(void) {
        struct vhost_memory memory = { .xen = &xen };
        struct vhost_xen_region odd = region(2, 2, 0);
        uint8_t *p;

        odd.at.guest_address += 16;     /* of a ring, say: bytes of three pages */
        g_assert_cmpint(vhost_memory_add_xen(&memory, &odd, -1), ==, 0);
        g_assert_cmpuint(granted.first_ref, ==, FIRST_REF + 2);
        g_assert_cmpuint(granted.n, ==, 3);
        g_assert_true(granted.to_write);
        p = vhost_memory_user(&memory, odd.at.user_address, 2 * PAGE);
        g_assert_nonnull(p);
        g_assert_true(vhost_memory_guest(&memory, address(2) + 16, 2 * PAGE) == p);
        g_assert_null(vhost_memory_guest(&memory, address(2) + 15, 1));
        g_assert_null(vhost_memory_guest(&memory, address(2) + 16, 2 * PAGE + 1));
        granted.all[2 * PAGE + 16] = 42;
        g_assert_cmpuint(p[0], ==, 42);
        g_assert_cmpint(vhost_memory_remove(&memory, &odd.at), ==, 0);
        g_assert_cmpuint(granted.n_mapped, ==, 0);
}

static void test_refused(void) {
        struct vhost_memory memory = { .xen = &xen }, without = {};
        struct vhost_xen_region r = region(0, 1, 0);

        r.domid = DOMID + 1;
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EPERM);
        r = region(0, 1, 0);
        g_assert_cmpint(vhost_memory_add_xen(&without, &r, -1), ==, -EPERM);
        r.flags = VHOST_XEN_FOREIGN;
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EOPNOTSUPP);
        r.flags = VHOST_XEN_FOREIGN | VHOST_XEN_GRANT;
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EOPNOTSUPP);
        r.flags = VHOST_XEN_ON_USE;
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EOPNOTSUPP);
        r.flags = VHOST_XEN_GRANT | 0x10;
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EOPNOTSUPP);
        r = region(0, 1, 0);
        r.at.mmap_offset = PAGE;
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EINVAL);
        r = region(0, 0, 0);
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EINVAL);
        r = region(0, VHOST_XEN_PAGES_MAX + 1, 0);
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EINVAL);
        r = region(0, 2, 0);            /* its last page has no reference of 32 bits */
        r.at.guest_address = VHOST_XEN_GRANT_ADDRESS | (uint64_t) UINT32_MAX * PAGE;
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EINVAL);
        r = region(N_PAGES, 1, 0);      /* was not granted */
        g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, -EINVAL);
        g_assert_cmpuint(memory.n, ==, 0);
        g_assert_cmpuint(granted.n_mapped, ==, 0);
}

/* What is mapped on use is at no user address, so that all may say the same one, and can be much larger than what can be mapped. */
static void test_on_use(void) {
        static const uint32_t kinds[] = { VHOST_XEN_ON_USE, VHOST_XEN_ON_USE_OLD };

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                struct vhost_memory memory = { .xen = &xen };
                struct vhost_xen_region r = region(0, 10 * VHOST_XEN_PAGES_MAX, kinds[i]), other = r;
                struct vhost_loans *loans = NULL;
                struct iovec iov[2];
                size_t n = 0;

                other.at.guest_address = 0;
                other.at.size = PAGE;
                g_assert_cmpint(vhost_memory_add_xen(&memory, &r, -1), ==, 0);
                g_assert_cmpint(vhost_memory_add_xen(&memory, &other, -1), ==, 0);
                g_assert_cmpuint(granted.n_mapped, ==, 0);
                g_assert_null(vhost_memory_guest(&memory, address(0), 1));
                g_assert_null(vhost_memory_user(&memory, r.at.user_address, 1));
                g_assert_cmpuint(vhost_memory_guest_address(&memory, granted.all), ==, UINT64_MAX);

                granted.all[3 * PAGE + PAGE - 1] = 11;
                granted.all[4 * PAGE] = 12;
                g_assert_cmpint(vhost_memory_pieces(&memory, &loans, address(4) - 1, 2, false, iov, &n, 2), ==, 0);
                g_assert_cmpuint(n, ==, 1);
                g_assert_cmpmem(iov[0].iov_base, iov[0].iov_len, "\x0b\x0c", 2);
                g_assert_cmpuint(granted.n_mapped, ==, 2);
                g_assert_false(granted.to_write);
                g_assert_cmpint(vhost_memory_pieces(&memory, &loans, address(5), PAGE, true, iov, &n, 2), ==, 0);
                g_assert_true(granted.to_write);
                g_assert_cmpuint(granted.n_mapped, ==, 3);
                /* Not granted, more than can be mapped, and more than the region has: what was lent before stays. */
                g_assert_null(vhost_memory_borrow(&memory, &loans, address(N_PAGES), 1, false));
                g_assert_null(vhost_memory_borrow(&memory, &loans, address(0), (VHOST_XEN_PAGES_MAX + 1) * PAGE, false));
                g_assert_null(vhost_memory_borrow(&memory, &loans, address(10 * VHOST_XEN_PAGES_MAX - 1), PAGE + 1, false));
                g_assert_cmpuint(granted.n_mapped, ==, 3);
                loans = vhost_loans_return(loans, &xen);
                g_assert_cmpuint(granted.n_mapped, ==, 0);
                vhost_memory_clear(&memory);
        }
}

/* One over two pages, one of its own, and one behind an indirect table. */
static void put_requests(struct vhost_driver *driver, struct vhost_driver_memory *pages, uint8_t *buffer) {
        memcpy(buffer + PAGE - 2, "over", 4);                   /* over two pages */
        vhost_driver_describe(driver, 0, buffer + PAGE - 2, 4, false, false);
        vhost_driver_describe(driver, 1, buffer + 2 * PAGE, 8, true, true);
        vhost_driver_put(driver, 0);
        vhost_driver_describe(driver, 2, buffer, 1, true, true);
        vhost_driver_put(driver, 2);
        /* A split ring has its flags where a packed one has an id: this is right for either. */
        *(struct vhost_packed_descriptor *) (void *) (buffer + 3 * PAGE) = (struct vhost_packed_descriptor) {
                .address = vhost_driver_memory_guest(pages, buffer), .length = 2, .id = VHOST_DESCRIPTOR_WRITE, .flags = VHOST_DESCRIPTOR_WRITE
        };
        vhost_driver_describe(driver, 3, buffer + 3 * PAGE, sizeof(struct vhost_descriptor), false, true);
        driver->descriptors[3].flags |= VHOST_DESCRIPTOR_INDIRECT;
        vhost_driver_put(driver, 3);
        vhost_driver_publish(driver);
}

/* A request that cannot be is lent nothing, and one that is never answered does not keep it. */
static void refuse(struct vhost_ring *ring, struct vhost_driver *driver, uint8_t *buffer) {
        uint32_t n_mapped = granted.n_mapped;
        struct vhost_chain chain;
        struct iovec iov[4];

        vhost_driver_describe(driver, 0, buffer, 1, false, false);
        vhost_driver_describe(driver, 1, granted.all + N_PAGES * PAGE - 1, 1, true, true);
        driver->descriptors[1].length = 2;
        vhost_driver_put(driver, 0);
        vhost_driver_publish(driver);
        g_assert_cmpint(vhost_ring_take(ring, iov, 4, &chain), ==, -EPROTO);
        g_assert_cmpuint(granted.n_mapped, ==, n_mapped);
}

/* Of two rings in memory that is mapped in advance, with buffers and an indirect table that are not. */
static void serve(bool is_packed) {
        uint32_t refs[N_PAGES];
        struct vhost_driver_memory pages = { .fd = -1, .base = granted.all, .size = N_PAGES * PAGE, .refs = refs };
        struct vhost_memory memory = { .xen = &xen };
        struct vhost_xen_region rings, buffers;
        struct vhost_ring ring;
        struct vhost_driver driver;
        struct vhost_chain first, second, third;
        struct iovec iov[3][4];
        uint8_t *buffer;
        uint32_t n_rings, head, length;

        for (uint32_t i = 0; i < N_PAGES; i++)
                refs[i] = FIRST_REF + i;
        g_assert_cmpint((is_packed ? vhost_driver_new_packed : vhost_driver_new)(&driver, &pages, 0, 8, false), ==, 0);
        n_rings = (uint32_t) (pages.used / PAGE);
        buffer = vhost_driver_memory_take(&pages, 4 * PAGE);
        rings = region(0, n_rings, 0);
        rings.at.user_address = (uintptr_t) granted.all;
        buffers = region(n_rings, N_PAGES - n_rings, VHOST_XEN_ON_USE);
        g_assert_cmpint(vhost_memory_add_xen(&memory, &rings, -1), ==, 0);
        g_assert_cmpint(vhost_memory_add_xen(&memory, &buffers, -1), ==, 0);
        g_assert_cmpint(vhost_ring_init(&ring, &(struct vhost_ring_setup) { .memory = &memory, .address = vhost_driver_address(&driver), .size = 8,
                                                .features = VHOST_BIT(VHOST_F_INDIRECT) | (is_packed ? VHOST_BIT(VHOST_F_PACKED) : 0),
                                                .base = vhost_driver_base(&driver) }), ==, 0);

        put_requests(&driver, &pages, buffer);
        g_assert_cmpint(vhost_ring_take(&ring, iov[0], 4, &first), ==, 1);
        g_assert_cmpint(vhost_ring_take(&ring, iov[1], 4, &second), ==, 1);
        g_assert_cmpint(vhost_ring_take(&ring, iov[2], 4, &third), ==, 1);
        g_assert_cmpuint(granted.n_mapped, ==, n_rings + 2 + 1 + 1 + 2);
        g_assert_cmpmem(first.iov[0].iov_base, first.iov[0].iov_len, "over", 4);
        memcpy(first.iov[1].iov_base, "answered", 8);
        g_assert_cmpuint(third.n_in_bytes, ==, 2);
        vhost_ring_put(&ring, &second, 1);                      /* the one in the middle of the list */
        vhost_ring_put(&ring, &first, 8);
        vhost_ring_publish(&ring);
        g_assert_cmpuint(granted.n_mapped, ==, n_rings + 2);
        g_assert_true(vhost_driver_take(&driver, &head, &length) && vhost_driver_take(&driver, &head, &length));
        g_assert_cmpmem(buffer + 2 * PAGE, 8, "answered", 8);

        refuse(&ring, &driver, buffer);
        vhost_ring_done(&ring);
        g_assert_cmpuint(granted.n_mapped, ==, n_rings);
        vhost_memory_clear(&memory);
        g_assert_cmpuint(granted.n_mapped, ==, 0);
        vhost_driver_done(&driver);
}

static void test_split_ring(void) {
        serve(false);
}

static void test_packed_ring(void) {
        serve(true);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        granted.fd = memfd_create("granted", MFD_CLOEXEC);
        g_assert_cmpint(ftruncate(granted.fd, N_PAGES * PAGE), ==, 0);
        granted.all = mmap(NULL, N_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, granted.fd, 0);
        g_test_add_func("/xen/region-in-advance", test_in_advance);
        g_test_add_func("/xen/regions-that-cannot-be", test_refused);
        g_test_add_func("/xen/region-on-use", test_on_use);
        g_test_add_func("/xen/loans-of-a-split-ring", test_split_ring);
        g_test_add_func("/xen/loans-of-a-packed-ring", test_packed_ring);
        return g_test_run();
}
