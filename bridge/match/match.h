/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Match rules: read, written in one form, and held against messages (D-Bus Specification, "Match Rules").
 *
 * They are read by the grammar and nothing else: quotes, backslashes and spaces as dbus-daemon has them. What is accepted here dbus-daemon
 * accepts and takes for the same; refused although dbus-daemon takes them are argument numbers with leading zeros, a = without a key,
 * eavesdrop twice, and whatever becomes longer than MATCH_TEXT_MAX when it is written in the one form. test-match-daemon.c holds both to
 * that.
 */

#include <stdbool.h>
#include <stddef.h>

#include "body.h"
#include "message.h"

#define MATCH_TEXT_MAX 1024u    /* bytes of a rule: libdbus's DBUS_MAXIMUM_MATCH_RULE_LENGTH */

enum match_arg_kind {
        MATCH_ARG_NONE = 0,
        MATCH_ARG_STRING,       /* argN: a string that is the same */
        MATCH_ARG_PATH,         /* argNpath: a string or path that is the same, or below what ends with a slash, either way */
        MATCH_ARG_NAMESPACE,    /* arg0namespace: a name that is the same or below it */
};

struct match_arg {
        enum match_arg_kind kind;
        const char *value;
};

/* Strings belong to the match and are NULL where the rule says nothing. */
struct match {
        char *text;             /* the rule in the one form: keys in the order below, each value in apostrophes */
        unsigned type;          /* enum message_type; 0: any */
        const char *sender;
        const char *interface;
        const char *member;
        const char *path;
        const char *path_namespace;
        const char *destination;
        struct match_arg args[MESSAGE_ARGS_MAX];
        unsigned n_args;        /* of args, those up to the last that is given */
        bool eavesdrop;         /* it wants messages that are for others */
};

struct match_error {
        unsigned column;        /* from 1, in bytes */
        char text[160];
};

/* Reads a rule. Returns 0 and a match, -EINVAL and an error, or -ENOMEM. */
int match_new(struct match **ret_match, const char *text, size_t n, struct match_error *ret_error);
struct match *match_free(struct match *match);

/*
 * Writes, in the one form, the rule for those broadcast signals that this one accepts; of this sender, or (NULL) of whom it says. Returns 0 and a
 * text, to be freed, -ENOENT if it accepts none, or -ENOMEM. The text may be longer than MATCH_TEXT_MAX.
 */
int match_broadcasts_of(const struct match *match, const char *sender, char **ret_text);

/* A message that rules are held against; its arguments are read only if a rule asks for them, and then once. */
struct match_subject {
        const struct message *message;

        /* Whether a unique name owns a well-known one, to find senders and destinations that rules name. NULL: nobody owns any. */
        bool (*owns)(void *userdata, const char *unique, const char *name);
        void *userdata;

        bool args_read;         /* false at first; this and the rest are match_accepts()'s own */
        size_t n_args;
        struct message_arg args[MESSAGE_ARGS_MAX];
};

/*
 * Whether a message is what a rule describes. That somebody who does not eavesdrop only gets messages that are for nobody in particular, or
 * for him, is the caller's to see to.
 */
bool match_accepts(const struct match *match, struct match_subject *subject);
