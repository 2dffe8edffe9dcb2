/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "test1-everything.h"

struct test_object {
        struct test_service *service;
        const char *path;
        struct idl_arena items_arena, anything_arena;
        char *loud;
        enum test_color silent;
        uint32_t poked;
        const struct test_item *items;
        size_t n_items;
        struct idl_variant anything;
};

struct test_service {
        sd_bus *bus;
        sd_bus_slot *slot, *tree_slot, *nodes_slot, *manager_slot;
        struct test_object objects[3];
        struct idl_call *waiting;
};

static int handle_echo_basic(void *object, struct idl_call *call, uint8_t byte, bool boolean, int16_t int16, uint16_t uint16,
                             int32_t int32, uint32_t uint32, int64_t int64, uint64_t uint64, double real, const char *string,
                             const char *path, const char *signature, struct idl_error *error) {
        return test1_everything_reply_echo_basic(call, byte, boolean, int16, uint16, int32, uint32, int64, uint64, real, string, path,
                                                 signature);
}

static int handle_echo_arrays(void *object, struct idl_call *call, const uint8_t *bytes, size_t n_bytes, const bool *booleans,
                              size_t n_booleans, const int16_t *int16s, size_t n_int16s, const uint16_t *uint16s, size_t n_uint16s,
                              const int32_t *int32s, size_t n_int32s, const uint32_t *uint32s, size_t n_uint32s, const int64_t *int64s,
                              size_t n_int64s, const uint64_t *uint64s, size_t n_uint64s, const double *reals, size_t n_reals,
                              const char *const *strings, size_t n_strings, const char *const *paths, size_t n_paths,
                              const char *const *signatures, size_t n_signatures, struct idl_error *error) {
        assert(!strings[n_strings]);
        return test1_everything_reply_echo_arrays(call, bytes, n_bytes, booleans, n_booleans, int16s, n_int16s, uint16s, n_uint16s, int32s,
                                                  n_int32s, uint32s, n_uint32s, int64s, n_int64s, uint64s, n_uint64s, reals, n_reals,
                                                  strings, n_strings, paths, n_paths, signatures, n_signatures);
}

static int handle_echo_nested(void *object, struct idl_call *call, const struct test_array_s *lists, size_t n_lists,
                              const struct test_array_u *matrix, size_t n_matrix, const struct test_dict_s_s_entry *words, size_t n_words,
                              const struct test_dict_s_array_s_entry *groups, size_t n_groups,
                              const struct test_dict_o_dict_s_dict_s_v_entry *objects, size_t n_objects, const struct test_item *items,
                              size_t n_items, const struct test_dict_s_numbered_entry *numbered, size_t n_numbered,
                              const struct test_dict_color_u_entry *counts, size_t n_counts, const struct test_labelled *labelled,
                              struct idl_error *error) {
        __attribute__((cleanup(idl_arena_done))) struct idl_arena arena = IDL_ARENA_NULL;
        const struct test_dict_o_dict_s_dict_s_v_entry *objects_copy;
        const struct test_dict_s_array_s_entry *groups_copy;
        const struct test_dict_s_numbered_entry *numbered_copy;
        const struct test_array_s *lists_copy;
        const struct test_array_u *matrix_copy;
        struct test_labelled labelled_copy;
        int r;

        r = test_array_array_s_copy(&arena, &lists_copy, &n_lists, lists, n_lists);
        if (r >= 0)
                r = test_array_array_u_copy(&arena, &matrix_copy, &n_matrix, matrix, n_matrix);
        if (r >= 0)
                r = test_dict_s_array_s_copy(&arena, &groups_copy, &n_groups, groups, n_groups);
        if (r >= 0)
                r = test_dict_o_dict_s_dict_s_v_copy(&arena, &objects_copy, &n_objects, objects, n_objects);
        if (r >= 0)
                r = test_dict_s_numbered_copy(&arena, &numbered_copy, &n_numbered, numbered, n_numbered);
        if (r >= 0)
                r = test_labelled_copy(&arena, &labelled_copy, labelled);
        if (r < 0)
                return r;
        return test1_everything_reply_echo_nested(call, lists_copy, n_lists, matrix_copy, n_matrix, words, n_words, groups_copy, n_groups,
                                                  objects_copy, n_objects, items, n_items, numbered_copy, n_numbered, counts, n_counts,
                                                  &labelled_copy);
}

