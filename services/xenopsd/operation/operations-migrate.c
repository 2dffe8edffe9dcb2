/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Migrate and Receive: a VM goes to another manager while it runs.
 *
 *      source                                          destination
 *      backend's check_send()
 *      Receive(spec) ─────────────────────────────────► attaches disks, replies with a socket
 *      backend's send() ══════ the backend's bytes ═══► backend's receive()
 *      ◄──────────────────────────────────────────── R  all of it is here
 *      deactivates disks, notes that it may be gone
 *      G ─────────────────────────────────────────────► activates disks, resumes the guest, has the VM
 *      ◄───────────────────────────────── task Finished
 *      forgets its guest
 *
 * Before G the VM is the source's, whatever fails. After G it is the destination's unless that says that it has failed. If it does
 * not say anything any more, nobody knows: then the guest stays as it is here, Suspended, since two of it would destroy its disks.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "operations.h"
#include "steps.h"

#define MIGRATE_TIMEOUT_USEC (24 * 3600 * UINT64_C(1000000))    /* as much as anybody waits for a large VM on a slow network, that goes on */
#define SIGN_READY 'R'
#define SIGN_GO 'G'

/* Signs: single bytes on the socket, after what the backends said */

static int send_sign(struct job *job, char sign, struct idl_error *error) {
        if (send(job->fd, &sign, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
                return idl_error_set_unreachable(error, "manager", job->text ?: "the other one", strerrordesc_np(errno));
        return 1;
}

static void end_wait(struct job *job, int r, struct idl_error *error) {
        job->io = sd_event_source_disable_unref(job->io);
        job_done(job, r, error);
}

static int on_sign(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct job *job = userdata;
        struct idl_error error = IDL_ERROR_NULL;
        const char expected = job->id == OPERATION_RECEIVE ? SIGN_GO : SIGN_READY;
        char untrusted_sign;
        ssize_t n;
        int r = 0;

        n = recv(fd, &untrusted_sign, 1, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n == 0)
                r = idl_error_set_unreachable(&error, "manager", job->text ?: "the other one", "it gave the VM up");
        else if (n < 0)
                r = idl_error_set_unreachable(&error, "manager", job->text ?: "the other one", strerrordesc_np(errno));
        else if (untrusted_sign != expected)
                r = idl_error_set_corrupt(&error, "stream", "migration", "something else came than was to come");
        end_wait(job, r, &error);
        idl_error_done(&error);
        return 0;
}

static int on_cancelled_wait(sd_event_source *source, void *userdata) {
        struct idl_error error = IDL_ERROR_NULL;

        end_wait(userdata, -ECANCELED, &error);
        return 0;
}

/* Not from within: whoever cancels is not done with the job. */
static void cancel_wait(struct job *job) {
        job->io = sd_event_source_disable_unref(job->io);
        if (sd_event_add_defer(job->vm->xenopsd->event, &job->io, on_cancelled_wait, job) < 0)
                log_event(LOG_ERR, NULL, "Cannot cancel %s of VM %s", job->operation->name, job->vm->spec.name);
}

static int step_wait_sign(struct job *job, struct idl_error *error) {
        int r;

        r = sd_event_add_io(job->vm->xenopsd->event, &job->io, job->fd, EPOLLIN, on_sign, job);
        if (r < 0)
                return r;
        job_limit(job, job->vm->xenopsd->stall_ms, job->id == OPERATION_RECEIVE ? "the other manager, to let go of the guest,"
                                                                                : "the other manager, to say that all of the guest is there,");
        job->cancel = cancel_wait;
        return 0;
}

/* Migrate */

/* Why the other side let go of the socket, rather than that it did. */
static void take_reason(struct job *job, int r, struct idl_error *error) {
        if (job->r != -EHOSTUNREACH || r == -EHOSTUNREACH || !error->name)
                return;
        job->r = r;
        idl_error_done(&job->error);
        idl_error_move(&job->error, error);
}

/* The other side has not said why, for as long as undoing may take. */
static void give_up_remote(struct job *job) {
        struct idl_error none = IDL_ERROR_NULL;

        job->remote = remote_task_free(job->remote);
        job_done(job, 0, &none);
}

/* The other manager's task has ended, at any time. A failure ends whatever is under way here. */
static void on_remote(void *userdata, int r, sd_bus_message *result, struct idl_error *error) {
        struct job *job = userdata;
        bool waits = job->fd < 0 || (job->committed && !job->io);

        job->remote = NULL;
        job->remote_ended = true;
        if (r >= 0) {
                if (job->committed)
                        job_done(job, 0, error);
                return;
        }
        if (job->undoing) {
                take_reason(job, r, error);
                if (job->cancel == give_up_remote) {
                        idl_error_done(error);
                        job_done(job, 0, error);
                }
                return;
        }
        if (waits) {
                if (job->committed && (r == -EHOSTUNREACH || r == -ETIMEDOUT))
                        vm_set_state(job->vm, XCP_VM_STATE_SUSPENDED, XCP_VM_STATE_REASON_REQUESTED, VM_MAY_RUN_ELSEWHERE);
                else
                        job->committed = false;         /* it says that it has failed: the VM is ours again */
                job_done(job, r, error);
                return;
        }
        if (job->r >= 0 && !job->cancelled) {   /* if it is cancelled, the other side has failed for that */
                job->r = r;
                idl_error_move(&job->error, error);
        }
        job->cancelled = true;
        if (job->cancel)
                job->cancel(job);
}

/* The reply has the socket beside the task. */
static void on_reply(void *userdata, sd_bus_message *reply) {
        struct job *job = userdata;
        struct idl_error none = IDL_ERROR_NULL;
        int fd;

        if (sd_bus_message_read(reply, "h", &fd) <= 0 || (job->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
                idl_error_set_unreachable(&none, "manager", job->text, "its reply has no socket");
                job_done(job, -EHOSTUNREACH, &none);
                return;
        }
        job_done(job, 0, &none);
}

static void cancel_remote(struct job *job) {
        remote_task_cancel(job->remote);
}

/* Nobody has been asked for anything yet: what is refused here leaves nothing. */
static int step_check_send(struct job *job, struct idl_error *error) {
        const struct hypervisor *hypervisor = job->vm->backend->hypervisor;

        if (!hypervisor->send)
                return job_not_supported(job, "Migrate", error);
        if (job->migrate.copy_disks)
                return job_not_supported(job, "Copying disks", error);
        return hypervisor->check_send ? job_begun(job, hypervisor->check_send(job->vm->guest, job_call(job), error)) : 1;
}

static int step_call_receive(struct job *job, struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        struct xenopsd *xenopsd = job->vm->xenopsd;
        int r;

        r = sd_bus_message_new_method_call(xenopsd->bus, &call, job->text, "/org/xen/xcp/xenopsd", "org.xen.xcp.xenopsd1.Manager",
                                           "Receive");
        if (r >= 0)
                r = xcp_vm_spec_append(call, &job->vm->spec);
        if (r >= 0)
                r = remote_task_begin(xenopsd->remote, call, XENOPSD_TASK_PREFIX, MIGRATE_TIMEOUT_USEC, on_remote, job, &job->remote);
        if (r < 0)
                return r;
        remote_task_on_reply(job->remote, on_reply);
        job->cancel = cancel_remote;
        return 0;
}

/* The socket's end tells the other manager, if nothing else does. If that was first to let go of it, it is about to say why. */
static int undo_call_receive(struct job *job, struct idl_error *error) {
        if (job->fd >= 0)
                close(job->fd);
        job->fd = -1;
        if (job->remote && job->r == -EHOSTUNREACH) {
                job->cancel = give_up_remote;
                return 0;
        }
        if (job->remote)
                remote_task_cancel(job->remote);
        job->remote = remote_task_free(job->remote);
        return 1;
}

static int step_send(struct job *job, struct idl_error *error) {
        return job_begun(job, job->vm->backend->hypervisor->send(job->vm->guest, job_call(job), job->fd, &job->migrate, error));
}

/* A guest that was not stopped yet cannot be resumed: that is how it should be. */
static void on_resumed(struct hypervisor_call *call, int r, struct idl_error *error) {
        idl_error_done(error);
        job_done(call->userdata, 0, error);
}

static int undo_send(struct job *job, struct idl_error *error) {
        struct hypervisor_call *call = job_call(job);

        call->done = on_resumed;
        return job_begun(job, job->vm->backend->hypervisor->resume(job->vm->guest, call, error));
}

/* Before the other side may begin: a manager that is killed from here on has a guest of which the next has to warn. */
static int step_going(struct job *job, struct idl_error *error) {
        int r;

        r = vm_set_away(job->vm, true, error);
        return r < 0 ? r : 1;
}

static int undo_going(struct job *job, struct idl_error *error) {
        int r;

        r = vm_set_away(job->vm, false, error);
        return r < 0 ? r : 1;
}

static int step_go(struct job *job, struct idl_error *error) {
        return send_sign(job, SIGN_GO, error);
}

/* It may have the guest run, and not say so any more. */
static void stop_waiting_for_remote(struct job *job) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        job->remote = remote_task_free(job->remote);
        vm_set_state(job->vm, XCP_VM_STATE_SUSPENDED, XCP_VM_STATE_REASON_REQUESTED, VM_MAY_RUN_ELSEWHERE);
        r = idl_error_set_timed_out(&error, job->limited, job->limit_ms);
        job_done(job, r, &error);
        idl_error_done(&error);
}

static int step_wait_remote(struct job *job, struct idl_error *error) {
        if (job->remote_ended)
                return 1;
        job_limit(job, job->vm->xenopsd->stall_ms, "the other manager, to have the guest run,");
        job->cancel = stop_waiting_for_remote;  /* of the limit: nobody else can */
        return 0;                               /* on_remote() */
}

static int step_away(struct job *job, struct idl_error *error) {
        vm_set_state(job->vm, XCP_VM_STATE_HALTED, XCP_VM_STATE_REASON_MIGRATED_AWAY, job->text);
        return 1;
}

const struct step migrate_steps[] = {
        { step_check_send },
        { step_call_receive, undo_call_receive },
        { step_send, undo_send },
        { step_wait_sign },
        { step_deactivate_disks, step_activate_disks },
        { step_going, undo_going },
        { step_go, .commits = true },
        { step_wait_remote },
        { step_away },
        { step_destroy },
        { step_detach_disks },
        { NULL },
};

/* Receive */

static int on_beginning(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct idl_error none = IDL_ERROR_NULL;

        end_wait(userdata, 0, &none);
        return 0;
}

/* Nobody waits for a place, and no disk is attached, for a manager that does not say anything. */
static int step_wait_beginning(struct job *job, struct idl_error *error) {
        int r;

        r = sd_event_add_io(job->vm->xenopsd->event, &job->io, job->fd, EPOLLIN, on_beginning, job);
        if (r < 0)
                return r;
        if (job->work)
                work_run(job->work);
        job_limit(job, job->vm->xenopsd->stall_ms, "the other manager, to begin to send the guest,");
        job->cancel = cancel_wait;
        return 0;
}

static int step_receive(struct job *job, struct idl_error *error) {
        struct hypervisor_config config;
        int r;

        if (!job->vm->backend->hypervisor->receive)
                return job_not_supported(job, "Receive", error);
        r = vm_find_guest(job->vm, error);      /* not before: under its UUID, the backend may find the one that is still where it comes from */
        if (r >= 0)
                r = steps_make_config(job, &config, error);
        if (r < 0)
                return r;
        job_limit(job, MIGRATE_TIMEOUT_USEC / 1000, "the other manager, to send the guest,");
        return job_begun(job, job->vm->backend->hypervisor->receive(job->vm->guest, job_call(job), &config, job->fd, error));
}

static int step_ready(struct job *job, struct idl_error *error) {
        return send_sign(job, SIGN_READY, error);
}

/* It is a VM of ours. */
static int step_take_over(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;
        int r;

        r = store_add_vm(vm->xenopsd->store, vm->xenopsd->bus, &vm->spec, error);
        if (r < 0)
                return r;
        r = vm_publish(vm);
        return r < 0 ? r : 1;
}

static int undo_take_over(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;

        vm_unpublish(vm);
        store_remove_vm(vm->xenopsd->store, vm->uuid, error);
        return 1;
}

static int step_receive_resume(struct job *job, struct idl_error *error) {
        vm_connect_console(job->vm);
        return step_resume(job, error);
}

static int step_received(struct job *job, struct idl_error *error) {
        const struct xcp_vm_received received = { .vm = job->vm->path };
        int r;

        r = work_result_new(job->work, &job->result);
        if (r >= 0)
                r = xcp_vm_received_append(job->result, &received);
        return r < 0 ? r : 1;
}

const struct step receive_steps[] = {
        { step_wait_beginning },
        { step_admit },
        { step_attach_disks, step_detach_disks },
        { step_receive, step_destroy },
        { step_ready },
        { step_wait_sign },
        { step_activate_disks, step_deactivate_disks },
        { step_take_over, undo_take_over },
        { step_receive_resume, .final = true },
        { step_look },
        { step_received },
        { NULL },
};
