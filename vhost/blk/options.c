/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command line of xcp-vhost-blk. */

#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol.h"

#define QUEUES_DEFAULT_MAX 4u           /* threads beyond that seldom find work */
#define XEN_DOMID_MAX 0x7fefu           /* DOMID_FIRST_RESERVED is the next */
#define LOOK_USEC_MAX 1000000u
#define LOOK_USEC 200u                  /* as KVM does it for a guest's CPU before that sleeps (halt_poll_ns): both wait for the same */

static const char help[] =
        "Usage: xcp-vhost-blk {--socket-path PATH | --connect PATH | --fd FD} {--blk-file PATH | --null BYTES} [OPTION...]\n"
        "\n"
        "Serves a raw file or block device as a disk to a guest, over vhost-user. Ends on SIGTERM, once requests are answered.\n"
        "\n"
        "  --socket-path PATH    listen there\n"
        "  --connect PATH        the front-end listens there: connect, and whenever that has ended, again\n"
        "  --fd FD               a listening socket, or a connected one, whose end is then the program's\n"
        "  --print-capabilities  print them as JSON, and end\n"
        "  --blk-file PATH       the file or device\n"
        "  --blk-dir PATH        --blk-file is a name beneath this directory, without a symbolic link on the way\n"
        "  --null BYTES          a disk of so many bytes of nothing instead: what is written is gone, what is read was there before. To measure all else\n"
        "  --read-only           the guest cannot write\n"
        "  --share               others may write to the disk, too, if they say the same; else a second process waits until the first has ended\n"
        "  --offset BYTES        the disk begins there in the file\n"
        "  --size BYTES          and has so many (default: all there are)\n"
        "  --standby             while another process serves the disk, take its next front-end, and begin when told so (--control)\n"
        "  --serial TEXT         the disk's serial number, up to 20 bytes\n"
        "  --block-size BYTES    512 (default) or 4096: what the guest is told to read and write at the least\n"
        "  --num-queues N        queues that a guest may use, each on a thread (default: CPUs, up to 4)\n"
        "  --iops N              requests a second, at most, over all queues\n"
        "  --bandwidth BYTES     bytes a second, at most\n"
        "  --poll-us N           before sleeping, look at a busy ring for up to so long while that pays (default: 200; 0: never, as on one CPU)\n"
        "  --no-io-uring         do I/O in the queues' threads\n"
        "  --pin-memory          all of the guest's memory is locked while it runs, so that io_uring knows where it is: only for guests whose memory is\n"
        "                        never taken back (no balloon, no virtio-mem, no post-copy), and as far as the limit of locked memory goes\n"
        "  --in-band             let a front-end kick and be notified by messages: for simulators. QEMU asks for that, and cannot do it\n"
        "  --xen DOMID           serve a guest of Xen, too: pages that this domain grants, and no other's, are mapped (XEN_MMAP)\n"
        "  --user NAME           if started by root, be this user once the disk is open\n"
        "  --control FD          read commands from there, a line each: size BYTES (0: the file's), rate IOPS BANDWIDTH (0: no limit),\n"
        "                        counters; begin (of --standby); stay (when whoever commands has gone, too: until this front-end's connection ends). Answers go to standard output\n"
        "  --counters FD         count in this file, 16 KiB of zeros or what a predecessor left, from which others read\n"
        "  --help, --version\n"
        "\n"
        "  xcp-vhost-blk --socket-path /run/disk.sock --blk-file /srv/disk.raw\n";

enum {
        SOCKET_PATH = 256,
        CONNECT,
        FD,
        CAPABILITIES,
        BLK_FILE,
        BLK_DIR,
        NO_DISK,
        READ_ONLY,
        SHARE,
        STANDBY,
        OFFSET,
        SIZE,
        SERIAL,
        LOGICAL_SIZE,
        NUM_QUEUES,
        IOPS,
        BANDWIDTH,
        POLL_US,
        NO_IO_URING,
        PIN_MEMORY,
        IN_BAND,
        XEN,
        USER,
        CONTROL,
        COUNTERS,
        HELP,
        VERSION,
};

