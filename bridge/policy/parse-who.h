/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading which domains a line is about. For the other files of this directory. */

#include "policy-words.h"
#include "rule.h"

/* Takes all words that are left, at least one. After a failure too, whos is for whos_done(). */
int whos_take(struct policy_line *line, struct whos *whos);
