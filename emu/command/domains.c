/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xenemu create, destroy, forget and list. */

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "domain-options.h"
#include "options.h"
#include "toolstack.h"

static const char help_create[] =
        "Usage: xenemu create [OPTION...]\n"
        "Creates a guest, introduces it to the store, and prints its domid.\n"
        "\n"
        "  --name NAME               default: domN\n"
        "  --uuid UUID               default: a random one\n"
        DOMAIN_OPTIONS_HELP
        "\n"
        "Example: xenemu create --name storage --limit shared-pages=4096\n";

static const char help_destroy[] = "Usage: xenemu destroy DOMAIN\n"
                                   "Destroys a guest, by domid or name: its processes are killed, its grants and ports end, its nodes leave\n"
                                   "the store. Returns when all that has happened.\n";

static const char help_forget[] = "Usage: xenemu forget DOMID\n"
                                  "Removes what the store still has about a domain that is gone. The hypervisor runs this when one dies.\n";

static const char help_list[] = "Usage: xenemu list [--json]\n"
                                "Shows the domains with what they use of Xen: open device handles, event channels, pages offered through\n"
                                "gntalloc, grants, and other domains' pages mapped.\n";

/* For subcommands with one operand and no option but --help. Returns whether to go on. */
static bool one_operand(int argc, char **argv, const char *help, int *ret_status) {
        bool asked = argc == 2 && strcmp(argv[1], "--help") == 0;

        if (argc == 2 && !asked)
                return true;
        fputs(help, asked ? stdout : stderr);
        *ret_status = asked ? EXIT_OK : EXIT_USAGE;
        return false;
}

int command_create(const struct context *context, int argc, char **argv) {
        enum { NAME, UUID, ISOLATE, NO_ISOLATE, LIMIT, HELP };
        static const struct option names[] = {
                { "name", required_argument, NULL, NAME },   { "uuid", required_argument, NULL, UUID },
                { "isolate", no_argument, NULL, ISOLATE },   { "no-isolate", no_argument, NULL, NO_ISOLATE },
                { "limit", required_argument, NULL, LIMIT }, { "help", no_argument, NULL, HELP },
                {},
        };
        const char *name = NULL, *uuid = NULL;
        bool isolate = geteuid() == 0;
        struct emu_limits limits = {};
        uint32_t domid;
        int c, fd, r;

        while ((c = getopt_long(argc, argv, "", names, NULL)) >= 0) {
                if (c == NAME)
                        name = optarg;
                else if (c == UUID)
                        uuid = optarg;
                else if (c == ISOLATE || c == NO_ISOLATE)
                        isolate = c == ISOLATE;
                else if (c == LIMIT && !option_parse_limit(optarg, &limits)) {
                        report("create --limit: '%s' will not do; see xenemu create --help", optarg);
                        return EXIT_USAGE;
                } else if (c == HELP) {
                        fputs(help_create, stdout);
                        return EXIT_OK;
                } else if (c == '?')
                        return EXIT_USAGE;
        }
        if (optind < argc) {
                report("create: what is '%s'? See xenemu create --help", argv[optind]);
                return EXIT_USAGE;
        }

        fd = control_connect(context);
        if (fd < 0)
                return EXIT_FAILED;
        r = domain_create(context, fd, name, uuid, isolate, &limits, &domid);
        close(fd);
        if (r < 0)
                return EXIT_FAILED;

        printf("%u\n", domid);
        return EXIT_OK;
}

int command_destroy(const struct context *context, int argc, char **argv) {
        struct emu_id id;
        int fd, r, status;

        if (!one_operand(argc, argv, help_destroy, &status))
                return status;

        fd = control_connect(context);
        if (fd < 0 || domain_resolve(context, argv[1], &id.id) < 0)
                return EXIT_FAILED;

        r = emu_call(fd, EMU_DOMAIN_DESTROY, &id, sizeof id, NULL, 0, NULL, 0);
        close(fd);
        if (r == -ESRCH)
                return report("there is no domain %u; `xenemu list` shows them", id.id);
        if (r == -EPERM)
                return report("domain 0 cannot be destroyed; `xenemu down` ends everything");
        if (r < 0)
                return report("cannot destroy domain %u: %s", id.id, strerror(-r));
        return EXIT_OK;
}

