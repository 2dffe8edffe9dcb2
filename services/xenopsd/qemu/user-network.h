/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QEMU's own network: what its monitor's "info usernet" tells of the connections in it, and of the host's ports that are forwarded. */

#include "addresses.h"

#define USER_NETWORK_HOST "127.0.0.1"   /* where ports are forwarded from */

/* The addresses that guests talk from: adds those of interfaces that the facts know. */
void user_network_read(const char *untrusted_text, const struct facts *facts, struct addresses *addresses);

/* A port of the host that is forwarded, the first one, and the interface by which: a buffer of QEMU_ID_SIZE. false: there is none. */
bool user_network_find_forward(const char *untrusted_text, char *ret_interface, uint16_t *ret_port);

/* What has become of a connection to a port of the host that is forwarded. */
enum user_network_connection {
        USER_NETWORK_NO_CONNECTION,     /* QEMU has not taken it yet, or it is over */
        USER_NETWORK_CONNECTING,        /* the guest has not answered */
        USER_NETWORK_CONNECTED,
};

enum user_network_connection user_network_find_connection(const char *untrusted_text, const char *interface, uint16_t port);
