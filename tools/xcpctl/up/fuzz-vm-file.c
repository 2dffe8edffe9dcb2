/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks what reads files of VMs. Invariants: there is always a result; in one without problems each VM and each device has a name, and
 * each value is of its key's type; every problem is at a place of the file, and told on lines of its own.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "vm-file.h"

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_values(const struct wish *wish) {
        GHashTableIter iter;
        void *key, *value;

        g_hash_table_iter_init(&iter, wish->values);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
                const struct wish_value *one = value;

                demand(one->value && one->place.line > 0 && one->place.column > 0);
                demand(wish_get(wish, key) == one->value);
        }
}

static void check_wish(const struct wish *wish) {
        demand(wish_text(wish, "name") && *wish_text(wish, "name"));
        check_values(wish);
}

static void check_vm(const struct wish *vm) {
        check_wish(vm);
        for (unsigned i = 0; i < vm->disks->len; i++)
                check_wish(vm->disks->pdata[i]);
        for (unsigned i = 0; i < vm->nics->len; i++)
                check_wish(vm->nics->pdata[i]);
        if (vm->seed)
                check_values(vm->seed);
}

static void check_problems(const struct problems *problems, size_t size) {
        g_autofree char *text = problems_text(problems);

        demand(problems->list->len <= PROBLEMS_MAX);
        demand(g_utf8_validate(text, -1, NULL));
        for (unsigned i = 0; i < problems->list->len; i++) {
                const struct problem *problem = &g_array_index(problems->list, struct problem, i);

                demand(problem->message && problem->place.line <= size + 1);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct problems *problems = problems_new("f");
        struct vm_file *file = vm_file_parse((const char *) data, size, problems);

        demand(file);
        check_problems(problems, size);
        if (problems_is_empty(problems))
                for (unsigned i = 0; i < file->vms->len; i++)
                        check_vm(file->vms->pdata[i]);
        vm_file_free(file);
        problems_free(problems);
        return 0;
}