static int handle_echo_variant(void *object, struct idl_call *call, const struct idl_variant *value, struct idl_error *error) {
        return test1_everything_reply_echo_variant(call, value);
}

static int handle_echo_options(void *object, struct idl_call *call, const struct test_options *options, struct idl_error *error) {
        __attribute__((cleanup(idl_arena_done))) struct idl_arena arena = IDL_ARENA_NULL;
        struct test_options copy;
        int r;

        r = test_options_copy(&arena, &copy, options);
        if (r < 0)
                return r;
        return test1_everything_reply_echo_options(call, &copy);
}

static int handle_echo_colors(void *object, struct idl_call *call, enum test_color color, const enum test_color *colors, size_t n_colors,
                              struct idl_error *error) {
        return test1_everything_reply_echo_colors(call, color, colors, n_colors);
}

static int handle_echo_files(void *object, struct idl_call *call, int file, const int *files, size_t n_files, struct idl_error *error) {
        return test1_everything_reply_echo_files(call, file, files, n_files);
}

static int handle_later(void *object, struct idl_call *call, const char *text, struct idl_error *error) {
        struct test_object *self = object;

        if (self->service->waiting)
                return -EBUSY;
        self->service->waiting = idl_call_ref(call);
        return 0;
}

static const char *later_text(struct idl_call *call) {
        const char *text = NULL;

        sd_bus_message_rewind(idl_call_message(call), true);
        sd_bus_message_read(idl_call_message(call), "s", &text);
        return text;
}

static int handle_answer(void *object, struct idl_call *call, const char *how, struct idl_error *error) {
        struct test_object *self = object;
        struct idl_call *waiting = self->service->waiting;

        if (!waiting)
                return idl_error_set_does_not_exist(error, "call", "Later");

        if (strcmp(how, "fail") == 0) {
                __attribute__((cleanup(idl_error_done))) struct idl_error later_error = IDL_ERROR_NULL;

                idl_error_set_cancelled(&later_error, "Later");
                assert(idl_call_fail(waiting, &later_error) == 0);
                assert(idl_call_fail(waiting, &later_error) == -EALREADY);
        } else if (strcmp(how, "forget") != 0) {
                assert(test1_everything_reply_later(waiting, later_text(waiting)) == 0);
                if (strcmp(how, "twice") == 0)
                        assert(test1_everything_reply_later(waiting, "again") == -EALREADY);
        }
        self->service->waiting = idl_call_unref(waiting);
        return test1_everything_reply_answer(call);
}

static int handle_fail(void *object, struct idl_call *call, const char *how, struct idl_error *error) {
        if (strcmp(how, "errno") == 0)
                return -EXDEV;
        if (strcmp(how, "memory") == 0)
                return -ENOMEM;
        if (strcmp(how, "answered") == 0) {
                test1_everything_reply_fail(call);
                return -EIO;
        }
        return idl_error_set_bad_power_state(error, "/vm/1", "Halted", "Running");
}

static int handle_poke(void *object, struct idl_call *call, uint32_t amount, struct idl_error *error) {
        struct test_object *self = object;

        self->poked += amount;
        return test1_everything_emit_changed(self->service->bus, self->path, TEST1_EVERYTHING_PROPERTY_POKED);
}

static int handle_old(void *object, struct idl_call *call, struct idl_error *error) {
        struct test_object *self = object;
        int r;

        r = sd_bus_emit_object_added(self->service->bus, TEST_TREE "/a");
        if (r < 0)
                return r;
        return test1_everything_reply_old(call);
}

static int handle_trusted(void *object, struct idl_call *call, struct idl_error *error) {
        return test1_everything_reply_trusted(call);
}