static const struct option long_options[] = {
        { "socket-path", required_argument, NULL, SOCKET_PATH },
        { "connect", required_argument, NULL, CONNECT },
        { "fd", required_argument, NULL, FD },
        { "print-capabilities", no_argument, NULL, CAPABILITIES },
        { "blk-file", required_argument, NULL, BLK_FILE },
        { "blk-dir", required_argument, NULL, BLK_DIR },
        { "null", required_argument, NULL, NO_DISK },
        { "read-only", no_argument, NULL, READ_ONLY },
        { "share", no_argument, NULL, SHARE },
        { "standby", no_argument, NULL, STANDBY },
        { "offset", required_argument, NULL, OFFSET },
        { "size", required_argument, NULL, SIZE },
        { "serial", required_argument, NULL, SERIAL },
        { "block-size", required_argument, NULL, LOGICAL_SIZE },
        { "num-queues", required_argument, NULL, NUM_QUEUES },
        { "iops", required_argument, NULL, IOPS },
        { "bandwidth", required_argument, NULL, BANDWIDTH },
        { "poll-us", required_argument, NULL, POLL_US },
        { "no-io-uring", no_argument, NULL, NO_IO_URING },
        { "pin-memory", no_argument, NULL, PIN_MEMORY },
        { "in-band", no_argument, NULL, IN_BAND },
        { "xen", required_argument, NULL, XEN },
        { "user", required_argument, NULL, USER },
        { "control", required_argument, NULL, CONTROL },
        { "counters", required_argument, NULL, COUNTERS },
        { "help", no_argument, NULL, HELP },
        { "version", no_argument, NULL, VERSION },
        {},
};

__attribute__((format(printf, 1, 2))) static int refuse(const char *format, ...) {
        va_list args;

        va_start(args, format);
        fputs("xcp-vhost-blk: ", stderr);
        vfprintf(stderr, format, args);
        fputs("; --help tells more\n", stderr);
        va_end(args);
        return -EINVAL;
}

static int number(const char *name, uint64_t min, uint64_t max, uint64_t *ret_number) {
        unsigned long long value;
        char *end;

        errno = 0;
        value = strtoull(optarg, &end, 10);
        if (errno != 0 || end == optarg || *end || optarg[0] == '-' || value < min || value > max)
                return refuse("--%s is a number from %llu to %llu, not '%s'", name, (unsigned long long) min, (unsigned long long) max, optarg);
        *ret_number = value;
        return 0;
}

static int descriptor(const char *name, int *ret_fd) {
        uint64_t n;
        int r = number(name, 0, INT32_MAX, &n);

        if (r >= 0)
                *ret_fd = (int) n;
        return r;
}

static int parse_disk(struct disk_spec *disk, int option) {
        uint64_t n;
        int r = 0;

        switch (option) {
        case BLK_FILE:
                disk->file = optarg;
                break;
        case BLK_DIR:
                disk->directory = optarg;
                break;
        case NO_DISK:
                return number("null", DISK_SECTOR, INT64_MAX, &disk->null_size);
        case READ_ONLY:
                disk->read_only = true;
                break;
        case OFFSET:
                r = number("offset", 0, INT64_MAX, &disk->offset);
                if (r >= 0 && disk->offset % DISK_SECTOR != 0)
                        return refuse("--offset is a multiple of %u", DISK_SECTOR);
                break;
        case SIZE:
                return number("size", DISK_SECTOR, INT64_MAX, &disk->size);
        case SERIAL:
                disk->serial = optarg;
                if (strlen(optarg) > DISK_SERIAL_MAX)
                        return refuse("--serial has %zu bytes, more than %u", strlen(optarg), DISK_SERIAL_MAX);
                break;
        case LOGICAL_SIZE:
                r = number("block-size", 512, 4096, &n);
                if (r >= 0 && n != 512 && n != 4096)
                        return refuse("--block-size is 512 or 4096");
                disk->block_size = (uint32_t) n;
                break;
        case IN_BAND:
                disk->has_inband = true;
                break;
        case NUM_QUEUES:
                r = number("num-queues", 1, VHOST_QUEUES_MAX, &n);
                disk->n_queues = (uint16_t) n;
        }
        return r;
}

