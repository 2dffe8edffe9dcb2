/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include <glib.h>

#include "lifecycle.h"

/* Every operation in every state, as docs/xenopsd.md has it: a letter for each state, H P R S s(aved) p(anicked) i(o) f(ailed), or '-'. */
static const char states[] = "HPRSsPIF";

static const struct {
        enum lifecycle_operation operation;
        const char *allowed;            /* one character for each state, in the order of types.xml: + or - */
        enum xcp_vm_state after;        /* 0: as before */
} table[] = {
        /*                            HPRSsPIF */
        { LIFECYCLE_PREPARE,         "+-------", XCP_VM_STATE_PREPARED },
        { LIFECYCLE_START,           "++------", XCP_VM_STATE_RUNNING },
        { LIFECYCLE_STOP,            "-+++----", XCP_VM_STATE_HALTED },
        { LIFECYCLE_KILL,            "-+++++++", XCP_VM_STATE_HALTED },
        { LIFECYCLE_REBOOT,          "--+-----", XCP_VM_STATE_RUNNING },
        { LIFECYCLE_RESET,           "--+--++-", XCP_VM_STATE_RUNNING },
        { LIFECYCLE_SUSPEND,         "--+-----", XCP_VM_STATE_SUSPENDED },
        { LIFECYCLE_RESUME,          "---+--+-", XCP_VM_STATE_RUNNING },
        { LIFECYCLE_SAVE,            "--++----", XCP_VM_STATE_SAVED },
        { LIFECYCLE_RESTORE,         "----+---", XCP_VM_STATE_RUNNING },
        { LIFECYCLE_MIGRATE,         "--+-----", XCP_VM_STATE_HALTED },
        { LIFECYCLE_SNAPSHOT,        "+-++----", 0 },
        { LIFECYCLE_REVERT,          "+---+---", 0 },
        { LIFECYCLE_DESTROY,         "++++++++", XCP_VM_STATE_HALTED },
        { LIFECYCLE_POWER_BUTTON,    "--+-----", 0 },
        { LIFECYCLE_SET_MEMORY,      "+-+-----", 0 },
        { LIFECYCLE_SET_VCPUS,       "+-+-----", 0 },
        { LIFECYCLE_ADD_DEVICE,      "++++----", 0 },
        { LIFECYCLE_PLUG,            "-+++----", 0 },
        { LIFECYCLE_CHANGE_DEVICE,   "++++----", 0 },
        { LIFECYCLE_REFRESH,         "-+++----", 0 },
        { LIFECYCLE_OPEN_CONSOLE,    "-+++-++-", 0 },
        { LIFECYCLE_OPEN_PORT,       "--+-----", 0 },
};

static void test_every_state_and_operation(void) {
        unsigned seen = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_assert_cmpuint(strlen(table[i].allowed), ==, strlen(states));
                seen |= 1u << table[i].operation;
                for (enum xcp_vm_state state = XCP_VM_STATE_HALTED; state <= XCP_VM_STATE_FAILED; state++) {
                        g_assert_cmpint(lifecycle_allows(state, table[i].operation), ==, table[i].allowed[state - 1] == '+');
                        g_assert_cmpint(lifecycle_after(state, table[i].operation, false), ==, table[i].after ?: state);
                }
        }
        g_assert_cmpuint(seen, ==, (1u << _LIFECYCLE_OPERATION_N) - 1);
        g_assert_null(xcp_vm_state_to_string(XCP_VM_STATE_FAILED + 1)); /* all states are in the table */
}

static void test_paused(void) {
        g_assert_cmpint(lifecycle_after(XCP_VM_STATE_HALTED, LIFECYCLE_START, true), ==, XCP_VM_STATE_SUSPENDED);
        g_assert_cmpint(lifecycle_after(XCP_VM_STATE_SAVED, LIFECYCLE_RESTORE, true), ==, XCP_VM_STATE_SUSPENDED);
}

static void test_expected(void) {
        char text[128], tiny[8];

        g_assert_cmpstr(lifecycle_expected(LIFECYCLE_START, text, sizeof text), ==, "Halted, Prepared");
        g_assert_cmpstr(lifecycle_expected(LIFECYCLE_KILL, text, sizeof text), ==,
                        "Prepared, Running, Suspended, Saved, Panicked, IOError, Failed");
        g_assert_cmpstr(lifecycle_expected(LIFECYCLE_KILL, tiny, sizeof tiny), ==, "Prepare");
}

