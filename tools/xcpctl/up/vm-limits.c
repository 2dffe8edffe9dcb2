/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-limits.h"

#include <string.h>

#include "spec-limits.h"
#include "vdi-limits.h"

/* max_text: the most as people write it; NULL: as the number. */
struct bound {
        const char *key;
        uint64_t min, max;
        const char *max_text;
};

static const struct bound vm_bounds[] = {
        { "memory", 0, SPEC_MEMORY_MAX, "16TiB" },
        { "memory_max", 0, SPEC_MEMORY_MAX, "16TiB" },
        { "vcpus", 1, SPEC_VCPUS_MAX, NULL },
        { "vcpus_max", 1, SPEC_VCPUS_MAX, NULL },
        { "autostart_delay_ms", 0, SPEC_AUTOSTART_DELAY_MAX, NULL },
        {},
};
static const struct bound disk_bounds[] = {
        { "size", 1, VDI_SIZE_MAX, "64TiB" },
        { "rate_limit", 1, SPEC_LIMIT_MAX, NULL },
        { "iops_limit", 1, SPEC_LIMIT_MAX, NULL },
        {},
};
static const struct bound nic_bounds[] = { { "mtu", SPEC_MTU_MIN, SPEC_MTU_MAX, NULL }, {} };

/* Of texts in bytes, of lists and mappings in entries. */
static const struct bound vm_sizes[] = {
        { "description", 0, SPEC_DESCRIPTION_MAX, NULL }, { "command_line", 0, SPEC_COMMAND_LINE_MAX, NULL }, { "kernel", 0, SPEC_PATH_MAX, NULL },
        { "initramfs", 0, SPEC_PATH_MAX, NULL },          { "labels", 0, SPEC_LABELS_MAX, NULL },             { "backend_options", 0, SPEC_OPTIONS_MAX, NULL },
        {},
};
static const struct bound disk_sizes[] = { { "path", 0, SPEC_PATH_MAX, NULL }, {} };
static const struct bound nic_sizes[] = { { "addresses", 0, SPEC_ADDRESSES_MAX, NULL }, {} };

static uint64_t number(GVariant *value) {
        return g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64) ? g_variant_get_uint64(value) : g_variant_get_uint32(value);
}

static void check_number(const struct wish *wish, const struct bound *bound, struct problems *problems) {
        GVariant *value = wish_get(wish, bound->key);
        uint64_t n = value ? number(value) : bound->min;

        if (n < bound->min)
                problems_add(problems, wish_place(wish, bound->key), NULL, "%s has to be at least %" G_GUINT64_FORMAT, bound->key, bound->min);
        else if (n > bound->max)
                problems_add(problems, wish_place(wish, bound->key),
                             bound->max_text ? g_strdup_printf("%s at most", bound->max_text) : g_strdup_printf("%" G_GUINT64_FORMAT " at most", bound->max),
                             "%s: %" G_GUINT64_FORMAT "%s is more than there can be", bound->key, n, bound->max_text ? " bytes" : "");
}

static void check_size(const struct wish *wish, const struct bound *bound, struct problems *problems) {
        GVariant *value = wish_get(wish, bound->key);
        bool is_text = value && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING);
        size_t n = is_text ? strlen(g_variant_get_string(value, NULL)) : value ? g_variant_n_children(value) : 0;

        if (n > bound->max)
                problems_add(problems, wish_place(wish, bound->key), NULL, "%s has %zu %s, and at most %" G_GUINT64_FORMAT " are taken", bound->key, n,
                             is_text ? "bytes" : "entries", bound->max);
}

static void check(const struct wish *wish, const struct bound *bounds, const struct bound *sizes, struct problems *problems) {
        for (; bounds->key; bounds++)
                check_number(wish, bounds, problems);
        for (; sizes->key; sizes++)
                check_size(wish, sizes, problems);
}

/* It is looked for where the manager is, and by nobody's shell. */
static void check_path(const struct wish *wish, const char *key, struct problems *problems) {
        const char *path = wish_text(wish, key);

        if (path && *path != '/')
                problems_add(problems, wish_place(wish, key), g_strdup("a file of the manager's domain, in full: neither ~ nor $NAME is replaced"),
                             "%s has to begin with /, and is '%.64s'", key, path);
}

/* Which networks there are, only the manager's domain knows. */
static void check_network(const struct wish *nic, struct problems *problems) {
        const char *name = wish_text(nic, "network");
        size_t n = name ? strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") : 0;

        if (name && (n == 0 || n > SPEC_NAME_MAX || name[n] || *name == '-' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
                problems_add(problems, wish_place(nic, "network"), NULL,
                             "'%.64s' is no name of a network: that is 1 to %u letters, digits, dots, dashes and underscores, and no dash first", name,
                             SPEC_NAME_MAX);
}

static void check_unit(const struct wish *vm, const char *key, struct problems *problems) {
        GVariant *value = wish_get(vm, key);
        uint64_t bytes = value ? number(value) : SPEC_MEMORY_UNIT;

        if (bytes == 0 || (bytes % SPEC_MEMORY_UNIT != 0 && bytes <= SPEC_MEMORY_MAX))
                problems_add(problems, wish_place(vm, key),
                             bytes > 0 && bytes < SPEC_MEMORY_UNIT ? g_strdup("a number alone is in bytes: 512MiB, for instance") : NULL,
                             "%s has to be a multiple of 1 MiB, and not 0", key);
}

/* What it may go up to is no less than what it begins with. */
static void check_order(const struct wish *vm, const char *key, const char *max_key, struct problems *problems) {
        GVariant *value = wish_get(vm, key), *max = wish_get(vm, max_key);

        if (value && max && number(max) < number(value))
                problems_add(problems, wish_place(vm, max_key), NULL, "%s has to be at least %s", max_key, key);
}

static void check_devices(const GPtrArray *devices, unsigned n_more, unsigned max, const char *what, struct problems *problems) {
        const struct wish *over = devices->len + n_more > max ? devices->pdata[devices->len - 1] : NULL;

        if (over)
                problems_add(problems, over->place, NULL, "there are %u %s, and at most %u are taken", devices->len + n_more, what, max);
}

void vm_limits_check(const struct wish *vm, struct problems *problems) {
        check_unit(vm, "memory", problems);
        check_unit(vm, "memory_max", problems);
        check(vm, vm_bounds, vm_sizes, problems);
        check_order(vm, "memory", "memory_max", problems);
        check_order(vm, "vcpus", "vcpus_max", problems);
        check_path(vm, "kernel", problems);
        check_path(vm, "initramfs", problems);
        for (unsigned i = 0; i < vm->disks->len; i++) {
                check(vm->disks->pdata[i], disk_bounds, disk_sizes, problems);
                check_path(vm->disks->pdata[i], "path", problems);
        }
        for (unsigned i = 0; i < vm->nics->len; i++) {
                check(vm->nics->pdata[i], nic_bounds, nic_sizes, problems);
                check_network(vm->nics->pdata[i], problems);
        }
        check_devices(vm->disks, vm->seed ? 1 : 0, SPEC_DISKS_MAX, vm->seed ? "disks with cloud_init's" : "disks", problems);
        check_devices(vm->nics, 0, SPEC_NETWORK_INTERFACES_MAX, "network interfaces", problems);
}
