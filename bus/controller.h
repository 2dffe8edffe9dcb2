/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * dbus-broker as the broker. It does nothing by itself: a controller, which is us, hands it the listening socket and the policy and tells
 * it which names can be activated, and is asked to activate them. They talk D-Bus over a socket pair, without a bus between them:
 *
 *   to the broker, /org/bus1/DBus/Broker, interface org.bus1.DBus.Broker
 *     AddListener(o listener, h socket, v policy)
 *     AddName(o name_object, s name, u uid)      uid: whom it costs when calls wait for the name
 *   to the broker, /org/bus1/DBus/Listener/N, interface org.bus1.DBus.Listener
 *     SetPolicy(v policy)
 *   to the broker, /org/bus1/DBus/Name/N, interface org.bus1.DBus.Name
 *     Reset(t serial, s error)                   the activation with this serial has failed; others are not touched
 *     Release()                                  cannot be activated any more
 *   to us, from the same objects
 *     signal Activate(t serial)                  of a name
 *     signal SetActivationEnvironment(a{ss})     of the broker: a privileged client called UpdateActivationEnvironment
 *   to us, /org/bus1/DBus/Controller, interface org.bus1.DBus.Controller
 *     ReloadConfig()                             a client called the bus's ReloadConfig
 *
 * That is dbus-broker 33's protocol, as its source has it (src/broker/controller-dbus.c); docs/bus.md says what it is tested with.
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "configuration.h"
#include "listener.h"

struct controller;

/* Reads the configuration again and hands it to controller_reload(). Returns 0 or a negative errno. */
typedef int (*controller_reload_t)(void *userdata);

/* Starts the broker and waits until it serves. The address is for the services. Returns 0, or a negative errno after a report. */
int controller_new(sd_event *event, const struct settings *settings, const struct configuration *configuration, struct listener *listener,
                   controller_reload_t reload, void *userdata, struct controller **ret_controller);

struct controller *controller_free(struct controller *controller);

pid_t controller_broker(const struct controller *controller);

/* Lets the broker have new names and a new policy, and waits until they count. Returns 0, or a negative errno after a report. */
int controller_reload(struct controller *controller, const struct configuration *configuration);

/* Tells that a child has ended, which may be a service. */
void controller_child_ended(struct controller *controller, pid_t pid, int status);
