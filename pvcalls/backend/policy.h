/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a guest may do: the first rule that matches decides, and what none matches is denied.
 *
 * A rule is what the record PvcallsRule of idl/types.xml says, here as text, one per line; docs/pvcalls.md, "Policy", has the grammar:
 *
 *         allow connect inet 10.0.0.0/8 port 443 rate 100
 *         allow bind inet 0.0.0.0 port 8080 to 127.0.0.1 port 18080
 *
 * Whether a rule's rate is used up is part of matching: what is beyond it is denied, and no later rule is asked.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rate.h"

#define POLICY_RULES_MAX 1024u          /* a guest's policy is read for each call: this many take some microseconds */
#define POLICY_TEXT_MAX (128u * 1024)   /* bytes: that many rules of the longest sort */

enum policy_call {
        POLICY_CONNECT = 1,
        POLICY_BIND = 2,
        POLICY_ANY = POLICY_CONNECT | POLICY_BIND,
};

struct policy_rule {
        bool allow;
        enum policy_call call;
        struct in_addr prefix;          /* in network order, masked */
        struct in_addr mask;            /* all zeroes: any address */
        uint16_t port_first, port_last;
        bool has_to_address, has_to_port;
        struct in_addr to_address;
        uint16_t to_port;               /* of several ports, what the first becomes; the others follow */
        bool has_rate;
        struct rate rate;
};

struct policy {
        struct policy_rule *rules;
        size_t n_rules;
};

struct policy_error {
        unsigned line;                  /* from 1 */
        char text[160];
};

struct policy_verdict {
        bool allow;
        int rule;                       /* from 0; -1: none matched */
        bool over_rate;                 /* it is denied only because the rule's rate is used up */
        struct sockaddr_in address;     /* what to connect or bind to instead */
};

void policy_done(struct policy *policy);

/* Returns 0 and a policy, -EINVAL and an error, or -ENOMEM. */
int policy_parse(const char *text, size_t n, struct policy *ret_policy, struct policy_error *ret_error);

/* Decides about one call, and counts it. now: microseconds of a clock that does not jump. */
void policy_decide(struct policy *policy, enum policy_call call, const struct sockaddr_in *address, uint64_t now,
                   struct policy_verdict *ret_verdict);

/* Whether a rule allows it, whatever its rate: for what is open already. */
bool policy_allows(const struct policy *policy, enum policy_call call, const struct sockaddr_in *address);
