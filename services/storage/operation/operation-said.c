/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an operation's steps say: how far they are, and what they have found (io/io.h). */

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "operation-private.h"

static double total_weight(const struct plan *plan) {
        double total = 0;

        for (size_t i = 0; i < plan->n_steps; i++)
                total += plan->steps[i].weight;
        return total > 0 ? total : 1;
}

void operation_advance(struct operation *operation, double part) {
        const struct step *step = &operation->plan.steps[operation->i_step];

        if (operation->work && operation->state == OPERATION_RUNNING)
                work_advance(operation->work, (operation->weight_done + part * step->weight) / total_weight(&operation->plan));
}

void operation_on_line(const char *line, void *userdata) {
        struct operation *operation = userdata;
        const struct step *step = operation_current_step(operation);
        unsigned long long a, b, c;
        double percent;
        int n = 0;

        if (step->is_qemu) {
                if (sscanf(line, " (%lf/100%%)", &percent) == 1)
                        operation_advance(operation, percent / 100);
                return;
        }
        if (sscanf(line, "progress %llu %llu", &a, &b) == 2) {
                operation->n_copied = a;
                operation_advance(operation, b > 0 ? (double) a / (double) b : 1);
        } else if (!(operation->scan && *operation->scan->checking) && sscanf(line, "failed %d %n", &operation->said_errno, &n) == 1 &&
                   n > 0) {
                operation->said_failed = true;
                snprintf(operation->said, sizeof operation->said, "%s", line + n);
        } else if (strncmp(line, "unreachable ", 12) == 0) {
                operation->said_unreachable = true;
                snprintf(operation->said, sizeof operation->said, "%s", line + 12);
        } else if (sscanf(line, "bytes %llu", &a) == 1)
                operation->bytes = a;
        else if (sscanf(line, "size %llu", &a) == 1) {
                operation->size = a;
                if (step->intent) {
                        step->intent->found = true;
                        step->intent->found_size = a;
                }
        } else if (step->intent && sscanf(line, "entry %*s %*u %*u %*u %llu", &a) == 1) {
                step->intent->found = true;
                step->intent->found_size = a;
        } else if (sscanf(line, "space %llu %llu %llu", &a, &b, &c) == 3) {
                operation->total = a;
                operation->free = b;
                operation->used = c;
        } else if (sscanf(line, "usage %llu", &a) == 1) {
                if (operation->n_usage < sizeof operation->usage / sizeof operation->usage[0])
                        operation->usage[operation->n_usage++] = a;
        } else if (operation->scan && scan_line(operation->scan, line) < 0)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_SR", operation->sr->id }), "A scan said what it should not: %s", line);
}
