/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "command-line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "devices.h"
#include "source.h"

struct words {
        char **argv;
        size_t n, n_allocated;
        int r;                          /* of the first failure */
};

/* Takes a word, or its absence. */
static void take(struct words *words, char *word) {
        if (words->r >= 0 && word && words->n + 1 >= words->n_allocated) {
                size_t n = words->n_allocated > 0 ? 2 * words->n_allocated : 32;
                char **argv = realloc(words->argv, n * sizeof *argv);

                if (argv) {
                        words->argv = argv;
                        words->n_allocated = n;
                } else
                        words->r = -ENOMEM;
        }
        if (!word)
                words->r = -ENOMEM;
        if (words->r < 0) {
                free(word);
                return;
        }
        words->argv[words->n++] = word;
        words->argv[words->n] = NULL;
}

static void add(struct words *words, const char *word) {
        take(words, strdup(word));
}

static void add_pair(struct words *words, const char *option, const char *value) {
        add(words, option);
        add(words, value);
}

__attribute__((format(printf, 3, 4))) static void add_format(struct words *words, const char *option, const char *format, ...) {
        char *value;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&value, format, ap) < 0)
                value = NULL;
        va_end(ap);
        add(words, option);
        take(words, value);
}

static void add_json(struct words *words, const char *option, struct json_object *object) {
        const char *text = object ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;

        add(words, option);
        take(words, text ? strdup(text) : NULL);
        json_object_put(object);
}

char **command_line_free(char **argv) {
        for (size_t i = 0; argv && argv[i]; i++)
                free(argv[i]);
        free(argv);
        return NULL;
}

/* The machine */

static const char *cpu_model(const struct command_line *line) {
        if (line->options->cpu)
                return line->options->cpu;
        return line->accelerator == QEMU_KVM ? "host" : "max";
}

static void add_machine(struct words *words, const struct command_line *line) {
        const struct xcp_vm_spec *spec = line->config->spec;
        const char *accelerator = qemu_accelerator_to_string(line->accelerator);
        enum qemu_machine machine = line->options->machine;
        uint64_t memory = spec->has_memory_max ? spec->memory_max : spec->memory;       /* the balloon takes what it is not to have */

        add_format(words, "-name", "guest=%s,debug-threads=on", spec->name);    /* spec.h: no commas */
        add_pair(words, "-uuid", spec->uuid);
        add_format(words, "-machine", "%s,accel=%s%s%s%s", qemu_machine_to_string(machine), accelerator,
                   machine == QEMU_MICROVM ? ",acpi=on,pit=on,pic=on,rtc=on,isa-serial=on" : ",vmport=off",
                   spec->firmware == XCP_FIRMWARE_UEFI ? ",pflash0=firmware,pflash1=variables" : "",
                   line->options->data_path == QEMU_VHOST_USER ? ",memory-backend=memory" : "");      /* servers of disks map it */
        add_pair(words, "-cpu", cpu_model(line));
        add_format(words, "-m", "%" PRIu64 "M", memory / (UINT64_C(1) << 20));
        if (line->options->data_path == QEMU_VHOST_USER)
                add_format(words, "-object", "memory-backend-memfd,id=memory,size=%" PRIu64 ",share=on", memory);
        if (machine != QEMU_MICROVM && spec->has_vcpus_max && spec->vcpus_max > line->facts->vcpus)
                add_format(words, "-smp", "%" PRIu32 ",maxcpus=%" PRIu32, line->facts->vcpus, spec->vcpus_max);
        else
                add_format(words, "-smp", "%" PRIu32, line->facts->vcpus);
        add_pair(words, "-rtc", "base=utc");
        if (machine == QEMU_MICROVM)
                add_pair(words, "-global", "virtio-mmio.force-legacy=false");
}

static void add_flash(struct words *words, const char *node, const char *file, bool read_only) {
        struct json_object *object = json_object_new_object();

        if (object) {
                json_object_object_add(object, "node-name", json_object_new_string(node));
                json_object_object_add(object, "driver", json_object_new_string("file"));
                json_object_object_add(object, "filename", json_object_new_string(file));
                json_object_object_add(object, "read-only", json_object_new_boolean(read_only));
        }
        add_json(words, "-blockdev", object);
}

