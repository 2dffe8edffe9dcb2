/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is kept: rows and files of images.
 *
 * A file gets its name when it is whole and on the disk, and its row after that; it loses the row first. So whatever is interrupted, a row has
 * its file, and a file without a row is removed at the next start.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "images.h"
#include "log.h"

#define PARTIAL_SECONDS (30 * 24 * 3600)        /* what was begun and nobody went on with */

static const char *const steps[] = {
        "CREATE TABLE image (digest TEXT PRIMARY KEY, name TEXT NOT NULL, source TEXT NOT NULL, format TEXT NOT NULL, size INTEGER NOT NULL,"
        " file_size INTEGER NOT NULL, pulled INTEGER NOT NULL);"
        "CREATE TABLE source (source TEXT PRIMARY KEY, digest TEXT NOT NULL, etag TEXT NOT NULL, checksum TEXT NOT NULL);",
};

const struct database_schema images_schema = { steps, 1 };

void image_free(struct image *image) {
        if (!image)
                return;
        free(image->name);
        free(image->source);
        free(image);
}

static struct image *image_new(struct images *images, const struct image_facts *facts, const char *source, const char *name, uint64_t pulled_usec) {
        struct image *image = malloc(sizeof *image);

        if (!image)
                return NULL;
        *image = (struct image) {
                .images = images,
                .name = strdup(name),
                .source = strdup(source),
                .format = facts->format,
                .size = facts->size,
                .file_size = facts->file_size,
                .pulled_usec = pulled_usec,
        };
        snprintf(image->hex, sizeof image->hex, "%s", facts->hex);
        snprintf(image->digest, sizeof image->digest, "sha256:%s", facts->hex);
        if (image->name && image->source)
                return image;
        image_free(image);
        return NULL;
}

static void put_first(struct image *image) {
        image->next = image->images->first;
        image->images->first = image;
}

static void take_out(struct image *image) {
        for (struct image **p = &image->images->first; *p; p = &(*p)->next)
                if (*p == image) {
                        *p = image->next;
                        return;
                }
}

struct image *images_find_hex(struct images *images, const char *hex) {
        for (struct image *image = images->first; image; image = image->next)
                if (strcmp(image->hex, hex) == 0)
                        return image;
        return NULL;
}

struct image *images_find(struct images *images, const char *reference) {
        for (struct image *image = images->first; image; image = image->next)
                if ((*reference && strcmp(image->name, reference) == 0) || strcmp(image->digest, reference) == 0 || strcmp(image->source, reference) == 0)
                        return image;
        return NULL;
}

static int open_at(const struct images *images, const char *hex) {
        char name[80];

        snprintf(name, sizeof name, "images/%s", hex);
        return openat(images->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

int image_open(const struct image *image) {
        int fd = open_at(image->images, image->hex);

        return fd < 0 ? -errno : fd;
}

int images_source(struct images *images, struct idl_arena *arena, const char *source, const char **ret_hex, const char **ret_etag,
                  const char **ret_checksum) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        *ret_hex = *ret_etag = *ret_checksum = NULL;
        r = database_query(images->db, &rows, "SELECT digest, etag, checksum FROM source WHERE source = ?", "s", source);
        if (r < 0)
                return r;
        r = database_next(rows);
        if (r <= 0 || !images_find_hex(images, database_text(rows, 0)))
                return r;
        *ret_hex = idl_arena_printf(arena, "%s", database_text(rows, 0));
        *ret_etag = idl_arena_printf(arena, "%s", database_text(rows, 1));
        *ret_checksum = idl_arena_printf(arena, "%s", database_text(rows, 2));
        return *ret_hex && *ret_etag && *ret_checksum ? 0 : -ENOMEM;
}

/* Keeping */

static int write_rows(struct images *images, const struct image *image, const char *etag, const char *checksum) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        int r;

        r = database_begin(images->db, &transaction);
        if (r >= 0 && *image->name)
                r = database_run(images->db, "UPDATE image SET name = '' WHERE name = ?", "s", image->name);
        if (r >= 0)
                r = database_run(images->db,
                                 "INSERT OR REPLACE INTO image (digest, name, source, format, size, file_size, pulled) VALUES (?, ?, ?, ?, ?, ?, ?)",
                                 "ssssxxx", image->hex, image->name, image->source, xcp_vdi_format_to_string(image->format), (int64_t) image->size,
                                 (int64_t) image->file_size, (int64_t) image->pulled_usec);
        if (r >= 0)
                r = database_run(images->db, "INSERT OR REPLACE INTO source (source, digest, etag, checksum) VALUES (?, ?, ?, ?)", "ssss",
                                 image->source, image->hex, etag, checksum);
        return r < 0 ? r : database_commit(&transaction);
}

