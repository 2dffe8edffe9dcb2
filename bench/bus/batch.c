/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rounds (rounds.h) of something that is done to many objects: batch ADDRESS NAME KIND WINDOW PATH...
 *
 * A round of N does the steps of a kind N times each: all of the first step, then all of the second. Up to WINDOW calls are on their way
 * at a time. A step has been done when its call is answered and, if that was with a task, when the task has finished. Tasks are
 * destroyed then, as nobody needs them.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "rounds.h"

#define PROGRAM "batch"
#define STEPS_MAX 2u
#define TIMEOUT_USEC (60 * UINT64_C(1000000))   /* without any answer or signal */
#define TASK_INTERFACE "org.xen.xcp.Task1"

struct step {
        const char *interface, *member;
        int (*append)(sd_bus_message *m);
        bool is_task;                   /* it is answered with a task */
        const char *makes;              /* the key of a new object in the task's result; "" if the answer is that object */
        bool on_made;                   /* it is for what the step before has made */
};

struct kind {
        const char *name;
        struct step steps[STEPS_MAX];
};

struct batch {
        sd_bus *bus;
        const char *service;
        const struct kind *kind;
        size_t window;
        char **paths;
        size_t n_paths;

        const struct step *step;        /* what is being done, and how often it was begun, answered, finished */
        size_t n, n_begun, n_answered, n_finished;
        int failure;
        char **made;
        size_t n_made;
};

/* A name that no other object of this run has. */
static const char *new_name(void) {
        static char name[64];
        static unsigned n;

        snprintf(name, sizeof name, "bench-%d-%u", (int) getpid(), n++);
        return name;
}

static int append_nothing(sd_bus_message *m) {
        return 0;
}

static int append_not_paused(sd_bus_message *m) {
        return sd_bus_message_append(m, "b", 0);
}

static int append_no_hurry(sd_bus_message *m) {
        return sd_bus_message_append(m, "u", UINT32_C(60000));
}

static int append_vdi_spec(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 2, "name", "s", new_name(), "size", "t", UINT64_C(1) << 20);
}

static int append_vm_spec(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 2, "name", "s", new_name(), "backend", "s", "noop");
}

static int append_domain(sd_bus_message *m) {
        char xml[512];

        snprintf(xml, sizeof xml, "<domain type='test'><name>%s</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>"
                 "<os><type>hvm</type></os></domain>", new_name());
        return sd_bus_message_append(m, "su", xml, 0);
}

#define CREATE_VDI { "org.xen.xcp.storage1.SR", "CreateVDI", append_vdi_spec, .is_task = true, .makes = "vdi" }
#define CREATE_VM { "org.xen.xcp.xenopsd1.Manager", "Create", append_vm_spec, .makes = "" }

static const struct kind kinds[] = {
        { "create-vdis", { CREATE_VDI } },
        { "create-destroy-vdis", { CREATE_VDI,
                                   { "org.xen.xcp.storage1.VDI", "Destroy", append_nothing, .is_task = true, .on_made = true } } },
        { "create-vms", { CREATE_VM } },
        { "create-destroy-vms", { CREATE_VM,
                                  { "org.xen.xcp.xenopsd1.VM", "Destroy", append_nothing, .is_task = true, .on_made = true } } },
        { "start-vms", { { "org.xen.xcp.xenopsd1.VM", "Start", append_not_paused, .is_task = true } } },
        { "start-kill-vms", { { "org.xen.xcp.xenopsd1.VM", "Start", append_not_paused, .is_task = true },
                              { "org.xen.xcp.xenopsd1.VM", "Kill", append_nothing, .is_task = true } } },
        { "stop-vms", { { "org.xen.xcp.xenopsd1.VM", "Stop", append_no_hurry, .is_task = true } } },
        { "create-domains", { { "org.libvirt.Connect", "DomainCreateXML", append_domain } } },
};

static int add_made(struct batch *batch, const char *path) {
        batch->made[batch->n_made] = strdup(path);
        return batch->made[batch->n_made++] ? 0 : -ENOMEM;
}

static int fail(struct batch *batch, int r, const sd_bus_error *error) {
        if (batch->failure >= 0)
                batch->failure = connect_failed(PROGRAM, batch->step->member, r, error);
        return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        struct batch *batch = userdata;
        const char *path;
        int r = 0;

        if (sd_bus_message_is_method_error(m, NULL))
                return fail(batch, -sd_bus_message_get_errno(m), sd_bus_message_get_error(m));
        batch->n_answered++;
        if (!batch->step->is_task)
                batch->n_finished++;
        if (batch->step->makes && !batch->step->is_task) {
                r = sd_bus_message_read(m, "o", &path);
                if (r >= 0)
                        r = add_made(batch, path);
        }
        return r < 0 ? fail(batch, r, NULL) : 0;
}

