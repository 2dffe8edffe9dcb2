/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "daemon-config.h"
#include "processes.h"
#include "report.h"

#define START_TIMEOUT_MS 60000          /* an emulated processor on a loaded machine has needed 20 s; dbus-daemon itself needs a few milliseconds */

static void cleanup_bus(sd_bus **bus) {
        sd_bus_close_unref(*bus);
}

/* Writes the configuration beside its place and moves it there, so that dbus-daemon reads the old one or the new one. */
static int write_config(const char *path, const struct configuration *configuration) {
        AUTO_FREE char *text = NULL, *temporary = NULL;
        AUTO_FILE *f = NULL;
        int r;

        r = daemon_config_make(&configuration->policy, (const char *const *) configuration->service_dirs, &text);
        if (r < 0)
                return r;
        if (asprintf(&temporary, "%s.new", path) < 0)
                return -ENOMEM;
        f = fopen(temporary, "we");
        if (!f || fputs(text, f) < 0 || fflush(f) != 0 || rename(temporary, path) < 0) {
                r = -errno;
                report("cannot write %s: %s", temporary, strerror(-r));
                return r;
        }
        return 0;
}

/*
 * dbus-daemon turns away every user that the user database does not know (bus_policy_allow_unix_user()), the owner included; better to say
 * so than to start a bus that nobody can use.
 */
static int check_owner(void) {
        if (getpwuid(getuid()))
                return 0;
        report("uid %u is not in the user database, and dbus-daemon turns away users that are not; add it, or use --broker dbus-broker",
               getuid());
        return -ENOENT;
}

/* dbus-daemon prints its address once it has read its configuration and listens. */
static int wait_until_ready(int fd) {
        struct pollfd polled = { .fd = fd, .events = POLLIN };
        char byte;
        int r;

        do
                r = poll(&polled, 1, START_TIMEOUT_MS);
        while (r < 0 && errno == EINTR);
        if (r == 0) {
                report("dbus-daemon was started, but has not become ready in %d s", START_TIMEOUT_MS / 1000);
                return -ETIMEDOUT;
        }
        if (r < 0 || read(fd, &byte, 1) != 1) {
                report("dbus-daemon ended while starting; what it said should be above");
                return -ECHILD;
        }
        return 0;
}

static int start_program(const struct daemon *daemon, const struct settings *settings, const struct listener *listener, int address_fd,
                         pid_t *ret_pid) {
        AUTO_FREE char *config_option = NULL;
        const int fds[] = { listener->fd, address_fd };
        const char *argv[] = { settings->broker_program, NULL, "--nofork", "--nopidfile", "--nosyslog", "--print-address=4", NULL };
        const struct program program = {
                .argv = argv,
                .fds = fds,
                .n_fds = 2,
                .n_listen_fds = 1,
                .end_with_us = SIGTERM,
        };

        if (asprintf(&config_option, "--config-file=%s", daemon->config_path) < 0)
                return -ENOMEM;
        argv[1] = config_option;
        return processes_start(&program, ret_pid);
}

int daemon_start(struct daemon *daemon, const struct settings *settings, const struct configuration *configuration,
                 const struct listener *listener) {
        int pipe_fds[2], r;

        r = check_owner();
        if (r < 0)
                return r;
        if (asprintf(&daemon->config_path, "%s/bus.conf", settings->domain_dir) < 0) {
                daemon->config_path = NULL;
                return -ENOMEM;
        }
        r = write_config(daemon->config_path, configuration);
        if (r < 0)
                return r;

        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -errno;
        r = start_program(daemon, settings, listener, pipe_fds[1], &daemon->pid);
        close(pipe_fds[1]);
        if (r < 0)
                report("cannot run the broker %s: %s; is the Debian package %s installed?", settings->broker_program, strerror(-r),
                       settings->broker_package);
        else
                r = wait_until_ready(pipe_fds[0]);
        close(pipe_fds[0]);
        return r;
}

static int connect_to(const struct listener *listener, sd_bus *bus) {
        AUTO_FREE char *address = NULL;
        int r;

        if (asprintf(&address, "unix:path=%s", listener->path) < 0)
                return -ENOMEM;
        r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, 1);
        return r < 0 ? r : sd_bus_start(bus);
}

/* Not by SIGHUP: dbus-daemon dies of one that comes before it expects one, and would not say what it thinks of the configuration. */
static int call_reload(const struct listener *listener) {
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error error = SD_BUS_ERROR_NULL;
        __attribute__((cleanup(cleanup_bus))) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = connect_to(listener, bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, START_TIMEOUT_MS * UINT64_C(1000));
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig", &error,
                                       NULL, "");
        if (r < 0)
                report("dbus-daemon does not take the new configuration: %s", error.message ?: strerror(-r));
        return r < 0 ? r : 0;
}

int daemon_reload(const struct daemon *daemon, const struct configuration *configuration, const struct listener *listener) {
        int r;

        r = write_config(daemon->config_path, configuration);
        return r < 0 ? r : call_reload(listener);
}

void daemon_done(struct daemon *daemon) {
        if (daemon->config_path)
                unlink(daemon->config_path);
        free(daemon->config_path);
        *daemon = (struct daemon) {};
}
