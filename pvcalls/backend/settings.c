/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "settings.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "rate.h"

#define DOMID_MAX 32751u                /* Xen's DOMID_FIRST_RESERVED - 1 */
#define SOCKETS_MAX 32768u              /* each has a port, a descriptor and, at least, three pages */

#define SPIN_MAX_USEC 1000u
#define SPIN_DEFAULT_USEC 50u          /* several times what it takes to be woken */
#define JOIN_MAX 24u                    /* the name of a UNIX socket has it, and an address and numbers besides */
#define JOIN_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static void show_help(void) {
        puts("Usage: xcp-pvcalls-backend --domain DOMID [OPTION...]\n"
             "\n"
             "Carries the sockets of one domain: its PV Calls backend. The toolstack has made the device's nodes in the store before.\n"
             "Ends when the device is gone.\n"
             "\n"
             "  --domain DOMID      the frontend's domain\n"
             "  --device NUMBER     its device, if not 0\n"
             "  --policy FILE       what it may do, at first; without one, nothing\n"
             "  --limit NAME=VALUE  how much it may have: sockets (1024), sockets-per-second (1000), bytes-per-second (0: no limit),\n"
             "                      max-page-order (9)\n"
             "  --control PATH      a socket for whoever changes policy and limits, and looks at the sockets\n"
             "  --join NAME         guests of backends that say the same NAME, under the same user, are joined when they talk over loopback\n"
             "  --io HOW            how bytes are moved: auto (io_uring where it is there and saves calls), uring, or calls\n"
             "  --spin USEC         look for more for so long before sleeping, while that pays (50); 0: never, as on one CPU\n"
             "  --user NAME         who to be after the start, if started as root (nobody)\n"
             "  --no-sandbox        stay who it is, without a filter for system calls; for debuggers\n"
             "  --log-level LEVEL   error, warning, info or debug (info)\n"
             "  --ready-fd NUMBER   a descriptor that gets a newline when the frontend can connect\n"
             "  --help, --version");
}

/* Decimal digits only. */
static int number_parse(const char *text, uint64_t max, uint64_t *ret_number) {
        char *end;
        unsigned long long number;

        if (text[0] < '0' || text[0] > '9')
                return -EINVAL;
        errno = 0;
        number = strtoull(text, &end, 10);
        if (errno != 0 || *end != '\0' || number > max)
                return -EINVAL;
        *ret_number = number;
        return 0;
}

int limits_set(struct limits *limits, const char *text) {
        static const struct {
                const char *name;
                uint64_t min, max;
        } known[] = { { "sockets", 0, SOCKETS_MAX },
                      { "sockets-per-second", 1, RATE_MAX },
                      { "bytes-per-second", 0, RATE_MAX },
                      { "max-page-order", 1, PVCALLS_ORDER_MAX } };
        const char *equals = strchr(text, '=');
        uint64_t value;

        for (size_t i = 0; equals && i < sizeof known / sizeof known[0]; i++) {
                if (strlen(known[i].name) != (size_t) (equals - text) || strncmp(text, known[i].name, (size_t) (equals - text)) != 0)
                        continue;
                if (number_parse(equals + 1, known[i].max, &value) < 0 || value < known[i].min)
                        return -EINVAL;
                switch (i) {
                case 0: limits->sockets = (uint32_t) value; break;
                case 1: limits->sockets_per_second = (uint32_t) value; break;
                case 2: limits->bytes_per_second = value; break;
                default: limits->max_page_order = (uint32_t) value; break;
                }
                return 0;
        }
        return -EINVAL;
}

static int complain(const char *option, const char *value, const char *what) {
        fprintf(stderr, "xcp-pvcalls-backend: --%s %s: %s\n", option, value, what);
        return -EINVAL;
}

enum option_code { OPTION_DOMAIN = 256, OPTION_DEVICE, OPTION_POLICY, OPTION_LIMIT, OPTION_CONTROL, OPTION_IO, OPTION_JOIN, OPTION_SPIN,
                   OPTION_USER, OPTION_NO_SANDBOX,
                   OPTION_LOG_LEVEL, OPTION_READY_FD, OPTION_HELP, OPTION_VERSION };

static int parse_number_option(const char *name, uint64_t max, const char *what, uint64_t *ret_number) {
        return number_parse(optarg, max, ret_number) < 0 ? complain(name, optarg, what) : 0;
}

