/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define PROGRESS_MS 100u                /* an operation that takes longer says how far it is, this often */

uint64_t noop_now_usec(void) {
        return clock_now_usec(CLOCK_BOOTTIME);
}

/* The file */

int noop_guest_save(struct noop_guest *guest, struct idl_error *error) {
        int r;

        r = record_save(&guest->record, guest->noop->boot_id, guest->path);
        if (r == -ENOSPC)
                return idl_error_set_not_enough_space(error, RECORD_SIZE_MAX, 0);
        if (r < 0)
                return idl_error_set_backend_failed(error, "noop", "write its guest's file", strerrordesc_np(-r) ?: "unknown error");
        return 0;
}

int noop_guest_become(struct noop_guest *guest, enum hypervisor_state state, enum hypervisor_event event, struct idl_error *error) {
        struct record *record = &guest->record, before = *record;
        uint64_t now = noop_now_usec();
        int r;

        if (state == HYPERVISOR_ABSENT) {
                if (unlink(guest->path) < 0 && errno != ENOENT)
                        return idl_error_set_backend_failed(error, "noop", "remove its guest's file", strerrordesc_np(errno));
                record_done(record);
                noop_guest_hang_up(guest);
                noop_guest_watch(guest);
                return 0;
        }
        record->ran_usec = record_ran_usec(record, now);
        record->resumed_usec = now;
        record->state = state;
        record->event = event;
        r = noop_guest_save(guest, error);
        if (r < 0) {
                *record = before;
                return r;
        }
        if (state == HYPERVISOR_ENDED && (event == HYPERVISOR_POWERED_OFF || event == HYPERVISOR_EXITED))
                noop_guest_hang_up(guest);
        noop_guest_watch(guest);
        return 0;
}

/* The console */

