/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command that words which are none are nearly, or which it is that other tools have by that name. To be freed; NULL: none. */
char *command_suggest(const char *words);
