/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test-harness.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* xenstored's side of the ring: with indexes it trusts, because this is a test of the other side. */
static bool serve_requests(struct harness *harness) {
        uint32_t prod = __atomic_load_n(&harness->page->req_prod, __ATOMIC_SEQ_CST), cons = harness->page->req_cons;
        bool moved = cons != prod;

        for (; cons != prod; cons++)
                toy_store_feed(harness->store, &harness->page->req[MASK_XENSTORE_IDX(cons)], 1);
        __atomic_store_n(&harness->page->req_cons, cons, __ATOMIC_SEQ_CST);
        return moved;
}

static bool serve_replies(struct harness *harness) {
        uint32_t prod = harness->page->rsp_prod, cons = __atomic_load_n(&harness->page->rsp_cons, __ATOMIC_SEQ_CST);
        size_t n, n_done = 0;
        const void *data;

        byte_queue_front(&harness->store->out, &data, &n);
        for (; n_done < n && prod - cons < XENSTORE_RING_SIZE; n_done++)
                harness->page->rsp[MASK_XENSTORE_IDX(prod++)] = ((const char *) data)[n_done];
        if (n_done == 0)
                return false;
        byte_queue_consume(&harness->store->out, n_done);
        __atomic_store_n(&harness->page->rsp_prod, prod, __ATOMIC_SEQ_CST);
        return true;
}

static void notify(struct harness *harness) {
        channel_notify(&harness->channel->word[0], harness->fds[EMU_GUEST_FD_RECEIVE]);
}

static void *serve(void *data) {
        struct harness *harness = data;
        struct pollfd polls[] = {
                { .fd = harness->fds[EMU_GUEST_FD_SEND], .events = POLLIN },
                { .fd = harness->stop_fd, .events = POLLIN },
        };
        uint64_t n;

        while (polls[1].revents == 0) {
                g_mutex_lock(&harness->lock);
                while (serve_requests(harness) || serve_replies(harness))
                        notify(harness);
                g_mutex_unlock(&harness->lock);

                g_assert_cmpint(poll(polls, 2, -1), >, 0);
                if (polls[0].revents && read(polls[0].fd, &n, sizeof n) > 0 && channel_deliver(&harness->channel->word[1]))
                        channel_unmask(&harness->channel->word[1], harness->fds[EMU_GUEST_FD_SEND]);
        }
        return NULL;
}

static void *map_new_page(int *ret_fd) {
        void *page;

        *ret_fd = memfd_create("page", MFD_CLOEXEC);
        g_assert_cmpint(ftruncate(*ret_fd, EMU_PAGE_SIZE), ==, 0);
        page = mmap(NULL, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
        g_assert_true(page != MAP_FAILED);
        return page;
}

static int listen_at(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_assert_cmpuint(g_strlcpy(address.sun_path, path, sizeof address.sun_path), <, sizeof address.sun_path);
        g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
        g_assert_cmpint(listen(fd, 512), ==, 0);
        return fd;
}

void harness_init(struct harness *harness, const char *parent) {
        g_autofree char *own = NULL, *foreign = NULL, *path = NULL;

        *harness = (struct harness) { .pid = -1, .stop_fd = eventfd(0, EFD_CLOEXEC), .store = toy_store_new() };
        g_mutex_init(&harness->lock);
        harness->run_dir = parent ? g_build_filename(parent, "run", NULL) : g_dir_make_tmp("xenemu-guest-XXXXXX", NULL);
        own = g_build_filename(harness->run_dir, "dom5", NULL);
        foreign = g_build_filename(harness->run_dir, "dom6", NULL);
        path = g_build_filename(own, "xenbus", NULL);
        g_assert_cmpint(g_mkdir_with_parents(own, 0755), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(foreign, 0755), ==, 0);

        harness->page = map_new_page(&harness->fds[EMU_GUEST_FD_STORE_RING]);
        harness->channel = map_new_page(&harness->fds[EMU_GUEST_FD_CHANNEL_PAGE]);
        harness->fds[EMU_GUEST_FD_RECEIVE] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        harness->fds[EMU_GUEST_FD_SEND] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        harness->fds[EMU_GUEST_FD_XENBUS] = listen_at(path);
        harness->boot.domid = HARNESS_DOMID;
        g_strlcpy(harness->boot.run_dir, harness->run_dir, sizeof harness->boot.run_dir);
        setenv("XENSTORED_PATH", path, true); /* where libxenstore finds it */
}

static void send_boot(struct harness *harness) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof harness->fds)];
        } control = {};
        struct iovec bytes = { &harness->boot, sizeof harness->boot };
        struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };

        control.header = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof harness->fds) };
        memcpy(CMSG_DATA(&control.header), harness->fds, sizeof harness->fds);
        g_assert_cmpint(sendmsg(harness->socket_fd, &message, MSG_NOSIGNAL), ==, sizeof harness->boot);
}

