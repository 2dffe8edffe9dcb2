/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests: both ends of an event channel, over bare connections. libxenevtchn, which wraps them, has a test of its own. */

#include "channel.h"
#include "test-hypervisor.h"

struct channel_ends {
        int connections[2];
        struct emu_port ports[2];
        struct channel_page *page;
};

/* A port of domain 1 for domain 2, bound and without an event. Enters domain 2. */
void ends_open(struct channel_ends *ends, struct test_hypervisor *hypervisor);
void ends_close(struct channel_ends *ends);
