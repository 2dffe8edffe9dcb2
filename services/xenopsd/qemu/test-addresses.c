/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is made of what guests and QEMU say about addresses. */

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>
#include <json-c/json.h>

#include "agent.h"
#include "leases.h"
#include "user-network.h"

#define MAC "00:16:3e:00:00:01"

static struct facts facts_of_one(void) {
        struct facts facts = {};

        facts_set_mac(&facts, "net0", MAC);
        return facts;
}

static void test_list(void) {
        static const char *const unreachable[] = { "", "x", "10.0.0", "127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "::", "::1", "fe80::1",
                                                   "ff02::1", "10.0.0.1/8", " 10.0.0.1" };
        struct addresses addresses = {}, other = {};

        for (size_t i = 0; i < G_N_ELEMENTS(unreachable); i++)
                addresses_add(&addresses, unreachable[i], MAC, XCP_ADDRESS_SOURCE_AGENT);
        g_assert_cmpuint(addresses.n, ==, 0);
        addresses_add(&addresses, "2001:DB8:0::1", MAC, XCP_ADDRESS_SOURCE_AGENT);
        addresses_add(&addresses, "2001:db8::1", MAC, XCP_ADDRESS_SOURCE_NEIGHBOUR);
        g_assert_cmpuint(addresses.n, ==, 1);
        g_assert_cmpstr(addresses.list[0].text, ==, "2001:db8::1");
        g_assert_cmpint(addresses.list[0].source, ==, XCP_ADDRESS_SOURCE_AGENT);
        g_assert_false(addresses_equal(&addresses, &other));
        addresses_add_all(&other, &addresses);
        g_assert_true(addresses_equal(&addresses, &other));
}

static void test_full(void) {
        struct addresses addresses = {};

        for (unsigned i = 0; i < 2 * HYPERVISOR_ADDRESSES_MAX; i++) {
                g_autofree char *text = g_strdup_printf("10.0.0.%u", i + 1);

                addresses_add(&addresses, text, MAC, XCP_ADDRESS_SOURCE_AGENT);
        }
        g_assert_cmpuint(addresses.n, ==, HYPERVISOR_ADDRESSES_MAX);
}

static void assert_agent(const char *untrusted, const char *expected) {
        struct json_object *value = json_tokener_parse(untrusted);
        const struct facts facts = facts_of_one();
        struct addresses addresses = {};

        agent_read_interfaces(value, &facts, &addresses);
        g_assert_cmpuint(addresses.n, ==, expected ? 1 : 0);
        if (expected)
                g_assert_cmpstr(addresses.list[0].text, ==, expected);
        json_object_put(value);
}

static void test_agent(void) {
        assert_agent("[{\"name\":\"lo\",\"ip-addresses\":[{\"ip-address\":\"127.0.0.1\"}],\"hardware-address\":\"00:00:00:00:00:00\"},"
                     "{\"hardware-address\":\"00:16:3E:00:00:01\",\"ip-addresses\":[{\"ip-address\":\"10.0.0.5\",\"prefix\":24}]}]", "10.0.0.5");
        assert_agent("[{\"hardware-address\":\"00:16:3e:00:00:02\",\"ip-addresses\":[{\"ip-address\":\"10.0.0.5\"}]}]", NULL);
        assert_agent("[{\"hardware-address\":\"" MAC "\",\"ip-addresses\":7}, 1, null, {}, {\"hardware-address\":1}]", NULL);
        assert_agent("[{\"hardware-address\":\"" MAC "\",\"ip-addresses\":[1, {}, {\"ip-address\":{}}]}]", NULL);
        assert_agent("{}", NULL);
        assert_agent("null", NULL);
}

static void count(void *userdata) {
        ++*(unsigned *) userdata;
}

static void answer(sd_event *event, int fd, unsigned long long id, unsigned address) {
        char text[256];
        int n = snprintf(text, sizeof text, "{\"return\": [{\"hardware-address\": \"" MAC "\", \"ip-addresses\": "
                         "[{\"ip-address\": \"10.0.0.%u\"}]}], \"id\": %llu}\n", address, id);

        g_assert_cmpint(send(fd, text, (size_t) n, MSG_NOSIGNAL), ==, n);
        while (sd_event_run(event, 0) > 0)
                ;
}

