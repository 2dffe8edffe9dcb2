/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Rules as they are kept. For the other files of this directory. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge-limits.h"
#include "bridge-policy.h"

#define KIND_BIT(kind) (1u << (kind))

/* A name or path, and perhaps what is below it. */
struct pattern {
        char *text;                     /* NULL: anything */
        bool below;                     /* what is below text, too */
};

/* Domains: those that have all that is said here. */
struct who {
        bool by_id;
        uint32_t id;
        char *uuid;                     /* in lower case; NULL: any, and so with the following */
        char *type;
        char *name;
        bool name_begins;               /* names that begin like this */
};

struct whos {
        struct who *who;                /* any of them */
        size_t n;
};

struct rate {
        uint64_t interval_ns;           /* 0: none */
        uint64_t burst;
        size_t index;                   /* among the policy's rates */
};

struct bridge_rule {
        enum bridge_action action;
        unsigned kinds;                 /* KIND_BIT()s */
        enum bridge_direction direction;        /* unless it is about owning */
        bool unnamed;                   /* connections without a name, and only these; then names says nothing */
        struct pattern names;
        struct pattern path;
        struct pattern interface;
        char *member;                   /* NULL: any */
        struct rate rate;
        struct whos whos;

        const char *file;               /* of the policy */
        unsigned line;
        char *text;
};

struct limit_line {
        enum bridge_limit limit;
        uint64_t value;
        struct whos whos;
};

struct bridge_policy {
        struct bridge_rule **rules;
        size_t n_rules;
        size_t n_rates;
        struct limit_line *limits;
        size_t n_limits;
        char **files;                   /* the names that rules point to */
        size_t n_files;
};

enum verdict {
        VERDICT_NO,
        VERDICT_YES,
        VERDICT_UNKNOWN,                /* what the rule asks for is not known: fatal to an allow, and enough for a deny */
};

/* Whether a domain is one of these. */
enum verdict whos_match(const struct whos *whos, const struct bridge_domain *domain);

/* Whether text is what the pattern says; separator is that of its elements. */
bool pattern_matches(const struct pattern *pattern, const char *text, char separator);

void whos_done(struct whos *whos);
struct bridge_rule *rule_free(struct bridge_rule *rule);

#define AUTO(function) __attribute__((cleanup(function)))

void free_text(void *p);
#define AUTO_FREE AUTO(free_text)
