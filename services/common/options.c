/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "log.h"

#define INSTALLED_RUN_DIR "/run/xcpbus"
#define INSTALLED_STATE_DIR "/var/lib/xcpbus"
#define TREE_RUN_DIR OPTIONS_SOURCE_ROOT "/build/run"
#define STOP_TIMEOUT_SEC_DEFAULT 20u    /* well below the 90 s after which systemd kills */
#define STOP_TIMEOUT_SEC_MAX 3600u

static const char help[] =
        "Usage: %s [OPTION...]\n"
        "%s\n"
        "It owns org.xen.xcp.%s on this domain's bus; its objects are below /org/xen/xcp/%s.\n"
        "\n"
        "  --bus-address ADDRESS     the bus, as a D-Bus address; default $XCP_BUS_ADDRESS, or else\n"
        "                            the socket dom0/bus in $XCP_RUNDIR\n"
        "  --bus-name NAME           the name to own instead, for a second one on the same bus\n"
        "  --state-dir DIR           where its database is, made if it is not there; default $STATE_DIRECTORY, or else\n"
        "                            %s\n"
        "  --log-level LEVEL         error, warning, info (the default) or debug\n"
        "  --stop-timeout SECONDS    how long tasks may take to end once it was asked to stop; default %u\n"
        "  --standby                 waits for the service that runs elsewhere to hand over to it (docs/service-move.md):\n"
        "                            it owns the name with .standby behind it, and ends if nobody wants it\n"
        "  --reclaim                 goes on with a state that was handed over, when it is certain that whoever got it is gone\n"
        "  --ready-fd FD             writes a newline to descriptor FD and closes it when it can be called;\n"
        "                            systemd is told through $NOTIFY_SOCKET, without an option\n"
        "  --help, --version\n"
        "\n"
        "SIGTERM and SIGINT stop it: tasks that can be cancelled are, others may finish. A second signal ends it at once.\n"
        "Exit status: 0 stopped as asked, 1 could not start or lost the bus, 2 not asked for properly.\n";

void options_environment_read(struct options_environment *ret_environment) {
        static const char build_root[] = OPTIONS_BUILD_ROOT "/";
        char path[PATH_MAX] = "";
        ssize_t n;

        n = readlink("/proc/self/exe", path, sizeof path - 1);
        *ret_environment = (struct options_environment) {
                .in_tree = n > 0 && strncmp(path, build_root, sizeof build_root - 1) == 0,
                .run_dir = getenv("XCP_RUNDIR"),
                .bus_address = getenv("XCP_BUS_ADDRESS"),
                .starter_address = getenv("DBUS_STARTER_ADDRESS"),
                .state_directory = getenv("STATE_DIRECTORY"),
        };
}

static bool is_set(const char *value) {
        return value && *value;
}

static int replace(char **to, const char *text) {
        char *copy = strdup(text);

        if (!copy)
                return -ENOMEM;
        free(*to);
        *to = copy;
        return 0;
}

/* A path as the value of a D-Bus address, D-Bus Specification, "Server Addresses": most bytes are escaped. */
static int address_of(const char *path, char **ret_address) {
        static const char plain[] = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz/.\\*";
        static const char prefix[] = "unix:path=";
        char *address, *p;

        address = malloc(sizeof prefix + 3 * strlen(path));
        if (!address)
                return -ENOMEM;
        p = stpcpy(address, prefix);
        for (; *path; path++)
                if (strchr(plain, *path))
                        *p++ = *path;
                else
                        p += sprintf(p, "%%%02x", (unsigned char) *path);
        *p = '\0';
        *ret_address = address;
        return 0;
}

static const char *run_dir(const struct options_environment *environment) {
        if (is_set(environment->run_dir))
                return environment->run_dir;
        return environment->in_tree ? TREE_RUN_DIR : INSTALLED_RUN_DIR;
}

static int default_bus_address(const struct options_environment *environment, char **ret_address) {
        char *path;
        int r;

        if (is_set(environment->bus_address))
                return replace(ret_address, environment->bus_address);
        if (is_set(environment->starter_address))
                return replace(ret_address, environment->starter_address);
        if (asprintf(&path, "%s/dom0/bus", run_dir(environment)) < 0)
                return -ENOMEM;
        r = address_of(path, ret_address);
        free(path);
        return r;
}

/* The directory of the bus's socket, if the address is one that this program would write. Returns its length, or 0. */
static size_t socket_dir(const char *address, const char **ret_dir) {
        static const char prefix[] = "unix:path=";
        const char *dir = address + sizeof prefix - 1, *slash;

        if (strncmp(address, prefix, sizeof prefix - 1) != 0 || strpbrk(address, "%,;"))
                return 0;
        slash = strrchr(dir, '/');
        if (!slash || strcmp(slash, "/bus") != 0)
                return 0;
        *ret_dir = dir;
        return (size_t) (slash - dir);
}

