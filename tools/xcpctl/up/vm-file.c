/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-file.h"

#include <string.h>

#include "document.h"
#include "node-value.h"
#include "spec-limits.h"
#include "vm-limits.h"

#define NAME_CHARACTERS G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-"
#define USER_MAX 32u
#define LABEL_MAX 63u
#define HOSTNAME_MAX 253u

const struct contract_value vm_file_vm_keys[] = {
        { "start", "b", "Whether up starts it.", "true", false },
        { "image", "s", "What its first disk, root, begins as.", NULL, false },
        { "cloud_init", "a{sv}", "What cloud-init in its guest does at the first boot.", NULL, false },
        {},
};

const struct contract_value vm_file_seed_keys[] = {
        { "hostname", "s", "What the guest calls itself; the VM's name if absent.", NULL, false },
        { "user", "s", "What the image's user is to be called.", NULL, false },
        { "ssh_keys", "as", "Public keys that may log in; if absent, one that is made for the VM.", NULL, false },
        { "user_data", "s", "All that cloud-init is to do, instead of the above.", NULL, false },
        { "network_config", "s", "The guest's network, as cloud-init has it.", NULL, false },
        { "sr", "s", "The storage repository in which up makes the seed.", NULL, false },
        {},
};

const struct contract_value vm_file_disk_keys[] = {
        { "size", "t", "Of a disk that up makes.", NULL, false },
        { "image", "s", "What a disk that up makes begins as: an image's name or digest, or where to pull it from.", NULL, false },
        { "checksum", "s", "What the image has to be, as in sha256:...", NULL, false },
        { "sr", "s", "The storage repository in which up makes the disk.", NULL, false },
        {},
};

/* Wishes */

static void wish_value_free(void *data) {
        struct wish_value *value = data;

        g_variant_unref(value->value);
        g_free(value);
}

static void wish_free(void *data) {
        struct wish *wish = data;

        g_hash_table_unref(wish->values);
        g_ptr_array_unref(wish->disks);
        g_ptr_array_unref(wish->nics);
        if (wish->seed)
                wish_free(wish->seed);
        g_free(wish);
}

static struct wish *wish_new(struct place place) {
        struct wish *wish = g_new(struct wish, 1);

        *wish = (struct wish) {
                .place = place,
                .values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, wish_value_free),
                .disks = g_ptr_array_new_with_free_func(wish_free),
                .nics = g_ptr_array_new_with_free_func(wish_free),
        };
        return wish;
}

/* Takes the value, which is not floating. */
static void wish_set(struct wish *wish, const char *key, struct place place, GVariant *value) {
        struct wish_value *one = g_new(struct wish_value, 1);

        *one = (struct wish_value) { .place = place, .value = value };
        g_hash_table_replace(wish->values, g_strdup(key), one);
}

static void wish_set_text(struct wish *wish, const char *key, struct place place, const char *text) {
        wish_set(wish, key, place, g_variant_ref_sink(g_variant_new_string(text)));
}

GVariant *wish_get(const struct wish *wish, const char *key) {
        const struct wish_value *value = g_hash_table_lookup(wish->values, key);

        return value ? value->value : NULL;
}

const char *wish_text(const struct wish *wish, const char *key) {
        GVariant *value = wish_get(wish, key);

        return value && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) ? g_variant_get_string(value, NULL) : NULL;
}

bool wish_flag(const struct wish *wish, const char *key, bool fallback) {
        GVariant *value = wish_get(wish, key);

        return value && g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN) ? g_variant_get_boolean(value) : fallback;
}

struct place wish_place(const struct wish *wish, const char *key) {
        const struct wish_value *value = g_hash_table_lookup(wish->values, key);

        return value ? value->place : wish->place;
}

GVariantBuilder *wish_record(const struct wish *wish, const char *record) {
        GVariantBuilder *builder = g_variant_builder_new(G_VARIANT_TYPE_VARDICT);

        for (const struct contract_value *key = contract_type(record)->members; key->name; key++)
                if (wish_get(wish, key->name) && strcmp(key->type, "o") != 0)
                        g_variant_builder_add(builder, "{sv}", key->name, wish_get(wish, key->name));
        return builder;
}

