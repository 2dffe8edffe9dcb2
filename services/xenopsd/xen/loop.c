/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include <libxl_event.h>
#include <libxl_utils.h>

#include "context.h"
#include "log.h"

struct loop_domain {
        struct loop *loop;
        loop_on_domain_t on_domain;
        void *userdata;
        libxl_evgen_domain_death *generator;
        uint64_t number;                /* what libxl tells of it with: never that of another, so that what comes late is nobody's */
        struct loop_domain *next;
};

struct loop {
        sd_event *event;
        libxl_ctx *ctx;
        struct xen_logger *logger;
        struct loop_domain *domains;
        uint64_t last;
        unsigned n_asked;               /* guests that have not taken notice yet */
};

/* Hooks: descriptors. A registration is what libxl gave, and the source. */

struct registration {
        struct loop *loop;
        void *for_libxl;
        sd_event_source *source;
};

static uint32_t to_epoll(short events) {
        return (events & POLLIN ? EPOLLIN : 0u) | (events & POLLPRI ? EPOLLPRI : 0u) | (events & POLLOUT ? EPOLLOUT : 0u);
}

static short from_epoll(uint32_t events) {
        return (short) ((events & EPOLLIN ? POLLIN : 0) | (events & EPOLLPRI ? POLLPRI : 0) | (events & EPOLLOUT ? POLLOUT : 0) |
                        (events & EPOLLERR ? POLLERR : 0) | (events & EPOLLHUP ? POLLHUP : 0));
}

static short wanted(sd_event_source *source) {
        uint32_t events = 0;

        (void) sd_event_source_get_io_events(source, &events);
        return from_epoll(events);
}

/* The registration may be gone when it returns. */
static int on_fd(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct registration *registration = userdata;

        libxl_osevent_occurred_fd(registration->loop->ctx, registration->for_libxl, fd, wanted(source), from_epoll(events));
        return 0;
}

static int fd_register(void *user, int fd, void **ret_registration, short events, void *for_libxl) {
        struct loop *loop = user;
        struct registration *registration = calloc(1, sizeof *registration);

        if (!registration)
                return ERROR_OSEVENT_REG_FAIL;
        *registration = (struct registration) { .loop = loop, .for_libxl = for_libxl };
        if (sd_event_add_io(loop->event, &registration->source, fd, to_epoll(events), on_fd, registration) < 0) {
                free(registration);
                return ERROR_OSEVENT_REG_FAIL;
        }
        *ret_registration = registration;
        return 0;
}

static int fd_modify(void *user, int fd, void **update_registration, short events) {
        struct registration *registration = *update_registration;

        return sd_event_source_set_io_events(registration->source, to_epoll(events)) < 0 ? ERROR_OSEVENT_REG_FAIL : 0;
}

static void registration_free(struct registration *registration) {
        sd_event_source_disable_unref(registration->source);
        free(registration);
}

static void fd_deregister(void *user, int fd, void *registration) {
        registration_free(registration);
}

/* Hooks: times. Libxl never takes one back, but has it come at once. */

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        struct registration *registration = userdata;
        libxl_ctx *ctx = registration->loop->ctx;
        void *for_libxl = registration->for_libxl;

        registration_free(registration);
        libxl_osevent_occurred_timeout(ctx, for_libxl);
        return 0;
}

static int timeout_register(void *user, void **ret_registration, struct timeval when, void *for_libxl) {
        struct loop *loop = user;
        struct registration *registration = calloc(1, sizeof *registration);
        uint64_t usec = (uint64_t) when.tv_sec * UINT64_C(1000000) + (uint64_t) when.tv_usec;

        if (!registration)
                return ERROR_OSEVENT_REG_FAIL;
        *registration = (struct registration) { .loop = loop, .for_libxl = for_libxl };
        if (sd_event_add_time(loop->event, &registration->source, CLOCK_REALTIME, usec, 0, on_time, registration) < 0) {
                free(registration);
                return ERROR_OSEVENT_REG_FAIL;
        }
        *ret_registration = registration;
        return 0;
}

static int timeout_modify(void *user, void **update_registration, struct timeval when) {
        struct registration *registration = *update_registration;

        return sd_event_source_set_time(registration->source, 0) < 0 ? ERROR_OSEVENT_REG_FAIL : 0;
}

static void timeout_deregister(void *user, void *registration) {
        registration_free(registration);
}

