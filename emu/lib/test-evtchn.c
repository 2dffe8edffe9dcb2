/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libxenevtchn, as its users see it, against the hypervisor's own logic. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xentoolcore.h>

#include "evtchn-fdinfo.h"
#include "evtchn-ports.h"
#include "test-hypervisor.h"

#define AFTER_EXEC "--after-exec"       /* EPOLL BOUND_PORT UNBOUND_PORT */

struct fixture {
        struct test_hypervisor *hypervisor;
        xenevtchn_handle *server, *client;      /* of domains 1 and 2 */
        int server_port, client_port;           /* one channel between them, no events left */
};

static xenevtchn_handle *open_in(struct test_hypervisor *hypervisor, uint32_t domid, unsigned int flags) {
        xenevtchn_handle *xce;

        test_hypervisor_enter(hypervisor, domid);
        xce = xenevtchn_open(NULL, flags);
        g_assert_nonnull(xce);
        return xce;
}

static void set_blocking(xenevtchn_handle *xce, bool blocking) {
        g_assert_cmpint(fcntl(xenevtchn_fd(xce), F_SETFL, blocking ? 0 : O_NONBLOCK), ==, 0);
}

static void assert_readable(xenevtchn_handle *xce, bool readable) {
        struct pollfd fd = { .fd = xenevtchn_fd(xce), .events = POLLIN };

        g_assert_cmpint(poll(&fd, 1, 0), ==, readable);
}

static void assert_event(xenevtchn_handle *xce, int port) {
        assert_readable(xce, true);
        g_assert_cmpint(xenevtchn_pending(xce), ==, port);
}

static void assert_no_event(xenevtchn_handle *xce) {
        assert_readable(xce, false);
        g_assert_cmpint(xenevtchn_pending(xce), ==, -1);
        g_assert_cmpint(errno, ==, EAGAIN);
}

static void set_up(struct fixture *fixture, const void *data) {
        fixture->hypervisor = test_hypervisor_start();
        fixture->server = open_in(fixture->hypervisor, 1, 0);
        fixture->client = open_in(fixture->hypervisor, 2, 0);
        set_blocking(fixture->server, false);
        set_blocking(fixture->client, false);

        fixture->server_port = xenevtchn_bind_unbound_port(fixture->server, 2);
        g_assert_cmpint(fixture->server_port, >, 0);
        fixture->client_port = xenevtchn_bind_interdomain(fixture->client, 1, fixture->server_port);
        g_assert_cmpint(fixture->client_port, >, 0);

        assert_event(fixture->client, fixture->client_port);    /* Xen sends one to who binds */
        g_assert_cmpint(xenevtchn_unmask(fixture->client, fixture->client_port), ==, 0);
}

static void tear_down(struct fixture *fixture, const void *data) {
        g_assert_cmpint(xenevtchn_close(fixture->server), ==, 0);
        g_assert_cmpint(xenevtchn_close(fixture->client), ==, 0);
        g_assert_cmpuint(test_hypervisor_domain(fixture->hypervisor, 1).ports.n_used, ==, 0);
        g_assert_cmpuint(test_hypervisor_domain(fixture->hypervisor, 2).ports.n_used, ==, 0);
        test_hypervisor_stop(fixture->hypervisor);
}

static void test_round_trip(struct fixture *fixture, const void *data) {
        for (int i = 0; i < 1000; i++) {
                g_assert_cmpint(xenevtchn_notify(fixture->server, fixture->server_port), ==, 0);
                assert_event(fixture->client, fixture->client_port);
                g_assert_cmpint(xenevtchn_unmask(fixture->client, fixture->client_port), ==, 0);

                g_assert_cmpint(xenevtchn_notify(fixture->client, fixture->client_port), ==, 0);
                assert_event(fixture->server, fixture->server_port);
                g_assert_cmpint(xenevtchn_unmask(fixture->server, fixture->server_port), ==, 0);
        }
        assert_no_event(fixture->server);
        assert_no_event(fixture->client);
}

static void test_masked(struct fixture *fixture, const void *data) {
        for (int i = 0; i < 3; i++)
                g_assert_cmpint(xenevtchn_notify(fixture->server, fixture->server_port), ==, 0);
        assert_event(fixture->client, fixture->client_port);
        assert_no_event(fixture->client);

        for (int i = 0; i < 3; i++)
                g_assert_cmpint(xenevtchn_notify(fixture->server, fixture->server_port), ==, 0);
        assert_no_event(fixture->client);
        g_assert_cmpint(xenevtchn_unmask(fixture->client, fixture->client_port), ==, 0);
        assert_event(fixture->client, fixture->client_port);
        g_assert_cmpint(xenevtchn_unmask(fixture->client, fixture->client_port), ==, 0);
        assert_no_event(fixture->client);
}

