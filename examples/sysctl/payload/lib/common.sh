# Shared by this payload's commands. No command itself: it lies in a directory of its own.
set -eu
umask 022
cd "$(dirname "$0")"

name=90-careen.conf
file=/etc/sysctl.d/$name

say() { echo "sysctl: $*"; }
fail() { echo "sysctl: $*" >&2; exit 1; }

# The settings of a file, one a line: 'KEY VALUE', or '-KEY VALUE' for one that may be missing.
settings() {
	sed -e 's/^[[:space:]]*//' -e '/^[#;]/d' -e 's/[[:space:]]*$//' -e '/^$/d' \
		-e 's/[[:space:]]*=[[:space:]]*/ /' "$1"
}

# Where the kernel has a key: dots and slashes change their meaning, as in sysctl.d(5).
path_of() {
	case $1 in
	*/*) echo "/proc/sys/$1" ;;
	*) echo "/proc/sys/$(printf '%s' "$1" | tr . /)" ;;
	esac
}

# Values of several numbers have tabs between them in the kernel.
plain() { printf '%s' "$1" | tr -s '[:space:]' ' ' | sed 's/ $//'; }

# The files that the boot reads behind ours, in its order: what they say of a key counts there.
later_files() {
	for directory in /etc /run /usr/local/lib /usr/lib /lib; do
		for found in "$directory"/sysctl.d/*.conf; do
			[ -e "$found" ] || continue
			base=${found##*/}
			# The same name in a directory before this one hides it.
			[ "$base" = "$name" ] || [ "$(printf '%s\n' "$base" "$name" | LC_ALL=C sort | head -n 1)" = "$base" ] || echo "$found"
		done
	done
}

# Calls '$1 KEY VALUE OPTIONAL' for each setting of the payload.
each() {
	settings "$name" >"$work/settings"
	while read -r key value; do
		optional=no
		case $key in -*) key=${key#-} optional=yes ;; esac
		"$1" "$key" "$(plain "$value")" "$optional"
	done <"$work/settings"
}

# Whether a later file says otherwise, so that the next boot undoes this.
overruled() {
	later_files | while read -r other; do
		settings "$other" | while read -r key value; do
			if [ "${key#-}" = "$1" ] && [ "$(plain "$value")" != "$2" ]; then echo "$other"; fi
		done
	done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