/* Where the front-end is, and whoever commands. */
static int parse_place(struct options *options, int option) {
        switch (option) {
        case SOCKET_PATH:
                options->socket_path = optarg;
                break;
        case CONNECT:
                options->connect_path = optarg;
                break;
        case FD:
                return descriptor("fd", &options->fd);
        case CONTROL:
                return descriptor("control", &options->control_fd);
        case COUNTERS:
                return descriptor("counters", &options->counters_fd);
        default:
                return parse_disk(&options->disk, option);
        }
        return 0;
}

static int parse_one(struct options *options, int option) {
        uint64_t n;
        int r = 0;

        switch (option) {
        case IOPS:
                return number("iops", 1, RATE_REQUESTS_MAX, &options->iops);
        case BANDWIDTH:
                return number("bandwidth", 1, INT64_MAX, &options->bandwidth);
        case POLL_US:
                r = number("poll-us", 0, LOOK_USEC_MAX, &n);
                options->worker.look_usec = (uint32_t) n;
                break;
        case NO_IO_URING:
                options->worker.want_uring = false;
                break;
        case PIN_MEMORY:
                options->worker.want_pinned = true;
                break;
        case SHARE:
                options->is_shared = true;
                break;
        case XEN:
                r = number("xen", 0, XEN_DOMID_MAX, &n);
                options->has_xen = true;
                options->xen_domid = (uint32_t) n;
                break;
        case STANDBY:
                options->stands_by = true;
                break;
        case USER:
                options->user = optarg;
                break;
        case CAPABILITIES:
                puts("{ \"type\": \"block\", \"features\": [ \"read-only\", \"blk-file\" ] }");
                return OPTIONS_SHOWN;
        case HELP:
                fputs(help, stdout);
                return OPTIONS_SHOWN;
        case VERSION:
                puts("xcp-vhost-blk " VHOST_VERSION);
                return OPTIONS_SHOWN;
        case '?':
                return refuse("bad options");
        default:
                return parse_place(options, option);
        }
        return r;
}

/* CPUs that this process may run on: fewer than there are in a container or beneath taskset, where spinning takes time from whom it waits for. */
static long count_cpus(void) {
        cpu_set_t set;

        return sched_getaffinity(0, sizeof set, &set) < 0 ? sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
}

int options_parse(struct options *options, int argc, char **argv) {
        long cpus = count_cpus();
        int option, r;

        *options = (struct options) {
                .fd = -1,
                .control_fd = -1,
                .counters_fd = -1,
                .disk = { .serial = "", .block_size = 512, .n_queues = (uint16_t) (cpus < 1 ? 1 : cpus > QUEUES_DEFAULT_MAX ? QUEUES_DEFAULT_MAX : cpus) },
                .worker = { .want_uring = true, .look_usec = LOOK_USEC, .n_cpus = cpus < 1 ? 1 : (unsigned) cpus },
        };
        /* "Other options and arguments should be ignored": whatever else is there. */
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--print-capabilities") == 0)
                        return parse_one(options, CAPABILITIES);
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
                r = parse_one(options, option);
                if (r != 0)
                        return r;
        }
        if (optind < argc)
                return refuse("'%s' is no option", argv[optind]);
        if (!!options->socket_path + !!options->connect_path + (options->fd >= 0) != 1)
                return refuse("one of --socket-path, --connect and --fd is needed");
        if (options->stands_by && options->control_fd < 0)
                return refuse("--standby needs --control, to be told when to begin");
        if (!options->disk.file == (options->disk.null_size == 0))
                return refuse("one of --blk-file and --null is needed");
        if (!options->disk.file)
                options->disk.file = "no disk";         /* for whoever says what is wrong with it */
        return 0;
}
