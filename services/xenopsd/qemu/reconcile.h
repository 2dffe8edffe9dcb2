/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Devices of which it is not known what QEMU has of them: because who plugged one gave up before QEMU had answered, or a manager ended in the middle of it; or because
 * the guest has let go of one when nobody waited for that any more.
 *
 * What a guest has is what QEMU says. One that it is not to have is taken back, which takes the guest's kernel; and of one that it does not have, what was behind it goes.
 * QEMU does one command after another: so what is asked for here comes after what was given up, whenever that is done.
 */

#include "guest.h"

/* Looks at all devices that can be plugged, but for those that something is done with. */
void reconcile_devices(struct qemu_guest *guest);

/* DEVICE_DELETED, for which nobody has waited. */
void reconcile_hear_deleted(struct qemu_guest *guest, struct json_object *data);

/* Whether a device is among those that qom-list has told of (RECONCILE_DEVICES). */
bool reconcile_has_device(struct json_object *untrusted_list, const char *id);

#define RECONCILE_DEVICES "/machine/peripheral"
