/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Error numbers on the ring: those of Linux on x86, whatever machine either side is ("Error numbers" of pvcalls.pandoc).
 *
 * The document's list lacks what connect() gives most often, such as ECONNREFUSED; Linux's backend sends its own numbers there, and so does
 * this. Its ENOTSUP is 524, which is Linux's internal ENOTSUPP and no errno of any program's.
 */

#include <stdint.h>

#define PVCALLS_ENOTSUP (-524)
#define PVCALLS_ENOTCONN (-107)         /* in in_error: the peer has sent all it had */

/* A negative errno of this machine as a negative number for the ring. 0 stays 0, and what the ring has no number for becomes EIO. */
int32_t pvcalls_error_to_wire(int error);

/* A negative number of the ring as a negative errno; 0 stays 0, and what is neither becomes -EIO. ENOTSUP becomes EOPNOTSUPP. */
int pvcalls_error_from_wire(int32_t number);
