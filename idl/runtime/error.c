/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idl-errors.h"
#include "utf8.h"

#define DETAIL_SIZE_MAX 1024u           /* a name of 10 kB need not come back in full */
#define SHOWN_SIZE_MAX 200u             /* and a sentence has to stay one */

void idl_error_done(struct idl_error *error) {
        free(error->message);
        for (size_t i = 0; i < error->n_details; i++)
                if (strchr("so", error->details[i].type))
                        free(error->details[i].s);
        *error = (struct idl_error) IDL_ERROR_NULL;
}

void idl_error_move(struct idl_error *to, struct idl_error *from) {
        *to = *from;
        *from = (struct idl_error) IDL_ERROR_NULL;
}

static void print_detail(FILE *to, const struct idl_error_detail *detail) {
        switch (detail->type) {
        case 't':
        case 'u':
                fprintf(to, "%llu", (unsigned long long) detail->t);
                break;
        case 'x':
        case 'i':
                fprintf(to, "%lld", (long long) detail->x);
                break;
        case 'd':
                fprintf(to, "%g", detail->d);
                break;
        case 'b':
                fputs(detail->b ? "true" : "false", to);
                break;
        default: {
                char *shown = idl_utf8_copy(detail->s, SHOWN_SIZE_MAX);

                fprintf(to, "%s%s", shown ?: "", shown && strlen(shown) < strlen(detail->s) ? "..." : "");
                free(shown);
        }
        }
}

/* In the largest unit of which there is one; in bytes where two digits would look like a whole number, as it may be too much by one. */
static void print_bytes(FILE *to, uint64_t n) {
        static const char units[] = "KMGTPE";
        unsigned unit = 0, shift, hundredths;
        uint64_t rest;

        while (unit < strlen(units) && n >> (10 * (unit + 1)) > 0)
                unit++;
        shift = 10 * unit;
        rest = n & ((UINT64_C(1) << shift) - 1);
        hundredths = unit > 0 ? (unsigned) ((rest >> (shift - 10)) * 100 / 1024) : 0;
        if (unit == 0 || (rest > 0 && hundredths == 0))
                fprintf(to, "%llu byte%s", (unsigned long long) n, n == 1 ? "" : "s");
        else if (rest == 0)
                fprintf(to, "%llu %ciB", (unsigned long long) (n >> shift), units[unit - 1]);
        else
                fprintf(to, "%llu.%02u %ciB", (unsigned long long) (n >> shift), hundredths, units[unit - 1]);
}

/* placeholder: what is between the braces. */
static void print_placeholder(FILE *to, const char *placeholder, size_t n, const struct idl_error *error) {
        static const char suffix[] = ":bytes";
        size_t n_suffix = sizeof suffix - 1;
        bool is_bytes = n > n_suffix && memcmp(placeholder + n - n_suffix, suffix, n_suffix) == 0;
        size_t n_name = is_bytes ? n - n_suffix : n;

        for (size_t i = 0; i < error->n_details; i++) {
                const struct idl_error_detail *detail = &error->details[i];

                if (strlen(detail->name) != n_name || strncmp(detail->name, placeholder, n_name) != 0)
                        continue;
                if (is_bytes)
                        print_bytes(to, detail->t);
                else
                        print_detail(to, detail);
        }
}

/* The sentence with its details, or NULL without memory. */
static char *compose(const char *sentence, const struct idl_error *error) {
        char *message = NULL;
        size_t size = 0;
        FILE *to;

        to = open_memstream(&message, &size);
        if (!to)
                return NULL;
        for (const char *p = sentence; *p; p++) {
                const char *end;

                if (*p != '{' || !(end = strchr(p, '}'))) {
                        fputc(*p, to);
                        continue;
                }
                print_placeholder(to, p + 1, (size_t) (end - p - 1), error);
                p = end;
        }
        if (fclose(to) != 0) {
                free(message);
                return NULL;
        }
        return message;
}

int idl_error_set(struct idl_error *error, const struct idl_error_kind *kind, const struct idl_error_detail *details, size_t n_details) {
        struct idl_error result = { .name = kind->name, .number = kind->number };

        if (!error)
                return -kind->number;

        for (size_t i = 0; i < n_details && i < IDL_ERROR_DETAILS_MAX; i++) {
                struct idl_error_detail *detail = &result.details[result.n_details];

                *detail = details[i];
                if (strchr("so", detail->type)) {
                        detail->s = idl_utf8_copy(details[i].s, DETAIL_SIZE_MAX);
                        if (!detail->s)         /* without memory, an error with fewer details is still the right one */
                                continue;
                }
                result.n_details++;
        }
        result.message = compose(kind->sentence, &result);

        idl_error_done(error);
        *error = result;
        return -kind->number;
}

int idl_error_set_bytes_exceeded(struct idl_error *error, const char *name, uint64_t value, uint64_t limit) {
        static const struct idl_error_kind kind = { IDL_ERROR_LIMIT_EXCEEDED, "{name}: {value:bytes} is more than {limit:bytes}", E2BIG };
        const struct idl_error_detail details[] = {
                { .name = "name", .type = 's', .s = (char *) name },
                { .name = "value", .type = 't', .t = value },
                { .name = "limit", .type = 't', .t = limit },
        };

        return idl_error_set(error, &kind, details, 3);
}

int idl_error_set_errno(struct idl_error *error, int r, const char *what) {
        if (!error || error->name)
                return r;

        if (r == -ENOMEM)
                idl_error_set_out_of_memory(error, what);
        else
                idl_error_set_internal(error, what, strerrordesc_np(-r) ?: "unknown error");
        return r;
}

struct idl_variant idl_error_detail_variant(const struct idl_error_detail *detail) {
        struct idl_variant value = { .type = detail->type };

        switch (detail->type) {
        case 't':
                value.t = detail->t;
                break;
        case 'u':
                value.u = (uint32_t) detail->t;
                break;
        case 'x':
                value.x = detail->x;
                break;
        case 'i':
                value.i = (int32_t) detail->x;
                break;
        case 'd':
                value.d = detail->d;
                break;
        case 'b':
                value.b = detail->b;
                break;
        default:
                value.s = detail->s;
        }
        return value;
}

int idl_error_reply(sd_bus_message *call, const struct idl_error *error) {
        return sd_bus_reply_method_errorf(call, error->name, "%s", error->message ?: "Out of memory");
}

int idl_error_to_sd_bus(const struct idl_error *error, sd_bus_error *ret_error) {
        sd_bus_error_set(ret_error, error->name, error->message ?: "Out of memory");
        return -error->number;
}
