/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks what reads messages in a program's memory. The first byte of the input says which call it is, three more what it is called with; the rest is the
 * memory, from address 0 on.
 *
 * Invariants are the sanitizers', and that no more is told than there is room for.
 */

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz-input.h"
#include "message.h"

#define SIZE 65536

static void attack(const struct target *target, struct message *message) {
        static uint8_t data[SIZE];
        uint16_t value;
        ssize_t size = message_measure(message, target), n = message_gather(message, target, data, sizeof data);

        if (n > SIZE || (n >= 0 && n != size) || message_scatter(message, target, data, 100) > 100)
                abort();
        (void) message_control(message, target, IPPROTO_UDP, 103, &value, sizeof value);
        if (message_control(message, target, 0, 0, NULL, 0) > 1)
                abort();
        (void) message_finish(message, target, data, 64, 0);
        if (message->at != 0)
                (void) message_set_length(message, target, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const int calls[] = { __NR_sendto, __NR_recvfrom, __NR_sendmsg, __NR_recvmsg, __NR_sendmmsg, __NR_recvmmsg, __NR_write };
        static int memory = -1;
        struct input input = { data, size };
        struct seccomp_data call = { .nr = calls[next(&input, 1) % 7] };
        struct target target = { .process = -1 };
        struct message *messages;
        int n;

        call.args[1] = next(&input, 1);
        call.args[2] = next(&input, 1);
        call.args[4] = call.args[5] = next(&input, 1);
        if (memory < 0)
                memory = memfd_create("memory", MFD_CLOEXEC);
        if (memory < 0 || ftruncate(memory, 0) < 0 || write(memory, input.data, input.n) != (ssize_t) input.n || lseek(memory, 0, SEEK_SET) != 0)
                abort();
        target.memory = memory;
        n = messages_read(&target, &call, &messages);
        if (n > (int) MESSAGES_MAX)
                abort();
        for (int i = 0; i < n; i++)
                attack(&target, &messages[i]);
        return 0;
}
