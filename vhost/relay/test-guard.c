/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The guard: what must not be passed on, one message after the other. */

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard.h"

#define RINGS 4u
#define MEMORY 65536u
#define USER UINT64_C(0x7f0000000000)

static const struct guard_offer offer = { .features = VHOST_BIT(VHOST_F_VERSION_1), .n_rings = RINGS };
static int memory_fd, event_fd;

static int look(const struct session *session, const struct vhost_message *message) {
        g_assert_cmpint(vhost_message_check(message, 0), ==, 0);
        return guard_check(session, &offer, message);
}

/* As the relay does: what is passed on is kept. */
static int tell(struct session *session, const struct vhost_message *message) {
        int r = look(session, message);

        return r < 0 ? r : session_keep(session, message);
}

static int tell_ring(struct session *session, uint32_t request, uint32_t ring, uint32_t number) {
        const struct vhost_message message = { .request = request, .flags = VHOST_FLAG_VERSION, .size = 8, .payload.state = { ring, number } };

        return tell(session, &message);
}

static int tell_event(struct session *session, uint32_t request, uint64_t value, bool has_fd) {
        const struct vhost_message message = { .request = request, .flags = VHOST_FLAG_VERSION, .size = 8, .payload.u64 = value, .n_fds = has_fd, .fds = { event_fd } };

        return tell(session, &message);
}

static int tell_address(struct session *session, uint32_t ring, uint64_t descriptor, uint64_t available, uint64_t used) {
        const struct vhost_message message = {
                .request = VHOST_USER_SET_VRING_ADDR,
                .flags = VHOST_FLAG_VERSION,
                .size = 40,
                .payload.address = { .index = ring, .descriptor = USER + descriptor, .available = USER + available, .used = USER + used },
        };

        return tell(session, &message);
}

static struct vhost_message table_of(uint32_t n) {
        struct vhost_message message = { .request = VHOST_USER_SET_MEM_TABLE, .flags = VHOST_FLAG_VERSION, .size = 8 + 32 * n, .n_fds = n };

        message.payload.memory.n_regions = n;
        for (uint32_t i = 0; i < n; i++) {
                message.payload.memory.regions[i] = (struct vhost_region) { i * MEMORY, MEMORY, USER + i * UINT64_C(2) * MEMORY, 0 };
                message.fds[i] = memory_fd;
        }
        return message;
}

static void tell_table(struct session *session) {
        const struct vhost_message table = table_of(2);

        g_assert_cmpint(tell(session, &table), ==, 0);
}

static void test_rings_that_there_are_not(void) {
        static const uint32_t requests[] = { VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE, VHOST_USER_GET_VRING_BASE, VHOST_USER_SET_VRING_ENABLE };
        static const uint32_t events[] = { VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_ERR };
        static const uint32_t beyond[] = { RINGS, 255, 256, 0x10000, UINT32_MAX };
        struct session session = {};

        tell_table(&session);
        for (size_t k = 0; k < G_N_ELEMENTS(beyond); k++) {
                for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
                        g_assert_cmpint(tell_ring(&session, requests[i], beyond[k], 1), ==, -EBADMSG);
                for (size_t i = 0; i < G_N_ELEMENTS(events); i++)
                        g_assert_cmpint(tell_event(&session, events[i], beyond[k], true), <, 0);
                g_assert_cmpint(tell_address(&session, beyond[k], 0, 0, 0), ==, -EBADMSG);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(requests); i++)
                g_assert_cmpint(tell_ring(&session, requests[i], RINGS - 1, 1), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(events); i++)
                g_assert_cmpint(tell_event(&session, events[i], RINGS - 1, true), ==, 0);
        session_done(&session);
}

