/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "diagnostics.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

const char *health_name(enum health health) {
        static const char *const names[_HEALTH_N] = {
                [HEALTH_GOOD] = "Good",
                [HEALTH_DEGRADED] = "Degraded",
                [HEALTH_FAILING] = "Failing",
        };

        return names[health];
}

static void problem_done(struct diagnostics_problem *problem) {
        free(problem->name);
        free(problem->text);
}

void diagnostics_done(struct diagnostics *diagnostics) {
        for (size_t i = 0; i < diagnostics->n_problems; i++)
                problem_done(&diagnostics->problems[i]);
        *diagnostics = (struct diagnostics) DIAGNOSTICS_NULL;
}

static size_t find(const struct diagnostics *diagnostics, const char *name) {
        size_t i = 0;

        while (i < diagnostics->n_problems && strcmp(diagnostics->problems[i].name, name) != 0)
                i++;
        return i;
}

static void changed(struct diagnostics *diagnostics) {
        if (diagnostics->changed)
                diagnostics->changed(diagnostics->userdata);
}

static int remove_problem(struct diagnostics *diagnostics, size_t i) {
        if (i == diagnostics->n_problems)
                return 0;
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_PROBLEM", diagnostics->problems[i].name }), "No longer: %s", diagnostics->problems[i].text);
        problem_done(&diagnostics->problems[i]);
        diagnostics->n_problems--;
        memmove(diagnostics->problems + i, diagnostics->problems + i + 1,
                (diagnostics->n_problems - i) * sizeof diagnostics->problems[0]);
        changed(diagnostics);
        return 0;
}

static int set_problem(struct diagnostics *diagnostics, size_t i, enum health health, const char *name, const char *text) {
        struct diagnostics_problem problem = { health, strdup(name), strdup(text) };

        if (!problem.name || !problem.text) {
                problem_done(&problem);
                return -ENOMEM;
        }
        if (i < diagnostics->n_problems)
                problem_done(&diagnostics->problems[i]);
        else
                diagnostics->n_problems++;
        diagnostics->problems[i] = problem;
        log_event(health == HEALTH_FAILING ? LOG_ERR : LOG_WARNING, LOG_FIELDS({ "XCP_PROBLEM", name }), "%s", text);
        changed(diagnostics);
        return 0;
}

int diagnostics_problem(struct diagnostics *diagnostics, enum health health, const char *name, const char *text) {
        size_t i = find(diagnostics, name);
        bool known = i < diagnostics->n_problems;

        if (health == HEALTH_GOOD)
                return remove_problem(diagnostics, i);
        if (known && diagnostics->problems[i].health == health && strcmp(diagnostics->problems[i].text, text) == 0)
                return 0;
        if (!known && diagnostics->n_problems == DIAGNOSTICS_PROBLEMS_MAX)
                return -ENOSPC;
        return set_problem(diagnostics, i, health, name, text);
}

enum health diagnostics_health(const struct diagnostics *diagnostics) {
        enum health worst = HEALTH_GOOD;

        for (size_t i = 0; i < diagnostics->n_problems; i++)
                if (diagnostics->problems[i].health > worst)
                        worst = diagnostics->problems[i].health;
        return worst;
}

int diagnostics_count(struct diagnostics *diagnostics, const char *name, const uint64_t *value) {
        if (diagnostics->n_counters == DIAGNOSTICS_COUNTERS_MAX)
                return -ENOSPC;
        diagnostics->counters[diagnostics->n_counters++] = (struct diagnostics_counter) { name, value };
        return 0;
}
