/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frame.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

size_t frame_length(size_t n) {
        return (FRAME_HEADER + n + PVCALLS_DATAGRAM_ALIGN - 1) / PVCALLS_DATAGRAM_ALIGN * PVCALLS_DATAGRAM_ALIGN;
}

static size_t step(struct iovec *piece, size_t n) {
        n = n < piece->iov_len ? n : piece->iov_len;
        piece->iov_base = (uint8_t *) piece->iov_base + n;
        piece->iov_len -= n;
        return n;
}

void pieces_get(struct iovec pieces[2], void *to, size_t n) {
        for (size_t done = 0, i = 0; done < n && i < 2; i++) {
                const void *from = pieces[i].iov_base;
                size_t some = step(&pieces[i], n - done);

                if (some > 0)
                        memcpy((uint8_t *) to + done, from, some);
                done += some;
        }
}

void pieces_put(struct iovec pieces[2], const void *from, size_t n) {
        for (size_t done = 0, i = 0; done < n && i < 2; i++) {
                void *to = pieces[i].iov_base;
                size_t some = step(&pieces[i], n - done);

                if (some > 0)
                        memcpy(to, (const uint8_t *) from + done, some);
                done += some;
        }
}

void pieces_limit(struct iovec pieces[2], size_t n) {
        if (pieces[0].iov_len > n)
                pieces[0].iov_len = n;
        pieces[1].iov_len = n - pieces[0].iov_len;
}

int frame_get(struct iovec pieces[2], size_t n, struct pvcalls_datagram *ret_untrusted) {
        if (n < FRAME_HEADER)
                return -EPROTO;
        pieces_get(pieces, ret_untrusted, FRAME_HEADER);
        if (ret_untrusted->length > n - FRAME_HEADER || frame_length(ret_untrusted->length) > n)
                return -EPROTO;
        return 0;
}
