/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "callers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define DBUS_NAME "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"
#define NAME_HAS_NO_OWNER "org.freedesktop.DBus.Error.NameHasNoOwner"

/* arg2 is the new owner: none, so that only departures wake the service up. */
#define DEPARTURES                                                                                                                         \
        "type='signal',sender='" DBUS_NAME "',path='" DBUS_PATH "',interface='" DBUS_NAME "',member='NameOwnerChanged',arg2=''"

struct callers {
        sd_bus *bus;
        sd_bus_slot *match;
        struct check *checks;           /* that wait for an answer */
        callers_gone_t gone;
        void *userdata;
};

struct check {
        struct callers *callers;
        struct check *next;
        sd_bus_slot *slot;
        char *caller;
};

static int on_name_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        struct callers *callers = userdata;
        const char *name, *old_owner, *new_owner;
        int r;

        r = sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner);
        if (r < 0)
                return r;
        if (name[0] == ':' && new_owner[0] == '\0')
                callers->gone(name, callers->userdata);
        return 0;
}

int callers_new(struct callers **ret_callers, sd_bus *bus, callers_gone_t gone, void *userdata) {
        AUTO(callers_freep) struct callers *callers = NULL;
        int r;

        callers = malloc(sizeof *callers);
        if (!callers)
                return -ENOMEM;
        *callers = (struct callers) { .bus = sd_bus_ref(bus), .gone = gone, .userdata = userdata };
        r = sd_bus_add_match(bus, &callers->match, DEPARTURES, on_name_owner_changed, callers);
        if (r < 0)
                return r;
        *ret_callers = callers;
        callers = NULL;
        return 0;
}

static void check_free(struct check *check) {
        struct check **p = &check->callers->checks;

        while (*p != check)
                p = &(*p)->next;
        *p = check->next;
        sd_bus_slot_unref(check->slot);
        free(check->caller);
        free(check);
}

struct callers *callers_free(struct callers *callers) {
        if (!callers)
                return NULL;
        while (callers->checks)
                check_free(callers->checks);
        sd_bus_slot_unref(callers->match);
        sd_bus_unref(callers->bus);
        free(callers);
        return NULL;
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        struct check *check = userdata;
        struct callers *callers = check->callers;

        if (sd_bus_message_is_method_error(reply, NAME_HAS_NO_OWNER))
                callers->gone(check->caller, callers->userdata);
        check_free(check);
        return 0;
}

int callers_check(struct callers *callers, const char *caller) {
        struct check *check;
        int r;

        if (*caller == '\0')           /* on another bus: nobody here hears of his end */
                return 0;
        check = malloc(sizeof *check);
        if (!check)
                return -ENOMEM;
        *check = (struct check) { .callers = callers, .next = callers->checks, .caller = strdup(caller) };
        callers->checks = check;
        r = check->caller ? sd_bus_call_method_async(callers->bus, &check->slot, DBUS_NAME, DBUS_PATH, DBUS_NAME, "GetNameOwner", on_owner,
                                                     check, "s", caller)
                          : -ENOMEM;
        if (r < 0)
                check_free(check);
        return r < 0 ? r : 0;
}
