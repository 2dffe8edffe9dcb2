/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is asked of a backend that is a process of this domain, over its control socket. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "idl-errors.h"
#include "local-seat.h"
#include "pvcalls1-domain.h"

/* A call that waits for an answer of the backend. */
struct asking {
        struct local *local;            /* valid as long as there are answers */
        struct idl_call *call;
        char domain[12];
        struct xcp_pvcalls_socket *sockets;
        size_t n_sockets, n_allocated;
        uint64_t id;
};

static void on_policy(int r, char *text, void *userdata) {
        if (r == 0 && strncmp(text, "ok", 2) != 0)
                local_distrust(userdata, "it does not take its policy");
        else if (r == -ETIMEDOUT)
                local_distrust(userdata, "it does not answer");
}

/* What it does not take in it may not go on without: the next one begins with policy and limits. */
static void tell(struct local *local, const char *text, size_t n) {
        if (local->control && control_client_ask(local->control, text, n, on_policy, local) < 0)
                local_distrust(local, "it does not read what it is told");
}

void local_set_policy(struct seat *seat) {
        struct local *local = (struct local *) seat;
        AUTO_FREE char *text = NULL;
        int n = asprintf(&text, "policy\n%s", seat->domain->policy_text);

        if (n < 0) {
                text = NULL;
                local_distrust(local, "there is no memory for its policy");
                return;
        }
        tell(local, text, (size_t) n);
}

__attribute__((format(printf, 2, 3))) static void tell_limit(struct local *local, const char *format, ...) {
        char text[80];
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(text, sizeof text, format, args);
        va_end(args);
        tell(local, text, (size_t) n);
}

void local_set_limits(struct seat *seat) {
        struct local *local = (struct local *) seat;
        const struct xcp_pvcalls_limits *limits = &seat->domain->limits;

        tell_limit(local, "limit sockets=%u", limits->sockets);
        tell_limit(local, "limit sockets-per-second=%u", limits->sockets_per_second);
        tell_limit(local, "limit bytes-per-second=%llu",
                   limits->has_bytes_per_second ? (unsigned long long) limits->bytes_per_second : 0);
        tell_limit(local, "limit max-page-order=%u", limits->max_page_order);
}

/* Calls */

static void asking_free(struct asking *asking) {
        idl_call_unref(asking->call);
        free(asking);
}

static void asking_fail(struct asking *asking, int r, const char *reason) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

        idl_error_set_unreachable(&error, "backend of domain", asking->domain,
                                  reason ?: r == -ETIMEDOUT ? "it does not answer" : "it has ended");
        idl_call_fail(asking->call, &error);
        asking_free(asking);
}

static int ask(struct seat *seat, struct idl_call *call, uint64_t id, const char *text, control_answer_t answer, struct idl_error *error) {
        struct local *local = (struct local *) seat;
        struct asking *asking;
        int r;

        if (!local->control)
                return idl_error_set_unreachable(error, "backend of domain", seat->domain->text, "it is being started");
        asking = calloc(1, sizeof *asking);
        if (!asking)
                return -ENOMEM;
        *asking = (struct asking) { .local = local, .call = idl_call_ref(call), .id = id };
        memcpy(asking->domain, seat->domain->text, sizeof asking->domain);
        r = control_client_ask(local->control, text, strlen(text), answer, asking);
        if (r < 0) {
                asking_free(asking);
                return idl_error_set_unreachable(error, "backend of domain", seat->domain->text, strerrordesc_np(-r) ?: "unknown error");
        }
        return 0;
}

/* Cuts a text at the end of its first line. Returns what is behind. */
static char *take_line(char *text) {
        char *end = strchrnul(text, '\n');

        if (*end == '\0')
                return end;
        *end = '\0';
        return end + 1;
}

static void on_list(int r, char *text, void *userdata);

