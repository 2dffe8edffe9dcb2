/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Operations: what is done to storage repositories and disks, each for a task, or for a call that is answered later, or for the service
 * itself.
 *
 *         waiting ──► ready ──► begin() ──► steps of the plan ──► finish() ──► done
 *                                  │              │                  │
 *                                  └──────────────┴── failed ────────┴──► steps that undo ──► undone()
 *
 * An operation waits until all that it claims is its own. begin() looks whether it can be done, writes its intent, and plans the steps.
 * finish() makes what was done known: in one transaction in the database, where the intent goes, then on the bus. When anything
 * fails, or it is cancelled, the intent is recovered from, as after a crash.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "child.h"
#include "plan.h"
#include "scan.h"
#include "storage.h"
#include "tasks.h"

#define OPERATION_CLAIMS_MAX 5u
#define OPERATION_CANCEL_BOUND_USEC UINT64_C(10000000)  /* org.xen.xcp.storage1.SR.xml, VDI.xml */

struct operation;

struct operation_kind {
        const char *name;               /* of its counters */
        bool is_slow;                   /* may wait for its caller: takes a place among the slow ones */
        bool without_steps;             /* takes no place */

        /* All of them return 0 or a negative errno, with error set or not. */
        int (*begin)(struct operation *operation, struct idl_error *error);
        int (*finish)(struct operation *operation, sd_bus_message **ret_result, struct idl_error *error);
        int (*reply)(struct operation *operation);              /* of one without a task */

        void (*undo)(struct operation *operation);              /* plans the steps that undo; NULL: as the intents have it */

        /* After the steps that undo. 1: it turned out to be done after all, as finish() would have it. May be NULL. */
        int (*undone)(struct operation *operation, bool recovered, sd_bus_message **ret_result, struct idl_error *error);
        void (*done)(struct operation *operation);              /* at the very end, to give back what it took; may be NULL */
};

enum operation_state {
        OPERATION_WAITING,
        OPERATION_READY,
        OPERATION_RUNNING,
        OPERATION_UNDOING,
};

struct operation {
        struct operation *previous, *next;              /* all of them */
        struct operation *ready_next;
        struct storage *storage;
        const struct operation_kind *kind;
        enum operation_state state;
        struct work *work;                              /* NULL: without a task */
        struct idl_call *call;                          /* of one without a task: to be answered, or NULL */
        struct idl_arena arena;
        char *description;

        struct sr *sr;                                  /* what it is about; referenced */
        struct sr *other_sr;
        struct vdi *vdi;
        struct vdi *new_vdi, *stage;                    /* disks in the making */
        struct claim claims[OPERATION_CLAIMS_MAX];
        struct operation_claim {
                struct resource *resource;
                bool exclusive;
        } wanted[OPERATION_CLAIMS_MAX];
        size_t n_wanted, n_granted;

        struct plan plan;
        size_t i_step;
        double weight_done;
        struct child *child;
        bool cancelled, has_failed;
        bool is_stuck;                                  /* what it began could not be undone */
        int r;                                          /* why it failed */
        struct idl_error error;
        struct intent *intents;                         /* in the arena */

        /* What the steps said. */
        bool said_failed, said_unreachable;
        int said_errno;
        char said[512];
        uint64_t n_copied;                              /* as the progress has it */
        uint64_t bytes, size, total, free, used;
        uint64_t usage[CHAIN_MAX + 1];
        size_t n_usage;
        struct scan *scan;

        /* What it was asked for. */
        struct operation_wish {
                uint64_t size;
                int fd;                                 /* owned; -1: none */
                enum xcp_vdi_format format;
                uint64_t source_size;
                const char *reader, *name;
                enum xcp_disk_mode mode;
                const enum xcp_data_path_kind *kinds;
                size_t n_kinds;
                bool is_clone, is_freeze, is_growing, is_exclusive;
                bool is_detaching;      /* a loop device goes, and is not only written out */
        } wish;
};

/* Makes one, which waits for nothing yet. sr and vdi may be NULL, and are referenced. LimitExceeded. */
int operation_new(struct operation **ret_operation, struct storage *storage, const struct operation_kind *kind, struct sr *sr,
                  struct vdi *vdi, struct idl_error *error);
struct operation *operation_free(struct operation *operation);

/* Adds to what it waits for. In this order in all operations: storage repositories by their UUIDs, disks. */
void operation_claim(struct operation *operation, struct resource *resource, bool exclusive);

/* Starts it for a task, and gives the task's path. The operation is freed if that fails. */
int operation_start(struct operation *operation, struct idl_call *call, const char **ret_path, struct idl_error *error,
                    const char *description, ...) __attribute__((format(printf, 5, 6)));

/* Starts it for a call that kind->reply answers, or, with NULL, for the service. */
void operation_start_without_task(struct operation *operation, struct idl_call *call);

/* Intents: in the database before any step. The operation's own are in its list. */
struct intent *operation_intend(struct operation *operation, enum intent_kind kind, const struct vdi *vdi, struct idl_error *error);
int operation_write_intents(struct operation *operation, struct idl_error *error);

/* Within a transaction. */
int operation_delete_intents(struct operation *operation);

/* Counters, one for each kind: operations.c has the list. */
struct counter *operation_counter(struct storage *storage, const struct operation_kind *kind);
int operation_counters_init(struct storage *storage);

int operation_result_new(struct operation *operation, sd_bus_message **ret_result);

/* All operations end now, without a word: the service does. */
void operations_stop(struct storage *storage);

/* Prepares and ends the places for operations that run. */
int operations_init(struct storage *storage);

static inline void operation_freep(struct operation **operation) {
        operation_free(*operation);
}
