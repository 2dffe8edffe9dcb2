/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How it is known what the clients of this bus want to hear: as a monitor (org.freedesktop.DBus.Monitoring.BecomeMonitor) the hub is told of each
 * AddMatch and RemoveMatch, and of connections that end, in the order in which the bus handles them.
 *
 * What there was before, dbus-daemon tells (org.freedesktop.DBus.Debug.Stats.GetAllMatchRules). The monitor sees that question, too: what comes to it
 * before is in the answer, and what comes after is not. dbus-broker has no answer. Who was on the bus before is taken to want everything, then,
 * until it leaves; the same for everybody if the bus does not let the hub be a monitor.
 *
 * Whether a client was refused what it asked for is not looked at: then more is heard of than need be, and nothing is missed.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "hub.h"

#define BUS_NAME "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define NOBODY ":0.0"                   /* stands for all of whom nothing is known */

struct hub_monitor {
        sd_bus *bus;
        sd_event_source *io;
        bool asked;                     /* the question was seen, or there is none: what comes now counts */
};

static void check(int r) {
        if (r < 0)
                log_event(LOG_ERR, NULL, "What a client wants to hear cannot be kept in mind, and is missed: %s", strerrordesc_np(-r));
}

/* Without a monitor. */
static void give_up(struct hub *hub, int error) {
        log_event(LOG_WARNING, NULL, "What clients want to hear cannot be known, and all signals of services of other domains are asked for: %s",
                  strerrordesc_np(-error));
        hub_monitor_free(hub);
        check(hub_wants_everything(hub, NOBODY));
}

/* What it is told */

static void on_owner_changed(struct hub *hub, sd_bus_message *message) {
        const char *name, *before, *after;

        if (sd_bus_message_read(message, "sss", &name, &before, &after) >= 0 && name[0] == ':' && *after == '\0')
                hub_wants_leave(hub, name);
}

static void on_told(struct hub *hub, sd_bus_message *message) {
        struct hub_monitor *monitor = hub->monitor;
        const char *sender = sd_bus_message_get_sender(message), *rule;

        if (!sender)
                return;
        if (sd_bus_message_is_method_call(message, NULL, "GetAllMatchRules"))
                monitor->asked = true;
        else if (!monitor->asked)
                return;
        else if (sd_bus_message_is_signal(message, BUS_NAME, "NameOwnerChanged"))
                on_owner_changed(hub, message);
        else if (sender[0] == ':' && sd_bus_message_is_method_call(message, NULL, "AddMatch")) {
                if (sd_bus_message_read(message, "s", &rule) >= 0)
                        check(hub_wants_add(hub, sender, rule));
        } else if (sender[0] == ':' && sd_bus_message_is_method_call(message, NULL, "RemoveMatch")) {
                if (sd_bus_message_read(message, "s", &rule) >= 0)
                        hub_wants_remove(hub, sender, rule);
        }
}

void hub_monitor_settle(struct hub *hub) {
        int r = 1;

        if (!hub->monitor)
                return;
        __atomic_store_n(&hub->news->busy, 1, __ATOMIC_SEQ_CST);
        while (r > 0) {
                AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;

                r = sd_bus_process(hub->monitor->bus, &message);
                if (r > 0 && message)
                        on_told(hub, message);
        }
        if (r < 0)
                give_up(hub, r);
        __atomic_store_n(&hub->news->busy, 0, __ATOMIC_SEQ_CST);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        hub_monitor_settle(userdata);
        return 0;
}

int hub_monitor_watch(struct hub *hub) {
        struct epoll_event event = { .events = EPOLLIN };
        int fd = epoll_create1(EPOLL_CLOEXEC);

        if (fd >= 0 && hub->monitor && epoll_ctl(fd, EPOLL_CTL_ADD, sd_bus_get_fd(hub->monitor->bus), &event) < 0) {
                close(fd);
                return -errno;
        }
        return fd < 0 ? -errno : fd;
}

/* Becoming one */

