# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the D-Bus interfaces in idl/*.xml to C for sd-bus, to their reference, and to answers about them."""
