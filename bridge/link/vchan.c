/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vchan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <libxenvchan.h>

struct vchan {
        struct libxenvchan *lib;
        sd_event_source *io;
        vchan_event_t on_event;
        void *userdata;
        uint32_t read_index, write_index;       /* of ours, as we left them */
};

static uint32_t load(const uint32_t *shared) {
        return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}

/* Every index that we alone move is where we left it, and none is further away from its partner than the ring is long. */
int vchan_check(const struct vchan *vchan) {
        const struct libxenvchan_ring *in = &vchan->lib->read, *out = &vchan->lib->write;

        if (load(&in->shr->cons) != vchan->read_index || load(&out->shr->prod) != vchan->write_index)
                return -EUCLEAN;
        if (load(&in->shr->prod) - vchan->read_index > UINT32_C(1) << in->order)
                return -EUCLEAN;
        if (vchan->write_index - load(&out->shr->cons) > UINT32_C(1) << out->order)
                return -EUCLEAN;
        return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct vchan *vchan = userdata;

        libxenvchan_wait(vchan->lib);   /* takes the event; there is one, so it does not wait */
        vchan->on_event(vchan->userdata);
        return 0;
}

/* Takes lib. */
static int make(struct vchan **ret_vchan, struct libxenvchan *lib, sd_event *event, vchan_event_t on_event, void *userdata) {
        struct vchan *vchan = calloc(1, sizeof *vchan);
        int r;

        /* libxenvchan leaves both as malloc() gave them. */
        lib->blocking = 0;
        lib->server_persist = 0;
        if (!vchan) {
                libxenvchan_close(lib);
                return -ENOMEM;
        }
        vchan->lib = lib;
        vchan->on_event = on_event;
        vchan->userdata = userdata;
        vchan->read_index = load(&lib->read.shr->cons);
        vchan->write_index = load(&lib->write.shr->prod);
        r = sd_event_add_io(event, &vchan->io, libxenvchan_fd_for_select(lib), EPOLLIN, on_io, vchan);
        if (r < 0) {
                vchan_free(vchan);
                return r;
        }
        *ret_vchan = vchan;
        return 0;
}

int vchan_serve(struct vchan **ret_vchan, sd_event *event, unsigned domain, const char *path, vchan_event_t on_event, void *userdata) {
        struct libxenvchan *lib;

        if (strlen(path) > VCHAN_PATH_MAX)
                return -ENAMETOOLONG;
        errno = 0;
        lib = libxenvchan_server_init(NULL, (int) domain, path, VCHAN_RING_SIZE, VCHAN_RING_SIZE);
        return lib ? make(ret_vchan, lib, event, on_event, userdata) : errno ? -errno : -EIO;
}

int vchan_connect(struct vchan **ret_vchan, sd_event *event, unsigned domain, const char *path, vchan_event_t on_event, void *userdata) {
        struct libxenvchan *lib;

        if (strlen(path) > VCHAN_PATH_MAX)
                return -ENAMETOOLONG;
        errno = 0;
        lib = libxenvchan_client_init(NULL, (int) domain, path);
        return lib ? make(ret_vchan, lib, event, on_event, userdata) : errno ? -errno : -EIO;
}

struct vchan *vchan_free(struct vchan *vchan) {
        if (!vchan)
                return NULL;
        sd_event_source_disable_unref(vchan->io);
        libxenvchan_close(vchan->lib);
        free(vchan);
        return NULL;
}

enum vchan_state vchan_state(const struct vchan *vchan) {
        switch (libxenvchan_is_open(vchan->lib)) {
        case 1:
                return VCHAN_OPEN;
        case 2:
                return VCHAN_WAITING;
        default:
                return VCHAN_CLOSED;
        }
}

/*
 * libxenvchan_read() and _write() of the largest ring at once: what asks for more than there is asks to be told of more, so that a short
 * count is followed by an event.
 */
int vchan_read(struct vchan *vchan, void *data, size_t size) {
        int n, r;

        r = vchan_check(vchan);
        if (r < 0)
                return r;
        n = libxenvchan_read(vchan->lib, data, size);
        if (n < 0)                      /* the peer may have written and closed between the library's two looks */
                n = libxenvchan_data_ready(vchan->lib) > 0 ? libxenvchan_read(vchan->lib, data, size) : -1;
        if (n < 0)
                return -EPIPE;
        vchan->read_index += (uint32_t) n;
        return n;
}

int vchan_write(struct vchan *vchan, const void *data, size_t size) {
        int n, r;

        r = vchan_check(vchan);
        if (r < 0)
                return r;
        n = libxenvchan_write(vchan->lib, data, size);
        if (n < 0)
                return -EPIPE;
        vchan->write_index += (uint32_t) n;
        return n;
}
