/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "host-info.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

int host_info_parse(const char *meminfo, const char *name, uint64_t *ret_bytes) {
        size_t n = strlen(name);
        uint64_t kib;

        for (const char *line = meminfo; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (strncmp(line, name, n) == 0 && line[n] == ':') {
                        if (sscanf(line + n + 1, "%" SCNu64 " kB", &kib) != 1)
                                return -EBADMSG;
                        *ret_bytes = kib * 1024;
                        return 0;
                }
        return -ENOENT;
}

int host_info_get(struct xcp_host_info *ret_info) {
        AUTO_CLOSE int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
        struct xcp_host_info info = { .cpus = 1 };
        char text[8192];
        ssize_t n;
        long cpus;
        int r;

        if (fd < 0)
                return -errno;
        n = read(fd, text, sizeof text - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        r = host_info_parse(text, "MemTotal", &info.memory);
        if (r >= 0)
                r = host_info_parse(text, "MemAvailable", &info.memory_free);
        if (r < 0)
                return r;
        cpus = sysconf(_SC_NPROCESSORS_ONLN);
        if (cpus > 0)
                info.cpus = (uint32_t) cpus;
        *ret_info = info;
        return 0;
}
