# Makes a host of Debian's engine one of Docker's: docker-ce and containerd.io with the files of docker.io, containerd and runc,
# and with the maintainer scripts of the lab's test packages. Sourced behind archive.sh.

# ce NAME VERSION LINES-OF-CONTROL FROM...: NAME, out of careen-test-NAME's scripts and the files of the packages FROM.
ce() {
	name=$1 version=$2 lines=$3 like=careen-test-$(echo "$1" | tr . -)
	shift 3
	tree=$(mktemp -d)
	chmod 755 "$tree"
	dpkg-deb --control "/srv/careen-lab/apt/${like}_${version}_all.deb" "$tree/DEBIAN"
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: %s\n' "$name" "$version" "$(dpkg --print-architecture)"
		printf 'Maintainer: test <test@localhost>\nDescription: made for a test\n%s\n' "$lines"
	} >"$tree/DEBIAN/control"
	dpkg-query --listfiles "$@" | grep -v '^/usr/share/' | sort -u | while read -r file; do
		[ -d "$file" ] || [ ! -e "$file" ] || cp -a --parents "$file" "$tree"
	done
	(cd "$tree" && [ ! -d etc ] || find etc -type f -printf '/%p\n' >DEBIAN/conffiles)
	dpkg-deb --build --root-owner-group -Znone "$tree" "$ARCHIVE/${name}_$version.deb" >/dev/null
	rm -rf "$tree"
}

# become VERSION: docker-ce VERSION and containerd.io 1.0 instead of what is installed; 2.0 of both waits in the archive.
become() {
	new_archive
	docker=docker.io containerd='containerd runc'
	case $(version docker-ce 2>/dev/null) in installed*) docker=docker-ce containerd=containerd.io ;; esac
	for one in "$1" 2.0; do
		ce docker-ce "$one" 'Depends: containerd.io
Conflicts: docker.io
Replaces: docker.io' $docker
	done
	for one in 1.0 2.0; do
		ce containerd.io "$one" 'Provides: containerd, runc
Conflicts: containerd, runc
Replaces: containerd, runc' $containerd
	done
	publish
	apt-get -qq update
	apt-get -qq -y --allow-downgrades install docker-ce="$1" containerd.io=1.0 >/dev/null
	: >/var/log/dpkg.log
}
