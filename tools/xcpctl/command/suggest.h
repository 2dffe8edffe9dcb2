/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a person meant who wrote a word that there is not: of those names (NULL ends them) the one that is nearly the text, in whatever case; NULL: none is. */
const char *suggest_near(const char *text, const char *const *names);
