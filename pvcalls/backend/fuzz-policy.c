/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Attacks the parser of policies, and asks what comes out about addresses cut from the input. A denied call keeps its address, or what that means to a connect. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct pvcalls_name address;
        const uint8_t *start = data;
        struct policy policy;
        struct policy_error error;
        struct policy_verdict verdict;

        if (size < 1 || size - 1 < data[0] || pvcalls_name_parse(data + 1, data[0], &address) < 0)
                return 0;
        data += 1 + data[0];
        if (policy_parse((const char *) data, size - (size_t) (data - start), &policy, &error) < 0) {
                if (error.line == 0 || memchr(error.text, 0, sizeof error.text) == NULL)
                        abort();
                return 0;
        }
        for (int call = POLICY_CONNECT; call <= POLICY_BIND; call++) {
                struct pvcalls_name judged = address;

                if (call == POLICY_CONNECT)
                        pvcalls_name_make_destination(&judged);
                policy_decide(&policy, (enum policy_call) call, SOCK_STREAM, &address, 1, &verdict);
                if (verdict.rule >= (int) policy.n_rules ||
                    (!verdict.allow && verdict.rule < 0 && !pvcalls_name_equal(&verdict.address, &judged)) ||
                    (verdict.allow && verdict.rule < 0))
                        abort();
        }
        policy_done(&policy);
        return 0;
}
