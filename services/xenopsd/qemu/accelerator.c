/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "accelerator.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"
#include "log.h"

#define MEMORY_FILE "accelerator"
#define PROBE_MS 3000u                  /* a guest that works is through in less than 100 */
#define ROM_SIZE 65536u
#define EXIT_GOOD 33                    /* isa-debug-exit: twice the value written, and one */

struct waiter {
        struct waiter *next;
        accelerator_known_t known;
        void *userdata;
};

struct accelerator {
        sd_event *event;
        int directory_fd;
        char *boot_id, *program;
        enum qemu_accelerator best;
        struct child *probe;
        int rom_fd;
        struct waiter *waiters;
};

/* What was found */

static enum qemu_accelerator recall(const struct accelerator *accelerator) {
        AUTO_CLOSE int fd = openat(accelerator->directory_fd, MEMORY_FILE, O_RDONLY | O_CLOEXEC);
        char text[128] = "", expected[128];

        if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
                return QEMU_AUTO;
        for (enum qemu_accelerator best = QEMU_TCG; best <= QEMU_KVM; best++) {
                snprintf(expected, sizeof expected, "%s %s\n", accelerator->boot_id, qemu_accelerator_to_string(best));
                if (strcmp(text, expected) == 0)
                        return best;
        }
        return QEMU_AUTO;
}

static void remember(const struct accelerator *accelerator) {
        AUTO_CLOSE int fd = openat(accelerator->directory_fd, MEMORY_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || dprintf(fd, "%s %s\n", accelerator->boot_id, qemu_accelerator_to_string(accelerator->best)) < 0)
                log_event(LOG_WARNING, NULL, "Cannot remember which accelerator QEMU has: it will be looked for again");
}

/* Looking */

static void tell_all(struct accelerator *accelerator) {
        while (accelerator->waiters) {
                struct waiter *waiter = accelerator->waiters;

                accelerator->waiters = waiter->next;
                waiter->known(waiter->userdata);
                free(waiter);
        }
}

static void on_end(const struct child_end *end, void *userdata) {
        struct accelerator *accelerator = userdata;
        bool works = !end->killed && !end->timed_out && WIFEXITED(end->status) && WEXITSTATUS(end->status) == EXIT_GOOD;
        char how[256] = "";

        if (!works)
                child_end_describe(end, how, sizeof how);
        accelerator->probe = child_free(accelerator->probe);
        accelerator->best = works ? QEMU_KVM : QEMU_TCG;
        log_event(LOG_INFO, NULL, works ? "QEMU's guests have hardware virtualisation: a guest ran with KVM%s"
                                        : "QEMU's guests have software emulation: QEMU with KVM %s", how);
        remember(accelerator);
        tell_all(accelerator);
}

/* A ROM whose first instructions end QEMU: mov $0x10,%al; out %al,$0xf4; hlt; jmp. */
static int make_rom(void) {
        static const unsigned char start[] = { 0xb0, 0x10, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd };
        int fd = memfd_create("probe", MFD_CLOEXEC), r;

        if (fd < 0)
                return -errno;
        if (ftruncate(fd, ROM_SIZE) < 0 || pwrite(fd, start, sizeof start, ROM_SIZE - 16) != sizeof start) {
                r = -errno;
                close(fd);
                return r;
        }
        return fd;
}

static int look(struct accelerator *accelerator) {
        static const struct child_listener listener = { .end = on_end };
        const char *const argv[] = {
                accelerator->program, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc,accel=kvm", "-cpu", "host",
                "-m", "16M", "-bios", "/proc/self/fd/3", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-no-reboot", NULL,
        };
        struct child_spec spec = { .argv = argv, .n_fds = 1, .deadline_usec = PROBE_MS * UINT64_C(1000) };
        AUTO_CLOSE int rom = make_rom();

        if (rom < 0)
                return rom;
        spec.fds = &rom;
        return child_start(&accelerator->probe, accelerator->event, &spec, &listener, accelerator);
}

enum qemu_accelerator accelerator_best(const struct accelerator *accelerator) {
        return accelerator->best;
}

int accelerator_find(struct accelerator *accelerator, accelerator_known_t known, void *userdata) {
        struct waiter *waiter = malloc(sizeof *waiter);
        int r = 0;

        if (!waiter)
                return -ENOMEM;
        if (!accelerator->probe)
                r = look(accelerator);
        if (r < 0) {
                free(waiter);
                return r;
        }
        *waiter = (struct waiter) { accelerator->waiters, known, userdata };
        accelerator->waiters = waiter;
        return 0;
}

void accelerator_forget(struct accelerator *accelerator, void *userdata) {
        for (struct waiter **p = &accelerator->waiters; *p;) {
                struct waiter *waiter = *p;

                if (waiter->userdata == userdata) {
                        *p = waiter->next;
                        free(waiter);
                } else
                        p = &waiter->next;
        }
}

int accelerator_new(struct accelerator **ret_accelerator, sd_event *event, int directory_fd, const char *boot_id, const char *program) {
        struct accelerator *accelerator = malloc(sizeof *accelerator);

        if (!accelerator)
                return -ENOMEM;
        *accelerator = (struct accelerator) { .event = sd_event_ref(event), .directory_fd = directory_fd, .boot_id = strdup(boot_id),
                                              .program = strdup(program) };
        if (!accelerator->boot_id || !accelerator->program) {
                accelerator_free(accelerator);
                return -ENOMEM;
        }
        accelerator->best = recall(accelerator);
        *ret_accelerator = accelerator;
        return 0;
}

struct accelerator *accelerator_free(struct accelerator *accelerator) {
        if (!accelerator)
                return NULL;
        while (accelerator->waiters)
                accelerator_forget(accelerator, accelerator->waiters->userdata);
        child_free(accelerator->probe);
        sd_event_unref(accelerator->event);
        free(accelerator->boot_id);
        free(accelerator->program);
        free(accelerator);
        return NULL;
}