static void test_unknown_ports(struct fixture *fixture, const void *data) {
        const uint32_t ports[] = { 0, (uint32_t) fixture->client_port + 1, EVTCHN_PORTS_MAX - 1, EVTCHN_PORTS_MAX, UINT32_MAX };

        for (size_t i = 0; i < G_N_ELEMENTS(ports); i++) {
                g_assert_cmpint(xenevtchn_notify(fixture->client, ports[i]), ==, -1);
                g_assert_cmpint(errno, ==, ENOTCONN);
                g_assert_cmpint(xenevtchn_unmask(fixture->client, ports[i]), ==, 0);
                g_assert_cmpint(xenevtchn_unbind(fixture->client, ports[i]), ==, -1);
                g_assert_cmpint(errno, ==, ports[i] < EVTCHN_PORTS_MAX ? ENOTCONN : EINVAL);
        }
}

static void test_bind_errors(struct fixture *fixture, const void *data) {
        g_assert_cmpint(xenevtchn_bind_interdomain(fixture->client, 1, fixture->server_port), ==, -1);  /* bound already */
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_cmpint(xenevtchn_bind_interdomain(fixture->client, 77, 1), ==, -1);
        g_assert_cmpint(errno, ==, ESRCH);
        g_assert_cmpint(xenevtchn_bind_virq(fixture->client, 1000), ==, -1);
        g_assert_cmpint(errno, ==, EINVAL);
}

static void test_unbind(struct fixture *fixture, const void *data) {
        g_assert_cmpint(xenevtchn_notify(fixture->server, fixture->server_port), ==, 0);
        g_assert_cmpint(xenevtchn_unbind(fixture->client, fixture->client_port), ==, 0);
        assert_no_event(fixture->client);

        g_assert_cmpint(xenevtchn_notify(fixture->server, fixture->server_port), ==, 0); /* nobody is there: no error */
        assert_no_event(fixture->client);
        g_assert_cmpint(xenevtchn_notify(fixture->client, fixture->client_port), ==, -1);
        g_assert_cmpint(errno, ==, ENOTCONN);
}

static void test_close_of_peer(struct fixture *fixture, const void *data) {
        xenevtchn_close(fixture->client);
        test_hypervisor_domain(fixture->hypervisor, 2);
        g_assert_cmpint(xenevtchn_notify(fixture->server, fixture->server_port), ==, 0);
        assert_no_event(fixture->server);
        fixture->client = open_in(fixture->hypervisor, 2, 0);
}

static void test_virq(struct fixture *fixture, const void *data) {
        xenevtchn_handle *xce = open_in(fixture->hypervisor, 0, 0);
        int port = xenevtchn_bind_virq(xce, 3 /* xen.h, VIRQ_DOM_EXC */);

        g_assert_cmpint(port, >, 0);
        g_assert_cmpint(xenevtchn_notify(xce, port), ==, 0);    /* pointless, not wrong */
        test_hypervisor_raise_virq(fixture->hypervisor, 0, 3);
        g_assert_cmpint(xenevtchn_pending(xce), ==, port);
        xenevtchn_close(xce);
}

static void test_restrict(struct fixture *fixture, const void *data) {
        g_assert_cmpint(xenevtchn_restrict(fixture->client, 1), ==, 0);
        g_assert_cmpint(xenevtchn_bind_unbound_port(fixture->client, 0), ==, -1);
        g_assert_cmpint(errno, ==, EACCES);
        g_assert_cmpint(xenevtchn_bind_unbound_port(fixture->client, 1), >, 0);
        g_assert_cmpint(xenevtchn_restrict(fixture->client, 0), ==, -1);
        g_assert_cmpint(errno, ==, EACCES);
}

static void test_restrict_all(struct fixture *fixture, const void *data) {
        g_assert_cmpint(xentoolcore_restrict_all(1), ==, 0);
        g_assert_cmpint(xenevtchn_bind_unbound_port(fixture->client, 0), ==, -1);
        g_assert_cmpint(errno, ==, EACCES);
        g_assert_cmpint(xenevtchn_bind_unbound_port(fixture->server, 1), >, 0);
}

static void test_open_errors(void) {
        g_unsetenv("XENEMU_SOCKET");
        g_assert_null(xenevtchn_open(NULL, 0));
        g_assert_cmpint(errno, ==, ENOENT);

        g_setenv("XENEMU_SOCKET", "/nonexistent/dom0/xen", TRUE);
        g_assert_null(xenevtchn_open(NULL, 0));
        g_assert_cmpint(errno, ==, ENOENT);

        g_assert_null(xenevtchn_open(NULL, 2));
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_null(xenevtchn_fdopen(NULL, 0, XENEVTCHN_NO_CLOEXEC));
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_null(xenevtchn_fdopen(NULL, 0, 0));
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_null(xenevtchn_fdopen(NULL, -1, 0));
        g_assert_cmpint(errno, ==, EBADF);
}

