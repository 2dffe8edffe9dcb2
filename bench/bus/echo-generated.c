/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.bench1.Echo with generated code: echo-generated ADDRESS. Beside it, echo-plain.c. */

#include <stdlib.h>

#include "bench1-echo.h"
#include "echo.h"

static int on_echo_string(void *object, struct idl_call *call, const char *text, struct idl_error *error) {
        return bench1_echo_reply_echo_string(call, text);
}

static int on_echo_struct(void *object, struct idl_call *call, const struct bench_place *place, struct idl_error *error) {
        return bench1_echo_reply_echo_struct(call, place);
}

static int on_echo_record(void *object, struct idl_call *call, const struct bench_spec *spec, struct idl_error *error) {
        return bench1_echo_reply_echo_record(call, spec);
}

static int get_name(void *object, struct idl_arena *arena, const char **ret_name) {
        *ret_name = object;
        return 0;
}

static const struct bench1_echo_handlers handlers = {
        .echo_string = on_echo_string,
        .echo_struct = on_echo_struct,
        .echo_record = on_echo_record,
        .get_name = get_name,
};

static int export(sd_bus *bus) {
        static char name[] = ECHO_PROPERTY;

        return bench1_echo_export(bus, NULL, ECHO_PATH, &handlers, name);
}

int main(int argc, char **argv) {
        return echo_main("echo-generated", ECHO_GENERATED_NAME, export, argc, argv);
}
