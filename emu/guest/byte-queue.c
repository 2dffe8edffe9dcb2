/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "byte-queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int byte_queue_reserve(struct byte_queue *queue, size_t n) {
        size_t size = queue->size ? queue->size : 512;
        uint8_t *data;

        if (n > SIZE_MAX / 4 - queue->n)
                return -ENOMEM;

        if (queue->start > 0 && queue->start + queue->n + n > queue->size) {
                memmove(queue->data, queue->data + queue->start, queue->n);
                queue->start = 0;
        }
        if (queue->data && queue->n + n <= queue->size - queue->start)
                return 0;

        while (size < queue->n + n)
                size *= 2;
        data = realloc(queue->data, size);
        if (!data)
                return -ENOMEM;
        queue->data = data;
        queue->size = size;
        return 0;
}

void byte_queue_append(struct byte_queue *queue, const void *data, size_t n) {
        if (n == 0)
                return;
        assert(n <= queue->size - queue->start - queue->n);
        memcpy(queue->data + queue->start + queue->n, data, n);
        queue->n += n;
}

void byte_queue_front(const struct byte_queue *queue, const void **ret_data, size_t *ret_n) {
        *ret_data = queue->n > 0 ? queue->data + queue->start : NULL;
        *ret_n = queue->n;
}

void byte_queue_consume(struct byte_queue *queue, size_t n) {
        assert(n <= queue->n);
        queue->start += n;
        queue->n -= n;
        if (queue->n == 0)
                byte_queue_clear(queue);
}

void byte_queue_clear(struct byte_queue *queue) {
        free(queue->data);
        *queue = (struct byte_queue) {};
}
