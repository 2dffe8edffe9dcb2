#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A disk, a VM that has it, and what can go wrong: with busctl.
#
#     busctl_client.sh ADDRESS DIRECTORY      of the bus; an empty one, for the disk
#
# Debian: systemd.
set -euo pipefail
bus=$1 directory=$2

# Calls METHOD of INTERFACE (as in Manager) of the object at PATH of org.xen.xcp.SERVICE. Prints what it returns.
call() {
        busctl --address="$bus" call "org.xen.xcp.$1" "$2" "org.xen.xcp.${1}1.$3" "${@:4}"
}

# Prints the object path in a text such as: o "/org/xen/xcp/storage/task/1".
path_in() {
        sed -E 's/.*"(\/[^"]*)".*/\1/' <<<"$1"
}

# Calls a method that returns a task, and waits for the task's end. Sets finished to the message that says how it ended: state, result
# and error. The task belongs to its caller, which has left the bus when it has printed the answer: then the task goes with its end.
# So somebody else has to listen, and to have begun before.
run() {
        local task

        coproc MONITOR { exec busctl --address="$bus" --json=short monitor --match="interface='org.xen.xcp.Task1',member='Finished'" 2>&1; }
        read -r -u "${MONITOR[0]}"      # Monitoring bus message stream.
        task=$(path_in "$(call "$@")")
        while read -r -u "${MONITOR[0]}" finished && [[ $finished != *"\"path\":\"$task\""* ]]; do :; done
        printf '%s\n' "$finished"
        kill "$MONITOR_PID"
        wait "$MONITOR_PID" || true
}

busctl --address="$bus" --no-pager list
busctl --address="$bus" --no-pager introspect org.xen.xcp.storage /org/xen/xcp/storage

run storage /org/xen/xcp/storage Manager CreateSR 'a{sv}' 3 name s local driver s directory config 'a{ss}' 1 path "$directory"
sr=$(path_in "$finished")
run storage "$sr" SR CreateVDI 'a{sv}' 2 name s root size t 67108864
vdi=$(path_in "$finished")
call storage "$sr" SR ListVDIs

spec=('a{sv}' 4 name s web backend s noop backend_options 'a{ss}' 1 start 1000 disks 'aa{sv}' 1 1 vdi o "$vdi")
vm=$(path_in "$(call xenopsd /org/xen/xcp/xenopsd Manager Create "${spec[@]}")")
busctl --address="$bus" --no-pager tree org.xen.xcp.xenopsd
run xenopsd "$vm" VM Start b false
busctl --address="$bus" get-property org.xen.xcp.xenopsd "$vm" org.xen.xcp.xenopsd1.VM Name State

run xenopsd "$vm" VM Start b false                              # BadPowerState, in Finished
call xenopsd /org/xen/xcp/xenopsd Manager LookupByName s nobody ||      # DoesNotExist, at once
        printf 'busctl ended with status %d\n' $?

run xenopsd "$vm" VM Stop u 1000
run xenopsd "$vm" VM Destroy
run storage "$vdi" VDI Destroy
run storage "$sr" SR Destroy
