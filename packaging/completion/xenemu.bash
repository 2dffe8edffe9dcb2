# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of xenemu(1) in bash: commands, options, domains, and for exec the program and what it takes.
#
# Needs nothing but bash. Domains are asked of xenemu itself, so only those in the run directory that the line or $XCP_RUNDIR names are
# offered.

# Prints the domids, and the names that need no quotes, of the domains that are not dying; of guests only if the first argument says so.
# The others are how to run xenemu.
_xenemu_domains() {
        local others='"state": "dying"'

        [[ $1 != guests ]] || others+='\|"domid": 0,'
        "${@:2}" list --json 2>/dev/null | sed -n \
                -e "/$others/d" \
                -e 's/^ *{"domid": \([0-9]*\), "name": "\([A-Za-z0-9._+-][A-Za-z0-9._+-]*\)", .*/\1\n\2/p; t' \
                -e 's/^ *{"domid": \([0-9]*\), .*/\1/p'
}

# Offers those of the words that begin with the first argument, and no blank after one that ends in "=".
_xenemu_offer() {
        local current=$1 word

        shift
        for word; do
                [[ $word == "$current"* ]] || continue
                COMPREPLY+=("$word")
                [[ $word != *= ]] || compopt -o nospace 2>/dev/null
        done
}

# Offers options where something else is expected: only if what is there begins like one.
_xenemu_offer_options() {
        [[ $1 != -* ]] || _xenemu_offer "$@"
}

_xenemu_offer_directories() {
        mapfile -t COMPREPLY < <(compgen -d -- "$1")
        compopt -o filenames 2>/dev/null
}

_xenemu_offer_domains() {
        local domains

        mapfile -t domains < <(_xenemu_domains "${@:2}")
        _xenemu_offer "$1" "${domains[@]}"
}

# Offers the values of an option. Returns 1 if it is none that takes a value.
_xenemu_offer_value() {
        case $1 in
        --rundir | --keep) _xenemu_offer_directories "$2" ;;
        --limit) _xenemu_offer "$2" handles= ports= shared-pages= grants= maptrack= ;;
        --domains | --end-domid | --name | --uuid) ;;
        *) return 1 ;;
        esac
        return 0
}

# Completes the program of exec, whose first word is number $1 of the line, as if it stood alone.
_xenemu_program() {
        local first=$1

        if declare -F _command_offset >/dev/null; then
                _command_offset "$first"
        elif ((COMP_CWORD > first)); then
                compopt -o default 2>/dev/null
        else
                mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
                compopt -o filenames 2>/dev/null
        fi
}

# Completes what follows exec, which is number $1 of the line. The other arguments are how to run xenemu.
_xenemu_exec() {
        local domain=$(($1 + 1)) current=${COMP_WORDS[COMP_CWORD]}

        if ((COMP_CWORD == domain)); then
                _xenemu_offer_domains "$current" all "${@:2}"
                _xenemu_offer_options "$current" --help
        elif ((COMP_CWORD == domain + 1)) && [[ -- == "$current"* ]]; then
                COMPREPLY=(--)
        elif [[ ${COMP_WORDS[domain + 1]} == -- ]]; then
                _xenemu_program $((domain + 2))
        else
                _xenemu_program $((domain + 1))
        fi
}

_xenemu() {
        local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' i
        local -a xenemu=("${1/#\~\//$HOME/}")

        COMPREPLY=()
        for ((i = 1; i < COMP_CWORD; i++)); do
                case ${COMP_WORDS[i]} in
                --rundir)
                        ((++i < COMP_CWORD)) || break
                        xenemu+=(--rundir "${COMP_WORDS[i]/#\~\//$HOME/}")
                        ;;
                -*) ;;
                *)
                        command=${COMP_WORDS[i]}
                        break
                        ;;
                esac
        done

        if [[ $command == exec ]]; then
                _xenemu_exec "$i" "${xenemu[@]}"
                return
        fi

        # bash takes "=" for a word of its own. Before it is an option, or a limit, of which nobody knows how large it is to be.
        if [[ $current == = ]]; then
                current=''
        elif [[ $previous == = ]]; then
                previous=${COMP_WORDS[COMP_CWORD - 2]}
        fi
        ! _xenemu_offer_value "$previous" "$current" || return 0
        [[ ${COMP_WORDS[COMP_CWORD]} != = && ${COMP_WORDS[COMP_CWORD - 1]} != = ]] || return 0

        case $command in
        '')
                _xenemu_offer "$current" up down list create destroy exec forget
                _xenemu_offer_options "$current" --rundir --help --version
                ;;
        up) _xenemu_offer "$current" --domains --isolate --no-isolate --limit --keep --end-domid --help ;;
        down | forget) _xenemu_offer "$current" --help ;;
        list) _xenemu_offer "$current" --json --help ;;
        create) _xenemu_offer "$current" --name --uuid --isolate --no-isolate --limit --help ;;
        destroy)
                ((COMP_CWORD > i + 1)) || _xenemu_offer_domains "$current" guests "${xenemu[@]}"
                _xenemu_offer_options "$current" --help
                ;;
        esac
}

complete -F _xenemu xenemu
