/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks generated code with arguments.
 *
 * The input is a list of calls, each a byte that says of what, a byte of options, the length of the body, and the body. The fuzzer
 * puts a header before it that sd-bus accepts, with the signature that the method has, and sends it to the test's service.
 *
 * Invariants: as long as the service keeps the connection, it answers every call exactly once, though some only when it ends.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "service.h"
#include "test1-everything.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define BODY_MAX 4096u
#define CALLS_MAX 32u

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (false)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct target {
        const char *interface, *member, *signature;
        const char *property, *property_signature;      /* of Set */
} targets[] = {
        { TEST1_EVERYTHING_INTERFACE, "EchoBasic", "ybnqiuxtdsog" },
        { TEST1_EVERYTHING_INTERFACE, "EchoArrays", "ayabanaqaiauaxatadasaoag" },
        { TEST1_EVERYTHING_INTERFACE, "EchoNested", "aasaaua{ss}a{sas}a{oa{sa{sv}}}a(sa{sv})a{s(iav)}a{su}(s(iu)asv)" },
        { TEST1_EVERYTHING_INTERFACE, "EchoVariant", "v" },
        { TEST1_EVERYTHING_INTERFACE, "EchoOptions", "a{sv}" },
        { TEST1_EVERYTHING_INTERFACE, "EchoColors", "sas" },
        { TEST1_EVERYTHING_INTERFACE, "EchoFiles", "hah" },
        { TEST1_EVERYTHING_INTERFACE, "Later", "s" },
        { TEST1_EVERYTHING_INTERFACE, "Answer", "s" },
        { TEST1_EVERYTHING_INTERFACE, "Fail", "s" },
        { TEST1_EVERYTHING_INTERFACE, "Poke", "u" },
        { TEST1_EVERYTHING_INTERFACE, "Default", "iias" },
        { TEST1_EVERYTHING_INTERFACE, "EmitEverything", "sa(sa{sv})v" },
        { PROPERTIES, "Set", "ssv", "Loud", "s" },
        { PROPERTIES, "Set", "ssv", "Silent", "s" },
        { PROPERTIES, "Set", "ssv", "Items", "a(sa{sv})" },
        { PROPERTIES, "Set", "ssv", "Anything", "v" },
        { PROPERTIES, "Set", "ssv" },
        { PROPERTIES, "GetAll", "s" },
};

/* A message under construction. */
struct writer {
        uint8_t data[BODY_MAX + 1024];
        size_t n;
        bool big_endian;
};

static void put_padding(struct writer *w, size_t alignment) {
        while (w->n % alignment != 0)
                w->data[w->n++] = 0;
}

static void set_u32(struct writer *w, size_t at, uint32_t value) {
        for (unsigned i = 0; i < 4; i++)
                w->data[at + i] = (uint8_t) (value >> 8 * (w->big_endian ? 3 - i : i));
}

static void put_u32(struct writer *w, uint32_t value) {
        put_padding(w, 4);
        set_u32(w, w->n, value);
        w->n += 4;
}

static void put_bytes(struct writer *w, const void *data, size_t n) {
        memcpy(w->data + w->n, data, n);
        w->n += n;
}

static void put_string(struct writer *w, const char *s) {
        put_u32(w, (uint32_t) strlen(s));
        put_bytes(w, s, strlen(s) + 1);
}

static void put_signature(struct writer *w, const char *s) {
        w->data[w->n++] = (uint8_t) strlen(s);
        put_bytes(w, s, strlen(s) + 1);
}

static void put_field(struct writer *w, uint8_t code, const char *type, const char *value) {
        put_padding(w, 8);
        w->data[w->n++] = code;
        put_signature(w, type);
        if (type[0] == 'g')
                put_signature(w, value);
        else
                put_string(w, value);
}

/* D-Bus Specification, "Message Format". */
static void put_call(struct writer *w, const struct target *target, uint32_t serial, const uint8_t *body, size_t n_body) {
        size_t body_start;

        w->n = 0;
        put_bytes(w, w->big_endian ? "B\1\0\1" : "l\1\0\1", 4);
        put_u32(w, 0);
        put_u32(w, serial);
        put_u32(w, 0);
        put_field(w, 1, "o", TEST_PATH);
        put_field(w, 2, "s", target->interface);
        put_field(w, 3, "s", target->member);
        put_field(w, 8, "g", target->signature);
        set_u32(w, 12, (uint32_t) (w->n - 16));
        put_padding(w, 8);

        body_start = w->n;
        if (target->property) {
                put_string(w, TEST1_EVERYTHING_INTERFACE);
                put_string(w, target->property);
                put_signature(w, target->property_signature);
                put_padding(w, 8);
        }
        put_bytes(w, body, n_body);
        set_u32(w, 4, (uint32_t) (w->n - body_start));
}

