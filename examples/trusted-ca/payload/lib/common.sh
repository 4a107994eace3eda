# Shared by this payload's commands. No command itself: it lies in a directory of its own.
set -eu
umask 022
cd "$(dirname "$0")"

say() { echo "trusted-ca: $*"; }
fail() { echo "trusted-ca: $*" >&2; exit 1; }

# Where this distribution's own certificates of others lie, what they end in, what makes one bundle of all, and the bundle.
# 'careen-' in the names tells ours apart where the directory is not ours alone.
if command -v update-ca-certificates >/dev/null && [ -d /usr/local/share/ca-certificates ]; then
	place=/usr/local/share/ca-certificates/careen ending=crt bundle=/etc/ssl/certs/ca-certificates.crt
	update() { update-ca-certificates; }
elif command -v update-ca-certificates >/dev/null && [ -d /etc/pki/trust/anchors ]; then
	place=/etc/pki/trust/anchors ending=pem bundle=/etc/ssl/ca-bundle.pem # SUSE
	update() { update-ca-certificates; }
elif command -v update-ca-trust >/dev/null; then
	place=/etc/pki/ca-trust/source/anchors ending=pem bundle=/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem
	update() { update-ca-trust extract; }
else
	fail "this host has neither update-ca-certificates nor update-ca-trust: install the package ca-certificates first"
fi

# The payload's certificates, one file each, looked at before anything is changed.
certificates() {
	found=no
	for certificate in ca/*.crt ca/*.pem; do
		[ -e "$certificate" ] || continue
		found=yes
		! grep -q 'PRIVATE KEY' "$certificate" || fail "$certificate has a private key in it: that belongs nowhere near a payload"
		[ "$(grep -c -e '-----BEGIN CERTIFICATE-----' "$certificate")" = 1 ] || fail "$certificate is not one certificate in PEM"
		! command -v openssl >/dev/null || openssl x509 -in "$certificate" -noout || fail "$certificate is no certificate that openssl can read"
		echo "$certificate"
	done
	[ "$found" = yes ] || fail "the payload has no certificate in ca/: nothing would be trusted"
}

# The name that a certificate gets on the host.
name_of() {
	name=${1##*/}
	echo "careen-${name%.*}.$ending"
}

# Whether the bundle has it: what programs read.
is_trusted() {
	body=$(sed -n '/-BEGIN CERTIFICATE-/,/-END CERTIFICATE-/p' "$1" | grep -v -e '-----' | tr -d '\r\n')
	[ -e "$bundle" ] && tr -d '\r\n' <"$bundle" | grep -q -F -e "$body"
}

# Ours on the host that the payload does not have any more.
dropped() {
	for there in "$place"/careen-*."$ending"; do
		[ -e "$there" ] || continue
		grep -q -x -F -e "${there##*/}" "$work/names" || echo "$there"
	done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
certificates >"$work/certificates"
while read -r certificate; do name_of "$certificate"; done <"$work/certificates" >"$work/names"
[ -z "$(sort "$work/names" | uniq -d)" ] || fail "two certificates would have one name: $(sort "$work/names" | uniq -d)"
