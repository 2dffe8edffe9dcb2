# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of xcp-pvcalls-run(1) in bash: its options, then the program and what it takes.

_xcp_pvcalls_run() {
        local current=${COMP_WORDS[COMP_CWORD]} i=1

        COMPREPLY=()
        while ((i < COMP_CWORD)); do
                case ${COMP_WORDS[i]} in
                --net | --unix | --wait) ((i += 2)) ;;
                --)
                        ((i += 1))
                        break
                        ;;
                -*) ((i += 1)) ;;
                *) break ;;
                esac
        done
        if ((i > COMP_CWORD)); then
                return                                  # the value of an option, which nobody can guess
        elif ((i == COMP_CWORD)) && [[ $current == -* && ${COMP_WORDS[i - 1]} != -- ]]; then
                mapfile -t COMPREPLY < <(compgen -W '--net --all --ipv6 --unix --udp --wait --help --version --' -- "$current")
        elif declare -F _command_offset >/dev/null; then
                _command_offset "$i"
        elif ((i == COMP_CWORD)); then
                mapfile -t COMPREPLY < <(compgen -c -- "$current")
        else
                compopt -o default 2>/dev/null
        fi
}

complete -F _xcp_pvcalls_run xcp-pvcalls-run
