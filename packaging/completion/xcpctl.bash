# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of xcpctl(1) in bash. xcpctl itself tells what there is: commands, options, and the names of what is on the bus.
#
# Needs nothing but bash.

_xcpctl() {
        local last before lines line i
        local -a words=()

        # bash takes "=" and ":" for words of their own, which they are not for xcpctl.
        for ((i = 1; i <= COMP_CWORD; i++)); do
                if ((${#words[@]} > 0)) && [[ ${COMP_WORDS[i]} == [=:]* || ${COMP_WORDS[i - 1]} == *[=:] ]]; then
                        words[-1]+=${COMP_WORDS[i]}
                else
                        words+=("${COMP_WORDS[i]}")
                fi
        done
        last=${words[-1]}
        before=${last%"${last##*[=:]}"}
        if [[ $last == --*=* ]]; then
                words[-1]=${last%%=*}
                words+=("${last#*=}")
                before=${before#*=}
        fi

        COMPREPLY=()
        mapfile -t lines < <("${1/#\~\//$HOME/}" --complete "${words[@]}" 2>/dev/null)
        for line in "${lines[@]}"; do
                if [[ $line == :files ]]; then
                        mapfile -t COMPREPLY < <(compgen -f -- "${words[-1]}")
                        compopt -o filenames 2>/dev/null
                        return
                fi
                line=${line%%$'\t'*}
                COMPREPLY+=("${line#"$before"}")
        done
}

complete -F _xcpctl xcpctl