static void test_sizes_that_cannot_be(void) {
        struct session session = {};

        for (uint32_t n = 1; n <= 1024; n *= 2)
                g_assert_cmpint(tell_ring(&session, VHOST_USER_SET_VRING_NUM, 0, n), ==, 0);
        for (uint32_t n = 2048; n != 0; n *= 2)
                g_assert_cmpint(tell_ring(&session, VHOST_USER_SET_VRING_NUM, 0, n), ==, -EBADMSG);
        g_assert_cmpint(tell_ring(&session, VHOST_USER_SET_VRING_NUM, 0, 0), ==, -EBADMSG);
        g_assert_cmpint(tell_ring(&session, VHOST_USER_SET_VRING_NUM, 0, 100), ==, -EBADMSG);
        session_done(&session);
}

static void test_descriptors_of_events(void) {
        struct session session = {};

        for (uint32_t request = VHOST_USER_SET_VRING_KICK; request <= VHOST_USER_SET_VRING_ERR; request++) {
                g_assert_cmpint(tell_event(&session, request, 0, false), ==, -EBADF);
                g_assert_cmpint(tell_event(&session, request, VHOST_VRING_NO_FD, true), ==, -EBADF);
                g_assert_cmpint(tell_event(&session, request, VHOST_VRING_NO_FD, false), ==, 0);
                g_assert_cmpint(tell_event(&session, request, UINT64_C(1) << 40, true), ==, -EBADMSG);
        }
        session_done(&session);
}

static void test_regions_that_cannot_be(void) {
        static const struct {
                struct vhost_region region;
                int r;
        } cases[] = {
                { { 0, 0, USER, 0 }, -EINVAL },
                { { 0, MEMORY, USER, 4096 }, -EINVAL },                         /* the file ends before */
                { { 0, MEMORY, USER, UINT64_MAX - MEMORY + 2 }, -EINVAL },      /* mapped would be what is left of the sum */
                { { UINT64_MAX - 10, MEMORY, USER, 0 }, -EINVAL },
                { { 0, MEMORY, UINT64_MAX - 10, 0 }, -EINVAL },
                { { 2 * MEMORY - 1, MEMORY, USER, 0 }, -EEXIST },
                { { 0, MEMORY, USER + 3 * MEMORY - 1, 0 }, -EEXIST },
                { { 2 * MEMORY, MEMORY, USER + 3 * MEMORY, 0 }, 0 },
        };
        struct session session = {};

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                struct vhost_message table = table_of(2);

                table.payload.memory.regions[0] = cases[i].region;
                g_assert_cmpint(look(&session, &table), ==, cases[i].r);
        }
}

static void test_tables_that_cannot_be(void) {
        struct vhost_message table = table_of(2);
        struct session session = {};

        table.payload.memory.n_regions = 3;
        g_assert_cmpint(look(&session, &table), ==, -EBADMSG);
        table = table_of(8);
        g_assert_cmpint(look(&session, &table), ==, 0);
        table.payload.memory.n_regions = 9;
        g_assert_cmpint(look(&session, &table), ==, -EBADMSG);
        table.payload.memory.n_regions = UINT32_MAX;
        g_assert_cmpint(look(&session, &table), ==, -EBADMSG);
        table = table_of(2);
        table.n_fds = 1;
        g_assert_cmpint(look(&session, &table), ==, -EBADF);
}

