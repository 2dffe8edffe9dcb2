/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "message.h"

bool message_expects_reply(const struct message *message) {
        return message->type == MESSAGE_METHOD_CALL && !(message->flags & MESSAGE_NO_REPLY_EXPECTED);
}

const char *message_fault_name(int fault) {
        static const char *const names[] = {
                [MESSAGE_TRUNCATED] = "truncated",
                [MESSAGE_TRAILING] = "trailing-bytes",
                [MESSAGE_BAD_ENDIAN] = "bad-endian",
                [MESSAGE_BAD_VERSION] = "bad-version",
                [MESSAGE_BAD_TYPE] = "bad-type",
                [MESSAGE_BAD_SERIAL] = "bad-serial",
                [MESSAGE_TOO_LARGE] = "too-large",
                [MESSAGE_FIELDS_TOO_LARGE] = "fields-too-large",
                [MESSAGE_BAD_PADDING] = "bad-padding",
                [MESSAGE_BAD_FIELD] = "bad-field",
                [MESSAGE_BAD_FIELD_TYPE] = "bad-field-type",
                [MESSAGE_DUPLICATE_FIELD] = "duplicate-field",
                [MESSAGE_MISSING_FIELD] = "missing-field",
                [MESSAGE_BAD_PATH] = "bad-path",
                [MESSAGE_BAD_INTERFACE] = "bad-interface",
                [MESSAGE_BAD_MEMBER] = "bad-member",
                [MESSAGE_BAD_ERROR_NAME] = "bad-error-name",
                [MESSAGE_BAD_DESTINATION] = "bad-destination",
                [MESSAGE_BAD_SENDER] = "bad-sender",
                [MESSAGE_BAD_CONTAINER] = "bad-container",
                [MESSAGE_BAD_REPLY_SERIAL] = "bad-reply-serial",
                [MESSAGE_LOCAL] = "local-only",
                [MESSAGE_BAD_SIGNATURE] = "bad-signature",
                [MESSAGE_TOO_DEEP] = "too-deep",
                [MESSAGE_BAD_STRING] = "bad-string",
                [MESSAGE_BAD_BOOLEAN] = "bad-boolean",
                [MESSAGE_BAD_ARRAY] = "bad-array",
                [MESSAGE_BAD_VALUE_PATH] = "bad-value-path",
                [MESSAGE_BAD_HANDLE] = "bad-handle",
                [MESSAGE_BODY_MISMATCH] = "body-mismatch",
        };

        _Static_assert(sizeof names / sizeof *names == _MESSAGE_FAULT_MAX, "a fault has no name");
        return fault > 0 && fault < _MESSAGE_FAULT_MAX ? names[fault] : "no-fault";
}

const char *message_type_name(uint8_t type) {
        static const char *const names[] = {
                [MESSAGE_METHOD_CALL] = "method_call",
                [MESSAGE_METHOD_RETURN] = "method_return",
                [MESSAGE_ERROR] = "error",
                [MESSAGE_SIGNAL] = "signal",
        };

        return type > 0 && type <= MESSAGE_SIGNAL ? names[type] : "unknown";
}
