# An archive on a node, of packages that a test makes. Sourced by the scripts of upgrade.rs; `copy:` makes apt fetch them as
# from a server.
ARCHIVE=/srv/careen-test/apt
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
set -e

# The only archive that this node knows from now on, empty.
new_archive() {
	rm -rf /srv/careen-test /etc/apt/sources.list.d/*
	mkdir -p "$ARCHIVE" /srv/careen-test/security
	echo "deb [trusted=yes] copy:$ARCHIVE ./" >/etc/apt/sources.list
}

# pkg NAME VERSION [LINE OF CONTROL]... ; with $CONFFILE in it as its configuration, $POSTINST as its script, into $INTO
pkg() {
	name=$1 version=$2 tree=$(mktemp -d)
	shift 2
	mkdir -p "$tree/DEBIAN" "$tree/usr/share/careen-test"
	chmod 755 "$tree"
	echo "$version" >"$tree/usr/share/careen-test/$name"
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: test <test@localhost>\n' "$name" "$version"
		printf '%s\n' "$@" | sed '/^$/d'
		echo 'Description: made for a test'
	} >"$tree/DEBIAN/control"
	if [ -n "${CONFFILE:-}" ]; then
		mkdir -p "$tree/etc"
		echo "$CONFFILE" >"$tree/etc/$name.conf"
		echo "/etc/$name.conf" >"$tree/DEBIAN/conffiles"
	fi
	if [ -n "${POSTINST:-}" ]; then
		printf '#!/bin/sh\nset -e\n%s\n' "$POSTINST" >"$tree/DEBIAN/postinst"
		chmod 755 "$tree/DEBIAN/postinst"
	fi
	dpkg-deb --build --root-owner-group -Znone "$tree" "${INTO:-$ARCHIVE}/${name}_$version.deb" >/dev/null
	rm -rf "$tree"
}

# again NAME VERSION: an installed package as it is, under another version.
again() {
	tree=$(mktemp -d)
	mkdir -p "$tree/DEBIAN"
	chmod 755 "$tree"
	dpkg-query --status "$1" | sed "/^Status:/d; s/^Version: .*/Version: $2/" >"$tree/DEBIAN/control"
	dpkg-query --listfiles "$1" | while read -r file; do
		[ -d "$file" ] && [ ! -L "$file" ] || [ ! -e "$file" ] || cp -a --parents "$file" "$tree"
	done
	dpkg-deb --build -Znone "$tree" "$ARCHIVE/$1_$2.deb" >/dev/null
	rm -rf "$tree"
}

# publish [DIRECTORY SUITE]: writes the indexes.
publish() {
	(
		cd "${1:-$ARCHIVE}"
		for deb in *.deb; do
			[ -e "$deb" ] || continue
			dpkg-deb --field "$deb"
			printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d' ' -f1)"
		done >Packages
		printf 'Origin: test\nLabel: test\nSuite: %s\nDate: %s\nSHA256:\n %s %s Packages\n' "${2:-test}" "$(date -Ru)" \
			"$(sha256sum <Packages | cut -d' ' -f1)" "$(stat -c %s Packages)" >Release
	)
}

install_now() { apt-get -qq update && apt-get -qq -y install "$@" >/dev/null; }
version() { dpkg-query --showformat='${db:Status-Status} ${Version}' --show "$1"; }
