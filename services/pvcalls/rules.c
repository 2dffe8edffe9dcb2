/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "idl-errors.h"
#include "policy.h"

_Static_assert(RULES_MAX == POLICY_RULES_MAX, "it is the backend that has a limit");

#define RULE_SHOWN 200                  /* bytes of a rule in an error */
#define SOCKETS_MAX 32768u              /* what xcp-pvcalls-backend --limit takes */
#define ORDER_MAX 9u

/* The rule's family in the text: its own, or that which its prefix is written in. */
static const char *family_word(const struct xcp_pvcalls_rule *rule) {
        switch (rule->family) {
        case XCP_ADDRESS_FAMILY_INET: return "inet";
        case XCP_ADDRESS_FAMILY_INET6: return "inet6";
        case XCP_ADDRESS_FAMILY_UNIX: return "unix";
        default: break;
        }
        if (!rule->prefix)
                return NULL;
        return strchr(rule->prefix, ':') ? "inet6" : rule->prefix[0] == '/' || rule->prefix[0] == '@' ? "unix" : "inet";
}

/* A rule is words in a line, and so no word may bring blanks or lines with it. */
static int check_word(const char *word, const char *name, size_t i, struct idl_error *error) {
        char argument[64];

        for (const char *p = word; p && *p; p++)
                if (*p <= ' ' || *p > '~' || *p == '#') {
                        snprintf(argument, sizeof argument, "policy[%zu].%s", i, name);
                        return idl_error_set_invalid_argument(error, argument, word, "has a character that no address has");
                }
        if (word && !*word) {
                snprintf(argument, sizeof argument, "policy[%zu].%s", i, name);
                return idl_error_set_invalid_argument(error, argument, "", "is no address");
        }
        return 0;
}

static void rule_write(FILE *f, const struct xcp_pvcalls_rule *rule) {
        const char *family = family_word(rule);

        fputs(rule->action == XCP_POLICY_ACTION_ALLOW ? "allow" : "deny", f);
        if (rule->call != XCP_PVCALLS_CALL_ANY)
                fputs(rule->call == XCP_PVCALLS_CALL_CONNECT ? " connect" : " bind", f);
        if (family)
                fprintf(f, " %s", family);
        if (rule->prefix)
                fprintf(f, " %s", rule->prefix);
        if (rule->type != XCP_PVCALLS_SOCKET_TYPE_ANY)
                fputs(rule->type == XCP_PVCALLS_SOCKET_TYPE_STREAM ? " stream" : " datagram", f);
        if (rule->port_first != 0 || rule->port_last != UINT16_MAX)
                fprintf(f, " port %u-%u", rule->port_first, rule->port_last);
        if (rule->to_address || rule->has_to_port)
                fputs(" to", f);
        if (rule->to_address)
                fprintf(f, " %s", rule->to_address);
        if (rule->has_to_port)
                fprintf(f, " port %u", rule->to_port);
        if (rule->has_per_second)
                fprintf(f, " rate %u", rule->per_second);
        fputc('\n', f);
}

static int write_all(const struct xcp_pvcalls_rule *rules, size_t n, char **ret_text, struct idl_error *error) {
        AUTO_FREE char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        int r = 0;

        if (!f)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = check_word(rules[i].prefix, "prefix", i, error);
                if (r >= 0)
                        r = check_word(rules[i].to_address, "to_address", i, error);
                if (r >= 0)
                        rule_write(f, &rules[i]);
        }
        if (fclose(f) == EOF && r >= 0)
                r = -ENOMEM;
        if (r < 0)
                return r;
        *ret_text = text;
        text = NULL;
        return 0;
}

/* Says what the parser said, about the rule that it said it of: the text has a line for each. */
static int set_mistake(const char *text, const struct policy_error *mistake, struct idl_error *error) {
        char argument[64], rule[RULE_SHOWN + 1], limit[sizeof mistake->text + 32];

        for (unsigned line = 1; line < mistake->line && *text; line++)
                text = strchrnul(text, '\n') + 1;
        snprintf(argument, sizeof argument, "policy[%u]", mistake->line > 0 ? mistake->line - 1 : 0);
        snprintf(rule, sizeof rule, "%.*s", (int) strcspn(text, "\n"), text);
        snprintf(limit, sizeof limit, "cannot be: %s", mistake->text);
        return idl_error_set_invalid_argument(error, argument, rule, limit);
}

