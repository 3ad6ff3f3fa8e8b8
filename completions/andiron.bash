# Completion of andiron(1) for bash. The program itself says what a word may be; where it says nothing, files are offered.

_andiron() {
  local IFS=$'\n'
  mapfile -t COMPREPLY < <(compgen -W "$("$1" complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}")
}

complete -o default -F _andiron andiron
