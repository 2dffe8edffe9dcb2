/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "qcow2-header.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* docs/interop/qcow2.txt, "Header" */
#define MAGIC 0x514649fbu
#define HEADER_V2_SIZE 72u
#define HEADER_V3_SIZE_MIN 104u
#define INCOMPATIBLE_CORRUPT (UINT64_C(1) << 1)
#define INCOMPATIBLE_DATA_FILE (UINT64_C(1) << 2)
#define INCOMPATIBLE_KNOWN UINT64_C(0x1f)
#define EXTENSION_END 0u
#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_DATA_FILE 0x44415441u
#define CLUSTER_BITS_MIN 9u
#define CLUSTER_BITS_MAX 21u
#define SIZE_MAX_TAKEN (UINT64_C(1) << 62)

static uint32_t read32(const uint8_t *p) {
        uint32_t value;

        memcpy(&value, p, sizeof value);
        return be32toh(value);
}

static uint64_t read64(const uint8_t *p) {
        uint64_t value;

        memcpy(&value, p, sizeof value);
        return be64toh(value);
}

static int refuse(const char **ret_reason, const char *reason) {
        *ret_reason = reason;
        return -EUCLEAN;
}

static int check_extensions(const uint8_t *untrusted_data, size_t n, size_t at, bool has_backing, const char **ret_reason) {
        bool backing_is_qcow2 = false;

        for (;;) {
                uint32_t type, length;

                if (n < 8 || at > n - 8)
                        return refuse(ret_reason, "its header extensions do not end");
                type = read32(untrusted_data + at);
                length = read32(untrusted_data + at + 4);
                at += 8;
                if (type == EXTENSION_END)
                        break;
                if (length > n - at)
                        return refuse(ret_reason, "a header extension is longer than the file");
                if (type == EXTENSION_DATA_FILE)
                        return refuse(ret_reason, "it keeps its data in another file");
                if (type == EXTENSION_BACKING_FORMAT)
                        backing_is_qcow2 = length == 5 && memcmp(untrusted_data + at, "qcow2", 5) == 0;
                length = length > UINT32_MAX - 7 ? length : (length + 7) / 8 * 8;       /* padded to eight bytes */
                if (length > n - at)
                        return refuse(ret_reason, "a header extension is longer than the file");
                at += length;
        }
        if (has_backing && !backing_is_qcow2)
                return refuse(ret_reason, "it does not say that its backing file is a qcow2 image");
        return 0;
}

static int check_backing(const uint8_t *untrusted_data, size_t n, struct qcow2_header *header, const char **ret_reason) {
        uint64_t offset = read64(untrusted_data + 8);
        uint32_t length = read32(untrusted_data + 16);
        char name[UUID_TEXT_SIZE + 6] = "";

        if (offset == 0)
                return 0;
        if (length != UUID_TEXT_SIZE - 1 + 6 || offset > n || length > n - offset)
                return refuse(ret_reason, "it has a backing file that is no disk of a storage repository");
        memcpy(name, untrusted_data + offset, length);
        if (uuid_parse_prefix(name, &header->backing) < 0 || strcmp(name + UUID_TEXT_SIZE - 1, ".qcow2") != 0)
                return refuse(ret_reason, "it has a backing file that is no disk of a storage repository");
        header->has_backing = true;
        return 0;
}

/* Version 3 has flags for what whoever does not know them must not open, and says how long the header is. */
static int check_version_3(const uint8_t *untrusted_data, size_t n, size_t *ret_header_size, const char **ret_reason) {
        uint64_t incompatible;
        uint32_t length;

        if (n < HEADER_V3_SIZE_MIN)
                return refuse(ret_reason, "it is shorter than a header");
        incompatible = read64(untrusted_data + 72);
        if (incompatible & INCOMPATIBLE_DATA_FILE)
                return refuse(ret_reason, "it keeps its data in another file");
        if (incompatible & INCOMPATIBLE_CORRUPT)
                return refuse(ret_reason, "it is marked as corrupt");
        if (incompatible & ~INCOMPATIBLE_KNOWN)
                return refuse(ret_reason, "it has features that are unknown");
        length = read32(untrusted_data + 100);
        if (length < HEADER_V3_SIZE_MIN || length > n || length % 8 != 0)
                return refuse(ret_reason, "the length of its header cannot be");
        *ret_header_size = length;
        return 0;
}

int qcow2_header_decode(const uint8_t *untrusted_data, size_t n, struct qcow2_header *ret_header, const char **ret_reason) {
        struct qcow2_header header = {};
        size_t header_size = HEADER_V2_SIZE;
        uint32_t version, cluster_bits;
        int r;

        if (n > QCOW2_HEADER_MAX)
                n = QCOW2_HEADER_MAX;
        if (n < HEADER_V2_SIZE || read32(untrusted_data) != MAGIC)
                return refuse(ret_reason, "it is no qcow2 image");
        version = read32(untrusted_data + 4);
        if (version != 2 && version != 3)
                return refuse(ret_reason, "it is of another version than 2 and 3");
        cluster_bits = read32(untrusted_data + 20);
        if (cluster_bits < CLUSTER_BITS_MIN || cluster_bits > CLUSTER_BITS_MAX)
                return refuse(ret_reason, "the size of its clusters cannot be");
        header.size = read64(untrusted_data + 24);
        if (header.size == 0 || header.size > SIZE_MAX_TAKEN)
                return refuse(ret_reason, "its size cannot be");
        if (read32(untrusted_data + 32) != 0)
                return refuse(ret_reason, "it is encrypted");
        r = version == 3 ? check_version_3(untrusted_data, n, &header_size, ret_reason) : 0;
        if (r < 0)
                return r;
        r = check_backing(untrusted_data, n, &header, ret_reason);
        if (r < 0)
                return r;
        r = check_extensions(untrusted_data, n, header_size, header.has_backing, ret_reason);
        if (r < 0)
                return r;
        *ret_header = header;
        return 0;
}
