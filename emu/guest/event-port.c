/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "event-port.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "protocol.h"

/* Writing to an eventfd fails only if it is none. */
static void complain(int r) {
        if (r < 0)
                log_line("cannot send an event to xenstored: errno %d", -r);
}

int event_port_open(struct event_port *port, int page_fd, int receive_fd, int send_fd) {
        void *page = mmap(NULL, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
        int r = page == MAP_FAILED ? -errno : 0;

        *port = (struct event_port) { .page = r < 0 ? NULL : page, .receive_fd = receive_fd, .send_fd = send_fd };
        close(page_fd);
        if (r < 0)
                event_port_close(port);
        return r;
}

void event_port_close(struct event_port *port) {
        if (port->page)
                munmap(port->page, EMU_PAGE_SIZE);
        close(port->receive_fd);
        close(port->send_fd);
        *port = (struct event_port) { .receive_fd = -1, .send_fd = -1 };
}

void event_port_notify(struct event_port *port) {
        complain(channel_notify(&port->page->word[1], port->send_fd));
}

void event_port_take(struct event_port *port) {
        uint64_t n;

        /* Its count says nothing; it may be empty already if xenstored's end was closed and cleared it. */
        if (read(port->receive_fd, &n, sizeof n) < 0 && errno != EAGAIN && errno != EINTR)
                log_line("cannot receive events from xenstored: errno %d", errno);
        channel_deliver(&port->page->word[0]);
}

void event_port_unmask(struct event_port *port) {
        complain(channel_unmask(&port->page->word[0], port->receive_fd));
}

void event_port_wake(struct event_port *port) {
        complain(channel_wake(port->receive_fd));
}
