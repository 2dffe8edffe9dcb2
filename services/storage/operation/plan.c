/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 128u

static void fail(struct plan *plan) {
        if (plan->r >= 0)
                plan->r = errno == E2BIG ? -E2BIG : -ENOMEM;
}

static struct step *add(struct plan *plan, const struct step *step) {
        int r;

        r = idl_arena_grow(plan->arena, (void **) &plan->steps, &plan->n_allocated, plan->n_steps + 1, sizeof *plan->steps);
        if (r < 0) {
                errno = -r;
                fail(plan);
                return &plan->nowhere;
        }
        plan->steps[plan->n_steps] = *step;
        return &plan->steps[plan->n_steps++];
}

static struct step *add_with(struct plan *plan, const char *program, bool is_qemu, const char *what, unsigned flags, va_list arguments) {
        const char *argv[ARGUMENTS_MAX + 1] = { program };
        struct step step = { .what = what, .fd = -1, .weight = 1, .flags = flags, .is_qemu = is_qemu };
        size_t n = 1;
        const char *argument;

        while ((argument = va_arg(arguments, const char *)) && n < ARGUMENTS_MAX) {
                argv[n] = idl_arena_strdup(plan->arena, argument);
                if (!argv[n++])
                        fail(plan);
        }
        argv[n] = NULL;
        step.argv = idl_arena_memdup(plan->arena, argv, n + 1, sizeof *argv);
        if (!step.argv)
                fail(plan);
        return add(plan, &step);
}

struct step *plan_io(struct plan *plan, const char *what, unsigned flags, ...) {
        struct step *step;
        va_list arguments;

        va_start(arguments, flags);
        step = add_with(plan, plan->io_program, false, what, flags, arguments);
        va_end(arguments);
        return step;
}

struct step *plan_qemu(struct plan *plan, const char *what, unsigned flags, ...) {
        struct step *step;
        va_list arguments;

        va_start(arguments, flags);
        step = add_with(plan, "qemu-img", true, what, flags, arguments);
        va_end(arguments);
        return step;
}

const char *plan_text(struct plan *plan, const char *format, ...) {
        char text[8192];
        const char *copy;
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        copy = idl_arena_strdup(plan->arena, text);
        if (!copy)
                fail(plan);
        return copy ?: "";
}

const char *plan_number(struct plan *plan, uint64_t number) {
        return plan_text(plan, "%llu", (unsigned long long) number);
}

/* A comma ends an option, and two are one in its value (QEMU's util/qemu-option.c). */
static const char *escape(struct plan *plan, const char *path) {
        char *text = idl_arena_alloc(plan->arena, 2 * strlen(path) + 1, 1), *p = text;

        if (!text) {
                fail(plan);
                return "";
        }
        for (; *path; path++) {
                if (*path == ',')
                        *p++ = ',';
                *p++ = *path;
        }
        return text;
}

/*
 * The format is always said: QEMU would find a raw disk to be whatever its guest wrote into it. Of a range, others are read and written by
 * other processes, which QEMU's locks on the whole file would stop.
 */
const char *plan_image(struct plan *plan, const struct place *place) {
        const char *path = escape(plan, plan_text(plan, "%s/%s", place->directory, place->name));
        const char *format = place->format == XCP_VDI_FORMAT_QCOW2 ? "qcow2" : "raw";

        if (!place->is_range)
                return plan_text(plan, "driver=%s,file.driver=file,file.filename=%s", format, path);
        if (place->format == XCP_VDI_FORMAT_QCOW2)
                return plan_text(plan,
                                 "driver=qcow2,file.driver=raw,file.offset=%llu,file.size=%llu,file.file.driver=%s,file.file.locking=off,"
                                 "file.file.filename=%s",
                                 (unsigned long long) place->offset, (unsigned long long) place->length,
                                 place->is_device ? "host_device" : "file", path);
        return plan_text(plan, "driver=raw,offset=%llu,size=%llu,file.driver=%s,file.locking=off,file.filename=%s",
                         (unsigned long long) place->offset, (unsigned long long) place->length,
                         place->is_device ? "host_device" : "file", path);
}

void plan_copy(struct plan *plan, const struct place *from, const struct place *to, uint64_t size, bool grows) {
        plan_io(plan, "copy the disk", 0, "copy", from->directory, from->name, plan_number(plan, from->offset), to->directory, to->name,
                plan_number(plan, to->offset), plan_number(plan, size), plan_number(plan, size), grows ? plan_number(plan, size) : "-",
                NULL)
                ->weight = 20;
}

void plan_read_in(struct plan *plan, int fd, const struct place *to, uint64_t max, const char *final_size) {
        struct step *step = plan_io(plan, "read what is imported", 0, "copy", "-", "3", "0", to->directory, to->name,
                                    plan_number(plan, to->offset), "-", plan_number(plan, max), final_size, NULL);

        step->weight = 20;
        step->fd = fd;
}

void plan_write_out(struct plan *plan, const struct place *from, uint64_t size, int fd) {
        const char *length = size == UINT64_MAX ? "-" : plan_number(plan, size);
        struct step *step = plan_io(plan, "write what is exported", 0, "copy", from->directory, from->name, plan_number(plan, from->offset),
                                    "-", "3", "0", length, plan_number(plan, size == UINT64_MAX ? UINT64_MAX : size), "-", NULL);

        step->weight = 20;
        step->fd = fd;
}

/* Into a place that is there, and reads as zeros. */
void plan_convert(struct plan *plan, const struct place *from, const struct place *to) {
        plan_qemu(plan, "copy the disk", 0, "convert", "-p", "-n", "--target-is-zero", "--image-opts", "--target-image-opts",
                  plan_image(plan, from), plan_image(plan, to), NULL)
                ->weight = 20;
}
