/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "sharing.h"

#include <stdio.h>
#include <string.h>

static bool is_raw(const char *format) {
        return strcmp(format, "aio") == 0 || strcmp(format, "raw") == 0;        /* libxl's word, and QEMU's */
}

/* What is before the colon, if that is a word. */
static void read_format(const char *params, char *ret_format) {
        size_t n = params ? strspn(params, "abcdefghijklmnopqrstuvwxyz0123456789") : 0;
        bool is_word = n > 0 && n < SHARING_FORMAT_SIZE && params[n] == ':';

        snprintf(ret_format, SHARING_FORMAT_SIZE, "%.*s", is_word ? (int) n : 0, is_word ? params : "");
}

bool xen_disk_is_shareable(const libxl_device_disk *disk, const char *params, char *ret_format) {
        if (disk->backend == LIBXL_DISK_BACKEND_PHY || !disk->readwrite)
                return true;
        read_format(params, ret_format);
        if (is_raw(ret_format))
                return true;
        if (!ret_format[0])             /* then nobody knows what could happen */
                snprintf(ret_format, SHARING_FORMAT_SIZE, "unknown");
        return false;
}
