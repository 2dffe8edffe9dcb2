/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * xenemu-guest: the kernel of one emulated domain.
 *
 * It is started by xenemud, for an isolated domain as the first process of new namespaces, which it furnishes. Then it serves the
 * domain's xenbus node until the hypervisor is gone or kills it. The domain's programs are not its children: they enter from outside.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "boot.h"
#include "log.h"
#include "namespace.h"
#include "xenbus-relay.h"

struct kernel {
        sd_event *event;
        struct event_port port;
        struct xenstore_domain_interface *page;
        struct xenbus_relay *relay;
};

/* The hypervisor never says anything after the boot packet: this is its end. */
static int on_hypervisor(sd_event_source *source, int fd, uint32_t events, void *data) {
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* Ends by the hypervisor's end or SIGKILL only: what interrupts a terminal's programs must not take their domain away. */
static void ignore_signals(void) {
        signal(SIGHUP, SIG_IGN);
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGCHLD, SIG_IGN); /* orphans of the PID namespace become ours, and with this the kernel reaps them */
}

static int map_store_page(struct kernel *kernel, int fd) {
        void *page = mmap(NULL, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        close(fd);
        if (page == MAP_FAILED)
                return -errno;
        kernel->page = page;
        return 0;
}

static int kernel_start(struct kernel *kernel, const struct emu_guest_boot *boot, const int fds[EMU_GUEST_FDS]) {
        int r;

        r = map_store_page(kernel, fds[EMU_GUEST_FD_STORE_RING]);
        if (r < 0)
                return r;
        r = event_port_open(&kernel->port, fds[EMU_GUEST_FD_CHANNEL_PAGE], fds[EMU_GUEST_FD_RECEIVE], fds[EMU_GUEST_FD_SEND]);
        if (r < 0)
                return r;
        r = sd_event_new(&kernel->event);
        if (r < 0)
                return r;
        r = sd_event_add_io(kernel->event, NULL, EMU_GUEST_SOCKET_FD, EPOLLIN, on_hypervisor, NULL);
        if (r < 0)
                return r;
        return xenbus_relay_new(&kernel->relay, kernel->event, kernel->page, &kernel->port, fds[EMU_GUEST_FD_XENBUS], boot->domid == 0);
}

/* Brings the domain up. On failure text says what could not be done. */
static int bring_up(struct kernel *kernel, const struct emu_guest_boot *boot, const int fds[EMU_GUEST_FDS], char *text, size_t n_text) {
        int r;

        log_set_domain(boot->domid);
        if (chdir("/") < 0)
                return -errno;
        if (boot->flags & EMU_DOMAIN_ISOLATED) {
                r = namespace_isolate(boot, text, n_text);
                if (r < 0)
                        return r;
        }
        r = kernel_start(kernel, boot, fds);
        if (r < 0)
                snprintf(text, n_text, "cannot start the xenbus relay: %s", strerror(-r));
        return r;
}

static void kernel_stop(struct kernel *kernel) {
        xenbus_relay_free(kernel->relay);
        event_port_close(&kernel->port);
        munmap(kernel->page, EMU_PAGE_SIZE);
        sd_event_unref(kernel->event);
}

int main(void) {
        static struct emu_guest_boot boot;
        struct kernel kernel = {};
        char text[EMU_TEXT_MAX] = "";
        int fds[EMU_GUEST_FDS], r;

        ignore_signals();
        r = boot_receive(EMU_GUEST_SOCKET_FD, &boot, fds);
        if (r < 0) {
                log_line("cannot receive the boot packet on descriptor %d: %s (xenemu-guest is started by xenemud only)",
                         EMU_GUEST_SOCKET_FD, strerror(-r));
                boot_answer(EMU_GUEST_SOCKET_FD, r, "the boot packet is not understood");
                return 1;
        }

        r = bring_up(&kernel, &boot, fds, text, sizeof text);
        boot_answer(EMU_GUEST_SOCKET_FD, r, text); /* if the hypervisor is gone meanwhile, the loop ends at once */
        if (r < 0) {
                log_line("domain not started: %s", text);
                return 1;
        }

        r = sd_event_loop(kernel.event);
        if (r < 0)
                log_line("event loop failed: %s", strerror(-r));
        kernel_stop(&kernel);
        return r < 0;
}
