/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xenemu: the toolstack of emulated Xen. This is its name, its help and its choice of subcommand. */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "layout.h"

static const char help[] =
        "Usage: xenemu [--rundir DIR] COMMAND [ARGUMENT...]\n"
        "Xen domains on a machine without Xen: real libxenvchan and a real xenstored over an emulated hypervisor.\n"
        "\n"
        "  up [--domains N]          start emulated Xen\n"
        "  down                      end it, with every domain\n"
        "  list [--json]             show the domains\n"
        "  create [--name NAME] [--uuid UUID]\n"
        "                            create a guest and print its domid\n"
        "  destroy DOMAIN            destroy a guest, by domid or name\n"
        "  exec DOMAIN -- PROGRAM... run a program in a domain\n"
        "  forget DOMID              remove from the store what a dead domain left there\n"
        "\n"
        "  --rundir DIR              where sockets and logs are; default $XCP_RUNDIR, else %s\n"
        "  --help, --version\n"
        "\n"
        "xenemu COMMAND --help says more. Exit status: 0 done, 1 could not be done, 2 not asked for properly; of exec the program's.\n";

static const struct {
        const char *name;
        int (*run)(const struct context *context, int argc, char **argv);
        bool makes_run_dir;
} commands[] = {
        { "up", command_up, true },   { "down", command_down },       { "list", command_list },     { "create", command_create },
        { "destroy", command_destroy }, { "exec", command_exec },     { "forget", command_forget },
};

/* Makes every directory of path that is not there. */
static void make_directories(const char *path) {
        char partial[PATH_MAX];

        for (const char *p = path + 1; *p; p++)
                if (*p == '/' && (size_t) (p - path) < sizeof partial) {
                        memcpy(partial, path, p - path);
                        partial[p - path] = '\0';
                        (void) mkdir(partial, 0755);
                }
        (void) mkdir(path, 0700);
}

/* Resolves the run directory. Returns an exit status. */
static int resolve_run_dir(const char *wanted, bool make, char ret_path[PATH_MAX]) {
        if (make)
                make_directories(wanted);
        if (realpath(wanted, ret_path))
                return EXIT_OK;
        if (errno == ENOENT && !make)
                return report("emulated Xen is not up: there is no run directory %s", wanted);
        return report("cannot use the run directory %s: %s", wanted, strerror(errno));
}

int main(int argc, char **argv) {
        char own_path[PATH_MAX] = "", run_dir[PATH_MAX];
        struct context context = { .run_dir = run_dir, .own_path = own_path };
        const char *wanted = getenv("XCP_RUNDIR");
        struct layout layout;
        int first = 1, status;

        if (readlink("/proc/self/exe", own_path, sizeof own_path - 1) < 0)
                return report("cannot find out where this program is; is /proc mounted?");
        layout_find(own_path, &layout);
        if (!wanted || !*wanted)
                wanted = layout.run_dir;

        while (first < argc && argv[first][0] == '-') {
                if (strcmp(argv[first], "--rundir") == 0 && first + 1 < argc) {
                        wanted = argv[first + 1];
                        first += 2;
                } else if (strcmp(argv[first], "--help") == 0) {
                        printf(help, layout.run_dir);
                        return EXIT_OK;
                } else if (strcmp(argv[first], "--version") == 0) {
                        puts("xenemu " XCPBUS_VERSION);
                        return EXIT_OK;
                } else {
                        report("what is '%s'? See xenemu --help", argv[first]);
                        return EXIT_USAGE;
                }
        }
        if (first == argc) {
                fprintf(stderr, help, layout.run_dir);
                return EXIT_USAGE;
        }

        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
                if (strcmp(argv[first], commands[i].name) != 0)
                        continue;
                /* Help needs no run directory. */
                if (first + 1 < argc && strcmp(argv[first + 1], "--help") == 0)
                        return commands[i].run(&context, argc - first, argv + first);
                status = resolve_run_dir(wanted, commands[i].makes_run_dir, run_dir);
                return status != EXIT_OK ? status : commands[i].run(&context, argc - first, argv + first);
        }
        report("there is no command '%s'; see xenemu --help", argv[first]);
        return EXIT_USAGE;
}
