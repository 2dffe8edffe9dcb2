/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program itself: Debian's libxenstore as its clients, a toy xenstored behind it, and the namespaces of an isolated domain. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenstore.h>

#include "test-harness.h"
#include "xenbus-mux.h"

#define ISOLATED (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)

static void set_up(struct harness *harness, gconstpointer data) {
        harness_init(harness, NULL);
        harness_start(harness, 0);
        g_assert_cmpstr(harness->ready.text, ==, "");
        g_assert_cmpint(harness->ready.result, ==, 0);
}

static void tear_down(struct harness *harness, gconstpointer data) {
        harness_deinit(harness);
}

static void expect_read(struct xs_handle *xs, xs_transaction_t transaction, const char *path) {
        g_autofree char *value = NULL;
        unsigned n;

        value = xs_read(xs, transaction, path, &n);
        g_assert_cmpstr(value, ==, path);
}

static void expect_event(struct xs_handle *xs, const char *path, const char *token) {
        unsigned n;
        char **event = xs_read_watch(xs, &n);

        g_assert_nonnull(event);
        g_assert_cmpstr(event[XS_WATCH_PATH], ==, path);
        g_assert_cmpstr(event[XS_WATCH_TOKEN], ==, token);
        free(event);
}

static struct xs_handle *client_open(void) {
        struct xs_handle *xs = xs_open(0);

        g_assert_nonnull(xs);
        return xs;
}

static int connect_raw(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_strlcpy(address.sun_path, g_getenv("XENSTORED_PATH"), sizeof address.sun_path);
        if (connect(fd, (struct sockaddr *) &address, sizeof address) == 0)
                return fd;
        close(fd);
        return -1;
}

static bool is_closed(int fd, int timeout) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char byte;

        return poll(&p, 1, timeout) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static void test_waits_for_introduction(struct harness *harness, gconstpointer data) {
        const struct xsd_sockmsg read_x = { .type = XS_READ, .req_id = 1, .len = 2 };
        struct pollfd p = { .fd = connect_raw(), .events = POLLIN };

        g_assert_cmpint(send(p.fd, &read_x, sizeof read_x, 0), ==, sizeof read_x);
        g_assert_cmpint(send(p.fd, "x", 2, 0), ==, 2);
        g_assert_cmpint(poll(&p, 1, 50), ==, 0);
        g_assert_cmpuint(harness->page->req_prod, ==, 0);
        harness_introduce(harness);
        g_assert_cmpint(poll(&p, 1, 60000), ==, 1);
        close(p.fd);
}

static void test_libxenstore(struct harness *harness, gconstpointer data) {
        struct xs_handle *a, *b;
        xs_transaction_t transaction;

        harness_introduce(harness);
        a = client_open();
        b = client_open();
        expect_read(a, XBT_NULL, "a");
        g_assert_null(xs_read(a, XBT_NULL, "missing", NULL));
        g_assert_cmpint(errno, ==, ENOENT);

        transaction = xs_transaction_start(a);
        g_assert_cmpuint(transaction, !=, XBT_NULL);
        expect_read(a, transaction, "a");
        g_assert_null(xs_read(b, transaction, "a", NULL));
        g_assert_cmpint(errno, ==, ENOENT);
        g_assert_true(xs_transaction_end(a, transaction, false));

        g_assert_true(xs_watch(a, "path", "token"));
        expect_event(a, "path", "token");
        g_assert_true(xs_watch(b, "path", "token"));
        expect_event(b, "path", "token");
        g_assert_true(xs_write(b, XBT_NULL, "path", "value", 5));
        expect_event(a, "path", "token");
        expect_event(b, "path", "token");
        g_assert_true(xs_unwatch(a, "path", "token"));
        g_assert_true(xs_unwatch(a, "path", "token"));
        xs_close(a);
        xs_close(b);
        harness_await_store(harness, 0, 0);
}

static void test_killed_client(struct harness *harness, gconstpointer data) {
        pid_t pid;

        harness_introduce(harness);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                struct xs_handle *xs = client_open();

                for (int i = 0; i < 10; i++) {
                        g_assert_true(xs_watch(xs, "path", "token"));
                        g_assert_cmpuint(xs_transaction_start(xs), !=, XBT_NULL);
                }
                for (;;)
                        pause();
        }
        harness_await_store(harness, 10, 10);
        kill(pid, SIGKILL);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        harness_await_store(harness, 0, 0);
}

