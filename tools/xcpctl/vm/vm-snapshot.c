/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl vm snapshot: what VMs were at moments that were kept. */

#include "contract.h"
#include "objects.h"
#include "operation.h"
#include "result.h"

#define VM "org.xen.xcp.xenopsd1.VM"

static bool run_list(struct context *context, const struct arguments *arguments, GError **error) {
        g_autofree char *path = objects_find(context, PARAMETER_VM, NULL, arguments_get(arguments, "VM"), error);
        g_autoptr(GVariant) properties = path ? client_properties(context, CLIENT_XENOPSD, path, VM, error) : NULL;
        const struct contract_value *known = contract_property(VM, "Snapshots");
        g_autoptr(GVariant) snapshots = NULL;

        if (!properties)
                return false;
        snapshots = g_variant_lookup_value(properties, "Snapshots", G_VARIANT_TYPE("a(stb)"));
        if (!snapshots) {               /* of a manager that has none yet */
                context_fail(error, CONTEXT_ERROR_FAILED, "the VM manager on this bus knows no snapshots");
                return false;
        }
        return result_show_value(context, snapshots, known->type, "snapshots", error);
}

#define VM_PARAMETER { "VM", PARAMETER_VM, "Its name, its UUID or the beginning of that, or its object path." }
#define SNAPSHOT_PARAMETER { "SNAPSHOT", PARAMETER_SNAPSHOT, "Which, as vm snapshot list has them." }

const struct command vm_snapshot_commands[] = {
        {
                .name = "vm snapshot create",
                .summary = "Keep what a VM is at this moment: its disks, and unless it is Halted its memory.",
                .details = "A guest that runs stands still until its memory is written and read again.",
                .parameters = (const struct parameter[]) {
                        VM_PARAMETER,
                        { "NAME", PARAMETER_TEXT, "What to call it; no other snapshot's of this VM." },
                        PARAMETER_KEYS_OF("SnapshotOptions"),
                        {},
                },
                OPERATION(VM, "Snapshot"),
        },
        {
                .name = "vm snapshot list",
                .summary = "List the snapshots of a VM, the oldest first.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, {} },
                .run = run_list,
        },
        {
                .name = "vm snapshot revert",
                .summary = "Make a VM, which is Halted or Saved, what it was. What its disks were since is lost.",
                .details = "A VM that ran is Saved then: vm restore lets it go on from there.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, SNAPSHOT_PARAMETER, {} },
                OPERATION(VM, "Revert"),
        },
        {
                .name = "vm snapshot delete",
                .summary = "Forget a snapshot, and destroy what was kept for it.",
                .parameters = (const struct parameter[]) { VM_PARAMETER, SNAPSHOT_PARAMETER, {} },
                OPERATION(VM, "DeleteSnapshot"),
        },
        {},
};