/* Who never asks for the descriptor waits as everybody does, and who asks for it late can still say that it is not to wait. */
static void test_descriptor_asked_for_late(struct fixture *fixture, const void *data) {
        xenevtchn_handle *quiet = open_in(fixture->hypervisor, 2, 0);
        int server = xenevtchn_bind_unbound_port(fixture->server, 2), client;

        client = xenevtchn_bind_interdomain(quiet, 1, server);
        g_assert_cmpint(client, >, 0);
        for (int i = 0; i < 3; i++) {
                g_assert_cmpint(xenevtchn_pending(quiet), ==, client);
                g_assert_cmpint(xenevtchn_unmask(quiet, client), ==, 0);
                g_assert_cmpint(xenevtchn_notify(fixture->server, server), ==, 0);
        }
        set_blocking(quiet, false);
        assert_event(quiet, client);
        g_assert_cmpint(xenevtchn_unmask(quiet, client), ==, 0);
        assert_no_event(quiet);
        g_assert_cmpint(xenevtchn_close(quiet), ==, 0);
}

static void on_signal(int number) {
}

static void test_interrupted(struct fixture *fixture, const void *data) {
        struct sigaction action = { .sa_handler = on_signal };

        set_blocking(fixture->client, true);
        sigaction(SIGALRM, &action, NULL);
        ualarm(20000, 20000);           /* again and again: one may come before the call waits */
        g_assert_cmpint(xenevtchn_pending(fixture->client), ==, -1);
        g_assert_cmpint(errno, ==, EINTR);
        ualarm(0, 0);
}

/* A peer can make wake-ups without events. A program that polls first must not be caught asleep for that. */
static void test_bare_wake_up(struct fixture *fixture, const void *data) {
        struct evtchn_watch *watches;
        size_t n;

        set_blocking(fixture->client, true);
        g_assert_cmpint(evtchn_watches_read(xenevtchn_fd(fixture->client), &watches, &n), ==, 0);
        for (size_t i = 0; i < n; i++)
                if (watches[i].data == (uint64_t) fixture->client_port)
                        g_assert_cmpint(channel_wake(watches[i].fd), ==, 0);
        free(watches);
        assert_event(fixture->client, fixture->client_port);
}

struct receiver {
        xenevtchn_handle *xce;
        int last_port;
        unsigned int n_events;
};

static void *receive_until_last(void *userdata) {
        struct receiver *receiver = userdata;
        int port;

        do {
                port = xenevtchn_pending(receiver->xce);
                g_assert_cmpint(port, >, 0);
                receiver->n_events++;
                g_assert_cmpint(xenevtchn_unmask(receiver->xce, port), ==, 0);
        } while (port != receiver->last_port);
        return NULL;
}

/* One thread is blocked in xenevtchn_pending() all the time while another binds, sends and unbinds over the same handle. */
static void test_threads(struct fixture *fixture, const void *data) {
        struct receiver receiver = { .xce = fixture->client, .last_port = fixture->client_port };
        pthread_t thread;

        set_blocking(fixture->client, true);
        pthread_create(&thread, NULL, receive_until_last, &receiver);

        for (int i = 0; i < 300; i++) {
                int server = xenevtchn_bind_unbound_port(fixture->server, 2), client;

                client = xenevtchn_bind_interdomain(fixture->client, 1, server);
                g_assert_cmpint(client, >, 0);
                for (int j = 0; j < 20; j++) {
                        g_assert_cmpint(xenevtchn_notify(fixture->server, server), ==, 0);
                        g_assert_cmpint(xenevtchn_notify(fixture->client, client), ==, 0);
                }
                g_assert_cmpint(xenevtchn_unbind(fixture->client, client), ==, 0);
                g_assert_cmpint(xenevtchn_unbind(fixture->server, server), ==, 0);
        }

        g_assert_cmpint(xenevtchn_notify(fixture->server, fixture->server_port), ==, 0);
        pthread_join(thread, NULL);
        g_assert_cmpuint(receiver.n_events, >, 0);
}

/* The hypervisor is gone: users hear of it rather than wait for ever. */
static void test_hung_up(void) {
        struct test_hypervisor *hypervisor = test_hypervisor_start();
        xenevtchn_handle *xce = open_in(hypervisor, 1, 0);

        test_hypervisor_stop(hypervisor);
        assert_readable(xce, true);
        g_assert_cmpint(xenevtchn_pending(xce), ==, -1);
        g_assert_cmpint(errno, ==, EIO);
        g_assert_cmpint(xenevtchn_bind_unbound_port(xce, 1), ==, -1);
        g_assert_cmpint(errno, ==, EPIPE);
        xenevtchn_close(xce);
}

