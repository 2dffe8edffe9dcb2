/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rules that nobody would write: what is accepted must have one form, which means the same. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct message message = { .type = MESSAGE_SIGNAL, .sender = ":1.5", .path = "/a/b", .interface = "a.b", .member = "M" };
        struct match_subject subject = { .message = &message };
        struct match_error error = {};
        struct match *match, *again;
        uint8_t *body;

        if (match_new(&match, (const char *) data, n, &error) < 0) {
                assert(error.column > 0 && error.column <= MATCH_TEXT_MAX + 1 && error.text[0]);
                return 0;
        }
        assert(match_new(&again, match->text, strlen(match->text), &error) == 0);
        assert(strcmp(match->text, again->text) == 0);
        assert(message_make_body(&message, &body, "sos", "org.a.b", "/a/b", "/a/") == 0);
        assert(match_accepts(match, &subject) == match_accepts(again, &subject));
        free(body);
        match_free(again);
        match_free(match);
        return 0;
}
