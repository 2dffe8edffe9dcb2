/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The log on standard error: one line for one event, whatever is in it. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static char caught[64 * 1024];
static int saved_stderr, caught_fd;

static void catch_begin(void) {
        char path[] = "/tmp/xcp-test-log-XXXXXX";

        saved_stderr = dup(STDERR_FILENO);
        caught_fd = mkstemp(path);
        g_assert_cmpint(caught_fd, >=, 0);
        unlink(path);
        dup2(caught_fd, STDERR_FILENO);
}

static const char *catch_end(void) {
        ssize_t n = pread(caught_fd, caught, sizeof caught - 1, 0);

        dup2(saved_stderr, STDERR_FILENO);
        close(saved_stderr);
        close(caught_fd);
        g_assert_cmpint(n, >=, 0);
        caught[n] = '\0';
        return caught;
}

static void test_fields(void) {
        catch_begin();
        log_open("xcp-test");
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_CALLER", ":1.7" }, { "XCP_NOTHING", NULL }), "%d VDIs", 3);
        log_event(LOG_ERR, NULL, "alone");
        g_assert_cmpstr(catch_end(), ==, "xcp-test: 3 VDIs XCP_CALLER=:1.7 XCP_NOTHING=\nxcp-test: alone\n");
}

static void test_control_characters(void) {
        catch_begin();
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_NAME", "a\nfake: line\x7f" }), "tab\there, \xc3\xa9 stays");
        g_assert_cmpstr(catch_end(), ==, "xcp-test: tab\\x09here, \xc3\xa9 stays XCP_NAME=a\\x0afake: line\\x7f\n");
}

static void test_long(void) {
        g_autofree char *name = g_strnfill(100 * 1024, '\n');
        const char *line;

        catch_begin();
        log_event(LOG_INFO,
                  LOG_FIELDS({ "A", name }, { "B", name }, { "C", name }, { "D", name }, { "E", name }, { "F", name }, { "G", name },
                             { "H", name }, { "I", name }, { "J", name }),
                  "%s", name);
        line = catch_end();
        g_assert_cmpuint(strlen(line), <=, 8 * LOG_TEXT_MAX);
        g_assert_true(g_str_has_suffix(line, "\n"));
        g_assert_true(strchr(line, '\n') == line + strlen(line) - 1);
}

static void test_levels(void) {
        uint64_t debug = log_count(LOG_DEBUG), warnings = log_count(LOG_WARNING);
        int level = -1;

        catch_begin();
        log_event(LOG_DEBUG, NULL, "dropped");
        log_set_level(LOG_DEBUG);
        log_event(LOG_DEBUG, NULL, "kept");
        log_set_level(LOG_ERR);
        log_event(LOG_WARNING, NULL, "dropped");
        log_set_level(LOG_INFO);
        g_assert_cmpstr(catch_end(), ==, "xcp-test: kept\n");
        g_assert_cmpuint(log_count(LOG_DEBUG), ==, debug + 2);
        g_assert_cmpuint(log_count(LOG_WARNING), ==, warnings + 1);

        for (int i = LOG_ERR; i <= LOG_DEBUG; i++) {
                if (i == LOG_NOTICE)
                        continue;
                g_assert_cmpint(log_level_from_name(log_level_name(i), &level), ==, 0);
                g_assert_cmpint(level, ==, i);
        }
        g_assert_cmpint(log_level_from_name("loud", &level), ==, -EINVAL);
        g_assert_cmpint(level, ==, LOG_DEBUG);
        g_assert_null(log_level_name(LOG_EMERG));
        g_assert_null(log_level_name(LOG_NOTICE));
        g_assert_null(log_level_name(-1));
        g_assert_null(log_level_name(LOG_DEBUG + 1));
}

static void test_tail(void) {
        catch_begin();
        for (int i = 0; i < 10000; i++)
                log_event(LOG_INFO, NULL, "line %d %.*s", i, i % 1000, "................................................................");
        catch_end();
        g_assert_cmpuint(strlen(log_tail()), <=, LOG_TAIL_MAX);
        g_assert_cmpuint(strlen(log_tail()), >=, LOG_TAIL_MAX / 3);
        g_assert_true(g_str_has_prefix(log_tail(), "xcp-test: line "));
        g_assert_nonnull(strstr(log_tail(), "xcp-test: line 9999 "));
        g_assert_true(g_str_has_suffix(log_tail(), "\n"));
}

static void test_journal_stream(void) {
        const struct stat st = { .st_dev = 9, .st_ino = 1234 };

        g_assert_true(log_is_journal("9:1234", &st));
        g_assert_false(log_is_journal("9:12345", &st));
        g_assert_false(log_is_journal("9:123", &st));
        g_assert_false(log_is_journal("", &st));
        g_assert_false(log_is_journal(NULL, &st));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log/fields-follow-the-sentence", test_fields);
        g_test_add_func("/log/control-characters-do-not-make-lines", test_control_characters);
        g_test_add_func("/log/long-values-and-many-fields-are-cut", test_long);
        g_test_add_func("/log/levels-drop-and-count", test_levels);
        g_test_add_func("/log/the-last-lines-are-kept", test_tail);
        g_test_add_func("/log/journal-stream-has-to-be-this-very-file", test_journal_stream);
        return g_test_run();
}
