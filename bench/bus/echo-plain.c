/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * org.xen.xcp.bench1.Echo as one writes it by hand with sd-bus: echo-plain ADDRESS. It reads arguments into C and checks them as the
 * generated code does (unknown, double and missing keys, values of an enum), and is otherwise as short and fast as can be.
 */

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "echo.h"

enum mode { MODE_RAW, MODE_QCOW2, MODE_N };

static const char *const modes[MODE_N] = { "Raw", "Qcow2" };

struct place {
        const char *uuid, *name;
        enum mode mode;
        uint64_t size;
};

struct spec {
        const char *name;
        uint64_t size;
        enum mode mode;
        int sharable;
};

enum { KEY_NAME = 1, KEY_SIZE = 2, KEY_MODE = 4, KEY_SHARABLE = 8 };

static int mode_from_name(const char *name, enum mode *ret_mode, sd_bus_error *error) {
        for (enum mode mode = 0; mode < MODE_N; mode++)
                if (strcmp(name, modes[mode]) == 0) {
                        *ret_mode = mode;
                        return 0;
                }
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "mode: '%s' must be one of Raw, Qcow2", name);
}

static int on_echo_string(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *text;
        int r;

        r = sd_bus_message_read_basic(m, 's', &text);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(m, "s", text);
}

static int on_echo_struct(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct place place;
        const char *mode;
        int r;

        r = sd_bus_message_read(m, "(ssst)", &place.uuid, &place.name, &mode, &place.size);
        if (r < 0)
                return r;
        r = mode_from_name(mode, &place.mode, error);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(m, "(ssst)", place.uuid, place.name, modes[place.mode], place.size);
}

static int read_key(sd_bus_message *m, struct spec *spec, unsigned *seen, sd_bus_error *error) {
        const char *key, *mode;
        unsigned bit;
        int r;

        r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;
        if (strcmp(key, "name") == 0) {
                bit = KEY_NAME;
                r = sd_bus_message_read(m, "v", "s", &spec->name);
        } else if (strcmp(key, "size") == 0) {
                bit = KEY_SIZE;
                r = sd_bus_message_read(m, "v", "t", &spec->size);
        } else if (strcmp(key, "mode") == 0) {
                bit = KEY_MODE;
                r = sd_bus_message_read(m, "v", "s", &mode);
                if (r >= 0)
                        r = mode_from_name(mode, &spec->mode, error);
        } else if (strcmp(key, "sharable") == 0) {
                bit = KEY_SHARABLE;
                r = sd_bus_message_read(m, "v", "b", &spec->sharable);
        } else
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "spec: '%s' is not a key", key);
        if (r < 0)
                return r;
        if (*seen & bit)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "spec: '%s' is there twice", key);
        *seen |= bit;
        return 0;
}

static int read_spec(sd_bus_message *m, struct spec *spec, sd_bus_error *error) {
        unsigned seen = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_key(m, spec, &seen, error);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        if (!(seen & KEY_NAME) || !(seen & KEY_SIZE))
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "spec: name and size are required");
        return sd_bus_message_exit_container(m);
}

static int on_echo_record(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct spec spec = { .mode = MODE_RAW };
        int r;

        r = read_spec(m, &spec, error);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(m, "a{sv}", 4, "name", "s", spec.name, "size", "t", spec.size, "mode", "s", modes[spec.mode],
                                          "sharable", "b", spec.sharable);
}

static int get_name(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                    sd_bus_error *error) {
        return sd_bus_message_append_basic(reply, 's', userdata);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("EchoString", "s", "s", on_echo_string, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("EchoStruct", "(ssst)", "(ssst)", on_echo_struct, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("EchoRecord", "a{sv}", "a{sv}", on_echo_record, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

static int export(sd_bus *bus) {
        static char name[] = ECHO_PROPERTY;

        return sd_bus_add_object_vtable(bus, NULL, ECHO_PATH, ECHO_INTERFACE, vtable, name);
}

int main(int argc, char **argv) {
        return echo_main("echo-plain", ECHO_PLAIN_NAME, export, argc, argv);
}
