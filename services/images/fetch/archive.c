/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Layers that are archives, with libarchive: the disk is the one file in /disk, as in the container disks of KubeVirt.
 *
 * Nothing of an archive gets a name of its own here: what is in that one file is written where the image is being made, and all else is passed over.
 */

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "fetch.h"
#include "pull-limits.h"

#define BLOCK (256u * 1024u)
#define FOLDER "disk/"

/* disk/NAME, ./disk/NAME or /disk/NAME; but not what only says that a lower layer's file is gone. */
static bool is_disk(struct archive_entry *entry) {
        const char *path = archive_entry_pathname(entry);

        if (!path || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
                return false;
        while (*path == '/' || strncmp(path, "./", 2) == 0)
                path++;
        if (strncmp(path, FOLDER, strlen(FOLDER)) != 0)
                return false;
        path += strlen(FOLDER);
        return *path && !strchr(path, '/') && strncmp(path, ".wh.", 4) != 0;
}

static int fail_archive(struct archive *archive) {
        const char *reason = archive_error_string(archive);

        return fail(FAILURE_CORRUPT, "the archive is damaged: %.200s", reason ? reason : "it ends too early");
}

static int write_entry(struct archive *archive, struct archive_entry *entry, int to) {
        uint64_t end = 0;
        const void *data;
        size_t n;
        la_int64_t offset;
        int r;

        while ((r = archive_read_data_block(archive, &data, &n, &offset)) == ARCHIVE_OK) {
                end = (uint64_t) offset;
                if (image_write(to, data, n, &end) < 0)
                        return -1;
        }
        if (r != ARCHIVE_EOF)
                return fail_archive(archive);
        if (archive_entry_size(entry) > (la_int64_t) end)       /* it ends with a hole */
                end = (uint64_t) archive_entry_size(entry);
        if (limits_check_size(end) < 0)
                return -1;
        return ftruncate(to, (off_t) end) < 0 ? fail_errno("write the image") : 0;
}

/* All of it is read, since there might be another disk. */
static int look_through(struct archive *archive, int to) {
        struct archive_entry *entry;
        bool found = false;
        int r;

        while ((r = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
                if (!is_disk(entry))
                        continue;
                if (found)
                        return fail(FAILURE_UNSUPPORTED, "an archive that has more than one file in /disk");
                found = true;
                if (write_entry(archive, entry, to) < 0)
                        return -1;
        }
        if (r != ARCHIVE_EOF)
                return fail_archive(archive);
        return found ? 0 : fail(FAILURE_UNSUPPORTED, "an archive that has no file in /disk");
}

int archive_extract(int from, int to) {
        struct archive *archive = archive_read_new();
        int r;

        if (!archive || archive_read_support_format_tar(archive) != ARCHIVE_OK || archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
            archive_read_support_filter_zstd(archive) != ARCHIVE_OK)
                r = fail(FAILURE_OTHER, "libarchive cannot read what layers are");
        else if (lseek(from, 0, SEEK_SET) < 0)
                r = fail_errno("read what was downloaded");
        else if (archive_read_open_fd(archive, from, BLOCK) != ARCHIVE_OK)
                r = fail_archive(archive);
        else
                r = look_through(archive, to);
        archive_read_free(archive);
        return r;
}
