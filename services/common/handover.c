/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "export.h"
#include "handover-private.h"
#include "idl-errors.h"
#include "service-private.h"

uint64_t handover_now(void) {
        return clock_now_usec(CLOCK_MONOTONIC);
}

/* Times */

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        struct handover *handover = userdata;

        handover->then(handover);
        return 0;
}

void handover_later(struct handover *handover, uint64_t usec, handover_then_t then) {
        int r;

        handover->then = then;
        usec /= handover->haste;
        if (usec == 0) {
                if (handover->timer)
                        sd_event_source_set_enabled(handover->timer, SD_EVENT_OFF);
                return;
        }
        if (!handover->timer)
                r = sd_event_add_time_relative(handover->service->event, &handover->timer, CLOCK_MONOTONIC, usec, 0, on_timer, handover);
        else
                r = sd_event_source_set_time_relative(handover->timer, usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(handover->timer, SD_EVENT_ONESHOT);
        if (r < 0)                      /* without a bound a service could wait for ever: rather do it now */
                then(handover);
}

/* States */

void handover_set_state(struct handover *handover, enum xcp_handover_state state) {
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_HANDOVER", xcp_handover_state_to_string(state) }), "Moving %s: %s, epoch %" PRIu64,
                  handover->service->bus_name, xcp_handover_state_to_string(state), handover->mark.epoch);
        handover->state = state;
}

int handover_wrong_state(struct handover *handover, const char *expected, struct idl_error *error) {
        return idl_error_set_bad_state(error, "service", handover->service->bus_name, expected, xcp_handover_state_to_string(handover->state));
}

static bool is_prepared(const struct handover *handover, const struct handover_mark *mark) {
        const struct handover_mark *prepared = &handover->prepared;

        return handover->is_prepared && prepared->claim == mark->claim && prepared->epoch == mark->epoch && strcmp(prepared->peer, mark->peer) == 0;
}

static void fill_mark(struct handover_mark *mark, enum handover_claim claim, uint64_t epoch, const char *peer) {
        *mark = (struct handover_mark) { .claim = claim, .epoch = epoch };
        snprintf(mark->peer, sizeof mark->peer, "%s", peer);
}

int handover_write_mark(struct handover *handover, enum handover_claim claim, uint64_t epoch, const char *peer) {
        const char *dir = handover->service->options.state_dir;
        struct handover_mark mark;
        int r;

        fill_mark(&mark, claim, epoch, peer);
        r = is_prepared(handover, &mark) ? handover_mark_put(dir) : handover_mark_write(dir, &mark);
        handover->is_prepared = false;
        if (r < 0) {
                log_event(LOG_ERR, NULL, "Cannot write whose the state in %s is: %s", dir, strerrordesc_np(-r));
                return r;
        }
        handover->mark = mark;
        return 0;
}

void handover_prepare_mark(struct handover *handover, enum handover_claim claim, uint64_t epoch, const char *peer) {
        struct handover_mark mark;

        fill_mark(&mark, claim, epoch, peer);
        if (is_prepared(handover, &mark))
                return;
        handover->prepared = mark;
        handover->is_prepared = handover_mark_prepare(handover->service->options.state_dir, &mark) >= 0;        /* if not, it is written when it counts */
}

bool handover_mark_is_higher(const struct handover *handover, uint64_t epoch, struct idl_error *error) {
        char text[24];

        if (epoch > handover->mark.epoch)
                return true;
        snprintf(text, sizeof text, "%" PRIu64, epoch);
        idl_error_set_invalid_argument(error, "epoch", text, "has to be greater than all before");
        return false;
}

void handover_end(struct handover *handover, int status) {
        handover_later(handover, 0, NULL);
        sd_event_exit(handover->service->event, status);
}

void handover_fail(struct handover *handover, struct idl_error *error) {
        if (!handover->waiting)
                return;
        idl_call_fail(handover->waiting, error);
        handover->waiting = idl_call_unref(handover->waiting);
}

/* The object */

static int get_state(void *object, struct idl_arena *arena, enum xcp_handover_state *ret_state) {
        struct handover *handover = object;

        *ret_state = handover->state;
        return 0;
}

static int get_epoch(void *object, struct idl_arena *arena, uint64_t *ret_epoch) {
        struct handover *handover = object;

        *ret_epoch = handover->mark.epoch;
        return 0;
}

static int on_prepare(void *object, struct idl_call *call, struct idl_error *error) {
        struct handover *handover = object;
        const char *suffix = handover->state == XCP_HANDOVER_STATE_ACTIVE ? HANDOVER_OLD_SUFFIX : HANDOVER_STANDBY_SUFFIX;
        int r = 0;

        if (handover->state != XCP_HANDOVER_STATE_ACTIVE && handover->state != XCP_HANDOVER_STATE_STAND_BY)
                return handover_wrong_state(handover, "Active, StandBy", error);
        if (handover->predecessor)      /* its calls come over the second connection, and would not wait */
                return idl_error_set_busy(error, "service", handover->service->bus_name, "its predecessor, which still passes on calls");
        if (!handover->control)
                r = handover_connect(handover);
        if (r >= 0)
                r = handover_own(handover, suffix);
        if (r >= 0 && handover->state == XCP_HANDOVER_STATE_ACTIVE)
                r = handover_watch_name(handover);
        if (r < 0)
                return r;
        return handover1_reply_prepare(call, idl_arena_printf(idl_call_arena(call), "%s%s", handover->service->bus_name, suffix),
                                       handover->mark.epoch);
}