/* A microvm in software emulation has to be told how fast its counter is (ticks.h), as others find out. */
static void add_append(struct words *words, const struct command_line *line) {
        const char *text = line->config->spec->command_line;
        bool is_told = text && strstr(text, "tsc_early_khz=");

        if (line->options->machine == QEMU_MICROVM && line->accelerator == QEMU_TCG && line->ticks_khz > 0 && !is_told)
                add_format(words, "-append", "%s%stsc_early_khz=%" PRIu64 " tsc=reliable", text ?: "", text ? " " : "", line->ticks_khz);
        else if (text)
                add_pair(words, "-append", text);
}

static void add_firmware(struct words *words, const struct command_line *line) {
        const struct xcp_vm_spec *spec = line->config->spec;

        if (spec->firmware == XCP_FIRMWARE_UEFI) {
                add_flash(words, "firmware", line->firmware, true);
                add_flash(words, "variables", line->variables, false);
        }
        if (spec->firmware != XCP_FIRMWARE_KERNEL)
                return;
        add_pair(words, "-kernel", spec->kernel);
        if (spec->initramfs)
                add_pair(words, "-initrd", spec->initramfs);
        add_append(words, line);
}

/* How it is reached */

static void add_socket(struct words *words, const char *name, enum command_line_socket socket) {
        add_format(words, "-chardev", "socket,id=%s,fd=%u,server=on,wait=off", name, COMMAND_LINE_FD_FIRST + socket);
}

static void add_channels(struct words *words, const struct command_line *line) {
        const char *bus = line->options->machine == QEMU_MICROVM ? "virtio-serial-device" : "virtio-serial-pci,addr=0x3";

        add_socket(words, "monitor", COMMAND_LINE_MONITOR);
        add_pair(words, "-mon", "chardev=monitor,mode=control");
        add_socket(words, "serial0", COMMAND_LINE_SERIAL);
        add_pair(words, "-serial", "chardev:serial0");
        add_socket(words, "agent", COMMAND_LINE_AGENT);
        add_pair(words, "-device", bus);
        add_pair(words, "-device", "virtserialport,id=agent,chardev=agent,name=org.qemu.guest_agent.0");
}

/*
 * A screen and who looks at it: at a socket that QEMU makes in its directory, as it takes none that is given. The screen has an address
 * that no machine's own device and no slot has.
 */
static void add_display(struct words *words, const struct command_line *line) {
        if (line->options->display != QEMU_VNC)
                return;
        add_pair(words, "-vnc", "unix:" COMMAND_LINE_VNC ",share=ignore");  /* nobody throws others out */
        add_pair(words, "-device", line->options->machine == QEMU_PC ? "VGA,addr=0x1f" : "VGA,addr=0x1");
}

static void add_own_devices(struct words *words, const struct command_line *line) {
        if (line->options->machine == QEMU_MICROVM) {
                add_pair(words, "-device", "virtio-rng-device");
                add_pair(words, "-device", "virtio-balloon-device,id=balloon");
        } else {
                add_pair(words, "-device", "virtio-rng-pci,addr=0x2.0x0,multifunction=on");
                add_pair(words, "-device", "virtio-balloon-pci,id=balloon,addr=0x2.0x1");
                add_pair(words, "-device", "pvpanic");
        }
        if (line->options->watchdog == QEMU_I6300ESB)
                add_pair(words, "-device", "i6300esb,addr=0x1e");
        if (line->options->watchdog == QEMU_IB700)
                add_pair(words, "-device", "ib700");
}

/* What it has */

static struct device_place place(const struct command_line *line, const char *id) {
        return (struct device_place) { line->options->machine, facts_find_slot(line->facts, id), line->facts->n_queues };
}