/* Reading */

/* One key of a record: of the contract's, if it is one of that, or of the file's own. */
static void read_key(struct wish *wish, const struct document_entry *entry, const char *record, const struct contract_value *own,
                     struct problems *problems) {
        const struct contract_value *members = record ? contract_type(record)->members : contract_nothing;
        const struct contract_value *key = contract_member(members, entry->key);
        GVariant *value;

        if (!key && own)
                key = contract_member(own, entry->key);
        if (!key) {
                g_autofree const char **names = node_names(members, own);

                problems_add(problems, entry->place, problems_suggest(entry->key, names), "there is no key '%.64s' here", entry->key);
                return;
        }
        value = node_value(entry->value, key->type, entry->key, problems);
        if (value)
                wish_set(wish, entry->key, entry->value->place, value);
}

/* A disk, or a network interface; alone is the key that a single value is for. */
static struct wish *read_device(const struct document_node *node, const char *record, const struct contract_value *own, const char *alone,
                                struct problems *problems) {
        struct wish *wish = wish_new(node->place);

        if (node->kind == DOCUMENT_TEXT && !node->is_empty) {
                wish_set_text(wish, alone, node->place, node->text);
        } else if (node->kind != DOCUMENT_MAPPING) {
                problems_add(problems, node->place, NULL, "this has to be a mapping, or the %s alone, and is %s", alone, document_kind_name(node));
        } else {
                for (unsigned i = 0; i < node->items->len; i++)
                        read_key(wish, node->items->pdata[i], record, own, problems);
        }
        return wish;
}

/* What may be there once. lines: where it was. */
static void check_once(GHashTable *lines, const struct wish *wish, const char *key, const char *value, struct problems *problems) {
        if (g_hash_table_contains(lines, value))
                problems_add(problems, wish_place(wish, key), NULL, "there is another '%.64s' in line %u", value,
                             GPOINTER_TO_UINT(g_hash_table_lookup(lines, value)));
        else
                g_hash_table_insert(lines, g_strdup(value), GUINT_TO_POINTER(wish->place.line));
}

static GHashTable *lines_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void name_devices(GPtrArray *wishes, const char *prefix, struct problems *problems) {
        g_autoptr(GHashTable) lines = lines_new();

        for (unsigned i = 0; i < wishes->len; i++) {
                struct wish *wish = wishes->pdata[i];
                g_autofree char *fallback = g_strdup_printf("%s%u", prefix, i);
                const char *name;
                size_t n;

                if (!wish_text(wish, "name"))
                        wish_set_text(wish, "name", wish->place, fallback);
                name = wish_text(wish, "name");
                n = strspn(name, NAME_CHARACTERS);
                if (n == 0 || n > SPEC_DEVICE_NAME_MAX || name[n])
                        problems_add(problems, wish_place(wish, "name"), NULL, "'%.64s' is no name of a device: that is 1 to %u letters, digits and dashes",
                                     name, SPEC_DEVICE_NAME_MAX);
                check_once(lines, wish, "name", name, problems);
        }
}

static void read_devices(GPtrArray *wishes, const struct document_node *node, const char *record, const struct contract_value *own,
                         const char *alone, struct problems *problems) {
        if (node->kind != DOCUMENT_LIST) {
                problems_add(problems, node->place, g_strdup("each begins with - on a line of its own"), "this has to be a list, and is %s",
                             document_kind_name(node));
                return;
        }
        for (unsigned i = 0; i < node->items->len; i++)
                g_ptr_array_add(wishes, read_device(node->items->pdata[i], record, own, alone, problems));
}

static void check_vm_name(const struct document_entry *entry, struct problems *problems) {
        size_t n = strspn(entry->key, NAME_CHARACTERS "._");

        if (n == 0 || n > SPEC_NAME_MAX || entry->key[n] || strcmp(entry->key, ".") == 0 || strcmp(entry->key, "..") == 0)
                problems_add(problems, entry->place, NULL, "'%.70s' is no name of a VM: that is 1 to %u letters, digits, dots, dashes and underscores",
                             entry->key, SPEC_NAME_MAX);
}

