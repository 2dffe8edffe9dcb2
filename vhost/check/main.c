/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-vhost-check: runs the clauses of docs/vhost-user-conformance.md against a back-end, or a front-end, whoever has written it. */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clauses.h"
#include "frontend-check.h"
#include "watch.h"

enum {
        EXIT_SOME_FAILED = 1,
        EXIT_BAD_OPTIONS = 2,
};

static const char help[] =
        "Usage: xcp-vhost-check --socket PATH [OPTION...] [CLAUSE...]\n"
        "       xcp-vhost-check --frontend --socket PATH [OPTION...]\n"
        "\n"
        "Checks a vhost-user block back-end that listens at PATH against the clauses of docs/vhost-user-conformance.md, or those that are named,\n"
        "such as R-1, or R for all whose names begin with it. Prints a table. Returns 0 if nothing failed, else 1.\n"
        "\n"
        "It writes to the disk's first MiB: give it one that you can do without, or use --keep-data.\n"
        "\n"
        "  --socket PATH         of the back-end, which serves one connection after the other\n"
        "  --keep-data           leave out clauses that write to the disk\n"
        "  --timeout MS          how long to wait for what has to come (default: 10000)\n"
        "  --quiet MS            how long to wait for what must not (default: 60)\n"
        "  --list                print the clauses, and end\n"
        "  --xen OWN:BACKEND     check X, too: the domain that this program runs in, and the one that the back-end does, to which it grants pages\n"
        "  --help, --version\n"
        "\n"
        "With --frontend, it listens at PATH with a disk in memory, checks the front-end that connects until that closes the connection (or SIGTERM\n"
        "comes), and prints its table then. It says ready once it listens.\n"
        "\n"
        "  --without FEATURE     a protocol feature that is not offered, such as REPLY_ACK; as often as you like\n"
        "  --in-band             offer INBAND_NOTIFICATIONS, too\n"
        "  --cut-off N           do not answer request N, but end the connection, and expect the front-end again within --timeout\n"
        "  --trace               print each message\n"
        "\n"
        "  xcp-vhost-check --socket /run/disk.sock\n";

struct options {
        const char *path;
        bool keep_data, list, frontend, in_band, trace, xen;
        uint32_t xen_own, xen_backend;  /* domains */
        uint64_t without;               /* protocol features */
        int cut_off;
        int timeout_ms, quiet_ms;
        char **names;
        int n_names;
};

static const struct clause *const tables[] = { clauses_messages, clauses_rings,   clauses_memory, clauses_device,
                                               clauses_block,    clauses_hostile, clauses_packed, clauses_inband,
                                               clauses_xen };

static const struct option long_options[] = {
        { "socket", required_argument, NULL, 's' }, { "keep-data", no_argument, NULL, 'k' }, { "timeout", required_argument, NULL, 't' },
        { "quiet", required_argument, NULL, 'q' },  { "list", no_argument, NULL, 'l' },      { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },      { "frontend", no_argument, NULL, 'f' },  { "trace", no_argument, NULL, 'T' },
        { "without", required_argument, NULL, 'w' }, { "cut-off", required_argument, NULL, 'c' }, { "in-band", no_argument, NULL, 'i' },
        { "xen", required_argument, NULL, 'x' },
        {},
};

static int parse_xen(struct options *options, const char *domains) {
        char rest;

        options->xen = sscanf(domains, "%" SCNu32 ":%" SCNu32 "%c", &options->xen_own, &options->xen_backend, &rest) == 2;
        return options->xen ? 0 : -1;
}

static int parse_without(struct options *options, const char *feature) {
        int bit = frontend_check_feature(feature);

        if (bit < 0) {
                fprintf(stderr, "xcp-vhost-check: there is no protocol feature %s\n", feature);
                return -1;
        }
        options->without |= VHOST_BIT(bit);
        return 0;
}

static int parse(struct options *options, int argc, char **argv) {
        int option;

        *options = (struct options) { .timeout_ms = 10000, .quiet_ms = 60 };
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
                switch (option) {
                case 's':
                        options->path = optarg;
                        break;
                case 'k':
                        options->keep_data = true;
                        break;
                case 't':
                        options->timeout_ms = atoi(optarg);
                        break;
                case 'q':
                        options->quiet_ms = atoi(optarg);
                        break;
                case 'l':
                        options->list = true;
                        break;
                case 'f':
                        options->frontend = true;
                        break;
                case 'i':
                        options->in_band = true;
                        break;
                case 'x':
                        if (parse_xen(options, optarg) < 0)
                                return -1;
                        break;
                case 'T':
                        options->trace = true;
                        break;
                case 'w':
                        if (parse_without(options, optarg) < 0)
                                return -1;
                        break;
                case 'c':
                        options->cut_off = atoi(optarg);
                        break;
                case 'h':
                        fputs(help, stdout);
                        exit(EXIT_SUCCESS);
                case 'v':
                        puts("xcp-vhost-check " VHOST_VERSION);
                        exit(EXIT_SUCCESS);
                default:
                        return -1;
                }
        options->names = argv + optind;
        options->n_names = argc - optind;
        if (options->frontend && options->n_names > 0)
                return -1;
        return (options->path || options->list) && options->timeout_ms > 0 && options->quiet_ms > 0 && options->cut_off >= 0 ? 0 : -1;
}