static const struct handover1_handlers handlers = {
        .prepare = on_prepare,
        .export = handover_on_export,
        .import = handover_on_import,
        .check = handover_on_check,
        .quiesce = handover_on_quiesce,
        .load = handover_on_load,
        .retire = handover_on_retire,
        .activate = handover_on_activate,
        .relay = handover_on_relay,
        .resume = handover_on_resume,
        .abandon = handover_on_abandon,
        .open = handover_on_open,
        .on_behalf_of = handover_on_behalf_of,
        .drained = handover_on_drained,
        .get_state = get_state,
        .get_epoch = get_epoch,
};

int handover_own(struct handover *handover, const char *suffix) {
        AUTO_FREE char *name = NULL;
        int r;

        if (asprintf(&name, "%s%s", handover->service->bus_name, suffix) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        r = sd_bus_request_name(handover->control, name, 0);
        if (r < 0 && r != -EALREADY)
                log_event(LOG_ERR, NULL, "Cannot own %s: %s", name, strerrordesc_np(-r));
        return r == -EALREADY ? 0 : r;
}

int handover_disown(struct handover *handover, const char *suffix) {
        AUTO_FREE char *name = NULL;
        int r;

        if (asprintf(&name, "%s%s", handover->service->bus_name, suffix) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        r = sd_bus_call_method_async(handover->control, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     "ReleaseName", NULL, NULL, "s", name);
        return r < 0 ? r : 0;
}

int handover_connect(struct handover *handover) {
        struct service *service = handover->service;
        AUTO(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = service_connect(service, &bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, service->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, HANDOVER_ANSWER_USEC);
        if (r >= 0)
                r = handover1_export(bus, NULL, service->path, &handlers, handover);
        if (r < 0)
                return r;
        handover->control = bus;
        bus = NULL;
        return 0;
}

/* All of it */

/* One that is to stand by must not run over a state that somebody may still need. */
static int check_mark(struct handover *handover, bool found) {
        struct service *service = handover->service;
        const struct handover_mark *mark = &handover->mark;
        AUTO_FREE char *path = NULL;

        if (service->options.stand_by) {
                if (asprintf(&path, "%s/%s.db", service->options.state_dir, service->kind->name) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                if (mark->claim != HANDOVER_ACTIVE || (!found && access(path, F_OK) < 0))
                        return 0;
                log_event(LOG_ERR, NULL, "There is a state in %s already, which would be lost: it has to be moved away, or removed", path);
                return -EEXIST;
        }
        if (mark->claim == HANDOVER_ACTIVE)
                return 0;
        if (service->options.reclaim)
                return handover_write_mark(handover, HANDOVER_ACTIVE, mark->epoch + 1, "reclaimed");
        log_event(LOG_ERR, LOG_FIELDS({ "XCP_PEER", mark->peer }),
                  "The state in %s was handed over%s%s, epoch %" PRIu64 ": %s does not start with it (--reclaim, see docs/service-move.md)",
                  service->options.state_dir, *mark->peer ? ": " : "", mark->peer, mark->epoch, service->bus_name);
        return -EKEYEXPIRED;
}

/* A database that SQLite closes takes the files beside it along, by their names: nobody else may have begun with new ones by then. */
static int lock(struct handover *handover) {
        const struct service *service = handover->service;
        static const struct timespec moment = { .tv_nsec = 20000000 };
        uint64_t until = handover_now() + (service->options.stand_by ? HANDOVER_LOCK_USEC : 0);

        handover->lock = open(service->options.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (handover->lock < 0)
                return -errno;
        while (flock(handover->lock, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK || handover_now() >= until) {
                        int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

                        log_event(LOG_ERR, NULL, "The state directory %s cannot be used: %s", service->options.state_dir,
                                  r == -EBUSY ? "another process uses it" : strerrordesc_np(-r));
                        return r;
                }
                nanosleep(&moment, NULL);       /* nobody is served yet, who could have to wait for this */
        }
        return 0;
}

static uint64_t find_haste(void) {
        const char *given = secure_getenv("XCP_HANDOVER_HASTE");
        unsigned long haste = given ? strtoul(given, NULL, 10) : 1;

        return haste >= 1 && haste <= 100 ? haste : 1;
}

int handover_new(struct handover **ret_handover, struct service *service) {
        struct handover *handover;
        int found = 0, r;

        handover = calloc(1, sizeof *handover);
        if (!handover)
                return -ENOMEM;
        *handover = (struct handover) {
                .service = service,
                .kind = service->kind->handover,
                .lock = -1,
                .state = XCP_HANDOVER_STATE_ACTIVE,
                .haste = find_haste(),
        };
        r = lock(handover);
        if (r < 0) {
                handover_free(handover);
                return r;
        }
        r = handover_mark_read(service->options.state_dir, &handover->mark, &found);
        if (r < 0)
                log_event(LOG_ERR, NULL, "Cannot read whose the state in %s is: %s", service->options.state_dir, strerrordesc_np(-r));
        else
                r = check_mark(handover, found);
        if (r < 0) {
                handover_free(handover);
                return r;
        }
        *ret_handover = handover;
        return 0;
}

struct handover *handover_free(struct handover *handover) {
        if (!handover)
                return NULL;
        idl_export_mirror(NULL, NULL);
        handover_check_end(handover);
        relay_free(handover->relay);
        idl_call_unrefp(&handover->waiting);
        sd_event_source_disable_unref(handover->timer);
        sd_event_source_disable_unref(handover->settle);
        sd_event_source_disable_unref(handover->sync);
        sd_bus_flush_close_unref(handover->control);
        free(handover->stream);
        free(handover->successor);
        free(handover->bus);
        free(handover->predecessor);
        free(handover->behalf);
        cleanup_fd(&handover->lock);
        free(handover);
        return NULL;
}

int handover_export(struct handover *handover) {
        return handover1_export(handover->service->bus, NULL, handover->service->path, &handlers, handover);
}
