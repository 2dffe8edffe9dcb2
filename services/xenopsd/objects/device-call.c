/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the calls to a VM's disks and network interfaces have in common (device-call.h). */

#include <errno.h>

#include "device-call.h"

int device_begin(struct device *device, enum operation_id id, bool flag, const char *text, struct idl_call *call, device_reply_t reply,
                 struct idl_error *error) {
        const struct job_arguments arguments = { .flag = flag, .text = text, .device = device };
        struct vm *vm = device->vm;
        const char *task;
        int r;

        r = job_add(vm, id, &arguments, call, &task, error);
        if (r < 0)
                return r;
        r = reply(call, task);
        job_next(vm);                   /* which may be the end of the device */
        return r;
}

/* A question to the backend, and who asked it. */
struct question {
        struct idl_call *call;
        const char *name;               /* the device's, in the call's arena: it may go meanwhile */
        device_question_t ask;
        device_answer_t answer;
};

static int on_ask(struct vm *vm, struct hypervisor_call *call, void *userdata, struct idl_error *error) {
        struct question *question = userdata;

        return question->ask(vm->guest, call, question->name, error);
}

static void on_drop(void *userdata) {
        struct question *question = userdata;

        idl_call_unref(question->call);         /* and the question, which is in its arena */
}

static void on_answer(struct vm *vm, int r, const struct hypervisor_call *from, void *userdata, struct idl_error *error) {
        struct question *question = userdata;

        if (r < 0) {
                idl_error_set_errno(error, r, "the backend");
                idl_call_fail(question->call, error);
                idl_error_done(error);
        } else
                question->answer(question->call, from);
        on_drop(question);
}

int device_ask(struct device *device, device_question_t ask, struct idl_call *call, device_answer_t answer, struct idl_error *error) {
        struct idl_arena *arena = idl_call_arena(call);
        struct question *question;
        int r;

        if (!ask)
                return idl_error_set_not_supported(error, "GetStatistics");
        question = idl_arena_alloc(arena, 1, sizeof *question);
        if (!question)
                return -ENOMEM;
        *question = (struct question) { idl_call_ref(call), idl_arena_strdup(arena, device->name), ask, answer };
        r = question->name ? vm_ask(device->vm, on_ask, on_answer, on_drop, question, error) : -ENOMEM;
        if (r < 0)
                idl_call_unref(call);
        return r;
}
