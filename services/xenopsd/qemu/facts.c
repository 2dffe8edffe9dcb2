/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cleanup.h"

#define TEMPORARY_FILE FACTS_FILE ".new"

static void put_json(struct json_object **object) {
        json_object_put(*object);
}

/* Writing */

static struct json_object *print_names(const char *names, size_t n, size_t stride) {
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; array && i < n; i++)
                json_object_array_add(array, json_object_new_string(names + i * stride));
        return array;
}

int facts_print(const struct facts *facts, const char *boot_id, char **ret_text) {
        AUTO(put_json) struct json_object *root = json_object_new_object();
        const char *text;

        if (!root)
                return -ENOMEM;
        json_object_object_add(root, "boot", json_object_new_string(boot_id));
        json_object_object_add(root, "phase", json_object_new_int(facts->phase));
        json_object_object_add(root, "pid", json_object_new_int(facts->process.pid));
        json_object_object_add(root, "start", json_object_new_uint64(facts->process.start));
        json_object_object_add(root, "started_usec", json_object_new_uint64(facts->started_usec));
        json_object_object_add(root, "machine", json_object_new_string(qemu_machine_to_string(facts->machine)));
        json_object_object_add(root, "vcpus", json_object_new_uint64(facts->vcpus));
        json_object_object_add(root, "queues", json_object_new_uint64(facts->n_queues));
        json_object_object_add(root, "slots", print_names(facts->slots[0].device, facts->n_slots, sizeof facts->slots[0]));
        json_object_object_add(root, "unplugged", print_names(facts->unplugged[0], facts->n_unplugged, sizeof facts->unplugged[0]));
        json_object_object_add(root, "networks", print_names(facts->networks[0].name, facts->n_networks, sizeof facts->networks[0]));
        json_object_object_add(root, "macs", print_names(facts->networks[0].mac, facts->n_networks, sizeof facts->networks[0]));
        text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN);
        *ret_text = text ? strdup(text) : NULL;
        return *ret_text ? 0 : -ENOMEM;
}

static int write_all(int fd, const char *data, size_t n) {
        while (n > 0) {
                ssize_t written = write(fd, data, n);

                if (written < 0 && errno == EINTR)
                        continue;
                if (written < 0)
                        return -errno;
                data += written;
                n -= (size_t) written;
        }
        return 0;
}

int facts_save(const struct facts *facts, const char *boot_id, int directory_fd) {
        AUTO_FREE char *text = NULL;
        AUTO_CLOSE int fd = -1;
        int r;

        r = facts_print(facts, boot_id, &text);
        if (r < 0)
                return r;
        fd = openat(directory_fd, TEMPORARY_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, text, strlen(text));
        if (r >= 0 && renameat(directory_fd, TEMPORARY_FILE, directory_fd, FACTS_FILE) < 0)
                r = -errno;
        if (r < 0)
                unlinkat(directory_fd, TEMPORARY_FILE, 0);
        return r;
}

/* Reading */

static struct json_object *member(struct json_object *root, const char *name, enum json_type type) {
        struct json_object *value;

        return json_object_object_get_ex(root, name, &value) && json_object_is_type(value, type) ? value : NULL;
}

/* Names of up to size bytes, each stride bytes from the one before. */
static int parse_names(struct json_object *root, const char *name, char *names, size_t size, size_t n_max, size_t stride,
                       size_t *ret_n) {
        struct json_object *array = member(root, name, json_type_array);
        size_t n = array ? json_object_array_length(array) : 0;

        if (!array || n > n_max)
                return -EBADMSG;
        for (size_t i = 0; i < n; i++) {
                struct json_object *item = json_object_array_get_idx(array, i);

                if (!json_object_is_type(item, json_type_string) || (size_t) json_object_get_string_len(item) >= size)
                        return -EBADMSG;
                snprintf(names + i * stride, size, "%s", json_object_get_string(item));
        }
        *ret_n = n;
        return 0;
}

static int parse_networks(struct json_object *root, struct facts *facts) {
        const size_t stride = sizeof facts->networks[0];
        size_t n;

        if (parse_names(root, "networks", facts->networks[0].name, sizeof facts->networks[0].name, FACTS_NETWORKS_MAX, stride,
                        &facts->n_networks) < 0 ||
            parse_names(root, "macs", facts->networks[0].mac, sizeof facts->networks[0].mac, FACTS_NETWORKS_MAX, stride, &n) < 0)
                return -EBADMSG;
        return n == facts->n_networks ? 0 : -EBADMSG;
}

