/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Attacks the parser of policies, and asks what comes out about addresses cut from the input. A denied call keeps its address. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        struct policy policy;
        struct policy_error error;
        struct policy_verdict verdict;

        if (size < 6)
                return 0;
        memcpy(&address.sin_addr, data, 4);
        memcpy(&address.sin_port, data + 4, 2);
        if (policy_parse((const char *) data + 6, size - 6, &policy, &error) < 0) {
                if (error.line == 0 || memchr(error.text, 0, sizeof error.text) == NULL)
                        abort();
                return 0;
        }
        for (int call = POLICY_CONNECT; call <= POLICY_BIND; call++) {
                policy_decide(&policy, (enum policy_call) call, &address, 1, &verdict);
                if (verdict.rule >= (int) policy.n_rules || (!verdict.allow && memcmp(&verdict.address, &address, sizeof address) != 0) ||
                    (verdict.allow && verdict.rule < 0))
                        abort();
        }
        policy_done(&policy);
        return 0;
}
