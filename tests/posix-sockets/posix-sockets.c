/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * posix-sockets: makes socket calls as programs make them and prints what each returned, a line per call, the same in every run.
 *
 *     posix-sockets peer PORT              the other end of the connections, in the domain where the sockets live; prints "ready PORT"; 0 is any
 *     posix-sockets run PORT [CASE...]     the calls, towards the peer at 127.0.0.1:PORT; all cases if none is named
 *     posix-sockets list                   the cases
 *
 * A line is "CASE: CALL = RESULT", where RESULT is a number or the name of an error. Run on Linux's own sockets and on sockets that
 * something else carries, the two outputs tell every difference that a program could see.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "peer.h"

static const struct socket_case cases[] = {
        { "refused", case_refused },
        { "timeout", case_timeout },
        { "reset", case_reset },
        { "half-close", case_half_close },
        { "address-in-use", case_address_in_use },
        { "linger", case_linger },
        { "urgent", case_urgent },
        { "huge-write", case_huge_write },
        { "full-buffer", case_full_buffer },
        { "states", case_states },
        { "names", case_names },
        { "options", case_options },
        { "accept", case_accept },
        { "flags", case_flags },
        { "vectors", case_vectors },
        { "sharing", case_sharing },
        { "waiting", case_waiting },
        { "sendfile", case_sendfile },
        { "thousand-at-once", case_thousand_at_once },
        { "ten-thousand", case_ten_thousand },
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static int usage(void) {
        fprintf(stderr, "Usage: posix-sockets peer PORT | run PORT [CASE...] | list\n");
        return 2;
}

static int run(uint16_t port, char *names[]) {
        struct case_context context = {
                .peer = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
        };
        bool found;

        for (char **name = names; *name; name++) {
                found = false;
                for (size_t i = 0; i < N_CASES; i++)
                        found = found || strcmp(*name, cases[i].name) == 0;
                if (!found) {
                        fprintf(stderr, "posix-sockets: no case is called '%s'; 'posix-sockets list' lists them\n", *name);
                        return 2;
                }
        }
        for (size_t i = 0; i < N_CASES; i++) {
                found = !*names;
                for (char **name = names; *name; name++)
                        found = found || strcmp(*name, cases[i].name) == 0;
                if (!found)
                        continue;
                context.name = cases[i].name;
                cases[i].run(&context);
                fflush(stdout);
        }
        return 0;
}

int main(int argc, char *argv[]) {
        signal(SIGPIPE, SIG_IGN);
        if (argc == 2 && strcmp(argv[1], "list") == 0) {
                for (size_t i = 0; i < N_CASES; i++)
                        puts(cases[i].name);
                return 0;
        }
        if (argc == 3 && strcmp(argv[1], "peer") == 0)
                return peer_run((uint16_t) strtoul(argv[2], NULL, 10));
        if (argc >= 3 && strcmp(argv[1], "run") == 0)
                return run((uint16_t) strtoul(argv[2], NULL, 10), argv + 3);
        return usage();
}