int facts_parse(struct facts *ret_facts, const char *untrusted, const char *boot_id) {
        AUTO(put_json) struct json_object *root = json_tokener_parse(untrusted);
        struct json_object *boot, *phase, *pid, *start, *started, *machine, *vcpus, *queues;
        struct facts facts = {};

        if (!root || !json_object_is_type(root, json_type_object) || !(boot = member(root, "boot", json_type_string)))
                return -EBADMSG;
        if (strcmp(json_object_get_string(boot), boot_id) != 0)
                return -ESTALE;
        phase = member(root, "phase", json_type_int);
        pid = member(root, "pid", json_type_int);
        start = member(root, "start", json_type_int);
        started = member(root, "started_usec", json_type_int);
        machine = member(root, "machine", json_type_string);
        vcpus = member(root, "vcpus", json_type_int);
        if (!phase || !pid || !start || !started || !machine ||
            qemu_machine_from_string(json_object_get_string(machine), &facts.machine) < 0)
                return -EBADMSG;
        facts.phase = (enum facts_phase) json_object_get_int(phase);
        if (facts.phase < FACTS_BEGUN || facts.phase > FACTS_ENDING)
                return -EBADMSG;
        facts.process = (struct process_identity) { json_object_get_int(pid), json_object_get_uint64(start) };
        facts.vcpus = vcpus ? (uint32_t) json_object_get_uint64(vcpus) : 0;      /* a manager before this one did not write it down */
        queues = member(root, "queues", json_type_int);         /* nor this; it was the same then, but of a guest that was given more */
        facts.n_queues = queues ? (uint32_t) json_object_get_uint64(queues) : facts.vcpus;
        facts.started_usec = json_object_get_uint64(started);
        if (parse_names(root, "slots", facts.slots[0].device, QEMU_ID_SIZE, QEMU_SLOTS_MAX, sizeof facts.slots[0], &facts.n_slots) < 0 ||
            parse_names(root, "unplugged", facts.unplugged[0], QEMU_ID_SIZE, HYPERVISOR_DEVICES_MAX, sizeof facts.unplugged[0],
                        &facts.n_unplugged) < 0 ||
            (member(root, "macs", json_type_array) && parse_networks(root, &facts) < 0))
                return -EBADMSG;
        *ret_facts = facts;
        return 0;
}

int facts_load(struct facts *ret_facts, const char *boot_id, int directory_fd) {
        AUTO_CLOSE int fd = openat(directory_fd, FACTS_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        AUTO_FREE char *text = NULL;
        ssize_t n;

        if (fd < 0)
                return -errno;
        text = malloc(FACTS_SIZE_MAX + 1);
        if (!text)
                return -ENOMEM;
        n = read(fd, text, FACTS_SIZE_MAX);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return facts_parse(ret_facts, text, boot_id);
}

/* Devices */

static size_t find_unplugged(const struct facts *facts, const char *id) {
        size_t i = 0;

        while (i < facts->n_unplugged && strcmp(facts->unplugged[i], id) != 0)
                i++;
        return i;
}

bool facts_is_unplugged(const struct facts *facts, const char *id) {
        return find_unplugged(facts, id) < facts->n_unplugged;
}

void facts_set_unplugged(struct facts *facts, const char *id, bool unplugged) {
        size_t i = find_unplugged(facts, id);

        if (unplugged && i == facts->n_unplugged && i < HYPERVISOR_DEVICES_MAX)
                snprintf(facts->unplugged[facts->n_unplugged++], QEMU_ID_SIZE, "%s", id);
        else if (!unplugged && i < facts->n_unplugged) {
                facts->n_unplugged--;
                memmove(facts->unplugged[i], facts->unplugged[i + 1], (facts->n_unplugged - i) * QEMU_ID_SIZE);
        }
}

void facts_set_mac(struct facts *facts, const char *name, const char *mac) {
        size_t i = 0;

        while (i < facts->n_networks && strcmp(facts->networks[i].name, name) != 0)
                i++;
        if (i == FACTS_NETWORKS_MAX)
                return;
        if (i == facts->n_networks)
                facts->n_networks++;
        snprintf(facts->networks[i].name, sizeof facts->networks[i].name, "%s", name);
        snprintf(facts->networks[i].mac, sizeof facts->networks[i].mac, "%s", mac);
}

bool facts_has_mac(const struct facts *facts, const char *mac) {
        for (size_t i = 0; i < facts->n_networks; i++)
                if (strcasecmp(facts->networks[i].mac, mac) == 0)
                        return true;
        return false;
}

const char *facts_find_mac(const struct facts *facts, const char *name) {
        for (size_t i = 0; i < facts->n_networks; i++)
                if (strcmp(facts->networks[i].name, name) == 0)
                        return facts->networks[i].mac;
        return NULL;
}

int facts_find_slot(const struct facts *facts, const char *id) {
        for (size_t i = 0; i < facts->n_slots; i++)
                if (strcmp(facts->slots[i].device, id) == 0)
                        return (int) i;
        return -1;
}
