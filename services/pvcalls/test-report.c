/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "report.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

static int socket_of(const char *text, struct xcp_pvcalls_socket *ret_socket) {
        static char line[512];

        g_strlcpy(line, text, sizeof line);
        return report_socket(line, ret_socket);
}

static void test_socket(void) {
        struct xcp_pvcalls_socket socket;

        g_assert_cmpint(socket_of("socket 7 Connected 127.0.0.1 4711 10.0.0.1 80 received=1 sent=2 queued=3 age-ms=4 later=x", &socket), ==, 0);
        g_assert_cmpuint(socket.id, ==, 7);
        g_assert_cmpint(socket.state, ==, XCP_PVCALLS_SOCKET_STATE_CONNECTED);
        g_assert_cmpint(socket.family, ==, XCP_ADDRESS_FAMILY_INET);
        g_assert_cmpstr(socket.local_address, ==, "127.0.0.1");
        g_assert_cmpuint(socket.remote_port, ==, 80);
        g_assert_cmpuint(socket.received_bytes + 10 * socket.sent_bytes + 100 * socket.queued_bytes + 1000 * socket.age_ms, ==, 4321);

        g_assert_cmpint(socket_of("socket 18446744073709551615 New - 0 - 0 family=unix type=datagram", &socket), ==, 0);
        g_assert_cmpint(socket.family, ==, XCP_ADDRESS_FAMILY_UNIX);
        g_assert_cmpint(socket.type, ==, XCP_PVCALLS_SOCKET_TYPE_DATAGRAM);
        g_assert_cmpuint(socket.id, ==, UINT64_MAX);
        g_assert_cmpstr(socket.local_address, ==, "");
}

static void test_lines_that_are_none(void) {
        static const char *const lines[] = {
                "", " ", "socket", "socket x New - 0 - 0", "socket -1 New - 0 - 0", "socket 18446744073709551616 New - 0 - 0",
                "socket 1 Odd - 0 - 0", "socket 1 New", "socket 1 New -", "socket 1 New - 65536 - 0", "socket 1 New - 0 -",
                "socket 1 New \x01 0 - 0", "socket 1 New \xff\xfe 0 - 0", "socket 1 New - 0 - 0 sent=-1", "socket 1 New - 0 - 0 sent=",
                "sockets 1 New - 0 - 0",
        };
        struct xcp_pvcalls_socket socket;

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
                g_assert_cmpint(socket_of(lines[i], &socket), ==, -EBADMSG);
}

static void test_state(void) {
        char connected[] = "Connected \n", failed[] = "Failed the frontend has \x01 broken\n", odd[] = "Odd", none[] = "";
        enum xcp_pvcalls_state state;
        const char *reason;

        g_assert_cmpint(report_state(connected, &state, &reason), ==, 0);
        g_assert_cmpint(state, ==, XCP_PVCALLS_STATE_CONNECTED);
        g_assert_cmpstr(reason, ==, "");
        g_assert_cmpint(report_state(failed, &state, &reason), ==, 0);
        g_assert_cmpstr(reason, ==, "the frontend has ? broken");
        g_assert_cmpint(report_state(odd, &state, &reason), ==, -EBADMSG);
        g_assert_cmpint(report_state(none, &state, &reason), ==, -EBADMSG);
}

static void test_denied(void) {
        char good[] = "connect 10.0.0.1 80 rule=-1 count=3\n", named[] = "bind ::1 7 rule=12 count=1", bad[] = "connect 10.0.0.1 80 rule=x",
             odd[] = "dance 10.0.0.1 80";
        struct report_denied denied;

        g_assert_cmpint(report_denied(good, &denied), ==, 0);
        g_assert_cmpint(denied.call, ==, XCP_PVCALLS_CALL_CONNECT);
        g_assert_cmpint(denied.rule, ==, -1);
        g_assert_cmpuint(denied.count, ==, 3);
        g_assert_cmpint(report_denied(named, &denied), ==, 0);
        g_assert_cmpint(denied.family, ==, XCP_ADDRESS_FAMILY_INET6);
        g_assert_cmpint(denied.rule, ==, 12);
        g_assert_cmpint(report_denied(bad, &denied), ==, -EBADMSG);
        g_assert_cmpint(report_denied(odd, &denied), ==, -EBADMSG);
}

static void test_counter(void) {
        char good[] = "bytes.sent 12", bad[] = "bytes.sent", odd[] = "bytes.sent -1";
        struct xcp_dict_s_t_entry counter;

        g_assert_cmpint(report_counter(good, &counter), ==, 0);
        g_assert_cmpstr(counter.key, ==, "bytes.sent");
        g_assert_cmpuint(counter.value, ==, 12);
        g_assert_cmpint(report_counter(bad, &counter), ==, -EBADMSG);
        g_assert_cmpint(report_counter(odd, &counter), ==, -EBADMSG);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pvcalls-report/socket", test_socket);
        g_test_add_func("/pvcalls-report/lines-that-are-none", test_lines_that_are_none);
        g_test_add_func("/pvcalls-report/state", test_state);
        g_test_add_func("/pvcalls-report/denied", test_denied);
        g_test_add_func("/pvcalls-report/counter", test_counter);
        return g_test_run();
}
