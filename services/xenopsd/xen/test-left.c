/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Network interfaces that QEMU still has: where a guest that had some is made anew. */

#include <errno.h>
#include <string.h>

#include <glib.h>

#include "left.h"

static void add(struct xen_facts *facts, bool is_disk, const char *name, bool is_plugged, bool is_left) {
        struct xen_facts_device *device;

        g_assert_cmpint(xen_facts_add(facts, is_disk, name, &device), ==, 0);
        device->is_plugged = is_plugged;
        device->is_left = is_left;
}

/* What was saved with five interfaces, of which two are plugged. */
static void prepare(libxl_domain_config *ret_config, struct xen_facts *facts) {
        static const int devids[] = { 3, 1 };

        add(facts, true, "root", true, false);
        add(facts, false, "gone", false, true);
        add(facts, false, "there", true, false);
        add(facts, false, "for-xen-only", false, false);
        add(facts, false, "plugged-again", true, true);
        add(facts, false, "gone-too", false, true);
        libxl_domain_config_init(ret_config);
        ret_config->nics = g_new0(libxl_device_nic, G_N_ELEMENTS(devids));
        for (size_t i = 0; i < G_N_ELEMENTS(devids); i++) {
                libxl_device_nic_init(ret_config->nics + i);
                ret_config->nics[i].devid = devids[i];
                ret_config->num_nics++;
        }
}

/* In the order of their numbers, as they are on the bus by that; joined to nothing. */
static void test_those_that_are_left_are_added(void) {
        static const int devids[] = { 0, 1, 3, 4 };
        struct xen_facts facts = {};
        libxl_domain_config config;

        prepare(&config, &facts);
        g_assert_cmpint(xen_left_add(&config, &facts), ==, 0);
        g_assert_cmpint(config.num_nics, ==, G_N_ELEMENTS(devids));
        for (size_t i = 0; i < G_N_ELEMENTS(devids); i++) {
                bool is_left = i == 0 || i == 3;

                g_assert_cmpint(config.nics[i].devid, ==, devids[i]);
                g_assert_cmpstr(config.nics[i].script, ==, is_left ? "/bin/true" : NULL);
                g_assert_true(!is_left || config.nics[i].nictype == LIBXL_NIC_TYPE_VIF_IOEMU);
        }
        libxl_domain_config_dispose(&config);
}

static void test_without_any_nothing_changes(void) {
        struct xen_facts facts = {};
        libxl_domain_config config;

        prepare(&config, &facts);
        for (size_t i = 0; i < facts.n_devices; i++)
                facts.devices[i].is_left = false;
        g_assert_cmpint(xen_left_add(&config, &facts), ==, 0);
        g_assert_cmpint(config.num_nics, ==, 2);
        g_assert_cmpint(config.nics[0].devid, ==, 3);
        libxl_domain_config_dispose(&config);
}

/* What a file says of a device. */
static void test_facts_tell(void) {
        static const char *const known[] = { "gone", "there", "for-xen-only", "plugged-again" };
        g_autofree char *text = g_malloc(FACTS_SIZE_MAX);
        struct xen_facts facts = { .phase = FACTS_STARTED }, again;
        libxl_domain_config config;

        prepare(&config, &facts);
        g_assert_cmpint(xen_facts_print(&facts, "boot", text, FACTS_SIZE_MAX), ==, 0);
        g_assert_nonnull(strstr(text, "\nnetwork gone 0 2\nnetwork there 1 1\nnetwork for-xen-only 2 0\nnetwork plugged-again 3 3\n"));
        g_assert_cmpint(xen_facts_parse(&again, text, "boot"), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
                const struct xen_facts_device *device = xen_facts_find(&facts, false, known[i]);
                const struct xen_facts_device *found = xen_facts_find(&again, false, known[i]);

                g_assert_cmpint(found->is_plugged, ==, device->is_plugged);
                g_assert_cmpint(found->is_left, ==, device->is_left);
        }
        strstr(text, "gone 0 2")[7] = '4';
        g_assert_cmpint(xen_facts_parse(&again, text, "boot"), ==, -EBADMSG);
        libxl_domain_config_dispose(&config);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/xen/left/those-that-are-left-are-added-in-the-order-of-their-numbers", test_those_that_are_left_are_added);
        g_test_add_func("/xen/left/without-any-nothing-changes", test_without_any_nothing_changes);
        g_test_add_func("/xen/left/facts-tell", test_facts_tell);
        return g_test_run();
}