static int default_state_dir(const struct options_environment *environment, const char *name, const char *bus_address, char **ret_dir) {
        const char *dir;
        size_t n;
        int r;

        if (is_set(environment->state_directory))       /* may be a list, of which the first is the service's own */
                return (*ret_dir = strndup(environment->state_directory, strcspn(environment->state_directory, ":"))) ? 0 : -ENOMEM;
        n = socket_dir(bus_address, &dir);
        if (!environment->in_tree && !is_set(environment->run_dir))
                r = asprintf(ret_dir, INSTALLED_STATE_DIR "/%s", name);
        else if (n > 0)
                r = asprintf(ret_dir, "%.*s/state/%s", (int) n, dir, name);
        else
                r = asprintf(ret_dir, "%s/dom0/state/%s", run_dir(environment), name);
        return r < 0 ? -ENOMEM : 0;
}

static int complete(struct options *options, const struct options_environment *environment, const char *name) {
        int r;

        if (!options->bus_address) {
                r = default_bus_address(environment, &options->bus_address);
                if (r < 0)
                        return r;
        }
        return options->state_dir ? 0 : default_state_dir(environment, name, options->bus_address, &options->state_dir);
}

static int show_help(const struct options_environment *environment, const char *name, const char *about) {
        struct options defaults = {};
        char program[NAME_MAX];
        int r;

        r = complete(&defaults, environment, name);
        if (r < 0)
                return r;
        snprintf(program, sizeof program, "xcp-%s", name);
        printf(help, program, about, name, name, defaults.state_dir, STOP_TIMEOUT_SEC_DEFAULT);
        options_done(&defaults);
        return OPTIONS_SHOWN;
}

__attribute__((format(printf, 2, 3))) static int refuse(const char *name, const char *format, ...) {
        va_list args;

        fprintf(stderr, "xcp-%s: ", name);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputc('\n', stderr);
        return -EINVAL;
}

static int parse_number(const char *text, unsigned max, unsigned *ret_number) {
        unsigned long number;
        char *end;

        if (text[0] < '0' || text[0] > '9')     /* strtoul() would take blanks and signs */
                return -EINVAL;
        errno = 0;
        number = strtoul(text, &end, 10);
        if (errno != 0 || *end != '\0' || number > max)
                return -EINVAL;
        *ret_number = (unsigned) number;
        return 0;
}

static int parse_one(struct options *options, const char *name, int option, const char *value) {
        unsigned number;

        switch (option) {
        case 'y':
                options->stand_by = true;
                return 0;
        case 'r':
                options->reclaim = true;
                return 0;
        case 'b':
                return is_set(value) ? replace(&options->bus_address, value) : refuse(name, "--bus-address is empty");
        case 'n':
                if (!sd_bus_service_name_is_valid(value) || value[0] == ':')
                        return refuse(name, "'%s' is no name that can be owned on a bus", value);
                return replace(&options->bus_name, value);
        case 's':
                return is_set(value) ? replace(&options->state_dir, value) : refuse(name, "--state-dir is empty");
        case 'l':
                if (log_level_from_name(value, &options->log_level) < 0)
                        return refuse(name, "'%s' is no log level; there are error, warning, info and debug", value);
                return 0;
        case 'f':
                if (parse_number(value, INT_MAX, &number) < 0 || fcntl((int) number, F_GETFD) < 0)
                        return refuse(name, "'%s' is not the number of an open descriptor", value);
                options->ready_fd = (int) number;
                return 0;
        default:
                if (parse_number(value, STOP_TIMEOUT_SEC_MAX, &number) < 0)
                        return refuse(name, "'%s' is no number of seconds from 0 to %u", value, STOP_TIMEOUT_SEC_MAX);
                options->stop_timeout_usec = number * UINT64_C(1000000);
                return 0;
        }
}

int options_parse(struct options *options, const char *name, const char *about, const struct options_environment *environment, int argc,
                  char **argv) {
        static const struct option known[] = {
                { "bus-address", required_argument, NULL, 'b' }, { "state-dir", required_argument, NULL, 's' },
                { "log-level", required_argument, NULL, 'l' },   { "ready-fd", required_argument, NULL, 'f' },
                { "stop-timeout", required_argument, NULL, 't' }, { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'v' },           { "bus-name", required_argument, NULL, 'n' },
                { "standby", no_argument, NULL, 'y' },           { "reclaim", no_argument, NULL, 'r' },
                {},
        };
        int option, r;

        *options = (struct options) {
                .log_level = LOG_INFO,
                .ready_fd = -1,
                .stop_timeout_usec = STOP_TIMEOUT_SEC_DEFAULT * UINT64_C(1000000),
        };
        optind = 0;                     /* getopt(3): begin anew */
        while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
                if (option == 'h')
                        return show_help(environment, name, about);
                if (option == 'v') {
                        printf("xcp-%s %s\n", name, OPTIONS_VERSION);
                        return OPTIONS_SHOWN;
                }
                if (option == '?')
                        return -EINVAL;
                r = parse_one(options, name, option, optarg);
                if (r < 0)
                        return r;
        }
        if (optind < argc)
                return refuse(name, "'%s' is no option; see --help", argv[optind]);
        return complete(options, environment, name);
}

void options_done(struct options *options) {
        free(options->bus_address);
        free(options->bus_name);
        free(options->state_dir);
        options->bus_address = options->bus_name = options->state_dir = NULL;
}
