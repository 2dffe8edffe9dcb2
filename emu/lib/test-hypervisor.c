/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A hypervisor for tests, in a thread; see test-hypervisor.h. */

#include "test-hypervisor.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "handle.h"
#include "hypercall.h"

#define CLIENTS_MAX 64

struct client {
        int fd;
        struct handle *handle;
};

struct test_hypervisor {
        pthread_t thread;
        pthread_mutex_t lock;
        int stop;
        char *directory;
        char *paths[TEST_DOMAINS];
        int listeners[TEST_DOMAINS];
        struct domain_table table;
        struct domain *domains[TEST_DOMAINS];
        struct client clients[CLIENTS_MAX];
        size_t n_clients;
};

static void answer(int fd, int result, const struct reply *reply) {
        struct emu_reply header = { .result = result, .n_fds = reply->n_fds };
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * EMU_FDS_MAX)];
        } control = {};
        struct iovec iov[] = { { &header, sizeof header }, { (void *) reply->body, reply->n_body } };
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };

        if (reply->n_fds > 0) {
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * reply->n_fds);
                control.header = (struct cmsghdr) { CMSG_LEN(sizeof(int) * reply->n_fds), SOL_SOCKET, SCM_RIGHTS };
                memcpy(CMSG_DATA(&control.header), reply->fds, sizeof(int) * reply->n_fds);
        }
        g_assert_cmpint(sendmsg(fd, &message, MSG_NOSIGNAL), >, 0);
}

static void greet(int fd, uint32_t domid) {
        struct {
                struct emu_request request;
                struct emu_hello hello;
        } packet;
        struct emu_hello hello = { .version = EMU_PROTOCOL_VERSION, .domid = domid };
        struct reply reply = { .n_body = sizeof hello };

        g_assert_cmpint(recv(fd, &packet, sizeof packet, 0), ==, sizeof packet);
        g_assert_cmpuint(packet.request.op, ==, EMU_HELLO);
        memcpy(reply.body, &hello, sizeof hello);
        answer(fd, 0, &reply);
}

static void accept_client(struct test_hypervisor *hypervisor, uint32_t domid) {
        struct client *client = &hypervisor->clients[hypervisor->n_clients++];

        g_assert_cmpuint(hypervisor->n_clients, <=, CLIENTS_MAX);
        client->fd = accept4(hypervisor->listeners[domid], NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(client->fd, >=, 0);
        g_assert_cmpint(handle_new(hypervisor->domains[domid], &client->handle), ==, 0);
        greet(client->fd, domid);
}

static bool is_posted(const void *packet, size_t n) {
        struct emu_request request = {};

        memcpy(&request, packet, n < sizeof request ? n : sizeof request);
        return emu_request_is_posted(&request);
}

/* Does what clients have posted, before somebody is answered who may know of it. */
static void do_posted(struct test_hypervisor *hypervisor) {
        uint8_t packet[EMU_REQUEST_MAX];
        struct reply reply = {};
        ssize_t n;

        for (size_t i = 0; i < hypervisor->n_clients; i++) {
                struct client *client = &hypervisor->clients[i];

                while ((n = recv(client->fd, packet, sizeof packet, MSG_PEEK | MSG_DONTWAIT)) > 0 && is_posted(packet, (size_t) n)) {
                        g_assert_cmpint(hypercall(client->handle, packet, n, &reply), ==, 0);
                        g_assert_cmpint(recv(client->fd, packet, sizeof packet, 0), ==, n);
                }
        }
}

/* Returns false when the client has left. */
static bool serve(struct test_hypervisor *hypervisor, struct client *client) {
        uint8_t packet[EMU_REQUEST_MAX];
        struct reply reply = {};
        ssize_t n;
        int r;

        n = recv(client->fd, packet, sizeof packet, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)   /* done for another client */
                return true;
        if (n <= 0) {
                handle_free(client->handle);
                close(client->fd);
                client->fd = -1;
                return false;
        }
        if (is_posted(packet, (size_t) n)) {
                g_assert_cmpint(hypercall(client->handle, packet, n, &reply), ==, 0);
                return true;
        }
        do_posted(hypervisor);
        r = hypercall(client->handle, packet, n, &reply);
        answer(client->fd, r, &reply);
        return true;
}

static void serve_all(struct test_hypervisor *hypervisor, const struct pollfd *fds) {
        size_t n_left = 0, n_before = hypervisor->n_clients;

        for (size_t i = 0; i < n_before; i++)
                if (!fds[i].revents || serve(hypervisor, &hypervisor->clients[i]))
                        hypervisor->clients[n_left++] = hypervisor->clients[i];
        hypervisor->n_clients = n_left;
}

/* Does what there is to do within timeout. Returns whether there was anything. */
static bool step(struct test_hypervisor *hypervisor, int timeout) {
        struct pollfd fds[CLIENTS_MAX + TEST_DOMAINS + 1];
        size_t n = hypervisor->n_clients;

        for (size_t i = 0; i < n; i++)
                fds[i] = (struct pollfd) { .fd = hypervisor->clients[i].fd, .events = POLLIN };
        for (size_t i = 0; i < TEST_DOMAINS; i++)
                fds[n + i] = (struct pollfd) { .fd = hypervisor->listeners[i], .events = POLLIN };
        fds[n + TEST_DOMAINS] = (struct pollfd) { .fd = hypervisor->stop, .events = POLLIN };
        if (poll(fds, n + TEST_DOMAINS + 1, timeout) <= 0 || fds[n + TEST_DOMAINS].revents)
                return false;

        serve_all(hypervisor, fds);
        for (size_t i = 0; i < TEST_DOMAINS; i++)
                if (fds[n + i].revents)
                        accept_client(hypervisor, i);
        return true;
}

static void *run(void *userdata) {
        struct test_hypervisor *hypervisor = userdata;
        struct pollfd stop = { .fd = hypervisor->stop, .events = POLLIN };

        while (poll(&stop, 1, 0) == 0) {
                pthread_mutex_lock(&hypervisor->lock);
                step(hypervisor, 1);
                pthread_mutex_unlock(&hypervisor->lock);
        }
        return NULL;
}

static void open_domain(struct test_hypervisor *hypervisor, uint32_t domid) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        uint8_t uuid[16] = { 0xd0, 0, 0, 0, (uint8_t) domid };

        g_assert_cmpint(domain_new(&hypervisor->table, uuid, 0, &(struct emu_limits) {}, &hypervisor->domains[domid]), ==, 0);
        g_assert_cmpuint(hypervisor->domains[domid]->domid, ==, domid);

        hypervisor->paths[domid] = g_strdup_printf("%s/dom%u", hypervisor->directory, domid);
        g_strlcpy(address.sun_path, hypervisor->paths[domid], sizeof address.sun_path);
        hypervisor->listeners[domid] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(hypervisor->listeners[domid], (struct sockaddr *) &address, sizeof address), ==, 0);
        g_assert_cmpint(listen(hypervisor->listeners[domid], CLIENTS_MAX), ==, 0);
}

