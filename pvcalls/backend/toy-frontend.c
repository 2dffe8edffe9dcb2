/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A toy frontend that a test drives by lines on standard input, one answer for each: "ok ..." or "error NAME".
 *
 *      attach [suppress]                       all of the handshake
 *      offer [suppress] | set-state N | write NODE TEXT | wait-backend N | backend-node NODE
 *      socket ID [DOMAIN TYPE PROTOCOL] | connect ID ADDRESS PORT ORDER | bind ID ADDRESS PORT | listen ID BACKLOG
 *      accept ID NEW-ID ORDER | poll ID | release ID | raw CMD ID      put a request; the answer is its number
 *      connect-raw ID ADDRESS PORT LEN FAMILY REF PORT | accept-raw ID NEW-ID REF PORT
 *      release-kept ID NEW-ID                  with reuse set; the pages are then another id's, for which
 *      connect-kept NEW-ID ADDRESS PORT        uses them again
 *      release-again ID NEW-ID                 the same without reuse set: the backend does not know it
 *      swap-data ID ID                         of two that are released so: each has the other's data pages
 *      getname ID WHICH [OFFSET] | shutdown ID HOW [OUT-PROD]
 *      getsockopt ID LEVEL NAME | setsockopt ID LEVEL NAME VALUE [LEN]     the value in hexadecimal digits
 *      attach-rings ID ORDER | setname ID LEN OFFSET PIECE     a path that is too long for a request is put before it by itself
 *      send-datagram ID BYTES [ADDRESS PORT]   of the pattern's beginning
 *      receive-datagram ID                     "ok LENGTH FLAGS ERROR ADDRESS SAME", the address in hexadecimal digits, or - for none
 *      await NUMBER [MS]                       the response: "ok RET ID CMD"
 *      await-long NUMBER                       with what extensions say in it: "ok RET LEN PIECE", in hexadecimal digits
 *      echo ID BYTES                           sends, and receives the same from a peer that sends it back
 *      send ID BYTES | receive ID BYTES        of the pattern, which goes on from call to call; "ok BYTES ERROR"
 *      poke ID in.cons|out.prod|order|ref VALUE | poke-ring VALUE | storm ID COUNT
 *      references                              of the indexes pages there are
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "toy-device.h"
#include "toy-requests.h"

#define PATTERN_SIZE 65521u             /* a prime: it never lies in a ring as it did the last time around */
#define WORDS_MAX 10

static uint8_t pattern[2 * PATTERN_SIZE];

static int64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pattern_init(void) {
        uint64_t x = 1;

        for (size_t i = 0; i < PATTERN_SIZE; i++) {
                x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
                pattern[i] = pattern[i + PATTERN_SIZE] = (uint8_t) (x >> 33);
        }
}

static void pattern_put(uint8_t *to, size_t n, uint64_t at) {
        for (size_t done = 0, some; done < n; done += some) {
                some = n - done < PATTERN_SIZE ? n - done : PATTERN_SIZE;
                memcpy(to + done, pattern + (at + done) % PATTERN_SIZE, some);
        }
}

static bool pattern_is(const uint8_t *p, size_t n, uint64_t at) {
        for (size_t done = 0, some; done < n; done += some) {
                some = n - done < PATTERN_SIZE ? n - done : PATTERN_SIZE;
                if (memcmp(p + done, pattern + (at + done) % PATTERN_SIZE, some) != 0)
                        return false;
        }
        return true;
}

/* Puts up to max bytes. Returns how many, or a negative errno: the end, or the backend's mistake. */
static int64_t send_some(struct toy *toy, struct toy_socket *socket, uint64_t max) {
        struct iovec pieces[2];
        size_t n, first;
        int r = data_producer_error(&socket->out);

        if (r == 0)
                r = data_producer_space(&socket->out, pieces, &n);
        if (r < 0)
                return r;
        n = n < max ? n : (size_t) max;
        first = n < pieces[0].iov_len ? n : pieces[0].iov_len;
        pattern_put(pieces[0].iov_base, first, socket->n_sent);
        pattern_put(pieces[1].iov_base, n - first, socket->n_sent + first);
        if (n > 0)
                data_producer_commit(&socket->out, n);
        socket->n_sent += n;
        if (data_producer_must_notify(&socket->out))
                xenevtchn_notify(toy->events, socket->port);
        return (int64_t) n;
}

