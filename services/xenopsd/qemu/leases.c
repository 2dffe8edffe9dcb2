/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "leases.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

/* The end, in seconds since 1970 or 0 for never; MAC; address; name; client. Of IPv6, the second is not a MAC, and the address not found. */
static void parse_line(const char *line, uint64_t now, const struct facts *facts, struct addresses *addresses) {
        char mac[FACTS_MAC_SIZE], address[INET6_ADDRSTRLEN];
        uint64_t end;

        if (sscanf(line, "%" SCNu64 " %17s %45s", &end, mac, address) != 3 || (end != 0 && end <= now))
                return;
        for (char *p = mac; *p; p++)
                if (*p >= 'A' && *p <= 'F')
                        *p = (char) (*p - 'A' + 'a');
        if (facts_has_mac(facts, mac))
                addresses_add(addresses, address, mac, XCP_ADDRESS_SOURCE_LEASE);
}

void leases_parse(char *untrusted_text, uint64_t now, const struct facts *facts, struct addresses *addresses) {
        char *saved, *line;

        for (line = strtok_r(untrusted_text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved))
                parse_line(line, now, facts, addresses);
}

int leases_read(const struct facts *facts, struct addresses *addresses) {
        const char *path = getenv("XCP_LEASES") ?: LEASES_PATH;
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        AUTO_FREE char *text = NULL;
        size_t n = 0;
        ssize_t r = 1;

        if (fd < 0)
                return -errno;
        text = malloc(LEASES_SIZE_MAX + 1);
        if (!text)
                return -ENOMEM;
        while (n < LEASES_SIZE_MAX && (r = read(fd, text + n, LEASES_SIZE_MAX - n)) > 0)
                n += (size_t) r;
        if (r < 0)
                return -errno;
        text[n] = '\0';
        leases_parse(text, (uint64_t) time(NULL), facts, addresses);
        return 0;
}
