/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An sd-bus client of the test service; see caller.h. */

#include "caller.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void caller_set_up(struct caller *f, gconstpointer data) {
        int fd;

        peer_start(&f->peer, &fd);
        g_assert_cmpint(sd_bus_new(&f->bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(f->bus, fd, fd), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(f->bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(f->bus), >=, 0);
}

void caller_tear_down(struct caller *f, gconstpointer data) {
        sd_bus_flush_close_unref(f->bus);
        peer_join(&f->peer);
}

sd_bus_message *new_call(struct caller *f, const char *member) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(f->bus, &m, EVERYTHING, member), >=, 0);
        return m;
}

char *body_text(sd_bus_message *m) {
        char *text = NULL;
        size_t size;
        FILE *to = open_memstream(&text, &size);

        sd_bus_message_rewind(m, true);
        g_assert_cmpint(sd_bus_message_dump(m, to, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY), >=, 0);
        fclose(to);
        return text;
}

void check_echo(struct caller *f, sd_bus_message *call) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        char *sent, *received;
        int r;

        r = sd_bus_call(f->bus, call, 0, &error, &reply);
        if (r < 0)
                g_error("%s: %s", error.name, error.message);
        sent = body_text(call);
        received = body_text(reply);
        g_assert_cmpstr(sd_bus_message_get_signature(reply, true), ==, sd_bus_message_get_signature(call, true));
        g_assert_cmpstr(sent, ==, received);
        free(sent);
        free(received);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(call);
}

void check_error(struct caller *f, sd_bus_message *call, const char *name, const char *message) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;

        g_assert_cmpint(sd_bus_call(f->bus, call, 0, &error, &reply), <, 0);
        g_assert_null(reply);
        g_assert_cmpstr(error.name, ==, name);
        g_assert_cmpstr(error.message, ==, message);
        sd_bus_error_free(&error);
        sd_bus_message_unref(call);
}