void harness_start(struct harness *harness, int clone_flags) {
        const char *program = g_getenv("XENEMU_GUEST");
        int pair[2];

        g_assert_nonnull(program);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
        harness->socket_fd = pair[0];
        harness->pid = syscall(SYS_clone, clone_flags | SIGCHLD, NULL, NULL, NULL, 0);
        g_assert_cmpint(harness->pid, >=, 0);
        if (harness->pid == 0) {
                if (pair[1] == EMU_GUEST_SOCKET_FD ? fcntl(pair[1], F_SETFD, 0) == 0 : dup2(pair[1], EMU_GUEST_SOCKET_FD) >= 0)
                        execl(program, program, NULL);
                _exit(127);
        }
        close(pair[1]);
        send_boot(harness);
        g_assert_cmpint(recv(harness->socket_fd, &harness->ready, sizeof harness->ready, 0), ==, sizeof harness->ready);
}

void harness_introduce(struct harness *harness) {
        g_assert_cmpuint(harness->page->connection, ==, XENSTORE_RECONNECT);
        harness->page->req_cons = harness->page->req_prod = 0;
        harness->page->rsp_cons = harness->page->rsp_prod = 0;
        __atomic_store_n(&harness->page->connection, XENSTORE_CONNECTED, __ATOMIC_SEQ_CST);
        notify(harness);
        harness->thread = g_thread_new("xenstored", serve, harness);
}

void harness_await_store(struct harness *harness, unsigned n_watches, unsigned n_transactions) {
        for (unsigned i = 0; i < 60000; i++) {
                bool there;

                g_mutex_lock(&harness->lock);
                there = harness->store->n_watches == n_watches && harness->store->n_transactions == n_transactions;
                g_mutex_unlock(&harness->lock);
                if (there)
                        return;
                g_usleep(1000);
        }
        g_error("the store has %u watches and %u transactions, expected %u and %u", harness->store->n_watches,
                harness->store->n_transactions, n_watches, n_transactions);
}

int harness_stop(struct harness *harness) {
        int status;

        close(harness->socket_fd);
        g_assert_cmpint(waitpid(harness->pid, &status, 0), ==, harness->pid);
        harness->pid = -1;
        return status;
}

static void remove_below(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *entry = g_build_filename(path, name, NULL);

                remove_below(entry);
        }
        g_remove(path);
}

void harness_deinit(struct harness *harness) {
        if (harness->pid >= 0)
                harness_stop(harness);
        if (harness->thread) {
                channel_wake(harness->stop_fd);
                g_thread_join(harness->thread);
        }
        close(harness->stop_fd);
        for (size_t i = 0; i < EMU_GUEST_FDS; i++)
                close(harness->fds[i]);
        munmap(harness->page, EMU_PAGE_SIZE);
        munmap(harness->channel, EMU_PAGE_SIZE);
        toy_store_free(harness->store);
        g_mutex_clear(&harness->lock);
        remove_below(harness->run_dir);
        g_free(harness->run_dir);
}
