/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What may pass between this domain and others: rules, read from files, and what they say to a message or a name.
 *
 * Rules are asked in the order of their files and lines, and the first that matches decides; if none does, the answer is no. A policy never
 * changes once it is read: to reload is to read another one. docs/bridge-policy.md has the grammar and what each part of it means.
 *
 * All of this is pure but what reads files: it has no state and asks nobody, so the same question gets the same answer in a bridge and
 * in a tool that explains what a bridge would do. Only rates need memory, which the caller keeps (bridge-rates.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BRIDGE_POLICY_RULES_MAX 4096u   /* a decision looks at each once at most */
#define BRIDGE_POLICY_FILE_MAX (1024u * 1024)

/* A domain as far as it is known. NULL or "": not known, and a rule that asks for it never allows anything. */
struct bridge_domain {
        uint32_t id;
        const char *uuid;
        const char *name;
        const char *type;
};

enum bridge_direction {
        BRIDGE_IN,              /* from the other domain to this one */
        BRIDGE_OUT,
};

enum bridge_kind {
        BRIDGE_CALL,            /* a method call */
        BRIDGE_SIGNAL,
        BRIDGE_OWN,             /* the other domain wants to own names[0] on this bus; direction and what follows names mean nothing */
};

/* What is asked. Fields that a message does not have are NULL. */
struct bridge_query {
        struct bridge_domain domain;
        enum bridge_direction direction;
        enum bridge_kind kind;

        /*
         * Which well-known names it is about: for a call, the destination's, for a signal, the sender's. All that the connection owns
         * belong here, as who talks to one of them talks to all. None: it owns none.
         */
        const char *const *names;
        size_t n_names;
        const char *path;
        const char *interface;
        const char *member;
};

enum bridge_action {
        BRIDGE_DENY,
        BRIDGE_ALLOW,
        BRIDGE_LOG,             /* of rules only: it is noted, and the next rule is asked */
};

struct bridge_rule;

struct bridge_decision {
        bool allowed;
        const struct bridge_rule *rule;         /* which decided; NULL if none matched, which denies */
        const struct bridge_rule *log;          /* the first rule before it that wants this to be noted, or NULL */
};

/* Where a rule is, for audit and explanation. Strings live as long as the policy. */
const char *bridge_rule_file(const struct bridge_rule *rule);
unsigned bridge_rule_line(const struct bridge_rule *rule);
const char *bridge_rule_text(const struct bridge_rule *rule);           /* the line, without comment and surrounding blanks */
enum bridge_action bridge_rule_action(const struct bridge_rule *rule);

struct bridge_policy;

struct bridge_policy_error {
        char file[256];         /* the end of its path if that is longer */
        unsigned line, column;  /* from 1; column counts bytes. 0: it is about the file as a whole */
        char text[192];
};

/* A policy without rules, which denies everything. */
int bridge_policy_new(struct bridge_policy **ret_policy);
struct bridge_policy *bridge_policy_free(struct bridge_policy *policy);

/*
 * Adds what a file says, after what is there. file is its name, for errors and decisions. Returns 0, -EINVAL and an error, or -ENOMEM;
 * after a failure the policy is only good for bridge_policy_free().
 */
int bridge_policy_add(struct bridge_policy *policy, const char *file, const char *text, size_t n, struct bridge_policy_error *ret_error);

/*
 * Reads files, and of directories those whose names end in .policy and do not begin with a dot, sorted by name; in the order of paths,
 * which NULL ends. A directory that does not exist has no files. Returns 0 and a policy; -EINVAL and an error that says which line is
 * wrong; or another negative errno and an error that says which file could not be read.
 */
int bridge_policy_load(const char *const *paths, struct bridge_policy **ret_policy, struct bridge_policy_error *ret_error);

/* The same, and writes what was read to a file, from which bridge_policy_read() has the same policy: whatever happens to the files meanwhile. */
int bridge_policy_copy(const char *const *paths, int fd, struct bridge_policy **ret_policy, struct bridge_policy_error *ret_error);
int bridge_policy_read(int fd, struct bridge_policy **ret_policy, struct bridge_policy_error *ret_error);

size_t bridge_policy_count(const struct bridge_policy *policy);         /* rules, not limits */

/* Decides. Time is bounded by the number of rules and the length of the query's strings. Rates are not looked at. */
void bridge_policy_decide(const struct bridge_policy *policy, const struct bridge_query *query, struct bridge_decision *ret_decision);

/*
 * For queries that a person makes up, as decisions about what cannot be would mislead: the first field that no message has, such as a path that is no
 * path, with its value and what is wrong with that ("is not an object path"); NULL if there is none.
 */
const char *bridge_query_fault(const struct bridge_query *query, const char **ret_value, const char **ret_wrong);

/* Whether there is anything that the domain may call at this name of this bus, or hear of it: otherwise it need not know of the name. */
bool bridge_policy_exports(const struct bridge_policy *policy, const struct bridge_domain *domain, const char *name);

/* How much a domain may have, of what bridge-limits.h lists. A limit that no line gives for it is at its most. */
uint64_t bridge_policy_limit(const struct bridge_policy *policy, const struct bridge_domain *domain, unsigned limit);

/*
 * Decides, and tells of each rule, up to the one that decides, whether it matched and if not, why: a phrase such as "the interface is
 * another one", valid during the call. why is NULL for one that matched.
 */
void bridge_policy_explain(const struct bridge_policy *policy, const struct bridge_query *query,
                           void (*tell)(void *userdata, const struct bridge_rule *rule, const char *why), void *userdata,
                           struct bridge_decision *ret_decision);

enum bridge_severity {
        BRIDGE_WARNING,         /* it is probably not what was meant */
        BRIDGE_NOTE,
};

/* Tells of rules that can never decide anything, or allow more than is wise. Returns how many warnings there were. */
unsigned bridge_policy_lint(const struct bridge_policy *policy,
                            void (*tell)(void *userdata, enum bridge_severity severity, const struct bridge_rule *rule, const char *text),
                            void *userdata);
