/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm-asking.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct asking {
        struct vm *vm;
        struct asking *next;
        struct hypervisor_call call;
        sd_event_source *timer;
        uint64_t limit_ms;
        unsigned n_news;                /* the VM's when the backend was asked */
        bool too_late;
        vm_ask_t begin;
        vm_answer_t done;
        void (*dropped)(void *userdata);
        void *userdata;
};

/* It is not the VM's any more, which may go before its answer is given. */
static void take_off(struct asking *asking) {
        for (struct asking **p = &asking->vm->asking; *p; p = &(*p)->next)
                if (*p == asking) {
                        *p = asking->next;
                        asking->vm->n_asking--;
                        break;
                }
        asking->timer = sd_event_source_disable_unref(asking->timer);
}

static void asking_free(struct asking *asking) {
        take_off(asking);
        free(asking);
}

static void on_done(struct hypervisor_call *call, int r, struct idl_error *error);

static int begin(struct asking *asking, struct idl_error *error) {
        asking->call = (struct hypervisor_call) { .done = on_done, .userdata = asking };
        asking->n_news = asking->vm->n_news;
        return asking->begin(asking->vm, &asking->call, asking->userdata, error);
}

static void on_done(struct hypervisor_call *call, int r, struct idl_error *error) {
        struct asking *asking = call->userdata;

        /* What the guest was may be told after what it became: then that is what is asked for. */
        if (r >= 0 && asking->begin == vm_ask_query && !asking->too_late && asking->n_news != asking->vm->n_news) {
                r = begin(asking, error);
                if (r >= 0)
                        return;
        }
        if (asking->too_late)
                r = idl_error_set_timed_out(error, asking->vm->backend->hypervisor->name, asking->limit_ms);
        else if (r < 0 && !error->name)
                idl_error_set_backend_failed(error, asking->vm->backend->hypervisor->name, "answer", strerrordesc_np(-r) ?: "?");
        take_off(asking);
        asking->done(asking->vm, r, call, asking->userdata, error);
        free(asking);
}

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct asking *asking = userdata;

        asking->too_late = true;
        asking->vm->backend->hypervisor->cancel(asking->vm->guest, &asking->call);
        return 0;
}

int vm_ask_within(struct vm *vm, uint64_t limit_ms, vm_ask_t begin_ask, vm_answer_t done, void (*dropped)(void *userdata), void *userdata,
                  struct idl_error *error) {
        struct asking *asking;
        int r;

        r = vm_find_guest(vm, error);
        if (r < 0)
                return r;
        if (vm->n_asking >= VM_ASKING_MAX)
                return idl_error_set_limit_exceeded(error, "questions to this VM at once", vm->n_asking + 1, VM_ASKING_MAX);
        asking = malloc(sizeof *asking);
        if (!asking)
                return -ENOMEM;
        *asking = (struct asking) { .vm = vm, .next = vm->asking, .begin = begin_ask, .done = done, .dropped = dropped, .userdata = userdata,
                                    .limit_ms = limit_ms };
        vm->asking = asking;
        vm->n_asking++;
        r = sd_event_add_time_relative(vm->xenopsd->event, &asking->timer, CLOCK_MONOTONIC, limit_ms * 1000, 0, on_timer, asking);
        if (r >= 0)
                r = begin(asking, error);
        if (r < 0)
                asking_free(asking);
        return r;
}

int vm_ask(struct vm *vm, vm_ask_t begin_ask, vm_answer_t done, void (*dropped)(void *userdata), void *userdata, struct idl_error *error) {
        return vm_ask_within(vm, XENOPSD_QUERY_MS, begin_ask, done, dropped, userdata, error);
}

int vm_ask_query(struct vm *vm, struct hypervisor_call *call, void *userdata, struct idl_error *error) {
        return vm->backend->hypervisor->query(vm->guest, call, error);
}

void vm_asking_drop_all(struct vm *vm) {
        while (vm->asking) {
                struct asking *asking = vm->asking;
                void (*dropped)(void *) = asking->dropped;
                void *userdata = asking->userdata;

                asking_free(asking);
                if (dropped)
                        dropped(userdata);
        }
}

/* What nobody has asked for here: somebody else paused it or had it go on, or a backend did later what it was told. */
static bool is_by_others(const struct vm *vm, enum hypervisor_state state) {
        if (vm->job)
                return false;
        return (vm->state == XCP_VM_STATE_RUNNING && state == HYPERVISOR_SUSPENDED) || (vm->state == XCP_VM_STATE_SUSPENDED && state == HYPERVISOR_RUNNING);
}

static void on_facts(struct vm *vm, int r, const struct hypervisor_call *call, void *userdata, struct idl_error *error) {
        if (r < 0)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", vm->uuid }), "Cannot learn how VM %s is: %s", vm->spec.name,
                          error->message ?: "unknown error");
        else if (vm->state == XCP_VM_STATE_HALTED && !vm->job && call->status.state != HYPERVISOR_ABSENT) {
                /* Somebody else had it run, and its backend has found that. */
                vm_take_status(vm, &call->status, XCP_VM_STATE_REASON_FOUND);
                vm_connect_console(vm);
        } else if (is_by_others(vm, call->status.state))
                vm_take_status(vm, &call->status, XCP_VM_STATE_REASON_FOUND);
        else
                vm_take_facts(vm, &call->status);
}

void vm_refresh(struct vm *vm) {
        struct idl_error error = IDL_ERROR_NULL;

        vm_ask(vm, vm_ask_query, on_facts, NULL, NULL, &error);
        idl_error_done(&error);
}
