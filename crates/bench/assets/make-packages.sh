# Makes a repository of small packages, each in the versions 1 and 2. Arguments: its directory, how many packages. On the
# machine; hosts get it as it is.
set -eu
directory=$1 count=$2
mkdir -p "$directory"
cd "$directory"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
mkdir -p "$tree/DEBIAN"
for number in $(seq -w 1 "$count"); do
  name=careen-bench-$number
  rm -rf "$tree/usr"
  mkdir -p "$tree/usr/share/$name"
  for version in 1 2; do
    seq "$version" 2000 >"$tree/usr/share/$name/data"
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: bench <bench@localhost>\nDescription: made for a bench\n' \
      "$name" "$version" >"$tree/DEBIAN/control"
    dpkg-deb --build --root-owner-group -Zgzip "$tree" "${name}_$version.deb" >/dev/null
    {
      cat "$tree/DEBIAN/control"
      deb=${name}_$version.deb
      printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d' ' -f1)"
    } >>Packages
  done
done
printf 'Origin: bench\nLabel: bench\nSuite: bench\nDate: %s\nSHA256:\n %s %s Packages\n' "$(date -Ru)" \
  "$(sha256sum <Packages | cut -d' ' -f1)" "$(stat -c %s Packages)" >Release
