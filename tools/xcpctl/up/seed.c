/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "seed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <json-c/json.h>

#include "context.h"
#include "ssh-key.h"

#define JSON_FLAGS (JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)

/* JSON is YAML, and says all there is to say without a question of quotes. */
static char *print(struct json_object *json, const char *first_line) {
        char *text = g_strconcat(first_line, json_object_to_json_string_ext(json, JSON_FLAGS), "\n", NULL);

        json_object_put(json);
        return text;
}

static const char *host_of(const char *vm, const struct wish *wish) {
        return wish_text(wish, "hostname") ? wish_text(wish, "hostname") : vm;
}

/* The keys that may log in: those of the file, or one that is the VM's. */
static struct json_object *compose_keys(const char *vm, const struct wish *wish, GError **error) {
        GVariant *keys = wish_get(wish, "ssh_keys");
        struct json_object *list;
        g_autofree char *own = keys ? NULL : ssh_key_public(vm, error);
        GVariantIter iter;
        const char *key;

        if (!keys && !own)
                return NULL;
        list = json_object_new_array();
        if (own)
                json_object_array_add(list, json_object_new_string(own));
        if (keys) {
                g_variant_iter_init(&iter, keys);
                while (g_variant_iter_next(&iter, "&s", &key))
                        json_object_array_add(list, json_object_new_string(key));
        }
        return list;
}

static char *compose_user_data(const char *vm, const struct wish *wish, GError **error) {
        const char *user = wish_text(wish, "user");
        struct json_object *data, *keys, *default_user;

        if (wish_text(wish, "user_data"))
                return g_strdup(wish_text(wish, "user_data"));
        keys = compose_keys(vm, wish, error);
        if (!keys)
                return NULL;
        data = json_object_new_object();
        json_object_object_add(data, "hostname", json_object_new_string(host_of(vm, wish)));
        if (user) {
                default_user = json_object_new_object();
                json_object_object_add(default_user, "name", json_object_new_string(user));
                json_object_object_add(data, "user", default_user);
        }
        json_object_object_add(data, "ssh_authorized_keys", keys);
        return print(data, "#cloud-config\n");
}

static char *digest_of(const struct seed *seed, const char *host) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        const char *const texts[] = { seed->user_data, seed->network_config ? seed->network_config : "", host };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                g_checksum_update(checksum, (const uint8_t *) texts[i], (gssize) strlen(texts[i]) + 1);
        return g_strdup(g_checksum_get_string(checksum));
}

bool seed_compose(struct seed *seed, const char *vm, const struct wish *wish, GError **error) {
        struct json_object *meta;
        g_autofree char *instance = NULL;

        *seed = (struct seed) { .user_data = compose_user_data(vm, wish, error), .network_config = g_strdup(wish_text(wish, "network_config")) };
        if (!seed->user_data)
                return false;
        if (wish_text(wish, "user") && !ssh_key_set_user(vm, wish_text(wish, "user"), error))
                return false;
        seed->digest = digest_of(seed, host_of(vm, wish));
        instance = g_strdup_printf("%s-%.12s", vm, seed->digest);       /* another one, and cloud-init does all anew */
        meta = json_object_new_object();
        json_object_object_add(meta, "instance-id", json_object_new_string(instance));
        json_object_object_add(meta, "local-hostname", json_object_new_string(host_of(vm, wish)));
        seed->meta_data = print(meta, "");
        return true;
}

void seed_clear(struct seed *seed) {
        g_free(seed->user_data);
        g_free(seed->meta_data);
        g_free(seed->network_config);
        g_free(seed->digest);
}

static bool write_file(const char *directory, const char *name, const char *text, GError **error) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        return !text || g_file_set_contents(path, text, -1, error);
}

static void remove_directory(const char *directory) {
        const char *const names[] = { "files/user-data", "files/meta-data", "files/network-config", "files", "seed.iso" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = g_build_filename(directory, names[i], NULL);

                g_remove(path);
        }
        g_rmdir(directory);
}

static bool run_xorriso(const char *files, const char *image, GError **error) {
        const char *const argv[] = { "xorriso", "-as", "mkisofs", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-o", image, files, NULL };
        g_autoptr(GError) problem = NULL;
        g_autofree char *said = NULL;
        int status;

        if (!g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &said, &status, &problem))
                return context_fail(error, CONTEXT_ERROR_FAILED, "xorriso, which makes the seed (package xorriso): %s", problem->message);
        if (g_spawn_check_wait_status(status, &problem))
                return true;
        return context_fail(error, CONTEXT_ERROR_FAILED, "xorriso: %s", *said ? g_strchomp(said) : problem->message);
}

static int make_image(const struct seed *seed, const char *directory, GError **error) {
        g_autofree char *files = g_build_filename(directory, "files", NULL), *image = g_build_filename(directory, "seed.iso", NULL);
        int fd;

        if (g_mkdir(files, 0700) < 0) {
                context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", files, g_strerror(errno));
                return -1;
        }
        if (!write_file(files, "user-data", seed->user_data, error) || !write_file(files, "meta-data", seed->meta_data, error) ||
            !write_file(files, "network-config", seed->network_config, error) || !run_xorriso(files, image, error))
                return -1;
        fd = open(image, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", image, g_strerror(errno));
        return fd;
}

int seed_image(const struct seed *seed, GError **error) {
        g_autofree char *directory = g_dir_make_tmp("xcpctl-XXXXXX", error);
        int fd;

        if (!directory)
                return -1;
        fd = make_image(seed, directory, error);
        remove_directory(directory);
        return fd;
}
