/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is counted of each kind of operation. */

#include "kinds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct operation_kind *const kinds[] = {
        &operation_sr_attach,    &operation_sr_create,      &operation_sr_destroy,  &operation_sr_detach,     &operation_sr_forget,
        &operation_sr_introduce, &operation_sr_scan,        &operation_vdi_clone,   &operation_vdi_copy,      &operation_vdi_create,
        &operation_vdi_import,   &operation_vdi_snapshot,   &operation_vdi_destroy, &operation_vdi_export,    &operation_vdi_resize,
        &operation_vdi_activate, &operation_vdi_attach,     &operation_vdi_deactivate, &operation_vdi_detach,
};

#define N_KINDS (sizeof kinds / sizeof kinds[0])

int operation_counters_init(struct storage *storage) {
        struct diagnostics *diagnostics = service_diagnostics(storage->service);
        int r = 0;

        storage->counters = calloc(N_KINDS, sizeof *storage->counters);
        if (!storage->counters)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < N_KINDS; i++) {
                struct counter *counter = &storage->counters[i];

                snprintf(counter->done_name, sizeof counter->done_name, "%s.done", kinds[i]->name);
                snprintf(counter->failed_name, sizeof counter->failed_name, "%s.failed", kinds[i]->name);
                r = diagnostics_count(diagnostics, counter->done_name, &counter->n_done);
                if (r >= 0)
                        r = diagnostics_count(diagnostics, counter->failed_name, &counter->n_failed);
        }
        if (r >= 0)
                r = diagnostics_count(diagnostics, "bytes-imported", &storage->bytes_imported);
        if (r >= 0)
                r = diagnostics_count(diagnostics, "bytes-exported", &storage->bytes_exported);
        return r;
}

struct counter *operation_counter(struct storage *storage, const struct operation_kind *kind) {
        for (size_t i = 0; i < N_KINDS; i++)
                if (kinds[i] == kind)
                        return &storage->counters[i];
        return NULL;
}
