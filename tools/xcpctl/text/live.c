/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "live.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <glib-unix.h>

#define INTERVAL_MS 1000
#define HOME "\033[H"
#define TO_END_OF_LINE "\033[K"
#define TO_END_OF_SCREEN "\033[J"

struct live {
        struct context *context;
        live_take_t take;
        void *userdata;
        GMainLoop *loop;
        GError *error;
};

/* Each line takes the place of an old one, so that nothing flickers, and what is below goes. */
static bool draw(struct live *live, const struct table *table, unsigned columns) {
        const struct table_style style = { .header = true, .bold = live->context->colours, .width = columns };
        g_autofree char *text = table_text(table, &style);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autoptr(GString) screen = g_string_new(HOME);

        for (char **line = lines; *line && (**line || line[1]); line++)
                g_string_append_printf(screen, "%s" TO_END_OF_LINE "\n", *line);
        g_string_append(screen, TO_END_OF_SCREEN);
        return context_print(live->context, screen->str, &live->error);
}

static gboolean refresh(void *userdata) {
        struct live *live = userdata;
        struct winsize size = {};
        bool sized = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
        struct table *table = live->take(live->userdata, sized && size.ws_row > 3 ? size.ws_row - 2u : 0, &live->error);

        if (!table || !draw(live, table, sized && size.ws_col > 0 ? size.ws_col : live->context->width))
                g_main_loop_quit(live->loop);
        if (table)
                table_free(table);
        return G_SOURCE_CONTINUE;
}

static gboolean on_end(void *userdata) {
        g_main_loop_quit(userdata);
        return G_SOURCE_CONTINUE;
}

bool live_run(struct context *context, live_take_t take, void *userdata, GError **error) {
        struct live live = { .context = context, .take = take, .userdata = userdata };
        unsigned sources[3];

        live.loop = g_main_loop_new(NULL, FALSE);
        if (context_print(context, HOME TO_END_OF_SCREEN, &live.error))
                refresh(&live);
        if (!live.error) {
                sources[0] = g_timeout_add(INTERVAL_MS, refresh, &live);
                sources[1] = g_unix_signal_add(SIGINT, on_end, live.loop);
                sources[2] = g_unix_signal_add(SIGTERM, on_end, live.loop);
                g_main_loop_run(live.loop);
                for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
                        g_source_remove(sources[i]);
        }
        g_main_loop_unref(live.loop);
        if (!live.error)
                return true;
        g_propagate_error(error, live.error);
        return false;
}
