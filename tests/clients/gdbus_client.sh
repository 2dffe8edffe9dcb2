#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A disk, a VM that has it, and what can go wrong: with gdbus.
#
#     gdbus_client.sh ADDRESS DIRECTORY       of the bus; an empty one, for the disk
#
# Debian: libglib2.0-bin.
set -euo pipefail
bus=$1 directory=$2

# Calls METHOD (as in Manager.Create) of the object at PATH of org.xen.xcp.SERVICE. Prints what it returns.
call() {
        gdbus call --address "$bus" --dest "org.xen.xcp.$1" --object-path "$2" --method "org.xen.xcp.${1}1.$3" "${@:4}"
}

# Prints the last object path in a text such as ({'vdi': <objectpath '/org/xen/xcp/storage/vdi/1'>},).
path_in() {
        sed -E "s/.*objectpath '([^']*)'.*/\1/" <<<"$1"
}

# Prints what the monitor says about a task, up to its end. Sets finished to the last of it: state, result and error.
follow() {
        while read -r -u "${MONITOR[0]}" finished; do
                [[ $finished == "$1: "* ]] || continue
                printf '%s\n' "$finished"
                [[ $finished != *Task1.Finished* ]] || return 0
        done
}

# Has a service send a signal: its log level changes, and changes back.
say_something() {
        local level

        for level in Debug Info; do
                gdbus call --address "$bus" --dest "org.xen.xcp.$1" --object-path "/org/xen/xcp/$1" \
                        --method org.freedesktop.DBus.Properties.Set org.xen.xcp.Diagnostics1 LogLevel "<'$level'>" >/dev/null
        done
}

# Calls a method that returns a task, and follows that. The task belongs to its caller, which has left the bus when it has printed
# the answer: then the task goes with its end. So somebody else has to listen, and to have begun before.
run() {
        local task

        coproc MONITOR { exec gdbus monitor --address "$bus" --dest "org.xen.xcp.$1"; }
        until read -r -t 0.2 -u "${MONITOR[0]}" line && [[ $line == *LogLevel* ]]; do
                say_something "$1"
        done
        task=$(path_in "$(call "$@")")
        follow "$task"
        kill "$MONITOR_PID"
        wait "$MONITOR_PID" || true
}

gdbus wait --address "$bus" --activate org.xen.xcp.storage --timeout 20
gdbus introspect --address "$bus" --dest org.xen.xcp.storage --object-path /org/xen/xcp/storage

run storage /org/xen/xcp/storage Manager.CreateSR "{'name': <'local'>, 'driver': <'directory'>, 'config': <{'path': '$directory'}>}"
sr=$(path_in "$finished")
run storage "$sr" SR.CreateVDI "{'name': <'root'>, 'size': <uint64 67108864>}"
vdi=$(path_in "$finished")
call storage "$sr" SR.ListVDIs

disks="[{'vdi': <objectpath '$vdi'>}]"
spec="{'name': <'web'>, 'backend': <'noop'>, 'backend_options': <{'start': '1000'}>, 'disks': <$disks>}"
vm=$(path_in "$(call xenopsd /org/xen/xcp/xenopsd Manager.Create "$spec")")
run xenopsd "$vm" VM.Start false
call xenopsd /org/xen/xcp/xenopsd Manager.ListVms

run xenopsd "$vm" VM.Start false                                # BadPowerState, in Finished
call xenopsd /org/xen/xcp/xenopsd Manager.LookupByName nobody ||        # DoesNotExist, at once
        printf 'gdbus ended with status %d\n' $?

run xenopsd "$vm" VM.Stop 1000
run xenopsd "$vm" VM.Destroy
run storage "$vdi" VDI.Destroy
run storage "$sr" SR.Destroy
