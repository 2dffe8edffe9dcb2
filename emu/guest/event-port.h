/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The domain's end of its event channel to xenstored (emu/protocol/channel.h; this end is side 0). */

#include <stdbool.h>

#include "channel.h"

struct event_port {
        struct channel_page *page;
        int receive_fd;
        int send_fd;
};

/* Maps the channel's page. The port takes the three descriptors over, whether it succeeds or not. Returns 0 or a negative errno. */
int event_port_open(struct event_port *port, int page_fd, int receive_fd, int send_fd);
void event_port_close(struct event_port *port);

/* Sends an event to xenstored. */
void event_port_notify(struct event_port *port);

/* After receive_fd became readable: takes the event. Until event_port_unmask(), further ones are only remembered. */
void event_port_take(struct event_port *port);
void event_port_unmask(struct event_port *port);

/* Makes receive_fd readable, so that the event loop comes back here. */
void event_port_wake(struct event_port *port);
