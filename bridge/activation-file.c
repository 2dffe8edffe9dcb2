/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "activation-file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define MARK "# Made by xcp-bridge: the service is in another domain.\n"
#define SUFFIX ".service"

static int path_of(const char *directory, const char *name, char **ret_path) {
        return asprintf(ret_path, "%s/%s" SUFFIX, directory, name) < 0 ? -ENOMEM : 0;
}

/* Whether this bridge, or one before it, has written the file. */
static bool is_ours(const char *path) {
        char line[sizeof MARK] = "";
        FILE *f = fopen(path, "re");
        bool ours = f && fgets(line, sizeof line, f) && strcmp(line, MARK) == 0;

        if (f)
                fclose(f);
        return ours;
}

int activation_file_write(const char *directory, const char *name, const char *program) {
        AUTO_FREE char *path = NULL;
        FILE *f;
        int fd, r;

        r = path_of(directory, name, &path);
        if (r < 0)
                return r;
        if (is_ours(path))
                return 0;
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        f = fdopen(fd, "w");
        if (!f) {
                close(fd);
                return -ENOMEM;
        }
        fprintf(f, MARK "[D-BUS Service]\nName=%s\nExec=\"%s\" --activate %s\n", name, program, name);
        if (fclose(f) != 0) {
                r = -errno;
                unlink(path);
                return r;
        }
        return 1;
}

bool activation_file_is_there(const char *directory, const char *name) {
        AUTO_FREE char *path = NULL;

        if (path_of(directory, name, &path) < 0) {
                path = NULL;
                return false;
        }
        return is_ours(path);
}

bool activation_file_remove(const char *directory, const char *name) {
        AUTO_FREE char *path = NULL;

        if (path_of(directory, name, &path) < 0) {
                path = NULL;
                return false;
        }
        return is_ours(path) && unlink(path) == 0;
}

bool activation_files_remove(const char *path) {
        DIR *directory = opendir(path);
        struct dirent *entry;
        bool any = false;

        while (directory && (entry = readdir(directory))) {
                size_t n = strlen(entry->d_name);

                if (n > sizeof SUFFIX && strcmp(entry->d_name + n - (sizeof SUFFIX - 1), SUFFIX) == 0) {
                        entry->d_name[n - (sizeof SUFFIX - 1)] = '\0';
                        any |= activation_file_remove(path, entry->d_name);
                }
        }
        if (directory)
                closedir(directory);
        return any;
}
