/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "name-text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static void path_text(const struct pvcalls_name *name, char *to) {
        size_t n = name->size - offsetof(struct sockaddr_un, sun_path);
        const char *path = name->local.sun_path;
        bool is_abstract = n > 0 && path[0] == '\0';

        if (!is_abstract)
                n = strnlen(path, n);
        if (n == 0) {
                strcpy(to, "- 0");
                return;
        }
        for (size_t i = 0; i < n; i++) {
                if (i == 0 && is_abstract)
                        *to++ = '@';
                else if (path[i] > ' ' && path[i] <= '~' && path[i] != '\\')
                        *to++ = path[i];
                else
                        to += sprintf(to, "\\%03o", (unsigned char) path[i]);
        }
        strcpy(to, " 0");
}

const char *name_text(const struct pvcalls_name *name, char text[NAME_TEXT_SIZE]) {
        char address[INET6_ADDRSTRLEN];

        switch (name->any.sa_family) {
        case AF_INET:
                snprintf(text, NAME_TEXT_SIZE, "%s %u", inet_ntop(AF_INET, &name->inet.sin_addr, address, sizeof address),
                         ntohs(name->inet.sin_port));
                break;
        case AF_INET6:
                snprintf(text, NAME_TEXT_SIZE, "%s %u", inet_ntop(AF_INET6, &name->inet6.sin6_addr, address, sizeof address),
                         ntohs(name->inet6.sin6_port));
                break;
        case AF_UNIX: path_text(name, text); break;
        default: strcpy(text, "- 0"); break;
        }
        return text;
}

const char *family_text(int family) {
        return family == AF_INET6 ? "inet6" : family == AF_UNIX ? "unix" : "inet";
}