/* As services/images takes it. */
static bool is_checksum(const char *text) {
        size_t n = g_str_has_prefix(text, "sha256:") ? 64 : g_str_has_prefix(text, "sha512:") ? 128 : 0;

        return n > 0 && strlen(text + 7) == n && strspn(text + 7, "0123456789abcdefABCDEF") == n;
}

static void check_checksum(const struct wish *disk, struct problems *problems) {
        const char *checksum = wish_text(disk, "checksum"), *image = wish_text(disk, "image");

        if (!checksum)
                return;
        if (!image)
                problems_add(problems, wish_place(disk, "checksum"), NULL, "checksum is an image's");
        else if (!strstr(image, "://"))
                problems_add(problems, wish_place(disk, "checksum"), g_strdup("image: sha256:... is one that is here by its digest"),
                             "checksum is for an image that is pulled, and '%.64s' is one that is here", image);
        else if (!is_checksum(checksum))
                problems_add(problems, wish_place(disk, "checksum"), g_strdup("sha256: and 64 hexadecimal digits, or sha512: and 128"),
                             "'%.140s' is no checksum", checksum);
}

/* What people write who mean a file of theirs, which the images service could not read. */
static void check_image(const struct wish *disk, struct problems *problems) {
        const char *image = wish_text(disk, "image");
        bool is_path = image && (strchr(image, '/') || *image == '~') && !strstr(image, "://") && !g_str_has_prefix(image, "/org/");

        if (is_path || (image && g_str_has_prefix(image, "file:")))
                problems_add(problems, wish_place(disk, "image"), g_strdup("xcpctl vdi import makes a disk of a file, which vdi: names then"),
                             "'%.64s' is neither an image that is here nor where to pull one from", image);
}

static void check_disk(const struct wish *disk, GHashTable *vdis, struct problems *problems) {
        bool is_made = wish_get(disk, "size") || wish_get(disk, "image");
        unsigned n = !!wish_get(disk, "vdi") + !!wish_get(disk, "path") + is_made;
        bool is_drive = g_strcmp0(wish_text(disk, "kind"), "CdRom") == 0;

        if (n > 1)
                problems_add(problems, disk->place, NULL, "a disk has one of vdi, path, and size or image");
        else if (n == 0 && !is_drive)
                problems_add(problems, disk->place, g_strdup("vdi: a disk that there is, path: a file, or size or image: of one that is made"),
                             "the disk has neither vdi nor path nor size nor image");
        if (wish_get(disk, "sr") && !is_made)
                problems_add(problems, wish_place(disk, "sr"), NULL, "sr is for a disk that is made, with size or image");
        check_image(disk, problems);
        check_checksum(disk, problems);
        if (wish_text(disk, "vdi"))
                check_once(vdis, disk, "vdi", wish_text(disk, "vdi"), problems);
}

static void check_vm(const struct wish *vm, struct problems *problems) {
        g_autoptr(GHashTable) vdis = lines_new();
        bool has_kernel = g_strcmp0(wish_text(vm, "firmware"), "Kernel") == 0;
        const char *const kernel_keys[] = { "kernel", "initramfs", "command_line" };

        vm_limits_check(vm, problems);
        if (has_kernel && !wish_get(vm, "kernel"))
                problems_add(problems, wish_place(vm, "firmware"), NULL, "firmware: Kernel needs a kernel");
        for (size_t i = 0; i < G_N_ELEMENTS(kernel_keys) && !has_kernel; i++)
                if (wish_get(vm, kernel_keys[i]))
                        problems_add(problems, wish_place(vm, kernel_keys[i]), g_strdup("add firmware: Kernel"), "%s goes with firmware: Kernel",
                                     kernel_keys[i]);
        for (unsigned i = 0; i < vm->disks->len; i++)
                check_disk(vm->disks->pdata[i], vdis, problems);
        for (unsigned i = 0; i < vm->nics->len; i++) {
                const struct wish *nic = vm->nics->pdata[i];

                if (!wish_get(nic, "network"))
                        problems_add(problems, nic->place, g_strdup("network: user, or the name of a bridge"), "the network interface has no network");
        }
}

