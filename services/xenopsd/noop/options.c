/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const verb_names[] = {
        [NOOP_PREPARE] = "prepare", [NOOP_START] = "start",     [NOOP_STOP] = "stop",         [NOOP_REBOOT] = "reboot",
        [NOOP_RESET] = "reset",     [NOOP_SUSPEND] = "suspend", [NOOP_RESUME] = "resume",     [NOOP_DESTROY] = "destroy",
        [NOOP_SAVE] = "save",       [NOOP_RESTORE] = "restore", [NOOP_SEND] = "send",         [NOOP_RECEIVE] = "receive",
        [NOOP_MEMORY] = "memory",   [NOOP_VCPUS] = "vcpus",     [NOOP_PLUG] = "plug",         [NOOP_UNPLUG] = "unplug",
        [NOOP_QUERY] = "query",     [NOOP_STATISTICS] = "statistics", [NOOP_CHECK_SEND] = "check-send",
};

static const struct {
        const char *name;
        enum hypervisor_event event;
} moment_names[NOOP_MOMENTS] = {
        { "poweroff-after-ms", HYPERVISOR_POWERED_OFF },  { "reboot-after-ms", HYPERVISOR_REBOOTED },
        { "crash-after-ms", HYPERVISOR_PANICKED },        { "watchdog-after-ms", HYPERVISOR_WATCHDOG },
        { "disk-failure-after-ms", HYPERVISOR_DISK_FAILED }, { "exit-after-ms", HYPERVISOR_EXITED },
        { "break-after-ms", HYPERVISOR_BROKEN },
};

#define KERNEL_ABOUT(verb) { verb, "How " verb " goes: fail, unheeded (by the guest's kernel, and late), stuck, or milliseconds that it takes." }
#define VERB_ABOUT(verb) { verb, "How " verb " goes: fail, stuck (it ends only when cancelled), or milliseconds that it takes." }

const struct hypervisor_option noop_option_list[] = {
        { "boot-ms", "Milliseconds from start to the login prompt, when the guest's agent answers; 0 if absent." },
        { "address-after-ms", "Milliseconds from start to its addresses, or never; as boot-ms if absent." },
        { "shutdown", "What the guest does when asked to power down: clean, slow, ignore or crash." },
        { "shutdown-ms", "Milliseconds that powering down takes; 0 if absent, 2000 with shutdown=slow." },
        { "poweroff-after-ms", "Milliseconds after which the guest switches itself off." },
        { "reboot-after-ms", "Milliseconds after which the guest reboots, each time." },
        { "crash-after-ms", "Milliseconds after which the guest crashes." },
        { "watchdog-after-ms", "Milliseconds after which the guest's watchdog runs out." },
        { "disk-failure-after-ms", "Milliseconds after which a disk fails, until Resume()." },
        { "exit-after-ms", "Milliseconds after which the guest is gone, as if its process had died." },
        { "break-after-ms", "Milliseconds after which the backend says that it cannot go on." },
        VERB_ABOUT("prepare"),
        VERB_ABOUT("start"),
        VERB_ABOUT("stop"),
        VERB_ABOUT("reboot"),
        VERB_ABOUT("reset"),
        VERB_ABOUT("suspend"),
        VERB_ABOUT("resume"),
        VERB_ABOUT("destroy"),
        VERB_ABOUT("save"),
        VERB_ABOUT("restore"),
        VERB_ABOUT("send"),
        VERB_ABOUT("receive"),
        KERNEL_ABOUT("memory"),
        KERNEL_ABOUT("vcpus"),
        VERB_ABOUT("plug"),
        KERNEL_ABOUT("unplug"),
        VERB_ABOUT("query"),
        VERB_ABOUT("statistics"),
        VERB_ABOUT("check-send"),
        { NULL, NULL },
};

static int refuse(struct idl_error *error, const struct xcp_dict_s_s_entry *entry, const char *limit) {
        char name[96];

        snprintf(name, sizeof name, "spec.backend_options.%.64s", entry->key);
        return idl_error_set_invalid_argument(error, name, entry->value, limit);
}

static int read_ms(const char *value, uint32_t *ret_ms) {
        unsigned long ms;
        char *end;

        if (*value < '0' || *value > '9')
                return -EINVAL;
        errno = 0;
        ms = strtoul(value, &end, 10);
        if (errno > 0 || *end || ms > NOOP_MS_MAX)
                return -EINVAL;
        *ret_ms = (uint32_t) ms;
        return 0;
}

static int read_time(const struct xcp_dict_s_s_entry *entry, bool may_be_never, uint32_t *ret_ms, struct idl_error *error) {
        if (may_be_never && strcmp(entry->value, "never") == 0) {
                *ret_ms = NOOP_NEVER;
                return 0;
        }
        if (read_ms(entry->value, ret_ms) < 0)
                return refuse(error, entry, "has to be milliseconds, 0 to 86400000");
        return 0;
}

