/**
 * The completion script for bash. The zsh and fish scripts are those of @bomb.sh/tab; its bash script needs the package
 * bash-completion and evaluates the words typed so far, so that completing `swarm service rm $(reboot)` would run it.
 * This one needs bash alone and hands the words over as they are.
 */
export function bashScript(program: string): string {
  const name = `_${program.replaceAll('-', '_')}_complete`;
  return `# bash completion for ${program}: source it, or put it into /usr/share/bash-completion/completions/${program}
${name}() {
    local line=\${COMP_LINE:0:COMP_POINT} current skip answer directive value
    local -a words=()
    read -r -a words <<< "$line"
    if [[ $line == *[[:space:]] ]]; then words+=(''); fi
    current=\${words[\${#words[@]}-1]}
    # Bash ends words at these; what is before them stays on the line.
    skip=\${current%"\${current##*[=:]}"}
    COMPREPLY=()
    answer=$("\${words[0]}" complete -- "\${words[@]:1}" 2>/dev/null) || return
    while IFS=$'\\n' read -r value; do
        if [[ $value == :* ]]; then directive=\${value#:}; continue; fi
        value=\${value%%$'\\t'*}
        COMPREPLY+=("\${value#"$skip"}")
    done <<< "$answer"
    if [[ \${#COMPREPLY[@]} -eq 0 && $(( directive & 4 )) -eq 0 ]]; then compopt -o default; fi
}
complete -F ${name} ${program}
`;
}
