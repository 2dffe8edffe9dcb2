/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What `xcpctl up` and `xcpctl down` do for one VM of a file. */

#include "client.h"
#include "vm-file.h"

struct up {
        struct context *context;
        const char *file;               /* its name, for messages */
        const struct wish *vm;
        const char *name;               /* of the VM */
        char *path;                     /* of the VM; NULL: there is none */
        const char *action;             /* what was done, for the report */
        GHashTable *pulled;             /* what was pulled already, for VMs before this one: the source, a blank and the checksum → the image's path */
        GPtrArray *changes;             /* of a VM that was there: the keys that were changed, as in memory or disks.root.size */
};

/* Takes down a change of a VM that was there: of a key, or of a device's, if there is one. */
void up_note(const struct up *up, const char *list, const char *device, const char *key);

/* Prefixes an error with a place of the file; a service's error keeps its name. Returns false. */
bool up_fail_at(const struct up *up, struct place place, GError **error);

/* Sets an error at a place. Returns false. */
bool up_fail(const struct up *up, struct place place, GError **error, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Has a task done, and waits for it. ret_result may be NULL. */
bool up_task(struct context *context, const char *service, const char *path, const char *interface, const char *method, GVariant *arguments,
             GUnixFDList *fds, GVariant **ret_result, GError **error);

/* Makes or finds the VM as the file has it, and has it run. */
bool up_vm(struct up *up, GError **error);

/* Stops and removes the VM; its disks too, those that up has made, if they shall go. */
bool down_vm(struct up *up, uint32_t grace_ms, bool disks, GError **error);

/* A look fails as the doing would, as far as that can be known, and changes nothing. */
enum up_effect {
        UP_LOOK,
        UP_DO,
};

/* The disk as a DiskSpec, not floating. It is made and grown if need be, but for a look: one that is not there has no vdi then. */
GVariant *up_disk(const struct up *up, const struct wish *disk, enum up_effect effect, GError **error);

/* Whether it is a disk that up makes. */
bool up_is_own(const struct wish *disk);

/* Removes a disk that up has made, if it is there. */
bool down_disk(const struct up *up, const struct wish *disk, GError **error);

/* Makes a disk of that name that begins as the wish's image. To be freed. */
char *up_image_disk(const struct up *up, const struct wish *disk, const char *sr, const char *name, GError **error);

/* The disc with the VM's cloud_init, made if need be, as a DiskSpec, which is not floating. is_new: the VM is being made. */
GVariant *up_seed(const struct up *up, bool is_new, GError **error);

/* Removes it, if it is there. */
bool down_seed(const struct up *up, GError **error);

/* For disks that up makes: the storage repository that a wish names, or the only one, and the disk of a name in it (NULL: there is none). */
char *up_find_sr(const struct up *up, const struct wish *wish, GError **error);
bool up_find_vdi(const struct up *up, const char *sr, const char *name, char **ret_path, uint64_t *ret_size, GError **error);
