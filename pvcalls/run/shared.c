/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * SO_REUSEPORT: several listeners of one address. The backend binds an address once, so they share what it has of it: the first has the backend's
 * socket, the others have that one to lead them, and connections go to each in turn. When the first is closed, the next one leads.
 */

#include <errno.h>
#include <sys/socket.h>

#include "supervisor.h"

static bool wants_sharing(int fd) {
        int value = 0;
        socklen_t n = sizeof value;

        return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &n) == 0 && value;
}

void shared_begin(struct carried *carried, int fd) {
        carried->shares = wants_sharing(fd);
}

/* One that is bound to this address, and leads. */
static struct carried *find(struct supervisor *supervisor, const struct pvcalls_name *address) {
        for (unsigned i = 0; i < CARRIED_BUCKETS; i++)
                for (struct carried *carried = supervisor->by_watch[i]; carried; carried = carried->next_watch)
                        if ((carried->kind == CARRIED_BOUND || carried->kind == CARRIED_LISTENING) && carried->shares && carried->socket &&
                            pvcalls_name_equal(&carried->local, address))
                                return carried;
        return NULL;
}

int shared_join(struct supervisor *supervisor, int fd, const struct pvcalls_name *address) {
        struct carried *leader, *carried;
        int r;

        if (!wants_sharing(fd) || pvcalls_name_port(address) == 0 || !(leader = find(supervisor, address)))
                return 0;
        carried = carried_new(supervisor);
        if (!carried)
                return -ENOMEM;
        r = carried_adopt(carried, fd);
        carried->family = leader->family;
        carried->kind = CARRIED_BOUND;
        carried->local = *address;
        carried->local_known = carried->shares = true;
        if (r < 0) {
                carried_end(carried);
                return r;
        }
        carried->leader = leader;
        carried->next_follower = leader->followers;
        leader->followers = carried;
        return 1;
}

struct xcp_pvcalls_socket *shared_socket(const struct carried *carried) {
        return carried->leader ? carried->leader->socket : carried->socket;
}

static bool has_room(const struct carried *listener) {
        return listener->kind == CARRIED_LISTENING && !listener->dead && !listener->shut && listener->n_delivered < listener->backlog;
}

struct carried *shared_next(struct carried *leader) {
        struct carried *next = leader->turn ? leader->turn->next_follower : leader->followers;

        /* From the one behind the last whose turn it was, over the first (NULL is its place), and back to that one. */
        for (struct carried *listener = next;; listener = listener ? listener->next_follower : leader->followers) {
                if (has_room(listener ?: leader))
                        return listener ?: leader;
                if (listener == leader->turn)
                        return NULL;
        }
}

void shared_retry(struct carried *leader) {
        for (struct carried *follower = leader->followers, *next; follower; follower = next) {
                next = follower->next_follower;
                calls_retry(follower);
        }
}

/* The next leads, with the backend's socket. */
static void hand_over(struct carried *carried) {
        struct carried *next = carried->followers;

        next->socket = carried->socket;
        carried->socket = NULL;
        xcp_pvcalls_socket_set_userdata(next->socket, next);
        next->leader = next->turn = NULL;
        next->followers = next->next_follower;
        next->next_follower = NULL;
        for (struct carried *follower = next->followers; follower; follower = follower->next_follower)
                follower->leader = next;
        carried->followers = NULL;
}

struct carried *shared_leave(struct carried *carried) {
        struct carried *leader = carried->leader, **link;

        if (carried->followers && carried->socket) {
                leader = carried->followers;
                hand_over(carried);
                return leader;
        }
        if (!leader)
                return NULL;
        for (link = &leader->followers; *link != carried; link = &(*link)->next_follower)
                ;
        *link = carried->next_follower;
        leader->turn = NULL;
        carried->leader = NULL;
        return leader;
}