static void test_too_many_clients(struct harness *harness, gconstpointer data) {
        int fds[XENBUS_MUX_CLIENTS_MAX], more;
        struct xs_handle *xs;

        harness_introduce(harness);
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                fds[i] = connect_raw();
                g_assert_cmpint(fds[i], >=, 0);
        }
        more = connect_raw();
        g_assert_cmpint(more, >=, 0);
        g_assert_true(is_closed(more, 60000));
        close(more);
        g_assert_false(is_closed(fds[0], 0));
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                close(fds[i]);

        for (;;) { /* until those that are closed are known to be */
                g_autofree char *value = NULL;

                xs = client_open();
                value = xs_read(xs, XBT_NULL, "again", NULL);
                xs_close(xs);
                if (value)
                        break;
        }
}

/* One client asks without ever reading; the other does not notice. */
static void test_client_that_does_not_read(struct harness *harness, gconstpointer data) {
        static char message[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
        const struct xsd_sockmsg header = { .type = XS_READ, .len = XENSTORE_PAYLOAD_MAX };
        struct xs_handle *xs;
        int fd;

        harness_introduce(harness);
        memset(message, 'x', sizeof message);
        memcpy(message, &header, sizeof header);
        fd = connect_raw();
        for (int i = 0; i < 100; i++) {
                while (send(fd, message, sizeof message, MSG_DONTWAIT) == (ssize_t) sizeof message)
                        ;
                g_usleep(1000);
        }
        xs = client_open();
        for (int i = 0; i < 100; i++)
                expect_read(xs, XBT_NULL, "other");
        xs_close(xs);
        close(fd);
}

static void test_index_out_of_range(struct harness *harness, gconstpointer data) {
        int fd;

        harness_introduce(harness);
        fd = connect_raw();
        g_assert_cmpint(fd, >=, 0);
        __atomic_store_n(&harness->page->rsp_prod, harness->page->rsp_cons + XENSTORE_RING_SIZE + 1, __ATOMIC_SEQ_CST);
        channel_notify(&harness->channel->word[0], harness->fds[EMU_GUEST_FD_RECEIVE]);
        g_assert_true(is_closed(fd, 60000));
        close(fd);
        g_assert_cmpint(connect_raw(), <, 0);
        g_assert_cmpint(errno, ==, ECONNREFUSED);
        g_assert_cmpint(harness_stop(harness), ==, 0); /* the domain itself lives on until its hypervisor ends */
}

static void test_error_of_the_store(struct harness *harness, gconstpointer data) {
        int fd;

        harness_introduce(harness);
        fd = connect_raw();
        __atomic_store_n(&harness->page->error, XENSTORE_ERROR_PROTO, __ATOMIC_SEQ_CST);
        channel_notify(&harness->channel->word[0], harness->fds[EMU_GUEST_FD_RECEIVE]);
        g_assert_true(is_closed(fd, 60000));
        close(fd);
}

static void test_ends_with_its_hypervisor(struct harness *harness, gconstpointer data) {
        kill(harness->pid, SIGTERM);
        kill(harness->pid, SIGINT);
        g_usleep(10000);
        g_assert_cmpint(waitpid(harness->pid, NULL, WNOHANG), ==, 0);
        g_assert_cmpint(harness_stop(harness), ==, 0);
}

static void test_domain_0_needs_no_introduction(void) {
        struct harness harness;

        harness_init(&harness, NULL);
        harness.boot.domid = 0;
        harness_start(&harness, 0);
        g_assert_cmpint(harness.ready.result, ==, 0);
        g_assert_cmpuint(harness.page->connection, ==, XENSTORE_CONNECTED);
        harness_deinit(&harness);
}

static void test_bad_boot_packet(void) {
        struct harness harness;

        harness_init(&harness, NULL);
        memset(harness.boot.run_dir, 'x', sizeof harness.boot.run_dir);
        harness_start(&harness, 0);
        g_assert_cmpint(harness.ready.result, ==, -EPROTO);
        g_assert_cmpint(harness_stop(&harness), ==, W_EXITCODE(1, 0));
        harness_deinit(&harness);
}

static bool skipped_without_root(void) {
        if (geteuid() == 0)
                return false;
        g_test_skip("isolated domains need root");
        return true;
}

static void expect_entries(const char *path, const char *only) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

        g_assert_nonnull(directory);
        g_assert_cmpstr(g_dir_read_name(directory), ==, only);
        g_assert_null(g_dir_read_name(directory));
}

static void expect_loopback_up(void) {
        struct ifreq request = { .ifr_name = "lo" };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(ioctl(fd, SIOCGIFFLAGS, &request), ==, 0);
        g_assert_true(request.ifr_flags & IFF_UP);
        close(fd);
}

