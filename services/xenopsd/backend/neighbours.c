/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "neighbours.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"

#define BUFFER_SIZE 32768u              /* what the kernel fills at most in one go of a dump */
#define MAC_LENGTH 6u
#define MAC_SIZE 18u                    /* as text */
#define USEFUL (NUD_PERMANENT | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)      /* it has answered, and has not failed since */

static void read_neighbour(const struct nlmsghdr *header, neighbours_on_one_t on_one, void *userdata) {
        const struct ndmsg *neighbour = NLMSG_DATA(header);
        int length = (int) (header->nlmsg_len - NLMSG_LENGTH(sizeof *neighbour));
        char text[INET6_ADDRSTRLEN] = "", mac[MAC_SIZE] = "";

        if (header->nlmsg_type != RTM_NEWNEIGH || !(neighbour->ndm_state & USEFUL))
                return;
        for (const struct rtattr *attribute = (const void *) ((const char *) neighbour + NLMSG_ALIGN(sizeof *neighbour));
             RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length)) {
                const unsigned char *data = RTA_DATA(attribute);

                if (attribute->rta_type == NDA_DST && (neighbour->ndm_family == AF_INET || neighbour->ndm_family == AF_INET6))
                        inet_ntop(neighbour->ndm_family, data, text, sizeof text);
                if (attribute->rta_type == NDA_LLADDR && RTA_PAYLOAD(attribute) == MAC_LENGTH)
                        snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", data[0], data[1], data[2], data[3], data[4], data[5]);
        }
        if (*mac && *text)
                on_one(userdata, mac, text);
}

/* 1 when that was the last part. */
static int read_part(const char *data, size_t n, neighbours_on_one_t on_one, void *userdata) {
        for (const struct nlmsghdr *header = (const void *) data; NLMSG_OK(header, n); header = NLMSG_NEXT(header, n)) {
                if (header->nlmsg_type == NLMSG_DONE)
                        return 1;
                if (header->nlmsg_type == NLMSG_ERROR)
                        return -EIO;
                read_neighbour(header, on_one, userdata);
        }
        return 0;
}

int neighbours_read(neighbours_on_one_t on_one, void *userdata) {
        AUTO_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
        struct {
                struct nlmsghdr header;
                struct ndmsg neighbour;
        } request = { .header = { .nlmsg_len = sizeof request, .nlmsg_type = RTM_GETNEIGH, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
        _Alignas(struct nlmsghdr) char data[BUFFER_SIZE];
        int r = 0;

        if (fd < 0 || send(fd, &request, sizeof request, 0) < 0)
                return -errno;
        while (r == 0) {
                ssize_t n = recv(fd, data, sizeof data, 0);

                if (n < 0)
                        return -errno;
                r = read_part(data, (size_t) n, on_one, userdata);
        }
        return r < 0 ? r : 0;
}
