/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "progress.h"

#include "quantity.h"
#include "screen-text.h"

#define BAR_AFTER_USEC (300 * INT64_C(1000))    /* a bar that goes at once only flickers */
#define LINE_AFTER_USEC (2 * INT64_C(1000000))
#define LINE_EVERY_USEC (5 * INT64_C(1000000))
#define BAR_WIDTH 30u
#define DESCRIPTION_WIDTH_MIN 10u
#define FIGURES_WIDTH 32u                       /* "  100 %  Cancelling  59 min 59 s" */

struct progress {
        bool terminal;
        bool drawn;
        char *description;
        int64_t begun, printed;
};

struct progress *progress_new(bool terminal, const char *description, int64_t now_us) {
        struct progress *progress = g_new(struct progress, 1);

        *progress = (struct progress) {
                .terminal = terminal,
                .description = screen_text(description),
                .begun = now_us,
        };
        return progress;
}

void progress_free(struct progress *progress) {
        if (!progress)
                return;
        g_free(progress->description);
        g_free(progress);
}

static char *bar(struct progress *progress, double fraction, const char *figures, unsigned columns) {
        unsigned n_bar = columns >= FIGURES_WIDTH + BAR_WIDTH + DESCRIPTION_WIDTH_MIN + 4 ? BAR_WIDTH : 0;
        unsigned room = columns > FIGURES_WIDTH + n_bar + 4 ? columns - FIGURES_WIDTH - n_bar - 4 : DESCRIPTION_WIDTH_MIN;
        g_autofree char *description = screen_cut(progress->description, room), *filled = NULL, *line = NULL;
        unsigned n = (unsigned) (fraction * n_bar);

        progress->drawn = true;
        filled = g_strnfill(n_bar, ' ');
        for (unsigned i = 0; i < n; i++)
                filled[i] = '#';
        if (n_bar > 0)
                line = g_strdup_printf("%s [%s] %s", description, filled, figures);
        else
                line = g_strdup_printf("%s %s", description, figures);
        g_free(filled);
        filled = screen_cut(line, columns - 1);
        return g_strdup_printf("\r\033[K%s", filled);
}

char *progress_text(struct progress *progress, double fraction, const char *state, unsigned columns, int64_t now_us) {
        int64_t elapsed = now_us - progress->begun;
        g_autofree char *time = quantity_format_duration((uint64_t) elapsed / 1000000 * 1000000), *harmless = screen_text(state);
        g_autofree char *figures = NULL;

        fraction = fraction > 0 ? MIN(fraction, 1) : 0; /* also what is no number */
        figures = g_strdup_printf("%3d %%  %s  %s", (int) (fraction * 100), harmless, time);
        if (progress->terminal)
                return elapsed < BAR_AFTER_USEC ? NULL : bar(progress, fraction, figures, columns);
        if (elapsed < LINE_AFTER_USEC || (progress->printed > 0 && now_us - progress->printed < LINE_EVERY_USEC))
                return NULL;
        progress->printed = now_us;
        return g_strdup_printf("%s: %s\n", progress->description, g_strchug(figures));
}

const char *progress_end(struct progress *progress) {
        if (!progress->drawn)
                return "";
        progress->drawn = false;
        return "\r\033[K";
}
