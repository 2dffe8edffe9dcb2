/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading a policy's text; docs/pvcalls.md, "Policy", has the grammar. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

#define WORDS_MAX 16u                   /* the longest rule has 14 */
#define WORD_SIZE 112u                  /* the longest word is a UNIX socket's path */

struct line {
        char words[WORDS_MAX][WORD_SIZE];
        size_t n_words, at;
        unsigned number;
        struct policy_error *error;
};

__attribute__((format(printf, 2, 3))) static int fail(const struct line *line, const char *format, ...) {
        va_list args;

        line->error->line = line->number;
        va_start(args, format);
        vsnprintf(line->error->text, sizeof line->error->text, format, args);
        va_end(args);
        return -EINVAL;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r';
}

static int split(struct line *line, const char *p, const char *end) {
        line->n_words = line->at = 0;
        for (;;) {
                size_t n = 0;

                while (p < end && is_blank(*p))
                        p++;
                if (p == end || *p == '#')
                        return 0;
                if (line->n_words == WORDS_MAX)
                        return fail(line, "more than %u words", WORDS_MAX);
                while (p < end && !is_blank(*p)) {
                        if (*p <= ' ' || *p > '~')
                                return fail(line, "byte 0x%02x has no place in a rule", (unsigned char) *p);
                        if (n == WORD_SIZE - 1)
                                return fail(line, "a word of more than %u characters", WORD_SIZE - 1);
                        line->words[line->n_words][n++] = *p++;
                }
                line->words[line->n_words++][n] = '\0';
        }
}

static bool take_if(struct line *line, const char *word) {
        if (line->at == line->n_words || strcmp(line->words[line->at], word) != 0)
                return false;
        line->at++;
        return true;
}

static int take(struct line *line, const char *what, const char **ret_word) {
        if (line->at == line->n_words)
                return fail(line, "the line ends where %s should be", what);
        *ret_word = line->words[line->at++];
        return 0;
}

/* Digits up to the end of a word, or up to what may follow there. */
static int number_parse(const char *p, char stop, uint64_t max, uint64_t *ret_number, const char **ret_end) {
        uint64_t number = 0;

        if (*p < '0' || *p > '9')
                return -EINVAL;
        for (; *p >= '0' && *p <= '9'; p++) {
                number = number * 10 + (uint64_t) (*p - '0');
                if (number > max)
                        return -ERANGE;
        }
        if (*p != '\0' && *p != stop)
                return -EINVAL;
        *ret_number = number;
        *ret_end = p;
        return 0;
}

/* An address of IPv4 or IPv6, and how many of its bits count. */
static int parse_address(struct line *line, const char *word, int family, bool may_be_prefix, struct policy_prefix *prefix) {
        const unsigned n_max = family == AF_INET ? 32 : 128;
        const char *slash = may_be_prefix ? strchr(word, '/') : NULL, *end;
        char address[WORD_SIZE];
        size_t n = slash ? (size_t) (slash - word) : strlen(word);
        uint64_t n_bits = n_max;

        memcpy(address, word, n);
        address[n] = '\0';
        if (inet_pton(family, address, prefix->address) != 1)
                return fail(line, "'%.60s' is no %s", word, family == AF_INET ? "IPv4 address, such as 10.0.0.0/8" : "IPv6 address, such as fd00::/8");
        if (slash && number_parse(slash + 1, '\0', n_max, &n_bits, &end) < 0)
                return fail(line, "'%.60s' has no prefix length from 0 to %u behind its address", word, n_max);
        for (unsigned i = (unsigned) n_bits; i < n_max; i++)
                if (prefix->address[i / 8] & 0x80 >> i % 8)
                        return fail(line, "'%.60s' has bits set behind its prefix", word);
        prefix->family = family;
        prefix->n_bits = (unsigned) n_bits;
        return 0;
}

static int parse_path(struct line *line, const char *word, struct policy_prefix *prefix) {
        if ((word[0] != '/' && word[0] != '@') || strlen(word) >= POLICY_PATH_SIZE - 1)
                return fail(line, "'%.60s' is no path of a UNIX socket, such as /run/web, and no abstract name, such as @web", word);
        strcpy(prefix->path, word);
        prefix->family = AF_UNIX;
        return 0;
}

/* Whether the next word is an address, and not one that goes on with the rule. */
static bool is_address(const struct line *line) {
        const char *word = line->at < line->n_words ? line->words[line->at] : "";

        return (word[0] >= '0' && word[0] <= '9') || strchr(word, ':') || word[0] == '/' || word[0] == '@';
}

/* A family, and if it is there, what addresses of it begin with. */
static int parse_family(struct line *line, struct policy_rule *rule) {
        static const struct {
                const char *name;
                int family;
        } families[] = { { "inet", AF_INET }, { "inet6", AF_INET6 }, { "unix", AF_UNIX } };

        for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
                if (!take_if(line, families[i].name))
                        continue;
                rule->prefix.family = families[i].family;
                if (!is_address(line))
                        return 0;
                if (families[i].family == AF_UNIX)
                        return parse_path(line, line->words[line->at++], &rule->prefix);
                return parse_address(line, line->words[line->at++], families[i].family, true, &rule->prefix);
        }
        return 0;
}

static int parse_ports(struct line *line, const char *word, uint16_t *ret_first, uint16_t *ret_last) {
        uint64_t first, last;
        const char *end;

        if (number_parse(word, '-', UINT16_MAX, &first, &end) < 0)
                return fail(line, "'%.60s' is no port, and no range such as 8000-8080", word);
        last = first;
        if (*end == '-' && (number_parse(end + 1, '\0', UINT16_MAX, &last, &end) < 0 || last < first))
                return fail(line, "'%.60s' is no range of ports, such as 8000-8080", word);
        *ret_first = (uint16_t) first;
        *ret_last = (uint16_t) last;
        return 0;
}