/* Of a ring that runs, all is where there is memory: whatever of ring, size and table is told last. */
static void test_rings_that_are_nowhere(void) {
        struct vhost_message smaller = table_of(2);
        struct session session = {};

        g_assert_cmpint(tell_address(&session, 0, 0, 0, 0), ==, -EFAULT);       /* there is no table */
        tell_table(&session);
        g_assert_cmpint(tell_address(&session, 0, 0, MEMORY, 0), ==, -EFAULT);
        g_assert_cmpint(tell_address(&session, 0, 0, 0, MEMORY - 4), ==, -EFAULT);
        g_assert_cmpint(tell_address(&session, 0, MEMORY - 16 * 256, 4 * MEMORY - 6, 0), ==, -EFAULT);
        g_assert_cmpint(tell_address(&session, 0, MEMORY - 16 * 256, 0, 2 * MEMORY), ==, 0);
        g_assert_cmpint(tell_event(&session, VHOST_USER_SET_VRING_KICK, 0, true), ==, -EBADMSG);        /* of no size */
        g_assert_cmpint(tell_ring(&session, VHOST_USER_SET_VRING_NUM, 0, 512), ==, 0);
        g_assert_cmpint(tell_event(&session, VHOST_USER_SET_VRING_KICK, 0, true), ==, -EFAULT);
        g_assert_cmpint(tell_ring(&session, VHOST_USER_SET_VRING_NUM, 0, 256), ==, 0);
        g_assert_cmpint(tell_event(&session, VHOST_USER_SET_VRING_KICK, 0, true), ==, 0);
        g_assert_cmpint(tell_ring(&session, VHOST_USER_SET_VRING_NUM, 0, 512), ==, -EFAULT);
        g_assert_cmpint(tell_address(&session, 0, MEMORY - 16 * 255, 0, 2 * MEMORY), ==, -EFAULT);
        g_assert_cmpint(tell_address(&session, 0, 0, 0, 3 * MEMORY - 6 - 8 * 256), ==, 0);
        smaller.payload.memory.regions[1].size = MEMORY - 1;
        g_assert_cmpint(tell(&session, &smaller), ==, -EFAULT);
        g_assert_cmpint(session_ring_stopped(&session, 0, 0), ==, 0);
        g_assert_cmpint(tell(&session, &smaller), ==, 0);
        g_assert_cmpint(tell_event(&session, VHOST_USER_SET_VRING_KICK, 0, true), ==, -EFAULT);
        session_done(&session);
}

static void test_what_else_is_believed(void) {
        struct vhost_message features = { .request = VHOST_USER_SET_FEATURES, .flags = VHOST_FLAG_VERSION, .size = 8, .payload.u64 = offer.features };
        struct vhost_message log = { .request = VHOST_USER_SET_LOG_BASE, .flags = VHOST_FLAG_VERSION, .size = 16, .n_fds = 1, .fds = { memory_fd } };
        struct vhost_message config = { .request = VHOST_USER_SET_CONFIG, .flags = VHOST_FLAG_VERSION, .size = VHOST_CONFIG_HEADER + 1 };
        struct session session = {};

        g_assert_cmpint(look(&session, &features), ==, 0);
        features.payload.u64 |= VHOST_BIT(VHOST_F_PACKED);
        g_assert_cmpint(look(&session, &features), ==, -EBADMSG);
        log.payload.log.size = MEMORY;
        g_assert_cmpint(look(&session, &log), ==, 0);
        log.payload.log.offset = 1;
        g_assert_cmpint(look(&session, &log), ==, -EINVAL);
        log.payload.log.offset = UINT64_MAX;
        g_assert_cmpint(look(&session, &log), ==, -EINVAL);
        g_assert_cmpint(look(&session, &config), ==, -EBADMSG);
        config.payload.config.offset = 32;
        config.payload.config.size = 1;
        g_assert_cmpint(look(&session, &config), ==, 0);
        config.size = VHOST_CONFIG_HEADER;
        g_assert_cmpint(look(&session, &config), ==, -EBADMSG);
}

int main(int argc, char **argv) {
        int r;

        memory_fd = memfd_create("test", MFD_CLOEXEC);
        event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        g_assert_cmpint(ftruncate(memory_fd, MEMORY), ==, 0);
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/guard/rings-that-there-are-not", test_rings_that_there_are_not);
        g_test_add_func("/guard/sizes-that-cannot-be", test_sizes_that_cannot_be);
        g_test_add_func("/guard/descriptors-of-events", test_descriptors_of_events);
        g_test_add_func("/guard/regions-that-cannot-be", test_regions_that_cannot_be);
        g_test_add_func("/guard/tables-that-cannot-be", test_tables_that_cannot_be);
        g_test_add_func("/guard/rings-that-are-nowhere", test_rings_that_are_nowhere);
        g_test_add_func("/guard/what-else-is-believed", test_what_else_is_believed);
        r = g_test_run();
        close(memory_fd);
        close(event_fd);
        return r;
}
