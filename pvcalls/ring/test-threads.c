/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rings between threads, as between domains: bytes that stream through small ones while both sides sleep and wake, and a peer that
 * rewrites all it can reach while the honest side goes on. For the address and the thread sanitizer, each of which this is built with.
 */

#include <errno.h>
#include <glib.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "command-ring.h"
#include "data-ring.h"
#include "indexes.h"
#include "name.h"

#define RING_SIZE 64u
#define STREAM_BYTES (1u << 20)
#define LIES 200000u

struct stream {
        struct pvcalls_direction shared;
        uint8_t data[RING_SIZE];
        sem_t producer_event, consumer_event;
        bool suppress;
        uint64_t notifications;         /* of the producer's */
};

static void wait_event(sem_t *event) {
        while (sem_wait(event) < 0)
                g_assert_cmpint(errno, ==, EINTR);
}

static size_t produce(struct data_producer *producer, size_t n_done) {
        struct iovec pieces[2];
        size_t room;

        g_assert_cmpint(data_producer_space(producer, pieces, &room), ==, 0);
        room = MIN(room, STREAM_BYTES - n_done);
        for (size_t i = 0; i < room; i++)
                if (i < pieces[0].iov_len)
                        ((uint8_t *) pieces[0].iov_base)[i] = (uint8_t) ((n_done + i) * 7);
                else
                        ((uint8_t *) pieces[1].iov_base)[i - pieces[0].iov_len] = (uint8_t) ((n_done + i) * 7);
        if (room > 0)
                data_producer_commit(producer, room);
        return room;
}

static void *producer_run(void *userdata) {
        struct stream *stream = userdata;
        struct data_producer producer;
        size_t n_done = 0;

        data_producer_init(&producer, &stream->shared, stream->data, RING_SIZE, stream->suppress);
        while (n_done < STREAM_BYTES) {
                size_t n = produce(&producer, n_done);

                n_done += n;
                if (data_producer_must_notify(&producer)) {
                        stream->notifications++;
                        sem_post(&stream->consumer_event);
                }
                if (n == 0 && data_producer_sleep(&producer, RING_SIZE / 2) == 0)
                        wait_event(&stream->producer_event);
        }
        data_producer_fail(&producer, -107);
        g_assert_true(data_producer_must_notify(&producer));
        sem_post(&stream->consumer_event);
        return NULL;
}

static void consumer_run(struct stream *stream) {
        struct data_consumer consumer;
        size_t n_done = 0, n;
        struct iovec pieces[2];
        int32_t error;

        data_consumer_init(&consumer, &stream->shared, stream->data, RING_SIZE, stream->suppress);
        for (;;) {
                g_assert_cmpint(data_consumer_next(&consumer, pieces, &n, &error), ==, 0);
                for (size_t p = 0; p < 2; p++)
                        for (size_t i = 0; i < pieces[p].iov_len; i++, n_done++)
                                if (((uint8_t *) pieces[p].iov_base)[i] != (uint8_t) (n_done * 7))
                                        g_error("byte %zu of the stream is another", n_done);
                if (error)
                        break;
                data_consumer_commit(&consumer, n);
                if (data_consumer_must_notify(&consumer))
                        sem_post(&stream->producer_event);
                if (n == 0 && data_consumer_sleep(&consumer) == 0)
                        wait_event(&stream->consumer_event);
        }
        g_assert_cmpint(error, ==, -107);
        g_assert_cmpuint(n_done, ==, STREAM_BYTES);
}

static void test_stream(const void *suppress) {
        struct stream stream = { .suppress = suppress != NULL };
        GThread *thread;

        sem_init(&stream.producer_event, 0, 0);
        sem_init(&stream.consumer_event, 0, 0);
        thread = g_thread_new("producer", producer_run, &stream);
        consumer_run(&stream);
        g_thread_join(thread);
        g_test_message("%" G_GUINT64_FORMAT " notifications for %u bytes", stream.notifications, STREAM_BYTES);
        sem_destroy(&stream.producer_event);
        sem_destroy(&stream.consumer_event);
}

/* All that a peer can write to. */
struct prey {
        _Alignas(4096) struct pvcalls_command_page commands;
        _Alignas(4096) struct pvcalls_indexes indexes;
        atomic_bool done;
};

