#compdef careen
# zsh: careen completion zsh > /usr/share/zsh/vendor-completions/_careen
_careen() {
    local line name directive=4
    local -a found
    while IFS= read -r line; do
        if [[ $line == :* ]]; then
            directive=${line#:}
            continue
        fi
        # A colon ends the name for _describe.
        name=${${line%%$'\t'*}//:/\\:}
        if [[ $line == *$'\t'* ]]; then found+=("$name:${line#*$'\t'}"); else found+=("$name"); fi
    done < <("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    (( $#found )) && _describe 'careen' found
    case $directive in
        0) _files ;;
        16) _files -/ ;;
    esac
}
if [[ ${funcstack[1]} == _careen ]]; then
    _careen "$@"
else
    compdef _careen careen
fi
