/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-pvcalls-run: runs a program whose sockets are carried to the domain of a PV Calls backend. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "door.h"
#include "filter.h"
#include "supervisor.h"

#define EXIT_OURS 125                   /* as env(1): it is not the program that failed */
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127
#define WAIT_S_DEFAULT 10
#define WAIT_S_MAX 86400
#define ATTEMPTS 5                      /* to meet a supervisor that is just ending */

struct settings {
        struct ranges ranges;
        int wait_ms;
};

static void show_help(void) {
        puts("Usage: xcp-pvcalls-run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
             "\n"
             "Runs a program, and what it starts, so that its TCP connections and listeners are made by the PV Calls backend of this domain,\n"
             "in the backend's domain and network. The program needs no change, and may be linked statically.\n"
             "\n"
             "  --net RANGES        carry what goes to these addresses, and listeners on them or on any address: ADDRESS[/BITS],...\n"
             "                      Without it, all of IPv4 but 127.0.0.0/8\n"
             "  --all               carry that as well\n"
             "  --ipv6              carry IPv6 as well; without --all not ::1, nor a link's own addresses\n"
             "  --unix NAMES        carry UNIX stream sockets at these paths, and below them, or abstract names: /PATH or @NAME,...\n"
             "  --udp               carry UDP sockets as well\n"
             "  --wait SECONDS      how long to wait for a backend (10)\n"
             "  --help, --version\n"
             "\n"
             "Exits as the program does; with 125 if it could not be started for a reason of ours, 126 if it cannot be run, 127 if it is not\n"
             "there.\n"
             "\n"
             "  xcp-pvcalls-run -- curl http://10.1.2.3/\n"
             "  xcp-pvcalls-run --net 10.0.0.0/8,2001:db8::/32 -- nginx\n"
             "  xcp-pvcalls-run --unix /run/postgresql -- psql");
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        fputs("xcp-pvcalls-run: ", stderr);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        va_end(arguments);
        exit(EXIT_OURS);
}

/* Returns the index of the program's name in argv. */
static int settings_parse(struct settings *settings, int argc, char **argv) {
        static const struct option options[] = { { "net", required_argument, NULL, 'n' }, { "all", no_argument, NULL, 'a' },
                                                 { "udp", no_argument, NULL, 'u' }, { "ipv6", no_argument, NULL, '6' },
                                                 { "unix", required_argument, NULL, 'x' },
                                                 { "wait", required_argument, NULL, 'w' },
                                                 { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'v' }, {} };
        static char name[] = "xcp-pvcalls-run";
        bool ipv6 = false;
        char *end;
        long wait_s;
        int c;

        *settings = (struct settings) {};
        ranges_default(&settings->ranges);
        settings->wait_ms = WAIT_S_DEFAULT * 1000;
        argv[0] = name;                 /* getopt_long() says what is wrong with an option */
        while ((c = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
                switch (c) {
                case 'n':
                        if (ranges_parse(&settings->ranges, optarg) < 0)
                                fail("--net %s: not a list of addresses, ADDRESS[/BITS],..., of at most %u", optarg, RANGES_MAX);
                        break;
                case 'a':
                        ranges_all(&settings->ranges);
                        break;
                case 'u':
                        settings->ranges.datagrams = true;
                        break;
                case '6':
                        ipv6 = true;
                        break;
                case 'x':
                        if (ranges_add_paths(&settings->ranges, optarg) < 0)
                                fail("--unix %s: not a list of names, /PATH or @NAME,..., of at most %u", optarg, RANGES_PATHS_MAX);
                        break;
                case 'w':
                        wait_s = strtol(optarg, &end, 10);
                        if (*end != '\0' || end == optarg || wait_s < 0 || wait_s > WAIT_S_MAX)
                                fail("--wait %s: not a number of seconds from 0 to %d", optarg, WAIT_S_MAX);
                        settings->wait_ms = (int) wait_s * 1000;
                        break;
                case 'h':
                        show_help();
                        exit(EXIT_SUCCESS);
                case 'v':
                        puts("xcp-pvcalls-run " PVCALLS_VERSION);
                        exit(EXIT_SUCCESS);
                default:
                        fputs("xcp-pvcalls-run: see xcp-pvcalls-run --help\n", stderr);
                        exit(EXIT_OURS);
                }
        }
        if (ipv6 && ranges_add_v6(&settings->ranges) < 0)
                fail("--ipv6 with a list of %u addresses: it has no room for more", RANGES_MAX);
        if (optind == argc)
                fail("which program? xcp-pvcalls-run --help");
        return optind;
}

/* In the process that becomes the supervisor: keeps nothing of the program's, neither its terminal nor its pipes. */
__attribute__((noreturn)) static void supervise(int door, int lock, int ready, const char *path, int wait_ms) {
        char log[256];
        int fds[3], null, r;

        snprintf(log, sizeof log, "%s.log", path);
        setsid();
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 0);
        dup2(null, 1);
        r = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        dup2(r < 0 ? null : r, 2);
        fds[0] = fcntl(door, F_DUPFD, 64);      /* out of the way of where they go to */
        fds[1] = fcntl(lock, F_DUPFD, 64);
        fds[2] = fcntl(ready, F_DUPFD, 64);
        for (int i = 0; i < 3; i++)
                dup2(fds[i], 3 + i);
        if (close_range(6, ~0u, 0) < 0 || chdir("/") < 0)
                _exit(EXIT_OURS);
        for (int number = 1; number < NSIG; number++)
                signal(number, SIG_DFL);
        signal(SIGPIPE, SIG_IGN);
        setvbuf(stderr, NULL, _IOLBF, 0);
        r = supervisor_run(3, 4, path, 5, wait_ms);
        _exit(r < 0 ? EXIT_OURS : EXIT_SUCCESS);
}