static bool is_wanted(const struct options *options, const char *id) {
        for (int i = 0; i < options->n_names; i++) {
                size_t n = strlen(options->names[i]);

                if (strncmp(id, options->names[i], n) == 0 && (id[n] == 0 || id[n] == '-'))
                        return true;
        }
        return options->n_names == 0;
}

/* Of a connection's last messages, in either direction, what a report of the failure needs. */
static void show(const char *what, const struct vhost_frontend_said *said) {
        if (said->n == 0)
                return;
        printf("              %s:", what);
        for (size_t i = 0; i < said->n; i++)
                printf(i % 4 == 0 ? "  %02x" : " %02x", said->bytes[i]);
        putchar('\n');
}

static enum verdict run(const struct options *options, const struct clause *clause) {
        static const char *const words[] = { "passed", "FAILED", "not offered" };
        struct session session = {
                .path = options->path,
                .timeout_ms = options->timeout_ms,
                .quiet_ms = options->quiet_ms,
                .frontend = VHOST_FRONTEND_NONE,
                .memory = { .fd = -1 },
                .xen_own = options->xen_own,
                .xen_backend = options->xen_backend,
        };

        clause->run(&session);
        session_close(&session);
        printf("%-5s %-7s %-12s %s", clause->id, clause->level, words[session.verdict], clause->title);
        if (session.verdict != VERDICT_PASSED)
                printf(": %s", session.why);
        putchar('\n');
        if (session.verdict == VERDICT_FAILED) {
                show("last sent", &session.frontend.sent);
                show("last received", &session.frontend.received);
        }
        fflush(stdout);
        return session.verdict;
}

/* That nobody is there is one thing to be said, and not a failure of each clause. */
static bool is_socket(const char *path) {
        struct stat status;

        if (stat(path, &status) < 0)
                fprintf(stderr, "xcp-vhost-check: %s: %s\n", path, strerror(errno));
        else if (!S_ISSOCK(status.st_mode))
                fprintf(stderr, "xcp-vhost-check: %s is no socket\n", path);
        else
                return true;
        return false;
}

/* A misspelt name must not pass for a check that has succeeded. */
static bool are_names_known(const struct options *options) {
        for (int i = 0; i < options->n_names; i++) {
                const struct options one = { .names = options->names + i, .n_names = 1 };
                bool known = false;

                for (size_t j = 0; j < sizeof tables / sizeof *tables; j++)
                        for (const struct clause *clause = tables[j]; clause->id; clause++)
                                known = known || is_wanted(&one, clause->id);
                if (!known) {
                        fprintf(stderr, "xcp-vhost-check: there is no clause %s; --list names them\n", options->names[i]);
                        return false;
                }
        }
        return true;
}

static int run_frontend(const struct options *options) {
        const struct frontend_check check = {
                .path = options->path,
                .without = options->without,
                .has_inband = options->in_band,
                .cut_off = (unsigned) options->cut_off,
                .timeout_ms = options->timeout_ms,
                .trace = options->trace,
        };
        int r = frontend_check(&check);

        if (r < 0)
                fprintf(stderr, "xcp-vhost-check: %s: %s\n", options->path, strerror(-r));
        return r == 0 ? EXIT_SUCCESS : EXIT_SOME_FAILED;
}

static void list(const struct options *options) {
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
                for (const struct clause *clause = tables[i]; clause->id; clause++)
                        if (is_wanted(options, clause->id))
                                printf("%-5s %-7s %s\n", clause->id, clause->level, clause->title);
        for (int i = 0; i < _F_N; i++)
                if (is_wanted(options, watch_clauses[i].id))
                        printf("%-5s %-7s %s\n", watch_clauses[i].id, watch_clauses[i].level, watch_clauses[i].title);
}

int main(int argc, char **argv) {
        unsigned counts[3] = {};
        struct options options;

        if (parse(&options, argc, argv) < 0) {
                fputs(help, stderr);
                return EXIT_BAD_OPTIONS;
        }
        signal(SIGPIPE, SIG_IGN);
        if (options.list) {
                list(&options);
                return EXIT_SUCCESS;
        }
        if (options.frontend)
                return run_frontend(&options);
        if (!are_names_known(&options) || !is_socket(options.path))
                return EXIT_BAD_OPTIONS;
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
                for (const struct clause *clause = tables[i]; clause->id; clause++)
                        if (is_wanted(&options, clause->id) && !(options.keep_data && clause->writes) && (options.xen || tables[i] != clauses_xen))
                                counts[run(&options, clause)]++;
        printf("%u passed, %u failed, %u not offered\n", counts[VERDICT_PASSED], counts[VERDICT_FAILED], counts[VERDICT_NOT_OFFERED]);
        return counts[VERDICT_FAILED] > 0 ? EXIT_SOME_FAILED : EXIT_SUCCESS;
}
