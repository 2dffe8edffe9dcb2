/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenopsd1-vm.h"

static void snapshot_free(struct snapshot *snapshot) {
        free(snapshot->name);
        free(snapshot->memory);
        free(snapshot);
}

struct snapshot *snapshot_find(const struct vm *vm, const char *name) {
        for (struct snapshot *snapshot = vm->snapshots; snapshot; snapshot = snapshot->next)
                if (strcmp(snapshot->name, name) == 0)
                        return snapshot;
        return NULL;
}

size_t snapshot_count(const struct vm *vm) {
        size_t n = 0;

        for (const struct snapshot *snapshot = vm->snapshots; snapshot; snapshot = snapshot->next)
                n++;
        return n;
}

int snapshot_load(struct vm *vm, const struct store_snapshot *stored) {
        struct snapshot *snapshot = calloc(1, sizeof *snapshot), **p = &vm->snapshots;

        if (!snapshot)
                return -ENOMEM;
        snprintf(snapshot->uuid, sizeof snapshot->uuid, "%s", stored->uuid);
        snapshot->created_usec = stored->created_usec;
        snapshot->name = strdup(stored->name);
        snapshot->memory = stored->memory ? strdup(stored->memory) : NULL;
        if (!snapshot->name || (stored->memory && !snapshot->memory)) {
                snapshot_free(snapshot);
                return -ENOMEM;
        }
        while (*p)
                p = &(*p)->next;
        *p = snapshot;
        return 0;
}

int snapshot_remove(struct vm *vm, struct snapshot *snapshot, struct idl_error *error) {
        const struct store_snapshot stored = { .uuid = snapshot->uuid, .vm = vm->uuid, .name = snapshot->name, .memory = snapshot->memory };
        struct snapshot **p = &vm->snapshots;
        int r;

        r = store_remove_snapshot(vm->xenopsd->store, vm->xenopsd->bus, &stored, error);
        if (r < 0)
                return r;
        while (*p != snapshot)
                p = &(*p)->next;
        *p = snapshot->next;
        snapshot_free(snapshot);
        return 0;
}

void snapshots_free(struct vm *vm) {
        while (vm->snapshots) {
                struct snapshot *snapshot = vm->snapshots;

                vm->snapshots = snapshot->next;
                snapshot_free(snapshot);
        }
}

void snapshots_tell(struct vm *vm) {
        if (vm->path)
                xenopsd1_vm_emit_changed(vm->xenopsd->bus, vm->path, XENOPSD1_VM_PROPERTY_SNAPSHOTS);
}
