/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * xcp-xl-import: a configuration of xl's becomes a VM of the manager's. With --adopt, the domain that xl has made of it, and that runs,
 * becomes that VM's: the manager finds it by its UUID.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl.h>
#include <libxl_utils.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "context.h"
#include "xl-config.h"

#define SERVICE "org.xen.xcp.xenopsd"
#define MANAGER_PATH "/org/xen/xcp/xenopsd"
#define MANAGER SERVICE "1.Manager"
#define SIZE_MAX_FILE (1024u * 1024)
#define UUID_SIZE 37u

static const char help[] =
        "Usage: xcp-xl-import [--adopt] [--bus-address ADDRESS] FILE\n"
        "\n"
        "Creates a VM from a configuration of xl's, xl.cfg(5), and prints its object path. What the configuration\n"
        "says and a VM has no place for is named on standard error.\n"
        "\n"
        "  --adopt                 the domain of that name, which runs, becomes the VM's\n"
        "  --bus-address ADDRESS   of the VM manager's bus; else $XCP_BUS_ADDRESS, and dom0/bus in $XCP_RUNDIR,\n"
        "                          by default /run/xcpbus\n"
        "  --help                  shows this\n";

static int fail(const char *what, int r) {
        fprintf(stderr, "xcp-xl-import: %s: %s\n", what, strerrordesc_np(-r) ?: "unknown error");
        return r;
}

static int read_file(const char *path, char **ret_text, size_t *ret_size) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        AUTO_FREE char *text = malloc(SIZE_MAX_FILE);
        size_t size = 0;
        ssize_t n;

        if (fd < 0)
                return -errno;
        if (!text)
                return -ENOMEM;
        while ((n = read(fd, text + size, SIZE_MAX_FILE - size)) > 0)
                size += (size_t) n;
        if (n < 0)
                return -errno;
        if (size == SIZE_MAX_FILE)
                return -EFBIG;
        *ret_text = text;
        *ret_size = size;
        text = NULL;
        return 0;
}

/* The UUID of the domain of that name. */
static int find_domain(libxl_ctx *ctx, const char *name, char *ret_uuid) {
        libxl_dominfo info;
        uint32_t domid;
        int r;

        if (libxl_name_to_domid(ctx, name, &domid) != 0)
                return -ENOENT;
        libxl_dominfo_init(&info);
        r = libxl_domain_info(ctx, &info, domid) == 0 ? 0 : -ENOENT;
        if (r >= 0)
                snprintf(ret_uuid, UUID_SIZE, LIBXL_UUID_FMT, LIBXL_UUID_BYTES(info.uuid));
        libxl_dominfo_dispose(&info);
        return r;
}

static int adopt(struct xcp_vm_spec *spec, char *ret_uuid) {
        struct xen_logger *logger;
        libxl_ctx *ctx;
        int r;

        r = xen_context_new(&ctx, &logger, false);
        if (r < 0)
                return fail("libxl cannot be used", r);
        r = find_domain(ctx, spec->name, ret_uuid);
        xen_context_free(ctx, logger);
        if (r < 0)
                return fail("there is no domain of the configuration's name", r);
        spec->uuid = ret_uuid;
        return 0;
}

static int connect_bus(const char *address, sd_bus **ret_bus) {
        sd_bus *bus;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }
        *ret_bus = bus;
        return 0;
}

static int create(const char *address, const struct xcp_vm_spec *spec) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *call = NULL, *reply = NULL;
        const char *path;
        sd_bus *bus;
        int r;

        r = connect_bus(address, &bus);
        if (r < 0)
                return fail(address, r);
        r = sd_bus_message_new_method_call(bus, &call, SERVICE, MANAGER_PATH, MANAGER, "Create");
        if (r >= 0)
                r = xcp_vm_spec_append(call, spec);
        if (r >= 0)
                r = sd_bus_call(bus, call, 0, &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r >= 0)
                puts(path);
        else
                fprintf(stderr, "xcp-xl-import: %s\n", error.message ?: strerrordesc_np(-r));
        sd_bus_error_free(&error);
        sd_bus_message_unref(call);
        sd_bus_message_unref(reply);
        sd_bus_flush_close_unref(bus);
        return r;
}

static int import(const char *address, const char *file, bool adopts) {
        struct idl_arena arena = IDL_ARENA_NULL;
        struct idl_error error = IDL_ERROR_NULL;
        AUTO_FREE char *text = NULL, *left = NULL;
        char uuid[UUID_SIZE];
        struct xcp_vm_spec spec;
        size_t size = 0;
        int r;

        r = read_file(file, &text, &size);
        if (r < 0)
                return fail(file, r);
        r = xl_config_read(text, size, file, &arena, &spec, &left, &error);
        if (r < 0)
                fprintf(stderr, "xcp-xl-import: %s\n", error.message ?: strerrordesc_np(-r));
        else if (*left)
                fprintf(stderr, "xcp-xl-import: left out, as a VM has no place for it:\n%s", left);
        if (r >= 0 && adopts)
                r = adopt(&spec, uuid);
        if (r >= 0)
                r = create(address, &spec);
        idl_error_done(&error);
        idl_arena_done(&arena);
        return r;
}

/* $XCP_BUS_ADDRESS, or where a domain's bus is. */
static int find_address(char **ret_address) {
        const char *address = getenv("XCP_BUS_ADDRESS"), *run_dir = getenv("XCP_RUNDIR");

        if (address && *address)
                *ret_address = strdup(address);
        else if (asprintf(ret_address, "unix:path=%s/dom0/bus", run_dir && *run_dir ? run_dir : "/run/xcpbus") < 0)
                *ret_address = NULL;
        return *ret_address ? 0 : -ENOMEM;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "adopt", no_argument, NULL, 'a' },
                { "bus-address", required_argument, NULL, 'b' },
                { "help", no_argument, NULL, 'h' },
                {},
        };
        AUTO_FREE char *found = NULL;
        const char *address = NULL;
        bool adopts = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'a':
                        adopts = true;
                        break;
                case 'b':
                        address = optarg;
                        break;
                case 'h':
                        return fputs(help, stdout) < 0;
                default:
                        return EXIT_FAILURE;
                }
        if (argc - optind != 1) {
                fputs(help, stderr);
                return EXIT_FAILURE;
        }
        if (!address) {
                if (find_address(&found) < 0)
                        return EXIT_FAILURE;
                address = found;
        }
        return import(address, argv[optind], adopts) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
