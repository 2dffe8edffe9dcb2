/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>

#include "domain.h"

void audit(const struct domain *domain, const char *action, const char *caller, const char *format, ...) {
        char text[LOG_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_AUDIT", action }, { "XCP_DOMAIN", domain->text }, { "XCP_CALLER", caller ?: "-" }), "%s",
                  text);
}
