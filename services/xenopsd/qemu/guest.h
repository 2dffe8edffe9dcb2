/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * QEMU guests: the directory of each, its process, its monitor, and the operations that are under way.
 *
 * All of a guest is in its directory, DIR/UUID: its facts, the sockets that QEMU listens at, and its log. The directory is there exactly as
 * long as something of the guest may be. What a VM keeps from one guest to the next is beside it (variables.h).
 */

#include <systemd/sd-event.h>

#include "boot-id.h"
#include "qmp.h"
#include "facts.h"
#include "status.h"
#include "ticks.h"

#define GUEST_LOG "log"
#define GUEST_MONITOR "monitor"
#define GUEST_AGENT "agent"
#define GUEST_WORDS_MAX 240u            /* of what went wrong; hypervisor.h has room for 256 */

struct json_object;
struct accelerator;
struct watch;

struct qemu {
        struct hypervisor_host host;
        int directory_fd;
        char boot_id[BOOT_ID_SIZE];
        char *program, *failure;        /* program: NULL if there is none */
        char version[32];
        struct accelerator *accelerator;
        struct ticks ticks;
        uint64_t patience_usec;         /* with processes that do not end: process_patience() */
};

struct qemu_guest {
        struct qemu *qemu;
        void *userdata;                 /* the manager's */
        char uuid[37];
        int directory_fd;               /* -1: there is nothing of it */
        struct facts facts;
        struct process *process;        /* NULL: it is gone, or was never there */
        struct qmp *qmp;                /* NULL: it is not connected */
        struct watch *watch;            /* of its addresses; NULL without a monitor */
        bool is_broken;                 /* its monitor cannot be talked to any more */
        bool is_agent_open;
        bool counts_vcpus;              /* it may have others than the facts say: vcpus.c */
        char words[GUEST_WORDS_MAX];    /* how its process ended, or what is wrong with its monitor */
        enum qemu_shutdown shutdown;    /* why it shut down last */
        sd_event_source *timer;         /* for its process to end after its monitor has hung up */
        sd_event_source *reset_window;  /* while a reset of the guest is its firmware's */
        struct qemu_action *actions;
};

int guest_new(void *backend, const char *uuid, void *userdata, void **ret_guest);
void guest_free(void *guest);

/* The VM is gone: so is what it kept. */
void guest_forget(void *guest);

/* When the service starts: what an earlier manager had begun to bring up, or to take away, is told to end, all of it at once. */
void guest_kill_halves(struct qemu *qemu);

/* Takes away what is no VM's. */
int guest_sweep(void *backend, bool (*is_known)(void *userdata, const char *uuid), void *userdata);

/* Its directory, with nothing in it; its removal, when its process is gone. */
int guest_make_directory(struct qemu_guest *guest);
void guest_remove(struct qemu_guest *guest);

int guest_save(struct qemu_guest *guest, struct idl_error *error);

/* Sockets in its directory. socket_listen() replaces one that is there. */
int guest_listen(struct qemu_guest *guest, const char *name, int *ret_fd);
int guest_connect(struct qemu_guest *guest, const char *name, int *ret_fd);

/* Its monitor, if it is not connected. */
int guest_connect_monitor(struct qemu_guest *guest);

/* For process.h: the end of its process. */
void guest_on_end(void *userdata, const char *how);

/* Its log, up to the last 64 KiB. For free(). */
int guest_read_log(const struct qemu_guest *guest, char **ret_log, size_t *ret_size);

/* A guest can make QEMU say more than a disk holds: of a log that is long only the end is kept, from which is read. */
void guest_trim_log(const struct qemu_guest *guest);

/*
 * A PC BIOS that finds itself in memory after a reset puts itself right, and resets once more, by all ways there are. Of these, one may come
 * when the other has been done already, and all begins anew: on a busy host that is seen to go on for seconds, with one between two of them. So
 * resets stay resets until the last of them has been so long ago; then the guest's wish to reboot is told of again.
 */
#define GUEST_RESET_WINDOW_MS 10000u
#define GUEST_ANSWER_MS 90000u          /* of its monitor to a command: longer than what has a time of its own, which says more */

void guest_open_reset_window(struct qemu_guest *guest);

/* Something that the guest did by itself. */
void guest_tell(struct qemu_guest *guest, enum hypervisor_event event, const char *detail);