/* Runs check in the domain, as a program that is entered from outside. */
static void in_domain(struct harness *harness, void (*check)(struct harness *)) {
        int pidfd = syscall(SYS_pidfd_open, harness->pid, 0), status;
        pid_t pid = fork();

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                pid_t inner;

                g_assert_cmpint(setns(pidfd, ISOLATED), ==, 0);
                inner = fork(); /* setns() into a PID namespace is for children */
                if (inner == 0) {
                        check(harness);
                        _exit(0);
                }
                g_assert_cmpint(waitpid(inner, &status, 0), ==, inner);
                _exit(status != 0);
        }
        close(pidfd);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
}

static void check_isolated(struct harness *harness) {
        g_autofree char *name = NULL;
        struct utsname host;
        gsize n;

        g_assert_cmpint(uname(&host), ==, 0);
        g_assert_cmpstr(host.nodename, ==, "dom5");
        expect_loopback_up();
        expect_entries(harness->run_dir, "dom5");
        expect_entries("/run", NULL);
        g_assert_true(g_file_test(g_getenv("XENSTORED_PATH"), G_FILE_TEST_EXISTS));
        g_assert_true(g_file_get_contents("/proc/1/comm", &name, &n, NULL));
        g_assert_cmpstr(name, ==, "xenemu-guest\n");
}

static void test_isolated(void) {
        struct harness harness;
        struct xs_handle *xs;

        if (skipped_without_root())
                return;
        harness_init(&harness, NULL);
        harness.boot.flags = EMU_DOMAIN_ISOLATED;
        harness_start(&harness, ISOLATED);
        g_assert_cmpstr(harness.ready.text, ==, "");
        in_domain(&harness, check_isolated);
        harness_introduce(&harness);
        xs = client_open();
        expect_read(xs, XBT_NULL, "path");
        xs_close(xs);
        harness_deinit(&harness);
}

static void check_kept(struct harness *harness) {
        g_autofree char *parent = g_path_get_dirname(harness->run_dir), *marker = g_build_filename(parent, "marker", NULL);

        expect_entries(harness->run_dir, "dom5");
        g_assert_true(g_file_test(marker, G_FILE_TEST_EXISTS));
}

static void test_kept_directory_does_not_bring_the_run_directory_back(void) {
        g_autofree char *parent = NULL, *marker = NULL;
        struct harness harness;

        if (skipped_without_root())
                return;
        parent = g_dir_make_tmp("xenemu-guest-XXXXXX", NULL);
        marker = g_build_filename(parent, "marker", NULL);
        g_assert_true(g_file_set_contents(marker, "", 0, NULL));
        harness_init(&harness, parent);
        harness.boot.flags = EMU_DOMAIN_ISOLATED;
        harness.boot.n_keep = 1;
        g_strlcpy(harness.boot.keep[0], parent, sizeof harness.boot.keep[0]);
        harness_start(&harness, ISOLATED);
        g_assert_cmpstr(harness.ready.text, ==, "");
        in_domain(&harness, check_kept);
        harness_deinit(&harness);
        g_remove(marker);
        g_rmdir(parent);
}

static void test_failure_names_step_and_path(void) {
        struct harness harness;

        if (skipped_without_root())
                return;
        harness_init(&harness, NULL);
        harness.boot.flags = EMU_DOMAIN_ISOLATED;
        harness.boot.n_keep = 1;
        g_strlcpy(harness.boot.keep[0], "/nowhere/at/all", sizeof harness.boot.keep[0]);
        harness_start(&harness, ISOLATED);
        g_assert_cmpint(harness.ready.result, ==, -ENOENT);
        g_assert_cmpstr(harness.ready.text, ==, "cannot find /nowhere/at/all: No such file or directory");
        harness_deinit(&harness);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/xenemu-guest/" path, struct harness, NULL, set_up, test, tear_down)
        add("waits-for-introduction", test_waits_for_introduction);
        add("libxenstore", test_libxenstore);
        add("killed-client-leaves-nothing", test_killed_client);
        add("too-many-clients-are-closed", test_too_many_clients);
        add("client-that-does-not-read", test_client_that_does_not_read);
        add("index-out-of-range-stops-the-relay", test_index_out_of_range);
        add("error-of-the-store-stops-the-relay", test_error_of_the_store);
        add("ends-with-its-hypervisor", test_ends_with_its_hypervisor);
        g_test_add_func("/xenemu-guest/domain-0-needs-no-introduction", test_domain_0_needs_no_introduction);
        g_test_add_func("/xenemu-guest/bad-boot-packet", test_bad_boot_packet);
        g_test_add_func("/xenemu-guest/isolated", test_isolated);
        g_test_add_func("/xenemu-guest/kept-directory-does-not-bring-the-run-directory-back",
                        test_kept_directory_does_not_bring_the_run_directory_back);
        g_test_add_func("/xenemu-guest/failure-names-step-and-path", test_failure_names_step_and_path);
        return g_test_run();
}
