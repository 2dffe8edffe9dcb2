/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What driver.h says of drivers, for packed rings; driver.c is who calls it. */

#include "driver.h"

int vhost_driver_packed_new(struct vhost_driver_packed **ret_packed, struct vhost_driver_memory *memory, uint16_t size);
void vhost_driver_packed_put(struct vhost_driver *driver, uint16_t head);
bool vhost_driver_packed_publish(struct vhost_driver *driver);
bool vhost_driver_packed_take(struct vhost_driver *driver, uint32_t *ret_head, uint32_t *ret_length);
bool vhost_driver_packed_ask(struct vhost_driver *driver);
