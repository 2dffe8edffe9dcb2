/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Holding rules against messages. */

#include "match.h"

#include <stdlib.h>
#include <string.h>

#include "names.h"

struct match *match_free(struct match *match) {
        if (!match)
                return NULL;
        free(match->text);
        free(match);
        return NULL;
}

/* A field that the message does not have is never what the rule wants. */
static bool same(const char *wanted, const char *is) {
        return !wanted || (is && strcmp(wanted, is) == 0);
}

static bool same_peer(const struct match_subject *subject, const char *wanted, const char *is) {
        if (same(wanted, is))
                return true;
        return is && subject->owns && wanted[0] != ':' && is[0] == ':' && subject->owns(subject->userdata, is, wanted);
}

/* The same, or one ends with a slash and the other begins with it. */
static bool same_or_below(const char *wanted, const char *is) {
        size_t n_wanted = strlen(wanted), n_is = strlen(is);

        if (n_wanted == n_is)
                return memcmp(wanted, is, n_is) == 0;
        if (n_wanted < n_is)
                return n_wanted > 0 && wanted[n_wanted - 1] == '/' && memcmp(wanted, is, n_wanted) == 0;
        return n_is > 0 && is[n_is - 1] == '/' && memcmp(wanted, is, n_is) == 0;
}

static bool accepts_arg(const struct match_arg *wanted, const struct message_arg *arg) {
        switch (wanted->kind) {
        case MATCH_ARG_STRING:
                return arg->type == 's' && strcmp(arg->string, wanted->value) == 0;
        case MATCH_ARG_PATH:
                return (arg->type == 's' || arg->type == 'o') && same_or_below(wanted->value, arg->string);
        case MATCH_ARG_NAMESPACE:
                return arg->type == 's' && name_is_in_namespace(arg->string, wanted->value);
        default:
                return true;
        }
}

static bool accepts_args(const struct match *match, struct match_subject *subject) {
        if (match->n_args == 0)
                return true;
        if (!subject->args_read) {
                subject->n_args = message_args(subject->message, subject->args, MESSAGE_ARGS_MAX);
                subject->args_read = true;
        }
        if (match->n_args > subject->n_args)
                return false;
        for (unsigned i = 0; i < match->n_args; i++)
                if (!accepts_arg(&match->args[i], &subject->args[i]))
                        return false;
        return true;
}

bool match_accepts(const struct match *match, struct match_subject *subject) {
        const struct message *message = subject->message;

        if (match->type != 0 && match->type != message->type)
                return false;
        if (!same(match->interface, message->interface) || !same(match->member, message->member) || !same(match->path, message->path))
                return false;
        if (match->path_namespace && !(message->path && name_path_is_below(message->path, match->path_namespace)))
                return false;
        if (!same_peer(subject, match->sender, message->sender) || !same_peer(subject, match->destination, message->destination))
                return false;
        return accepts_args(match, subject);
}
