/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-vhost-blk: a disk for a guest, over vhost-user. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "mapping.h"
#include "options.h"
#include "sandbox.h"
#include "server.h"
#include "xen-grants.h"

enum { EXIT_BAD_OPTIONS = 2 };

#define LINE_MAX_BYTES 128u             /* of a command: a word and two numbers */
#define LOCK_AGAIN_USEC UINT64_C(20000) /* the kernel ends what a process that was killed had begun in some 50 ms */

struct program {
        struct options options;
        struct disk disk;
        struct vhost_xen xen;
        sd_event *event;
        struct device *device;
        disk_counters_line *counters;
        bool stands_by;
        sd_event_source *lock_timer;    /* told to begin, it waits for the disk */
        char line[LINE_MAX_BYTES];
        size_t n_line;
};

static void tell_counters(const struct program *program) {
        static const char *const names[_DISK_COUNTER_N] = { "reads",  "writes", "flushes",    "discards",
                                                              "others", "errors", "read-bytes", "written-bytes" };

        fputs("counters", stdout);
        for (int i = 0; i < _DISK_COUNTER_N; i++)
                printf(" %s=%" PRIu64, names[i], disk_counters_sum(program->counters, (enum disk_counter) i));
        printf(" pinned-bytes=%" PRIu64 " fixed=%" PRIu64 "\n", program->disk.pinned_bytes, program->disk.n_fixed);
}

static void resize(struct program *program, uint64_t size) {
        uint64_t before = program->disk.size;
        int r = disk_resize(&program->disk, size);

        if (r < 0) {
                printf("size refused: %s\n", strerror(-r));
                return;
        }
        printf("size %" PRIu64 "\n", program->disk.size);
        if (program->disk.size != before)
                device_resized(program->device);
}

static void set_rates(struct program *program, uint64_t requests, uint64_t bytes) {
        if (requests > RATE_REQUESTS_MAX || bytes > INT64_MAX) {
                puts("rate refused: too large");
                return;
        }
        rate_set(&program->disk.rate, requests, bytes);
        device_rates_changed(program->device);
        printf("rate %" PRIu64 " %" PRIu64 "\n", requests, bytes);
}

/* Whoever started this is going to end, and the front-end must not notice: but another would not find anybody here. */
static void stay(struct program *program) {
        prctl(PR_SET_PDEATHSIG, 0);
        device_serve_last(program->device);
        puts("stays");
}

static void begin(struct program *program);

static int on_lock_again(sd_event_source *source, uint64_t usec, void *userdata) {
        struct program *program = userdata;

        program->lock_timer = sd_event_source_disable_unref(program->lock_timer);
        begin(program);
        fflush(stdout);
        return 0;
}

/* Nothing blocks here, where a front-end may ask something meanwhile. */
static void begin(struct program *program) {
        int r;

        if (!program->stands_by) {
                puts("begun");
                return;
        }
        if (program->lock_timer)
                return;
        r = disk_lock(&program->disk, program->options.is_shared, false);
        if (r == 0) {
                program->stands_by = false;
                device_begin(program->device);
                puts("begun");
        } else if (sd_event_add_time_relative(program->event, &program->lock_timer, CLOCK_MONOTONIC, LOCK_AGAIN_USEC, 0, on_lock_again, program) < 0)
                puts("begin refused: no memory");
}

static void command(struct program *program, const char *line) {
        uint64_t size, requests, bytes;
        char rest;

        if (sscanf(line, "size %" SCNu64 "%c", &size, &rest) == 1)
                resize(program, size);
        else if (sscanf(line, "rate %" SCNu64 " %" SCNu64 "%c", &requests, &bytes, &rest) == 2)
                set_rates(program, requests, bytes);
        else if (strcmp(line, "counters") == 0)
                tell_counters(program);
        else if (strcmp(line, "begin") == 0)
                begin(program);
        else if (strcmp(line, "stay") == 0)
                stay(program);
        else
                puts("what?");
        fflush(stdout);
}

static int on_control(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct program *program = userdata;
        char *end;
        ssize_t n;

        n = read(fd, program->line + program->n_line, sizeof program->line - 1 - program->n_line);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {                   /* nobody commands any more: the disk goes on */
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return 0;
        }
        program->n_line += (size_t) n;
        program->line[program->n_line] = 0;
        while ((end = strchr(program->line, '\n'))) {
                *end = 0;
                command(program, program->line);
                program->n_line -= (size_t) (end + 1 - program->line);
                memmove(program->line, end + 1, program->n_line + 1);
        }
        if (program->n_line == sizeof program->line - 1)
                program->n_line = 0;    /* no command is as long as that */
        return 0;
}

static int on_term(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        struct program *program = userdata;

        device_stop(program->device);
        return 0;
}

