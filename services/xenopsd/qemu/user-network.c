/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "user-network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_SIZE 256u
#define HUB "Hub -1 (netdev-"

/*
 * A head for each network, and a line for each connection (libslirp, slirp_connection_info()):
 *
 *      Hub -1 (netdev-net0):
 *        Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
 *        TCP[ESTABLISHED]   12       10.0.2.15 37282   93.184.216.34    80     0     0
 *        UDP[235 sec]       13       10.0.2.15 47000        10.0.2.3    53     0     0
 *        TCP[HOST_FORWARD]  14       127.0.0.1 40001       10.0.2.15    22     0     0
 *        TCP[SYN_SENT]      15       127.0.0.1 40001       10.0.2.15    22     0     0
 *
 * The source of those that come in through a forwarded port is that port.
 */
struct line {
        char interface[QEMU_ID_SIZE], protocol[4], state[16], source[INET_ADDRSTRLEN];
        unsigned port;
};

/* Whether it is a connection; the head of a network is kept for those behind it. */
static bool read_line(char *untrusted_text, struct line *line) {
        char *end;
        unsigned fd;

        if (strncmp(untrusted_text, HUB, strlen(HUB)) == 0) {
                end = strchr(untrusted_text, ')');
                if (end)
                        *end = '\0';
                snprintf(line->interface, sizeof line->interface, "%.*s", (int) sizeof line->interface - 1, untrusted_text + strlen(HUB));
                return false;
        }
        end = strchr(untrusted_text, ']');
        return end && sscanf(untrusted_text, " %3[A-Z][%15[^]]", line->protocol, line->state) == 2 &&
               sscanf(end + 1, "%u %15s %u", &fd, line->source, &line->port) == 3;
}

/* The next connection, behind which *untrusted_text is then. line: zero at first. */
static bool next_line(const char **untrusted_text, struct line *line) {
        bool is_one = false;

        while (**untrusted_text && !is_one) {
                size_t n = strcspn(*untrusted_text, "\r\n");
                char text[LINE_MAX_SIZE];

                if (n < sizeof text) {
                        memcpy(text, *untrusted_text, n);
                        text[n] = '\0';
                        is_one = read_line(text, line);
                }
                *untrusted_text += n;
                *untrusted_text += strspn(*untrusted_text, "\r\n");
        }
        return is_one;
}

void user_network_read(const char *untrusted_text, const struct facts *facts, struct addresses *addresses) {
        struct line line = {};

        while (next_line(&untrusted_text, &line)) {
                const char *mac = facts_find_mac(facts, line.interface);

                if (mac)
                        addresses_add(addresses, line.source, mac, XCP_ADDRESS_SOURCE_USER_NETWORK);
        }
}

static bool comes_in(const struct line *line) {
        return strcmp(line->protocol, "TCP") == 0 && strcmp(line->source, USER_NETWORK_HOST) == 0;
}

static bool is_forward(const struct line *line) {
        return strcmp(line->state, "HOST_FORWARD") == 0;
}

bool user_network_find_forward(const char *untrusted_text, char *ret_interface, uint16_t *ret_port) {
        struct line line = {};

        while (next_line(&untrusted_text, &line))
                if (comes_in(&line) && is_forward(&line) && line.port > 0 && line.port <= UINT16_MAX) {
                        memcpy(ret_interface, line.interface, sizeof line.interface);
                        *ret_port = (uint16_t) line.port;
                        return true;
                }
        return false;
}

enum user_network_connection user_network_find_connection(const char *untrusted_text, const char *interface, uint16_t port) {
        struct line line = {};

        while (next_line(&untrusted_text, &line))
                if (comes_in(&line) && !is_forward(&line) && line.port == port && strcmp(line.interface, interface) == 0)
                        return strcmp(line.state, "SYN_SENT") == 0 ? USER_NETWORK_CONNECTING : USER_NETWORK_CONNECTED;
        return USER_NETWORK_NO_CONNECTION;
}
