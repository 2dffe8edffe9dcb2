/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xenemu up and down: starts the hypervisor and waits until its store answers; ends it and waits until it is gone. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "domain-options.h"
#include "layout.h"
#include "options.h"
#include "toolstack.h"

#define UP_DEADLINE_MSEC (30 * 1000)    /* xenstored takes a tenth of a second, on a slow machine a few */
#define DOWN_DEADLINE_MSEC (30 * 1000)
#define UP_ARGUMENTS_MAX 64

static const char help_up[] =
        "Usage: xenemu up [OPTION...]\n"
        "Starts emulated Xen: the hypervisor, domain 0 and its xenstored, and guests if asked for.\n"
        "\n"
        "  --domains N               create N guests, named dom1, dom2, ...\n"
        DOMAIN_OPTIONS_HELP
        "  --keep DIR                stays visible in isolated domains although below /tmp, /run or another private place;\n"
        "                            up to 6 times\n"
        "  --end-domid N             domids are below N (default 32752, as in Xen), to see them wrap\n"
        "\n"
        "Example: xenemu up --domains 2\n";

static const char help_down[] = "Usage: xenemu down\n"
                                "Destroys every domain, ends xenstored and the hypervisor.\n";

struct up {
        const char *argv[UP_ARGUMENTS_MAX];
        size_t n_argv;
        uint32_t n_domains;
        bool isolate;
};

static void add_argument(struct up *up, const char *name, const char *value) {
        if (up->n_argv + 3 > UP_ARGUMENTS_MAX)
                return;
        up->argv[up->n_argv++] = name;
        up->argv[up->n_argv++] = value;
}

/* Returns whether to go on; if not, *ret_status is the exit status. */
static bool parse(struct up *up, int argc, char **argv, int *ret_status) {
        enum { DOMAINS, ISOLATE, NO_ISOLATE, LIMIT, KEEP, END_DOMID, HELP };
        static const struct option names[] = {
                { "domains", required_argument, NULL, DOMAINS }, { "isolate", no_argument, NULL, ISOLATE },
                { "no-isolate", no_argument, NULL, NO_ISOLATE }, { "limit", required_argument, NULL, LIMIT },
                { "keep", required_argument, NULL, KEEP },       { "end-domid", required_argument, NULL, END_DOMID },
                { "help", no_argument, NULL, HELP },             {},
        };
        struct emu_limits limits;
        uint32_t number;
        bool good;
        int c;

        *ret_status = EXIT_USAGE;
        while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0) {
                good = true;
                if (c == DOMAINS)
                        good = option_parse_number(optarg, EMU_DOMID_FIRST_RESERVED - 1, &up->n_domains);
                else if (c == ISOLATE || c == NO_ISOLATE)
                        up->isolate = c == ISOLATE;
                else if (c == LIMIT && (good = option_parse_limit(optarg, &limits)))
                        add_argument(up, "--limit", optarg);
                else if (c == KEEP && (good = optarg[0] == '/'))
                        add_argument(up, "--keep", optarg);
                else if (c == END_DOMID && (good = option_parse_number(optarg, EMU_DOMID_FIRST_RESERVED, &number) && number >= 2))
                        add_argument(up, "--end-domid", optarg);
                else if (c == HELP) {
                        fputs(help_up, stdout);
                        *ret_status = EXIT_OK;
                        return false;
                } else if (c == '?')
                        return false;
                if (!good) {
                        report("up --%s: '%s' will not do; see xenemu up --help", names[c].name, optarg);
                        return false;
                }
        }
        if (optind == argc)
                return true;
        report("up: what is '%s'? See xenemu up --help", argv[optind]);
        return false;
}

/* In the child: becomes the hypervisor, out of reach of the terminal, with its log as output. */
static void become_hypervisor(const struct context *context, const struct up *up) {
        char path[PATH_MAX];
        int log_fd, null_fd;

        snprintf(path, sizeof path, "%s/xenemud", context->run_dir);
        (void) mkdir(path, 0700);
        snprintf(path, sizeof path, "%s/xenemud/log", context->run_dir);
        log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (log_fd < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
            dup2(log_fd, STDERR_FILENO) < 0)
                _exit(EXIT_CANNOT_EXECUTE);

        setsid();
        execv(up->argv[0], (char *const *) up->argv);
        dprintf(STDERR_FILENO, "xenemu: cannot execute %s: %m\n", up->argv[0]);
        _exit(EXIT_CANNOT_EXECUTE);
}