/* RFC 1123, 2.1. */
static bool is_hostname(const char *text) {
        g_auto(GStrv) labels = g_strsplit(text, ".", -1);

        for (char **label = labels; *label; label++) {
                size_t n = strlen(*label);

                if (n == 0 || n > LABEL_MAX || strspn(*label, NAME_CHARACTERS) != n || (*label)[0] == '-' || (*label)[n - 1] == '-')
                        return false;
        }
        return *labels && strlen(text) <= HOSTNAME_MAX;
}

/* What useradd(8) takes anywhere. */
static bool is_user(const char *text) {
        size_t n = strspn(text, NAME_CHARACTERS "_");

        return n > 0 && n <= USER_MAX && !text[n] && !strchr("-" G_CSET_DIGITS, text[0]);
}

/* The line of a .pub file, perhaps with options before: TYPE BASE64 COMMENT (sshd(8), AUTHORIZED_KEYS FILE FORMAT). A private key is none, and nothing to be given away. */
static bool is_public_key(const char *text) {
        static const char *const types[] = { "ssh-ed25519 AAAA", "ssh-rsa AAAA", "ssh-dss AAAA", "ecdsa-sha2-nistp", "sk-ssh-ed25519@openssh.com AAAA",
                                             "sk-ecdsa-sha2-nistp256@openssh.com AAAA" };

        if (strpbrk(text, "\r\n"))
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                const char *found = strstr(text, types[i]);

                if (found && (found == text || found[-1] == ' '))
                        return true;
        }
        return false;
}

static void check_keys(const struct wish *seed, struct problems *problems) {
        GVariant *keys = wish_get(seed, "ssh_keys");
        GVariantIter iter;
        const char *key;

        if (!keys)
                return;
        g_variant_iter_init(&iter, keys);
        while (g_variant_iter_next(&iter, "&s", &key))
                if (!is_public_key(key))
                        problems_add(problems, wish_place(seed, "ssh_keys"), g_strdup("the line of a .pub file, as in ssh-ed25519 AAAA... ann@home"),
                                     "'%.20s...' is no public key of ssh", key);
}

static void check_seed(const struct wish *seed, struct problems *problems) {
        const char *data = wish_text(seed, "user_data"), *host = wish_text(seed, "hostname"), *user = wish_text(seed, "user");
        const char *const others[] = { "user", "ssh_keys" };

        if (host && !is_hostname(host))
                problems_add(problems, wish_place(seed, "hostname"), g_strdup("letters, digits and dashes, with dots between names, as in www.example.org"),
                             "'%.70s' cannot be what a guest calls itself", host);
        if (user && !is_user(user))
                problems_add(problems, wish_place(seed, "user"), NULL,
                             "'%.70s' is no name of a user: that is 1 to %u letters, digits, dashes and underscores, and does not begin with a dash or digit", user,
                             USER_MAX);
        check_keys(seed, problems);
        if (!data)
                return;
        if (!g_str_has_prefix(data, "#") && !g_str_has_prefix(data, "Content-Type: multipart/"))
                problems_add(problems, wish_place(seed, "user_data"), g_strdup("begin with #cloud-config, or #!/bin/sh for a script"),
                             "cloud-init does not understand user_data without a first line that says what it is");
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                if (wish_get(seed, others[i]))
                        problems_add(problems, wish_place(seed, others[i]), NULL, "%s is not looked at where there is user_data", others[i]);
}

static struct wish *read_seed(const struct document_node *node, struct problems *problems) {
        struct wish *seed = wish_new(node->place);

        if (node->kind != DOCUMENT_MAPPING)
                problems_add(problems, node->place, g_strdup("{} for what is usual"), "cloud_init has to be a mapping, and is %s",
                             document_kind_name(node));
        for (unsigned i = 0; node->kind == DOCUMENT_MAPPING && i < node->items->len; i++)
                read_key(seed, node->items->pdata[i], NULL, vm_file_seed_keys, problems);
        check_seed(seed, problems);
        return seed;
}

/* The VM's own image is its first disk's, root. */
static void add_image(struct wish *vm) {
        const char *image = wish_text(vm, "image");
        struct wish *disk;

        if (!image)
                return;
        disk = wish_new(wish_place(vm, "image"));
        wish_set_text(disk, "name", disk->place, "root");
        wish_set_text(disk, "image", disk->place, image);
        g_ptr_array_insert(vm->disks, 0, disk);
}

