/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "processes.h"
#include "report.h"

static void free_argv(char **argv) {
        for (char **p = argv; p && *p; p++)
                free(*p);
        free(argv);
}

static char **copy_argv(char **argv) {
        size_t n = 0;
        char **copy;

        while (argv[n])
                n++;
        copy = calloc(n + 1, sizeof *copy);
        for (size_t i = 0; copy && i < n; i++) {
                copy[i] = strdup(argv[i]);
                if (!copy[i]) {
                        free_argv(copy);
                        return NULL;
                }
        }
        return copy;
}

static struct service *service_free(struct service *service) {
        if (!service)
                return NULL;
        sd_event_source_disable_unref(service->timer);
        free_argv(service->argv);
        free(service->name);
        free(service);
        return NULL;
}

void services_done(struct services *services) {
        for (size_t i = 0; i < services->n_items; i++)
                service_free(services->items[i]);
        free(services->items);
        *services = (struct services) {};
}

struct service *services_find(const struct services *services, const char *name) {
        for (size_t i = 0; i < services->n_items; i++)
                if (strcmp(services->items[i]->name, name) == 0)
                        return services->items[i];
        return NULL;
}

struct service *services_find_id(const struct services *services, const char *id) {
        char *end;
        unsigned long number = strtoul(id, &end, 10);

        if (end == id || *end)
                return NULL;
        for (size_t i = 0; i < services->n_items; i++)
                if (services->items[i]->id == number)
                        return services->items[i];
        return NULL;
}

int services_add(struct services *services, const struct activation *activation, struct service **ret_service) {
        struct service **items, *service;

        items = reallocarray(services->items, services->n_items + 1, sizeof *items);
        if (!items)
                return -ENOMEM;
        services->items = items;
        service = calloc(1, sizeof *service);
        if (!service)
                return -ENOMEM;
        service->services = services;
        service->id = ++services->last_id;
        service->name = strdup(activation->name);
        service->argv = copy_argv(activation->argv);
        if (!service->name || !service->argv) {
                service_free(service);
                return -ENOMEM;
        }
        items[services->n_items++] = service;
        *ret_service = service;
        return 0;
}

int service_update(struct service *service, const struct activation *activation) {
        char **argv = copy_argv(activation->argv);

        if (!argv)
                return -ENOMEM;
        free_argv(service->argv);
        service->argv = argv;
        return 0;
}

void services_remove(struct services *services, struct service *service) {
        for (size_t i = 0; i < services->n_items; i++)
                if (services->items[i] == service) {
                        services->items[i] = services->items[--services->n_items];
                        service_free(service);
                        return;
                }
}

/* Says that what waits will not be served. If the name is taken after all, the broker knows better and this does nothing. */
static void activation_failed(struct service *service) {
        service->waiting = false;
        sd_event_source_set_enabled(service->timer, SD_EVENT_OFF);
        service->services->failed(service, service->services->userdata);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        activation_failed(userdata);
        return 0;
}

static int arm_timer(struct service *service) {
        uint64_t usec = service->services->activation_ms * 1000;
        int r;

        if (!service->timer)
                return sd_event_add_time_relative(service->services->event, &service->timer, CLOCK_MONOTONIC, usec, 0, on_timeout, service);
        r = sd_event_source_set_time_relative(service->timer, usec);
        return r < 0 ? r : sd_event_source_set_enabled(service->timer, SD_EVENT_ONESHOT);
}

void service_activate(struct service *service, uint64_t serial) {
        const struct program program = { .argv = (const char *const *) service->argv, .environment = service->services->environment };
        int r;

        service->serial = serial;
        service->waiting = true;
        r = arm_timer(service);
        if (r >= 0 && service->pid == 0)
                r = processes_start(&program, &service->pid);
        if (r < 0) {
                report("cannot start %s for %s: %s", service->argv[0], service->name, strerror(-r));
                activation_failed(service);
        }
}

/* A program that ends without an error may have left the service running elsewhere: systemctl start, for one. Then the timer decides. */
void services_child_ended(struct services *services, pid_t pid, int status) {
        for (size_t i = 0; i < services->n_items; i++) {
                struct service *service = services->items[i];

                if (service->pid != pid)
                        continue;
                service->pid = 0;
                if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                        return;
                if (WIFEXITED(status))
                        report("%s, started for %s, ended with status %d", service->argv[0], service->name, WEXITSTATUS(status));
                else
                        report("%s, started for %s, was killed by signal %d", service->argv[0], service->name, WTERMSIG(status));
                if (service->waiting)
                        activation_failed(service);
                return;
        }
}
