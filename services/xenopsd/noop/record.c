/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define MAGIC "xcp-noop-guest 1"

void record_done(struct record *record) {
        for (size_t i = 0; i < record->n_entries; i++) {
                free((char *) record->entries[i].key);
                free((char *) record->entries[i].value);
        }
        free(record->entries);
        free(record->devices);
        *record = (struct record) { .state = HYPERVISOR_ABSENT };
}

void record_move(struct record *to, struct record *from) {
        record_done(to);
        *to = *from;
        *from = (struct record) { .state = HYPERVISOR_ABSENT };
}

int record_add_device(struct record *record, const struct record_device *device) {
        struct record_device *devices = reallocarray(record->devices, record->n_devices + 1, sizeof *devices);

        if (!devices)
                return -ENOMEM;
        record->devices = devices;
        devices[record->n_devices++] = *device;
        return 0;
}

struct record_device *record_find_device(struct record *record, bool is_disk, const char *name) {
        for (size_t i = 0; i < record->n_devices; i++)
                if (record->devices[i].is_disk == is_disk && strcmp(record->devices[i].name, name) == 0)
                        return record->devices + i;
        return NULL;
}

static int add_entry(struct record *record, const char *key, const char *value) {
        struct xcp_dict_s_s_entry *entries = reallocarray(record->entries, record->n_entries + 1, sizeof *entries);
        struct xcp_dict_s_s_entry *entry;

        if (!entries)
                return -ENOMEM;
        record->entries = entries;
        entry = entries + record->n_entries++;
        *entry = (struct xcp_dict_s_s_entry) { strdup(key), strdup(value) };
        return entry->key && entry->value ? 0 : -ENOMEM;
}

