/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The client of a monitor, with a peer that the test plays. */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>
#include <json-c/json.h>

#include "qmp.h"

#define PATIENCE_USEC (60 * UINT64_C(1000000))

struct fixture {
        sd_event *event;
        struct qmp *qmp;
        int peer;
        GString *said;                  /* what the listener and replies heard */
        bool frees;                     /* in the next callback */
};

static void note(struct fixture *f, const char *what, const char *more) {
        g_string_append_printf(f->said, "%s %s;", what, more);
        if (f->frees)
                f->qmp = qmp_free(f->qmp);
}

static void on_event(void *userdata, const char *name, struct json_object *data) {
        note(userdata, name, data ? json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN) : "-");
}

static void on_late(void *userdata) {
        note(userdata, "late", "-");
}

static void on_gone(void *userdata, bool violated, const char *why) {
        note(userdata, violated ? "violated" : "gone", why);
}

static void on_reply(void *userdata, int r, struct json_object *value, const char *why) {
        if (r == 0)
                note(userdata, "0", json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
        else
                note(userdata, r == -EIO ? "EIO" : r == -ETIMEDOUT ? "ETIMEDOUT" : "ENOTCONN", why);
}

#define ANSWER_MS 600000u               /* more than any test takes */

static struct qmp_listener listener = { on_event, on_late, on_gone, ANSWER_MS };

static void set_up(struct fixture *f, gconstpointer data) {
        int fds[2];

        listener.answer_ms = ANSWER_MS;
        g_assert_cmpint(sd_event_new(&f->event), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(qmp_new(&f->qmp, f->event, fds[0], &listener, f), ==, 0);
        f->peer = fds[1];
        f->said = g_string_new("");
}

static void tear_down(struct fixture *f, gconstpointer data) {
        qmp_free(f->qmp);
        if (f->peer >= 0)
                close(f->peer);
        sd_event_unref(f->event);
        g_string_free(f->said, TRUE);
}

static void settle(struct fixture *f) {
        while (sd_event_run(f->event, 0) > 0)
                ;
}

static void say(struct fixture *f, const char *text) {
        g_assert_cmpint(send(f->peer, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
        settle(f);
}

static void assert_said(struct fixture *f, const char *expected) {
        g_assert_cmpstr(f->said->str, ==, expected);
        g_string_truncate(f->said, 0);
}

static void assert_hears(struct fixture *f, const char *expected) {
        char data[512] = "";
        ssize_t n = recv(f->peer, data, sizeof data - 1, MSG_DONTWAIT);

        g_assert_cmpstr(n > 0 ? data : "", ==, expected);
}

static void greet(struct fixture *f) {
        say(f, "{\"QMP\": {}}\r\n");
        assert_hears(f, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
        say(f, "{\"return\": {}, \"id\": 1}\r\n");
}

static void execute(struct fixture *f, const char *command, uint64_t *ret_id) {
        g_assert_cmpint(qmp_execute(f->qmp, command, NULL, -1, on_reply, f, ret_id), ==, 0);
}

static void test_commands(struct fixture *f, gconstpointer data) {
        execute(f, "stop", NULL);
        settle(f);
        assert_hears(f, "");            /* nothing before the greeting */
        greet(f);
        execute(f, "query-status", NULL);
        assert_hears(f, "{\"execute\":\"stop\",\"id\":2}\n");
        say(f, "{\"event\": \"STOP\"}\r\n{\"return\": {}, \"id\": 2}\r\n");
        assert_said(f, "STOP -;0 {};");
        assert_hears(f, "{\"execute\":\"query-status\",\"id\":3}\n");
        say(f, "{\"error\": {\"class\": \"x\", \"desc\": \"not now\"}, \"id\": 3}\n");
        assert_said(f, "EIO not now;");
}

static void test_arguments(struct fixture *f, gconstpointer data) {
        struct json_object *arguments = json_object_new_object();

        greet(f);
        json_object_object_add(arguments, "path", json_object_new_string("/a \"b\"\n"));
        g_assert_cmpint(qmp_execute(f->qmp, "x", arguments, -1, NULL, NULL, NULL), ==, 0);
        settle(f);
        assert_hears(f, "{\"execute\":\"x\",\"id\":2,\"arguments\":{\"path\":\"/a \\\"b\\\"\\n\"}}\n");
}

static void test_descriptor(struct fixture *f, gconstpointer data) {
        char bytes[256], space[CMSG_SPACE(sizeof(int))];
        struct iovec iov = { bytes, sizeof bytes };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
        int fds[2], fd;

        greet(f);
        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        g_assert_cmpint(qmp_execute(f->qmp, "getfd", NULL, fds[1], on_reply, f, NULL), ==, 0);
        close(fds[1]);
        settle(f);
        g_assert_cmpint(recvmsg(f->peer, &message, MSG_CMSG_CLOEXEC), >, 0);
        g_assert_nonnull(CMSG_FIRSTHDR(&message));
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        g_assert_cmpint(write(fd, "x", 1), ==, 1);
        g_assert_cmpint(read(fds[0], bytes, 1), ==, 1);
        close(fd);
        close(fds[0]);
}

static void test_forgotten(struct fixture *f, gconstpointer data) {
        uint64_t id;

        greet(f);
        execute(f, "stop", &id);
        qmp_forget(f->qmp, id);
        say(f, "{\"return\": {}, \"id\": 2}\n");
        assert_said(f, "");
}

static void test_hang_up(struct fixture *f, gconstpointer data) {
        greet(f);
        execute(f, "stop", NULL);
        execute(f, "cont", NULL);
        close(f->peer);
        f->peer = -1;
        settle(f);
        assert_said(f, "ENOTCONN its monitor has hung up;ENOTCONN its monitor has hung up;gone its monitor has hung up;");
        g_assert_cmpint(qmp_execute(f->qmp, "stop", NULL, -1, NULL, NULL, NULL), ==, -ENOTCONN);
}

static void test_uncalled_for(struct fixture *f, gconstpointer data) {
        greet(f);
        say(f, data);
        g_assert_true(g_str_has_prefix(f->said->str, "violated "));
}

/* Whoever was connected before has asked for something, and is not there for the answer. Of those there cannot be more than QEMU takes at once. */
static void test_answers_to_others(struct fixture *f, gconstpointer data) {
        say(f, "{\"return\": {}, \"id\": 7}\n{\"QMP\": {}}\n{\"error\": {\"class\": \"x\", \"desc\": \"no\"}, \"id\": 8}\n");
        assert_hears(f, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
        say(f, "{\"return\": {}, \"id\": 1}\n{\"return\": {}, \"id\": 1}\n");
        execute(f, "stop", NULL);
        settle(f);
        assert_hears(f, "{\"execute\":\"stop\",\"id\":2}\n");
        say(f, "{\"return\": {}, \"id\": 2}\n");
        assert_said(f, "0 {};");
        for (unsigned i = 0; i < 5; i++)
                say(f, "{\"return\": {}, \"id\": 1}\n");
        assert_said(f, "");
        say(f, "{\"return\": {}, \"id\": 1}\n");
        assert_said(f, "violated its monitor says what was not asked for;");
}

static void test_no_greeting(struct fixture *f, gconstpointer data) {
        say(f, "{\"event\": \"STOP\"}\n");
        assert_said(f, "violated its monitor says what was not asked for;");
}

static void test_freed(struct fixture *f, gconstpointer data) {
        greet(f);
        execute(f, "stop", NULL);
        execute(f, "cont", NULL);
        f->frees = true;
        say(f, data);
        g_assert_null(f->qmp);
        g_assert_cmpuint(strlen(f->said->str), >, 0);
}

static void say_events(struct fixture *f, size_t n, const char *then) {
        GString *text = g_string_new("");

        for (size_t i = 0; i < n; i++)
                g_string_append(text, "{\"event\": \"STOP\"}\n");
        g_string_append(text, then);
        say(f, text->str);
        g_string_free(text, TRUE);
}

/* As fast as they come, up to so many; and the rest, as the reply after them, later. */
static void test_flood(struct fixture *f, gconstpointer data) {
        const size_t n_before = 1024, n_after = 100;

        greet(f);
        execute(f, "stop", NULL);
        say_events(f, n_before + n_after, "{\"return\": {}, \"id\": 2}\n");
        g_assert_cmpuint(f->said->len, ==, n_before * strlen("STOP -;"));
        while (!g_str_has_suffix(f->said->str, "0 {};"))
                g_assert_cmpint(sd_event_run(f->event, PATIENCE_USEC), >, 0);
        g_assert_cmpuint(f->said->len, ==, (n_before + n_after) * strlen("STOP -;") + strlen("0 {};"));
}

static void test_freed_late(struct fixture *f, gconstpointer data) {
        greet(f);
        say_events(f, 1025, "");
        f->frees = true;
        while (f->qmp)
                g_assert_cmpint(sd_event_run(f->event, PATIENCE_USEC), >, 0);
}

static void test_no_answer(struct fixture *f, gconstpointer data) {
        int r, n = 0;

        greet(f);
        while ((r = qmp_execute(f->qmp, "stop", NULL, -1, NULL, NULL, NULL)) == 0)
                n++;
        g_assert_cmpint(r, ==, -EBUSY);
        g_assert_cmpint(n, ==, 1024);
        say(f, "{\"return\": {}, \"id\": 2}\n");
        execute(f, "stop", NULL);
}

static void wait_until_said(struct fixture *f, const char *expected) {
        while (f->said->len < strlen(expected))
                g_assert_cmpint(sd_event_run(f->event, PATIENCE_USEC), >, 0);
        assert_said(f, expected);
}

/* Who asked hears of it; what was not sent is not done later, and what is said to what was is nobody's. */
static void test_late(struct fixture *f, gconstpointer data) {
        greet(f);
        listener.answer_ms = 20;
        execute(f, "stop", NULL);
        execute(f, "cont", NULL);
        g_assert_cmpint(qmp_execute(f->qmp, "set-action", NULL, -1, NULL, NULL, NULL), ==, 0);      /* nobody waits for it */
        wait_until_said(f, "ETIMEDOUT its monitor has not answered stop within 20 ms;ETIMEDOUT its monitor has not answered cont within 20 ms;");
        listener.answer_ms = ANSWER_MS;
        execute(f, "query-status", NULL);
        settle(f);
        assert_hears(f, "{\"execute\":\"stop\",\"id\":2}\n");
        say(f, "{\"event\": \"STOP\"}\n{\"return\": {}, \"id\": 2}\n");
        assert_said(f, "STOP -;late -;");
        assert_hears(f, "{\"execute\":\"set-action\",\"id\":4}\n");
        say(f, "{\"return\": {}, \"id\": 4}\n");
        assert_hears(f, "{\"execute\":\"query-status\",\"id\":5}\n");
        say(f, "{\"return\": {}, \"id\": 5}\n");
        assert_said(f, "0 {};");
}

/* What somebody waited for was not sent because of what nobody waits for any more: when that is done, it may be what the other was to find out. */
static void test_late_and_forgotten(struct fixture *f, gconstpointer data) {
        uint64_t id;

        greet(f);
        listener.answer_ms = 20;
        execute(f, "device_add", &id);
        qmp_forget(f->qmp, id);
        execute(f, "qom-list", NULL);
        wait_until_said(f, "ETIMEDOUT its monitor has not answered qom-list within 20 ms;");
        assert_hears(f, "{\"execute\":\"device_add\",\"id\":2}\n");
        say(f, "{\"return\": {}, \"id\": 2}\n");
        assert_said(f, "late -;");
        assert_hears(f, "");
}

/* Before the greeting nothing is sent, and nothing is left to be. */
static void test_late_greeting(struct fixture *f, gconstpointer data) {
        listener.answer_ms = 20;
        execute(f, "stop", NULL);
        wait_until_said(f, "ETIMEDOUT its monitor has not answered stop within 20 ms;");
        greet(f);
        assert_hears(f, "");
}

/* An answer that is there counts, however late it is looked at. */
static void test_answer_in_time(struct fixture *f, gconstpointer data) {
        static const char answer[] = "{\"return\": {}, \"id\": 2}\n";

        greet(f);
        listener.answer_ms = 20;
        execute(f, "stop", NULL);
        g_assert_cmpint(send(f->peer, answer, strlen(answer), MSG_NOSIGNAL), ==, strlen(answer));
        g_usleep(300000);               /* past the deadline, and what it may be late */
        settle(f);
        assert_said(f, "0 {};");
}

static void test_freed_when_late(struct fixture *f, gconstpointer data) {
        greet(f);
        listener.answer_ms = 20;
        execute(f, "stop", NULL);
        execute(f, "cont", NULL);
        f->frees = true;
        while (f->qmp)
                g_assert_cmpint(sd_event_run(f->event, PATIENCE_USEC), >, 0);
        assert_said(f, "ETIMEDOUT its monitor has not answered stop within 20 ms;");
}

#define ADD(name, data, test) g_test_add("/qmp/" name, struct fixture, data, set_up, test, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("one-command-at-a-time", NULL, test_commands);
        ADD("arguments-are-quoted", NULL, test_arguments);
        ADD("descriptors-go-along", NULL, test_descriptor);
        ADD("a-forgotten-command-says-nothing", NULL, test_forgotten);
        ADD("all-commands-hear-of-the-end", NULL, test_hang_up);
        ADD("a-reply-that-nobody-asked-for", "{\"return\": {}, \"id\": 2}\n", test_uncalled_for);
        ADD("a-reply-that-is-late", NULL, test_late);
        ADD("a-reply-that-is-late-and-nobody's", NULL, test_late_and_forgotten);
        ADD("a-greeting-that-is-late", NULL, test_late_greeting);
        ADD("a-reply-that-is-looked-at-late", NULL, test_answer_in_time);
        ADD("freed-when-a-reply-is-late", NULL, test_freed_when_late);
        ADD("a-second-greeting", "{\"QMP\": {}}\n", test_uncalled_for);
        ADD("garbage", "\x01\x02\x03\n", test_uncalled_for);
        ADD("answers-to-others", NULL, test_answers_to_others);
        ADD("no-greeting", NULL, test_no_greeting);
        ADD("freed-in-an-event", "{\"event\": \"STOP\"}\n{\"event\": \"STOP\"}\n", test_freed);
        ADD("freed-in-a-reply", "{\"return\": {}, \"id\": 2}\n{\"event\": \"STOP\"}\n", test_freed);
        ADD("freed-at-the-end", "garbage\n", test_freed);
        ADD("freed-in-an-event-that-had-to-wait", NULL, test_freed_late);
        ADD("more-events-than-are-heard-at-once", NULL, test_flood);
        ADD("more-commands-than-may-wait", NULL, test_no_answer);
        return g_test_run();
}