static struct wish *read_vm(const struct document_entry *entry, struct problems *problems) {
        struct wish *vm = wish_new(entry->place);
        const struct document_node *node = entry->value;

        check_vm_name(entry, problems);
        wish_set_text(vm, "name", entry->place, entry->key);
        for (unsigned i = 0; node->kind == DOCUMENT_MAPPING && i < node->items->len; i++) {
                const struct document_entry *one = node->items->pdata[i];

                if (strcmp(one->key, "name") == 0)
                        problems_add(problems, one->place, NULL, "the name is what stands before the colon: '%s'", entry->key);
                else if (strcmp(one->key, "disks") == 0)
                        read_devices(vm->disks, one->value, "DiskSpec", vm_file_disk_keys, "vdi", problems);
                else if (strcmp(one->key, "network_interfaces") == 0)
                        read_devices(vm->nics, one->value, "NetworkInterfaceSpec", NULL, "network", problems);
                else if (strcmp(one->key, "cloud_init") == 0)
                        vm->seed = read_seed(one->value, problems);
                else
                        read_key(vm, one, "VmSpec", vm_file_vm_keys, problems);
        }
        if (node->kind != DOCUMENT_MAPPING && !(node->kind == DOCUMENT_TEXT && node->is_empty))
                problems_add(problems, node->place, NULL, "a VM has to be a mapping, and is %s", document_kind_name(node));
        add_image(vm);
        name_devices(vm->disks, "disk", problems);
        name_devices(vm->nics, "net", problems);
        check_vm(vm, problems);
        return vm;
}

/* Of all VMs there are. */
static void check_macs(const struct vm_file *file, struct problems *problems) {
        g_autoptr(GHashTable) macs = lines_new();

        for (unsigned i = 0; i < file->vms->len; i++) {
                const struct wish *vm = file->vms->pdata[i];

                for (unsigned k = 0; k < vm->nics->len; k++) {
                        const char *mac = wish_text(vm->nics->pdata[k], "mac");
                        g_autofree char *lower = mac ? g_ascii_strdown(mac, -1) : NULL;

                        if (lower)
                                check_once(macs, vm->nics->pdata[k], "mac", lower, problems);
                }
        }
}

static void read_vms(struct vm_file *file, const struct document_node *root, struct problems *problems) {
        const struct document_entry *vms = document_get(root, "vms");

        if (root->kind != DOCUMENT_MAPPING) {
                problems_add(problems, root->place, g_strdup("vms: and below it a name and a colon for each VM"), "the file has to be a mapping, and is %s",
                             document_kind_name(root));
                return;
        }
        for (unsigned i = 0; i < root->items->len; i++) {
                const struct document_entry *entry = root->items->pdata[i];

                if (entry != vms)
                        problems_add(problems, entry->place, problems_suggest(entry->key, (const char *const[]) { "vms", NULL }),
                                     "there is no key '%.64s' here", entry->key);
        }
        if (!vms)
                problems_add(problems, root->place, NULL, "there is no key vms");
        else if (vms->value->kind != DOCUMENT_MAPPING)
                problems_add(problems, vms->value->place, NULL, "vms has to be a mapping from names to VMs, and is %s", document_kind_name(vms->value));
        else
                for (unsigned i = 0; i < vms->value->items->len; i++)
                        g_ptr_array_add(file->vms, read_vm(vms->value->items->pdata[i], problems));
}

struct vm_file *vm_file_parse(const char *data, size_t n, struct problems *problems) {
        struct document_node *root = document_parse(data, n, problems);
        struct vm_file *file = g_new(struct vm_file, 1);

        *file = (struct vm_file) { .vms = g_ptr_array_new_with_free_func(wish_free) };
        if (root)
                read_vms(file, root, problems);
        check_macs(file, problems);
        document_free(root);
        return file;
}

void vm_file_free(struct vm_file *file) {
        if (!file)
                return;
        g_ptr_array_unref(file->vms);
        g_free(file);
}
