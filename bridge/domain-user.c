/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "domain-user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

/* Under a name of its own first, so that nobody reads half of it. */
static int write_file(const char *path, const char *text) {
        AUTO_FREE char *temporary = NULL;
        FILE *f;
        int failed;

        if (asprintf(&temporary, "%s.%d~", path, getpid()) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        f = fopen(temporary, "we");
        if (!f)
                return -errno;
        failed = fputs(text, f) < 0;
        failed |= fclose(f) != 0;
        if (failed || chmod(temporary, 0644) < 0 || rename(temporary, path) < 0) {
                int r = -errno;

                unlink(temporary);
                return r;
        }
        return 0;
}

/* Found by its name, and by its number. */
static int describe(const char *directory, const char *kind, const char *name, unsigned number, const char *text) {
        AUTO_FREE char *path = NULL, *link_path = NULL, *target = NULL;
        int r;

        if (asprintf(&target, "%s.%s", name, kind) < 0 || asprintf(&path, "%s/%s", directory, target) < 0 ||
            asprintf(&link_path, "%s/%u.%s", directory, number, kind) < 0)
                return -ENOMEM;
        if (access(path, F_OK) == 0 && access(link_path, F_OK) == 0)
                return 0;
        r = write_file(path, text);
        if (r < 0)
                return r;
        return symlink(target, link_path) < 0 && errno != EEXIST ? -errno : 0;
}

int domain_user_describe(const char *directory, unsigned domain) {
        unsigned user = DOMAIN_USER_FIRST + domain;
        char name[32], text[256];
        int r;

        if (mkdir(directory, 0755) < 0 && errno != EEXIST)
                return -errno;
        snprintf(text, sizeof text, "{\"groupName\":\"xcp-domains\",\"gid\":%u,\"disposition\":\"system\"}\n", DOMAIN_GROUP);
        r = describe(directory, "group", "xcp-domains", DOMAIN_GROUP, text);
        if (r < 0)
                return r;
        snprintf(name, sizeof name, "xcp-dom%u", domain);
        snprintf(text, sizeof text,
                 "{\"userName\":\"%s\",\"uid\":%u,\"gid\":%u,\"disposition\":\"system\",\"homeDirectory\":\"/nonexistent\","
                 "\"shell\":\"/usr/sbin/nologin\",\"locked\":true}\n",
                 name, user, DOMAIN_GROUP);
        return describe(directory, "user", name, user, text);
}
