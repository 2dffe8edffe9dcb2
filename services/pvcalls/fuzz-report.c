/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a backend says, which a guest may have taken over: whatever it is, what is understood can be put onto the bus. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *text) {
        for (; *text; text++)
                if (*text < ' ' || *text > '~')
                        abort();
}

static char *copy_of(const uint8_t *data, size_t n) {
        char *text = malloc(n + 1);

        if (!text)
                abort();
        memcpy(text, data, n);
        text[n] = '\0';
        return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct xcp_pvcalls_socket socket;
        struct xcp_dict_s_t_entry counter;
        struct report_denied denied;
        enum xcp_pvcalls_state state;
        const char *reason;
        char *text = copy_of(data, n);

        if (report_socket(text, &socket) == 0) {
                check_text(socket.local_address);
                check_text(socket.remote_address);
                if (!xcp_pvcalls_socket_state_to_string(socket.state) || !xcp_address_family_to_string(socket.family))
                        abort();
        }
        free(text);
        text = copy_of(data, n);
        if (report_counter(text, &counter) == 0)
                check_text(counter.key);
        free(text);
        text = copy_of(data, n);
        if (report_state(text, &state, &reason) == 0)
                check_text(reason);
        free(text);
        text = copy_of(data, n);
        if (report_denied(text, &denied) == 0) {
                check_text(denied.address);
                if (denied.rule < -1)
                        abort();
        }
        free(text);
        return 0;
}
