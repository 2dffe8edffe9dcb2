/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "address.h"

#include <errno.h>
#include <string.h>

#define FAMILY_INET 2u                  /* AF_INET on the ring, whatever it is here; in the sender's byte order, which is little endian */
#define INET_LENGTH 16u                 /* of a sockaddr_in: family, port, address, and 8 bytes that mean nothing */

int pvcalls_address_parse(const uint8_t untrusted_addr[PVCALLS_ADDRESS_SIZE], uint32_t untrusted_len, struct sockaddr_in *ret_address) {
        struct sockaddr_in address = { .sin_family = AF_INET };

        if (untrusted_len < INET_LENGTH || untrusted_len > PVCALLS_ADDRESS_SIZE)
                return -EINVAL;
        if ((untrusted_addr[0] | untrusted_addr[1] << 8) != FAMILY_INET)
                return -EAFNOSUPPORT;
        memcpy(&address.sin_port, untrusted_addr + 2, sizeof address.sin_port);
        memcpy(&address.sin_addr, untrusted_addr + 4, sizeof address.sin_addr);
        *ret_address = address;
        return 0;
}

uint32_t pvcalls_address_format(const struct sockaddr_in *address, uint8_t ret_addr[PVCALLS_ADDRESS_SIZE]) {
        memset(ret_addr, 0, PVCALLS_ADDRESS_SIZE);
        ret_addr[0] = FAMILY_INET;
        memcpy(ret_addr + 2, &address->sin_port, sizeof address->sin_port);
        memcpy(ret_addr + 4, &address->sin_addr, sizeof address->sin_addr);
        return INET_LENGTH;
}
