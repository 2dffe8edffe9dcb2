/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages that GLib marshals, for tests. */

#include <gio/gio.h>

#define TEST_VECTORS 6u

/* Makes message number i, with serial 7, in a byte order. */
GDBusMessage *test_vector(unsigned i, gboolean big_endian);

/* Its bytes. */
guint8 *test_vector_blob(unsigned i, gboolean big_endian, gsize *ret_n);
