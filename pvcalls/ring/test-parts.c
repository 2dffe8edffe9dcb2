/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What requests and pages carry: addresses, error numbers, references. */

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "error.h"
#include "frame.h"
#include "indexes.h"
#include "name.h"

static void test_errors(void) {
        static const struct {
                int error;
                int32_t number;
        } some[] = { { -EPERM, -1 }, { -EINVAL, -22 }, { -EDEADLK, -35 }, { -ENOTSOCK, -88 }, { -EAFNOSUPPORT, -97 },
                     { -EADDRINUSE, -98 }, { -EISCONN, -106 }, { -ENOTCONN, -107 }, { -ETIMEDOUT, -110 }, { -ECONNREFUSED, -111 },
                     { -ECONNRESET, -104 }, { -EPIPE, -32 }, { -EHOSTUNREACH, -113 }, { -ENETUNREACH, -101 }, { -ECONNABORTED, -103 } };

        for (size_t i = 0; i < G_N_ELEMENTS(some); i++) {
                g_assert_cmpint(pvcalls_error_to_wire(some[i].error), ==, some[i].number);
                g_assert_cmpint(pvcalls_error_from_wire(some[i].number), ==, some[i].error);
        }
        g_assert_cmpint(pvcalls_error_to_wire(0), ==, 0);
        g_assert_cmpint(pvcalls_error_to_wire(-12345), ==, -5);
        g_assert_cmpint(pvcalls_error_from_wire(0), ==, 0);
        g_assert_cmpint(pvcalls_error_from_wire(PVCALLS_ENOTSUP), ==, -EOPNOTSUPP);
        g_assert_cmpint(pvcalls_error_from_wire(22), ==, -EIO);
        g_assert_cmpint(pvcalls_error_from_wire(INT32_MIN), ==, -EIO);
        g_assert_cmpint(pvcalls_error_from_wire(-4000), ==, -EIO);
}

static void test_pages(void) {
        _Alignas(4096) static struct pvcalls_indexes page;
        static struct data_pages pages;
        uint32_t refs[PVCALLS_REFS_MAX];

        for (uint32_t i = 0; i < PVCALLS_REFS_MAX; i++)
                refs[i] = 100 + i;
        for (uint32_t order_max = 1; order_max <= PVCALLS_ORDER_MAX; order_max++)
                for (uint32_t order = 1; order <= PVCALLS_ORDER_MAX; order++) {
                        indexes_write(&page, order, refs);
                        g_assert_cmpint(indexes_read(&page, order_max, &pages), ==, order <= order_max ? 0 : -ERANGE);
                        if (order <= order_max) {
                                g_assert_cmpuint(pages.order, ==, order);
                                g_assert_cmpuint(pages.n_refs, ==, 1u << order);
                                g_assert_cmpmem(pages.refs, sizeof(uint32_t) << order, refs, sizeof(uint32_t) << order);
                        }
                }
        static const uint32_t orders[] = { 0, 10, 31, 32, 0x80000001, UINT32_MAX };
        for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
                atomic_store(&page.ring_order, orders[i]);
                g_assert_cmpint(indexes_read(&page, PVCALLS_ORDER_MAX, &pages), ==, -ERANGE);
        }
}

/* All lengths of each family, and back. */
static void test_names(void) {
        static const struct { uint8_t family; uint32_t min, max; } families[] = { { 2, 16, 28 }, { 10, 28, 28 }, { 1, 3, 110 } };
        uint8_t bytes[PVCALLS_NAME_MAX + 2], again[PVCALLS_NAME_MAX];
        struct pvcalls_name name;

        for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
                for (uint32_t n = 0; n <= PVCALLS_NAME_MAX + 1; n++) {
                        bool good = n >= families[i].min && n <= families[i].max;
                        uint32_t n_again;

                        memset(bytes, 'a', sizeof bytes);
                        bytes[0] = families[i].family;
                        bytes[1] = 0;
                        if (families[i].family == 1 && n == PVCALLS_NAME_MAX)
                                bytes[2] = 0;
                        g_assert_cmpint(pvcalls_name_parse(bytes, n, &name), ==, good ? 0 : -EINVAL);
                        if (!good)
                                continue;
                        n_again = pvcalls_name_format(&name, again);
                        g_assert_cmpuint(n_again, ==, families[i].family == 2 ? 16 : n);
                        g_assert_cmpmem(again, families[i].family == 2 ? 8 : n, bytes, families[i].family == 2 ? 8 : n);
                }
        memcpy(bytes, "\1\0/run/x\0yyyyy", 15);
        g_assert_cmpint(pvcalls_name_parse(bytes, 15, &name), ==, 0);
        g_assert_cmpstr(name.local.sun_path, ==, "/run/x");
        g_assert_cmpuint(pvcalls_name_format(&name, again), ==, 8);
        memset(bytes, 'a', sizeof bytes);
        memcpy(bytes, "\1\0", 2);
        g_assert_cmpint(pvcalls_name_parse(bytes, 110, &name), ==, -EINVAL);    /* 108 bytes of a path, without an end */
        bytes[0] = 3;
        g_assert_cmpint(pvcalls_name_parse(bytes, 16, &name), ==, -EAFNOSUPPORT);
}

