/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "controller.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "broker-policy.h"
#include "cleanup.h"
#include "processes.h"
#include "report.h"
#include "service.h"

#define BROKER_PATH "/org/bus1/DBus/Broker"
#define BROKER_INTERFACE "org.bus1.DBus.Broker"
#define LISTENER_PATH "/org/bus1/DBus/Listener/0"
#define LISTENER_INTERFACE "org.bus1.DBus.Listener"
#define NAME_PATH "/org/bus1/DBus/Name/"
#define NAME_INTERFACE "org.bus1.DBus.Name"
#define CONTROLLER_PATH "/org/bus1/DBus/Controller"
#define CONTROLLER_INTERFACE "org.bus1.DBus.Controller"

#define CALL_TIMEOUT_USEC (20 * UINT64_C(1000000))      /* a loaded machine; the broker answers at once */
#define OPEN_FILES_SPARE 64                             /* what the broker has open beside its connections */
#define ENVIRONMENT_MAX 256                             /* variables that clients may set for services */

struct controller {
        sd_bus *bus;
        pid_t pid;
        struct services services;
        char *environment[ENVIRONMENT_MAX + 2];         /* the first is ours: the bus's address */
        controller_reload_t reload;
        void *userdata;
};

static void cleanup_message(sd_bus_message **m) {
        sd_bus_message_unref(*m);
}

#define AUTO_MESSAGE __attribute__((cleanup(cleanup_message))) sd_bus_message

struct controller *controller_free(struct controller *controller) {
        if (!controller)
                return NULL;
        if (controller->bus) {
                sd_bus_close(controller->bus);
                sd_bus_unref(controller->bus);
        }
        services_done(&controller->services);
        for (size_t i = 0; controller->environment[i]; i++)
                free(controller->environment[i]);
        free(controller);
        return NULL;
}

pid_t controller_broker(const struct controller *controller) {
        return controller->pid;
}

/* Sends a call on its way. The answer is looked at only for the report: there is nothing else to do when the broker refuses. */
static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_error(m, NULL))
                report("dbus-broker refused what it was told (%s): %s", (const char *) userdata, sd_bus_message_get_error(m)->name);
        return 0;
}

static int send_call(struct controller *controller, sd_bus_message *m, const char *what) {
        return sd_bus_call_async(controller->bus, NULL, m, on_reply, (char *) what, CALL_TIMEOUT_USEC);
}

/* Waits for the answer: then this and all that was told before counts. */
static int set_policy(struct controller *controller, const struct policy *policy) {
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error error = SD_BUS_ERROR_NULL;
        AUTO_MESSAGE *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(controller->bus, &m, NULL, LISTENER_PATH, LISTENER_INTERFACE, "SetPolicy");
        if (r >= 0)
                r = broker_policy_append(policy, m);
        if (r >= 0)
                r = sd_bus_call(controller->bus, m, CALL_TIMEOUT_USEC, &error, NULL);
        if (r < 0)
                report("dbus-broker does not take the new policy: %s", error.name ?: strerror(-r));
        return r;
}

/* Waits for the answer: once this listens, the bus can be used. */
static int add_listener(struct controller *controller, const struct policy *policy, int fd) {
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error error = SD_BUS_ERROR_NULL;
        AUTO_MESSAGE *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(controller->bus, &m, NULL, BROKER_PATH, BROKER_INTERFACE, "AddListener");
        if (r >= 0)
                r = sd_bus_message_append(m, "oh", LISTENER_PATH, fd);
        if (r >= 0)
                r = broker_policy_append(policy, m);
        if (r >= 0)
                r = sd_bus_call(controller->bus, m, CALL_TIMEOUT_USEC, &error, NULL);
        if (r < 0)
                report("dbus-broker did not take the listening socket: %s", error.name ?: strerror(-r));
        return r < 0 ? r : 0;
}

/* Calls a method of a name's object, with what follows as arguments. */
static int call_name(struct controller *controller, const struct service *service, const char *method, const char *types, uint64_t serial,
                     const char *error) {
        AUTO_MESSAGE *m = NULL;
        char path[64];
        int r;

        snprintf(path, sizeof path, NAME_PATH "%u", service->id);
        r = sd_bus_message_new_method_call(controller->bus, &m, NULL, path, NAME_INTERFACE, method);
        if (r >= 0 && *types)
                r = sd_bus_message_append(m, types, serial, error);
        return r < 0 ? r : send_call(controller, m, method);
}

