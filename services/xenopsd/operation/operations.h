/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lists of steps: what each operation does, by the file that has its steps. */

#include "job.h"

/* operations.c */
extern const struct step prepare_steps[], start_steps[], stop_steps[], kill_steps[], reboot_steps[], reset_steps[], suspend_steps[],
        resume_steps[], destroy_steps[], memory_steps[], vcpus_steps[], release_steps[], restart_steps[];

/* operations-save.c */
extern const struct step save_steps[], restore_steps[];

/* operations-snapshot.c, operations-revert.c */
extern const struct step snapshot_steps[], delete_snapshot_steps[], revert_steps[];

/* What a snapshot left that was interrupted: VMs go on. */
void snapshots_recover(struct xenopsd *xenopsd);

/* operations-migrate.c */
extern const struct step migrate_steps[], receive_steps[];

/* operations-device.c */
extern const struct step add_device_steps[], plug_steps[], unplug_steps[], insert_steps[], eject_steps[], refresh_steps[], move_steps[],
        remove_steps[];
