/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Both ends of an event channel for tests; see test-channel.h. */

#include "test-channel.h"

#include <sys/mman.h>
#include <unistd.h>

#include "client.h"

void ends_open(struct channel_ends *ends, struct test_hypervisor *hypervisor) {
        struct emu_evtchn_remote remotes[] = { { .domid = 2 }, { .domid = 1 } };
        int fds[EMU_PORT_FDS], r;

        for (uint32_t i = 0; i < 2; i++) {
                test_hypervisor_enter(hypervisor, i + 1);
                ends->connections[i] = emu_connect(g_getenv("XENEMU_SOCKET"), 1);
                r = emu_call(ends->connections[i], i == 0 ? EMU_EVTCHN_ALLOC_UNBOUND : EMU_EVTCHN_BIND_INTERDOMAIN, &remotes[i],
                             sizeof remotes[i], &ends->ports[i], sizeof ends->ports[i], fds, EMU_PORT_FDS);
                g_assert_cmpint(r, ==, 0);
                remotes[1].port = ends->ports[0].port;
                if (i == 0)
                        ends->page = mmap(NULL, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[EMU_PORT_FD_PAGE], 0);
                for (size_t j = 0; j < EMU_PORT_FDS; j++)
                        close(fds[j]);
        }
        ends->page->word[ends->ports[1].side] = 0;      /* the event of binding */
}

void ends_close(struct channel_ends *ends) {
        close(ends->connections[0]);
        close(ends->connections[1]);
        munmap(ends->page, EMU_PAGE_SIZE);
}