static int handle_default(void *object, struct idl_call *call, int32_t a, int32_t b, const char *const *strings, size_t n_strings,
                          struct idl_error *error) {
        struct test_object *self = object;
        int32_t sum = (int32_t)((uint32_t)a + (uint32_t)b);     /* wraps: a caller may send any two numbers */
        int r;

        r = test1_everything_emit_hinted(self->service->bus, self->path, sum, strings, n_strings);
        if (r < 0)
                return r;
        return test1_everything_reply_default(call, sum, strings, n_strings);
}

static int handle_emit_everything(void *object, struct idl_call *call, enum test_color color, const struct test_item *items, size_t n_items,
                                  const struct idl_variant *value, struct idl_error *error) {
        struct test_object *self = object;
        int r;

        r = test1_everything_emit_happened(self->service->bus, self->path, color, items, n_items, value);
        if (r >= 0)
                r = test1_everything_emit_nothing(self->service->bus, self->path);
        if (r < 0)
                return r;
        return test1_everything_reply_emit_everything(call);
}

static int handle_change_all(void *object, struct idl_call *call, struct idl_error *error) {
        struct test_object *self = object;
        int r;

        r = test1_everything_emit_changed(self->service->bus, self->path, TEST1_EVERYTHING_PROPERTY_LOUD | TEST1_EVERYTHING_PROPERTY_QUIET);
        if (r < 0)
                return r;
        return test1_everything_reply_change_all(call);
}

static int get_loud(void *object, struct idl_arena *arena, const char **ret_loud) {
        struct test_object *self = object;

        *ret_loud = self->loud;
        return 0;
}

static int set_loud(void *object, const char *loud, struct idl_error *error) {
        struct test_object *self = object;
        char *copy;

        if (strcmp(loud, "no") == 0)
                return idl_error_set_invalid_argument(error, "Loud", loud, "is not loud");
        if (strcmp(loud, self->loud) == 0)
                return 0;
        copy = strdup(loud);
        if (!copy)
                return -ENOMEM;
        free(self->loud);
        self->loud = copy;
        return 1;
}

static int get_quiet(void *object, struct idl_arena *arena, const char *const **ret_quiet, size_t *ret_n_quiet) {
        struct test_object *self = object;
        const char **quiet = idl_arena_alloc(arena, 2, sizeof(*quiet));

        if (!quiet)
                return -errno;
        quiet[0] = self->path;
        quiet[1] = idl_arena_printf(arena, "%" PRIu32, self->poked);
        if (!quiet[1])
                return -errno;
        *ret_quiet = quiet;
        *ret_n_quiet = 2;
        return 0;
}

static int get_fixed(void *object, struct idl_arena *arena, uint64_t *ret_fixed) {
        *ret_fixed = UINT64_MAX;
        return 0;
}

static int get_silent(void *object, struct idl_arena *arena, enum test_color *ret_silent) {
        struct test_object *self = object;

        *ret_silent = self->silent;
        return 0;
}

static int set_silent(void *object, enum test_color silent, struct idl_error *error) {
        struct test_object *self = object;

        self->silent = silent;
        return 1;
}

static int get_items(void *object, struct idl_arena *arena, const struct test_item **ret_items, size_t *ret_n_items) {
        struct test_object *self = object;

        *ret_items = self->items;
        *ret_n_items = self->n_items;
        return 0;
}

static int set_items(void *object, const struct test_item *items, size_t n_items, struct idl_error *error) {
        struct test_object *self = object;
        struct idl_arena arena = IDL_ARENA_NULL;
        int r;

        r = test_array_item_copy(&arena, &self->items, &self->n_items, items, n_items);
        if (r < 0) {
                idl_arena_done(&arena);
                return r;
        }
        idl_arena_done(&self->items_arena);
        self->items_arena = arena;
        return 1;
}

static int get_record(void *object, struct idl_arena *arena, struct test_small *ret_record) {
        *ret_record = (struct test_small) { .color = TEST_COLOR_BLUE, .count = 3 };
        return 0;
}

static int get_poked(void *object, struct idl_arena *arena, uint32_t *ret_poked) {
        struct test_object *self = object;

        if (self->poked >= 1000)
                return -ERANGE;
        *ret_poked = self->poked;
        return 0;
}

static int get_anything(void *object, struct idl_arena *arena, struct idl_variant *ret_anything) {
        struct test_object *self = object;

        *ret_anything = self->anything;
        return 0;
}