/* Takes the lines into the call's arena. Returns 1 and the serial to go on with, if there are more. */
static int take_sockets(struct asking *asking, const char *text, uint64_t *ret_from) {
        struct idl_arena *arena = idl_call_arena(asking->call);
        char *line = idl_arena_strdup(arena, text), *next;
        void *sockets;
        int r;

        if (!line)
                return -errno;
        for (line = take_line(line); *line; line = next) {
                next = take_line(line);
                if (strncmp(line, "more ", 5) == 0) {
                        *ret_from = strtoull(line + 5, NULL, 10);
                        return asking->n_sockets > 0 && *ret_from > asking->sockets[asking->n_sockets - 1].id ? 1 : -EBADMSG;
                }
                sockets = asking->sockets;
                r = idl_arena_grow(arena, &sockets, &asking->n_allocated, asking->n_sockets + 1, sizeof *asking->sockets);
                asking->sockets = sockets;
                if (r >= 0)
                        r = report_socket(line, &asking->sockets[asking->n_sockets]);
                if (r < 0)
                        return r;
                asking->n_sockets++;
        }
        return 0;
}

static void on_list(int r, char *text, void *userdata) {
        struct asking *asking = userdata;
        char request[40];
        uint64_t from = 0;

        if (r == 0)
                r = take_sockets(asking, text, &from);
        if (r == 1) {
                snprintf(request, sizeof request, "list %llu", (unsigned long long) from);
                r = control_client_ask(asking->local->control, request, strlen(request), on_list, asking);
                if (r == 0)
                        return;
        } else if (r == 0) {
                pvcalls1_domain_reply_list_sockets(asking->call, asking->sockets, asking->n_sockets);
                asking_free(asking);
                return;
        }
        asking_fail(asking, r, r == -EBADMSG ? "it says what cannot be understood" : r == -E2BIG ? "it has too many sockets" : NULL);
}

int local_list_sockets(struct seat *seat, struct idl_call *call, struct idl_error *error) {
        return ask(seat, call, 0, "list", on_list, error);
}

static void on_counters(int r, char *text, void *userdata) {
        struct asking *asking = userdata;
        struct xcp_dict_s_t_entry counters[64];
        size_t n = 0;
        char *line = text, *next;

        if (r < 0) {
                asking_fail(asking, r, NULL);
                return;
        }
        for (line = take_line(line); *line && n < sizeof counters / sizeof counters[0]; line = next) {
                next = take_line(line);
                if (report_counter(line, &counters[n++]) < 0) {
                        asking_fail(asking, -EBADMSG, "it says what cannot be understood");
                        return;
                }
        }
        pvcalls1_domain_reply_get_counters(asking->call, counters, n);
        asking_free(asking);
}

int local_get_counters(struct seat *seat, struct idl_call *call, struct idl_error *error) {
        return ask(seat, call, 0, "counters", on_counters, error);
}

static void on_close(int r, char *text, void *userdata) {
        struct asking *asking = userdata;
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        char id[24];

        if (r < 0) {
                asking_fail(asking, r, NULL);
                return;
        }
        snprintf(id, sizeof id, "%llu", (unsigned long long) asking->id);
        if (strncmp(text, "ok", 2) == 0) {
                pvcalls1_domain_reply_close_socket(asking->call);
        } else {
                idl_error_set_does_not_exist(&error, "socket", id);
                idl_call_fail(asking->call, &error);
        }
        asking_free(asking);
}

int local_close_socket(struct seat *seat, struct idl_call *call, uint64_t id, struct idl_error *error) {
        char request[40];

        snprintf(request, sizeof request, "close %llu", (unsigned long long) id);
        return ask(seat, call, id, request, on_close, error);
}

static void on_close_all(int r, char *text, void *userdata) {
        struct asking *asking = userdata;
        unsigned n = 0;

        if (r < 0) {
                asking_fail(asking, r, NULL);
                return;
        }
        if (sscanf(text, "ok %u", &n) != 1) {
                asking_fail(asking, -EBADMSG, "it says what cannot be understood");
                return;
        }
        pvcalls1_domain_reply_close_all_sockets(asking->call, n);
        asking_free(asking);
}

int local_close_all_sockets(struct seat *seat, struct idl_call *call, struct idl_error *error) {
        return ask(seat, call, 0, "close all", on_close_all, error);
}