static void on_activation_failed(struct service *service, void *userdata) {
        struct controller *controller = userdata;

        (void) call_name(controller, service, "Reset", "ts", service->serial, "org.bus1.DBus.Name.Error.StartupFailure");
}

static int add_name(struct controller *controller, const struct activation *activation) {
        struct service *service;
        AUTO_MESSAGE *m = NULL;
        char path[64];
        int r;

        r = services_add(&controller->services, activation, &service);
        if (r < 0)
                return r;
        snprintf(path, sizeof path, NAME_PATH "%u", service->id);
        r = sd_bus_message_new_method_call(controller->bus, &m, NULL, BROKER_PATH, BROKER_INTERFACE, "AddName");
        if (r >= 0)
                r = sd_bus_message_append(m, "osu", path, service->name, (uint32_t) getuid());
        return r < 0 ? r : send_call(controller, m, "AddName");
}

static const struct activation *find_activation(const struct activations *activations, const char *name) {
        for (size_t i = 0; i < activations->n_items; i++)
                if (strcmp(activations->items[i].name, name) == 0)
                        return &activations->items[i];
        return NULL;
}

/* Makes the names that can be activated those of the configuration. */
static int set_names(struct controller *controller, const struct activations *activations) {
        int r = 0;

        for (size_t i = controller->services.n_items; i-- > 0;) {
                struct service *service = controller->services.items[i];
                const struct activation *activation = find_activation(activations, service->name);

                if (activation) {
                        r = service_update(service, activation);
                } else {
                        r = call_name(controller, service, "Release", "", 0, NULL);
                        services_remove(&controller->services, service);
                }
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < activations->n_items && r >= 0; i++)
                if (!services_find(&controller->services, activations->items[i].name))
                        r = add_name(controller, &activations->items[i]);
        return r < 0 ? r : 0;
}

int controller_reload(struct controller *controller, const struct configuration *configuration) {
        int r;

        controller->services.activation_ms = configuration->policy.limits[LIMIT_ACTIVATION_MS];
        r = set_names(controller, &configuration->activations);
        return r < 0 ? r : set_policy(controller, &configuration->policy);
}

/* Sets one variable for the services that are started from now on. */
static int set_variable(struct controller *controller, const char *name, const char *value) {
        char **slot = controller->environment + 1, *text;
        size_t n_name = strlen(name);

        while (*slot && !(strncmp(*slot, name, n_name) == 0 && (*slot)[n_name] == '='))
                slot++;
        if (slot == controller->environment + ENVIRONMENT_MAX + 1)
                return -E2BIG;
        if (asprintf(&text, "%s=%s", name, value) < 0)
                return -ENOMEM;
        free(*slot);
        *slot = text;
        return 0;
}

static int on_environment(struct controller *controller, sd_bus_message *m) {
        const char *name, *value;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{ss}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "{ss}", &name, &value)) > 0) {
                r = *name && !strchr(name, '=') ? set_variable(controller, name, value) : -EINVAL;
                if (r < 0)
                        report("the variable '%s' for services is not taken over: %s", name, strerror(-r));
        }
        return 0;
}

static int on_activate(struct controller *controller, sd_bus_message *m, const char *id) {
        struct service *service = services_find_id(&controller->services, id);
        uint64_t serial;
        int r;

        r = sd_bus_message_read(m, "t", &serial);
        if (r < 0)
                return r;
        if (service)            /* else it was released while this was on its way */
                service_activate(service, serial);
        return 0;
}

static int on_reload(struct controller *controller, sd_bus_message *m) {
        if (controller->reload(controller->userdata) < 0)
                return sd_bus_reply_method_errorf(m, CONTROLLER_INTERFACE ".Error.InvalidConfig", "The new configuration is wrong");
        return sd_bus_reply_method_return(m, "");
}