static int read_shutdown(struct noop_options *options, const struct xcp_dict_s_s_entry *entry, bool *slow, struct idl_error *error) {
        static const struct {
                const char *name;
                enum noop_shutdown shutdown;
        } names[] = { { "clean", NOOP_SHUTDOWN_CLEAN }, { "slow", NOOP_SHUTDOWN_CLEAN }, { "ignore", NOOP_SHUTDOWN_IGNORE },
                      { "crash", NOOP_SHUTDOWN_CRASH } };

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                if (strcmp(entry->value, names[i].name) == 0) {
                        options->shutdown = names[i].shutdown;
                        *slow = i == 1;
                        return 0;
                }
        return refuse(error, entry, "has to be clean, slow, ignore or crash");
}

/* Whether it takes the guest's kernel, which may do nothing. */
static bool is_of_kernel(enum noop_verb verb) {
        return verb == NOOP_MEMORY || verb == NOOP_VCPUS || verb == NOOP_UNPLUG;
}

/* 1 if the entry is about an operation, 0 if it is not. */
static int read_verb(struct noop_options *options, const struct xcp_dict_s_s_entry *entry, struct idl_error *error) {
        for (enum noop_verb verb = 0; verb < _NOOP_VERB_N; verb++) {
                if (strcmp(entry->key, verb_names[verb]) != 0)
                        continue;
                if (strcmp(entry->value, "fail") == 0)
                        options->verbs[verb].way = NOOP_FAIL;
                else if (strcmp(entry->value, "unheeded") == 0 && is_of_kernel(verb))
                        options->verbs[verb].way = NOOP_UNHEEDED;
                else if (strcmp(entry->value, "stuck") == 0)
                        options->verbs[verb].way = NOOP_STUCK;
                else if (read_ms(entry->value, &options->verbs[verb].ms) < 0)
                        return refuse(error, entry, "has to be fail, stuck, or milliseconds, 0 to 86400000");
                return 1;
        }
        return 0;
}

static int read_moment(struct noop_options *options, const struct xcp_dict_s_s_entry *entry, struct idl_error *error) {
        for (size_t i = 0; i < NOOP_MOMENTS; i++)
                if (strcmp(entry->key, moment_names[i].name) == 0) {
                        int r = read_time(entry, false, &options->moments[i].ms, error);

                        return r < 0 ? r : 1;
                }
        return 0;
}

static int read_entry(struct noop_options *options, const struct xcp_dict_s_s_entry *entry, bool *slow, bool *has_address,
                      struct idl_error *error) {
        int r;

        if (strcmp(entry->key, "boot-ms") == 0)
                return read_time(entry, false, &options->boot_ms, error);
        if (strcmp(entry->key, "shutdown-ms") == 0)
                return read_time(entry, false, &options->shutdown_ms, error);
        if (strcmp(entry->key, "shutdown") == 0)
                return read_shutdown(options, entry, slow, error);
        if (strcmp(entry->key, "address-after-ms") == 0) {
                *has_address = true;
                return read_time(entry, true, &options->address_ms, error);
        }
        r = read_verb(options, entry, error);
        if (r == 0)
                r = read_moment(options, entry, error);
        if (r == 0)
                return refuse(error, entry, "is no option of noop, ListBackends() has them");
        return r < 0 ? r : 0;
}

int noop_options_read(struct noop_options *ret_options, const struct xcp_dict_s_s_entry *entries, size_t n_entries,
                      struct idl_error *error) {
        struct noop_options options = { .shutdown_ms = NOOP_NEVER };
        bool slow = false, has_address = false;
        int r;

        for (size_t i = 0; i < NOOP_MOMENTS; i++)
                options.moments[i] = (struct noop_moment) { moment_names[i].event, NOOP_NEVER };
        for (size_t i = 0; i < n_entries; i++) {
                r = read_entry(&options, entries + i, &slow, &has_address, error);
                if (r < 0)
                        return r;
        }
        if (!has_address)
                options.address_ms = options.boot_ms;
        if (options.shutdown_ms == NOOP_NEVER)
                options.shutdown_ms = slow ? NOOP_SHUTDOWN_SLOW_MS : 0;
        *ret_options = options;
        return 0;
}

static void take_next(uint64_t ran_usec, uint32_t ms, uint64_t *next_usec) {
        uint64_t usec = ms * UINT64_C(1000);

        if (ms != NOOP_NEVER && usec > ran_usec && usec < *next_usec)
                *next_usec = usec;
}

enum hypervisor_event noop_options_event(const struct noop_options *options, uint64_t ran_usec, bool disk_failure_is_over,
                                         uint64_t *ret_next_usec) {
        enum hypervisor_event event = HYPERVISOR_NO_EVENT;
        uint64_t first = UINT64_MAX;

        *ret_next_usec = UINT64_MAX;
        take_next(ran_usec, options->boot_ms, ret_next_usec);
        take_next(ran_usec, options->address_ms, ret_next_usec);
        for (size_t i = 0; i < NOOP_MOMENTS; i++) {
                const struct noop_moment *moment = options->moments + i;
                uint64_t usec = moment->ms * UINT64_C(1000);

                if (moment->ms == NOOP_NEVER || (moment->event == HYPERVISOR_DISK_FAILED && disk_failure_is_over))
                        continue;
                take_next(ran_usec, moment->ms, ret_next_usec);
                if (usec <= ran_usec && usec < first) {
                        first = usec;
                        event = moment->event;
                }
        }
        return event;
}
