/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a service needs beside the headers of its interfaces: see idl/README.md. */

#include "arena.h"
#include "call.h"
#include "copy.h"
#include "error.h"
#include "export.h"
#include "interface.h"
#include "reader.h"
#include "variant.h"

#include "idl-errors.h"