/* Everything the broker says that is not an answer. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct controller *controller = userdata;
        const char *path = sd_bus_message_get_path(m);

        if (!path)
                return 0;
        if (strncmp(path, NAME_PATH, strlen(NAME_PATH)) == 0 && sd_bus_message_is_signal(m, NAME_INTERFACE, "Activate"))
                return on_activate(controller, m, path + strlen(NAME_PATH));
        if (strcmp(path, BROKER_PATH) == 0 && sd_bus_message_is_signal(m, BROKER_INTERFACE, "SetActivationEnvironment"))
                return on_environment(controller, m);
        if (strcmp(path, CONTROLLER_PATH) == 0 && sd_bus_message_is_method_call(m, CONTROLLER_INTERFACE, "ReloadConfig"))
                return on_reload(controller, m);
        return 0;
}

/* Each connection is a descriptor, and so is what waits in queues. */
static uint64_t count_open_files(const struct policy *policy) {
        return policy->limits[LIMIT_CONNECTIONS] + policy->limits[LIMIT_USER_FDS] + OPEN_FILES_SPARE;
}

static int start_program(const struct settings *settings, const struct policy *policy, int fd, pid_t *ret_pid) {
        const char *argv[16] = { settings->broker_program, "--controller", "3", "--machine-id" };
        char machine_id[SD_ID128_STRING_MAX], numbers[_LIMIT_N][24];
        const struct program program = {
                .argv = argv,
                .fds = &fd,
                .n_fds = 1,
                .n_open_files = count_open_files(policy),
                .end_with_us = SIGTERM,
        };
        size_t n = 4;
        sd_id128_t id;

        /* Without /etc/machine-id, as in a small container, any will do: it only has to be the same as long as the bus lives. */
        if (sd_id128_get_machine(&id) < 0 && sd_id128_randomize(&id) < 0)
                return -EIO;
        argv[n++] = sd_id128_to_string(id, machine_id);
        for (int i = 0; i < _LIMIT_N; i++) {
                if (!limit_kinds[i].broker)
                        continue;
                snprintf(numbers[i], sizeof numbers[i], "%llu", (unsigned long long) policy->limits[i]);
                argv[n++] = limit_kinds[i].broker;
                argv[n++] = numbers[i];
        }
        argv[n] = NULL;
        return processes_start(&program, ret_pid);
}

static int connect_broker(struct controller *controller, const struct settings *settings, const struct policy *policy) {
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        r = start_program(settings, policy, fds[1], &controller->pid);
        close(fds[1]);
        if (r < 0) {
                report("cannot run the broker %s: %s; is the Debian package %s installed?", settings->broker_program, strerror(-r),
                       settings->broker_package);
                close(fds[0]);
                return r;
        }
        r = sd_bus_new(&controller->bus);
        if (r >= 0)
                r = sd_bus_set_fd(controller->bus, fds[0], fds[0]);
        if (r < 0) {
                close(fds[0]);
                return r;
        }
        r = sd_bus_add_filter(controller->bus, NULL, on_message, controller);
        if (r >= 0)
                r = sd_bus_start(controller->bus);
        if (r < 0)
                report("dbus-broker ended while starting, or does not understand its controller: %s", strerror(-r));
        return r;
}

static int prepare(struct controller *controller, sd_event *event, const struct configuration *configuration,
                   const struct listener *listener) {
        if (asprintf(&controller->environment[0], "DBUS_STARTER_ADDRESS=unix:path=%s", listener->path) < 0)
                return -ENOMEM;
        controller->services = (struct services) {
                .activation_ms = configuration->policy.limits[LIMIT_ACTIVATION_MS],
                .environment = (const char *const *) controller->environment,
                .event = event,
                .failed = on_activation_failed,
                .userdata = controller,
        };
        return 0;
}

int controller_new(sd_event *event, const struct settings *settings, const struct configuration *configuration, struct listener *listener,
                   controller_reload_t reload, void *userdata, struct controller **ret_controller) {
        struct controller *controller = calloc(1, sizeof *controller);
        int r;

        if (!controller)
                return -ENOMEM;
        controller->reload = reload;
        controller->userdata = userdata;
        r = prepare(controller, event, configuration, listener);
        if (r >= 0)
                r = connect_broker(controller, settings, &configuration->policy);
        if (r >= 0)
                r = set_names(controller, &configuration->activations);
        if (r >= 0)
                r = add_listener(controller, &configuration->policy, listener->fd);
        if (r >= 0)
                r = sd_bus_attach_event(controller->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                controller_free(controller);
                return r;
        }
        *ret_controller = controller;
        return 0;
}

void controller_child_ended(struct controller *controller, pid_t pid, int status) {
        services_child_ended(&controller->services, pid, status);
}