static int64_t receive_some(struct toy *toy, struct toy_socket *socket, uint64_t max) {
        struct iovec pieces[2];
        int32_t error;
        size_t n, first;
        int r = data_consumer_next(&socket->in, pieces, &n, &error);

        if (r < 0 || error < 0)
                return r < 0 ? r : error;
        n = n < max ? n : (size_t) max;
        first = n < pieces[0].iov_len ? n : pieces[0].iov_len;
        if (!pattern_is(pieces[0].iov_base, first, socket->n_received) ||
            !pattern_is(pieces[1].iov_base, n - first, socket->n_received + first))
                return -EBADMSG;
        if (n > 0)
                data_consumer_commit(&socket->in, n);
        socket->n_received += n;
        if (data_consumer_must_notify(&socket->in))
                xenevtchn_notify(toy->events, socket->port);
        return (int64_t) n;
}

/* Moves so many bytes each way; what an end says stops its direction. Returns -ETIME if nothing moved for long. */
static int transfer(struct toy *toy, struct toy_socket *socket, uint64_t n_send, uint64_t n_receive, int *ret_send_error,
                    int *ret_receive_error) {
        *ret_send_error = *ret_receive_error = 0;
        while (n_send > 0 || n_receive > 0) {
                int64_t sent = n_send > 0 ? send_some(toy, socket, n_send) : 0;
                int64_t received = n_receive > 0 ? receive_some(toy, socket, n_receive) : 0;
                int64_t waited;

                if (sent < 0)
                        *ret_send_error = (int) sent;
                if (received < 0)
                        *ret_receive_error = (int) received;
                n_send = sent < 0 ? 0 : n_send - (uint64_t) sent;
                n_receive = received < 0 ? 0 : n_receive - (uint64_t) received;
                if (sent != 0 || received != 0)
                        continue;
                if (n_send > 0 && data_producer_sleep(&socket->out, socket->out.size / 2 < n_send ? socket->out.size / 2 : 1) != 0)
                        continue;
                if (n_receive > 0 && data_consumer_sleep(&socket->in) != 0)
                        continue;
                waited = now_ms();
                toy_wait_event(toy, TOY_DEADLINE_MS);
                if (now_ms() - waited >= TOY_DEADLINE_MS)
                        return -ETIME;
        }
        return 0;
}

static void answer_errno(int r) {
        printf("error %s\n", strerrorname_np(-r) ?: "unknown");
}

static void answer(int64_t r) {
        if (r < 0)
                answer_errno((int) r);
        else
                printf("ok %lld\n", (long long) r);
}

static int attach(struct toy *toy, bool suppress) {
        int r;

        r = toy_set_state(toy, 1);
        if (r == 0)
                r = toy_wait_backend(toy, 1u << 2, TOY_DEADLINE_MS);
        if (r >= 0)
                r = toy_offer(toy, suppress);
        if (r >= 0)
                r = toy_set_state(toy, 3);
        if (r >= 0)
                r = toy_wait_backend(toy, 1u << 4 | 1u << 5 | 1u << 6, TOY_DEADLINE_MS);
        if (r > 4)
                r = -ECONNREFUSED;
        return r < 0 ? r : toy_set_state(toy, 4);
}

static void do_await(struct toy *toy, char **words) {
        struct pvcalls_response response;
        int r = toy_await(toy, (uint32_t) toy_number(words, 1), words[2] ? (int) toy_number(words, 2) : TOY_DEADLINE_MS, &response);

        if (r < 0)
                answer_errno(r);
        else
                printf("ok %d %llu %u\n", response.ret, (unsigned long long) response.id, response.cmd);
}

static void do_await_long(struct toy *toy, char **words) {
        struct pvcalls_response response;
        int r = toy_await(toy, (uint32_t) toy_number(words, 1), TOY_DEADLINE_MS, &response);

        if (r < 0) {
                answer_errno(r);
                return;
        }
        printf("ok %d %u ", response.ret, response.len);
        for (size_t i = 0; i < sizeof response.piece; i++)
                printf("%02x", response.piece[i]);
        printf("\n");
}

