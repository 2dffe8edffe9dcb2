/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "facts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define HEADER "xcp-xen-guest 1"
#define PLUGGED 1u                      /* what a device is, in a number */
#define LEFT 2u

static const char *const phases[_FACTS_PHASE_N] = {
        [FACTS_NONE] = "none", [FACTS_BEGUN] = "begun", [FACTS_PREPARED] = "prepared", [FACTS_STARTED] = "started",
        [FACTS_REBUILDING] = "rebuilding",
};

/* Text */

static int append(char *text, size_t size, size_t *n, const char *format, ...) __attribute__((format(printf, 4, 5)));

static int append(char *text, size_t size, size_t *n, const char *format, ...) {
        va_list arguments;
        int k;

        va_start(arguments, format);
        k = vsnprintf(text + *n, size - *n, format, arguments);
        va_end(arguments);
        if (k < 0 || (size_t) k >= size - *n)
                return -E2BIG;
        *n += (size_t) k;
        return 0;
}

int xen_facts_print(const struct xen_facts *facts, const char *boot_id, char *text, size_t size) {
        size_t n = 0;
        int r;

        r = append(text, size, &n,
                   HEADER "\nboot %s\nphase %s\ndomid %" PRIu32 "\nother %" PRIu32 "\nstarted %" PRIu64 "\nadopted %d\n", boot_id,
                   phases[facts->phase], facts->domid, facts->other, facts->started_usec, facts->is_adopted);
        for (size_t i = 0; i < facts->n_devices && r >= 0; i++) {
                const struct xen_facts_device *device = facts->devices + i;

                r = append(text, size, &n, "%s %s %" PRIu32 " %d\n", device->is_disk ? "disk" : "network", device->name, device->index,
                           (device->is_plugged ? PLUGGED : 0) | (device->is_left ? LEFT : 0));
        }
        return r;
}

static int parse_phase(const char *word, enum xen_facts_phase *ret_phase) {
        for (enum xen_facts_phase phase = FACTS_BEGUN; phase < _FACTS_PHASE_N; phase++)
                if (strcmp(phases[phase], word) == 0) {
                        *ret_phase = phase;
                        return 0;
                }
        return -EBADMSG;
}

static int parse_device(struct xen_facts *facts, const char *line) {
        struct xen_facts_device *device = facts->devices + facts->n_devices;
        char kind[8], name[FACTS_NAME_SIZE];
        unsigned is;

        if (facts->n_devices >= HYPERVISOR_DEVICES_MAX ||
            sscanf(line, "%7s %32s %" SCNu32 " %u", kind, name, &device->index, &is) != 4 ||
            (strcmp(kind, "disk") != 0 && strcmp(kind, "network") != 0) || is > (PLUGGED | LEFT))
                return -EBADMSG;
        device->is_disk = kind[0] == 'd';
        device->is_plugged = is & PLUGGED;
        device->is_left = is & LEFT;
        memcpy(device->name, name, sizeof name);
        facts->n_devices++;
        return 0;
}

int xen_facts_parse(struct xen_facts *ret_facts, const char *text, const char *boot_id) {
        struct xen_facts facts = { .phase = FACTS_NONE };
        char boot[40], phase[16];
        unsigned adopted;
        int n = -1, r;

        if (sscanf(text,
                   HEADER "\nboot %39s\nphase %15s\ndomid %" SCNu32 "\nother %" SCNu32 "\nstarted %" SCNu64 "\nadopted %u\n%n", boot, phase,
                   &facts.domid, &facts.other, &facts.started_usec, &adopted, &n) != 6 || n < 0 || adopted > 1)
                return -EBADMSG;
        if (strcmp(boot, boot_id) != 0)
                return -ESTALE;
        facts.is_adopted = adopted;
        r = parse_phase(phase, &facts.phase);
        for (const char *line = text + n; *line && r >= 0; line++) {
                r = parse_device(&facts, line);
                line = strchr(line, '\n');
                if (!line)
                        return -EBADMSG;
        }
        if (r >= 0)
                *ret_facts = facts;
        return r;
}

/* Files */

int xen_facts_write_file(int directory_fd, const char *name, const char *text, size_t size) {
        char temporary[64];
        int fd, r = 0;

        snprintf(temporary, sizeof temporary, ".%s", name);
        fd = openat(directory_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        for (size_t n = 0; n < size && r >= 0;) {
                ssize_t k = write(fd, text + n, size - n);

                if (k > 0)
                        n += (size_t) k;
                else
                        r = k < 0 ? -errno : -EIO;
        }
        if (close(fd) < 0 && r >= 0)
                r = -errno;
        if (r >= 0 && renameat(directory_fd, temporary, directory_fd, name) < 0)
                r = -errno;
        if (r < 0)
                unlinkat(directory_fd, temporary, 0);
        return r;
}

int xen_facts_save(const struct xen_facts *facts, const char *boot_id, int directory_fd, const char *name) {
        AUTO_FREE char *text = malloc(FACTS_SIZE_MAX);
        int r;

        if (!text)
                return -ENOMEM;
        r = xen_facts_print(facts, boot_id, text, FACTS_SIZE_MAX);
        return r < 0 ? r : xen_facts_write_file(directory_fd, name, text, strlen(text));
}

int xen_facts_load(struct xen_facts *ret_facts, const char *boot_id, int directory_fd, const char *name) {
        AUTO_CLOSE int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        AUTO_FREE char *text = NULL;
        ssize_t n;

        if (fd < 0)
                return -errno;
        text = malloc(FACTS_SIZE_MAX);
        if (!text)
                return -ENOMEM;
        n = read(fd, text, FACTS_SIZE_MAX - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return xen_facts_parse(ret_facts, text, boot_id);
}

/* Devices */

struct xen_facts_device *xen_facts_find(struct xen_facts *facts, bool is_disk, const char *name) {
        for (size_t i = 0; i < facts->n_devices; i++)
                if (facts->devices[i].is_disk == is_disk && strcmp(facts->devices[i].name, name) == 0)
                        return facts->devices + i;
        return NULL;
}

uint32_t xen_facts_free_index(const struct xen_facts *facts, bool is_disk) {
        uint32_t index = 0;

        for (size_t i = 0; i < facts->n_devices;)
                if (facts->devices[i].is_disk == is_disk && facts->devices[i].index == index) {
                        index++;
                        i = 0;
                } else
                        i++;
        return index;
}

int xen_facts_add(struct xen_facts *facts, bool is_disk, const char *name, struct xen_facts_device **ret_device) {
        struct xen_facts_device *device = facts->devices + facts->n_devices;

        if (facts->n_devices >= HYPERVISOR_DEVICES_MAX)
                return -E2BIG;
        *device = (struct xen_facts_device) { .is_disk = is_disk, .is_plugged = true, .index = xen_facts_free_index(facts, is_disk) };
        snprintf(device->name, sizeof device->name, "%s", name);
        facts->n_devices++;
        *ret_device = device;
        return 0;
}

void xen_facts_remove(struct xen_facts *facts, struct xen_facts_device *device) {
        size_t i = (size_t) (device - facts->devices);

        facts->n_devices--;
        memmove(device, device + 1, (facts->n_devices - i) * sizeof *device);
}
