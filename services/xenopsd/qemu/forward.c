/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "devices.h"
#include "user-network.h"
#include "watch.h"

#define COMMAND_SIZE 128u
#define TRIES_MAX 10u                   /* to have a port that nobody else takes meanwhile */
#define LOOK_MS 5u                      /* for the guest to answer, at first; */
#define LOOK_MAX_MS 200u                /* doubled from one look to the next */
#define CANCEL_MS 2000u                 /* for QEMU to forward no more; HYPERVISOR_CANCEL_MS is when it has to be done */

struct forward {
        char interface[QEMU_ID_SIZE], address[INET_ADDRSTRLEN];         /* address: empty for the one that QEMU gives a guest */
        uint16_t port, host_port;       /* host_port: 0 if none is forwarded */
        unsigned n_tries, look_ms;
        int fd;
};

struct forward *forward_free(struct forward *forward) {
        if (!forward)
                return NULL;
        if (forward->fd >= 0)
                close(forward->fd);
        free(forward);
        return NULL;
}

static struct json_object *command_line(const char *text) {
        return arguments_1("command-line", text);
}

/* The end: without a port that is forwarded. */

static void on_removed(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct forward *forward = action->forward;
        struct idl_error error = action->error;
        AUTO_CLOSE int fd = forward->fd;

        action->error = (struct idl_error) IDL_ERROR_NULL;
        forward->fd = -1;
        action->call->connection = fd;
        action_end(action, action->is_cancelled ? -ECANCELED : action->r, &error);
        idl_error_done(&error);
}

static void write_remove(const char *interface, uint16_t host_port, char *ret_text) {
        char netdev[QEMU_ID_SIZE];

        device_netdev(interface, netdev);
        snprintf(ret_text, COMMAND_SIZE, "hostfwd_remove %s tcp:" USER_NETWORK_HOST ":%u", netdev, (unsigned) host_port);
}

/* Whatever has become of it so far. */
static void clear_up(struct qemu_action *action) {
        struct forward *forward = action->forward;
        char text[COMMAND_SIZE];

        action_stop_waiting(action);
        write_remove(forward->interface, forward->host_port, text);
        action_execute(action, "human-monitor-command", command_line(text), -1, on_removed);
}

static void end_cancelled(struct qemu_action *action) {
        action_end(action, -ECANCELED, NULL);
}

/* A monitor that does not answer keeps nobody waiting: what it was told stands, and it will do so when it does again. */
static void on_cancel(struct qemu_action *action) {
        clear_up(action);
        action_wait(action, CANCEL_MS, end_cancelled);
}

static void fail(struct qemu_action *action, const char *why) {
        action->r = idl_error_set_backend_failed(&action->error, "qemu", action->what, why);
        clear_up(action);
}

/* The connection */

static void look(struct qemu_action *action);

static void fail_refused(struct qemu_action *action) {
        char id[16];

        snprintf(id, sizeof id, "%u", (unsigned) action->forward->port);
        action->r = idl_error_set_unreachable(&action->error, "port", id, "the guest does not take the connection");
        clear_up(action);
}

/* As other sockets are at first. */
static int make_blocking(int fd) {
        int flags = fcntl(fd, F_GETFL);

        return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

/* QEMU takes a connection from the host before the guest has, and ends it if that refuses. */
static void on_looked(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct forward *forward = action->forward;
        enum user_network_connection connection = USER_NETWORK_NO_CONNECTION;
        char byte;
        ssize_t n;

        if (r < 0) {
                fail(action, why);
                return;
        }
        if (json_object_is_type(value, json_type_string))
                connection = user_network_find_connection(json_object_get_string(value), forward->interface, forward->host_port);
        n = recv(forward->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
        if (n > 0 || (n < 0 && errno == EAGAIN && connection == USER_NETWORK_CONNECTED)) {
                action->r = make_blocking(forward->fd);
                clear_up(action);
        } else if (n == 0 || errno != EAGAIN)
                fail_refused(action);
        else {
                action_wait(action, forward->look_ms, look);
                forward->look_ms = forward->look_ms * 2 > LOOK_MAX_MS ? LOOK_MAX_MS : forward->look_ms * 2;
        }
}

static void look(struct qemu_action *action) {
        action_execute(action, "human-monitor-command", command_line("info usernet"), -1, on_looked);
}

static struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* What is typed is not to wait for more. */
static int connect_to(uint16_t port, int *ret_fd) {
        const struct sockaddr_in address = loopback(port);
        AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || (connect(fd, (const struct sockaddr *) &address, sizeof address) < 0 && errno != EINPROGRESS))
                return -errno;
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int) { 1 }, sizeof(int)) < 0)
                return -errno;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