static size_t count_watches(int fd) {
        struct evtchn_watch *watches;
        size_t n;

        g_assert_cmpint(evtchn_watches_read(fd, &watches, &n), ==, 0);
        free(watches);
        return n;
}

/* What the program does that was started with nothing but the descriptor. */
static int after_exec(char **argv) {
        int fd = atoi(argv[0]), bound = atoi(argv[1]), unbound = atoi(argv[2]), copy = dup(0);
        xenevtchn_handle *xce;

        xce = xenevtchn_fdopen(NULL, fd, 0);
        g_assert_nonnull(xce);
        g_assert_cmpint(xenevtchn_fd(xce), ==, fd);
        g_assert_cmpuint(count_watches(fd), ==, 3);     /* the connection and two ports: nothing is left of the old program */
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, 0);

        assert_event(xce, bound);                       /* was sent before exec */
        g_assert_cmpint(xenevtchn_unmask(xce, bound), ==, 0);
        g_assert_cmpint(xenevtchn_notify(xce, bound), ==, 0);
        g_assert_cmpint(xenevtchn_unbind(xce, unbound), ==, 0);
        g_assert_cmpint(xenevtchn_bind_unbound_port(xce, 1), >, 0);

        /* The second time round, in the same way. */
        xenevtchn_close(xce);
        close(copy);
        g_assert_cmpint(dup(0), <=, copy + 1);          /* no descriptors were leaked */
        return 0;
}

static void test_exec(struct fixture *fixture, const void *data) {
        xenevtchn_handle *xce = open_in(fixture->hypervisor, 2, XENEVTCHN_NO_CLOEXEC);
        int server = xenevtchn_bind_unbound_port(fixture->server, 2), bound, unbound, status;
        char *arguments[3];
        pid_t pid;

        bound = xenevtchn_bind_interdomain(xce, 1, server);
        unbound = xenevtchn_bind_unbound_port(xce, 1);
        g_assert_cmpint(bound, >, 0);
        g_assert_cmpint(unbound, >, 0);
        g_assert_cmpint(xenevtchn_pending(xce), ==, bound);
        g_assert_cmpint(xenevtchn_unmask(xce, bound), ==, 0);
        g_assert_cmpint(xenevtchn_notify(fixture->server, server), ==, 0);

        arguments[0] = g_strdup_printf("%d", xenevtchn_fd(xce));
        arguments[1] = g_strdup_printf("%d", bound);
        arguments[2] = g_strdup_printf("%d", unbound);
        pid = fork();
        if (pid == 0) {
                execl("/proc/self/exe", "test-evtchn", AFTER_EXEC, arguments[0], arguments[1], arguments[2], NULL);
                _exit(127);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);

        set_blocking(fixture->server, true);
        g_assert_cmpint(xenevtchn_pending(fixture->server), ==, server);
        xenevtchn_close(xce);
        for (size_t i = 0; i < 3; i++)
                g_free(arguments[i]);
}

static void test_fork(struct fixture *fixture, const void *data) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                xenevtchn_close(fixture->client);
                _exit(0);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
        test_round_trip(fixture, data);
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                void (*test)(struct fixture *, const void *);
        } tests[] = {
                { "/evtchn/round-trip", test_round_trip },
                { "/evtchn/events-merge-and-wait-for-unmask", test_masked },
                { "/evtchn/unknown-ports-fail-as-on-linux", test_unknown_ports },
                { "/evtchn/bind-fails-with-xen-s-errno", test_bind_errors },
                { "/evtchn/unbind-takes-the-events-away", test_unbind },
                { "/evtchn/notify-of-a-closed-end-is-no-error", test_close_of_peer },
                { "/evtchn/virq", test_virq },
                { "/evtchn/restrict", test_restrict },
                { "/evtchn/restrict-all", test_restrict_all },
                { "/evtchn/descriptor-asked-for-late", test_descriptor_asked_for_late },
                { "/evtchn/a-signal-interrupts-pending", test_interrupted },
                { "/evtchn/a-bare-wake-up-does-not-block-who-polled", test_bare_wake_up },
                { "/evtchn/one-thread-waits-another-binds", test_threads },
                { "/evtchn/fdopen-after-exec-finds-every-port", test_exec },
                { "/evtchn/close-in-a-child-leaves-the-parent-s-alone", test_fork },
        };

        if (argc == 5 && g_str_equal(argv[1], AFTER_EXEC))
                return after_exec(argv + 2);

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, struct fixture, NULL, set_up, tests[i].test, tear_down);
        g_test_add_func("/evtchn/open-errors", test_open_errors);
        g_test_add_func("/evtchn/a-hypervisor-that-is-gone-is-an-error", test_hung_up);
        return g_test_run();
}
