/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The two packets that the hypervisor and a domain's kernel exchange (protocol.h, "The other direction"). */

#include "protocol.h"

/* Waits for the packet. Returns 0 and the descriptors, or a negative errno: -EPROTO if it is not such a packet, -EPIPE at its end. */
int boot_receive(int fd, struct emu_guest_boot *ret_boot, int ret_fds[EMU_GUEST_FDS]);

/* Answers that the domain is up (result 0), or what could not be done. Returns 0 or a negative errno. */
int boot_answer(int fd, int result, const char *text);