struct test_hypervisor *test_hypervisor_start(void) {
        struct test_hypervisor *hypervisor = g_new0(struct test_hypervisor, 1);

        hypervisor->stop = eventfd(0, EFD_CLOEXEC);
        hypervisor->directory = g_dir_make_tmp("xcpbus-test-XXXXXX", NULL);
        pthread_mutex_init(&hypervisor->lock, NULL);
        domain_table_init(&hypervisor->table, EMU_DOMID_FIRST_RESERVED);
        for (uint32_t i = 0; i < TEST_DOMAINS; i++)
                open_domain(hypervisor, i);
        g_assert_cmpint(pthread_create(&hypervisor->thread, NULL, run, hypervisor), ==, 0);
        return hypervisor;
}

void test_hypervisor_stop(struct test_hypervisor *hypervisor) {
        g_assert_cmpint(eventfd_write(hypervisor->stop, 1), ==, 0);
        pthread_join(hypervisor->thread, NULL);

        for (size_t i = 0; i < hypervisor->n_clients; i++) {
                handle_free(hypervisor->clients[i].handle);
                close(hypervisor->clients[i].fd);
        }
        for (uint32_t i = 0; i < TEST_DOMAINS; i++) {
                domain_free(hypervisor->domains[i]);
                close(hypervisor->listeners[i]);
                unlink(hypervisor->paths[i]);
                g_free(hypervisor->paths[i]);
        }
        domain_table_done(&hypervisor->table);
        rmdir(hypervisor->directory);
        g_free(hypervisor->directory);
        close(hypervisor->stop);
        pthread_mutex_destroy(&hypervisor->lock);
        g_free(hypervisor);
}

void test_hypervisor_enter(struct test_hypervisor *hypervisor, uint32_t domid) {
        g_setenv("XENEMU_SOCKET", hypervisor->paths[domid], TRUE);
}

struct domain test_hypervisor_domain(struct test_hypervisor *hypervisor, uint32_t domid) {
        struct domain copy;

        pthread_mutex_lock(&hypervisor->lock);
        while (step(hypervisor, 0))
                ;
        copy = *hypervisor->domains[domid];
        pthread_mutex_unlock(&hypervisor->lock);
        return copy;
}

void test_hypervisor_raise_virq(struct test_hypervisor *hypervisor, uint32_t domid, uint32_t virq) {
        pthread_mutex_lock(&hypervisor->lock);
        event_raise_virq(hypervisor->domains[domid], virq);
        pthread_mutex_unlock(&hypervisor->lock);
}