/* Reads the object that a task has made out of its result. */
static int read_made(sd_bus_message *m, const char *wanted, const char **ret_path) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                if (strcmp(key, wanted) == 0)
                        return sd_bus_message_read(m, "v", "o", ret_path);
                r = sd_bus_message_skip(m, "v");
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : -ENODATA;
}

static int destroy_task(struct batch *batch, const char *task) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(batch->bus, &m, batch->service, task, TASK_INTERFACE, "Destroy");
        if (r < 0)
                return r;
        r = sd_bus_message_set_expect_reply(m, false);
        return r < 0 ? r : sd_bus_send(batch->bus, m, NULL);
}

static int take_result(struct batch *batch, sd_bus_message *m) {
        const char *state, *path;
        int r;

        r = sd_bus_message_read(m, "s", &state);
        if (r < 0)
                return r;
        if (strcmp(state, "Succeeded") != 0) {
                sd_bus_message_dump(m, stderr, SD_BUS_MESSAGE_DUMP_WITH_HEADER);
                return -ECANCELED;
        }
        if (!batch->step->makes)
                return 0;
        r = read_made(m, batch->step->makes, &path);
        return r < 0 ? r : add_made(batch, path);
}

static int on_finished(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        struct batch *batch = userdata;
        int r;

        if (!batch->step || !batch->step->is_task || batch->n_finished == batch->n)
                return 0;
        r = take_result(batch, m);
        if (r >= 0)
                r = destroy_task(batch, sd_bus_message_get_path(m));
        if (r < 0)
                return fail(batch, r, NULL);
        batch->n_finished++;
        return 0;
}

static int begin_one(struct batch *batch, char **targets, size_t n_targets) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(batch->bus, &m, batch->service, targets[batch->n_begun++ % n_targets], batch->step->interface,
                                           batch->step->member);
        if (r < 0)
                return r;
        r = batch->step->append(m);
        if (r < 0)
                return r;
        return sd_bus_call_async(batch->bus, NULL, m, on_answer, batch, TIMEOUT_USEC);
}

/* Waits for whatever comes next. */
static int await_something(struct batch *batch) {
        int r;

        r = sd_bus_process(batch->bus, NULL);
        if (r != 0)
                return r;
        r = sd_bus_wait(batch->bus, TIMEOUT_USEC);
        return r < 0 ? r : r == 0 ? -ETIMEDOUT : 0;
}

static int do_step(struct batch *batch, char **targets, size_t n_targets) {
        int r = 0;

        batch->n_begun = batch->n_answered = batch->n_finished = 0;
        while (batch->n_answered < batch->n || batch->n_finished < batch->n) {
                while (batch->n_begun < batch->n && batch->n_begun - batch->n_finished < batch->window && r >= 0)
                        r = begin_one(batch, targets, n_targets);
                if (r >= 0)
                        r = await_something(batch);
                if (batch->failure < 0)
                        return batch->failure;
                if (r < 0)
                        return connect_failed(PROGRAM, batch->step->member, r, NULL);
        }
        return 0;
}

static int do_steps(void *userdata, uint64_t n) {
        struct batch *batch = userdata;
        int r = 0;

        batch->n = n;
        batch->n_made = 0;
        batch->made = calloc(n + 1, sizeof *batch->made);
        if (!batch->made)
                return -ENOMEM;
        for (size_t i = 0; i < STEPS_MAX && batch->kind->steps[i].member && r >= 0; i++) {
                batch->step = &batch->kind->steps[i];
                if (batch->step->on_made)
                        r = do_step(batch, batch->made, batch->n_made);
                else
                        r = do_step(batch, batch->paths, batch->n_paths);
        }
        while (batch->n_made > 0)
                free(batch->made[--batch->n_made]);
        free(batch->made);
        return r;
}

static int serve(struct batch *batch, const char *address) {
        int r;

        r = connect_bus(PROGRAM, address, &batch->bus);
        if (r < 0)
                return EXIT_FAILURE;
        r = sd_bus_match_signal(batch->bus, NULL, batch->service, NULL, TASK_INTERFACE, "Finished", on_finished, batch);
        if (r < 0) {
                connect_failed(PROGRAM, "Finished", r, NULL);
                return EXIT_FAILURE;
        }
        return rounds_serve(PROGRAM, do_steps, batch);
}

int main(int argc, char **argv) {
        struct batch batch = {};
        int r;

        if (argc > 5) {
                batch.service = argv[2];
                batch.window = strtoul(argv[4], NULL, 10);
                batch.paths = argv + 5;
                batch.n_paths = (size_t) argc - 5;
                for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
                        if (strcmp(argv[3], kinds[i].name) == 0)
                                batch.kind = &kinds[i];
        }
        if (!batch.kind || batch.window == 0) {
                fprintf(stderr, "Usage: %s ADDRESS NAME KIND WINDOW PATH...\n", PROGRAM);
                return 2;
        }
        r = serve(&batch, argv[1]);
        sd_bus_unref(batch.bus);
        return r;
}
