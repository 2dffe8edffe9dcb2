/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "configuration.h"
#include "controller.h"
#include "daemon.h"
#include "listener.h"
#include "processes.h"
#include "report.h"

#define SERVICES_END_SECONDS 10         /* a service may finish or cancel its tasks; systemd would wait 90 s for us */
#define BROKER_END_SECONDS 5

struct bus {
        const struct settings *settings;
        struct listener listener;
        sd_event *event;
        struct daemon daemon;
        struct controller *controller;
        pid_t broker;
};

/* Makes the directory and those above it. */
static int make_directory(const char *path) {
        AUTO_FREE char *partial = strdup(path);

        if (!partial)
                return -ENOMEM;
        for (char *p = partial + 1; *p; p++)
                if (*p == '/') {
                        *p = '\0';
                        (void) mkdir(partial, 0755);
                        *p = '/';
                }
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return -errno;
        return 0;
}

/* The directory decides what is started and who may do what: only root and we may write there. */
static int check_directory(const char *path) {
        struct stat st;
        int r;

        r = make_directory(path);
        if (r < 0 || stat(path, &st) < 0) {
                r = r < 0 ? r : -errno;
                report("cannot use the domain's directory %s: %s", path, strerror(-r));
                return r;
        }
        if ((st.st_uid != 0 && st.st_uid != getuid()) || (st.st_mode & 022)) {
                report("the domain's directory %s can be written by others (owner %u, mode %04o): they could have services started as us",
                       path, st.st_uid, st.st_mode & 07777);
                return -EPERM;
        }
        return 0;
}

static int open_listener(struct bus *bus) {
        AUTO_FREE char *path = NULL;
        int r;

        r = listener_open(bus->settings->domain_dir, &bus->listener, &path);
        switch (r) {
        case LISTENER_IN_USE:
                report("there is a bus at %s already", path);
                return -EADDRINUSE;
        case LISTENER_TOO_LONG:
                report("the socket's path has %zu bytes, and %d are the most: %s", strlen(path), LISTENER_PATH_MAX, path);
                return -ENAMETOOLONG;
        case LISTENER_NOT_A_SOCKET:
                report("%s is in the way: it is not a socket", path);
                return -EEXIST;
        }
        if (r < 0)
                report("cannot listen at %s: %s", path ?: bus->settings->domain_dir, strerror(-r));
        return r;
}

static int reload(void *userdata) {
        AUTO_CONFIGURATION configuration = {};
        struct bus *bus = userdata;
        int r;

        sd_notify(0, "RELOADING=1");
        r = configuration_read(bus->settings, &configuration);
        if (r >= 0 && bus->controller)
                r = controller_reload(bus->controller, &configuration);
        else if (r >= 0)
                r = daemon_reload(&bus->daemon, &configuration, &bus->listener);
        if (r < 0)
                report("the configuration stays as it was");
        else
                report("policy and activation files were read again");
        sd_notify(0, "READY=1");
        return r;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        (void) reload(userdata);
        return 0;
}

static void report_broker_end(const struct bus *bus, int status) {
        if (WIFSIGNALED(status))
                report("the broker, %s, was killed by signal %d (%s)", bus->settings->broker_program, WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
        else
                report("the broker, %s, ended with status %d", bus->settings->broker_program, WEXITSTATUS(status));
}

static int on_child(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        struct bus *bus = userdata;
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid == bus->broker) {
                        report_broker_end(bus, status);
                        bus->broker = 0;
                        sd_event_exit(bus->event, -ECHILD);
                } else if (bus->controller) {
                        controller_child_ended(bus->controller, pid, status);
                }
        }
        return 0;
}

/* Services first, so that they can end in order while there still is a bus. */
static void end_services(struct bus *bus) {
        if (bus->broker > 0)
                processes_end(bus->broker, SERVICES_END_SECONDS);
}

