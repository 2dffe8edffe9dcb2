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
                for (size_t i = 0; i < error->n_details; i++)
                        if (strlen(error->details[i].name) == (size_t) (end - p - 1) &&
                            strncmp(error->details[i].name, p + 1, (size_t) (end - p - 1)) == 0)
                                print_detail(to, &error->details[i]);
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