static void do_transfer(struct toy *toy, char **words, bool send, bool receive) {
        struct toy_socket *socket = toy_socket_find(toy, toy_number(words, 1));
        uint64_t n = toy_number(words, 2), sent, received;
        int send_error, receive_error, r;

        if (!socket || !socket->indexes) {
                answer_errno(-EBADF);
                return;
        }
        sent = socket->n_sent;
        received = socket->n_received;
        r = transfer(toy, socket, send ? n : 0, receive ? n : 0, &send_error, &receive_error);
        if (r < 0)
                answer_errno(r);
        else
                printf("ok %llu %d\n", (unsigned long long) (receive ? socket->n_received - received : socket->n_sent - sent),
                       receive_error ?: send_error);
}

static void bytes_copy(struct iovec pieces[2], size_t at, void *bytes, size_t n, bool out) {
        for (size_t i = 0; i < n; i++) {
                uint8_t *there = at + i < pieces[0].iov_len ? (uint8_t *) pieces[0].iov_base + at + i
                                                            : (uint8_t *) pieces[1].iov_base + (at + i - pieces[0].iov_len);

                if (out)
                        ((uint8_t *) bytes)[i] = *there;
                else
                        *there = ((const uint8_t *) bytes)[i];
        }
}

static size_t frame_length(size_t n) {
        return (sizeof(struct pvcalls_datagram) + n + PVCALLS_DATAGRAM_ALIGN - 1) / PVCALLS_DATAGRAM_ALIGN * PVCALLS_DATAGRAM_ALIGN;
}

static void do_send_datagram(struct toy *toy, char **words) {
        struct toy_socket *socket = toy_socket_find(toy, toy_number(words, 1));
        struct pvcalls_datagram header = { .length = (uint32_t) toy_number(words, 2) };
        struct iovec pieces[2];
        size_t n;

        if (words[3])
                header.addr_len = toy_address_put(toy, words, 3, header.addr);
        while (data_producer_space(&socket->out, pieces, &n) == 0 && n < frame_length(header.length))
                if (data_producer_sleep(&socket->out, frame_length(header.length)) == 0)
                        toy_wait_event(toy, TOY_DEADLINE_MS);
        bytes_copy(pieces, 0, &header, sizeof header, false);
        bytes_copy(pieces, sizeof header, pattern, header.length, false);
        data_producer_commit(&socket->out, frame_length(header.length));
        if (data_producer_must_notify(&socket->out))
                xenevtchn_notify(toy->events, socket->port);
        answer(0);
}

static void do_receive_datagram(struct toy *toy, char **words) {
        static uint8_t bytes[PATTERN_SIZE + 64];
        struct toy_socket *socket = toy_socket_find(toy, toy_number(words, 1));
        struct pvcalls_datagram header;
        struct iovec pieces[2];
        size_t n;
        int64_t end = now_ms() + TOY_DEADLINE_MS;

        while (data_consumer_data(&socket->in, pieces, &n) == 0 && n < sizeof header && now_ms() < end)
                if (data_consumer_sleep(&socket->in) == 0)
                        toy_wait_event(toy, (int) (end - now_ms()));
        if (n < sizeof header) {
                answer_errno(-ETIME);
                return;
        }
        bytes_copy(pieces, 0, &header, sizeof header, true);
        bytes_copy(pieces, sizeof header, bytes, header.length, true);
        data_consumer_commit(&socket->in, frame_length(header.length));
        if (data_consumer_must_notify(&socket->in))
                xenevtchn_notify(toy->events, socket->port);
        printf("ok %u %u %d ", header.length, header.flags, header.error);
        for (uint32_t i = 0; i < header.addr_len; i++)
                printf("%02x", header.addr[i]);
        printf("%s %d\n", header.addr_len == 0 ? "-" : "", memcmp(bytes, pattern, header.length) == 0);
}

static void do_poke(struct toy *toy, char **words) {
        struct toy_socket *socket = toy_socket_find(toy, toy_number(words, 1));
        uint32_t value = (uint32_t) toy_number(words, 3);

        if (strcmp(words[2], "in.cons") == 0)
                atomic_store(&socket->indexes->in.cons, value);
        else if (strcmp(words[2], "out.prod") == 0)
                atomic_store(&socket->indexes->out.prod, value);
        else if (strcmp(words[2], "order") == 0)
                atomic_store(&socket->indexes->ring_order, value);
        else
                atomic_store(&socket->indexes->refs[0], value);
        answer(xenevtchn_notify(toy->events, socket->port));
}