static const libxl_osevent_hooks hooks = {
        .fd_register = fd_register,
        .fd_modify = fd_modify,
        .fd_deregister = fd_deregister,
        .timeout_register = timeout_register,
        .timeout_modify = timeout_modify,
        .timeout_deregister = timeout_deregister,
};

/* Events */

static struct loop_domain *find(struct loop *loop, uint64_t number) {
        for (struct loop_domain *domain = loop->domains; domain; domain = domain->next)
                if (domain->number == number)
                        return domain;
        return NULL;
}

static void on_event(void *user, libxl_event *event) {
        struct loop *loop = user;
        struct loop_domain *domain = find(loop, event->for_user);
        int reason = event->type == LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN ? event->u.domain_shutdown.shutdown_reason : -1;
        bool is_asked = event->type == LIBXL_EVENT_TYPE_OPERATION_COMPLETE;
        bool is_end = event->type == LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN || event->type == LIBXL_EVENT_TYPE_DOMAIN_DEATH;

        libxl_event_free(loop->ctx, event);
        loop->n_asked -= is_asked;
        if (domain && is_end)
                domain->on_domain(domain->userdata, reason);
}

static void on_disaster(void *user, libxl_event_type type, const char *message, int errno_value) {
        log_event(LOG_CRIT, NULL, "Libxl cannot tell of domains any more: %s", message);
}

static const libxl_event_hooks event_hooks = {
        .event_occurs_mask = LIBXL_EVENTMASK_ALL,
        .event_occurs = on_event,
        .disaster = on_disaster,
};

int xen_loop_new(struct loop **ret_loop, sd_event *event) {
        struct loop *loop = calloc(1, sizeof *loop);
        int r;

        if (!loop)
                return -ENOMEM;
        loop->event = event;
        r = xen_context_new(&loop->ctx, &loop->logger, false);
        if (r < 0) {
                free(loop);
                return r;
        }
        libxl_osevent_register_hooks(loop->ctx, &hooks, loop);
        libxl_event_register_callbacks(loop->ctx, &event_hooks, loop);
        *ret_loop = loop;
        return 0;
}

struct loop *xen_loop_free(struct loop *loop) {
        if (!loop)
                return NULL;
        if (loop->n_asked == 0)         /* libxl frees none that has something under way, and this is the end of the process */
                xen_context_free(loop->ctx, loop->logger);
        free(loop);
        return NULL;
}

/* Asking. Whether the guest takes notice is seen by what it does. */

static int asked(struct loop *loop, int rc) {
        loop->n_asked += rc == 0;
        return rc;
}

int xen_loop_ask_poweroff(struct loop *loop, uint32_t domid) {
        const libxl_asyncop_how how = { .callback = NULL, .u = { .for_event = 0 } };
        int rc;

        rc = libxl_domain_shutdown(loop->ctx, domid, &how);
        if (rc == ERROR_NOPARAVIRT)
                rc = libxl_send_trigger(loop->ctx, domid, LIBXL_TRIGGER_POWER, 0, &how);
        return asked(loop, rc);
}

int xen_loop_ask_reboot(struct loop *loop, uint32_t domid) {
        const libxl_asyncop_how how = { .callback = NULL, .u = { .for_event = 0 } };

        return asked(loop, libxl_domain_reboot(loop->ctx, domid, &how));
}

int xen_loop_domain_new(struct loop_domain **ret_domain, struct loop *loop, uint32_t domid, loop_on_domain_t on_domain, void *userdata) {
        struct loop_domain *domain = calloc(1, sizeof *domain);

        if (!domain)
                return -ENOMEM;
        *domain = (struct loop_domain) { .loop = loop, .on_domain = on_domain, .userdata = userdata, .number = ++loop->last,
                                         .next = loop->domains };
        if (libxl_evenable_domain_death(loop->ctx, domid, domain->number, &domain->generator) != 0) {
                free(domain);
                return -EIO;
        }
        loop->domains = domain;
        *ret_domain = domain;
        return 0;
}

struct loop_domain *xen_loop_domain_free(struct loop_domain *domain) {
        if (!domain)
                return NULL;
        for (struct loop_domain **p = &domain->loop->domains; *p; p = &(*p)->next)
                if (*p == domain) {
                        *p = domain->next;
                        break;
                }
        libxl_evdisable_domain_death(domain->loop->ctx, domain->generator);
        free(domain);
        return NULL;
}
