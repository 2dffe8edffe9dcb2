/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Match rules: their one form, their mistakes, and what they accept. */

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "match-set.h"
#include "match.h"

static struct match *parse(const char *text) {
        struct match_error error;
        struct match *match = NULL;
        int r = match_new(&match, text, strlen(text), &error);

        if (r < 0)
                g_error("%s: %u: %s", text, error.column, error.text);
        return match;
}

static void test_one_form(void) {
        static const struct {
                const char *text, *form;
        } cases[] = {
                { "", "" },
                { " ", "" },
                { "type='signal'", "type='signal'" },
                { "type=signal", "type='signal'" },
                { "type='signal',", "type='signal'" },
                { "\ttype \n='signal', eavesdrop =true", "type='signal',eavesdrop='true'" },        /* xdg-dbus-proxy, 0.1.7 */
                { "eavesdrop='false'", "" },
                { "eavesdrop=true", "eavesdrop='true'" },
                { "arg1='x',arg0='y',type='error'", "type='error',arg0='y',arg1='x'" },
                { "interface='a.b',sender=':1.5',path=/,member='M',destination='c.d'",
                  "sender=':1.5',interface='a.b',member='M',path='/',destination='c.d'" },
                { "path_namespace='/a/b'", "path_namespace='/a/b'" },
                { "arg0namespace='org',arg1path='/a/',arg63='end'", "arg0namespace='org',arg1path='/a/',arg63='end'" },
                { "arg0=''", "arg0=''" },
                { "arg0=", "arg0=''" },
                { "arg0=a'b'c", "arg0='abc'" },
                { "arg0='a,b=c'", "arg0='a,b=c'" },
                { "arg0=don\\'t", "arg0='don'\\''t'" },
                { "arg0='don'\\''t'", "arg0='don'\\''t'" },
                { "arg0='\\'", "arg0='\\'" },
                { "arg0=\\", "arg0='\\'" },
                { "arg0=a\\b", "arg0='a\\b'" },
                { "arg0=\\\\", "arg0='\\\\'" },
                { "arg0=\\\\'x,y'", "arg0='\\\\x,y'" },
                { "arg0=\\,x", "arg0='\\,x'" },
                { "arg0=' x '", "arg0=' x '" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                struct match *match, *again;

                match = parse(cases[i].text);
                g_assert_cmpstr(match->text, ==, cases[i].form);
                again = parse(match->text);
                g_assert_cmpstr(again->text, ==, match->text);
                match_free(again);
                match_free(match);
        }
}

static void test_mistakes(void) {
        static const struct {
                const char *text;
                unsigned column;
                const char *said;
        } mistakes[] = {
                { "type", 5, "= should be here, after the key 'type'" },
                { "type 'signal'", 6, "= should be here" },
                { "='signal'", 1, "a key should be before" },
                { ",type='signal'", 1, "no rule has a key ',type'" },
                { "type='signal',,type='signal'", 15, "no rule has a key ',type'" },
                { "type='signals'", 6, "'signals' is none of" },
                { "type='signal' ", 6, "'signal ' is none of" },
                { "type='signal',type='signal'", 15, "'type' is here twice" },
                { "type='signal", 6, "the apostrophe that closes this one is missing" },
                { "arg0='a'\\''b", 11, "the apostrophe that closes" },
                { "eavesdrop='yes'", 11, "'yes' is neither true nor false" },
                { "eavesdrop=true,eavesdrop=true", 16, "twice" },
                { "member='a.b'", 8, "'a.b' is not a method's" },
                { "member='a',member='a'", 12, "'member' is here twice" },
                { "interface='a'", 11, "not an interface's name" },
                { "sender='a'", 8, "'a' is not a bus name" },
                { "sender=''", 8, "'' is not a bus name" },
                { "destination=':1'", 13, "':1' is not a bus name" },
                { "path='a'", 6, "'a' is not an object path" },
                { "path_namespace='/a/'", 16, "'/a/' is not an object path" },
                { "path='/',path_namespace='/'", 10, "exclude each other" },
                { "path_namespace='/',path='/'", 20, "exclude each other" },
                { "arg='a'", 1, "'arg' is no argument" },
                { "arg64='a'", 1, "'arg64' is no argument" },
                { "arg00='a'", 1, "no argument" },
                { "arg100='a'", 1, "no argument" },
                { "arg4294967296='a'", 1, "no argument" },
                { "arg-1='a'", 1, "no argument" },
                { "arg0pat='a'", 1, "no argument" },
                { "arg1namespace='a'", 1, "no argument" },
                { "arg0namespace='a.'", 15, "'a.' is neither a bus name" },
                { "arg0='a',arg0path='/a'", 10, "argument 0 is matched twice" },
                { "arg0='\xff'", 6, "not UTF-8" },
                { "sendr='a.b'", 1, "no rule has a key 'sendr'" },
                { "Type='signal'", 1, "no rule has a key" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++) {
                struct match_error error = {};
                struct match *match;

                g_assert_cmpint(match_new(&match, mistakes[i].text, strlen(mistakes[i].text), &error), ==, -EINVAL);
                g_test_message("%s: %u: %s", mistakes[i].text, error.column, error.text);
                g_assert_cmpuint(error.column, ==, mistakes[i].column);
                g_assert_nonnull(strstr(error.text, mistakes[i].said));
        }
        g_assert_cmpint(match_new(&(struct match *) { NULL }, "arg0='\0'", 8, &(struct match_error) {}), ==, -EINVAL);
}

static void test_length(void) {
        g_autofree char *value = g_strnfill(MATCH_TEXT_MAX - 7, 'x'), *text = g_strdup_printf("arg0='%s'", value);
        g_autofree char *longer = g_strdup_printf("arg0='%sx'", value), *unquoted = g_strdup_printf("arg0=%sx", value);
        struct match_error error;
        struct match *match = parse(text);

        match_free(match);
        g_assert_cmpint(match_new(&match, longer, strlen(longer), &error), ==, -EINVAL);
        g_assert_nonnull(strstr(error.text, "at most 1024 bytes, this one 1025"));
        g_assert_cmpint(match_new(&match, unquoted, strlen(unquoted), &error), ==, -EINVAL);
        g_assert_nonnull(strstr(error.text, "at most 1024 bytes, this one 1025 with"));
}

static bool owns(void *userdata, const char *unique, const char *name) {
        return strcmp(unique, ":1.5") == 0 && strcmp(name, "org.a") == 0;
}

static bool accepts(const char *rule, const struct message *message) {
        struct match_subject subject = { .message = message, .owns = owns };
        struct match *match = parse(rule);
        bool is = match_accepts(match, &subject);

        match_free(match);
        return is;
}

static void test_fields(void) {
        const struct message signal = { .type = MESSAGE_SIGNAL, .sender = ":1.5", .path = "/a/b", .interface = "a.b", .member = "M" };
        const struct message call = { .type = MESSAGE_METHOD_CALL, .sender = ":1.6", .destination = "org.a", .path = "/", .member = "M" };

        g_assert_true(accepts("", &signal) && accepts("", &call));
        g_assert_true(accepts("type='signal'", &signal));
        g_assert_false(accepts("type='signal'", &call));
        g_assert_true(accepts("interface='a.b',member='M',path='/a/b'", &signal));
        g_assert_false(accepts("interface='a.b',member='N'", &signal));
        g_assert_false(accepts("interface='a.b'", &call));              /* it has none: OpenXT's rules would match */
        g_assert_true(accepts("path_namespace='/a'", &signal));
        g_assert_true(accepts("path_namespace='/a/b'", &signal));
        g_assert_true(accepts("path_namespace='/'", &call));
        g_assert_false(accepts("path_namespace='/a/b/c'", &signal));
        g_assert_true(accepts("sender=':1.5'", &signal));
        g_assert_true(accepts("sender='org.a'", &signal));
        g_assert_false(accepts("sender='org.a'", &call));
        g_assert_false(accepts("sender='org.b'", &signal));
        g_assert_true(accepts("destination='org.a'", &call));
        g_assert_false(accepts("destination='org.a'", &signal));
}

static void test_arguments(void) {
        struct message message = { .type = MESSAGE_SIGNAL, .sender = ":1.5", .path = "/", .interface = "a.b", .member = "M" };
        uint8_t *body;

        g_assert_cmpint(message_make_body(&message, &body, "susoss", "org.a.b", 1, "/a/", "/a/b", "", "/a/b/c"), ==, 0);
        g_assert_true(accepts("arg0='org.a.b'", &message));
        g_assert_false(accepts("arg0='org.a'", &message));
        g_assert_true(accepts("arg0namespace='org.a'", &message));
        g_assert_true(accepts("arg0namespace='org'", &message));
        g_assert_false(accepts("arg0namespace='org.a.b.c'", &message));
        g_assert_false(accepts("arg0namespace='or'", &message));
        g_assert_false(accepts("arg1='1'", &message));                  /* no string */
        g_assert_false(accepts("arg3='/a/b'", &message));               /* a path is not a string */
        g_assert_true(accepts("arg3path='/a/b'", &message));
        g_assert_true(accepts("arg3path='/a/'", &message));
        g_assert_false(accepts("arg3path='/a'", &message));
        g_assert_true(accepts("arg2path='/a/b/c'", &message));          /* it ends with a slash, so it stands for all below */
        g_assert_false(accepts("arg5path='/a/b'", &message));
        g_assert_true(accepts("arg5path='/'", &message));
        g_assert_true(accepts("arg4=''", &message));
        g_assert_false(accepts("arg4path='/'", &message));
        g_assert_false(accepts("arg5path=''", &message));
        g_assert_false(accepts("arg6=''", &message));                   /* it is not there */
        free(body);
}

/* What is asked of another bus. NULL: nothing. */
static void check_broadcasts(const char *rule, const char *sender, const char *expected) {
        struct match *match = parse(rule);
        g_autofree char *text = NULL;
        int r = match_broadcasts_of(match, sender, &text);

        g_assert_cmpint(r, ==, expected ? 0 : -ENOENT);
        g_assert_cmpstr(text, ==, expected);
        match_free(match);
}

static void test_broadcasts(void) {
        check_broadcasts("", "a.b", "type='signal',sender='a.b'");
        check_broadcasts("member='M',eavesdrop='true',sender='a.b'", ":1.7", "type='signal',sender=':1.7',member='M'");
        check_broadcasts("type='signal',arg0namespace='a.b',path_namespace='/x'", NULL, "type='signal',path_namespace='/x',arg0namespace='a.b'");
        check_broadcasts("type='method_call'", "a.b", NULL);
        check_broadcasts("destination='a.b'", NULL, NULL);
        check_broadcasts("eavesdrop='true',destination='a.b'", NULL, NULL);
}

static void count_gone(void *userdata, const struct match *match) {
        g_assert_cmpstr(match->text, ==, "type='signal'");
        ++*(unsigned *) userdata;
}

static void test_sets(void) {
        const struct message signal = { .type = MESSAGE_SIGNAL, .sender = ":1.5", .path = "/a/b", .interface = "a.b", .member = "M" };
        struct match_subject subject = { .message = &signal };
        const struct match *kept;
        struct match_set *set;
        unsigned n_gone = 0;

        g_assert_cmpint(match_set_new(&set), ==, 0);
        g_assert_false(match_set_accepts(set, &subject));
        g_assert_cmpint(match_set_add(set, 1, parse("type=signal"), &kept), ==, 1);
        g_assert_cmpstr(kept->text, ==, "type='signal'");
        g_assert_cmpint(match_set_add(set, 1, parse("type='signal'"), NULL), ==, 0);
        g_assert_cmpint(match_set_add(set, 2, parse("type='signal'"), NULL), ==, 0);
        g_assert_cmpint(match_set_add(set, 2, parse("member='N'"), NULL), ==, 1);
        g_assert_cmpint(match_set_add(set, 2, parse("interface='a.b'"), NULL), ==, 1);
        g_assert_cmpuint(match_set_count(set), ==, 3);
        g_assert_true(match_set_accepts(set, &subject) && match_set_accepts_for(set, 1, &subject));
        g_assert_false(match_set_accepts_for(set, 3, &subject));
        g_assert_cmpuint(match_set_others(set, "type='signal'", 0, 0), ==, 2);
        g_assert_cmpuint(match_set_others(set, "type='signal'", 1, 3), ==, 1);
        g_assert_cmpuint(match_set_others(set, "type='signal'", 1, 2), ==, 0);
        g_assert_cmpuint(match_set_others(set, "member='O'", 0, 0), ==, 0);
        for (size_t i = 0; i < match_set_count(set); i++)
                g_assert_true(match_set_wants(set, i, 2) && match_set_wants(set, i, 1) == (strcmp(match_set_rule(set, i)->text, "type='signal'") == 0));

        g_assert_cmpint(match_set_remove(set, 3, "type='signal'"), ==, -ENOENT);
        g_assert_cmpint(match_set_remove(set, 1, "member='N'"), ==, -ENOENT);
        g_assert_cmpint(match_set_remove(set, 1, "member='O'"), ==, -ENOENT);
        g_assert_cmpint(match_set_remove(set, 1, "type='signal'"), ==, 0);      /* added twice */
        g_assert_true(match_set_accepts_for(set, 1, &subject));
        g_assert_cmpint(match_set_remove(set, 1, "type='signal'"), ==, 0);      /* the other one still wants it */
        g_assert_false(match_set_accepts_for(set, 1, &subject));
        g_assert_cmpint(match_set_remove(set, 1, "type='signal'"), ==, -ENOENT);
        g_assert_cmpint(match_set_remove(set, 2, "member='N'"), ==, 1);
        g_assert_cmpint(match_set_remove(set, 2, "interface='a.b'"), ==, 1);
        match_set_remove_peer(set, 1, count_gone, &n_gone);
        g_assert_cmpuint(n_gone, ==, 0);
        match_set_remove_peer(set, 2, count_gone, &n_gone);
        g_assert_cmpuint(n_gone, ==, 1);
        g_assert_cmpuint(match_set_count(set), ==, 0);
        match_set_free(set);
}

/* Against a list that does the same without cleverness. */
static void test_sets_at_random(void) {
        static const char *const rules[] = { "type='signal'", "member='A'", "member='B'", "path='/'", "arg0='x'", "" };
        g_autoptr(GRand) random = g_rand_new_with_seed(4);
        unsigned counts[4][G_N_ELEMENTS(rules)] = {};
        struct match_set *set;

        g_assert_cmpint(match_set_new(&set), ==, 0);
        for (unsigned i = 0; i < 20000; i++) {
                unsigned peer = g_rand_int(random) % 4, rule = g_rand_int(random) % G_N_ELEMENTS(rules), others = 0,
                         what = g_rand_int(random) % 40;

                for (unsigned p = 0; p < 4; p++)
                        others += counts[p][rule];
                if (what == 0) {
                        match_set_remove_peer(set, peer, NULL, NULL);
                        memset(counts[peer], 0, sizeof counts[peer]);
                } else if (what % 2) {
                        g_assert_cmpint(match_set_add(set, peer, parse(rules[rule]), NULL), ==, others == 0);
                        counts[peer][rule]++;
                } else {
                        g_assert_cmpint(match_set_remove(set, peer, rules[rule]), ==, counts[peer][rule] == 0 ? -ENOENT : others == 1);
                        counts[peer][rule] -= counts[peer][rule] > 0;
                }
        }
        match_set_free(set);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/match/one-form", test_one_form);
        g_test_add_func("/match/mistakes-have-a-column", test_mistakes);
        g_test_add_func("/match/1024-bytes-and-one-more", test_length);
        g_test_add_func("/match/fields", test_fields);
        g_test_add_func("/match/arguments", test_arguments);
        g_test_add_func("/match/broadcasts", test_broadcasts);
        g_test_add_func("/match/sets-count", test_sets);
        g_test_add_func("/match/sets-at-random", test_sets_at_random);
        return g_test_run();
}