/* The port */

static void add(struct qemu_action *action);

/* The monitor says nothing when it has done it. */
static void on_added(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct forward *forward = action->forward;
        const char *untrusted_words = r >= 0 && json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
        char words[HYPERVISOR_DETAIL_MAX];

        if (r < 0) {
                fail(action, why);
                return;
        }
        if (untrusted_words[0] && ++forward->n_tries < TRIES_MAX) {
                add(action);
                return;
        }
        if (untrusted_words[0]) {
                snprintf(words, sizeof words, "%.*s", (int) strcspn(untrusted_words, "\r\n"), untrusted_words);
                fail(action, words);
                return;
        }
        r = connect_to(forward->host_port, &forward->fd);
        if (r < 0)
                fail(action, strerrordesc_np(-r) ?: "it cannot be connected to");
        else
                look(action);
}

/* One that is free at this moment. QEMU would take 0 for any that is, but says not which: of two, nobody could tell whose is whose. */
static int pick_port(uint16_t *ret_port) {
        struct sockaddr_in address = loopback(0);
        socklen_t size = sizeof address;
        AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (const struct sockaddr *) &address, size) < 0 || getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                return -errno;
        *ret_port = ntohs(address.sin_port);
        return 0;
}

static void add(struct qemu_action *action) {
        struct forward *forward = action->forward;
        char netdev[QEMU_ID_SIZE], text[COMMAND_SIZE];
        int r;

        r = pick_port(&forward->host_port);
        if (r < 0) {
                action_fail(action, strerrordesc_np(-r) ?: "the host has no port");
                return;
        }
        device_netdev(forward->interface, netdev);
        snprintf(text, sizeof text, "hostfwd_add %s tcp:" USER_NETWORK_HOST ":%u-%s:%u", netdev, (unsigned) forward->host_port, forward->address,
                 (unsigned) forward->port);
        action_execute(action, "human-monitor-command", command_line(text), -1, on_added);
}

/* Where the guest was heard last, which need not be the address that QEMU has for it. */
static void find_address(const struct qemu_guest *guest, const char *mac, char *ret_address, size_t size) {
        const struct addresses *known = guest->watch ? watch_addresses(guest->watch) : &(const struct addresses) {};

        for (size_t i = 0; i < known->n; i++) {
                const struct address *address = known->list + i;

                if (address->source == XCP_ADDRESS_SOURCE_USER_NETWORK && strcmp(address->mac, mac) == 0 && !strchr(address->text, ':')) {
                        snprintf(ret_address, size, "%s", address->text);
                        return;
                }
        }
}

int forward_open_port(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec, uint16_t port,
                      struct idl_error *error) {
        struct qemu_action *action;
        struct forward *forward;
        int r;

        if (!device_is_user_network(spec))
                return idl_error_set_not_supported(error, "Connecting to a guest in a network that is not QEMU's own");
        r = action_begin(guest, call, "connect to the guest", &action);
        if (r < 0)
                return r;
        forward = action->forward = malloc(sizeof *forward);
        if (!forward) {
                action_free(action);
                return -ENOMEM;
        }
        *forward = (struct forward) { .port = port, .look_ms = LOOK_MS, .fd = -1 };
        snprintf(forward->interface, sizeof forward->interface, "%s", spec->name);
        find_address(guest, spec->mac, forward->address, sizeof forward->address);
        action->on_cancel = on_cancel;
        action_wait(action, 0, add);
        return 0;
}

/* What others left */

static bool is_ours(const struct qemu_guest *guest) {
        for (const struct qemu_action *action = guest->actions; action; action = action->next)
                if (action->forward)
                        return true;
        return false;
}

void forward_sweep(struct qemu_guest *guest, const char *untrusted_text) {
        char interface[QEMU_ID_SIZE], text[COMMAND_SIZE];
        uint16_t host_port;

        if (is_ours(guest) || !guest->qmp || !user_network_find_forward(untrusted_text, interface, &host_port))
                return;
        write_remove(interface, host_port, text);
        /* If it fails, it is seen again. */
        (void) qmp_execute(guest->qmp, "human-monitor-command", command_line(text), -1, NULL, NULL, NULL);
}