/* Waits for the hypervisor's word on ready_fd. */
static int await_ready(const struct context *context, int ready_fd) {
        struct pollfd p = { .fd = ready_fd, .events = POLLIN };
        char text[256];
        ssize_t n;

        if (poll(&p, 1, UP_DEADLINE_MSEC) <= 0)
                return report("xenstored did not answer within %d s; see %s/xenemud/log", UP_DEADLINE_MSEC / 1000, context->run_dir);

        n = read(ready_fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        if (strcmp(text, "ok") == 0)
                return EXIT_OK;
        return report("emulated Xen did not start: %s; see %s/xenemud/log", text[0] ? text : "the hypervisor ended at once",
                      context->run_dir);
}

static int start_hypervisor(const struct context *context, struct up *up) {
        char number[16];
        int ready[2], status;
        pid_t pid;

        if (pipe2(ready, O_CLOEXEC) < 0)
                return report("cannot make a pipe: %s", strerror(errno));
        snprintf(number, sizeof number, "%d", ready[1]);
        add_argument(up, "--ready-fd", number);
        up->argv[up->n_argv] = NULL;

        pid = fork();
        if (pid < 0)
                return report("cannot fork: %s", strerror(errno));
        if (pid == 0) {
                (void) fcntl(ready[1], F_SETFD, 0);
                become_hypervisor(context, up);
        }

        close(ready[1]);
        status = await_ready(context, ready[0]);
        close(ready[0]);
        if (status != EXIT_OK)
                (void) kill(pid, SIGTERM);
        return status;
}

static int create_guests(const struct context *context, const struct up *up) {
        const struct emu_limits defaults = {};
        uint32_t domid;
        int fd, r = 0;

        fd = control_connect(context);
        if (fd < 0)
                return EXIT_FAILED;
        for (uint32_t i = 0; r == 0 && i < up->n_domains; i++)
                r = domain_create(context, fd, NULL, NULL, up->isolate, &defaults, &domid);
        close(fd);
        return r < 0 ? EXIT_FAILED : EXIT_OK;
}

/* Whether a hypervisor answers in the run directory. */
static bool is_up(const struct context *context) {
        char path[PATH_MAX];
        int fd;

        snprintf(path, sizeof path, "%s/xenemud/control", context->run_dir);
        fd = emu_connect(path, 1);
        if (fd < 0)
                return false;
        close(fd);
        return true;
}

int command_up(const struct context *context, int argc, char **argv) {
        struct up up = { .isolate = geteuid() == 0 };
        struct layout layout;
        int r, status;

        layout_find(context->own_path, &layout);
        up.argv[up.n_argv++] = layout.hypervisor;
        add_argument(&up, "--rundir", context->run_dir);
        add_argument(&up, "--guest", layout.guest);
        add_argument(&up, "--library-dir", layout.library_dir);
        add_argument(&up, "--preload", layout.preload);
        add_argument(&up, "--xenstored", layout.xenstored);
        add_argument(&up, "--on-death", context->own_path);
        add_argument(&up, "--keep", layout.library_dir);
        if (layout.tree)
                add_argument(&up, "--keep", layout.tree);
        if (!parse(&up, argc, argv, &status))
                return status;

        if (up.isolate && geteuid() != 0)
                return report("cannot isolate domains without root; use --no-isolate");
        if (strlen(context->run_dir) > EMU_RUN_DIR_MAX)
                return report("the run directory's path has %zu characters, and socket addresses leave room for %zu: %s",
                              strlen(context->run_dir), (size_t) EMU_RUN_DIR_MAX, context->run_dir);
        if (is_up(context))
                return report("emulated Xen is up in %s already; `xenemu down` ends it", context->run_dir);
        if (access(layout.xenstored, X_OK) < 0)
                return report("there is no %s; install Debian's xen-utils-4.17", layout.xenstored);

        status = start_hypervisor(context, &up);
        if (status != EXIT_OK)
                return status;

        r = toolstack_describe_first(context->run_dir);
        if (r < 0)
                return report("cannot write domain 0's nodes to the store: %s", strerror(-r));
        return create_guests(context, &up);
}

int command_down(const struct context *context, int argc, char **argv) {
        struct pollfd p = { .events = POLLIN };
        char byte;
        int r;

        if (argc > 1) {
                fputs(help_down, strcmp(argv[1], "--help") == 0 ? stdout : stderr);
                return strcmp(argv[1], "--help") == 0 ? EXIT_OK : EXIT_USAGE;
        }

        p.fd = control_connect(context);
        if (p.fd < 0)
                return EXIT_FAILED;

        r = emu_call(p.fd, EMU_SHUTDOWN, NULL, 0, NULL, 0, NULL, 0);
        if (r < 0 && r != -EPIPE)
                return report("cannot end emulated Xen: %s", strerror(-r));

        /* The connection closes when the process is gone. */
        if (poll(&p, 1, DOWN_DEADLINE_MSEC) != 1 || recv(p.fd, &byte, 1, 0) > 0)
                return report("the hypervisor does not end; see %s/xenemud/log", context->run_dir);
        close(p.fd);
        return EXIT_OK;
}
