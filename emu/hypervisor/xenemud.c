/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * xenemud: the hypervisor's part of emulated Xen. `xenemu up` starts it; this is options, signals and the event loop.
 */

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "hypervisor.h"
#include "log.h"
#include "options.h"

static const char usage[] =
        "Usage: xenemud --rundir DIR --guest PROGRAM --library-dir DIR --preload LIBRARY --xenstored PROGRAM [OPTION...]\n"
        "The hypervisor of emulated Xen. It is started by `xenemu up` and ended by `xenemu down`.\n"
        "\n"
        "  --rundir DIR         the run directory, absolute\n"
        "  --guest PROGRAM      plays a domain's kernel (xenemu-guest)\n"
        "  --library-dir DIR    where libxengnttab.so.1, libxenevtchn.so.1 and libxencall.so.1 of emulated Xen are\n"
        "  --preload LIBRARY    stands for domain 0's device files, for xenstored\n"
        "  --xenstored PROGRAM  the store\n"
        "  --on-death PROGRAM   is run as PROGRAM --rundir DIR forget DOMID when a domain has died\n"
        "  --keep DIR           stays visible in isolated domains although below /tmp or the like; up to 8 times\n"
        "  --end-domid N        domids are below N (default 32752)\n"
        "  --limit NAME=N       of new guests: handles, ports, shared-pages, grants or maptrack (default: Xen's and Linux's)\n"
        "  --ready-fd FD        gets \"ok\" once the store answers, or a sentence\n"
        "  --help               this text\n";

enum { RUNDIR, GUEST, LIBRARY_DIR, PRELOAD, XENSTORED, ON_DEATH, KEEP, END_DOMID, LIMIT, READY_FD, HELP };

static const struct option names[] = {
        { "rundir", required_argument, NULL, RUNDIR },       { "guest", required_argument, NULL, GUEST },
        { "library-dir", required_argument, NULL, LIBRARY_DIR }, { "preload", required_argument, NULL, PRELOAD },
        { "xenstored", required_argument, NULL, XENSTORED }, { "on-death", required_argument, NULL, ON_DEATH },
        { "keep", required_argument, NULL, KEEP },           { "end-domid", required_argument, NULL, END_DOMID },
        { "limit", required_argument, NULL, LIMIT },         { "ready-fd", required_argument, NULL, READY_FD },
        { "help", no_argument, NULL, HELP },                 {},
};

/* Takes the argument of an option. Returns whether it will do. */
static bool take_argument(struct options *options, int name, char *argument) {
        uint32_t number;
        bool good = true;

        switch (name) {
        case RUNDIR:
                options->run_dir = argument;
                return argument[0] == '/';
        case GUEST:
                options->guest = argument;
                return true;
        case LIBRARY_DIR:
                options->library_dir = argument;
                return true;
        case PRELOAD:
                options->preload = argument;
                return true;
        case XENSTORED:
                options->xenstored = argument;
                return true;
        case ON_DEATH:
                options->on_death = argument;
                return true;
        case KEEP:
                good = argument[0] == '/' && options->n_keep < EMU_GUEST_KEEP_MAX;
                if (good)
                        options->keep[options->n_keep++] = argument;
                return good;
        case END_DOMID:
                return option_parse_number(argument, EMU_DOMID_FIRST_RESERVED, &options->end_domid) && options->end_domid >= 2;
        case LIMIT:
                return option_parse_limit(argument, &options->limits);
        default: /* READY_FD */
                good = option_parse_number(argument, INT32_MAX, &number);
                if (good)
                        options->ready_fd = number;
                return good;
        }
}

/* Returns whether to go on; if not, *ret_status is the exit status. */
static bool parse_options(int argc, char **argv, struct options *options, int *ret_status) {
        int c;

        *ret_status = EXIT_FAILURE;
        while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0) {
                if (c == HELP) {
                        fputs(usage, stdout);
                        *ret_status = EXIT_SUCCESS;
                        return false;
                }
                if (c == '?')
                        return false;
                if (!take_argument(options, c, optarg)) {
                        log_event("--%s: '%s' will not do; see xenemud --help", names[c].name, optarg);
                        return false;
                }
        }

        if (optind == argc && options->run_dir && options->guest && options->library_dir && options->preload && options->xenstored)
                return true;
        fputs(usage, stderr);
        return false;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        log_event("signal %u: stopping", info->ssi_signo);
        hypervisor_stop(userdata);
        return 0;
}

static int run(const struct options *options) {
        struct hypervisor hypervisor;
        sd_event *event = NULL;
        sigset_t signals;
        int r;

        if (options->ready_fd >= 0)
                (void) fcntl(options->ready_fd, F_SETFD, FD_CLOEXEC);

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGPIPE);   /* who started us, or reads our log, may leave; children start with nothing blocked */
        sigprocmask(SIG_BLOCK, &signals, NULL);

        r = sd_event_new(&event);
        if (r < 0)
                return r;

        r = hypervisor_start(&hypervisor, options, event);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGTERM, on_signal, &hypervisor);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, on_signal, &hypervisor);
        if (r >= 0)
                r = sd_event_loop(event);
        else
                hypervisor_announce(&hypervisor, strerror(-r));

        hypervisor_done(&hypervisor);
        sd_event_unref(event);
        return r;
}

int main(int argc, char **argv) {
        struct options options = { .end_domid = EMU_DOMID_FIRST_RESERVED, .ready_fd = -1 };
        int status;

        if (!parse_options(argc, argv, &options, &status))
                return status;

        return run(&options) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
