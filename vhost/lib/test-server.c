/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Servers: one that connects, to a front-end that listens, goes, and comes back. */

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "frontend.h"
#include "server.h"

#define TIMEOUT_MS 60000

static void handle(void *userdata, struct vhost_queue *queue) {
}

static const struct vhost_device device = { .n_queues = 1, .handle = handle };

struct world {
        sd_event *event;
        struct vhost_server *server;
        pthread_t thread;
        int stop[2];
        char *directory, *path;
};

static int on_stop(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        vhost_server_stop(((struct world *) userdata)->server);
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

static void *run(void *userdata) {
        g_assert_cmpint(sd_event_loop(((struct world *) userdata)->event), ==, 0);
        return NULL;
}

static void world_begin(struct world *w) {
        w->directory = g_dir_make_tmp("vhost-server-XXXXXX", NULL);
        g_assert_nonnull(w->directory);
        w->path = g_build_filename(w->directory, "socket", NULL);
        g_assert_cmpint(pipe(w->stop), ==, 0);
        g_assert_cmpint(sd_event_new(&w->event), ==, 0);
        g_assert_cmpint(vhost_server_new_client(&w->server, w->event, w->path, &device, NULL, w), ==, 0);
        g_assert_cmpint(sd_event_add_io(w->event, NULL, w->stop[0], POLLIN, on_stop, w), >=, 0);
        g_assert_cmpint(pthread_create(&w->thread, NULL, run, w), ==, 0);
}

static void world_end(struct world *w) {
        g_assert_cmpint(write(w->stop[1], "", 1), ==, 1);
        pthread_join(w->thread, NULL);
        vhost_server_free(w->server);
        sd_event_unref(w->event);
        close(w->stop[0]);
        close(w->stop[1]);
        g_unlink(w->path);
        g_rmdir(w->directory);
        g_free(w->path);
        g_free(w->directory);
}

/* As a front-end that has just been started. */
static int listen_at(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_strlcpy(address.sun_path, path, sizeof address.sun_path);
        g_assert_cmpint(bind(fd, (const struct sockaddr *) &address, sizeof address), ==, 0);
        g_assert_cmpint(listen(fd, 1), ==, 0);
        return fd;
}

static void ask(struct vhost_frontend *frontend, int listening) {
        struct pollfd p = { .fd = listening, .events = POLLIN };
        uint64_t features;

        g_assert_cmpint(poll(&p, 1, TIMEOUT_MS), ==, 1);
        g_assert_cmpint(vhost_frontend_open(frontend, accept(listening, NULL, NULL), TIMEOUT_MS), ==, 0);
        g_assert_cmpint(vhost_frontend_ask_u64(frontend, VHOST_USER_GET_FEATURES, &features), ==, 0);
        g_assert_true(features & VHOST_BIT(VHOST_F_VERSION_1));
}

static void test_client(void) {
        struct vhost_frontend frontend;
        struct world w;

        world_begin(&w);
        for (int i = 0; i < 3; i++) {           /* nobody listens at first, and in between */
                int listening = listen_at(w.path);

                for (int k = 0; k < 2; k++) {
                        ask(&frontend, listening);
                        vhost_frontend_close(&frontend);
                }
                close(listening);
                g_assert_cmpint(unlink(w.path), ==, 0);
        }
        world_end(&w);
}

/* It ends while it is connected, and while it waits. */
static void test_client_ends(void) {
        struct vhost_frontend frontend;
        struct world w;
        uint64_t features;
        int listening;

        world_begin(&w);
        listening = listen_at(w.path);
        ask(&frontend, listening);
        world_end(&w);
        g_assert_cmpint(vhost_frontend_ask_u64(&frontend, VHOST_USER_GET_FEATURES, &features), <, 0);
        vhost_frontend_close(&frontend);
        close(listening);

        world_begin(&w);
        world_end(&w);
}

static void test_name(void) {
        char name[200];
        struct vhost_server *server;
        sd_event *event;

        memset(name, 'x', sizeof name);
        name[sizeof name - 1] = 0;
        g_assert_cmpint(sd_event_new(&event), ==, 0);
        g_assert_cmpint(vhost_server_new_client(&server, event, name, &device, NULL, NULL), ==, -ENAMETOOLONG);
        sd_event_unref(event);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/server/connects-again-and-again", test_client);
        g_test_add_func("/server/ends", test_client_ends);
        g_test_add_func("/server/name-that-is-too-long", test_name);
        return g_test_run();
}