static int parse_io(struct settings *settings) {
        static const char *const names[] = { [SETTINGS_IO_AUTO] = "auto", [SETTINGS_IO_URING] = "uring", [SETTINGS_IO_CALLS] = "calls" };

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                if (strcmp(optarg, names[i]) == 0) {
                        settings->io = (enum settings_io) i;
                        return 0;
                }
        return complain("io", optarg, "is none of auto, uring, calls");
}

static int parse_option(struct settings *settings, int code) {
        uint64_t number = 0;
        int r = 0;

        switch (code) {
        case OPTION_DOMAIN:
                r = parse_number_option("domain", DOMID_MAX, "is no domain's id", &number);
                settings->domid = (uint32_t) number;
                break;
        case OPTION_DEVICE:
                r = parse_number_option("device", UINT16_MAX, "is no device's number", &number);
                settings->device = (uint32_t) number;
                break;
        case OPTION_READY_FD:
                r = parse_number_option("ready-fd", INT16_MAX, "is no descriptor", &number);
                settings->ready_fd = (int) number;
                break;
        case OPTION_POLICY: settings->policy = optarg; break;
        case OPTION_CONTROL: settings->control = optarg; break;
        case OPTION_IO:
                return parse_io(settings);
        case OPTION_JOIN:
                if (optarg[0] == '\0' || strlen(optarg) > JOIN_MAX || strspn(optarg, JOIN_CHARACTERS) != strlen(optarg))
                        return complain("join", optarg, "is none of at most 24 letters, digits, '.', '_' and '-'");
                settings->join = optarg;
                break;
        case OPTION_SPIN:
                r = parse_number_option("spin", SPIN_MAX_USEC, "is no number of microseconds from 0 to 1000", &number);
                settings->spin_usec = (uint32_t) number;
                break;
        case OPTION_USER: settings->user = optarg; break;
        case OPTION_NO_SANDBOX: settings->sandbox = false; break;
        case OPTION_LIMIT:
                if (limits_set(&settings->limits, optarg) < 0)
                        return complain("limit", optarg, "there is no such limit, or it cannot be that much");
                break;
        case OPTION_LOG_LEVEL:
                if (log_level_from_name(optarg, &settings->log_level) < 0)
                        return complain("log-level", optarg, "is none of error, warning, info, debug");
                break;
        case OPTION_HELP:
                show_help();
                return SETTINGS_SHOWN;
        case OPTION_VERSION:
                puts("xcp-pvcalls-backend " PVCALLS_VERSION);
                return SETTINGS_SHOWN;
        default:
                return -EINVAL;
        }
        return r;
}

int settings_parse(struct settings *settings, int argc, char **argv) {
        static const struct option options[] = { { "domain", required_argument, NULL, OPTION_DOMAIN },
                                                 { "device", required_argument, NULL, OPTION_DEVICE },
                                                 { "policy", required_argument, NULL, OPTION_POLICY },
                                                 { "limit", required_argument, NULL, OPTION_LIMIT },
                                                 { "control", required_argument, NULL, OPTION_CONTROL },
                                                 { "io", required_argument, NULL, OPTION_IO },
                                                 { "join", required_argument, NULL, OPTION_JOIN },
                                                 { "spin", required_argument, NULL, OPTION_SPIN },
                                                 { "user", required_argument, NULL, OPTION_USER },
                                                 { "no-sandbox", no_argument, NULL, OPTION_NO_SANDBOX },
                                                 { "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
                                                 { "ready-fd", required_argument, NULL, OPTION_READY_FD },
                                                 { "help", no_argument, NULL, OPTION_HELP },
                                                 { "version", no_argument, NULL, OPTION_VERSION },
                                                 {} };
        int code, r;

        *settings = (struct settings) {
                .domid = UINT32_MAX,
                .user = "nobody",
                .sandbox = true,
                .log_level = LOG_INFO,
                .ready_fd = -1,
                .spin_usec = SPIN_DEFAULT_USEC,
                .limits = LIMITS_DEFAULT,
        };
        while ((code = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                r = parse_option(settings, code);
                if (r != 0)
                        return r;
        }
        if (optind < argc || settings->domid == UINT32_MAX) {
                fputs(optind < argc ? "xcp-pvcalls-backend: takes options only; see --help\n"
                                    : "xcp-pvcalls-backend: which --domain?\n", stderr);
                return -EINVAL;
        }
        return 0;
}
