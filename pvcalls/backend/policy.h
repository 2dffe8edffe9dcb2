/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a guest may do: the first rule that matches decides, and what none matches is denied.
 *
 * A rule is what the record PvcallsRule of idl/types.xml says, here as text, one per line; docs/pvcalls.md, "Policy", has the grammar:
 *
 *         allow connect inet 10.0.0.0/8 port 443 rate 100
 *         allow bind inet 0.0.0.0 port 8080 to 127.0.0.1 port 18080
 *         allow connect unix /run/guests/web
 *
 * Whether a rule's rate is used up is part of matching: what is beyond it is denied, and no later rule is asked.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "name.h"
#include "rate.h"

#define POLICY_RULES_MAX 1024u          /* a guest's policy is read for each call: this many take some microseconds */
#define POLICY_TEXT_MAX (128u * 1024)   /* bytes: that many rules of the longest sort, but for those with long paths */
#define POLICY_PATH_SIZE 109u           /* of a UNIX socket's, with its end */

enum policy_call {
        POLICY_CONNECT = 1,
        POLICY_BIND = 2,
        POLICY_ANY = POLICY_CONNECT | POLICY_BIND,
};

/* Where an address begins. */
struct policy_prefix {
        int family;                     /* of the host's; AF_UNSPEC: IPv4 and IPv6. UNIX sockets are matched only by what names them */
        unsigned n_bits;                /* of an Internet address */
        uint8_t address[16];            /* in network order, without bits behind */
        char path[POLICY_PATH_SIZE];    /* of a UNIX socket; '@' for the byte 0 of an abstract name; empty: any */
};

struct policy_rule {
        bool allow;
        enum policy_call call;
        int type;                       /* SOCK_STREAM, SOCK_DGRAM, or 0: any */
        struct policy_prefix prefix;
        uint16_t port_first, port_last;
        bool has_to_address, has_to_port;
        struct policy_prefix to;        /* all bits of an address, or what a path begins with instead */
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
        struct pvcalls_name address;    /* what to connect or bind to instead */
};

void policy_done(struct policy *policy);

/* Returns 0 and a policy, -EINVAL and an error, or -ENOMEM. */
int policy_parse(const char *text, size_t n, struct policy *ret_policy, struct policy_error *ret_error);

/*
 * Decides about one call for a socket of a type (SOCK_STREAM or SOCK_DGRAM), and counts it. An IPv6 address that stands for an IPv4 address
 * is judged as that, and any address that is to be connected to as loopback's. now: microseconds of a clock that does not jump.
 */
void policy_decide(struct policy *policy, enum policy_call call, int type, const struct pvcalls_name *address, uint64_t now,
                   struct policy_verdict *ret_verdict);

/* Whether a rule allows it, whatever its rate: for what is open already. */
bool policy_allows(const struct policy *policy, enum policy_call call, int type, const struct pvcalls_name *address);