static const struct {
        enum hypervisor_event event;
        enum xcp_guest_action action;
        struct lifecycle_outcome outcome;
} events[] = {
#define CASE(e, a, s, r, f) \
        { HYPERVISOR_##e, XCP_GUEST_ACTION_##a, { XCP_VM_STATE_##s, XCP_VM_STATE_REASON_##r, FOLLOW_##f } }
        CASE(POWERED_OFF, HALT, HALTED, GUEST_POWER_OFF, RELEASE),
        CASE(POWERED_OFF, RESTART, HALTED, GUEST_POWER_OFF, RELEASE),
        CASE(POWERED_OFF, PRESERVE, HALTED, GUEST_POWER_OFF, RELEASE),
        CASE(REBOOTED, HALT, HALTED, GUEST_REBOOT, RELEASE),
        CASE(REBOOTED, RESTART, RUNNING, GUEST_REBOOT, RESTART),
        CASE(REBOOTED, PRESERVE, SUSPENDED, GUEST_REBOOT, NOTHING),
        CASE(PANICKED, HALT, PANICKED, GUEST_PANIC, RELEASE),
        CASE(PANICKED, RESTART, PANICKED, GUEST_PANIC, RESTART),
        CASE(PANICKED, PRESERVE, PANICKED, GUEST_PANIC, NOTHING),
        CASE(WATCHDOG, HALT, PANICKED, WATCHDOG, RELEASE),
        CASE(WATCHDOG, RESTART, PANICKED, WATCHDOG, RESTART),
        CASE(WATCHDOG, PRESERVE, PANICKED, WATCHDOG, NOTHING),
        CASE(DISK_FAILED, HALT, IO_ERROR, DISK_FAILED, NOTHING),
        CASE(DISK_FAILED, RESTART, IO_ERROR, DISK_FAILED, NOTHING),
        CASE(DISK_FAILED, PRESERVE, IO_ERROR, DISK_FAILED, NOTHING),
        CASE(EXITED, HALT, FAILED, BACKEND_EXITED, RELEASE),
        CASE(EXITED, RESTART, FAILED, BACKEND_EXITED, RESTART),
        CASE(EXITED, PRESERVE, FAILED, BACKEND_EXITED, NOTHING),
        CASE(BROKEN, HALT, FAILED, BACKEND_FAILED, RELEASE),
        CASE(BROKEN, RESTART, FAILED, BACKEND_FAILED, RESTART),
        CASE(BROKEN, PRESERVE, FAILED, BACKEND_FAILED, NOTHING),
        CASE(TAKEN, HALT, SUSPENDED, FOUND, NOTHING),
        CASE(TAKEN, RESTART, SUSPENDED, FOUND, NOTHING),
        CASE(TAKEN, PRESERVE, SUSPENDED, FOUND, NOTHING),
#undef CASE
};

static void test_every_event_and_action(void) {
        /* All but NO_EVENT and CHANGED, with each of three actions. */
        g_assert_cmpuint(G_N_ELEMENTS(events), ==, (_HYPERVISOR_EVENT_N - 2) * 3);
        for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
                struct lifecycle_outcome outcome = lifecycle_event(XCP_VM_STATE_RUNNING, events[i].event, events[i].action);

                g_assert_cmpint(outcome.state, ==, events[i].outcome.state);
                g_assert_cmpint(outcome.reason, ==, events[i].outcome.reason);
                g_assert_cmpint(outcome.follow, ==, events[i].outcome.follow);
        }
        g_assert_cmpint(lifecycle_event(XCP_VM_STATE_RUNNING, HYPERVISOR_CHANGED, XCP_GUEST_ACTION_HALT).state, ==, XCP_VM_STATE_RUNNING);
}

static void test_restarts(void) {
        struct restarts restarts = { .n = 0 };
        const uint64_t second = 1000000;

        for (unsigned i = 0; i < 5; i++)
                g_assert_true(restarts_allow(&restarts, (100 + i) * second));
        g_assert_false(restarts_allow(&restarts, 105 * second));
        g_assert_false(restarts_allow(&restarts, 699 * second));
        g_assert_true(restarts_allow(&restarts, 700 * second));         /* 10 minutes after the first */
        g_assert_false(restarts_allow(&restarts, 700 * second));
        g_assert_true(restarts_allow(&restarts, 701 * second));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/lifecycle/every-operation-in-every-state", test_every_state_and_operation);
        g_test_add_func("/lifecycle/paused-ends-in-suspended", test_paused);
        g_test_add_func("/lifecycle/expected-states-as-text", test_expected);
        g_test_add_func("/lifecycle/every-event-with-every-action", test_every_event_and_action);
        g_test_add_func("/lifecycle/five-restarts-in-ten-minutes", test_restarts);
        return g_test_run();
}
