# bash: careen completion bash > /etc/bash_completion.d/careen
_careen() {
    local line=${COMP_LINE:0:COMP_POINT} directive=4 reply
    local -a words
    read -ra words <<< "$line"
    # Behind a blank a new word begins.
    if [[ $line == *[[:space:]] ]]; then words+=(""); fi
    local current=${words[${#words[@]} - 1]} program=${1/#\~/$HOME}
    COMPREPLY=()
    while IFS= read -r reply; do
        if [[ $reply == :* ]]; then directive=${reply#:}; else COMPREPLY+=("$reply"); fi
    done < <("$program" __completeNoDesc "${words[@]:1}" 2>/dev/null)
    # bash replaces what stands behind the last = or : alone.
    local breaks=${COMP_WORDBREAKS//[^=:]/} kept
    if [[ -n $breaks && $current == *[$breaks]* ]]; then
        kept=${current%"${current##*[$breaks]}"}
        COMPREPLY=("${COMPREPLY[@]#"$kept"}")
    fi
    case $directive in
        0) compopt -o default ;;
        16) compopt -o dirnames ;;
    esac
}
complete -F _careen careen