static int parse_what(struct line *line, struct policy_rule *rule) {
        const char *word = NULL;
        int r;

        if (take_if(line, "allow"))
                rule->allow = true;
        else if (!take_if(line, "deny"))
                return fail(line, "a rule begins with allow or deny, not with '%.60s'", line->words[0]);
        if (take_if(line, "connect"))
                rule->call = POLICY_CONNECT;
        else if (take_if(line, "bind"))
                rule->call = POLICY_BIND;
        else
                take_if(line, "any");
        r = parse_family(line, rule);
        if (r < 0)
                return r;
        if (take_if(line, "stream"))
                rule->type = SOCK_STREAM;
        else if (take_if(line, "datagram"))
                rule->type = SOCK_DGRAM;
        if (!take_if(line, "port"))
                return 0;
        if (rule->prefix.family == AF_UNIX)
                return fail(line, "UNIX sockets have no ports");
        r = take(line, "a port", &word);
        return r < 0 ? r : parse_ports(line, word, &rule->port_first, &rule->port_last);
}

/* What an address is replaced with. A socket has one family: what becomes of an address must be one of the same, or stand for it. */
static int parse_to_address(struct line *line, struct policy_rule *rule) {
        const char *word = NULL;
        int r;

        r = take(line, "an address or a port", &word);
        if (r < 0)
                return r;
        rule->has_to_address = true;
        if (rule->prefix.family == AF_UNIX && rule->prefix.path[0] == '\0')
                return fail(line, "a path takes the place of another: this rule has none");
        if (rule->prefix.family == AF_UNIX)
                return parse_path(line, word, &rule->to);
        if (!strchr(word, ':'))
                return parse_address(line, word, AF_INET, false, &rule->to);
        if (rule->prefix.family != AF_INET6)
                return fail(line, "only what is for inet6 can go to an IPv6 address");
        return parse_address(line, word, AF_INET6, false, &rule->to);
}

static int parse_to(struct line *line, struct policy_rule *rule) {
        const char *word = NULL;
        uint16_t last;
        int r;

        if (!rule->allow)
                return fail(line, "what is denied goes to no other address");
        if (!take_if(line, "port")) {
                r = parse_to_address(line, rule);
                if (r < 0)
                        return r;
                if (!take_if(line, "port"))
                        return 0;
        }
        if (rule->prefix.family == AF_UNIX)
                return fail(line, "UNIX sockets have no ports");
        r = take(line, "a port", &word);
        if (r == 0)
                r = parse_ports(line, word, &rule->to_port, &last);
        if (r < 0)
                return r;
        if (last != rule->to_port)
                return fail(line, "'%.60s': only the first port is given, the others follow", word);
        if (rule->to_port + (rule->port_last - rule->port_first) > UINT16_MAX)
                return fail(line, "from port %u on there are not as many ports as the rule has", rule->to_port);
        rule->has_to_port = true;
        return 0;
}

static int parse_rate(struct line *line, struct policy_rule *rule) {
        const char *word = NULL, *end;
        uint64_t per_second;
        int r;

        if (!rule->allow)
                return fail(line, "what is denied has no rate");
        r = take(line, "a number per second", &word);
        if (r < 0)
                return r;
        if (number_parse(word, '\0', RATE_MAX, &per_second, &end) < 0 || per_second == 0)
                return fail(line, "'%.60s' is no rate: a number per second from 1 to %u", word, RATE_MAX);
        rate_init(&rule->rate, per_second, 0);
        rule->has_rate = true;
        return 0;
}

static int parse_rule(struct line *line, struct policy_rule *ret_rule) {
        struct policy_rule rule = { .call = POLICY_ANY, .port_last = UINT16_MAX };
        int r;

        r = parse_what(line, &rule);
        if (r == 0 && take_if(line, "to"))
                r = parse_to(line, &rule);
        if (r == 0 && take_if(line, "rate"))
                r = parse_rate(line, &rule);
        if (r < 0)
                return r;
        if (line->at < line->n_words)
                return fail(line, "'%.60s' is not understood there", line->words[line->at]);
        *ret_rule = rule;
        return 0;
}

static int add_line(struct policy *policy, struct line *line, const char *p, const char *end) {
        struct policy_rule *rules;
        int r;

        r = split(line, p, end);
        if (r < 0 || line->n_words == 0)
                return r;
        if (policy->n_rules == POLICY_RULES_MAX)
                return fail(line, "more than %u rules", POLICY_RULES_MAX);
        rules = reallocarray(policy->rules, policy->n_rules + 1, sizeof *rules);
        if (!rules)
                return -ENOMEM;
        policy->rules = rules;
        r = parse_rule(line, &rules[policy->n_rules]);
        if (r == 0)
                policy->n_rules++;
        return r;
}

int policy_parse(const char *text, size_t n, struct policy *ret_policy, struct policy_error *ret_error) {
        struct policy policy = {};
        struct line line = { .error = ret_error };
        const char *p = text, *end = text + n;
        int r = 0;

        *ret_error = (struct policy_error) { .line = 1, .text = "" };
        if (n > POLICY_TEXT_MAX)
                return fail(&line, "%zu bytes are more than a policy may have, %u", n, POLICY_TEXT_MAX);
        while (r == 0 && p < end) {
                const char *newline = memchr(p, '\n', (size_t) (end - p));

                line.number++;
                r = add_line(&policy, &line, p, newline ?: end);
                p = newline ? newline + 1 : end;
        }
        if (r < 0) {
                policy_done(&policy);
                return r;
        }
        *ret_policy = policy;
        return 0;
}
