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

/* The table of docs/xenopsd.md: its rows are the operations by the names of methods. */
static const struct {
        const char *name;
        enum lifecycle_operation operation;
} names[] = {
        { "Prepare", LIFECYCLE_PREPARE }, { "Start", LIFECYCLE_START }, { "Stop", LIFECYCLE_STOP }, { "Kill", LIFECYCLE_KILL },
        { "Reboot", LIFECYCLE_REBOOT }, { "Reset", LIFECYCLE_RESET }, { "Suspend", LIFECYCLE_SUSPEND }, { "Resume", LIFECYCLE_RESUME },
        { "Save", LIFECYCLE_SAVE }, { "Restore", LIFECYCLE_RESTORE }, { "Migrate", LIFECYCLE_MIGRATE }, { "Snapshot", LIFECYCLE_SNAPSHOT },
        { "Revert", LIFECYCLE_REVERT }, { "Destroy", LIFECYCLE_DESTROY }, { "PowerButton", LIFECYCLE_POWER_BUTTON },
        { "SetMemory", LIFECYCLE_SET_MEMORY }, { "SetVcpus", LIFECYCLE_SET_VCPUS }, { "AddDisk", LIFECYCLE_ADD_DEVICE },
        { "AddNetworkInterface", LIFECYCLE_ADD_DEVICE }, { "Insert", LIFECYCLE_CHANGE_DEVICE }, { "Eject", LIFECYCLE_CHANGE_DEVICE },
        { "Move", LIFECYCLE_CHANGE_DEVICE }, { "Remove", LIFECYCLE_CHANGE_DEVICE }, { "Plug", LIFECYCLE_PLUG }, { "Unplug", LIFECYCLE_PLUG },
        { "Refresh", LIFECYCLE_REFRESH }, { "OpenConsole", LIFECYCLE_OPEN_CONSOLE }, { "OpenPort", LIFECYCLE_OPEN_PORT },
};

#define N_STATES ((size_t) XCP_VM_STATE_FAILED)

/* The cells of a row, without the spaces around them. NULL: the line is none. */
static char **split_row(const char *line) {
        size_t n = strlen(line);
        char **cells;

        if (n < 2 || line[0] != '|' || line[n - 1] != '|')
                return NULL;
        g_autofree char *inner = g_strndup(line + 1, n - 2);
        cells = g_strsplit(inner, "|", -1);
        for (size_t i = 0; cells[i]; i++)
                g_strstrip(cells[i]);
        return cells;
}

/* What is said of the state after it: of several operations in a row, one each, or the same of all. Revert() has two, by what the snapshot is. */
static void check_after(const char *then, size_t i, enum lifecycle_operation operation) {
        enum xcp_vm_state after = lifecycle_after(XCP_VM_STATE_IO_ERROR, operation, false);     /* which no operation leads to */
        g_auto(GStrv) parts = g_strsplit(then, ", ", -1);
        const char *part = i < g_strv_length(parts) ? parts[i] : parts[0];

        if (operation == LIFECYCLE_REVERT)
                return;
        if (after == XCP_VM_STATE_IO_ERROR || operation == LIFECYCLE_DESTROY)
                g_assert_cmpstr(then, ==, operation == LIFECYCLE_DESTROY ? "gone" : "");
        else
                g_assert_true(g_str_has_prefix(part ?: "", xcp_vm_state_to_string(after)));
}

static unsigned check_name(char **cells, const char *name, size_t i) {
        g_autoptr(GString) expected = g_string_new("");
        char text[128];
        size_t k = 0;

        while (k < G_N_ELEMENTS(names) && strcmp(names[k].name, name) != 0)
                k++;
        if (k == G_N_ELEMENTS(names))
                g_error("docs/xenopsd.md has an operation %s, which there is not", name);
        for (size_t state = 1; state <= N_STATES; state++)
                if (strcmp(cells[state], "x") == 0)
                        g_string_append_printf(expected, "%s%s", expected->len > 0 ? ", " : "", xcp_vm_state_to_string((enum xcp_vm_state) state));
        g_assert_cmpstr(lifecycle_expected(names[k].operation, text, sizeof text), ==, expected->str);  /* what BadPowerState tells */
        check_after(cells[N_STATES + 1], i, names[k].operation);
        return 1u << k;
}

static unsigned check_row(char **cells) {
        g_auto(GStrv) row = g_strsplit_set(cells[0], ",; ", -1);
        unsigned seen = 0;
        size_t n = 0;

        g_assert_cmpuint(g_strv_length(cells), ==, N_STATES + 2);
        for (size_t i = 0; row[i]; i++)
                if (row[i][0])
                        seen |= check_name(cells, row[i], n++);
        return seen;
}

static void test_the_documentation(void) {
        g_autofree char *path = g_build_filename(g_getenv("XCP_DOCS") ?: "docs", "xenopsd.md", NULL), *text = NULL;
        g_auto(GStrv) lines = NULL;
        unsigned seen = 0;
        size_t i = 0;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        lines = g_strsplit(text, "\n", -1);
        while (lines[i] && !g_str_has_prefix(lines[i], "| operation |"))
                i++;
        g_assert_nonnull(lines[i]);
        for (char **header = split_row(lines[i]); header; g_strfreev(header), header = NULL)
                for (size_t state = 1; state <= N_STATES; state++)
                        g_assert_cmpstr(header[state], ==, xcp_vm_state_to_string((enum xcp_vm_state) state));
        for (char **cells; (cells = split_row(lines[i + 2])); g_strfreev(cells), i++)
                seen |= check_row(cells);
        g_assert_cmpuint(seen, ==, (1u << G_N_ELEMENTS(names)) - 1);
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
        g_test_add_func("/lifecycle/the-documentation-says-the-same", test_the_documentation);
        g_test_add_func("/lifecycle/every-event-with-every-action", test_every_event_and_action);
        g_test_add_func("/lifecycle/five-restarts-in-ten-minutes", test_restarts);
        return g_test_run();
}
