/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-storage-io: finds the verb. io.h says what this program is. */

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "io.h"

static const struct verb {
        const char *name;
        int n_min, n_max;
        const char *arguments;
        io_verb_t run;
} verbs[] = {
        { "copy", 9, 9, "FROM-DIR FROM-NAME FROM-OFFSET TO-DIR TO-NAME TO-OFFSET LENGTH|- MAX FINAL|-", io_copy },
        { "zero", 4, 4, "DIR NAME OFFSET LENGTH", io_zero },
        { "sync", 2, 2, "DIR NAME", io_sync },
        { "lock", 6, 6, "DIR NAME OFFSET ro|rw alone|shared now|wait", io_lock },
        { "qmp-resize", 2, 2, "NODE SIZE", io_qmp_resize },
        { "wait-end", 0, 0, "", io_wait_end },
        { "qcow2-check", 3, 3, "DIR NAME OFFSET", io_qcow2_check },
        { "directory-make", 2, 2, "DIR SR", io_directory_make },
        { "directory-unmake", 2, 2, "DIR SR", io_directory_unmake },
        { "directory-scan", 2, 2, "DIR SR|-", io_directory_scan },
        { "directory-space", 1, 1, "DIR", io_directory_space },
        { "directory-usage", 2, 64, "DIR NAME...", io_directory_usage },
        { "directory-create", 3, 3, "DIR VDI SIZE", io_directory_create },
        { "directory-blank", 3, 3, "DIR NAME SIZE", io_directory_blank },
        { "directory-publish", 3, 3, "DIR VDI EXTENSION", io_directory_publish },
        { "directory-freeze", 3, 4, "DIR VDI FROZEN [CLONE]", io_directory_freeze },
        { "directory-thaw", 3, 4, "DIR VDI FROZEN [CLONE]", io_directory_thaw },
        { "directory-remove", 2, 128, "DIR VDI...", io_directory_remove },
        { "directory-resize", 3, 3, "DIR VDI SIZE", io_directory_resize },
        { "directory-stat", 3, 3, "DIR VDI EXTENSION", io_directory_stat },
        { "file-make", 4, 4, "DIR NAME SIZE|- SR", io_file_make },
        { "file-unmake", 3, 3, "DIR NAME SR", io_file_unmake },
        { "file-scan", 3, 3, "DIR NAME SR|-", io_file_scan },
        { "file-set", 11, 11, "DIR NAME SLOT VDI OFFSET LENGTH SIZE FLAGS CREATED SNAPSHOT-OF|- NAME", io_file_set },
        { "file-clear", 4, 4, "DIR NAME SLOT|- VDI", io_file_clear },
        { "file-find", 3, 3, "DIR NAME VDI", io_file_find },
        { "file-space", 6, 6, "DIR NAME SR TOTAL FREE USED", io_file_space },
        { "file-usage", 4, 4, "DIR NAME OFFSET LENGTH", io_file_usage },
        { "loop-attach", 6, 6, "DIR NAME OFFSET SIZE rw|ro LINK", io_loop_attach },
        { "loop-detach", 6, 6, "DIR NAME OFFSET SIZE rw|ro LINK", io_loop_detach },
        { "loop-resize", 6, 6, "DIR NAME OFFSET SIZE rw|ro LINK", io_loop_resize },
};

static int help(FILE *f) {
        fputs("Usage: xcp-storage-io VERB ARGUMENT...\n\nDoes for xcp-storage, which starts it, what may have to wait for a disk.\n\n", f);
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
                fprintf(f, "  %-18s %s\n", verbs[i].name, verbs[i].arguments);
        return f == stdout ? 0 : 2;
}

int main(int argc, char **argv) {
        setvbuf(stdout, NULL, _IOLBF, 0);       /* to a pipe, it would keep lines back otherwise */
        signal(SIGPIPE, SIG_IGN);               /* a sink that nobody reads any more is an error like others */
        if (argc == 2 && strcmp(argv[1], "--help") == 0)
                return help(stdout);
        if (argc < 2)
                return help(stderr);
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
                if (strcmp(verbs[i].name, argv[1]) == 0 && argc - 2 >= verbs[i].n_min && argc - 2 <= verbs[i].n_max)
                        return verbs[i].run(argc - 2, argv + 2);
        return help(stderr);
}