static void add_disks(struct words *words, const struct command_line *line) {
        for (size_t i = 0; i < line->config->spec->n_disks; i++) {
                const struct hypervisor_disk *disk = line->config->disks + i;
                char id[QEMU_ID_SIZE];

                device_id(true, disk->spec->name, id);
                if (facts_is_unplugged(line->facts, id))
                        continue;
                if (source_has_limits(disk->spec))
                        add_json(words, "-object", source_describe_limits(disk->spec));
                if (source_is_socket(disk->path)) {
                        add(words, "-chardev");
                        take(words, source_print_chardev(disk));
                } else if (disk->path)
                        add_json(words, "-blockdev", source_describe_node(disk));
                add_json(words, "-device", device_describe_disk(disk, place(line, id)));
        }
}

static void add_networks(struct words *words, const struct command_line *line) {
        unsigned fd = COMMAND_LINE_FD_FIRST + _COMMAND_LINE_SOCKET_N;

        for (size_t i = 0; i < line->config->spec->n_network_interfaces; i++) {
                const struct xcp_network_interface_spec *spec = line->config->spec->network_interfaces + i;
                char id[QEMU_ID_SIZE], tap[16];

                device_id(false, spec->name, id);
                snprintf(tap, sizeof tap, "%u", fd);
                if (!device_is_user_network(spec))
                        fd++;
                if (facts_is_unplugged(line->facts, id))
                        continue;
                add_json(words, "-netdev", device_describe_netdev(spec, tap));
                add_json(words, "-device", device_describe_network(spec, place(line, id)));
        }
}

int command_line_make(const struct command_line *line, char ***ret_argv) {
        struct words words = {};

        add(&words, line->program);
        add(&words, "-nodefaults");
        add(&words, "-no-user-config");
        add_pair(&words, "-display", "none");
        add_pair(&words, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
        add(&words, "-S");
        add_pair(&words, "-action", "reboot=shutdown,shutdown=pause,panic=pause,watchdog=pause");
        add_pair(&words, "-trace", "qemu_system_shutdown_request");     /* status.h says what for */
        add_pair(&words, "-trace", "runstate_set");
        add_machine(&words, line);
        add_firmware(&words, line);
        add_channels(&words, line);
        add_own_devices(&words, line);
        add_display(&words, line);
        if (line->options->machine == QEMU_Q35)
                for (unsigned i = 0; i < line->facts->n_slots; i++)
                        add_json(&words, "-device", device_describe_port(i));
        add_disks(&words, line);
        add_networks(&words, line);
        if (line->is_incoming)
                add_pair(&words, "-incoming", "defer");
        if (words.r < 0) {
                command_line_free(words.argv);
                return words.r;
        }
        *ret_argv = words.argv;
        return 0;
}

/* Slots */

static int place_one(struct facts *facts, bool is_disk, const char *name, struct idl_error *error) {
        char id[QEMU_ID_SIZE];
        int slot;

        device_id(is_disk, name, id);
        if (facts_find_slot(facts, id) >= 0)
                return 0;
        slot = facts_find_slot(facts, "");
        if (slot < 0)
                return idl_error_set_limit_exceeded(error, "disks and network interfaces of the machine", facts->n_slots + 1,
                                                    facts->n_slots);
        snprintf(facts->slots[slot].device, QEMU_ID_SIZE, "%s", id);
        return 0;
}

int command_line_place(const struct hypervisor_config *config, const struct qemu_options *options, struct facts *facts,
                       struct idl_error *error) {
        const struct xcp_vm_spec *spec = config->spec;
        int r = 0;

        facts->machine = options->machine;
        if (facts->vcpus == 0)
                facts->vcpus = spec->vcpus;
        if (facts->n_queues == 0)
                facts->n_queues = facts->vcpus;
        if (options->machine == QEMU_MICROVM)
                return 0;
        if (options->machine == QEMU_PC)
                facts->n_slots = QEMU_PC_SLOTS;
        else if (facts->n_slots == 0)
                facts->n_slots = spec->n_disks + spec->n_network_interfaces + options->hotplug_slots;
        for (size_t i = 0; i < spec->n_disks && r >= 0; i++)
                if (device_disk_has_slot(spec->disks + i, options->machine))
                        r = place_one(facts, true, spec->disks[i].name, error);
        for (size_t i = 0; i < spec->n_network_interfaces && r >= 0; i++)
                r = place_one(facts, false, spec->network_interfaces[i].name, error);
        return r;
}
