/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Operations that wait for their turn: for all that they claim, and then for the loop, which runs one at a time. */

#include <assert.h>

#include "operation-private.h"

static int on_pump(sd_event_source *source, void *userdata) {
        struct storage *storage = userdata;
        struct operation *operation = storage->ready_first;

        if (operation) {
                storage->ready_first = operation->ready_next;
                if (!storage->ready_first)
                        storage->ready_last = NULL;
                operation->ready_next = NULL;
                operation_run(operation);
        }
        return sd_event_source_set_enabled(source, storage->ready_first ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void become_ready(struct operation *operation) {
        struct storage *storage = operation->storage;

        operation->state = OPERATION_READY;
        operation->ready_next = NULL;
        if (storage->ready_last)
                storage->ready_last->ready_next = operation;
        else
                storage->ready_first = operation;
        storage->ready_last = operation;
        sd_event_source_set_enabled(storage->pump, SD_EVENT_ONESHOT);
}

static void on_granted(struct claim *claim);

static void claim_next(struct operation *operation) {
        while (operation->n_granted < operation->n_wanted) {
                struct claim *claim = &operation->claims[operation->n_granted];
                const struct operation_claim *wanted = &operation->wanted[operation->n_granted];

                claim->on_granted = on_granted;
                claim->userdata = operation;
                if (!claim_make(claim, wanted->resource, wanted->exclusive))
                        return;
                operation->n_granted++;
        }
        become_ready(operation);
}

static void on_granted(struct claim *claim) {
        struct operation *operation = claim->userdata;

        operation->n_granted++;
        claim_next(operation);
}

void operation_claim(struct operation *operation, struct resource *resource, bool exclusive) {
        assert(operation->n_wanted < OPERATION_CLAIMS_MAX);

        operation->wanted[operation->n_wanted++] = (struct operation_claim) { resource, exclusive };
}

void operation_enqueue(struct operation *operation) {
        struct storage *storage = operation->storage;

        if (!operation->kind->without_steps)
                operation_claim(operation, operation->kind->is_slow ? &storage->slow : &storage->quick, false);
        claim_next(operation);
}

void operation_leave_ready(struct operation *operation) {
        struct storage *storage = operation->storage;
        struct operation *previous = NULL;

        for (struct operation *p = storage->ready_first; p; previous = p, p = p->ready_next) {
                if (p != operation)
                        continue;
                if (previous)
                        previous->ready_next = p->ready_next;
                else
                        storage->ready_first = p->ready_next;
                if (storage->ready_last == p)
                        storage->ready_last = previous;
                break;
        }
}

int operations_init(struct storage *storage) {
        int r;

        storage->quick.room = QUICK_OPERATIONS_MAX;
        storage->slow.room = LONG_OPERATIONS_MAX;
        r = sd_event_add_defer(storage->event, &storage->pump, on_pump, storage);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(storage->pump, SD_EVENT_OFF);
}
