/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>

#include "action.h"
#include "cleanup.h"
#include "clock.h"
#include "event.h"
#include "log.h"
#include "reconcile.h"
#include "stream.h"
#include "variables.h"
#include "watch.h"

#define LOG_READ_MAX (64 * 1024)
#define LOG_KEPT_MAX (1024 * 1024)      /* bytes on the disk */
#define BACKLOG 4

void guest_tell(struct qemu_guest *guest, enum hypervisor_event event, const char *detail) {
        guest->qemu->host.on_event(guest->userdata, event, detail);
}

int guest_save(struct qemu_guest *guest, struct idl_error *error) {
        int r;

        r = facts_save(&guest->facts, guest->qemu->boot_id, guest->directory_fd);
        if (r == -ENOSPC || r == -EDQUOT)
                return idl_error_set_not_enough_space(error, FACTS_SIZE_MAX, 0);
        if (r < 0)
                return idl_error_set_backend_failed(error, "qemu", "write down what its guest is", strerrordesc_np(-r) ?: "unknown error");
        return 0;
}

/* The directory. A guest's has files alone. */

static int empty_directory(int directory_fd) {
        struct dirent *entry;
        int r = 0, fd;
        DIR *dir;

        fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd >= 0 ? fdopendir(fd) : NULL;
        if (!dir) {
                r = -errno;
                if (fd >= 0)
                        close(fd);
                return r;
        }
        while ((entry = readdir(dir)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && unlinkat(directory_fd, entry->d_name, 0) < 0)
                        r = -errno;
        closedir(dir);
        return r;
}

static int open_directory(const struct qemu *qemu, const char *uuid) {
        int fd = openat(qemu->directory_fd, uuid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : fd;
}

int guest_make_directory(struct qemu_guest *guest) {
        int r;

        if (mkdirat(guest->qemu->directory_fd, guest->uuid, 0700) < 0 && errno != EEXIST)
                return -errno;
        r = guest->directory_fd = open_directory(guest->qemu, guest->uuid);
        if (r >= 0)
                r = empty_directory(guest->directory_fd);
        return r;
}

void guest_remove(struct qemu_guest *guest) {
        if (guest->directory_fd < 0)
                return;
        guest->watch = watch_free(guest->watch);
        guest->qmp = qmp_free(guest->qmp);
        guest->process = process_free(guest->process);
        guest->timer = sd_event_source_disable_unref(guest->timer);
        guest->reset_window = sd_event_source_disable_unref(guest->reset_window);
        /* The facts go first: what is left without one is nobody's. */
        unlinkat(guest->directory_fd, FACTS_FILE, 0);
        if (empty_directory(guest->directory_fd) < 0 || unlinkat(guest->qemu->directory_fd, guest->uuid, AT_REMOVEDIR) < 0)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", guest->uuid }), "Cannot remove the directory of QEMU's guest %s: %s",
                          guest->uuid, strerrordesc_np(errno));
        close(guest->directory_fd);
        guest->directory_fd = -1;
        guest->facts = (struct facts) {};
        guest->is_broken = guest->is_agent_open = false;
        guest->words[0] = '\0';
        guest->shutdown = QEMU_SHUTDOWN_UNKNOWN;
}

int guest_read_log(const struct qemu_guest *guest, char **ret_log, size_t *ret_size) {
        AUTO_CLOSE int fd = openat(guest->directory_fd, GUEST_LOG, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        AUTO_FREE char *log = malloc(LOG_READ_MAX);
        off_t size;
        ssize_t n;

        if (fd < 0)
                return -errno;
        if (!log)
                return -ENOMEM;
        size = lseek(fd, 0, SEEK_END);
        n = pread(fd, log, LOG_READ_MAX, size > LOG_READ_MAX ? size - LOG_READ_MAX : 0);
        if (n < 0)
                return -errno;
        *ret_log = log;
        *ret_size = (size_t) n;
        log = NULL;
        return 0;
}

void guest_trim_log(const struct qemu_guest *guest) {
        const off_t block = 4096;       /* what holes consist of, or of a part of it */
        AUTO_CLOSE int fd = -1;
        struct stat st;

        if (fstatat(guest->directory_fd, GUEST_LOG, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_blocks * 512 <= LOG_KEPT_MAX)
                return;
        fd = openat(guest->directory_fd, GUEST_LOG, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return;
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (st.st_size - LOG_READ_MAX) / block * block) < 0 &&
            ftruncate(fd, 0) < 0)       /* where there are no holes, all of it goes */
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", guest->uuid }), "Cannot shorten the log of QEMU's guest %s: %s",
                          guest->uuid, strerrordesc_np(errno));
}

/* Sockets. Their addresses go by way of the directory's descriptor, as paths may be longer than addresses. */

static int make_address(const struct qemu_guest *guest, const char *name, struct sockaddr_un *ret_address) {
        int n;

        *ret_address = (struct sockaddr_un) { .sun_family = AF_UNIX };
        n = snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "/proc/self/fd/%d/%s", guest->directory_fd, name);
        return n < 0 || (size_t) n >= sizeof ret_address->sun_path ? -ENAMETOOLONG : 0;
}

