/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-vhost-check: runs the clauses of docs/vhost-user-conformance.md against a back-end, whoever has written it. */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clauses.h"

enum {
        EXIT_SOME_FAILED = 1,
        EXIT_BAD_OPTIONS = 2,
};

static const char help[] =
        "Usage: xcp-vhost-check --socket PATH [OPTION...] [CLAUSE...]\n"
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
        "  --help, --version\n"
        "\n"
        "  xcp-vhost-check --socket /run/disk.sock\n";

struct options {
        const char *path;
        bool keep_data, list;
        int timeout_ms, quiet_ms;
        char **names;
        int n_names;
};

static const struct clause *const tables[] = { clauses_messages, clauses_rings,  clauses_memory, clauses_device,
                                               clauses_block,    clauses_hostile, clauses_packed };

static int parse(struct options *options, int argc, char **argv) {
        static const struct option long_options[] = {
                { "socket", required_argument, NULL, 's' }, { "keep-data", no_argument, NULL, 'k' }, { "timeout", required_argument, NULL, 't' },
                { "quiet", required_argument, NULL, 'q' },  { "list", no_argument, NULL, 'l' },      { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'v' },      {},
        };
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
        return (options->path || options->list) && options->timeout_ms > 0 && options->quiet_ms > 0 ? 0 : -1;
}

static bool is_wanted(const struct options *options, const char *id) {
        for (int i = 0; i < options->n_names; i++) {
                size_t n = strlen(options->names[i]);

                if (strncmp(id, options->names[i], n) == 0 && (id[n] == 0 || id[n] == '-'))
                        return true;
        }
        return options->n_names == 0;
}

static enum verdict run(const struct options *options, const struct clause *clause) {
        static const char *const words[] = { "passed", "FAILED", "not offered" };
        struct session session = {
                .path = options->path,
                .timeout_ms = options->timeout_ms,
                .quiet_ms = options->quiet_ms,
                .frontend = VHOST_FRONTEND_NONE,
                .memory = { .fd = -1 },
        };

        clause->run(&session);
        session_close(&session);
        printf("%-5s %-7s %-12s %s", clause->id, clause->level, words[session.verdict], clause->title);
        if (session.verdict != VERDICT_PASSED)
                printf(": %s", session.why);
        putchar('\n');
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

int main(int argc, char **argv) {
        unsigned counts[3] = {};
        struct options options;

        if (parse(&options, argc, argv) < 0) {
                fputs(help, stderr);
                return EXIT_BAD_OPTIONS;
        }
        if (!are_names_known(&options) || (!options.list && !is_socket(options.path)))
                return EXIT_BAD_OPTIONS;
        signal(SIGPIPE, SIG_IGN);
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
                for (const struct clause *clause = tables[i]; clause->id; clause++) {
                        if (!is_wanted(&options, clause->id))
                                continue;
                        if (options.list)
                                printf("%-5s %-7s %s\n", clause->id, clause->level, clause->title);
                        else if (!options.keep_data || !clause->writes)
                                counts[run(&options, clause)]++;
                }
        if (options.list)
                return EXIT_SUCCESS;
        printf("%u passed, %u failed, %u not offered\n", counts[VERDICT_PASSED], counts[VERDICT_FAILED], counts[VERDICT_NOT_OFFERED]);
        return counts[VERDICT_FAILED] > 0 ? EXIT_SOME_FAILED : EXIT_SUCCESS;
}
