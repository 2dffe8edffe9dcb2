/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "report.h"

static const char help[] =
        "Usage: xcp-bus-run [OPTION...]\n"
        "Starts this domain's private D-Bus, which is neither the system's nor a session's, and stays until it ends.\n"
        "\n"
        "  --broker dbus-daemon      the broker that carries the bus: dbus-daemon, the default,\n"
        "           dbus-broker      or dbus-broker, which this program drives as its controller\n"
        "  --broker-program PATH     the broker's program; default /usr/bin/dbus-daemon or /usr/bin/dbus-broker\n"
        "  --domain-dir DIR          the domain's directory, made if it is not there; the socket is DIR/bus;\n"
        "                            default $XCP_RUNDIR/domN, where N is the number of this domain and XCP_RUNDIR defaults to\n"
        "                            %s\n"
        "  --domain-services-only    starts only services with an activation file in DIR, for whoever runs the others otherwise\n"
        "  --ready-fd FD             writes a newline to descriptor FD and closes it when the bus can be used;\n"
        "                            systemd is told through $NOTIFY_SOCKET, without an option\n"
        "  --show-config             checks policy and activation files, prints the configuration for dbus-daemon that they give,\n"
        "                            and starts nothing\n"
        "  --help, --version\n"
        "\n"
        "Policy and limits, the last value of a limit counts:\n"
        "%s"
        "  DIR/bus.d/*.policy\n"
        "Activation files, the first one for a name counts:\n"
        "  DIR/services/*.service\n"
        "%s"
        "\n"
        "SIGTERM and SIGINT end it: the services that the bus has started are ended, then the broker, and the socket is removed.\n"
        "SIGHUP makes it read policy and activation files again; limits of dbus-broker need a new start.\n"
        "Exit status: 0 ended by a signal, 1 could not start or the broker died, 2 not asked for properly.\n"
        "\n"
        "  busctl --address=unix:path=DIR/bus list\n";

static void join_paths(const char *const *paths, const char *directory_suffix, size_t size, char *ret_text) {
        size_t n = 0;

        ret_text[0] = '\0';
        for (; *paths; paths++) {
                const char *dot = strrchr(*paths, '.');
                bool is_file = dot && strcmp(dot, ".policy") == 0;

                n += snprintf(ret_text + n, size - n, "  %s%s\n", *paths, is_file ? "" : directory_suffix);
                if (n >= size)
                        return;
        }
}

static void print_help(const struct layout *layout) {
        char policies[4 * PATH_MAX], services[4 * PATH_MAX];

        join_paths(layout->policies, "/*.policy", sizeof policies, policies);
        join_paths(layout->services, "/*.service", sizeof services, services);
        printf(help, layout->run_dir, policies, services);
}

static int parse_broker(const char *text, struct settings *settings) {
        if (strcmp(text, "dbus-daemon") == 0)
                settings->broker = BROKER_DBUS_DAEMON;
        else if (strcmp(text, "dbus-broker") == 0)
                settings->broker = BROKER_DBUS_BROKER;
        else {
                report("there is no broker '%s'; there are dbus-daemon and dbus-broker", text);
                return -EINVAL;
        }
        return 0;
}

static int parse_fd(const char *text, int *ret_fd) {
        char *end;
        long fd = strtol(text, &end, 10);

        if (end == text || *end || fd < 0 || fd > INT_MAX || fcntl(fd, F_GETFD) < 0) {
                report("'%s' is not the number of an open descriptor", text);
                return -EINVAL;
        }
        *ret_fd = fd;
        return 0;
}

/* The socket's address has to mean the same to those who start elsewhere. */
static int make_absolute(const char *path, char **ret_path) {
        AUTO_FREE char *here = NULL;

        if (*path == '/') {
                *ret_path = strdup(path);
                return *ret_path ? 0 : -ENOMEM;
        }
        here = getcwd(NULL, 0);
        if (!here)
                return -errno;
        return asprintf(ret_path, "%s/%s", here, path) < 0 ? -ENOMEM : 0;
}

static void complete(struct settings *settings) {
        static const char *const names[] = { "dbus-daemon", "dbus-broker" };
        static const char *const programs[] = { "/usr/bin/dbus-daemon", "/usr/bin/dbus-broker" };

        settings->broker_package = names[settings->broker];
        if (!settings->broker_program)
                settings->broker_program = programs[settings->broker];
}

enum { OPTION_BROKER = 256, OPTION_PROGRAM, OPTION_DOMAIN_DIR, OPTION_DOMAIN_SERVICES, OPTION_READY_FD, OPTION_SHOW_CONFIG, OPTION_VERSION };

/* Returns 1 if the option ends the program. */
static int parse_option(int option, struct settings *settings, const char **ret_domain_dir) {
        switch (option) {
        case OPTION_BROKER: return parse_broker(optarg, settings);
        case OPTION_PROGRAM: settings->broker_program = optarg; return 0;
        case OPTION_DOMAIN_DIR: *ret_domain_dir = optarg; return 0;
        case OPTION_DOMAIN_SERVICES: settings->domain_services_only = true; return 0;
        case OPTION_READY_FD: return parse_fd(optarg, &settings->ready_fd);
        case OPTION_SHOW_CONFIG: settings->show_config = true; return 0;
        case OPTION_VERSION: puts("xcp-bus-run " XCPBUS_VERSION); return SETTINGS_EXIT;
        case 'h': print_help(settings->layout); return SETTINGS_EXIT;
        default: return -EINVAL;        /* getopt_long() has said what is wrong */
        }
}

void settings_done(struct settings *settings) {
        free(settings->domain_dir);
        *settings = (struct settings) {};
}

int settings_parse(int argc, char **argv, struct settings *ret_settings) {
        static const struct option options[] = {
                { "broker", required_argument, NULL, OPTION_BROKER },
                { "broker-program", required_argument, NULL, OPTION_PROGRAM },
                { "domain-dir", required_argument, NULL, OPTION_DOMAIN_DIR },
                { "domain-services-only", no_argument, NULL, OPTION_DOMAIN_SERVICES },
                { "ready-fd", required_argument, NULL, OPTION_READY_FD },
                { "show-config", no_argument, NULL, OPTION_SHOW_CONFIG },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        struct settings settings = { .ready_fd = -1 };
        const char *domain_dir = NULL;
        int r, option;

        r = layout_find(&settings.layout);
        if (r < 0) {
                report("cannot find out where this program is (is /proc mounted?): %s", strerror(-r));
                return r;
        }
        while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                r = parse_option(option, &settings, &domain_dir);
                if (r != 0)
                        return r;
        }
        if (optind < argc) {
                report("what is '%s'? See xcp-bus-run --help", argv[optind]);
                return -EINVAL;
        }
        complete(&settings);
        r = domain_dir ? make_absolute(domain_dir, &settings.domain_dir) : layout_domain_dir(settings.layout, &settings.domain_dir);
        if (r < 0) {
                report("cannot tell the domain's directory: %s", strerror(-r));
                return r;
        }
        *ret_settings = settings;
        return SETTINGS_RUN;
}
