/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A policy as dbus-broker takes it from its controller.
 *
 * The form is dbus-broker's own and documented only by its source (src/launch/policy.c, policy_export(); src/bus/policy.c,
 * policy_registry_import()). It is a variant with one structure:
 *
 *   a(u BATCH)         rules of a user; uid 2^32 - 1: of everyone who has none of his own, so those of a user must repeat everyone's
 *   a(buu BATCH)       true, N, N: more rules for members of group N; false, N, M: for users N to M
 *   a(ss)              SELinux contexts of names
 *   b                  whether AppArmor decides as well
 *   s                  type of the bus
 *
 * with BATCH a structure of
 *
 *   bt                 may connect, priority
 *   a(btbs)            owning: verdict, priority, whether a prefix, name
 *   a(btssssuutt)      sending: verdict, priority, name of the receiver, path, interface, member, message type, broadcast
 *                      (0: either), least and most descriptors; "" and 0 match anything
 *   a(btssssuutt)      receiving: the same, with the name of the sender
 *
 * The rule of the highest priority decides, whatever the order. Without one the answer is no; replies are never asked about.
 */

#include <systemd/sd-bus.h>

#include "policy.h"

/* Appends a resolved policy to a message, as the variant that AddListener and SetPolicy want. Returns 0 or a negative errno. */
int broker_policy_append(const struct policy *policy, sd_bus_message *m);
