/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "claim.h"

#include <assert.h>

static bool fits(const struct resource *resource, bool exclusive) {
        if (resource->is_exclusive)
                return false;
        if (exclusive)
                return resource->n_shared == 0;
        return resource->room == 0 || resource->n_shared < resource->room;
}

static void grant(struct claim *claim) {
        claim->granted = true;
        if (claim->exclusive)
                claim->resource->is_exclusive = true;
        else
                claim->resource->n_shared++;
}

static void stop_waiting(struct claim *claim) {
        struct resource *resource = claim->resource;

        if (claim->previous)
                claim->previous->next = claim->next;
        else
                resource->first = claim->next;
        if (claim->next)
                claim->next->previous = claim->previous;
        else
                resource->last = claim->previous;
        claim->previous = claim->next = NULL;
        resource->n_waiting--;
}

/* Those at the front go on. What they do then may change the queue, so it is looked at anew each time. */
static void serve(struct resource *resource) {
        struct claim *claim;

        while ((claim = resource->first) && fits(resource, claim->exclusive)) {
                stop_waiting(claim);
                grant(claim);
                claim->on_granted(claim);
        }
}

bool claim_make(struct claim *claim, struct resource *resource, bool exclusive) {
        assert(!claim->resource);

        claim->resource = resource;
        claim->exclusive = exclusive;
        claim->granted = false;
        if (!resource->first && fits(resource, exclusive)) {
                grant(claim);
                return true;
        }
        claim->previous = resource->last;
        claim->next = NULL;
        if (resource->last)
                resource->last->next = claim;
        else
                resource->first = claim;
        resource->last = claim;
        resource->n_waiting++;
        return false;
}

void claim_release(struct claim *claim) {
        struct resource *resource = claim->resource;

        if (!resource)
                return;
        if (!claim->granted)
                stop_waiting(claim);
        else if (claim->exclusive)
                resource->is_exclusive = false;
        else
                resource->n_shared--;
        claim->resource = NULL;
        claim->granted = false;
        serve(resource);
}
