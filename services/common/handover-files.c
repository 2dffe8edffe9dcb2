/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What who takes over writes into its state directory.
 *
 * The mark says that the state is not to be used before there is anything that could be: it is written in the rehearsal, when nobody waits. The state
 * itself is written while calls wait, and has to be on the disk before this one writes down that it is its own. Until then the other one has it, on its
 * disk; so Load() is answered first, and the disk waited for while the other one retires, which has its own disk to wait for. In the same way what the
 * mark is going to be is written after Activate() is answered.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "handover-private.h"
#include "service-private.h"

/* A database, with what SQLite keeps beside it. handover->lock is the directory. */
void handover_file_remove(struct handover *handover, const char *name) {
        static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
        char path[HANDOVER_STATE_NAME_MAX + 16];

        for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
                snprintf(path, sizeof path, "%s%s", name, suffixes[i]);
                unlinkat(handover->lock, path, 0);
        }
}

int handover_file_write(struct handover *handover, const char *name, const uint8_t *data, size_t size) {
        AUTO_CLOSE int fd = -1;

        handover_file_remove(handover, name);
        fd = openat(handover->lock, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t) n;
        }
        return 0;
}

/* The mark */

int handover_files_prepare(struct handover *handover) {
        struct handover_mark before = handover->mark;
        int r;

        if (handover->mark.claim == HANDOVER_STAND_BY)
                return 0;
        r = handover_write_mark(handover, HANDOVER_STAND_BY, before.epoch, "a move that did not end");
        if (r >= 0) {
                handover->before = before;
                handover->has_before = true;
        }
        return r;
}

/*
 * Nothing was loaded: all is as it was. What was loaded stays, and so does the mark: it may be all that is left if the other one is lost for good, and
 * whoever stands by here again runs it over.
 */
void handover_files_give_up(struct handover *handover) {
        int r;

        if (handover->state != XCP_HANDOVER_STATE_STAND_BY || !handover->has_before)
                return;
        if (handover->before.claim == HANDOVER_ACTIVE)  /* there was none: who stands by does not begin with one that says so */
                r = handover_mark_remove(handover->service->options.state_dir);
        else
                r = handover_write_mark(handover, handover->before.claim, handover->before.epoch, handover->before.peer);
        if (r < 0)
                log_event(LOG_WARNING, NULL, "What the mark in %s was cannot be written again: %s", handover->service->options.state_dir,
                          strerrordesc_np(-r));
}

/* The state */

int handover_files_write(struct handover *handover, const struct handover_state *state) {
        char name[HANDOVER_STATE_NAME_MAX];
        int r;

        r = handover_files_prepare(handover);
        handover->has_before = false;   /* from here on the mark is right */
        snprintf(name, sizeof name, "%s.db", handover->service->kind->name);
        for (size_t i = 0; r >= 0 && i < state->n_parts; i++) {
                const struct handover_part *part = &state->parts[i];

                if (strcmp(part->name, name) == 0 || strcmp(part->name, "tasks.db") == 0)       /* others are of a newer version */
                        r = handover_file_write(handover, part->name, part->data, part->size);
        }
        return r;
}

/* Once: after an error of fsync() another one says nothing about what was lost. */
int handover_files_sync(struct handover *handover) {
        struct service *service = handover->service;
        int r;

        if (handover->is_synced)
                return handover->synced_r;
        handover->is_synced = true;
        r = service->db ? database_sync(service->db) : 0;
        if (r >= 0)
                r = tasks_sync(service->tasks);
        if (r >= 0 && fsync(handover->lock) < 0)
                r = -errno;
        if (r < 0)
                log_event(LOG_ERR, NULL, "The state in %s did not get onto the disk: %s", service->options.state_dir, strerrordesc_np(-r));
        handover->synced_r = r;
        return r;
}

static int on_sync(sd_event_source *source, void *userdata) {
        struct handover *handover = userdata;

        if (handover->state == XCP_HANDOVER_STATE_READY)
                handover_files_sync(handover);  /* Activate() asks what came of it */
        else if (handover->state == XCP_HANDOVER_STATE_TAKING)
                handover_prepare_mark(handover, HANDOVER_ACTIVE, handover->mark.epoch, HANDOVER_PREDECESSOR);
        return 0;
}

int handover_files_sync_later(struct handover *handover) {
        if (handover->sync)
                return sd_event_source_set_enabled(handover->sync, SD_EVENT_ONESHOT);
        return sd_event_add_defer(handover->service->event, &handover->sync, on_sync, handover);
}
