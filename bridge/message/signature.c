/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Signatures: D-Bus Specification, "Type System". */

#include "message.h"
#include "names.h"

static bool is_basic(char c) {
        switch (c) {
        case 'y': case 'b': case 'n': case 'q': case 'i': case 'u': case 'x': case 't': case 'd': case 's': case 'o': case 'g': case 'h':
                return true;
        default:
                return false;
        }
}

/* What is open at some point of a signature. */
struct open {
        uint8_t at;             /* of the parenthesis or brace */
        uint8_t n_types;        /* complete types since */
        uint8_t n_arrays;       /* letters a directly before it, which are part of the same type */
};

struct reading {
        const char *p;
        struct signature *signature;
        struct open open[SIGNATURE_DEPTH_MAX + 1];
        size_t depth;
        unsigned n_arrays;      /* letters a before the type that comes next */
        unsigned array_depth;   /* and with those of all that is open */
};

static int open_struct(struct reading *reading, size_t i) {
        char c = reading->p[i];

        if (c == '{' && (reading->n_arrays == 0 || !is_basic(reading->p[i + 1])))
                return MESSAGE_BAD_SIGNATURE;
        if (reading->depth == SIGNATURE_DEPTH_MAX)
                return MESSAGE_TOO_DEEP;
        reading->open[++reading->depth] = (struct open) { .at = i, .n_arrays = reading->n_arrays };
        reading->n_arrays = 0;
        return 0;
}

/* A complete type ended. */
static void count_type(struct reading *reading, unsigned n_arrays) {
        if (reading->open[reading->depth].n_types < UINT8_MAX)
                reading->open[reading->depth].n_types++;
        reading->array_depth -= n_arrays;
        reading->n_arrays = 0;
}

static int close_struct(struct reading *reading, size_t i) {
        const struct open *open = &reading->open[reading->depth];
        char c = reading->p[i];

        if (reading->depth == 0 || reading->n_arrays > 0 || reading->p[open->at] != (c == ')' ? '(' : '{'))
                return MESSAGE_BAD_SIGNATURE;
        if (c == ')' ? open->n_types == 0 : open->n_types != 2)
                return MESSAGE_BAD_SIGNATURE;
        reading->signature->end[open->at] = i + 1;
        reading->depth--;
        count_type(reading, open->n_arrays);
        return 0;
}

static int read_code(struct reading *reading, size_t i) {
        char c = reading->p[i];

        switch (c) {
        case 'a':
                if (++reading->array_depth > SIGNATURE_DEPTH_MAX)
                        return MESSAGE_TOO_DEEP;
                reading->n_arrays++;
                return 0;
        case '(': case '{':
                return open_struct(reading, i);
        case ')': case '}':
                return close_struct(reading, i);
        default:
                if (!is_basic(c) && c != 'v')
                        return MESSAGE_BAD_SIGNATURE;
                reading->signature->end[i] = i + 1;
                count_type(reading, reading->n_arrays);
                return 0;
        }
}

static int read_any(const char *p, size_t n, struct signature *ret_signature) {
        struct reading reading = { .p = p, .signature = ret_signature };
        int r;

        if (n > NAME_MAX_LENGTH)
                return MESSAGE_BAD_SIGNATURE;
        for (size_t i = 0; i < n; i++) {
                if (p[i] == '{' && i + 1 == n)
                        return MESSAGE_BAD_SIGNATURE;
                r = read_code(&reading, i);
                if (r != 0)
                        return r;
        }
        if (reading.depth > 0 || reading.n_arrays > 0)
                return MESSAGE_BAD_SIGNATURE;

        ret_signature->n = n;
        for (size_t i = n; i-- > 0;)    /* an array ends with its element, which begins right after it */
                if (p[i] == 'a')
                        ret_signature->end[i] = ret_signature->end[i + 1];
        return 0;
}

int signature_read(const char *p, size_t n, struct signature *ret_signature) {
        if (n != 1 || !is_basic(*p))
                return read_any(p, n, ret_signature);
        ret_signature->n = ret_signature->end[0] = 1;   /* as those of most header fields */
        return 0;
}

bool signature_is_single(const struct signature *signature) {
        return signature->n > 0 && signature->end[0] == signature->n;
}
