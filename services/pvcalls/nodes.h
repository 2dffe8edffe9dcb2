/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The toolstack's part of a device in the store: what libxl writes for pvcalls=["backend=..."], and what is there of domains.
 *
 * Only domain 0 can make nodes in other domains' homes. In a driver domain the nodes are there already, and only looked at.
 *
 * Calls wait for xenstored, which answers in some ten microseconds and which no guest can stop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>
#include <xenstore.h>

#define NODES_UUID_SIZE 40u
#define NODES_FEATURES_MAX 16u
#define NODES_FEATURE_SIZE 48u

/* Something has changed: domain is the one with the device, or UINT32_MAX if any domain may have come or gone. */
typedef void (*nodes_changed_t)(uint32_t domain, void *userdata);

struct nodes {
        struct xs_handle *xs;
        sd_event_source *source;
        uint32_t own_domain;
        nodes_changed_t changed;
        void *userdata;
};

/* -ENOENT: the store does not say which domain this is. */
int nodes_open(struct nodes *nodes, sd_event *event, nodes_changed_t changed, void *userdata);
void nodes_close(struct nodes *nodes);

/* Whether it lives; and its UUID, empty if it cannot be read. */
bool nodes_domain_lives(const struct nodes *nodes, uint32_t domain);
void nodes_domain_uuid(const struct nodes *nodes, uint32_t domain, char uuid[static NODES_UUID_SIZE]);

/* The domain with this UUID that lives. -ENOENT: none. Only domain 0 may ask about others. */
int nodes_find_domain(const struct nodes *nodes, const char *uuid, uint32_t *ret_domain);

/* Whether there is a device, and for which backend's domain. */
bool nodes_have(const struct nodes *nodes, uint32_t domain, uint32_t backend);
int nodes_backend_of(const struct nodes *nodes, uint32_t domain, uint32_t *ret_backend);

int nodes_make(const struct nodes *nodes, uint32_t domain, uint32_t backend);
void nodes_set_offline(const struct nodes *nodes, uint32_t domain, uint32_t backend);

/* Removes them, with the directories that are empty then. What is not there is no mistake. */
void nodes_remove(const struct nodes *nodes, uint32_t domain, uint32_t backend);

/* Has its frontend something that it could let go of? changed is called when that may have changed, once it was asked for. */
bool nodes_frontend_holds(const struct nodes *nodes, uint32_t domain);
void nodes_watch_frontend(const struct nodes *nodes, uint32_t domain, bool watch);

/* What both sides have announced with feature-NAME = 1. Returns how many there are. */
size_t nodes_features(const struct nodes *nodes, uint32_t domain, uint32_t backend, char features[][NODES_FEATURE_SIZE]);