static int become_monitor(struct hub *hub, struct hub_monitor *monitor) {
        static const char *const told[] = {
                "type='method_call',destination='" BUS_NAME "',member='AddMatch'",
                "type='method_call',destination='" BUS_NAME "',member='RemoveMatch'",
                "type='signal',sender='" BUS_NAME "',interface='" BUS_NAME "',member='NameOwnerChanged',arg2=''",
        };
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        const char *address, *unique;
        char question[300];
        int r;

        r = sd_bus_get_address(hub->bus, &address);
        if (r >= 0)
                r = sd_bus_get_unique_name(hub->bus, &unique);
        if (r < 0)
                return r;
        snprintf(question, sizeof question, "type='method_call',sender='%s',destination='" BUS_NAME "',member='GetAllMatchRules'", unique);
        r = sd_bus_new(&monitor->bus);
        if (r >= 0)
                r = sd_bus_set_address(monitor->bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(monitor->bus, true);
        if (r >= 0)
                r = sd_bus_set_monitor(monitor->bus, true);
        if (r >= 0)
                r = sd_bus_start(monitor->bus);
        if (r >= 0)
                r = sd_bus_message_new_method_call(monitor->bus, &message, BUS_NAME, BUS_PATH, BUS_NAME ".Monitoring", "BecomeMonitor");
        if (r >= 0)
                r = sd_bus_message_append(message, "asu", 4, told[0], told[1], told[2], question, 0);
        return r < 0 ? r : sd_bus_call(monitor->bus, message, 0, NULL, NULL);
}

static int take_rules(struct hub *hub, sd_bus_message *reply) {
        const char *unique, *rule;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "{sas}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sas")) > 0) {
                r = sd_bus_message_read(reply, "s", &unique);
                if (r >= 0)
                        r = sd_bus_message_enter_container(reply, 'a', "s");
                while (r >= 0 && (r = sd_bus_message_read(reply, "s", &rule)) > 0)
                        r = hub_wants_add(hub, unique, rule);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r;
}

/* Who is on the bus, besides the bridge itself. */
static int take_names(struct hub *hub, struct hub_monitor *monitor) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *own, *name, *of_monitor = "";
        int r;

        sd_bus_get_unique_name(monitor->bus, &of_monitor);
        r = sd_bus_get_unique_name(hub->bus, &own);
        if (r >= 0)
                r = sd_bus_call_method(hub->bus, BUS_NAME, BUS_PATH, BUS_NAME, "ListNames", NULL, &reply, "");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &name)) > 0)
                if (name[0] == ':' && strcmp(name, own) != 0 && strcmp(name, of_monitor) != 0)
                        r = hub_wants_everything(hub, name);
        return r;
}

/* What there was before. */
static int look_back(struct hub *hub, struct hub_monitor *monitor) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(hub->bus, BUS_NAME, BUS_PATH, BUS_NAME ".Debug.Stats", "GetAllMatchRules", NULL, &reply, "");
        if (r >= 0)
                return take_rules(hub, reply);
        monitor->asked = true;
        return take_names(hub, monitor);
}

static int map_news(struct hub *hub) {
        AUTO_CLOSE int fd = memfd_create("xcp-bridge-news", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0 || ftruncate(fd, sizeof *hub->news) < 0)
                return -errno;
        hub->news_fd = fcntl(fd, F_DUPFD_CLOEXEC, CONTROL_POLICY_FD + 1);        /* none that it could be taken for in a process */
        if (hub->news_fd < 0)
                return -errno;
        hub->news = mmap(NULL, sizeof *hub->news, PROT_READ | PROT_WRITE, MAP_SHARED, hub->news_fd, 0);
        if (hub->news == MAP_FAILED) {
                hub->news = NULL;
                return -errno;
        }
        /* Processes can read it, and no more. */
        return fcntl(hub->news_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0 ? -errno : 0;
}

int hub_monitor_new(struct hub *hub) {
        int r;

        r = map_news(hub);
        if (r < 0)
                return r;
        hub->monitor = calloc(1, sizeof *hub->monitor);
        if (!hub->monitor)
                return -ENOMEM;
        r = become_monitor(hub, hub->monitor);
        if (r >= 0)
                r = sd_event_add_io(hub->event, &hub->monitor->io, sd_bus_get_fd(hub->monitor->bus), EPOLLIN, on_io, hub);
        if (r < 0) {
                give_up(hub, r);
                return 0;
        }
        r = look_back(hub, hub->monitor);
        if (r >= 0)
                hub_monitor_settle(hub);
        return r;
}

void hub_monitor_free(struct hub *hub) {
        if (!hub->monitor)
                return;
        sd_event_source_disable_unref(hub->monitor->io);
        sd_bus_close_unref(hub->monitor->bus);
        free(hub->monitor);
        hub->monitor = NULL;
}
