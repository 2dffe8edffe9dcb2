/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Storage repositories, as the service knows them: see storage.h. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "exported.h"
#include "idl-errors.h"
#include "log.h"
#include "storage.h"
#include "storage1-sr.h"

static void free_config(struct sr *sr) {
        for (size_t i = 0; i < sr->n_config; i++) {
                free((char *) (uintptr_t) sr->config[i].key);
                free((char *) (uintptr_t) sr->config[i].value);
        }
        free(sr->config);
        sr->config = NULL;
        sr->n_config = 0;
}

int sr_new(struct sr **ret_sr, struct storage *storage, const char *id, const char *name, const struct driver *driver) {
        AUTO(sr_unrefp) struct sr *sr = calloc(1, sizeof *sr);

        if (!sr)
                return -ENOMEM;
        sr->n_references = 1;
        sr->storage = storage;
        sr->driver = driver;
        sr->state = XCP_SR_STATE_DETACHED;
        snprintf(sr->id, sizeof sr->id, "%s", id);
        sr->name = strdup(name);
        sr->description = strdup("");
        sr->reason = strdup("");
        if (!sr->name || !sr->description || !sr->reason)
                return -ENOMEM;
        *ret_sr = sr;
        sr = NULL;
        return 0;
}

struct sr *sr_ref(struct sr *sr) {
        sr->n_references++;
        return sr;
}

struct sr *sr_unref(struct sr *sr) {
        if (!sr || --sr->n_references > 0)
                return NULL;
        if (sr->driver->detach)
                sr->driver->detach(sr);
        free_config(sr);
        free(sr->name);
        free(sr->description);
        free(sr->reason);
        free(sr);
        return NULL;
}

int sr_set_config(struct sr *sr, const struct xcp_dict_s_s_entry *config, size_t n) {
        free_config(sr);
        sr->config = calloc(n + 1, sizeof *sr->config);
        if (!sr->config)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                sr->config[i].key = strdup(config[i].key);
                sr->config[i].value = strdup(config[i].value);
                sr->n_config++;
                if (!sr->config[i].key || !sr->config[i].value)
                        return -ENOMEM;
        }
        return 0;
}

const char *sr_config(const struct sr *sr, const char *key) {
        return driver_option(sr->config, sr->n_config, key);
}

int sr_add(struct sr *sr) {
        sr->next = sr->storage->srs;
        sr->storage->srs = sr_ref(sr);
        sr->storage->n_srs++;
        return 0;
}

int sr_show(struct sr *sr) {
        char path[EXPORTED_PATH_SIZE];

        return objects_add_path(sr->storage->sr_objects, exported_path(SR_PREFIX, sr->id, path), sr, &sr->path);
}

static void forget_problem(const struct sr *sr) {
        char name[96];

        snprintf(name, sizeof name, "sr-%s", sr->id);
        diagnostics_problem(service_diagnostics(sr->storage->service), HEALTH_GOOD, name, NULL);
}

void sr_remove(struct sr *sr) {
        struct sr **p = &sr->storage->srs;

        while (sr->first)
                vdi_remove(sr->first);
        if (sr->path)
                objects_remove(sr->storage->sr_objects, sr->path);
        sr->path = NULL;
        sr->is_gone = true;
        forget_problem(sr);
        while (*p && *p != sr)
                p = &(*p)->next;
        if (!*p)
                return;
        *p = sr->next;
        sr->storage->n_srs--;
        sr_unref(sr);
}

struct sr *sr_find(struct storage *storage, const char *id) {
        for (struct sr *sr = storage->srs; sr; sr = sr->next)
                if (strcmp(sr->id, id) == 0)
                        return sr;
        return NULL;
}

struct sr *sr_find_by_name(struct storage *storage, const char *name) {
        for (struct sr *sr = storage->srs; sr; sr = sr->next)
                if (strcmp(sr->name, name) == 0)
                        return sr;
        return NULL;
}

void sr_changed(const struct sr *sr, unsigned properties) {
        int r;

        if (!sr->path)
                return;
        r = storage1_sr_emit_changed(sr->storage->bus, sr->path, properties);
        if (r < 0)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_SR", sr->id }), "Cannot tell that the storage repository has changed: %s",
                          strerrordesc_np(-r));
}

static void tell_diagnostics(const struct sr *sr) {
        char name[96], text[512];

        if (sr->state != XCP_SR_STATE_UNREACHABLE) {
                forget_problem(sr);
                return;
        }
        snprintf(name, sizeof name, "sr-%s", sr->id);
        snprintf(text, sizeof text, "The storage repository %s cannot be reached: %s", sr->name, sr->reason);
        diagnostics_problem(service_diagnostics(sr->storage->service), HEALTH_DEGRADED, name, text);
}

void sr_set_state(struct sr *sr, enum xcp_sr_state state, const char *reason) {
        unsigned changed = sr->state != state ? STORAGE1_SR_PROPERTY_STATE : 0;

        if (strcmp(sr->reason, reason) != 0) {
                char *copy = strdup(reason);

                if (copy) {
                        free(sr->reason);
                        sr->reason = copy;
                        changed |= STORAGE1_SR_PROPERTY_STATE_REASON;
                }
        }
        sr->state = state;
        if (changed == 0)
                return;
        sr_changed(sr, changed);
        tell_diagnostics(sr);
}

int sr_check_usable(const struct sr *sr, bool to_write, struct idl_error *error) {
        if (sr->is_gone)
                return idl_error_set_does_not_exist(error, "SR", sr->id);
        if (sr->state == XCP_SR_STATE_UNREACHABLE)
                return idl_error_set_unreachable(error, "SR", sr->name, sr->reason);
        if (sr->state != XCP_SR_STATE_ATTACHED)
                return idl_error_set_bad_state(error, "SR", sr->name, "Attached", xcp_sr_state_to_string(sr->state));
        if (to_write && sr->read_only)
                return idl_error_set_read_only(error, "SR", sr->name);
        return 0;
}
