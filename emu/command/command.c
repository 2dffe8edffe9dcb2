/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the subcommands share; see command.h. */

#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "options.h"
#include "toolstack.h"

int report(const char *format, ...) {
        va_list arguments;

        fputs("xenemu: ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        return EXIT_FAILED;
}

int control_connect(const struct context *context) {
        char path[sizeof((struct sockaddr_un *) NULL)->sun_path + 1];
        int fd;

        if ((size_t) snprintf(path, sizeof path, "%s/xenemud/control", context->run_dir) >= sizeof path) {
                report("the run directory's path is too long: %s", context->run_dir);
                return -ENAMETOOLONG;
        }

        fd = emu_connect(path, 1);
        if (fd == -ENOENT || fd == -ECONNREFUSED)
                report("emulated Xen is not up in %s; `xenemu up` starts it", context->run_dir);
        else if (fd == -EACCES || fd == -EPERM)
                report("emulated Xen in %s belongs to another user", context->run_dir);
        else if (fd == -EPROTO)
                report("emulated Xen in %s is of another build; end it with that build's `xenemu down`", context->run_dir);
        else if (fd < 0)
                report("cannot talk to emulated Xen in %s: %s", context->run_dir, strerror(-fd));
        return fd;
}

int domain_resolve(const struct context *context, const char *text, uint32_t *ret_domid) {
        int r;

        if (option_parse_number(text, UINT32_MAX, ret_domid))
                return 0;

        r = toolstack_find(context->run_dir, text, ret_domid);
        if (r == -ESRCH && strncmp(text, "dom", 3) == 0 && option_parse_number(text + 3, UINT32_MAX, ret_domid))
                return 0;               /* as its folder in the run directory is called */
        if (r == -ESRCH)
                report("there is no domain named '%s'; `xenemu list` shows them", text);
        else if (r < 0)
                report("cannot look up the domain named '%s' in the store: %s", text, strerror(-r));
        return r;
}
