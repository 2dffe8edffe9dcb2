/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cleanup.h"
#include "readiness.h"
#include "service-private.h"

#define NAME_PREFIX "org.xen.xcp."
#define PATH_PREFIX "/org/xen/xcp/"

enum { EXIT_BAD_OPTIONS = 2 };

sd_bus *service_bus(struct service *service) {
        return service->bus;
}

sd_event *service_event(struct service *service) {
        return service->event;
}

struct database *service_database(struct service *service) {
        return service->db;
}

struct tasks *service_tasks(struct service *service) {
        return service->tasks;
}

struct diagnostics *service_diagnostics(struct service *service) {
        return &service->diagnostics;
}

const char *service_bus_name(struct service *service) {
        return service->bus_name;
}

const char *service_path(struct service *service) {
        return service->path;
}

const char *service_state_dir(struct service *service) {
        return service->options.state_dir;
}

bool service_took_over(const struct service *service) {
        return service->options.stand_by;
}

static int failed(int r, const char *what, const char *which) {
        log_event(LOG_ERR, NULL, "Cannot %s %s: %s", what, which, strerrordesc_np(-r) ?: "unknown error");
        return r;
}

void service_quiet(struct service *service) {
        if (service->handover)
                handover_quiet(service->handover);
}

/* Starting */

static int make_names(struct service *service) {
        const char *name = service->kind->name;
        sd_id128_t id;
        int r;

        assert(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(name));

        if (asprintf(&service->program, "xcp-%s", name) < 0)
                service->program = NULL;
        if (service->options.bus_name)
                service->bus_name = strdup(service->options.bus_name);
        else if (asprintf(&service->bus_name, NAME_PREFIX "%s", name) < 0)
                service->bus_name = NULL;
        if (asprintf(&service->path, PATH_PREFIX "%s", name) < 0)
                service->path = NULL;
        if (!service->program || !service->bus_name || !service->path)
                return -ENOMEM;

        r = sd_id128_randomize(&id);
        if (r < 0)
                return r;
        sd_id128_to_string(id, service->instance);
        return 0;
}

/* The directory and those above it, for nobody else to read: what is below may have passwords of storage in it. */
static int make_directory(const char *path) {
        AUTO_FREE char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        for (char *p = copy + 1; *p; p++)
                if (*p == '/') {
                        *p = '\0';
                        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                                return failed(-errno, "make the directory", copy);
                        *p = '/';
                }
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
                return failed(-errno, "make the state directory", path);
        return 0;
}

