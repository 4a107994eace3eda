# Makes an image of a few programs of this host and the libraries that they need: the smallest with a shell and them in it.
# Arguments: the image's name, the programs.
set -eu
name=$1
shift
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
for program in "$@"; do
  for file in "$program" $(ldd "$program" | grep -o '/[^ ]*'); do
    install -D "$(readlink -f "$file")" "$root$file"
  done
done
ln -s dash "$root/bin/sh"
tar -C "$root" -c . | docker import - "$name" >/dev/null
