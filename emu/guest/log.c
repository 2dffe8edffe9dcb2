/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "log.h"

#include <stdarg.h>
#include <stdio.h>

static char domain[sizeof "dom4294967295"] = "dom?";

void log_set_domain(uint32_t domid) {
        snprintf(domain, sizeof domain, "dom%u", domid);
}

void log_line(const char *format, ...) {
        char text[512];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        fprintf(stderr, "%s: %s\n", domain, text); /* one call, because several domains share the stream */
}