int guest_listen(struct qemu_guest *guest, const char *name, int *ret_fd) {
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address;
        int r;

        if (fd < 0)
                return -errno;
        r = make_address(guest, name, &address);
        if (r < 0)
                return r;
        unlinkat(guest->directory_fd, name, 0);
        if (bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
                return -errno;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

int guest_connect(struct qemu_guest *guest, const char *name, int *ret_fd) {
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address;
        int r;

        if (fd < 0)
                return -errno;
        if (guest->directory_fd < 0)
                return -ENOENT;
        r = make_address(guest, name, &address);
        if (r < 0)
                return r;
        if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return -errno;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

int guest_connect_monitor(struct qemu_guest *guest) {
        int r, fd;

        if (guest->qmp)
                return 0;
        if (guest->is_broken)
                return -ENOTCONN;
        r = guest_connect(guest, GUEST_MONITOR, &fd);
        if (r >= 0)
                r = qmp_new(&guest->qmp, guest->qemu->host.event, fd, &event_listener, guest);
        if (r >= 0 && !guest->watch)
                r = watch_new(&guest->watch, guest);
        return r;
}

/* Resets */

static void close_reset_window(struct qemu_guest *guest) {
        guest->reset_window = sd_event_source_disable_unref(guest->reset_window);
        if (guest->qmp)
                (void) qmp_execute(guest->qmp, "set-action", arguments_1("reboot", "shutdown"), -1, NULL, NULL, NULL);
}

static int on_window_end(sd_event_source *source, uint64_t usec, void *userdata) {
        close_reset_window(userdata);
        return 0;
}

void guest_open_reset_window(struct qemu_guest *guest) {
        sd_event_source_disable_unref(guest->reset_window);
        guest->reset_window = NULL;
        if (sd_event_add_time_relative(guest->qemu->host.event, &guest->reset_window, CLOCK_MONOTONIC,
                                       GUEST_RESET_WINDOW_MS * UINT64_C(1000), 1, on_window_end, guest) < 0)
                close_reset_window(guest);
}

/* The end of the process */

void guest_on_end(void *userdata, const char *how) {
        struct qemu_guest *guest = userdata;
        AUTO_FREE char *log = NULL;
        char *words;
        bool is_told;
        size_t size, n;

        guest->timer = sd_event_source_disable_unref(guest->timer);
        guest->reset_window = sd_event_source_disable_unref(guest->reset_window);
        guest->process = process_free(guest->process);
        guest->watch = watch_free(guest->watch);
        guest->qmp = qmp_free(guest->qmp);
        guest->is_agent_open = false;
        n = (size_t) snprintf(guest->words, sizeof guest->words, "QEMU %.*s", GUEST_WORDS_MAX / 2, how);
        words = guest->words + n + strlen(": ");
        *words = '\0';
        if (guest_read_log(guest, &log, &size) >= 0)
                qemu_last_words(log, size, words, sizeof guest->words - n - strlen(": "));
        if (*words)
                memcpy(guest->words + n, ": ", strlen(": "));
        is_told = action_are_quiet(guest) || guest->is_broken;
        if (!is_told)
                guest_tell(guest, HYPERVISOR_EXITED, guest->words);
        actions_on_end(guest);
}

/* Beginning and end */

/* To where nobody is any more. One that was about to begin has a socket there, whose other end would wait. */
static int forget_migration(struct qemu_guest *guest) {
        int r;

        r = stream_give_up(guest);
        return r < 0 ? r : qmp_execute(guest->qmp, "closefd", arguments_1("fdname", STREAM_FD), -1, NULL, NULL, NULL);
}

static bool is_half(const struct facts *facts) {
        return facts->phase == FACTS_BEGUN || facts->phase == FACTS_ENDING;
}

static int end_process(struct qemu *qemu, const struct process_identity *process) {
        return process_kill_identity(process, process_patience(&qemu->patience_usec, clock_now_usec(CLOCK_MONOTONIC)));
}

/* What an earlier manager had begun to bring up, or to take away, is taken away; what had been brought up is taken over. */
static int take_over(struct qemu_guest *guest) {
        AUTO_FREE char *log = NULL;
        size_t size;
        int r;

        if (is_half(&guest->facts)) {
                r = end_process(guest->qemu, &guest->facts.process);
                if (r < 0)
                        return r;
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", guest->uuid }), "The QEMU of %s was being %s when the manager ended, "
                          "and is gone", guest->uuid, guest->facts.phase == FACTS_BEGUN ? "started" : "taken away");
                guest_remove(guest);
                return 0;
        }
        if (guest_read_log(guest, &log, &size) >= 0)
                guest->shutdown = qemu_shutdown_from_log(log, size);
        r = process_adopt(&guest->process, guest->qemu->host.event, &guest->facts.process, guest_on_end, guest);
        if (r == -ESRCH) {
                snprintf(guest->words, sizeof guest->words, "QEMU was gone when the manager started");
                return 0;
        }
        if (r < 0)
                return r;
        r = guest_connect_monitor(guest);
        if (r < 0) {
                guest->is_broken = true;
                snprintf(guest->words, sizeof guest->words, "its monitor cannot be reached: %s", strerrordesc_np(-r));
                return 0;
        }
        guest_open_reset_window(guest);         /* the manager before this one may have reset it a moment ago */
        guest->counts_vcpus = guest->facts.machine != QEMU_MICROVM;
        r = forget_migration(guest);
        reconcile_devices(guest);               /* it may have ended in the middle of plugging one, or waiting for the guest to let go of one */
        return r;
}

static int find(struct qemu_guest *guest) {
        int r;

        r = open_directory(guest->qemu, guest->uuid);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        guest->directory_fd = r;
        r = facts_load(&guest->facts, guest->qemu->boot_id, guest->directory_fd);
        if (r >= 0)
                return take_over(guest);
        if (r == -ESTALE || r == -EBADMSG)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", guest->uuid }), "The guest of %s is gone: %s", guest->uuid,
                          r == -ESTALE ? "it ran before the host was booted" : "its file is damaged");
        else if (r != -ENOENT)
                return r;
        guest_remove(guest);
        return 0;
}

int guest_new(void *backend, const char *uuid, void *userdata, void **ret_guest) {
        struct qemu_guest *guest = malloc(sizeof *guest);
        int r;

        if (!guest)
                return -ENOMEM;
        *guest = (struct qemu_guest) { .qemu = backend, .userdata = userdata, .directory_fd = -1 };
        snprintf(guest->uuid, sizeof guest->uuid, "%s", uuid);
        r = find(guest);
        if (r < 0) {
                guest_free(guest);
                return r;
        }
        *ret_guest = guest;
        return 0;
}

void guest_free(void *userdata) {
        struct qemu_guest *guest = userdata;

        actions_drop(guest);
        sd_event_source_disable_unref(guest->timer);
        sd_event_source_disable_unref(guest->reset_window);
        watch_free(guest->watch);
        qmp_free(guest->qmp);
        process_free(guest->process);
        if (guest->directory_fd >= 0)
                close(guest->directory_fd);
        free(guest);
}

void guest_forget(void *userdata) {
        const struct qemu_guest *guest = userdata;

        variables_remove(guest->qemu->directory_fd, guest->uuid);
}

/* All that has to end is told before the first is waited for */

typedef bool (*guest_choice_t)(const char *uuid, const struct facts *facts, void *userdata);

static void kill_chosen(struct qemu *qemu, guest_choice_t is_chosen, void *userdata) {
        int fd = openat(qemu->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;

        if (!dir) {                     /* then each is told when it is waited for */
                if (fd >= 0)
                        close(fd);
                return;
        }
        while ((entry = readdir(dir))) {
                AUTO_CLOSE int guest_fd = entry->d_name[0] != '.' ? open_directory(qemu, entry->d_name) : -1;
                struct facts facts = {};

                if (guest_fd >= 0 && facts_load(&facts, qemu->boot_id, guest_fd) >= 0 && is_chosen(entry->d_name, &facts, userdata))
                        (void) process_kill_identity(&facts.process, 0);
        }
        closedir(dir);
}

static bool choose_half(const char *uuid, const struct facts *facts, void *userdata) {
        return is_half(facts);
}

void guest_kill_halves(struct qemu *qemu) {
        kill_chosen(qemu, choose_half, NULL);
}

/* Guests of nobody */

struct known {
        bool (*is_known)(void *userdata, const char *uuid);
        void *userdata;
};

static bool choose_unknown(const char *uuid, const struct facts *facts, void *userdata) {
        const struct known *known = userdata;

        return strlen(uuid) == sizeof((struct qemu_guest *) NULL)->uuid - 1 && !known->is_known(known->userdata, uuid);
}

static void sweep_one(struct qemu *qemu, const char *uuid) {
        struct qemu_guest guest = { .qemu = qemu, .directory_fd = open_directory(qemu, uuid) };

        if (guest.directory_fd < 0)
                return;
        snprintf(guest.uuid, sizeof guest.uuid, "%s", uuid);
        if (facts_load(&guest.facts, qemu->boot_id, guest.directory_fd) >= 0 && end_process(qemu, &guest.facts.process) < 0) {
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_VM", uuid }), "Cannot end the QEMU of %s, which is no VM", uuid);
                close(guest.directory_fd);
                return;
        }
        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", uuid }), "Took away the guest of %s, which is no VM", uuid);
        guest_remove(&guest);
}

int guest_sweep(void *backend, bool (*is_known)(void *userdata, const char *uuid), void *userdata) {
        struct qemu *qemu = backend;
        int fd = openat(qemu->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;

        if (!dir) {
                int r = -errno;

                if (fd >= 0)
                        close(fd);
                return r;
        }
        kill_chosen(qemu, choose_unknown, &(struct known) { is_known, userdata });
        qemu->patience_usec = 0;
        while ((entry = readdir(dir)))
                if (strlen(entry->d_name) != sizeof((struct qemu_guest *) NULL)->uuid - 1 || entry->d_name[0] == '.')
                        variables_sweep(qemu->directory_fd, entry->d_name, is_known, userdata);
                else if (!is_known(userdata, entry->d_name))
                        sweep_one(qemu, entry->d_name);
        closedir(dir);
        return 0;
}
