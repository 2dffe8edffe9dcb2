/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tables, and the text that goes into them. */

#include "screen-text.h"
#include "table.h"

static void check_text(const char *text, const char *expected) {
        g_autofree char *harmless = screen_text(text);

        g_assert_cmpstr(harmless, ==, expected);
}

static void test_control_characters_are_shown(void) {
        check_text("plain", "plain");
        check_text("two\nlines\tand\rmore", "two\\nlines\\tand\\rmore");
        check_text("\033[2J\033]0;title\007", "\\u{1b}[2J\\u{1b}]0;title\\u{7}");
        check_text("\177", "\\u{7f}");
        check_text("\302\233""31m", "\\u{9b}31m");              /* CSI in one character */
        check_text("\342\200\256txt.exe", "\\u{202e}txt.exe");  /* right to left */
        check_text("\342\201\246", "\\u{2066}");
}

static void test_other_languages_stay(void) {
        check_text("Müller 東京 ☃", "Müller 東京 ☃");
}

static void test_invalid_utf8_is_replaced(void) {
        check_text("a\377b", "a\357\277\275b");
}

static void test_width_is_in_columns(void) {
        g_assert_cmpuint(screen_width("abc"), ==, 3);
        g_assert_cmpuint(screen_width("東京"), ==, 4);
        g_assert_cmpuint(screen_width("e\314\201"), ==, 1);     /* e and a combining accent */
}

static void check_cut(const char *text, unsigned width, const char *expected) {
        g_autofree char *cut = screen_cut(text, width);

        g_assert_cmpstr(cut, ==, expected);
        g_assert_cmpuint(screen_width(cut), <=, width);
}

static void test_cut_between_characters(void) {
        check_cut("abcdef", 6, "abcdef");
        check_cut("abcdef", 5, "abcd…");
        check_cut("東京都", 6, "東京都");
        check_cut("東京都", 5, "東京…");
        check_cut("東京都", 4, "東…");
        check_cut("abc", 1, "…");
        check_cut("abc", 0, "");
}

static char *text_of(const struct table_style *style) {
        struct table *table = table_new((const char *const[]) { "NAME", "SIZE", NULL });
        char *text;

        table_align_right(table, 1);
        table_add(table, (const char *const[]) { "root", "10 GiB", NULL });
        table_add(table, (const char *const[]) { "a name that is rather long", "512 B", NULL });
        text = table_text(table, style);
        table_free(table);
        return text;
}

static void test_columns_are_aligned(void) {
        g_autofree char *text = text_of(&(struct table_style) { .header = true });

        g_assert_cmpstr(text, ==,
                        "NAME                          SIZE\n"
                        "root                        10 GiB\n"
                        "a name that is rather long   512 B\n");
}

static void test_the_widest_column_gives_way(void) {
        g_autofree char *text = text_of(&(struct table_style) { .width = 20 });

        g_assert_cmpstr(text, ==,
                        "root          10 GiB\n"
                        "a name that…   512 B\n");
}

static void test_a_screen_that_is_too_narrow_for_all(void) {
        g_autofree char *text = text_of(&(struct table_style) { .width = 1 });

        g_assert_cmpstr(text, ==,
                        "root      10 GiB\n"
                        "a name …   512 B\n");
}

static void test_only_the_titles_are_bold(void) {
        g_autofree char *text = text_of(&(struct table_style) { .header = true, .bold = true });

        g_assert_true(g_str_has_prefix(text, "\033[1mNAME"));
        g_assert_null(strstr(strchr(text, '\n'), "\033"));
}

static void test_cells_cannot_move_the_cursor(void) {
        struct table *table = table_new((const char *const[]) { "X", NULL });
        g_autofree char *text = NULL;

        table_add(table, (const char *const[]) { "\033[H\n", NULL });
        text = table_text(table, &(struct table_style) {});
        g_assert_cmpstr(text, ==, "\\u{1b}[H\\n\n");
        table_free(table);
}

static void test_nothing_at_all(void) {
        struct table *table = table_new((const char *const[]) { "A", "B", NULL });
        g_autofree char *text = table_text(table, &(struct table_style) { .header = true, .width = 80 });

        g_assert_cmpstr(text, ==, "A  B\n");
        g_assert_cmpuint(table_rows(table), ==, 0);
        table_free(table);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/screen-text/control-characters-are-shown", test_control_characters_are_shown);
        g_test_add_func("/screen-text/other-languages-stay", test_other_languages_stay);
        g_test_add_func("/screen-text/invalid-utf8-is-replaced", test_invalid_utf8_is_replaced);
        g_test_add_func("/screen-text/width-is-in-columns", test_width_is_in_columns);
        g_test_add_func("/screen-text/cut-between-characters", test_cut_between_characters);
        g_test_add_func("/table/columns-are-aligned", test_columns_are_aligned);
        g_test_add_func("/table/the-widest-column-gives-way", test_the_widest_column_gives_way);
        g_test_add_func("/table/a-screen-that-is-too-narrow-for-all", test_a_screen_that_is_too_narrow_for_all);
        g_test_add_func("/table/only-the-titles-are-bold", test_only_the_titles_are_bold);
        g_test_add_func("/table/cells-cannot-move-the-cursor", test_cells_cannot_move_the_cursor);
        g_test_add_func("/table/nothing-at-all", test_nothing_at_all);
        return g_test_run();
}