void record_device_network(struct record_device *ret_device, const struct xcp_network_interface_spec *spec) {
        unsigned mac[6] = { 0 };

        *ret_device = (struct record_device) { .plugged = true, .carrier = spec->carrier,
                                               .user_network = strcmp(spec->network, "user") == 0 };
        snprintf(ret_device->name, sizeof ret_device->name, "%s", spec->name);
        if (sscanf(spec->mac, "%2x:%2x:%2x:%2x:%2x:%2x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) == 6)
                for (size_t i = 0; i < 6; i++)
                        ret_device->mac[i] = (unsigned char) mac[i];
}

static int add_devices(struct record *record, const struct xcp_vm_spec *spec) {
        struct record_device device;
        int r = 0;

        for (size_t i = 0; i < spec->n_disks && r >= 0; i++) {
                device = (struct record_device) { .is_disk = true, .plugged = true };
                snprintf(device.name, sizeof device.name, "%s", spec->disks[i].name);
                r = record_add_device(record, &device);
        }
        for (size_t i = 0; i < spec->n_network_interfaces && r >= 0; i++) {
                record_device_network(&device, spec->network_interfaces + i);
                r = record_add_device(record, &device);
        }
        return r;
}

int record_init(struct record *ret_record, const struct xcp_vm_spec *spec, struct idl_error *error) {
        struct record record = { .state = HYPERVISOR_PREPARED, .memory = spec->memory, .vcpus = spec->vcpus };
        int r;

        snprintf(record.name, sizeof record.name, "%s", spec->name);
        r = noop_options_read(&record.options, spec->backend_options, spec->n_backend_options, error);
        for (size_t i = 0; i < spec->n_backend_options && r >= 0; i++)
                r = add_entry(&record, spec->backend_options[i].key, spec->backend_options[i].value);
        if (r >= 0)
                r = add_devices(&record, spec);
        if (r < 0) {
                record_done(&record);
                return r;
        }
        *ret_record = record;
        return 0;
}

uint64_t record_ran_usec(const struct record *record, uint64_t now_usec) {
        if (record->state != HYPERVISOR_RUNNING || now_usec < record->resumed_usec)
                return record->ran_usec;
        return record->ran_usec + (now_usec - record->resumed_usec);
}

int record_print(const struct record *record, const char *boot_id, char **ret_text) {
        char *text = NULL;
        size_t size = 0;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        fprintf(f, MAGIC "\nboot %s\nname %s\nstate %d\nevent %d\n", boot_id, record->name, (int) record->state, (int) record->event);
        fprintf(f, "started %" PRIu64 "\nran %" PRIu64 "\nresumed %" PRIu64 "\n", record->started_usec, record->ran_usec,
                record->resumed_usec);
        fprintf(f, "memory %" PRIu64 "\nvcpus %" PRIu32 "\ndisk-failure-is-over %d\n", record->memory, record->vcpus,
                record->disk_failure_is_over);
        for (size_t i = 0; i < record->n_devices; i++) {
                const struct record_device *device = record->devices + i;

                fprintf(f, "device %s %d %d %d %d %02x:%02x:%02x:%02x:%02x:%02x\n", device->name, device->is_disk, device->plugged,
                        device->carrier, device->user_network, device->mac[0], device->mac[1], device->mac[2], device->mac[3],
                        device->mac[4], device->mac[5]);
        }
        for (size_t i = 0; i < record->n_entries; i++)
                fprintf(f, "option %s %s\n", record->entries[i].key, record->entries[i].value);
        fputs("end\n", f);
        if (fclose(f) != 0) {
                free(text);
                return -ENOMEM;
        }
        *ret_text = text;
        return 0;
}

static int parse_device(struct record *record, const char *text) {
        struct record_device device = { .is_disk = false };
        int is_disk, plugged, carrier, user_network;
        unsigned mac[6];

        if (sscanf(text, "%71s %d %d %d %d %2x:%2x:%2x:%2x:%2x:%2x", device.name, &is_disk, &plugged, &carrier, &user_network, mac,
                   mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 11)
                return -EBADMSG;
        device.is_disk = is_disk;
        device.plugged = plugged;
        device.carrier = carrier;
        device.user_network = user_network;
        for (size_t i = 0; i < 6; i++)
                device.mac[i] = (unsigned char) mac[i];
        return record->n_devices < HYPERVISOR_DEVICES_MAX ? record_add_device(record, &device) : -EBADMSG;
}

static int parse_option(struct record *record, char *text) {
        char *space = strchr(text, ' ');

        if (!space)
                return -EBADMSG;
        *space = '\0';
        return add_entry(record, text, space + 1);
}

static int parse_number(const char *text, uint64_t max, uint64_t *ret) {
        char *end;

        errno = 0;
        *ret = strtoull(text, &end, 10);
        return errno > 0 || end == text || *end || *ret > max ? -EBADMSG : 0;
}

static int parse_line(struct record *record, const char *key, char *value) {
        uint64_t number = 0;
        int r;

        if (strcmp(key, "name") == 0) {
                snprintf(record->name, sizeof record->name, "%s", value);
                return 0;
        }
        if (strcmp(key, "device") == 0)
                return parse_device(record, value);
        if (strcmp(key, "option") == 0)
                return parse_option(record, value);

        r = parse_number(value, UINT64_MAX, &number);
        if (r < 0)
                return r;
        if (strcmp(key, "state") == 0 && number >= HYPERVISOR_ABSENT && number <= HYPERVISOR_ENDED)
                record->state = (enum hypervisor_state) number;
        else if (strcmp(key, "event") == 0 && number < _HYPERVISOR_EVENT_N)
                record->event = (enum hypervisor_event) number;
        else if (strcmp(key, "started") == 0)
                record->started_usec = number;
        else if (strcmp(key, "ran") == 0)
                record->ran_usec = number;
        else if (strcmp(key, "resumed") == 0)
                record->resumed_usec = number;
        else if (strcmp(key, "memory") == 0)
                record->memory = number;
        else if (strcmp(key, "vcpus") == 0 && number <= UINT32_MAX)
                record->vcpus = (uint32_t) number;
        else if (strcmp(key, "disk-failure-is-over") == 0)
                record->disk_failure_is_over = number;
        else
                return -EBADMSG;
        return 0;
}

static int parse(struct record *record, char *text, const char *boot_id) {
        char *line, *rest = text;
        int r;

        line = strsep(&rest, "\n");
        if (strcmp(line, MAGIC) != 0)
                return -EBADMSG;
        while ((line = strsep(&rest, "\n"))) {
                char *space = strchr(line, ' ');

                if (strcmp(line, "end") == 0)
                        return noop_options_read(&record->options, record->entries, record->n_entries, NULL) < 0 ? -EBADMSG : 0;
                if (!space)
                        return -EBADMSG;
                *space = '\0';
                if (strcmp(line, "boot") == 0) {
                        if (boot_id && strcmp(space + 1, boot_id) != 0)
                                return -ESTALE;
                        continue;
                }
                r = parse_line(record, line, space + 1);
                if (r < 0)
                        return r;
        }
        return -EBADMSG;
}

int record_parse(struct record *ret_record, const char *text, const char *boot_id) {
        struct record record = { .state = HYPERVISOR_ABSENT };
        AUTO_FREE char *copy = strdup(text);
        int r;

        r = copy ? parse(&record, copy, boot_id) : -ENOMEM;
        if (r < 0) {
                record_done(&record);
                return r;
        }
        *ret_record = record;
        return 0;
}

int record_save(const struct record *record, const char *boot_id, const char *path) {
        AUTO_FREE char *text = NULL, *temporary = NULL;
        AUTO_CLOSE int fd = -1;
        ssize_t n;
        int r;

        r = record_print(record, boot_id, &text);
        if (r < 0)
                return r;
        if (asprintf(&temporary, "%s.new", path) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        n = write(fd, text, strlen(text));
        r = n < 0 ? -errno : (size_t) n < strlen(text) ? -ENOSPC : 0;
        if (r >= 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0)
                unlink(temporary);
        return r;
}

int record_load(struct record *ret_record, const char *boot_id, const char *path) {
        AUTO_FREE char *text = malloc(RECORD_SIZE_MAX + 1);
        AUTO_CLOSE int fd = -1;
        ssize_t n;

        if (!text)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, text, RECORD_SIZE_MAX);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return record_parse(ret_record, text, boot_id);
}
