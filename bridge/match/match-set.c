/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "match-set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct want {
        uint64_t peer;
        size_t n;                       /* how often he added it */
};

struct entry {
        struct match *match;
        struct want *wants;
        size_t n_wants;
};

struct match_set {
        struct entry *entries;          /* sorted by the rules' one form */
        size_t n;
};

int match_set_new(struct match_set **ret_set) {
        struct match_set *set = calloc(1, sizeof *set);

        if (!set)
                return -ENOMEM;
        *ret_set = set;
        return 0;
}

struct match_set *match_set_free(struct match_set *set) {
        if (!set)
                return NULL;
        for (size_t i = 0; i < set->n; i++) {
                match_free(set->entries[i].match);
                free(set->entries[i].wants);
        }
        free(set->entries);
        free(set);
        return NULL;
}

size_t match_set_count(const struct match_set *set) {
        return set->n;
}

/* Where a rule is or would be. Returns whether it is there. */
static bool find(const struct match_set *set, const char *text, size_t *ret_at) {
        size_t from = 0, end = set->n;

        while (from < end) {
                size_t middle = (from + end) / 2;
                int order = strcmp(set->entries[middle].match->text, text);

                if (order == 0) {
                        *ret_at = middle;
                        return true;
                }
                if (order < 0)
                        from = middle + 1;
                else
                        end = middle;
        }
        *ret_at = from;
        return false;
}

static struct want *find_want(const struct entry *entry, uint64_t peer) {
        for (size_t i = 0; i < entry->n_wants; i++)
                if (entry->wants[i].peer == peer)
                        return &entry->wants[i];
        return NULL;
}

static int add_want(struct entry *entry, uint64_t peer) {
        struct want *want = find_want(entry, peer), *wants;

        if (want) {
                want->n++;
                return 0;
        }
        wants = reallocarray(entry->wants, entry->n_wants + 1, sizeof *wants);
        if (!wants)
                return -ENOMEM;
        entry->wants = wants;
        wants[entry->n_wants++] = (struct want) { .peer = peer, .n = 1 };
        return 0;
}

/* Makes room for a rule that is not there yet. */
static int insert(struct match_set *set, size_t at, struct match *match) {
        struct entry *entries = reallocarray(set->entries, set->n + 1, sizeof *entries);

        if (!entries)
                return -ENOMEM;
        set->entries = entries;
        memmove(entries + at + 1, entries + at, (set->n - at) * sizeof *entries);
        entries[at] = (struct entry) { .match = match };
        set->n++;
        return 0;
}

static void take_out(struct match_set *set, size_t at) {
        free(set->entries[at].wants);
        match_free(set->entries[at].match);
        set->n--;
        memmove(set->entries + at, set->entries + at + 1, (set->n - at) * sizeof *set->entries);
}

int match_set_add(struct match_set *set, uint64_t peer, struct match *match, const struct match **ret_match) {
        size_t at;
        bool is_there = find(set, match->text, &at);
        int r;

        if (!is_there) {
                r = insert(set, at, match);
                if (r < 0) {
                        match_free(match);
                        return r;
                }
        } else {
                match_free(match);
        }
        r = add_want(&set->entries[at], peer);
        if (r < 0) {
                if (!is_there)
                        take_out(set, at);
                return r;
        }
        if (ret_match)
                *ret_match = set->entries[at].match;
        return !is_there;
}

/* Forgets that a peer wants it. */
static void remove_want(struct entry *entry, struct want *want) {
        *want = entry->wants[--entry->n_wants];
}

int match_set_remove(struct match_set *set, uint64_t peer, const char *text) {
        struct want *want;
        size_t at;

        if (!find(set, text, &at))
                return -ENOENT;
        want = find_want(&set->entries[at], peer);
        if (!want)
                return -ENOENT;
        if (--want->n > 0)
                return 0;
        remove_want(&set->entries[at], want);
        if (set->entries[at].n_wants > 0)
                return 0;
        take_out(set, at);
        return 1;
}

void match_set_remove_peer(struct match_set *set, uint64_t peer, void (*gone)(void *userdata, const struct match *match), void *userdata) {
        size_t n = 0;

        for (size_t i = 0; i < set->n; i++) {
                struct entry *entry = &set->entries[i];
                struct want *want = find_want(entry, peer);

                if (want)
                        remove_want(entry, want);
                if (entry->n_wants > 0) {
                        set->entries[n++] = *entry;
                        continue;
                }
                if (gone)
                        gone(userdata, entry->match);
                free(entry->wants);
                match_free(entry->match);
        }
        set->n = n;
}

const struct match *match_set_rule(const struct match_set *set, size_t at) {
        return set->entries[at].match;
}

bool match_set_wants(const struct match_set *set, size_t at, uint64_t peer) {
        return find_want(&set->entries[at], peer);
}

size_t match_set_others(const struct match_set *set, const char *text, uint64_t one, uint64_t other) {
        size_t at, n = 0;

        if (!find(set, text, &at))
                return 0;
        for (size_t i = 0; i < set->entries[at].n_wants; i++)
                n += set->entries[at].wants[i].peer != one && set->entries[at].wants[i].peer != other;
        return n;
}

bool match_set_accepts(const struct match_set *set, struct match_subject *subject) {
        for (size_t i = 0; i < set->n; i++)
                if (match_accepts(set->entries[i].match, subject))
                        return true;
        return false;
}

bool match_set_accepts_for(const struct match_set *set, uint64_t peer, struct match_subject *subject) {
        for (size_t i = 0; i < set->n; i++)
                if (find_want(&set->entries[i], peer) && match_accepts(set->entries[i].match, subject))
                        return true;
        return false;
}
