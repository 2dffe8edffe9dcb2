/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "spec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "idl-errors.h"
#include "storage.h"
#include "utf8.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define VALUE_SHOWN 64                  /* bytes of a wrong value that an error repeats */
#define SECTOR 512u

static int refuse(struct idl_error *error, const char *argument, const char *value, const char *limit) {
        AUTO_FREE char *shown = idl_utf8_copy(value, VALUE_SHOWN);

        return idl_error_set_invalid_argument(error, argument, shown ?: "", limit);
}

int spec_check_sr_name(const char *argument, const char *name, struct idl_error *error) {
        size_t n = strlen(name);

        if (n == 0 || n > SPEC_SR_NAME_MAX || strspn(name, LETTERS DIGITS ".-_") != n)
                return refuse(error, argument, name, "has to be 1 to 64 letters, digits, dots, dashes and underscores");
        return 0;
}

static bool has_control(const char *text) {
        for (; *text; text++)
                if ((unsigned char) *text < ' ' || *text == 0x7f)
                        return true;
        return false;
}

int spec_check_vdi_name(const char *argument, const char *name, struct idl_error *error) {
        size_t n = strlen(name);

        if (n == 0 || n > SPEC_VDI_NAME_MAX)
                return refuse(error, argument, name, "has to have 1 to 255 bytes");
        if (has_control(name))
                return refuse(error, argument, name, "may not have control characters");
        return 0;
}

int spec_check_description(const char *argument, const char *description, struct idl_error *error) {
        if (strlen(description) > SPEC_DESCRIPTION_MAX)
                return refuse(error, argument, description, "may have 4096 bytes at most");
        return 0;
}

int spec_check_labels(const char *argument, const struct xcp_dict_s_s_entry *labels, size_t n, struct idl_error *error) {
        if (n > SPEC_LABELS_MAX)
                return idl_error_set_limit_exceeded(error, argument, n, SPEC_LABELS_MAX);
        for (size_t i = 0; i < n; i++) {
                size_t length = strlen(labels[i].key);

                if (length == 0 || length > SPEC_LABEL_NAME_MAX)
                        return refuse(error, argument, labels[i].key, "has to have 1 to 255 bytes");
                if (strlen(labels[i].value) > SPEC_LABEL_VALUE_MAX)
                        return refuse(error, argument, labels[i].key, "may have 4096 bytes for a value at most");
                for (size_t j = 0; j < i; j++)
                        if (strcmp(labels[i].key, labels[j].key) == 0)
                                return refuse(error, argument, labels[i].key, "comes twice");
        }
        return 0;
}

int spec_check_reader(const char *reader, struct idl_error *error) {
        size_t n = strlen(reader);

        if (n == 0 || n > DATA_PATH_READER_MAX || has_control(reader))
                return refuse(error, "reader", reader, "has to have 1 to 128 bytes, and no control characters");
        return 0;
}

/* Whole and absolute: what is meant does not depend on where one stands, and nothing in it goes up again. */
int spec_check_path(const char *path, struct idl_error *error) {
        if (!path)
                return refuse(error, "spec.config.path", "", "has to be given");
        if (*path != '/' || path[1] == '\0' || strlen(path) > SPEC_PATH_MAX || has_control(path))
                return refuse(error, "spec.config.path", path,
                              "has to be an absolute path of at most 3072 bytes, without control characters");
        for (const char *p = path; p; p = strchr(p, '/')) {
                size_t n = strcspn(++p, "/");

                if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return refuse(error, "spec.config.path", path, "may not have a part that is empty, . or ..");
        }
        return 0;
}

int spec_check_uuid(const char *argument, const char *text, struct uuid *ret_uuid, struct idl_error *error) {
        if (uuid_parse(text, ret_uuid) < 0 || uuid_is_null(ret_uuid))
                return refuse(error, argument, text, "has to be a UUID, in lower-case letters");
        return 0;
}

int spec_round_size(const char *argument, uint64_t size, uint64_t max, uint64_t *ret_size, struct idl_error *error) {
        if (size == 0)
                return refuse(error, argument, "0", "has to be at least 1");
        if (size > max)
                return idl_error_set_bytes_exceeded(error, argument, size, max);
        *ret_size = (size + SECTOR - 1) / SECTOR * SECTOR;      /* the limit is a multiple, so it does not get beyond */
        return 0;
}

int spec_check_limit(const char *argument, uint64_t limit, uint64_t max, struct idl_error *error) {
        char value[24], words[64];

        if (limit <= max)
                return 0;
        snprintf(value, sizeof value, "%" PRIu64, limit);
        snprintf(words, sizeof words, "has to be from 1 to %" PRIu64 ", or 0 for none", max);
        return idl_error_set_invalid_argument(error, argument, value, words);
}

int spec_parse_size(const char *argument, const char *text, uint64_t *ret_size, struct idl_error *error) {
        static const char units[] = "KMGT";
        unsigned long long number;
        const char *unit;
        unsigned shift = 0;
        char *end;

        errno = 0;
        number = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
        if (number == 0 || errno != 0)
                return refuse(error, argument, text, "has to be a number of bytes, such as 10G");
        if (*end != '\0') {
                unit = strchr(units, *end);
                if (!unit || end[1] != '\0')
                        return refuse(error, argument, text, "has to be a number of bytes, such as 10G");
                shift = 10 * (unsigned) (unit - units + 1);
        }
        if (number > UINT64_MAX >> shift >> 4)
                return refuse(error, argument, text, "is too large");
        *ret_size = (uint64_t) number << shift;
        return 0;
}

int spec_take_image_size(uint64_t *size, uint64_t image_size, struct idl_error *error) {
        char wanted[24];
        uint64_t rounded = 0;
        int r;

        r = spec_round_size("the size of the image", image_size, VDI_SIZE_MAX, &rounded, error);
        if (r < 0)
                return r;
        snprintf(wanted, sizeof wanted, "%llu", (unsigned long long) *size);
        if (*size > 0 && *size < rounded)
                return refuse(error, "spec.size", wanted, "is less than what there is to read");
        if (rounded > *size)
                *size = rounded;
        return 0;
}

int spec_set_missing(struct idl_error *error, const char *kind, const char *name) {
        AUTO_FREE char *shown = idl_utf8_copy(name, VALUE_SHOWN);

        return idl_error_set_does_not_exist(error, kind, shown ?: "");
}
