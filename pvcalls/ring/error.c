/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "error.h"

#include <errno.h>
#include <stddef.h>

static const struct {
        int error;                      /* of this machine */
        int number;                     /* of Linux on x86 */
} numbers[] = {
        /* the document's list */
        { EPERM, 1 }, { ENOENT, 2 }, { ESRCH, 3 }, { EINTR, 4 }, { EIO, 5 }, { ENXIO, 6 }, { E2BIG, 7 }, { ENOEXEC, 8 },
        { EBADF, 9 }, { ECHILD, 10 }, { EAGAIN, 11 }, { ENOMEM, 12 }, { EACCES, 13 }, { EFAULT, 14 }, { EBUSY, 16 },
        { EEXIST, 17 }, { EXDEV, 18 }, { ENODEV, 19 }, { EISDIR, 21 }, { EINVAL, 22 }, { ENFILE, 23 }, { EMFILE, 24 },
        { ENOSPC, 28 }, { EROFS, 30 }, { EMLINK, 31 }, { EDOM, 33 }, { ERANGE, 34 }, { EDEADLK, 35 }, { ENAMETOOLONG, 36 },
        { ENOLCK, 37 }, { ENOSYS, 38 }, { ENOTEMPTY, 39 }, { ENODATA, 61 }, { ETIME, 62 }, { EBADMSG, 74 }, { EOVERFLOW, 75 },
        { EILSEQ, 84 }, { ERESTART, 85 }, { ENOTSOCK, 88 }, { EOPNOTSUPP, 95 }, { EAFNOSUPPORT, 97 }, { EADDRINUSE, 98 },
        { EADDRNOTAVAIL, 99 }, { ENOBUFS, 105 }, { EISCONN, 106 }, { ENOTCONN, 107 }, { ETIMEDOUT, 110 },
        /* not on it, and what socket calls return as well */
        { EPIPE, 32 }, { EPROTO, 71 }, { EDESTADDRREQ, 89 }, { EMSGSIZE, 90 }, { EPROTOTYPE, 91 }, { ENOPROTOOPT, 92 },
        { EPROTONOSUPPORT, 93 }, { ENETDOWN, 100 }, { ENETUNREACH, 101 }, { ENETRESET, 102 }, { ECONNABORTED, 103 },
        { ECONNRESET, 104 }, { ESHUTDOWN, 108 }, { ECONNREFUSED, 111 }, { EHOSTDOWN, 112 }, { EHOSTUNREACH, 113 },
        { EALREADY, 114 }, { EINPROGRESS, 115 }, { EDQUOT, 122 }, { ECANCELED, 125 },
};

#define N_NUMBERS (sizeof numbers / sizeof numbers[0])

int32_t pvcalls_error_to_wire(int error) {
        if (error == 0)
                return 0;
        for (size_t i = 0; i < N_NUMBERS; i++)
                if (numbers[i].error == -error)
                        return -numbers[i].number;
        return pvcalls_error_to_wire(-EIO);
}

int pvcalls_error_from_wire(int32_t number) {
        if (number == 0)
                return 0;
        if (number == PVCALLS_ENOTSUP)
                return -EOPNOTSUPP;
        for (size_t i = 0; i < N_NUMBERS; i++)
                if (-numbers[i].number == number)       /* not numbers == -number: that of INT32_MIN is none */
                        return -numbers[i].error;
        return -EIO;
}