/* One that has taken to talking is heard once for each question, and then not any more. */
static void test_agent_that_talks(void) {
        const struct facts facts = facts_of_one();
        struct agent *agent;
        sd_event *event;
        unsigned long long id;
        unsigned n = 0, i;
        char text[256] = "";
        int fds[2];

        g_assert_cmpint(sd_event_new(&event), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(agent_new(&agent, event, fds[0], &facts, count, &n), ==, 0);
        g_assert_cmpint(sd_event_run(event, 60 * UINT64_C(1000000)), >, 0);
        g_assert_cmpint(recv(fds[1], text, sizeof text - 1, MSG_DONTWAIT), >, 0);
        g_assert_cmpint(sscanf(strstr(text, "\"id\":"), "\"id\":%llu", &id), ==, 1);
        answer(event, fds[1], id - 1, 1);       /* of an earlier manager */
        g_assert_cmpuint(n, ==, 0);
        answer(event, fds[1], id, 2);
        g_assert_cmpuint(n, ==, 1);
        for (i = 0; i < 40 && !agent_is_over(agent); i++)
                answer(event, fds[1], id, 3 + i);
        g_assert_cmpuint(n, ==, 1);
        g_assert_true(agent_is_over(agent));
        g_assert_cmpstr(agent_addresses(agent)->list[0].text, ==, "10.0.0.2");
        agent_free(agent);
        close(fds[1]);
        sd_event_unref(event);
}

static void test_user_network(void) {
        const struct facts facts = facts_of_one();
        struct addresses addresses = {};

        user_network_read("Hub -1 (netdev-other):\r\n"
                          "  TCP[ESTABLISHED]   11       10.0.2.14 37282   93.184.216.34    80     0     0\r\n"
                          "Hub -1 (netdev-net0):\r\n"
                          "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
                          "  TCP[HOST_FORWARD]  13               *  2222       10.0.2.15    22     0     0\r\n"
                          "  UDP[235 sec]       12       10.0.2.16 47000        10.0.2.3    53     0     0\r\n", &facts, &addresses);
        g_assert_cmpuint(addresses.n, ==, 1);
        g_assert_cmpstr(addresses.list[0].text, ==, "10.0.2.16");
        g_assert_cmpstr(addresses.list[0].mac, ==, MAC);
}

/* What comes in by a port of the host has that as its source. */
static void test_forwards(void) {
        static const char text[] = "Hub -1 (netdev-net0):\r\n"
                                   "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
                                   "  TCP[SYN_SENT]      11       127.0.0.1 40001       10.0.2.15    22     0     0\r\n"
                                   "  UDP[235 sec]       12       127.0.0.1 40003        10.0.2.3    53     0     0\r\n"
                                   "  TCP[HOST_FORWARD]  13               *  2222       10.0.2.15    22     0     0\r\n"
                                   "Hub -1 (netdev-net1):\r\n"
                                   "  TCP[HOST_FORWARD]  14       127.0.0.1 70000       10.0.2.15    22     0     0\r\n"
                                   "  TCP[HOST_FORWARD]  15       127.0.0.1 40002       10.0.2.15    22     0     0\r\n"
                                   "  TCP[ESTABLISHED]   16       127.0.0.1 40002       10.0.2.15    22     0     0\r\n";
        char interface[QEMU_ID_SIZE];
        uint16_t port;

        g_assert_cmpint(user_network_find_connection(text, "net0", 40001), ==, USER_NETWORK_CONNECTING);
        g_assert_cmpint(user_network_find_connection(text, "net1", 40002), ==, USER_NETWORK_CONNECTED);
        g_assert_cmpint(user_network_find_connection(text, "net1", 40001), ==, USER_NETWORK_NO_CONNECTION);
        g_assert_cmpint(user_network_find_connection(text, "net0", 40003), ==, USER_NETWORK_NO_CONNECTION);
        g_assert_cmpint(user_network_find_connection(text, "net0", 2222), ==, USER_NETWORK_NO_CONNECTION);
        g_assert_true(user_network_find_forward(text, interface, &port));
        g_assert_cmpstr(interface, ==, "net1");
        g_assert_cmpuint(port, ==, 40002);
        g_assert_false(user_network_find_forward("TCP[HOST_FORWARD", interface, &port));
        g_assert_false(user_network_find_forward("TCP[HOST_FORWARD] 1 127.0.0.1", interface, &port));
}

static void test_nonsense(void) {
        const struct facts facts = facts_of_one();
        g_autofree char *longest = g_strnfill(100000, 'x');
        struct addresses addresses = {};

        user_network_read("", &facts, &addresses);
        user_network_read(longest, &facts, &addresses);
        user_network_read("Hub -1 (netdev-net0\n]\n] x\n] 1 999.999.999.9999999999999999999999 1\n] 1 10.0.0.1\n", &facts, &addresses);
        g_assert_cmpuint(addresses.n, ==, 0);
}

static void test_leases(void) {
        char text[] = "1000 00:16:3E:00:00:01 10.0.0.5 web 01:00:16:3e:00:00:01\n"
                      "999 " MAC " 10.0.0.6 * *\n"
                      "0 " MAC " 10.0.0.7\n"
                      "2000 00:16:3e:00:00:02 10.0.0.8 other *\n"
                      "duid 00:01:00:01:2c\n"
                      "2000 7340033 2001:db8::5 web 00:01:00:01:2c\n"
                      "\n"
                      "nonsense " MAC "\n"
                      "2000 " MAC " 127.0.0.1 x x\n"
                      "99999999999999999999999 " MAC MAC MAC " 10.0.0.9";
        struct facts facts = facts_of_one();
        struct addresses addresses = {};

        leases_parse(text, 999, &facts, &addresses);
        g_assert_cmpuint(addresses.n, ==, 2);
        g_assert_cmpstr(addresses.list[0].text, ==, "10.0.0.5");
        g_assert_cmpstr(addresses.list[0].mac, ==, MAC);
        g_assert_cmpint(addresses.list[0].source, ==, XCP_ADDRESS_SOURCE_LEASE);
        g_assert_cmpstr(addresses.list[1].text, ==, "10.0.0.7");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/qemu/addresses/list", test_list);
        g_test_add_func("/qemu/addresses/list-that-is-full", test_full);
        g_test_add_func("/qemu/addresses/of-an-agent", test_agent);
        g_test_add_func("/qemu/addresses/of-an-agent-that-does-not-stop", test_agent_that_talks);
        g_test_add_func("/qemu/addresses/of-a-user-network", test_user_network);
        g_test_add_func("/qemu/addresses/forwarded-ports", test_forwards);
        g_test_add_func("/qemu/addresses/of-leases", test_leases);
        g_test_add_func("/qemu/addresses/of-nonsense", test_nonsense);
        return g_test_run();
}
