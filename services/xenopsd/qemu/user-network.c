/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "user-network.h"

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
 */
static void read_line(char *untrusted_line, const struct facts *facts, const char **mac, struct addresses *addresses) {
        char source[INET_ADDRSTRLEN], *end;
        unsigned fd, port;

        if (strncmp(untrusted_line, HUB, strlen(HUB)) == 0) {
                end = strchr(untrusted_line, ')');
                if (end)
                        *end = '\0';
                *mac = facts_find_mac(facts, untrusted_line + strlen(HUB));
                return;
        }
        end = strchr(untrusted_line, ']');
        if (*mac && end && sscanf(end + 1, "%u %15s %u", &fd, source, &port) == 3)
                addresses_add(addresses, source, *mac, XCP_ADDRESS_SOURCE_USER_NETWORK);
}

void user_network_read(const char *untrusted_text, const struct facts *facts, struct addresses *addresses) {
        const char *mac = NULL;

        while (*untrusted_text) {
                size_t n = strcspn(untrusted_text, "\r\n");
                char line[LINE_MAX_SIZE];

                if (n < sizeof line) {
                        memcpy(line, untrusted_text, n);
                        line[n] = '\0';
                        read_line(line, facts, &mac, addresses);
                }
                untrusted_text += n;
                untrusted_text += strspn(untrusted_text, "\r\n");
        }
}
