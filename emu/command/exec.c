/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * xenemu exec: runs a program as part of a domain.
 *
 * The program is given its domain by three paths in its environment (the drop-in libraries, the hypercall socket, the store's socket)
 * and, if the domain is isolated, by being in its namespaces. It is not told anything else.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "layout.h"
#include "supervise.h"

static const char help[] = "Usage: xenemu exec DOMAIN [--] [PROGRAM [ARGUMENT...]]\n"
                           "Runs a program, by default a shell, in a domain given by domid or name. Terminal, signals and exit status\n"
                           "are passed through. It is killed when the domain is destroyed.\n"
                           "\n"
                           "Example: xenemu exec dom1 -- xenstore-write data/hello world\n";

struct place {
        uint32_t domid;
        bool isolated;
        int pidfd;                      /* of its first process, if isolated */
        const char *run_dir;
        const char *library_dir;
};

static int set_path(const char *name, const struct place *place, const char *file) {
        char *path;
        int r;

        if (asprintf(&path, "%s/dom%u/%s", place->run_dir, place->domid, file) < 0)
                return -ENOMEM;
        r = setenv(name, path, 1);
        free(path);
        return r < 0 ? -errno : 0;
}

static int set_environment(const struct place *place) {
        const char *old = getenv("LD_LIBRARY_PATH");
        char *path;
        int r;

        if (asprintf(&path, "%s%s%s", place->library_dir, old && *old ? ":" : "", old ?: "") < 0)
                return -ENOMEM;
        r = setenv("LD_LIBRARY_PATH", path, 1) < 0 ? -errno : 0;
        free(path);
        if (r == 0)
                r = set_path("XENEMU_SOCKET", place, "xen");
        if (r == 0)
                r = set_path("XENSTORED_PATH", place, "xenbus");
        if (r == 0 && setenv("XCP_RUNDIR", place->run_dir, 1) < 0)
                r = -errno;
        return r;
}

/* In the child, which is in the domain's PID namespace already: enters the others and keeps the working directory if it is there. */
static int enter(const struct place *place) {
        char *directory = getcwd(NULL, 0);
        int r = 0;

        if (setns(place->pidfd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) < 0)
                r = -errno;
        else if (!directory || chdir(directory) < 0)
                r = chdir("/") < 0 ? -errno : 0;
        free(directory);
        return r;
}

/* In the child. Does not return. */
static void become_program(const struct place *place, char **argv) {
        int r;

        r = set_environment(place);
        if (r == 0 && place->isolated)
                r = enter(place);
        if (r < 0) {
                report("cannot enter domain %u: %s", place->domid, strerror(-r));
                _exit(EXIT_CANNOT_EXECUTE);
        }

        prctl(PR_SET_PDEATHSIG, SIGKILL);       /* SIGKILL is passed through as well as it can be */
        supervise_restore_signals();
        execvp(argv[0], argv);
        r = errno;
        report("cannot execute %s: %s", argv[0], strerror(r));
        _exit(r == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

static int connect_to_domain(const struct context *context, const char *text, struct place *place) {
        struct emu_id id = {};
        struct emu_entered entered;
        int fd, r;

        fd = control_connect(context);
        if (fd < 0 || domain_resolve(context, text, &id.id) < 0)
                return -ESRCH;

        r = emu_call(fd, EMU_DOMAIN_ENTER, &id, sizeof id, &entered, sizeof entered, &place->pidfd, 1);
        if (r < 0) {
                if (r == -ESRCH)
                        report("there is no domain %u; `xenemu list` shows them", id.id);
                else
                        report("cannot enter domain %u: %s", id.id, strerror(-r));
                close(fd);
                return r;
        }

        place->domid = entered.domid;
        place->isolated = entered.flags & EMU_DOMAIN_ISOLATED;
        return fd;
}

int command_exec(const struct context *context, int argc, char **argv) {
        char *shell[] = { getenv("SHELL") ?: (char *) "/bin/sh", NULL };
        struct place place = { .pidfd = -1, .run_dir = context->run_dir };
        char **program = shell;
        struct layout layout;
        int control_fd;
        pid_t pid;

        if (argc < 2 || strcmp(argv[1], "--help") == 0) {
                fputs(help, argc < 2 ? stderr : stdout);
                return argc < 2 ? EXIT_USAGE : EXIT_OK;
        }
        if (argc > 2)
                program = argv + (strcmp(argv[2], "--") == 0 ? 3 : 2);
        if (!program[0])
                program = shell;
        layout_find(context->own_path, &layout);
        place.library_dir = layout.library_dir;

        control_fd = connect_to_domain(context, argv[1], &place);
        if (control_fd < 0)
                return EXIT_FAILED;
        if (place.isolated && setns(place.pidfd, CLONE_NEWPID) < 0)     /* of the children, not of the caller */
                return report("cannot enter the PID namespace of domain %u: %s", place.domid, strerror(errno));

        supervise_prepare();
        pid = fork();
        if (pid < 0)
                return report("cannot fork: %s", strerror(errno));
        if (pid == 0)
                become_program(&place, program);

        return supervise(pid, control_fd);
}