int rules_format(const struct xcp_pvcalls_rule *rules, size_t n, char **ret_text, struct idl_error *error) {
        AUTO_FREE char *text = NULL;
        struct policy_error mistake;
        struct policy policy;
        int r;

        if (n > RULES_MAX)
                return idl_error_set_limit_exceeded(error, "rules of a policy", n, RULES_MAX);
        r = write_all(rules, n, &text, error);
        if (r < 0)
                return r;
        r = policy_parse(text, strlen(text), &policy, &mistake);
        if (r == -EINVAL)
                return set_mistake(text, &mistake, error);
        if (r < 0)
                return r;
        policy_done(&policy);
        *ret_text = text;
        text = NULL;
        return 0;
}

/* The beginning of an abstract name is written @. */
static int set_path(struct sockaddr_un *local, const char *path, socklen_t *ret_size) {
        size_t n = strlen(path);

        if ((*path != '/' && *path != '@') || n >= sizeof local->sun_path)
                return -EINVAL;
        memcpy(local->sun_path, path, n);
        if (*path == '@')
                local->sun_path[0] = '\0';
        *ret_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n);
        return 0;
}

static int name_parse(enum xcp_address_family family, const char *address, uint16_t port, struct pvcalls_name *ret_name,
                      struct idl_error *error) {
        bool good;

        switch (family) {
        case XCP_ADDRESS_FAMILY_INET:
                pvcalls_name_init(ret_name, AF_INET);
                good = inet_pton(AF_INET, address, &ret_name->inet.sin_addr) == 1;
                break;
        case XCP_ADDRESS_FAMILY_INET6:
                pvcalls_name_init(ret_name, AF_INET6);
                good = inet_pton(AF_INET6, address, &ret_name->inet6.sin6_addr) == 1;
                break;
        case XCP_ADDRESS_FAMILY_UNIX:
                pvcalls_name_init(ret_name, AF_UNIX);
                good = set_path(&ret_name->local, address, &ret_name->size) == 0;
                break;
        default:
                return idl_error_set_invalid_argument(error, "family", xcp_address_family_to_string(family), "has to be Inet, Inet6 or Unix");
        }
        if (!good)
                return idl_error_set_invalid_argument(error, "address", address, "is no address of this family");
        pvcalls_name_set_port(ret_name, htons(port));
        return 0;
}

int rules_check(const char *text, enum xcp_pvcalls_call call, enum xcp_address_family family, const char *address, uint16_t port,
                bool *ret_allowed, int32_t *ret_rule, struct idl_error *error) {
        struct policy_error mistake;
        struct policy_verdict verdict;
        struct pvcalls_name name;
        struct policy policy;
        int r;

        if (call == XCP_PVCALLS_CALL_ANY)
                return idl_error_set_invalid_argument(error, "what", "Any", "has to be Connect or Bind");
        r = name_parse(family, address, port, &name, error);
        if (r >= 0)
                r = policy_parse(text, strlen(text), &policy, &mistake);
        if (r < 0)
                return r;
        policy_decide(&policy, call == XCP_PVCALLS_CALL_CONNECT ? POLICY_CONNECT : POLICY_BIND, SOCK_STREAM, &name, 0, &verdict);
        policy_done(&policy);
        *ret_allowed = verdict.allow;
        *ret_rule = verdict.rule;
        return 0;
}

int rules_check_limits(const struct xcp_pvcalls_limits *limits, struct idl_error *error) {
        const struct {
                const char *name;
                uint64_t value, min, max;
        } values[] = {
                { "limits.sockets", limits->sockets, 0, SOCKETS_MAX },
                { "limits.sockets_per_second", limits->sockets_per_second, 1, RATE_MAX },
                { "limits.bytes_per_second", limits->has_bytes_per_second ? limits->bytes_per_second : 1, 1, RATE_MAX },
                { "limits.max_page_order", limits->max_page_order, 1, ORDER_MAX },
        };

        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
                char value[24], limit[64];

                if (values[i].value >= values[i].min && values[i].value <= values[i].max)
                        continue;
                snprintf(value, sizeof value, "%llu", (unsigned long long) values[i].value);
                snprintf(limit, sizeof limit, "has to be from %llu to %llu", (unsigned long long) values[i].min,
                         (unsigned long long) values[i].max);
                return idl_error_set_invalid_argument(error, values[i].name, value, limit);
        }
        return 0;
}
