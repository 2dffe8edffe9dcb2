/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-bridge: the hub, a process of it for one other domain, or what the bus runs to have a service of another domain started. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <xenstore.h>

#include "cleanup.h"
#include "hub.h"
#include "paths.h"
#include "peer.h"

enum { EXIT_BAD_OPTIONS = 2 };

static const char help[] =
        "\n"
        "Besides those of every service:\n"
        "  --policy FILE|DIR         what may pass, in files *.policy; can be given up to 6 times. Default: %s\n"
        "  --link DOMAIN             in a guest: be joined to this domain as well, and not only to domain 0. It has to\n"
        "                            be told of this one, too\n"
        "  --pause-max MSEC          the longest pause before a link whose process ended is tried again: 50 to 60000. The first is\n"
        "                            50 ms, and each that follows twice as long. Default: 2000\n"
        "\n"
        "It starts a process for each domain that is joined (xcp-bridge --peer), and is started by the bus itself when a service of\n"
        "another domain is called that does not run (xcp-bridge --activate NAME). Neither is for people.\n";

/* Has the hub start a service; the bus has run this. */
static int activate(const char *name) {
        AUTO(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        AUTO(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *address = getenv("DBUS_STARTER_ADDRESS");
        int r;

        if (!address)
                address = getenv("XCP_BUS_ADDRESS");
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = address ? sd_bus_set_address(bus, address) : -EDESTADDRREQ;
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.xen.xcp.bridge", "/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager", "StartService",
                                       &error, NULL, "s", name);
        if (r < 0) {
                fprintf(stderr, "xcp-bridge: cannot have %s started: %s\n", name, error.message ? error.message : strerrordesc_np(-r));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

/* The bus of this domain, which services take for domain 0's unless they are told. */
static void find_bus(void) {
        AUTO_FREE char *own = NULL, *address = NULL;
        const char *run_dir = getenv("XCP_RUNDIR");
        struct xs_handle *store;

        if (getenv("XCP_BUS_ADDRESS") || getenv("DBUS_STARTER_ADDRESS"))
                return;
        store = xs_open(0);
        own = store ? xs_read(store, XBT_NULL, "domid", NULL) : NULL;
        if (store)
                xs_close(store);
        if (!run_dir || !*run_dir)
                run_dir = paths_run_dir();
        if (own && asprintf(&address, "unix:path=%s/dom%s/bus", run_dir, own) >= 0)
                setenv("XCP_BUS_ADDRESS", address, 0);
}

static int take_policy(struct hub_options *options, const char *path) {
        if (options->n_policies == HUB_POLICIES_MAX) {
                fprintf(stderr, "xcp-bridge: --policy can be given %u times\n", HUB_POLICIES_MAX);
                return -EINVAL;
        }
        if (access(path, F_OK) < 0) {           /* mistyped, it would be a directory without files, and nothing would pass */
                fprintf(stderr, "xcp-bridge: --policy '%s': %s\n", path, strerror(errno));
                return -EINVAL;
        }
        options->policies[options->n_policies++] = path;
        return 0;
}

static int take_link(struct hub_options *options, const char *text) {
        char *end;
        unsigned long domain = strtoul(text, &end, 10);

        if (*text < '0' || *text > '9' || *end != '\0' || domain >= 0x7ff0 || options->n_links == 64) {
                fprintf(stderr, "xcp-bridge: --link '%s': 64 ids of domains can be given, below 32752\n", text);
                return -EINVAL;
        }
        options->links[options->n_links++] = (unsigned) domain;
        return 0;
}

static int take_pause(struct hub_options *options, const char *text) {
        char *end;
        unsigned long msec = strtoul(text, &end, 10);

        if (*text < '0' || *text > '9' || *end != '\0' || msec < 50 || msec > 60000) {
                fprintf(stderr, "xcp-bridge: --pause-max '%s': a number of milliseconds from 50 to 60000\n", text);
                return -EINVAL;
        }
        options->pause_max_msec = (unsigned) msec;
        return 0;
}

static const struct own_option {
        const char *name;
        int (*take)(struct hub_options *options, const char *value);
} own_options[] = {
        { "--policy", take_policy },
        { "--link", take_link },
        { "--pause-max", take_pause },
};

static const struct own_option *find_option(const char *argument, size_t n) {
        for (size_t i = 0; i < sizeof own_options / sizeof own_options[0]; i++)
                if (n == strlen(own_options[i].name) && strncmp(argument, own_options[i].name, n) == 0)
                        return &own_options[i];
        return NULL;
}

/* Takes the options that are the bridge's alone out of argv. */
static int take_options(struct hub_options *options, int *argc, char **argv) {
        int n = 1, r = 0;

        for (int i = 1; i < *argc && r == 0; i++) {
                const char *value = argv[i] + strcspn(argv[i], "=");
                const struct own_option *option = find_option(argv[i], (size_t) (value - argv[i]));

                if (!option) {
                        argv[n++] = argv[i];
                        continue;
                }
                value = *value ? value + 1 : argv[++i];
                if (!value) {
                        fprintf(stderr, "xcp-bridge: %s wants a value\n", argv[i - 1]);
                        return -EINVAL;
                }
                r = option->take(options, value);
        }
        argv[n] = NULL;
        *argc = n;
        return r;
}

static bool asks_for_help(int argc, char **argv) {
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--help") == 0)
                        return true;
        return false;
}

int main(int argc, char **argv) {
        struct hub_options options = { .pause_max_msec = HUB_PAUSE_MAX_MSEC };
        const char *const *defaults;
        int status;

        if (argc > 2 && strcmp(argv[1], "--peer") == 0)
                return peer_main(argc, argv);
        if (argc == 3 && strcmp(argv[1], "--activate") == 0)
                return activate(argv[2]);
        if (take_options(&options, &argc, argv) < 0)
                return EXIT_BAD_OPTIONS;
        find_bus();
        if (options.n_policies == 0)
                for (defaults = paths_policies(); *defaults; defaults++)
                        options.policies[options.n_policies++] = *defaults;
        status = hub_run(&options, argc, argv);
        if (asks_for_help(argc, argv) && status == EXIT_SUCCESS)
                printf(help, options.policies[0]);
        return status;
}