static int open_database(struct service *service) {
        AUTO_FREE char *path = NULL;

        if (service->kind->schema.n_steps == 0)
                return 0;
        if (asprintf(&path, "%s/%s.db", service->options.state_dir, service->kind->name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        return database_open(&service->db, path, DATABASE_DURABLE, &service->kind->schema);
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        struct service *service = userdata;

        log_event(LOG_ERR, NULL, "The bus has gone, and the service with it");
        return sd_event_exit(service->event, EXIT_FAILURE);
}

int service_connect(struct service *service, sd_bus **ret_bus) {
        const char *address = service->options.bus_address;
        AUTO(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_address(bus, address);
        if (r < 0)
                return failed(r, "use as the address of a bus", address);
        r = sd_bus_set_bus_client(bus, true);
        if (r < 0)
                return r;
        r = sd_bus_start(bus);
        if (r < 0)
                return failed(r, "connect to the bus", address);
        r = sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                "Disconnected", on_disconnected, service);
        if (r < 0)
                return r;
        *ret_bus = bus;
        bus = NULL;
        return 0;
}

int service_listen(struct service *service) {
        return sd_bus_get_event(service->bus) ? 0 : sd_bus_attach_event(service->bus, service->event, SD_EVENT_PRIORITY_NORMAL);
}

void service_hold(struct service *service) {
        sd_bus_detach_event(service->bus);
}

/* Who is connected waits with calls until the loop runs: by then everything is there that could be called. */
static int own_name(struct service *service) {
        int r;

        r = sd_bus_request_name(service->bus, service->bus_name, 0);
        if (r == -EEXIST) {
                log_event(LOG_ERR, NULL, "Somebody else owns %s: is the service running already?", service->bus_name);
                return r;
        }
        if (r < 0)
                return failed(r, "own the name", service->bus_name);
        service->owns_name = true;
        return 0;
}

static int make_tasks(struct service *service) {
        AUTO_FREE char *prefix = NULL;
        int r;

        if (asprintf(&prefix, "%s/task", service->path) < 0) {
                prefix = NULL;
                return -ENOMEM;
        }
        r = tasks_new(&service->tasks, service->bus, service->event, prefix, service->options.state_dir, service->instance);
        if (r < 0)
                return failed(r, "set up tasks in", service->options.state_dir);
        return 0;
}

static int make_diagnostics(struct service *service) {
        const struct diagnostics_about about = {
                .instance = service->instance,
                .features = service->kind->features,
                .bus_address = service->options.bus_address,
                .state_dir = service->options.state_dir,
                .dump = service->kind->dump,
                .userdata = &service->userdata,
        };

        return diagnostics_object_new(&service->diagnostics_object, service->bus, service->path, &about, &service->diagnostics,
                                      service->tasks);
}

/* Stopping */

static void on_idle(void *userdata) {
        struct service *service = userdata;

        sd_event_exit(service->event, EXIT_SUCCESS);
}

static int on_stop_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        struct service *service = userdata;

        log_event(LOG_WARNING, NULL, "Tasks did not end in time and are interrupted");
        return sd_event_exit(service->event, EXIT_SUCCESS);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        struct service *service = userdata;
        int r;

        if (service->stopping) {
                log_event(LOG_WARNING, NULL, "Asked to stop a second time: tasks are interrupted");
                return sd_event_exit(service->event, EXIT_SUCCESS);
        }
        service->stopping = true;
        if (!service->tasks)            /* it stands by */
                return sd_event_exit(service->event, EXIT_SUCCESS);
        log_event(LOG_INFO, NULL, "Asked to stop by signal %d of process %d", (int) info->ssi_signo, (int) info->ssi_pid);
        readiness_stopping();
        r = sd_event_add_time_relative(service->event, NULL, CLOCK_MONOTONIC, service->options.stop_timeout_usec, 0, on_stop_timeout,
                                       service);
        if (r < 0)
                return r;
        tasks_stop(service->tasks, on_idle, service);
        return 0;
}

static int watch_signals(struct service *service) {
        static const int stop_signals[] = { SIGTERM, SIGINT };
        sigset_t set;
        int r;

        sigemptyset(&set);
        for (size_t i = 0; i < sizeof stop_signals / sizeof stop_signals[0]; i++)
                sigaddset(&set, stop_signals[i]);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)     /* as sd_event_add_signal(3) asks for */
                return -errno;
        for (size_t i = 0; i < sizeof stop_signals / sizeof stop_signals[0]; i++) {
                r = sd_event_add_signal(service->event, NULL, stop_signals[i], on_signal, service);
                if (r < 0)
                        return r;
        }
        return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -errno : 0;
}

/* Calls that came while the name was still ours are answered; later ones go to whoever owns it next. */
static void leave_bus(struct service *service) {
        if (service->owns_name && sd_bus_release_name(service->bus, service->bus_name) >= 0)
                while (sd_bus_process(service->bus, NULL) > 0)
                        ;
        sd_bus_flush(service->bus);
}

/* All of it */