/* Starts a supervisor, which is no child of the program's, and waits until it is ready. */
static void supervisor_start(int door, int lock, const char *path, int wait_ms) {
        char answer[256] = "";
        int ready[2], status;
        ssize_t n;
        pid_t child;

        if (pipe2(ready, O_CLOEXEC) < 0)
                fail("cannot start the supervisor: %s", strerrordesc_np(errno));
        child = fork();
        if (child == 0) {
                if (fork() == 0)
                        supervise(door, lock, ready[1], path, wait_ms);
                _exit(EXIT_SUCCESS);
        }
        if (child < 0)
                fail("cannot start the supervisor: %s", strerrordesc_np(errno));
        waitpid(child, &status, 0);
        close(ready[1]);
        close(door);
        close(lock);
        n = read(ready[0], answer, sizeof answer - 1);
        close(ready[0]);
        if (n <= 0)
                fail("the supervisor has died; %s.log may tell why", path);
        if (strcmp(answer, "ok") != 0)
                fail("%s", answer);
}

/* Returns a connection to the domain's supervisor. */
static int supervisor_meet(const char *path, int wait_ms) {
        for (int i = 0; i < ATTEMPTS; i++) {
                int lock, door, r = door_find(path, &lock, &door);

                if (r > 0)
                        return r;
                if (r < 0)
                        fail("%s: %s", path, strerrordesc_np(-r));
                supervisor_start(door, lock, path, wait_ms);
        }
        fail("%s: the supervisor does not answer", path);
}

int main(int argc, char **argv) {
        struct settings settings;
        int program = settings_parse(&settings, argc, argv), connection, listener, r;
        char *directory = door_directory(), *path;

        if (!directory)
                fail("this domain's part of the run directory cannot be found or made (%s); is xenstore there%s?", strerrordesc_np(errno),
                     geteuid() == 0 ? "" : ", and may this user ask it");
        if (asprintf(&path, "%s/pvcalls-run", directory) < 0)
                fail("%s", strerrordesc_np(ENOMEM));
        connection = supervisor_meet(path, settings.wait_ms);
        listener = filter_install((settings.ranges.datagrams ? FILTER_DATAGRAMS : 0) | (settings.ranges.n_paths > 0 ? FILTER_UNIX : 0));
        if (listener == -EBUSY)
                fail("this process has a supervisor already: what xcp-pvcalls-run has started is carried, and needs it no second time");
        if (listener < 0)
                fail("the kernel allows no filter of system calls (%s)", strerrordesc_np(-listener));
        r = door_hand_over(connection, listener, &settings.ranges);
        if (r < 0)
                fail("the supervisor has not taken the program (%s); %s.log may tell why", strerrordesc_np(-r), path);
        close(connection);
        close(listener);
        execvp(argv[program], argv + program);
        fprintf(stderr, "xcp-pvcalls-run: %s: %s\n", argv[program], strerrordesc_np(errno));
        return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}