int command_forget(const struct context *context, int argc, char **argv) {
        uint32_t domid;
        int r, status;

        if (!one_operand(argc, argv, help_forget, &status))
                return status;
        if (!option_parse_number(argv[1], EMU_DOMID_FIRST_RESERVED - 1, &domid) || domid == 0) {
                report("forget: '%s' is not the domid of a guest", argv[1]);
                return EXIT_USAGE;
        }

        r = toolstack_forget(context->run_dir, domid);
        return r < 0 ? report("cannot remove domain %u from the store: %s", domid, strerror(-r)) : EXIT_OK;
}

static const char *state_of(const struct emu_domain_info *info) {
        return info->flags & EMU_DOMAIN_DYING ? "dying" : "running";
}

static void print_uuid(const uint8_t uuid[16]) {
        for (int i = 0; i < 16; i++)
                printf("%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static void print_row(const struct emu_domain_info *info, const char *name) {
        printf("%5u  %-16s %-7s  %-8s  ", info->domid, name ?: "-", state_of(info),
               info->flags & EMU_DOMAIN_ISOLATED ? "isolated" : info->domid == 0 ? "host" : "shared");
        print_uuid(info->uuid);
        printf("  %7u %5u %6u %6u %6u\n", info->handles, info->ports, info->shared_pages, info->grants, info->maptrack);
}

/* A name from the store may hold anything but NUL. */
static void print_json_string(const char *text) {
        putchar('"');
        for (; *text; text++)
                if (*text == '"' || *text == '\\')
                        printf("\\%c", *text);
                else if ((unsigned char) *text < 0x20)
                        printf("\\u%04x", *text);
                else
                        putchar(*text);
        putchar('"');
}

static void print_json(const struct emu_domain_info *info, const char *name, bool first) {
        const struct {
                const char *name;
                uint32_t used, limit;
        } uses[] = {
                { "handles", info->handles, info->limits.handles },
                { "ports", info->ports, info->limits.ports },
                { "shared_pages", info->shared_pages, info->limits.shared_pages },
                { "grants", info->grants, info->limits.grants },
                { "maptrack", info->maptrack, info->limits.maptrack },
        };

        printf("%s  {\"domid\": %u, \"name\": ", first ? "" : ",\n", info->domid);
        print_json_string(name ?: "");
        printf(", \"uuid\": \"");
        print_uuid(info->uuid);
        printf("\", \"state\": \"%s\", \"isolated\": %s", state_of(info), info->flags & EMU_DOMAIN_ISOLATED ? "true" : "false");
        for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++)
                printf(", \"%s\": {\"used\": %u, \"limit\": %u}", uses[i].name, uses[i].used, uses[i].limit);
        putchar('}');
}

int command_list(const struct context *context, int argc, char **argv) {
        struct {
                struct emu_list list;
                struct emu_domain_info infos[EMU_LIST_MAX];
        } answer;
        bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
        struct emu_id first = {};
        int fd, r;

        if (argc > 1 && !json) {
                bool asked = strcmp(argv[1], "--help") == 0;

                fputs(help_list, asked ? stdout : stderr);
                return asked ? EXIT_OK : EXIT_USAGE;
        }

        fd = control_connect(context);
        if (fd < 0)
                return EXIT_FAILED;

        if (json)
                puts("[");
        else
                puts("DOMID  NAME             STATE    PLACE     UUID                                  HANDLES PORTS  PAGES GRANTS MAPPED");
        do {
                r = emu_call(fd, EMU_DOMAIN_LIST, &first, sizeof first, &answer, sizeof answer, NULL, 0);
                if (r < 0)
                        return report("cannot list the domains: %s", strerror(-r));
                for (uint32_t i = 0; i < answer.list.n_entries && i < EMU_LIST_MAX; i++) {
                        const struct emu_domain_info *info = &answer.infos[i];
                        char *name = toolstack_name(context->run_dir, info->domid);

                        if (json)
                                print_json(info, name, info->domid == 0);
                        else
                                print_row(info, name);
                        first.id = info->domid + 1;
                        free(name);
                }
        } while (answer.list.n_entries > 0);
        if (json)
                puts("\n]");
        close(fd);
        return EXIT_OK;
}