/* Indexes are the more dangerous the closer they are to right. */
static void *mutate(void *userdata) {
        struct prey *prey = userdata;
        GRand *rand = g_rand_new_with_seed(5);

        while (!atomic_load(&prey->done)) {
                uint32_t value = g_rand_int(rand), near = value % 100;
                _Atomic uint32_t *words = (_Atomic uint32_t *) &prey->commands, *index_words = (_Atomic uint32_t *) &prey->indexes;

                atomic_store(&words[value / 128 % 4], near);
                atomic_store(&words[value % 1024], g_rand_int(rand));
                atomic_store(&index_words[value / 64 % 34], near);
                atomic_store(&index_words[value % 1024], value / 32 % 16);
        }
        g_rand_free(rand);
        return NULL;
}

static void use_commands(struct command_ring_back *back, struct command_ring_front *front, uint64_t *n_taken) {
        struct pvcalls_request request;
        struct pvcalls_response response = {};
        struct pvcalls_name name;
        bool notify;

        if (command_ring_back_take(back, &request) == 0) {
                (*n_taken)++;
                if (request.u.connect.len <= PVCALLS_ADDRESS_SIZE && pvcalls_name_parse(request.u.connect.addr, request.u.connect.len, &name) == 0)
                        g_assert_cmpuint(name.size, <=, sizeof name.local);
        }
        g_assert_cmpuint(command_ring_back_open(back), <=, PVCALLS_SLOTS);
        if (command_ring_back_open(back) > PVCALLS_SLOTS / 2)
                command_ring_back_put(back, &response);
        command_ring_back_sleep(back);

        command_ring_front_put(front, &request, &notify);
        command_ring_front_take(front, &response);
        g_assert_cmpuint(command_ring_front_free(front), <=, PVCALLS_SLOTS);
        command_ring_front_sleep(front);
}

static void fill(const struct iovec pieces[2], size_t n, size_t size) {
        g_assert_cmpuint(n, <=, size);
        for (int i = 0; i < 2; i++)
                memset(pieces[i].iov_base, 0x5a, pieces[i].iov_len);    /* the sanitizer knows where the ring ends */
}

static void use_data(struct data_producer *producer, struct data_consumer *consumer) {
        struct iovec pieces[2];
        int32_t error;
        size_t n;

        if (data_producer_space(producer, pieces, &n) == 0) {
                fill(pieces, n, producer->size);
                data_producer_commit(producer, n / 2);
        }
        data_producer_must_notify(producer);
        data_producer_sleep(producer, producer->size);
        if (data_consumer_next(consumer, pieces, &n, &error) == 0) {
                fill(pieces, n, consumer->size);
                g_assert_true(error <= 0 && error >= -4095);
                data_consumer_commit(consumer, n - n / 2);
        }
        data_consumer_must_notify(consumer);
        data_consumer_sleep(consumer);
}

static void test_mutating_peer(void) {
        struct prey *prey = aligned_alloc(4096, sizeof *prey);
        g_autofree uint8_t *in = g_malloc(RING_SIZE), *out = g_malloc(RING_SIZE);
        g_autofree struct data_pages *pages = g_new(struct data_pages, 1);
        struct command_ring_back back;
        struct command_ring_front front;
        struct data_producer producer;
        struct data_consumer consumer;
        uint64_t n_taken = 0;
        GThread *thread;

        memset((void *) prey, 0, sizeof *prey);
        command_ring_back_init(&back, &prey->commands);
        command_ring_front_init(&front, &prey->commands);
        data_producer_init(&producer, &prey->indexes.in, in, RING_SIZE, true);
        data_consumer_init(&consumer, &prey->indexes.out, out, RING_SIZE, true);
        thread = g_thread_new("peer", mutate, prey);
        for (unsigned i = 0; i < LIES; i++) {
                use_commands(&back, &front, &n_taken);
                use_data(&producer, &consumer);
                if (indexes_read(&prey->indexes, PVCALLS_ORDER_MAX, pages) == 0)
                        g_assert_true(pages->order >= 1 && pages->order <= PVCALLS_ORDER_MAX && pages->n_refs == 1u << pages->order);
        }
        atomic_store(&prey->done, true);
        g_thread_join(thread);
        g_assert_cmpuint(n_taken, >, 0);
        free(prey);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_data_func("/ring-threads/a-stream-of-version-1", NULL, test_stream);
        g_test_add_data_func("/ring-threads/a-stream-with-suppression", "suppress", test_stream);
        g_test_add_func("/ring-threads/a-peer-that-rewrites-everything", test_mutating_peer);
        return g_test_run();
}
