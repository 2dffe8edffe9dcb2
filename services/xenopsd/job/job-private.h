/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What job.c, which has a job begin and end, and job-steps.c, which does what is between, have of each other. */

#include "job.h"

/* Does steps until one is under way, or the job has ended. */
void job_go_on(struct job *job);

/* Nothing more is to be done: job->r says how it went. The next one begins. job is gone then. */
void job_end(struct job *job);
