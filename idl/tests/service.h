/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * For tests: a service with org.xen.xcp.test1.Everything at TEST_PATH, made from generated code.
 *
 * It answers with what it was asked. Below TEST_TREE it has two more objects, .../a and .../b, found by a function, and an
 * org.freedesktop.DBus.ObjectManager above all of them. Each call of Old announces .../a as if it were new.
 */

#include <systemd/sd-bus.h>

#define TEST_PATH "/org/xen/xcp/test"
#define TEST_TREE "/org/xen/xcp/test/tree"

struct test_service;

int test_service_new(struct test_service **ret_service, sd_bus *bus);
struct test_service *test_service_free(struct test_service *service);
