/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-pvcalls-backend: the sockets of one domain. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cleanup.h"
#include "control.h"
#include "device.h"
#include "log.h"
#include "name-text.h"
#include "readiness.h"
#include "sandbox.h"
#include "settings.h"
#include "transfer.h"

#define DENIALS_PER_SECOND 10u          /* told and logged; org.xen.xcp.pvcalls1.Domain, Denied */

enum { EXIT_BAD_OPTIONS = 2 };

struct backend {
        struct guest_terms terms;
        struct control *control;        /* NULL: none */
        struct device *device;
        struct rate denials;
        unsigned n_untold;              /* denials since the last that was told */
};

static void on_state(const char *state, const char *reason, void *userdata) {
        struct backend *backend = userdata;

        log_event(LOG_DEBUG, NULL, "The device is %s", state);
        if (backend->control)
                control_tell_state(backend->control, state, reason);
}

static uint64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static void on_denied(enum policy_call call, const struct pvcalls_name *address, const struct policy_verdict *verdict, void *userdata) {
        struct backend *backend = userdata;
        char text[NAME_TEXT_SIZE];

        backend->n_untold++;
        if (!rate_take(&backend->denials, 1, now_usec()))
                return;
        log_event(LOG_INFO, NULL, "Denied to %s %s: %s (rule %d; %u denials since the last that was logged)",
                  call == POLICY_CONNECT ? "connect to" : "bind", name_text(address, text),
                  verdict->over_rate ? "more often than its rule allows" : verdict->rule < 0 ? "no rule allows it" : "a rule says so",
                  verdict->rule, backend->n_untold);
        if (backend->control)
                control_tell_denied(backend->control, call, address, verdict->rule, backend->n_untold);
        backend->n_untold = 0;
}

static const struct device_listener device_listener = { .state = on_state, .denied = on_denied };

static int read_policy(const char *path, struct policy *policy) {
        AUTO_FREE char *text = malloc(POLICY_TEXT_MAX + 1);
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct policy_error error;
        size_t n = 0;
        ssize_t r;

        if (!text)
                return -ENOMEM;
        if (fd < 0)
                return -errno;
        while ((r = read(fd, text + n, POLICY_TEXT_MAX + 1 - n)) > 0)
                n += (size_t) r;
        if (r < 0)
                return -errno;
        r = policy_parse(text, n, policy, &error);
        if (r == -EINVAL)
                log_event(LOG_ERR, NULL, "%s:%u: %s", path, error.line, error.text);
        return (int) r;
}

/* Each socket takes a descriptor, and under emulated Xen two more for its port. */
static void raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

static int failed(int r, const char *what) {
        log_event(LOG_ERR, NULL, "Cannot %s: %s", what, strerrordesc_np(-r) ?: "unknown error");
        return r;
}

static int add_signals(sd_event *event) {
        sigset_t set;
        int r;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);      /* without a handler, the loop ends */
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
        return r < 0 ? r : 0;
}

/* Before the filter for system calls, which lets a ring be used and none be made. */
static int open_ring(struct backend *backend, enum settings_io io) {
        int r;

        if (io == SETTINGS_IO_CALLS)
                return 0;
        r = transfers_new(&backend->terms.transfers);
        if (r < 0 && io == SETTINGS_IO_AUTO) {
                log_event(LOG_DEBUG, NULL, "Does without io_uring: %s", strerrordesc_np(-r));
                return 0;
        }
        backend->terms.transfers_always = io == SETTINGS_IO_URING;
        return r;
}

/* All that needs privileges, and then without them. */
static int start(struct backend *backend, sd_event *event, const struct settings *settings) {
        int r;

        if (settings->policy) {
                r = read_policy(settings->policy, &backend->terms.policy);
                if (r < 0)
                        return failed(r, "read the policy");
        }
        guest_terms_set_limits(&backend->terms, &settings->limits);
        backend->terms.spin_usec = settings->spin_usec;
        backend->terms.join = settings->join;
        rate_init(&backend->denials, DENIALS_PER_SECOND, now_usec());
        raise_descriptor_limit();
        r = open_ring(backend, settings->io);
        if (r < 0)
                return failed(r, "have an io_uring");
        r = add_signals(event);
        if (r < 0)
                return failed(r, "handle signals");
        if (settings->control) {
                r = control_new(&backend->control, event, settings->control, &backend->terms);
                if (r < 0)
                        return failed(r, "listen at the control socket");
        }
        r = device_new(&backend->device, event, settings->domid, settings->device, &backend->terms, &device_listener, backend);
        if (r < 0)
                return failed(r, "open the device");
        if (backend->control)
                control_set_device(backend->control, backend->device);
        log_event(LOG_INFO, NULL, "Serves the PV Calls device %u of domain %u", settings->device, settings->domid);
        if (settings->sandbox) {
                r = sandbox_enter(settings->user);
                if (r < 0)
                        return failed(r, "give up privileges");
        }
        r = device_start(backend->device);
        return r < 0 ? failed(r, "begin the handshake") : 0;
}

static int run(const struct settings *settings) {
        __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
        struct backend backend = {};
        int r;

        r = sd_event_new(&event);
        if (r < 0)
                return failed(r, "make a loop");
        r = start(&backend, event, settings);
        if (r == 0) {
                readiness_ready(settings->ready_fd);
                r = sd_event_loop(event);
                if (r < 0)
                        failed(r, "go on");
                device_leave(backend.device);
        }
        device_free(backend.device);
        control_free(backend.control);
        transfers_free(backend.terms.transfers);
        guest_terms_done(&backend.terms);
        return r;
}

int main(int argc, char **argv) {
        struct settings settings;
        int r;

        log_open("xcp-pvcalls-backend");
        r = settings_parse(&settings, argc, argv);
        if (r != 0)
                return r == SETTINGS_SHOWN ? EXIT_SUCCESS : EXIT_BAD_OPTIONS;
        log_set_level(settings.log_level);
        return run(&settings) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
