/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A queue of bytes in one piece of memory, which is given back whenever the queue runs empty. All zeroes is an empty queue. */

#include <stddef.h>
#include <stdint.h>

struct byte_queue {
        uint8_t *data;
        size_t start;
        size_t n;
        size_t size;
};

/* Makes room for n more bytes, so that appending them cannot fail. Returns 0 or -ENOMEM, which changes nothing. */
int byte_queue_reserve(struct byte_queue *queue, size_t n);

/* Appends bytes that room was made for. */
void byte_queue_append(struct byte_queue *queue, const void *data, size_t n);

/* The bytes at the front; NULL and 0 if there are none. Valid until the next call on the queue. */
void byte_queue_front(const struct byte_queue *queue, const void **ret_data, size_t *ret_n);

void byte_queue_consume(struct byte_queue *queue, size_t n);
void byte_queue_clear(struct byte_queue *queue);