/* One name is one image's. */
static void take_name(struct image *new_owner) {
        for (struct image *image = new_owner->images->first; image && *new_owner->name; image = image->next)
                if (image != new_owner && strcmp(image->name, new_owner->name) == 0) {
                        *image->name = '\0';
                        image_emit_changed(image);
                }
}

/* What is there already has perhaps another name and source now. */
static void become(struct image *image, struct image *new) {
        char *name = image->name, *source = image->source;

        image->name = new->name;
        image->source = new->source;
        new->name = name;
        new->source = source;
        take_name(image);
        image_emit_changed(image);
        image_free(new);
}

int images_keep(struct images *images, const struct image_facts *facts, const char *source, const char *name, const char *etag,
                const char *checksum, struct image **ret_image) {
        struct image *old = images_find_hex(images, facts->hex), *image;
        int fd = open_at(images, facts->hex), r;

        if (fd < 0)
                return -errno;          /* it was removed just now */
        close(fd);
        image = image_new(images, facts, source, *name || !old ? name : old->name, old ? old->pulled_usec : clock_now_usec(CLOCK_REALTIME));
        if (!image)
                return -ENOMEM;
        if (old && (old->format != image->format || old->size != image->size)) {        /* an archive, and now the disk in it: another object */
                objects_remove(images->objects, old->path);
                take_out(old);
                image_free(old);
                old = NULL;
        }
        r = write_rows(images, image, etag, checksum);
        if (r >= 0 && !old)
                r = image_add_object(image);
        if (r < 0) {
                image_free(image);
                return r;
        }
        if (old) {
                become(old, image);
        } else {
                put_first(image);
                take_name(image);
        }
        *ret_image = old ? old : image;
        return 0;
}

int images_remove(struct image *image) {
        struct images *images = image->images;
        char name[80];
        int r;

        r = database_run(images->db, "DELETE FROM image WHERE digest = ?", "s", image->hex);
        if (r >= 0)
                r = database_run(images->db, "DELETE FROM source WHERE digest = ?", "s", image->hex);
        if (r < 0)
                return r;
        snprintf(name, sizeof name, "images/%s", image->hex);
        if (unlinkat(images->directory, name, 0) < 0 && errno != ENOENT)
                log_event(LOG_WARNING, NULL, "%s/%s could not be removed: %s", service_state_dir(images->service), name, strerror(errno));
        objects_remove(images->objects, image->path);
        take_out(image);
        image_free(image);
        return 0;
}

/* Starting */

static void sweep(struct images *images, const char *name, bool are_images) {
        int fd = openat(images->directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        DIR *directory = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *entry;
        struct stat st;

        while (directory && (entry = readdir(directory))) {
                if (entry->d_name[0] == '.' || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (are_images ? !images_find_hex(images, entry->d_name)
                               : strstr(entry->d_name, ".unpacked") || st.st_mtime + PARTIAL_SECONDS < time(NULL))
                        unlinkat(fd, entry->d_name, 0);
        }
        if (directory)
                closedir(directory);
        else if (fd >= 0)
                close(fd);
}

static int load_row(struct images *images, struct database_rows *rows) {
        struct image_facts facts = { .size = (uint64_t) database_integer(rows, 4), .file_size = (uint64_t) database_integer(rows, 5) };
        struct image *image;
        int r;

        snprintf(facts.hex, sizeof facts.hex, "%s", database_text(rows, 0));
        r = xcp_vdi_format_from_string(database_text(rows, 3), &facts.format);
        if (r < 0)
                return r;
        image = image_new(images, &facts, database_text(rows, 2), database_text(rows, 1), (uint64_t) database_integer(rows, 6));
        if (!image)
                return -ENOMEM;
        r = image_add_object(image);
        if (r < 0) {
                image_free(image);
                return r;
        }
        put_first(image);
        return 0;
}

int images_load(struct images *images) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(images->db, &rows, "SELECT digest, name, source, format, size, file_size, pulled FROM image ORDER BY pulled", NULL);
        if (r < 0)
                return r;
        while ((r = database_next(rows)) > 0) {
                r = load_row(images, rows);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        sweep(images, "images", true);
        sweep(images, "partial", false);
        return 0;
}