static void send_all(int fd, const void *data, size_t n) {
        demand(write(fd, data, n) == (ssize_t) n);
}

static void authenticate(int fd) {
        char uid[16], line[64] = "AUTH EXTERNAL ";
        size_t n = strlen(line);

        snprintf(uid, sizeof(uid), "%u", (unsigned) getuid());
        for (const char *p = uid; *p; p++)
                n += (size_t) snprintf(line + n, sizeof(line) - n, "%02x", (unsigned) *p);
        send_all(fd, "", 1);
        send_all(fd, line, n);
        send_all(fd, "\r\nBEGIN\r\n", 9);
}

static uint32_t get_u32(const uint8_t *p) {
        return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

/* Counts the replies in everything that the service said, which is one line and then messages of the host's byte order. */
static unsigned count_replies(const uint8_t *data, size_t n) {
        const uint8_t *line_end = memchr(data, '\n', n);
        unsigned n_replies = 0;

        if (!line_end)
                return 0;
        n -= (size_t) (line_end + 1 - data);
        data = line_end + 1;
        while (n >= 16) {
                size_t n_message = 16 + ((get_u32(data + 12) + 7) & ~(size_t) 7) + get_u32(data + 4);

                demand(data[0] == 'l' && n_message <= n);
                n_replies += data[1] == SD_BUS_MESSAGE_METHOD_RETURN || data[1] == SD_BUS_MESSAGE_METHOD_ERROR;
                data += n_message;
                n -= n_message;
        }
        demand(n == 0);
        return n_replies;
}

struct said {
        uint8_t *data;
        size_t n, size;
};

static void hear(int fd, struct said *said) {
        for (;;) {
                ssize_t n;

                if (said->size - said->n < 65536) {
                        said->size = 2 * said->size + 65536;
                        said->data = realloc(said->data, said->size);
                        demand(said->data);
                }
                n = recv(fd, said->data + said->n, said->size - said->n, MSG_DONTWAIT);
                if (n <= 0)
                        return;
                said->n += (size_t) n;
        }
}

static bool run(sd_bus *bus, int fd, struct said *said) {
        int r;

        do {
                r = sd_bus_process(bus, NULL);
                hear(fd, said);
        } while (r > 0);
        return r >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct test_service *service;
        struct said said = {};
        unsigned n_calls = 0;
        bool open;
        sd_bus *bus;
        int fds[2];

        demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        demand(sd_bus_new(&bus) >= 0);
        demand(sd_bus_set_fd(bus, fds[0], fds[0]) >= 0);
        demand(sd_bus_set_server(bus, true, SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 10, 11, 12, 13, 14, 15, 16)) >= 0);
        demand(sd_bus_start(bus) >= 0);
        demand(test_service_new(&service, bus) == 0);
        authenticate(fds[1]);
        open = run(bus, fds[1], &said);
        demand(open);

        while (open && size >= 4 && n_calls < CALLS_MAX) {
                const struct target *target = &targets[data[0] % (sizeof(targets) / sizeof(targets[0]))];
                static struct writer writer;
                size_t n = (size_t) data[2] | (size_t) data[3] << 8;

                writer.big_endian = data[1] & 1;
                data += 4;
                size -= 4;
                if (n > size)
                        n = size;
                if (n > BODY_MAX)
                        n = BODY_MAX;
                put_call(&writer, target, ++n_calls, data, n);
                data += n;
                size -= n;
                send_all(fds[1], writer.data, writer.n);
                open = run(bus, fds[1], &said);
        }

        test_service_free(service);
        if (open) {
                demand(sd_bus_flush(bus) >= 0);
                hear(fds[1], &said);
                demand(count_replies(said.data, said.n) == n_calls);
        }
        sd_bus_close_unref(bus);
        close(fds[1]);
        free(said.data);
        return 0;
}