/* Of each family, and of IPv6 that stands for IPv4; the port stays. */
static void test_destinations(void) {
        static const struct { const char *to, *goes_to; } names[] = {
                { "0.0.0.0", "127.0.0.1" }, { "0.0.0.1", "0.0.0.1" }, { "10.0.0.0", "10.0.0.0" }, { "::", "::1" }, { "::2", "::2" },
                { "::ffff:0.0.0.0", "::ffff:127.0.0.1" }, { "::ffff:10.0.0.0", "::ffff:10.0.0.0" }, { "64:ff9b::", "64:ff9b::" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                int family = strchr(names[i].to, ':') ? AF_INET6 : AF_INET;
                struct pvcalls_name name, expected;

                pvcalls_name_init(&name, family);
                pvcalls_name_set_port(&name, htons(80));
                expected = name;
                g_assert_cmpint(inet_pton(family, names[i].to, family == AF_INET ? (void *) &name.inet.sin_addr : &name.inet6.sin6_addr), ==, 1);
                g_assert_cmpint(inet_pton(family, names[i].goes_to,
                                          family == AF_INET ? (void *) &expected.inet.sin_addr : &expected.inet6.sin6_addr), ==, 1);
                pvcalls_name_make_destination(&name);
                g_assert_true(pvcalls_name_equal(&name, &expected));
        }
}

/* Frames of all lengths, split at any byte: what is put in is what is got; and what claims to be longer than there is, is none. */
static void test_frames(void) {
        uint8_t ring[256], data[64], again[64];

        for (size_t i = 0; i < sizeof data; i++)
                data[i] = (uint8_t) (i + 1);
        for (size_t n = 0; n <= sizeof data; n++) {
                size_t frame = frame_length(n);

                g_assert_cmpuint(frame % PVCALLS_DATAGRAM_ALIGN, ==, 0);
                g_assert_cmpuint(frame, >=, FRAME_HEADER + n);
                g_assert_cmpuint(frame, <, FRAME_HEADER + n + PVCALLS_DATAGRAM_ALIGN);
                for (size_t split = 0; split <= frame; split++) {
                        const struct iovec whole[2] = { { ring + sizeof ring - split, split }, { ring, frame - split } };
                        struct pvcalls_datagram header = { .length = (uint32_t) n, .error = -7 }, got;
                        struct iovec pieces[2];

                        memcpy(pieces, whole, sizeof pieces);
                        pieces_put(pieces, &header, FRAME_HEADER);
                        pieces_put(pieces, data, n);
                        memcpy(pieces, whole, sizeof pieces);
                        g_assert_cmpint(frame_get(pieces, frame, &got), ==, 0);
                        g_assert_cmpmem(&got, sizeof got, &header, sizeof header);
                        pieces_limit(pieces, n);
                        g_assert_cmpuint(pieces[0].iov_len + pieces[1].iov_len, ==, n);
                        pieces_get(pieces, again, n);
                        g_assert_cmpmem(again, n, data, n);
                }
        }
}

static void test_frames_that_are_not_there(void) {
        uint8_t ring[128] = {};

        for (size_t n = 0; n <= sizeof ring; n++)
                for (uint64_t length = 0; length <= UINT32_MAX; length = length < 200 ? length + 1 : length * 2 + 1) {
                        struct pvcalls_datagram header = { .length = (uint32_t) length }, got;
                        struct iovec pieces[2] = { { ring, n } };
                        bool there = n >= FRAME_HEADER && length <= n - FRAME_HEADER && frame_length(length) <= n;

                        pieces_put(pieces, &header, n < FRAME_HEADER ? n : FRAME_HEADER);
                        pieces[0] = (struct iovec) { ring, n };
                        g_assert_cmpint(frame_get(pieces, n, &got), ==, there ? 0 : -EPROTO);
                }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/name/every-length-of-each-family", test_names);
        g_test_add_func("/name/any-address-is-a-way-to-loopback", test_destinations);
        g_test_add_func("/error/numbers-of-linux-on-x86", test_errors);
        g_test_add_func("/indexes/orders-and-references", test_pages);
        g_test_add_func("/frame/every-length-and-split", test_frames);
        g_test_add_func("/frame/that-is-not-there", test_frames_that_are_not_there);
        return g_test_run();
}