static int set_anything(void *object, const struct idl_variant *anything, struct idl_error *error) {
        struct test_object *self = object;
        struct idl_arena arena = IDL_ARENA_NULL;
        int r;

        r = idl_variant_copy(&arena, &self->anything, anything);
        if (r < 0) {
                idl_arena_done(&arena);
                return r;
        }
        idl_arena_done(&self->anything_arena);
        self->anything_arena = arena;
        return 1;
}

static const struct test1_everything_handlers handlers = {
        .echo_basic = handle_echo_basic,
        .echo_arrays = handle_echo_arrays,
        .echo_nested = handle_echo_nested,
        .echo_variant = handle_echo_variant,
        .echo_options = handle_echo_options,
        .echo_colors = handle_echo_colors,
        .echo_files = handle_echo_files,
        .later = handle_later,
        .answer = handle_answer,
        .fail = handle_fail,
        .poke = handle_poke,
        .old = handle_old,
        .trusted = handle_trusted,
        .default_ = handle_default,
        .emit_everything = handle_emit_everything,
        .change_all = handle_change_all,
        .get_loud = get_loud,
        .set_loud = set_loud,
        .get_quiet = get_quiet,
        .get_fixed = get_fixed,
        .get_silent = get_silent,
        .set_silent = set_silent,
        .get_items = get_items,
        .set_items = set_items,
        .get_record = get_record,
        .get_poked = get_poked,
        .get_anything = get_anything,
        .set_anything = set_anything,
};

static int find_object(const char *path, void *userdata, void **ret_object) {
        struct test_service *service = userdata;

        for (size_t i = 1; i < 3; i++)
                if (strcmp(path, service->objects[i].path) == 0) {
                        *ret_object = &service->objects[i];
                        return 1;
                }
        return 0;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        struct test_service *service = userdata;
        char **nodes;

        nodes = calloc(3, sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;
        for (size_t i = 0; i < 2; i++) {
                nodes[i] = strdup(service->objects[i + 1].path);
                if (!nodes[i]) {
                        free(nodes[0]);
                        free(nodes);
                        return -ENOMEM;
                }
        }
        *ret_nodes = nodes;
        return 0;
}

int test_service_new(struct test_service **ret_service, sd_bus *bus) {
        static const char *const paths[] = { TEST_PATH, TEST_TREE "/a", TEST_TREE "/b" };
        struct test_service *service;
        int r;

        service = calloc(1, sizeof(*service));
        if (!service)
                return -ENOMEM;
        service->bus = bus;
        for (size_t i = 0; i < 3; i++) {
                struct test_object *object = &service->objects[i];

                object->service = service;
                object->path = paths[i];
                object->loud = strdup("hello");
                if (!object->loud) {
                        test_service_free(service);
                        return -ENOMEM;
                }
                object->silent = TEST_COLOR_RED;
                object->anything = (struct idl_variant) { .type = 's', .s = "nothing" };
        }

        r = test1_everything_export(bus, &service->slot, TEST_PATH, &handlers, &service->objects[0]);
        if (r >= 0)
                r = test1_everything_export_tree(bus, &service->tree_slot, TEST_TREE, &handlers, find_object, service);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(bus, &service->nodes_slot, TEST_TREE, enumerate, service);
        if (r >= 0)
                r = sd_bus_add_object_manager(bus, &service->manager_slot, TEST_PATH);
        if (r < 0) {
                test_service_free(service);
                return r;
        }
        *ret_service = service;
        return 0;
}

struct test_service *test_service_free(struct test_service *service) {
        if (service->waiting)
                idl_call_unref(service->waiting);
        sd_bus_slot_unref(service->manager_slot);
        sd_bus_slot_unref(service->nodes_slot);
        sd_bus_slot_unref(service->tree_slot);
        sd_bus_slot_unref(service->slot);
        for (size_t i = 0; i < 3; i++) {
                free(service->objects[i].loud);
                idl_arena_done(&service->objects[i].items_arena);
                idl_arena_done(&service->objects[i].anything_arena);
        }
        free(service);
        return NULL;
}
