/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * For tests: the hypervisor's own logic behind sockets in this process, without domains' kernels and a store.
 */

#include <glib.h>
#include <stdint.h>

#include "domain.h"

#define TEST_DOMAINS 3                  /* domains 0, 1 and 2 */

struct test_hypervisor;

/* Starts with TEST_DOMAINS domains, which have the default limits. */
struct test_hypervisor *test_hypervisor_start(void);
void test_hypervisor_stop(struct test_hypervisor *hypervisor);

/* From now on, what this process opens belongs to that domain. */
void test_hypervisor_enter(struct test_hypervisor *hypervisor, uint32_t domid);

/* What is counted of a domain: a consistent copy. Waits until everything that was closed before is gone. */
struct domain test_hypervisor_domain(struct test_hypervisor *hypervisor, uint32_t domid);

void test_hypervisor_raise_virq(struct test_hypervisor *hypervisor, uint32_t domid, uint32_t virq);
