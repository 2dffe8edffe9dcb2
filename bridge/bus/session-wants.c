/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the other domain is asked for: of what clients of this bus want to hear, that which can come from there.
 *
 * A rule that names a sender asks for signals of that name, if the other domain has it, or of the peer whose ghost has that unique name. One that names
 * nobody is asked for once for each name that the other domain has here: never for more, as what else is said there is not for this domain.
 * Where that would make too many, all signals of each name are asked for instead; the bus here sorts them as it does any others.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session-private.h"

#define PRECISE_MAX (WIRE_RULES_MAX / 2)        /* rules that are asked for one by one: as many again may be for unique names */

/* Which all clients of the bus together have if one of them may want anything: also hub-wants.c's, for those of whom it does not know. */
static const char everything[] = "type='signal'";

/* Asks for, or no longer for, what a rule accepts of this sender. */
static int ask_for(struct session *session, const struct match *match, const char *sender, bool wanted) {
        char *text;
        int r;

        r = match_broadcasts_of(match, sender, &text);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (strlen(text) > WIRE_RULE_MAX)       /* with its sender it is longer than a rule may be */
                r = wanted ? rules_want_name(session, sender) : rules_unwant_name(session, sender);
        else
                r = wanted ? rules_want(session, text) : rules_unwant(session, text);
        free(text);
        return r;
}

static bool is_about(const struct match *match, const char *name) {
        return !match->sender || strcmp(match->sender, name) == 0;
}

static int ask_for_name(struct session *session, const char *name, bool wanted) {
        const struct match *match;
        size_t iterator = 0;
        int r = 0;

        if (session->coarse)
                return wanted ? rules_want_name(session, name) : rules_unwant_name(session, name);
        while (r >= 0 && (match = wants_next(session->options.wants, &iterator)))
                if (is_about(match, name))
                        r = ask_for(session, match, name, wanted);
        return r;
}

static int ask_for_all(struct session *session, bool wanted) {
        struct owned *owned;
        size_t iterator = 0;
        int r = 0;

        while (r >= 0 && (owned = table_next(session->imports, &iterator)))
                if (owned->heard)
                        r = ask_for_name(session, owned->name, wanted);
        return r;
}

static bool is_too_much(const struct session *session) {
        const struct wants *wants = session->options.wants;

        return session->everything || wants_count(wants) > PRECISE_MAX ||
               wants_count_of_anybody(wants) * table_count(session->imports) > PRECISE_MAX;
}

/* Between asking for what is wanted, and for all signals of each name. */
static int choose(struct session *session) {
        bool coarse = is_too_much(session);
        int r;

        if (coarse == session->coarse)
                return 0;
        r = ask_for_all(session, false);
        session->coarse = coarse;
        return r < 0 ? r : ask_for_all(session, true);
}

int wants_start(struct session *session) {
        const struct match *match;
        size_t iterator = 0;

        while ((match = wants_next(session->options.wants, &iterator)))
                session->everything |= strcmp(match->text, everything) == 0;
        return choose(session);
}

int wants_name(struct session *session, struct owned *owned, bool wanted) {
        int r;

        if (owned->heard == wanted)
                return 0;
        owned->heard = wanted;
        r = ask_for_name(session, owned->name, wanted);
        return r < 0 ? r : choose(session);
}

int wants_ghost(struct session *session, struct remote *remote, const char *unique, bool wanted) {
        const struct match *match;
        size_t iterator = 0;
        int r = 0;

        while (r >= 0 && (match = wants_next(session->options.wants, &iterator)))
                if (match->sender && strcmp(match->sender, unique) == 0)
                        r = ask_for(session, match, remote->unique, wanted);
        return r;
}

static int change(struct session *session, const struct match *match, bool wanted) {
        struct remote *remote = match->sender ? table_get_string(session->ghosts, match->sender) : NULL;
        struct owned *owned;
        size_t iterator = 0;
        int r = 0;

        if (remote)
                return ask_for(session, match, remote->unique, wanted);
        while (r >= 0 && !session->coarse && (owned = table_next(session->imports, &iterator)))
                if (owned->heard && is_about(match, owned->name))
                        r = ask_for(session, match, owned->name, wanted);
        return r;
}

int session_wants(struct session *session, const struct match *match, bool wanted) {
        int r;

        if (session->over)
                return 0;
        r = change(session, match, wanted);
        if (strcmp(match->text, everything) == 0)
                session->everything = wanted;
        return r < 0 ? r : choose(session);
}
