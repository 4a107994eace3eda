# Shared by this payload's commands. No command itself: it lies in a directory of its own.
set -eu
umask 077
cd "$(dirname "$0")"

say() { echo "ssh-keys: $*"; }
fail() { echo "ssh-keys: $*" >&2; exit 1; }

begin='# BEGIN careen: keys of the team, changes in here are undone'
end='# END careen'

# The account that the keys open: the first argument, root without one.
account=${1:-root}
entry=$(getent passwd "$account" || awk -F : -v account="$account" '$1 == account' /etc/passwd)
[ -n "$entry" ] || fail "this host has no account '$account'"
uid=$(echo "$entry" | cut -d : -f 3)
gid=$(echo "$entry" | cut -d : -f 4)
home=$(echo "$entry" | cut -d : -f 6)
case $home in /*) ;; *) fail "the account '$account' has no home" ;; esac
[ -d "$home" ] || fail "the home of '$account', $home, does not exist"
directory=$home/.ssh
file=$directory/authorized_keys

# What nobody could log in with is not put there, and what would give more than a login neither.
check_keys() {
	! grep -q 'PRIVATE KEY' keys || fail "the file keys has a private key in it: that belongs nowhere near a payload"
	grep -v -e '^[[:space:]]*#' -e '^[[:space:]]*$' keys >"$work/keys" || fail "the file keys has no key: everybody would be locked out"
	bad=$(grep -n -v -E '(^|[[:space:]])(ssh-(ed25519|rsa)|ecdsa-sha2-nistp[0-9]+|sk-[a-z0-9@.-]+)[[:space:]]+[A-Za-z0-9+/]+=*([[:space:]]|$)' "$work/keys" || true)
	[ -z "$bad" ] || fail "no key that sshd knows: line $bad"
}

# The file as it should be, on standard output: the block in its place, everything else as it is.
wanted() {
	[ ! -e "$file" ] || cat "$file" >"$work/now"
	[ -e "$work/now" ] || : >"$work/now"
	awk -v begin="$begin" -v end="$end" -v keys="$1" '
		function block(   line) {
			if (keys == "") return
			print begin
			while ((getline line <keys) > 0) print line
			print end
		}
		$0 == begin { if (inside || seen) exit bad = 1; inside = seen = 1; block(); next }
		$0 == end { if (!inside) exit bad = 1; inside = 0; next }
		!inside
		END {
			if (bad || inside) exit 1
			if (!seen) block()
		}
	' "$work/now" >"$work/wanted" ||
		fail "$file has the marks of the block, but not one begin with its end behind it: mend it by hand; nothing was changed"
}

# The helper's options for the file: sshd refuses keys that others could change.
put() { careen-agent file "$@" --src "$work/wanted" --mode 0600 --owner "$uid:$gid" "$file"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