static int on_exit_loop(sd_event_source *source, void *userdata) {
        sd_notify(0, "STOPPING=1");
        end_services(userdata);
        return 0;
}

/* At the end of the loop sd-bus closes the controller's connection, and with it the broker ends: this has to come before. */
static int watch_exit(struct bus *bus) {
        sd_event_source *source;
        int r;

        r = sd_event_add_exit(bus->event, &source, on_exit_loop, bus);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0)
                r = sd_event_source_set_floating(source, true);
        sd_event_source_unref(source);
        return r;
}

/* After the signals were blocked: processes_prepare(). */
static int watch_events(struct bus *bus) {
        int r;

        r = sd_event_default(&bus->event);
        if (r >= 0)
                r = watch_exit(bus);
        if (r >= 0)
                r = sd_event_add_signal(bus->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(bus->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(bus->event, NULL, SIGHUP, on_hangup, bus);
        if (r >= 0)
                r = sd_event_add_signal(bus->event, NULL, SIGCHLD, on_child, bus);
        return r < 0 ? r : 0;
}

static int start_broker(struct bus *bus) {
        AUTO_CONFIGURATION configuration = {};
        int r;

        r = configuration_read(bus->settings, &configuration);
        if (r < 0)
                return r;
        if (bus->settings->broker == BROKER_DBUS_DAEMON) {
                r = daemon_start(&bus->daemon, bus->settings, &configuration, &bus->listener);
                bus->broker = bus->daemon.pid;
        } else {
                r = controller_new(bus->event, bus->settings, &configuration, &bus->listener, reload, bus, &bus->controller);
                if (r >= 0)
                        bus->broker = controller_broker(bus->controller);
        }
        if (r < 0)
                return r;
        /* The broker has a descriptor of its own now. Ours would keep the socket answering after the broker's death. */
        close(bus->listener.fd);
        bus->listener.fd = -1;
        return 0;
}

static void tell_ready(const struct bus *bus) {
        int fd = bus->settings->ready_fd;

        if (fd >= 0) {
                (void) !write(fd, "\n", 1);
                close(fd);
        }
        sd_notify(0, "READY=1");
}

/* In the child's environment, of the broker and of every service, is where the bus is, and not who waits for us to be ready. */
static int set_environment(const struct bus *bus) {
        AUTO_FREE char *address = NULL;

        if (asprintf(&address, "unix:path=%s", bus->listener.path) < 0)
                return -ENOMEM;
        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDS");
        unsetenv("LISTEN_FDNAMES");
        unsetenv("WATCHDOG_PID");
        unsetenv("WATCHDOG_USEC");
        return setenv("XCP_BUS_ADDRESS", address, 1) < 0 ? -errno : 0;
}

static int start(struct bus *bus) {
        int r;

        r = check_directory(bus->settings->domain_dir);
        if (r >= 0)
                r = open_listener(bus);
        if (r >= 0)
                r = processes_prepare();
        if (r >= 0)
                r = set_environment(bus);
        if (r >= 0)
                r = watch_events(bus);
        if (r >= 0)
                r = start_broker(bus);
        return r;
}

/* Services first, so that they can end in order while there is still a bus. */
static void end(struct bus *bus) {
        sd_notify(0, "STOPPING=1");
        if (bus->broker > 0) {
                processes_end(bus->broker, SERVICES_END_SECONDS);
                processes_end(0, BROKER_END_SECONDS);
        } else                          /* nobody has asked for the end: a broker's crash is not the guests' */
                processes_end_session(SERVICES_END_SECONDS);
        controller_free(bus->controller);
        daemon_done(&bus->daemon);
        listener_done(&bus->listener);
        sd_event_unref(bus->event);
}

int bus_run(const struct settings *settings) {
        struct bus bus = { .settings = settings, .listener = LISTENER_NULL };
        int r;

        r = start(&bus);
        if (r >= 0) {
                tell_ready(&bus);
                r = sd_event_loop(bus.event);
        }
        end(&bus);
        return r;
}