static int fail(const char *what, const char *name, int r) {
        fprintf(stderr, "xcp-vhost-blk: %s %s: %s\n", what, name, strerror(-r));
        return r;
}

static int fail_to_open(const struct disk_spec *disk, int r) {
        if (r != -ERANGE)
                return fail("cannot open", disk->file, r);
        fprintf(stderr, "xcp-vhost-blk: the %" PRIu64 " bytes of --size from --offset %" PRIu64 " on are not all in %s\n", disk->size, disk->offset, disk->file);
        return r;
}

/* Before anything is done with them: what is wrong with one is its number. */
static int check_descriptors(const struct options *options) {
        const struct {
                const char *name;
                int fd;
        } all[] = { { "--fd", options->fd }, { "--control", options->control_fd }, { "--counters", options->counters_fd } };

        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                if (all[i].fd >= 0 && fcntl(all[i].fd, F_GETFD) < 0)
                        return fail("cannot use the descriptor of", all[i].name, -errno);
        return 0;
}

static int add_sources(struct program *program, sd_event *event) {
        static const int ends[] = { SIGTERM, SIGINT };
        sigset_t signals;
        int r;

        sigemptyset(&signals);
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
                sigaddset(&signals, ends[i]);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
                r = sd_event_add_signal(event, NULL, ends[i], on_term, program);
                if (r < 0)
                        return r;
        }
        if (program->options.control_fd < 0)
                return 0;
        fcntl(program->options.control_fd, F_SETFL, O_NONBLOCK);
        return sd_event_add_io(event, NULL, program->options.control_fd, EPOLLIN, on_control, program);
}

/* While it waits, a signal simply ends it. */
static int take_disk(const struct program *program) {
        int r = disk_lock(&program->disk, program->options.is_shared, false);

        if (r == 0)
                return 0;
        fprintf(stderr, "xcp-vhost-blk: waits for the end of another process that serves %s\n", program->options.disk.file);
        return disk_lock(&program->disk, program->options.is_shared, true);
}

/* A queue takes five: three of its front-end's, and a ring and an event of its own. So all that there may be take more than a process usually has. */
static void raise_descriptors(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);       /* up to what it may be: nothing refuses that */
}

static int run(struct program *program) {
        const struct options *options = &program->options;
        sd_event *event = program->event;
        int fd = options->fd, r;

        r = check_descriptors(options);
        if (r < 0)
                return r;
        r = disk_open(&program->disk, &options->disk);
        if (r < 0)
                return fail_to_open(&options->disk, r);
        rate_init(&program->disk.rate, options->iops, options->bandwidth);
        r = disk_counters_map(options->counters_fd, &program->counters);
        if (r < 0)
                return fail("cannot count in", "the file of --counters", r);
        if (options->socket_path) {
                fd = vhost_server_listen(options->socket_path);
                if (fd < 0)
                        return fail("cannot listen at", options->socket_path, fd);
        }
        program->stands_by = options->stands_by;
        r = program->stands_by ? 0 : take_disk(program);
        if (r < 0)
                return fail("cannot lock", options->disk.file, r);
        r = add_sources(program, event);        /* signals, before there are threads */
        if (r < 0)
                return fail("cannot serve", options->disk.file, r);
        if (options->has_xen) {
                r = vhost_xen_grants_open(&program->xen, options->xen_domid);
                if (r < 0)
                        return fail("cannot map pages that a guest grants:", "Xen", r);
        }
        r = sandbox_enter(options->user, options->connect_path);
        if (r < 0)
                return fail("cannot give up what is not needed", options->user ? options->user : "", r);
        r = device_new(&program->device, event, fd, options->connect_path, &program->disk, &options->worker,
                       options->has_xen ? &program->xen : NULL, program->counters);
        if (r < 0)
                return fail("cannot serve", options->disk.file, r);
        if (program->stands_by)
                device_stand_by(program->device);
        puts("ready");
        fflush(stdout);
        r = sd_event_loop(event);
        program->device = device_free(program->device);
        sd_event_source_disable_unref(program->lock_timer);
        if (!options->disk.read_only && !program->stands_by && fdatasync(program->disk.fd) < 0)
                r = fail("cannot sync", options->disk.file, -errno);
        vhost_xen_grants_close(&program->xen);
        disk_close(&program->disk);
        disk_counters_unmap(program->counters);
        return r;
}

int main(int argc, char **argv) {
        struct program program = {};
        int r;

        r = options_parse(&program.options, argc, argv);
        if (r != 0)
                return r == OPTIONS_SHOWN ? EXIT_SUCCESS : EXIT_BAD_OPTIONS;
        signal(SIGPIPE, SIG_IGN);
        raise_descriptors();
        r = vhost_mapping_guard();
        if (r >= 0)
                r = sd_event_new(&program.event);
        if (r < 0)
                return EXIT_FAILURE;
        r = run(&program);
        sd_event_unref(program.event);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
