/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The images service: what is kept (struct image), and what is being pulled (struct pull).
 *
 * An image is a file of the state directory, images/DIGEST, and a row of the database. A program of its own gets it, fetch/fetch.h; the
 * service believes none of a server's bytes and never waits for one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "database.h"
#include "service.h"
#include "xcp-types.h"

#define IMAGES_PREFIX "/org/xen/xcp/images/image"
#define PULLS_MAX 8u                    /* at once */
#define SOURCE_MAX 2048u
#define NAME_SIZE_MAX 64u

struct image {
        struct image *next;             /* the last pulled first */
        struct images *images;
        char hex[65];                   /* the name of its file, and of its object */
        char digest[72];                /* sha256:HEX */
        char *name, *source;
        enum xcp_vdi_format format;
        uint64_t size, file_size, pulled_usec;
        const char *path;
};

struct pull;

struct images {
        struct service *service;
        sd_bus *bus;
        struct database *db;
        struct objects *objects;
        struct image *first;
        struct pull *pulls;
        size_t n_pulls;
        int directory;                  /* the state directory */
        const char *fetch_program;
        uint64_t n_downloaded, n_cached, n_failed;
};

/* What is known when an image has come. */
struct image_facts {
        char hex[65];
        enum xcp_vdi_format format;
        uint64_t size, file_size;
};

extern const struct database_schema images_schema;

/* Reads the database, and removes what has no file, or no row. */
int images_load(struct images *images);
struct image *images_find(struct images *images, const char *reference);
struct image *images_find_hex(struct images *images, const char *hex);

/* Takes in, or names anew, what was pulled. */
int images_keep(struct images *images, const struct image_facts *facts, const char *source, const char *name, const char *etag,
                const char *checksum, struct image **ret_image);

/* Removes the row and the file, and frees it. */
int images_remove(struct image *image);
void image_free(struct image *image);

/* What a source gave last: the image and the entity tag, in the arena. NULL: nothing, or it is gone. */
int images_source(struct images *images, struct idl_arena *arena, const char *source, const char **ret_hex, const char **ret_etag,
                  const char **ret_checksum);

/* The file, to be read; a negative errno. */
int image_open(const struct image *image);

/* org.xen.xcp.images1.Manager and .Image. */
int manager_export(struct images *images);
int image_export(struct images *images);
int image_add_object(struct image *image);
void image_emit_changed(struct image *image);

/* Begins to pull, and gives the task's path. */
int pull_begin(struct images *images, struct idl_call *call, const char *source, const struct xcp_pull_options *options, const char **ret_path,
               struct idl_error *error);
