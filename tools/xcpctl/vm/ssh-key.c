/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ssh-key.h"

#include <errno.h>
#include <string.h>

#include <glib/gstdio.h>

#include "context.h"

char *ssh_key_path(const char *vm, GError **error) {
        if (*vm == '\0' || strchr(vm, '/') || strcmp(vm, ".") == 0 || strcmp(vm, "..") == 0) {
                context_fail(error, CONTEXT_ERROR_FAILED, "'%.64s' cannot be the name of a key", vm);
                return NULL;
        }
        return g_build_filename(g_get_user_data_dir(), "xcpctl", "keys", vm, NULL);
}

char *ssh_key_known_hosts(const char *path) {
        return g_strconcat(path, ".known_hosts", NULL);
}

void ssh_key_forget_guest(const char *vm) {
        g_autofree char *path = ssh_key_path(vm, NULL), *known = path ? ssh_key_known_hosts(path) : NULL;

        if (known)
                g_unlink(known);
}

bool ssh_key_make_directory(const char *path, GError **error) {
        g_autofree char *directory = g_path_get_dirname(path);

        if (g_mkdir_with_parents(directory, 0700) == 0)
                return true;
        return context_fail(error, CONTEXT_ERROR_FAILED, "%s: %s", directory, g_strerror(errno));
}

static bool generate(const char *vm, const char *path, GError **error) {
        g_autofree char *comment = g_strdup_printf("xcpctl %s", vm), *said = NULL;
        const char *const argv[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path, NULL };
        g_autoptr(GError) problem = NULL;
        int status;

        if (!ssh_key_make_directory(path, error))
                return false;
        if (!g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &said, &status, &problem))
                return context_fail(error, CONTEXT_ERROR_FAILED, "ssh-keygen (package openssh-client): %s", problem->message);
        if (g_spawn_check_wait_status(status, &problem))
                return true;
        return context_fail(error, CONTEXT_ERROR_FAILED, "ssh-keygen: %s", *said ? g_strchomp(said) : problem->message);
}

char *ssh_key_public(const char *vm, GError **error) {
        g_autofree char *path = ssh_key_path(vm, error), *public = NULL;
        char *text;

        if (!path || (!g_file_test(path, G_FILE_TEST_EXISTS) && !generate(vm, path, error)))
                return NULL;
        public = g_strconcat(path, ".pub", NULL);
        return g_file_get_contents(public, &text, NULL, error) ? g_strchomp(text) : NULL;
}

bool ssh_key_set_user(const char *vm, const char *user, GError **error) {
        g_autofree char *path = ssh_key_path(vm, error), *file = path ? g_strconcat(path, ".user", NULL) : NULL;

        return file && ssh_key_make_directory(path, error) && g_file_set_contents(file, user, -1, error);
}

char *ssh_key_user(const char *vm) {
        g_autofree char *path = ssh_key_path(vm, NULL), *file = path ? g_strconcat(path, ".user", NULL) : NULL;
        char *user;

        return file && g_file_get_contents(file, &user, NULL, NULL) ? g_strchomp(user) : NULL;
}