static void on_output(void *userdata, const char *data, size_t size) {
        struct noop_guest *guest = userdata;

        if (guest->console_fd >= 0)     /* nobody there, or too slow: lost, as on any serial line */
                (void) send(guest->console_fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void noop_guest_hang_up(struct noop_guest *guest) {
        guest->console = sd_event_source_disable_unref(guest->console);
        if (guest->console_fd >= 0)
                close(guest->console_fd);
        guest->console_fd = -1;
}

static int on_console(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct noop_guest *guest = userdata;
        enum hypervisor_event event;
        char data[1024];
        ssize_t n;

        n = recv(fd, data, sizeof data, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                noop_guest_hang_up(guest);
                return 0;
        }
        if (guest->record.state != HYPERVISOR_RUNNING)
                return 0;
        event = login_input(&guest->login, guest->record.name, data, (size_t) n, on_output, guest);
        if (event != HYPERVISOR_NO_EVENT)
                noop_guest_does(guest, event, "as told on the console");
        return 0;
}

int noop_connect_console(void *userdata, const char *name, int *ret_fd) {
        struct noop_guest *guest = userdata;
        int fds[2], r;

        noop_guest_hang_up(guest);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        r = sd_event_add_io(guest->noop->host.event, &guest->console, fds[0], EPOLLIN, on_console, guest);
        if (r < 0) {
                close(fds[0]);
                close(fds[1]);
                return r;
        }
        guest->console_fd = fds[0];
        *ret_fd = fds[1];
        return 0;
}

/* The clock */

static void tell(struct noop_guest *guest, enum hypervisor_event event, const char *detail) {
        guest->noop->host.on_event(guest->userdata, event, detail);
}

void noop_guest_does(struct noop_guest *guest, enum hypervisor_event event, const char *detail) {
        int r;

        r = noop_guest_become(guest, HYPERVISOR_ENDED, event, NULL);
        if (r < 0)              /* the guest has done it all the same; only a restart of the manager would not know */
                log_event(LOG_WARNING, NULL, "Cannot write down what %s did: %s", guest->record.name, strerrordesc_np(-r) ?: "?");
        tell(guest, event, detail);
}

/* Whatever happened between two moments of its run is said, and told. */
static void catch_up(struct noop_guest *guest) {
        const struct noop_options *options = &guest->record.options;
        uint64_t from = guest->said_usec, to = record_ran_usec(&guest->record, noop_now_usec()), next;
        uint64_t boot = options->boot_ms * UINT64_C(1000), address = options->address_ms * UINT64_C(1000);
        enum hypervisor_event event;

        guest->said_usec = to + 1;
        if (boot >= from && boot <= to)
                login_prompt(&guest->login, guest->record.name, on_output, guest);
        event = noop_options_event(options, to, guest->record.disk_failure_is_over, &next);
        if (event != HYPERVISOR_NO_EVENT)
                noop_guest_does(guest, event, "as its backend_options say");
        else if ((boot >= from && boot <= to) || (options->address_ms != NOOP_NEVER && address >= from && address <= to))
                tell(guest, HYPERVISOR_CHANGED, "");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        struct noop_guest *guest = userdata;

        if (guest->record.state == HYPERVISOR_RUNNING) {
                catch_up(guest);
                noop_guest_watch(guest);
        }
        return 0;
}

static int set_timer(sd_event *event, sd_event_source **source, uint64_t in_usec, sd_event_time_handler_t handler, void *userdata) {
        int r;

        if (!*source)
                return sd_event_add_time_relative(event, source, CLOCK_MONOTONIC, in_usec, 1, handler, userdata);
        r = sd_event_source_set_time_relative(*source, in_usec);
        return r < 0 ? r : sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
}

void noop_guest_watch(struct noop_guest *guest) {
        uint64_t ran, next;
        int r;

        if (guest->record.state != HYPERVISOR_RUNNING) {
                guest->timer = sd_event_source_disable_unref(guest->timer);
                return;
        }
        ran = record_ran_usec(&guest->record, noop_now_usec());
        if (noop_options_event(&guest->record.options, ran, guest->record.disk_failure_is_over, &next) != HYPERVISOR_NO_EVENT ||
            guest->said_usec == 0)
                next = ran;             /* at once */
        if (next == UINT64_MAX) {
                guest->timer = sd_event_source_disable_unref(guest->timer);
                return;
        }
        r = set_timer(guest->noop->host.event, &guest->timer, next - ran, on_timer, guest);
        if (r < 0)
                log_event(LOG_ERR, NULL, "Cannot set the clock of %s: %s", guest->record.name, strerrordesc_np(-r) ?: "?");
}

int noop_guest_boot(struct noop_guest *guest, bool paused, struct idl_error *error) {
        struct record *record = &guest->record, before = *record;
        int r;

        record->state = paused ? HYPERVISOR_SUSPENDED : HYPERVISOR_RUNNING;
        record->event = HYPERVISOR_NO_EVENT;
        record->started_usec = clock_now_usec(CLOCK_REALTIME);
        record->ran_usec = 0;
        record->resumed_usec = noop_now_usec();
        record->disk_failure_is_over = false;
        r = noop_guest_save(guest, error);
        if (r < 0) {
                *record = before;
                return r;
        }
        guest->said_usec = 0;
        login_boot(&guest->login, record->name, on_output, guest);
        noop_guest_watch(guest);
        return 0;
}

/* Operations */

static struct noop_action *noop_action_free(struct noop_action *action) {
        for (struct noop_action **p = &action->guest->actions; *p; p = &(*p)->next)
                if (*p == action) {
                        *p = action->next;
                        break;
                }
        if (action->call)
                action->call->under_way = NULL;
        sd_event_source_disable_unref(action->timer);
        sd_event_source_disable_unref(action->io);
        record_done(&action->record);
        free(action->buffer);
        free(action);
        return NULL;
}

void noop_action_end(struct noop_action *action, int r, struct idl_error *error) {
        struct hypervisor_call *call = action->call;

        noop_action_free(action);
        call->done(call, r, error);
}

static int refuse(const struct noop_action *action, struct idl_error *error) {
        return idl_error_set_backend_failed(error, "noop", action->what, "its backend_options say so");
}

static int on_action(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct noop_action *action = userdata;
        struct idl_error error = IDL_ERROR_NULL;
        uint64_t gone = noop_now_usec() - action->begun_usec, whole = action->ms * 1000;
        int r = 0;

        if (action->cancelled)
                r = -ECANCELED;
        else if (action->way == NOOP_UNHEEDED)
                r = -ETIMEDOUT;
        else if (action->way == NOOP_FAIL)
                r = refuse(action, &error);
        else if (gone < whole) {
                if (action->call->progress)
                        action->call->progress(action->call, (double) gone / (double) whole);
                return noop_action_delay(action, action->ms);
        } else
                r = action->apply(action, &error);
        if (r != -EINPROGRESS)
                noop_action_end(action, r, &error);
        idl_error_done(&error);
        return 0;
}

int noop_action_delay(struct noop_action *action, uint64_t ms) {
        uint64_t gone = noop_now_usec() - action->begun_usec, left;

        action->ms = ms;
        left = gone < ms * 1000 ? ms * 1000 - gone : 0;
        if (left > PROGRESS_MS * 1000)
                left = PROGRESS_MS * 1000;
        return set_timer(action->guest->noop->host.event, &action->timer, left, on_action, action);
}

int noop_begin(struct noop_guest *guest, struct hypervisor_call *call, const struct noop_options *options, enum noop_verb verb,
               const char *what, int (*apply)(struct noop_action *action, struct idl_error *error), struct noop_action **ret_action) {
        struct noop_action *action = malloc(sizeof *action);
        int r = 0;

        if (!action)
                return -ENOMEM;
        *action = (struct noop_action) { .guest = guest, .call = call, .what = what, .apply = apply, .way = options->verbs[verb].way,
                                         .begun_usec = noop_now_usec(), .record = { .state = HYPERVISOR_ABSENT }, .fd = -1 };
        if (action->way != NOOP_STUCK)
                r = noop_action_delay(action, options->verbs[verb].ms);
        action->next = guest->actions;
        guest->actions = action;
        call->under_way = action;
        if (r < 0) {
                noop_action_free(action);
                return r;
        }
        if (ret_action)
                *ret_action = action;
        return 0;
}

void noop_cancel(void *userdata, struct hypervisor_call *call) {
        struct noop_action *action = call->under_way;

        if (!action || action->cancelled)
                return;
        action->cancelled = true;
        action->io = sd_event_source_disable_unref(action->io);
        if (set_timer(action->guest->noop->host.event, &action->timer, 0, on_action, action) < 0)
                log_event(LOG_ERR, NULL, "Cannot cancel an operation of %s", action->guest->record.name);
}

/* All of it */

int noop_guest_new(void *backend, const char *uuid, void *userdata, void **ret_guest) {
        struct noop *noop = backend;
        struct noop_guest *guest = malloc(sizeof *guest);
        int r;

        if (!guest)
                return -ENOMEM;
        *guest = (struct noop_guest) { .noop = noop, .userdata = userdata, .record = { .state = HYPERVISOR_ABSENT }, .console_fd = -1 };
        if (asprintf(&guest->path, "%s/%s", noop->state_dir, uuid) < 0) {
                free(guest);
                return -ENOMEM;
        }
        r = record_load(&guest->record, noop->boot_id, guest->path);
        if (r == -ESTALE || r == -EBADMSG) {
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", uuid }), "The guest of %s is gone: %s", uuid,
                          r == -ESTALE ? "it ran before the host was booted" : "its file is damaged");
                unlink(guest->path);
        } else if (r < 0 && r != -ENOENT) {
                noop_guest_free(guest);
                return r;
        }
        /* Its console is where it was, and nobody has heard it since. */
        guest->said_usec = record_ran_usec(&guest->record, noop_now_usec()) + 1;
        noop_guest_watch(guest);
        *ret_guest = guest;
        return 0;
}

void noop_guest_free(void *userdata) {
        struct noop_guest *guest = userdata;

        while (guest->actions)
                noop_action_free(guest->actions);
        noop_guest_hang_up(guest);
        sd_event_source_disable_unref(guest->timer);
        record_done(&guest->record);
        free(guest->path);
        free(guest);
}
