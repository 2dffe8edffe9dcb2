/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Storage repositories that are one file or block device, with the table of table.h at the front. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "table.h"

#define PAIR_SIZE (2 * (size_t) TABLE_PAGE_SIZE)

struct place {
        int fd;
        struct table_header header;
};

static void place_done(struct place *place) {
        if (place->fd >= 0)
                close(place->fd);
}

static bool is_device(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISBLK(st.st_mode);
}

/* Keeps other processes of this program away from a part, until the file is closed. */
static int lock(int fd, uint64_t offset, uint64_t length) {
        struct flock range = {
                .l_type = F_WRLCK,
                .l_whence = SEEK_SET,
                .l_start = (off_t) offset,
                .l_len = (off_t) length,
        };

        while (fcntl(fd, F_OFD_SETLKW, &range) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

static int read_header(int fd, struct table_header *ret_header) {
        uint8_t pair[PAIR_SIZE];
        uint64_t size;
        int r;

        r = io_size(fd, &size);
        if (r < 0)
                return r;
        if (size < sizeof pair)
                return -ENODATA;
        r = io_pread(fd, pair, sizeof pair, 0);
        if (r < 0)
                return r;
        r = table_header_decode(pair, ret_header);
        return r >= 0 && ret_header->size > size ? -EUCLEAN : r;
}

/* sr: the one that it has to be, or - for any. */
static int open_place(struct place *place, char **argv, int flags, const char *sr) {
        char text[UUID_TEXT_SIZE];
        int r;

        place->fd = io_open_at_path(argv[0], argv[1], flags, true);
        if (place->fd < 0)
                return io_unreachable(place->fd, argv[1]);
        r = read_header(place->fd, &place->header);
        if (r == -ENODATA)
                return io_unreachable(r, "no storage repository is in the file");
        if (r < 0)
                return io_failed(r, "read the table's header in %s", argv[1]);
        if (strcmp(sr, "-") != 0 && strcmp(uuid_format(&place->header.sr, text), sr) != 0)
                return io_unreachable(-ESTALE, "another storage repository is in the file");
        return 0;
}

/* Making and ending one */

static int check_blank(int fd, const char *name) {
        AUTO_FREE uint8_t *data = malloc(TABLE_UNIT);
        uint64_t size = 0;
        int r;

        if (!data)
                return io_failed(-ENOMEM, "read %s", name);
        r = io_size(fd, &size);
        if (r >= 0 && size > 0)
                r = io_pread(fd, data, size < TABLE_UNIT ? size : TABLE_UNIT, 0);
        if (r < 0)
                return io_failed(r, "read %s", name);
        for (uint64_t i = 0; i < size && i < TABLE_UNIT; i++)
                if (data[i] != 0) {
                        printf("failed %d %s holds something\n", EEXIST, name);
                        return 1;
                }
        return 0;
}

/* An empty table is a table of zeros. The header comes last: without it, there is nothing here. */
static int format(int fd, const struct table_header *header, const char *name) {
        uint8_t page[TABLE_PAGE_SIZE];
        int r;

        r = io_zero_range(fd, 0, header->data);
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        table_header_encode(header, page);
        if (r >= 0)
                r = io_pwrite(fd, page, sizeof page, 0);
        if (r >= 0)
                r = io_pwrite(fd, page, sizeof page, sizeof page);
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        return r < 0 ? io_failed(r, "write the table of %s", name) : 0;
}

/* Opens the file, or makes it; *ret_size is how large it is or has to become. */
static int open_blank(char **argv, int directory, int *ret_fd, uint64_t *ret_size) {
        AUTO_CLOSE int fd = -1;
        uint64_t size = 0, present;
        bool has_size = strcmp(argv[2], "-") != 0;
        int r;

        if (has_size && io_number(argv[2], &size) < 0)
                return 2;
        fd = io_open(directory, argv[1], O_RDWR | (has_size ? O_CREAT : 0), true);
        if (fd < 0)
                return io_failed(fd, "open %s", argv[1]);
        r = lock(fd, 0, PAIR_SIZE);
        if (r >= 0)
                r = io_size(fd, &present);
        if (r < 0)
                return io_failed(r, "look at %s", argv[1]);
        if (check_blank(fd, argv[1]) != 0)
                return 1;
        if (present == 0 && has_size && ftruncate(fd, (off_t) size) < 0)
                return io_failed(-errno, "make %s %llu bytes long", argv[1], (unsigned long long) size);
        if (present != 0 && size > present)
                return io_failed(-ENOSPC, "use %llu bytes of %s", (unsigned long long) size, argv[1]);
        *ret_size = size > 0 ? size : present;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

int io_file_make(int argc, char **argv) {
        AUTO_CLOSE int directory = -1, fd = -1;
        struct table_header header;
        struct uuid sr;
        uint64_t size = 0;
        int r;

        if (uuid_parse(argv[3], &sr) < 0)
                return 2;
        directory = io_open_directory(argv[0]);
        if (directory < 0)
                return io_failed(directory, "open %s", argv[0]);
        r = open_blank(argv, directory, &fd, &size);
        if (r != 0)
                return r;
        r = table_header_make(&header, &sr, size);
        if (r < 0)
                return io_failed(r, "make a storage repository of %llu bytes", (unsigned long long) size);
        if (format(fd, &header, argv[1]) != 0)
                return 1;
        return fsync(directory) < 0 ? io_failed(-errno, "write the directory to disk") : 0;
}

/*
 * What is left is zeros, of a device at the beginning: it can be made a storage repository again. What is not this one, or not yet,
 * is left alone.
 */
int io_file_unmake(int argc, char **argv) {
        AUTO_CLOSE int fd = io_open_at_path(argv[0], argv[1], O_RDWR, true);
        uint8_t pair[PAIR_SIZE];
        struct table_header header;
        struct uuid sr;
        uint64_t size;
        int r;

        if (uuid_parse(argv[2], &sr) < 0)
                return 2;
        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return io_unreachable(fd, argv[1]);
        r = io_size(fd, &size);
        if (r >= 0 && size < sizeof pair)
                return 0;
        if (r >= 0)
                r = io_pread(fd, pair, sizeof pair, 0);
        if (r < 0)
                return io_failed(r, "read %s", argv[1]);
        if (!table_header_is_begun(pair, &sr))
                return 0;
        if (table_header_decode(pair, &header) >= 0 && header.size <= size)
                size = is_device(fd) ? header.data : header.size;
        else
                size = sizeof pair;
        r = io_zero_range(fd, 0, size);
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        return r < 0 ? io_failed(r, "clear %s", argv[1]) : 0;
}

/* Reading the table */

/* All entries that there are. */
static int read_table(const struct place *place, struct table_entry **ret_entries, uint32_t **ret_slots, size_t *ret_n) {
        AUTO_FREE struct table_entry *entries = NULL;
        AUTO_FREE uint32_t *slots = NULL;
        uint8_t pair[PAIR_SIZE];
        size_t n = 0, n_allocated = 0;
        unsigned copy;
        int r;

        for (uint32_t i = 0; i < table_n_pages(&place->header); i++) {
                struct table_page page;

                r = io_pread(place->fd, pair, sizeof pair, table_page_offset(i));
                if (r < 0)
                        return r;
                r = table_page_decode(pair, i, &place->header, &page, &copy);
                if (r < 0)
                        return r;
                if (n + TABLE_ENTRIES_PER_PAGE > n_allocated) {
                        n_allocated = 2 * n_allocated + TABLE_ENTRIES_PER_PAGE;
                        struct table_entry *more = reallocarray(entries, n_allocated, sizeof *entries);
                        uint32_t *more_slots = more ? reallocarray(slots, n_allocated, sizeof *slots) : NULL;

                        if (more)
                                entries = more;
                        if (!more_slots)
                                return -ENOMEM;
                        slots = more_slots;
                }
                for (uint32_t j = 0; j < TABLE_ENTRIES_PER_PAGE; j++)
                        if (!uuid_is_null(&page.entries[j].vdi)) {
                                entries[n] = page.entries[j];
                                slots[n++] = i * TABLE_ENTRIES_PER_PAGE + j;
                        }
        }
        *ret_entries = entries;
        entries = NULL;
        *ret_slots = slots;
        slots = NULL;
        *ret_n = n;
        return 0;
}

static void print_hex(const char *text) {
        putchar('x');                   /* so that it is never empty */
        for (; *text; text++)
                printf("%02x", (unsigned char) *text);
}

static void print_entry(const struct table_entry *entry, uint32_t slot) {
        char vdi[UUID_TEXT_SIZE], snapshot_of[UUID_TEXT_SIZE] = "-";

        if (!uuid_is_null(&entry->snapshot_of))
                uuid_format(&entry->snapshot_of, snapshot_of);
        printf("entry %s %u %llu %llu %llu %u %llu %s ", uuid_format(&entry->vdi, vdi), slot, (unsigned long long) entry->offset,
               (unsigned long long) entry->length, (unsigned long long) entry->size, entry->flags,
               (unsigned long long) entry->created_usec, snapshot_of);
        print_hex(entry->name);
        putchar('\n');
}

static int check_entries(const struct table_entry *entries, size_t n) {
        AUTO_FREE struct table_entry *sorted = reallocarray(NULL, n + 1, sizeof *sorted);

        if (!sorted)
                return -ENOMEM;
        memcpy(sorted, entries, n * sizeof *entries);
        return table_check(sorted, n);
}

/* Prints sr UUID, read-only 0|1, layout SIZE DATA SLOTS DEVICE, entry UUID SLOT OFFSET LENGTH SIZE FLAGS CREATED SNAPSHOT-OF|- xNAME, end.
 */
int io_file_scan(int argc, char **argv) {
        AUTO(place_done) struct place place = { .fd = -1 };
        AUTO_FREE struct table_entry *entries = NULL;
        AUTO_FREE uint32_t *slots = NULL;
        AUTO_CLOSE int writable = -1;
        char text[UUID_TEXT_SIZE];
        size_t n;
        int r;

        if (open_place(&place, argv, O_RDONLY, argv[2]) != 0)
                return 1;
        r = read_table(&place, &entries, &slots, &n);
        if (r >= 0)
                r = check_entries(entries, n);
        if (r < 0)
                return io_failed(r, "read the table of %s", argv[1]);
        writable = io_open_at_path(argv[0], argv[1], O_RDWR, true);
        printf("sr %s\nread-only %d\n", uuid_format(&place.header.sr, text), writable < 0);
        printf("layout %llu %llu %u %d\n", (unsigned long long) place.header.size, (unsigned long long) place.header.data,
               place.header.n_slots, is_device(place.fd));
        for (size_t i = 0; i < n; i++)
                print_entry(&entries[i], slots[i]);
        puts("end");
        return 0;
}

/* The slot of a disk: 1, 0 if it has none, or a negative errno. */
static int find_slot(const struct place *place, const struct uuid *vdi, uint32_t *ret_slot, struct table_entry *ret_entry) {
        AUTO_FREE struct table_entry *entries = NULL;
        AUTO_FREE uint32_t *slots = NULL;
        size_t n;
        int r;

        r = read_table(place, &entries, &slots, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (uuid_compare(&entries[i].vdi, vdi) == 0) {
                        *ret_slot = slots[i];
                        *ret_entry = entries[i];
                        return 1;
                }
        return 0;
}

/* Prints entry, or nothing. */
int io_file_find(int argc, char **argv) {
        AUTO(place_done) struct place place = { .fd = -1 };
        struct table_entry entry;
        struct uuid vdi;
        uint32_t slot;
        int r;

        if (uuid_parse(argv[2], &vdi) < 0)
                return 2;
        if (open_place(&place, argv, O_RDONLY, "-") != 0)
                return 1;
        r = find_slot(&place, &vdi, &slot, &entry);
        if (r < 0)
                return io_failed(r, "read the table of %s", argv[1]);
        if (r > 0)
                print_entry(&entry, slot);
        return 0;
}

/* Changing it */

/* Puts an entry into a slot. NULL: frees it, if it is the disk's. */
static int change_slot(const struct place *place, uint32_t slot, const struct uuid *vdi, const struct table_entry *entry) {
        uint32_t index = slot / TABLE_ENTRIES_PER_PAGE;
        struct table_entry *old;
        struct table_page page;
        uint8_t pair[PAIR_SIZE];
        unsigned copy;
        int r;

        r = lock(place->fd, table_page_offset(index), PAIR_SIZE);       /* others may change other slots of the page meanwhile */
        if (r >= 0)
                r = io_pread(place->fd, pair, sizeof pair, table_page_offset(index));
        if (r >= 0)
                r = table_page_decode(pair, index, &place->header, &page, &copy);
        if (r < 0)
                return r;
        old = &page.entries[slot % TABLE_ENTRIES_PER_PAGE];
        if (!uuid_is_null(&old->vdi) && uuid_compare(&old->vdi, vdi) != 0)
                return entry ? -EUCLEAN : 0;            /* another disk's */
        *old = entry ? *entry : (struct table_entry) {};
        page.generation++;
        table_page_encode(&page, index, pair);
        r = io_pwrite(place->fd, pair, TABLE_PAGE_SIZE, table_page_offset(index) + (copy == 0 ? TABLE_PAGE_SIZE : 0));
        if (r >= 0 && fsync(place->fd) < 0)
                r = -errno;
        return r;
}

static int from_hex(const char *hex, char *ret_text, size_t n) {
        size_t length = strlen(hex);

        if (*hex != 'x' || length % 2 != 1 || length / 2 >= n)
                return -EINVAL;
        for (size_t i = 0; i < length / 2; i++) {
                unsigned byte;

                if (sscanf(hex + 1 + 2 * i, "%2x", &byte) != 1)
                        return -EINVAL;
                ret_text[i] = (char) byte;
        }
        ret_text[length / 2] = '\0';
        return 0;
}

static int parse_entry(char **argv, struct table_entry *ret_entry) {
        struct table_entry entry = {};
        uint64_t flags;

        if (uuid_parse(argv[3], &entry.vdi) < 0 || io_number(argv[4], &entry.offset) < 0 || io_number(argv[5], &entry.length) < 0 ||
            io_number(argv[6], &entry.size) < 0 || io_number(argv[7], &flags) < 0 || io_number(argv[8], &entry.created_usec) < 0 ||
            (strcmp(argv[9], "-") != 0 && uuid_parse(argv[9], &entry.snapshot_of) < 0) ||
            from_hex(argv[10], entry.name, sizeof entry.name) < 0)
                return -EINVAL;
        entry.flags = (uint32_t) flags;
        *ret_entry = entry;
        return 0;
}

/* The disk's bytes are on disk before the table names them. */
int io_file_set(int argc, char **argv) {
        AUTO(place_done) struct place place = { .fd = -1 };
        struct table_entry entry;
        uint64_t slot;
        int r;

        if (io_number(argv[2], &slot) < 0 || parse_entry(argv, &entry) < 0)
                return 2;
        if (open_place(&place, argv, O_RDWR, "-") != 0)
                return 1;
        if (slot >= place.header.n_slots || entry.offset < place.header.data || entry.length > place.header.size ||
            entry.offset > place.header.size - entry.length)
                return 2;
        if (fsync(place.fd) < 0)
                return io_failed(-errno, "write %s to disk", argv[1]);
        r = change_slot(&place, (uint32_t) slot, &entry.vdi, &entry);
        return r < 0 ? io_failed(r, "write the table of %s", argv[1]) : 0;
}

/* A slot of - is looked for. It is well if there is none. */
int io_file_clear(int argc, char **argv) {
        AUTO(place_done) struct place place = { .fd = -1 };
        struct table_entry entry;
        uint64_t number = 0;
        struct uuid vdi;
        uint32_t slot;
        int r = 1;

        if (uuid_parse(argv[3], &vdi) < 0 || (strcmp(argv[2], "-") != 0 && io_number(argv[2], &number) < 0))
                return 2;
        if (open_place(&place, argv, O_RDWR, "-") != 0)
                return 1;
        if (number >= place.header.n_slots)
                return 2;
        slot = (uint32_t) number;
        if (strcmp(argv[2], "-") == 0)
                r = find_slot(&place, &vdi, &slot, &entry);
        if (r > 0)
                r = change_slot(&place, slot, &vdi, NULL);
        return r < 0 ? io_failed(r, "write the table of %s", argv[1]) : 0;
}

/* Prints space, as it is told, if the storage repository is there. */
int io_file_space(int argc, char **argv) {
        AUTO(place_done) struct place place = { .fd = -1 };

        if (open_place(&place, argv, O_RDONLY, argv[2]) != 0)
                return 1;
        printf("space %s %s %s\n", argv[3], argv[4], argv[5]);
        return 0;
}

/* Prints usage BYTES. */
int io_file_usage(int argc, char **argv) {
        AUTO_CLOSE int fd = -1;
        uint64_t offset, length, bytes;
        int r;

        if (io_number(argv[2], &offset) < 0 || io_number(argv[3], &length) < 0)
                return 2;
        fd = io_open_at_path(argv[0], argv[1], O_RDONLY, true);
        if (fd < 0)
                return io_unreachable(fd, argv[1]);
        r = io_allocated(fd, offset, length, &bytes);
        if (r < 0)
                return io_failed(r, "look at %s", argv[1]);
        printf("usage %llu\n", (unsigned long long) bytes);
        return 0;
}
