/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "foreign.h"

#include <string.h>

#define MAGIC_MAX 8u

static const struct {
        size_t offset, n;
        uint8_t magic[MAGIC_MAX];
        const char *format;
} magics[] = {
        { 0, 4, { 'K', 'D', 'M', 'V' }, "an image in the format VMDK (qemu-img convert makes qcow2 of it)" },
        { 0, 8, { 'v', 'h', 'd', 'x', 'f', 'i', 'l', 'e' }, "an image in the format VHDX (qemu-img convert makes qcow2 of it)" },
        { 0, 8, { 'c', 'o', 'n', 'e', 'c', 't', 'i', 'x' }, "an image in the format VHD (qemu-img convert makes qcow2 of it)" },
        { 64, 4, { 0x7f, 0x10, 0xda, 0xbe }, "an image in the format VDI of VirtualBox (qemu-img convert makes qcow2 of it)" },
        { 0, 4, { 'Q', 'E', 'D', 0 }, "an image in the format QED (qemu-img convert makes qcow2 of it)" },
        { 0, 6, { 0xfd, '7', 'z', 'X', 'Z', 0 }, "an image that is compressed with xz (decompress it, or use zstd)" },
        { 0, 3, { 0x1f, 0x8b, 8 }, "an image that is compressed with gzip (decompress it, or use zstd)" },
        { 0, 3, { 'B', 'Z', 'h' }, "an image that is compressed with bzip2 (decompress it, or use zstd)" },
        { 0, 4, { 'P', 'K', 3, 4 }, "an image in an archive of zip (take it out of it)" },
        { 0, 6, { '7', 'z', 0xbc, 0xaf, 0x27, 0x1c }, "an image in an archive of 7-Zip (take it out of it)" },
};

const char *foreign_format(const uint8_t *data, size_t n) {
        for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
                if (n >= magics[i].offset + magics[i].n && memcmp(data + magics[i].offset, magics[i].magic, magics[i].n) == 0)
                        return magics[i].format;
        return NULL;
}