static void do_storm(struct toy *toy, char **words) {
        struct toy_socket *socket = toy_socket_find(toy, toy_number(words, 1));

        for (uint64_t i = toy_number(words, 2); i > 0; i--)
                xenevtchn_notify(toy->events, socket ? socket->port : toy->port);
        answer(0);
}

static void do_swap_data(struct toy *toy, char **words) {
        struct toy_socket *a = toy_socket_find(toy, toy_number(words, 1)), *b = toy_socket_find(toy, toy_number(words, 2)), c;

        if (!a || !b || a->order != b->order) {
                answer(-EINVAL);
                return;
        }
        c = *a;
        a->data = b->data;
        memcpy(a->refs, b->refs, sizeof a->refs);
        b->data = c.data;
        memcpy(b->refs, c.refs, sizeof b->refs);
        answer(0);
}

static void do_references(struct toy *toy) {
        printf("ok");
        for (unsigned i = 0; i < TOY_SOCKETS_MAX; i++)
                if (toy->sockets[i].used && toy->sockets[i].indexes)
                        printf(" %u", toy->sockets[i].ref);
        printf("\n");
}

static void do_backend_node(struct toy *toy, char **words) {
        char *text = toy_read_backend(toy, words[1]);

        if (text)
                printf("ok %s\n", text);
        else
                answer_errno(-ENOENT);
        free(text);
}

static void execute(struct toy *toy, char **words) {
        int64_t r;

        if (toy_is(words, "attach")) {
                answer(attach(toy, words[1] != NULL));
        } else if (toy_is(words, "offer")) {
                answer(toy_offer(toy, words[1] != NULL));
        } else if (toy_is(words, "set-state")) {
                answer(toy_set_state(toy, (int) toy_number(words, 1)));
        } else if (toy_is(words, "write")) {
                answer(toy_write(toy, words[1], words[2] ?: ""));
        } else if (toy_is(words, "wait-backend")) {
                answer(toy_wait_backend(toy, 1u << toy_number(words, 1), TOY_DEADLINE_MS));
        } else if (toy_is(words, "backend-node")) {
                do_backend_node(toy, words);
        } else if (toy_is(words, "await")) {
                do_await(toy, words);
        } else if (toy_is(words, "await-long")) {
                do_await_long(toy, words);
        } else if (toy_is(words, "echo")) {
                do_transfer(toy, words, true, true);
        } else if (toy_is(words, "send")) {
                do_transfer(toy, words, true, false);
        } else if (toy_is(words, "receive")) {
                do_transfer(toy, words, false, true);
        } else if (toy_is(words, "send-datagram")) {
                do_send_datagram(toy, words);
        } else if (toy_is(words, "receive-datagram")) {
                do_receive_datagram(toy, words);
        } else if (toy_is(words, "poke")) {
                do_poke(toy, words);
        } else if (toy_is(words, "poke-ring")) {
                atomic_store(&toy->page->req_prod, (uint32_t) toy_number(words, 1));
                answer(xenevtchn_notify(toy->events, toy->port));
        } else if (toy_is(words, "references")) {
                do_references(toy);
        } else if (toy_is(words, "swap-data")) {
                do_swap_data(toy, words);
        } else if (toy_is(words, "storm")) {
                do_storm(toy, words);
        } else {
                r = toy_make_request(toy, words);
                answer(r);
        }
}

int main(int argc, char **argv) {
        static struct toy toy;
        char line[512];
        int r;

        setvbuf(stdout, NULL, _IOLBF, 0);
        pattern_init();
        r = toy_open(&toy);
        if (r < 0) {
                fprintf(stderr, "toy-frontend: cannot open the device: %s\n", strerrordesc_np(-r));
                return EXIT_FAILURE;
        }
        while (fgets(line, sizeof line, stdin)) {
                char *words[WORDS_MAX + 1] = {}, *rest = line;

                for (int i = 0; i < WORDS_MAX && (words[i] = strsep(&rest, " \n")) && *words[i]; i++)
                        ;
                for (int i = 0; i < WORDS_MAX; i++)
                        if (words[i] && !*words[i])
                                words[i] = NULL;
                if (words[0])
                        execute(&toy, words);
        }
        toy_close(&toy);
        return EXIT_SUCCESS;
}
