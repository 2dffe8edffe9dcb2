/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses for front-ends: what a front-end that does right is told, and one that does a single thing wrong. */

#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "watch.h"

#define OFFERED (VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VHOST_BIT(VHOST_F_VERSION_1))
#define PROTOCOL                                                                                                                              \
        (VHOST_BIT(VHOST_PROTOCOL_F_MQ) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) | VHOST_BIT(VHOST_PROTOCOL_F_CONFIG) |                        \
         VHOST_BIT(VHOST_PROTOCOL_F_INFLIGHT_SHMFD) | VHOST_BIT(VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
#define BASE 0x7f0000000000u            /* of memory, in the front-end */
#define SIZE 0x100000u

static struct watch watch;
static int inflight_fds[2];

/* A request, with as many descriptors as n_fds. */
static void say(uint32_t request, uint32_t size, const union vhost_payload *payload, size_t n_fds) {
        struct vhost_message message = { .request = request, .flags = VHOST_FLAG_VERSION, .size = size, .payload = *payload, .n_fds = n_fds };

        for (size_t i = 0; i < n_fds; i++)
                message.fds[i] = inflight_fds[0];
        watch_request(&watch, &message);
}

static void say_u64(uint32_t request, uint64_t value, size_t n_fds) {
        say(request, 8, &(union vhost_payload) { .u64 = value }, n_fds);
}

static void say_state(uint32_t request, uint32_t index, uint32_t num) {
        say(request, 8, &(union vhost_payload) { .state = { index, num } }, 0);
}

static void say_nothing(uint32_t request) {
        say(request, 0, &(union vhost_payload) {}, 0);
}

static void say_region(uint32_t request, uint64_t guest_address, uint64_t user_address, uint64_t size) {
        const union vhost_payload payload = { .slot.region = { .guest_address = guest_address, .user_address = user_address, .size = size } };

        say(request, sizeof payload.slot, &payload, request == VHOST_USER_ADD_MEM_REG);
}

static void say_address(uint32_t index, uint64_t at) {
        const union vhost_payload payload = { .address = { .index = index, .descriptor = at, .available = at + 0x1000, .used = at + 0x2000 } };

        say(VHOST_USER_SET_VRING_ADDR, sizeof payload.address, &payload, 0);
}

static void answer_u64(uint32_t request, uint64_t value) {
        watch_reply(&watch, &(struct vhost_message) { .request = request, .size = 8, .payload.u64 = value });
}

static void begin(void) {
        watch_begin(&watch);
        say_nothing(VHOST_USER_GET_FEATURES);
        answer_u64(VHOST_USER_GET_FEATURES, OFFERED);
        say_nothing(VHOST_USER_GET_PROTOCOL_FEATURES);
        answer_u64(VHOST_USER_GET_PROTOCOL_FEATURES, PROTOCOL);
        say_u64(VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL, 0);
        say_nothing(VHOST_USER_GET_QUEUE_NUM);
        answer_u64(VHOST_USER_GET_QUEUE_NUM, 2);
        say_nothing(VHOST_USER_GET_MAX_MEM_SLOTS);
        answer_u64(VHOST_USER_GET_MAX_MEM_SLOTS, 2);
        say_nothing(VHOST_USER_SET_OWNER);
        say_u64(VHOST_USER_SET_FEATURES, OFFERED, 0);
        say_region(VHOST_USER_ADD_MEM_REG, 0, BASE, SIZE);
}

static void set_up(uint32_t index) {
        say_state(VHOST_USER_SET_VRING_NUM, index, 128);
        say_state(VHOST_USER_SET_VRING_BASE, index, 0);
        say_address(index, BASE);
        say_u64(VHOST_USER_SET_VRING_CALL, index, 1);
        say_u64(VHOST_USER_SET_VRING_KICK, index, 1);
        say_state(VHOST_USER_SET_VRING_ENABLE, index, 1);
}

static void give_inflight(int fd, bool ask) {
        const union vhost_payload payload = { .inflight = { .mmap_size = 4096, .n_queues = 1, .queue_size = 128 } };
        struct vhost_message message = { .flags = VHOST_FLAG_VERSION, .size = VHOST_INFLIGHT_SIZE, .payload = payload };

        if (ask) {
                say(VHOST_USER_GET_INFLIGHT_FD, VHOST_INFLIGHT_SIZE, &payload, 0);
                message.request = VHOST_USER_GET_INFLIGHT_FD;
                message.n_fds = 1;
                message.fds[0] = inflight_fds[0];
                watch_reply(&watch, &message);
        }
        message.request = VHOST_USER_SET_INFLIGHT_FD;
        message.n_fds = 1;
        message.fds[0] = fd;
        watch_request(&watch, &message);
}

/* That clause failed, and no other. */
static void expect_only(enum watch_clause failed) {
        for (int i = 0; i < _F_N; i++)
                if ((watch.results[i].verdict == WATCH_FAILED) != (i == (int) failed))
                        g_error("%s: verdict %d: %s", watch_clauses[i].id, watch.results[i].verdict, watch.results[i].why);
        memset(&watch, 0, sizeof watch);
}

static void test_right(void) {
        begin();
        give_inflight(inflight_fds[0], true);
        set_up(0);
        set_up(1);
        say(VHOST_USER_GET_CONFIG, VHOST_CONFIG_HEADER + 60, &(union vhost_payload) { .config = { .size = 60 } }, 0);
        say_state(VHOST_USER_SET_VRING_ENABLE, 0, 0);
        say_state(VHOST_USER_GET_VRING_BASE, 0, 0);
        say_state(VHOST_USER_GET_VRING_BASE, 1, 0);
        say_region(VHOST_USER_REM_MEM_REG, 0, BASE, SIZE);
        say_region(VHOST_USER_ADD_MEM_REG, 0, BASE, SIZE);
        set_up(0);
        for (int i = 0; i < _F_N; i++)
                if (i != F_6 && i != F_19 && i != F_20 && i != F_21)
                        g_assert_cmpint(watch.results[i].verdict, ==, WATCH_PASSED);
        watch_cut_off(&watch);
        begin();
        give_inflight(inflight_fds[0], false);
        set_up(0);
        g_assert_cmpint(watch.results[F_19].verdict, ==, WATCH_PASSED);
        expect_only(_F_N);
}

static void test_form(void) {
        struct vhost_message message = { .request = VHOST_USER_GET_FEATURES, .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY };

        begin();
        watch_request(&watch, &message);
        expect_only(F_1);

        begin();
        say(VHOST_USER_SET_FEATURES, 4, &(union vhost_payload) {}, 0);
        expect_only(F_2);

        watch_begin(&watch);
        say_nothing(VHOST_USER_GET_QUEUE_NUM);
        expect_only(F_3);

        watch_begin(&watch);
        message.flags = VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY;
        watch_request(&watch, &message);
        expect_only(F_6);
}

static void test_features(void) {
        begin();
        say_u64(VHOST_USER_SET_FEATURES, OFFERED | 1, 0);
        expect_only(F_4);

        begin();
        say_u64(VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL | VHOST_BIT(VHOST_PROTOCOL_F_STATUS), 0);
        expect_only(F_5);

        watch_begin(&watch);
        say_u64(VHOST_USER_SET_PROTOCOL_FEATURES, 0, 0);
        expect_only(F_5);

        begin();
        answer_u64(VHOST_USER_GET_PROTOCOL_FEATURES, UINT64_MAX);
        say_u64(VHOST_USER_SET_PROTOCOL_FEATURES, PROTOCOL | VHOST_BIT(VHOST_PROTOCOL_F_INBAND_NOTIFICATIONS), 0);
        expect_only(F_21);
}

static void test_session(void) {
        watch_begin(&watch);
        say_state(VHOST_USER_SET_VRING_NUM, 0, 128);
        expect_only(F_7);

        begin();
        set_up(0);
        say_nothing(VHOST_USER_SET_OWNER);      /* another device, on the same connection */
        say_region(VHOST_USER_ADD_MEM_REG, 0, BASE, SIZE);
        set_up(0);
        expect_only(_F_N);
}

static void test_rings(void) {
        begin();
        say_state(VHOST_USER_SET_VRING_NUM, 2, 128);
        expect_only(F_8);

        begin();
        say_state(VHOST_USER_SET_VRING_NUM, 0, 100);
        expect_only(F_9);

        begin();
        say_state(VHOST_USER_SET_VRING_NUM, 0, 128);
        say_address(0, BASE);
        say_u64(VHOST_USER_SET_VRING_KICK, 0, 1);
        expect_only(F_10);

        begin();
        say_state(VHOST_USER_SET_VRING_NUM, 0, 128);
        say_state(VHOST_USER_SET_VRING_BASE, 0, 0);
        say_address(0, BASE + SIZE - 0x2000);
        say_u64(VHOST_USER_SET_VRING_KICK, 0, 1);
        expect_only(F_11);

        begin();
        set_up(0);
        say_state(VHOST_USER_SET_VRING_BASE, 0, 5);
        expect_only(F_12);

        begin();
        say_u64(VHOST_USER_SET_FEATURES, 0, 0);
        say_state(VHOST_USER_SET_VRING_ENABLE, 0, 1);
        expect_only(F_13);

        begin();
        say_u64(VHOST_USER_SET_VRING_CALL, 0, 0);
        expect_only(F_14);

        begin();
        say_u64(VHOST_USER_SET_VRING_CALL, 0x200, 1);
        expect_only(F_14);
}

static void test_memory(void) {
        begin();
        say_region(VHOST_USER_ADD_MEM_REG, SIZE - 1, BASE + SIZE, SIZE);
        expect_only(F_15);

        begin();
        say_region(VHOST_USER_ADD_MEM_REG, 2 * SIZE, BASE + 2 * SIZE, SIZE);
        say_region(VHOST_USER_ADD_MEM_REG, 4 * SIZE, BASE + 4 * SIZE, SIZE);
        expect_only(F_15);

        begin();
        say_region(VHOST_USER_REM_MEM_REG, 0, BASE, SIZE + 1);
        expect_only(F_16);

        begin();
        set_up(0);
        say_region(VHOST_USER_REM_MEM_REG, 0, BASE, SIZE);
        expect_only(F_16);
}

static void test_config_and_inflight(void) {
        begin();
        say(VHOST_USER_GET_CONFIG, VHOST_CONFIG_HEADER + 8, &(union vhost_payload) { .config = { .offset = 250, .size = 8 } }, 0);
        expect_only(F_17);

        begin();
        say(VHOST_USER_GET_CONFIG, VHOST_CONFIG_HEADER + 8, &(union vhost_payload) { .config = { .size = 16 } }, 0);
        expect_only(F_17);

        begin();
        give_inflight(inflight_fds[1], true);
        expect_only(F_18);

        begin();
        set_up(0);
        give_inflight(inflight_fds[0], true);
        expect_only(F_18);

        begin();
        give_inflight(inflight_fds[0], true);
        watch_cut_off(&watch);
        begin();
        give_inflight(inflight_fds[1], false);
        expect_only(F_19);
}

int main(int argc, char **argv) {
        int r;

        inflight_fds[0] = memfd_create("one", MFD_CLOEXEC);
        inflight_fds[1] = memfd_create("other", MFD_CLOEXEC);
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/watch/who-does-right-fails-nothing", test_right);
        g_test_add_func("/watch/headers-and-payloads", test_form);
        g_test_add_func("/watch/features-that-were-not-offered", test_features);
        g_test_add_func("/watch/set-owner-comes-first-and-begins-a-session", test_session);
        g_test_add_func("/watch/rings", test_rings);
        g_test_add_func("/watch/memory", test_memory);
        g_test_add_func("/watch/configuration-and-what-is-in-flight", test_config_and_inflight);
        r = g_test_run();
        close(inflight_fds[0]);
        close(inflight_fds[1]);
        return r;
}
