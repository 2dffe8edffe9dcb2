/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages from a domain that means harm: what is accepted, libdbus must accept too, and it must survive another header. */

#undef NDEBUG
#include "reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_same(const char *a, const char *b) {
        assert(!a == !b && (!a || strcmp(a, b) == 0));
}

static void check_rewriting(const struct message *message) {
        struct message edited = *message, read;
        uint8_t *data;
        size_t n;
        int r;

        edited.serial = ~message->serial ?: 1;
        edited.destination = ":1.123456789";
        edited.sender = NULL;
        r = message_write(&edited, &data, &n);
        if (r < 0)
                return;         /* longer than a message can be */
        assert(message_parse(data, n, &read) == 0);
        assert(read.serial == edited.serial && read.type == edited.type && read.flags == edited.flags && read.n_fds == edited.n_fds);
        assert(read.reply_serial == edited.reply_serial && !read.unknown == !edited.unknown && !read.sender);
        check_same(read.path, edited.path);
        check_same(read.interface, edited.interface);
        check_same(read.member, edited.member);
        check_same(read.error_name, edited.error_name);
        check_same(read.destination, edited.destination);
        check_same(read.signature, edited.signature);
        assert(read.n_body == message->n_body && (read.n_body == 0 || memcmp(read.body, message->body, read.n_body) == 0));
        assert((message_check_body(&read) == 0) == (message_check_body(message) == 0));
        if (read.n_fds == 0 && message_check_body(&read) == 0)
                assert(!reference_refuses(data, n));
        free(data);
}

static void check_args(const struct message *message) {
        struct message_arg args[MESSAGE_ARGS_MAX];
        size_t n = message_args(message, args, MESSAGE_ARGS_MAX);

        for (size_t i = 0; i < n; i++)
                if (args[i].type)
                        assert(args[i].string + strlen(args[i].string) < (const char *) message->body + message->n_body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct message_strings strings;
        struct message message;
        size_t length;

        if (n < MESSAGE_FIXED_SIZE || message_length(data, n, &length) != 0)
                return 0;
        reference_check(data, n);
        if (message_parse(data, n, &message) != 0)
                return 0;
        check_rewriting(&message);
        check_args(&message);
        if (message_read(&message, "as", &strings) == 0)
                while (message_strings_next(&strings))
                        ;
        return 0;
}