int service_bring_up(struct service *service, const char *tasks_of_bus) {
        bool stands_by = service->options.stand_by;
        int r;

        r = open_database(service);
        if (r < 0)
                return r;
        r = sd_bus_add_object_manager(service->bus, NULL, service->path);
        if (r < 0)
                return r;
        r = make_tasks(service);
        if (r < 0)
                return r;
        r = make_diagnostics(service);
        if (r < 0)
                return failed(r, "set up diagnostics at", service->path);
        r = stands_by ? 0 : own_name(service);
        if (r < 0)
                return r;
        r = tasks_of_bus ? tasks_take_over(service->tasks, tasks_of_bus) : 0;
        if (r >= 0)
                r = tasks_load(service->tasks);
        if (r < 0)
                return failed(r, "load tasks from", service->options.state_dir);
        r = service->kind->start(service, &service->userdata);
        if (r >= 0 && service->kind->handover && !stands_by)
                r = service->kind->handover->go(service->userdata);
        if (r >= 0 && service->handover && !stands_by)
                r = handover_export(service->handover);
        return r < 0 ? failed(r, "start", service->program) : 0;
}

/* Whose the state is comes before everything that reads or changes it. */
static int make_handover(struct service *service) {
        if (service->kind->handover)
                return handover_new(&service->handover, service);
        if (!service->options.stand_by && !service->options.reclaim)
                return 0;
        log_event(LOG_ERR, NULL, "%s cannot be moved: there is no --standby and no --reclaim for it", service->program);
        return -EOPNOTSUPP;
}

static int start(struct service *service) {
        int r;

        umask(0077);                    /* whatever a service writes is its own */
        r = sd_event_new(&service->event);
        if (r < 0)
                return r;
        r = watch_signals(service);
        if (r < 0)
                return r;
        r = sd_event_set_watchdog(service->event, true);
        if (r < 0)
                return r;
        r = make_directory(service->options.state_dir);
        if (r < 0)
                return r;
        r = make_handover(service);
        if (r < 0)
                return r;
        r = service_connect(service, &service->bus);
        if (r < 0)
                return r;
        if (service->options.stand_by)
                return handover_stand_by(service->handover);
        r = service_bring_up(service, NULL);
        return r < 0 ? r : service_listen(service);
}

static int run(struct service *service) {
        int r;

        r = start(service);
        if (r < 0)
                return EXIT_FAILURE;
        readiness_ready(service->options.ready_fd);
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_INSTANCE", service->instance }, { "XCP_STATE_DIR", service->options.state_dir }),
                  service->options.stand_by ? "%s stands by on %s" : "%s is ready on %s", service->bus_name, service->options.bus_address);

        r = sd_event_loop(service->event);
        if (r < 0) {
                failed(r, "run the loop of", service->program);
                return EXIT_FAILURE;
        }
        if (service->tasks)
                tasks_interrupt(service->tasks);
        leave_bus(service);
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_INSTANCE", service->instance }), "%s has stopped", service->bus_name);
        return r;
}

static void done(struct service *service) {
        service->handover = handover_free(service->handover);
        if (service->userdata && service->kind->stop)
                service->kind->stop(service->userdata);
        diagnostics_object_free(service->diagnostics_object);
        tasks_free(service->tasks);
        sd_bus_close_unref(service->bus);
        diagnostics_done(&service->diagnostics);
        database_close(service->db);
        sd_event_unref(service->event);
        options_done(&service->options);
        free(service->program);
        free(service->bus_name);
        free(service->path);
}

int service_main(const struct service_kind *kind, int argc, char **argv) {
        struct service service = { .kind = kind };
        struct options_environment environment;
        int r;

        options_environment_read(&environment);
        r = options_parse(&service.options, kind->name, kind->about, &environment, argc, argv);
        if (r == 0) {
                r = make_names(&service);
                if (r == 0) {
                        log_open(service.program);
                        log_set_level(service.options.log_level);
                        r = run(&service);
                } else
                        r = EXIT_FAILURE;
        } else
                r = r == OPTIONS_SHOWN ? EXIT_SUCCESS : EXIT_BAD_OPTIONS;
        done(&service);
        return r;
}
