# What the container of a virtual machine runs: the cables, the boot loader, and then the machine itself, in the one
# process that ends when the guest reboots. The container's restart policy starts it again, unless power was cut.
#
# /base holds what all machines of a release start from, $state what is this machine's own. The console is this
# container's log.
set -eu

state=/var/lib/careen-lab
disk=$state/disk.img
side_host=169.254.213.1
side_guest=169.254.213.2
third=${CAREEN_LAB_IP%.*}
third=${third##*.}
fourth=${CAREEN_LAB_IP##*.}
lab_mac=$(printf '52:54:00:d5:%02x:%02x' "$third" "$fourth")
side_mac=$(printf '52:54:01:d5:%02x:%02x' "$third" "$fourth")

fail() {
	echo "careen-lab: $*" >&2
	exit 1
}

# --- the disk

# PATH: standard input becomes that file on the new disk. Its directory must be there; debugfs reports no failure.
give() {
	cat >/tmp/given
	chmod 0644 /tmp/given
	printf 'rm %s\nwrite /tmp/given %s\n' "$1" "$1" | debugfs -w -f - "$disk.new" >/dev/null 2>&1
	debugfs -R "cat $1" "$disk.new" 2>/dev/null | cmp -s - /tmp/given || fail "failed to write $1 to the new disk"
}

network_unit() { # MAC, then the lines of the [Network] section
	printf '[Match]\nMACAddress=%s\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' "$1"
	shift
	printf '%s\n' "$@"
}

make_disk() {
	cp --sparse=always /base/disk.img "$disk.new"
	install -m 0600 /base/key "$state/key"
	echo "$CAREEN_LAB_NAME" | give /etc/hostname
	printf '127.0.0.1 localhost\n%s %s\n' "$CAREEN_LAB_IP" "$CAREEN_LAB_NAME" | give /etc/hosts
	for server in $CAREEN_LAB_DNS; do echo "nameserver $server"; done | give /etc/resolv.conf
	network_unit "$lab_mac" "Address=$CAREEN_LAB_IP/24" "Gateway=${CAREEN_LAB_IP%.*}.1" |
		give /etc/systemd/network/10-lab.network
	network_unit "$side_mac" "Address=$side_guest/30" | give /etc/systemd/network/20-side.network
	printf '[Socket]\nListenStream=%s:2375\n' "$CAREEN_LAB_IP" |
		give /etc/systemd/system/careen-lab-api.socket.d/address.conf
	mv "$disk.new" "$disk"
}

# --- the cables

# The lab's address is the guest's own: this container only carries its frames. A partition takes the engine's
# interface away and a heal brings another one, with another name, so whatever there is is plugged in.
plug_in() {
	for path in /sys/class/net/eth*; do
		port=${path##*/}
		[ -e "$path" ] && [ ! -e "$path/master" ] || continue
		ip address flush dev "$port" && ip link set "$port" master lab0 up || :
	done
}

lay_cables() {
	ip link add lab0 type bridge
	ip tuntap add tap0 mode tap
	ip link set tap0 master lab0 up
	ip link set lab0 up
	# A way in that does not depend on the lab network, for a machine that is partitioned.
	ip tuntap add side0 mode tap
	ip address add "$side_host/30" dev side0
	ip link set side0 up
	plug_in
	ip -oneline monitor link address | while read -r _; do plug_in; done &
}

# A login takes an emulated machine a second, and many where the machine below it has much else to do: all commands share one
# connection where it stands, and make one of
# their own where it does not.
keep_connected() {
	mkdir -p /run/careen-lab
	cat >/run/careen-lab/ssh_config <<-END
		Host node
		HostName $side_guest
		User root
		IdentityFile $state/key
		BatchMode yes
		ConnectTimeout 60
		StrictHostKeyChecking no
		UserKnownHostsFile /dev/null
		LogLevel ERROR
		ControlPath /run/careen-lab/ssh
	END
	while :; do
		rm -f /run/careen-lab/ssh
		ssh -F /run/careen-lab/ssh_config -o ConnectionAttempts=10000 -o ConnectTimeout=30 -MNn node 2>/dev/null
		sleep 1
	done &
}

# --- the boot loader

load_kernel() {
	# After a power cut what the guest has synced may still be in the journal only.
	e2fsck -p -E journal_only "$disk" >/dev/null 2>&1 || :
	release=$(debugfs -R 'ls -p /boot' "$disk" 2>/dev/null | cut -d/ -f6 | sed -n 's/^initrd\.img-//p' | sort -V | tail -n 1)
	[ -n "$release" ] || fail 'there is no kernel with its initrd in /boot of the guest'
	echo "careen-lab: booting $release"
	debugfs -R "dump /boot/vmlinuz-$release /tmp/vmlinuz" "$disk" 2>/dev/null
	debugfs -R "dump /boot/initrd.img-$release /tmp/initrd" "$disk" 2>/dev/null
}

if [ -e "$disk" ]; then
	# A fast machine is back before a swarm can see it down.
	sleep "$(cat "$state/reboot-delay" 2>/dev/null || echo 0)"
else
	make_disk
fi
lay_cables
keep_connected
load_kernel
exec qemu-system-x86_64 -accel "$CAREEN_LAB_ACCEL" -cpu max -smp 1 -m 1024 -no-reboot \
	-display none -monitor none -serial stdio \
	-kernel /tmp/vmlinuz -initrd /tmp/initrd -append 'console=ttyS0 root=/dev/vda rw' \
	-drive "file=$disk,format=raw,if=virtio,discard=unmap" -device virtio-rng-pci \
	-netdev tap,id=lab,ifname=tap0,script=no,downscript=no -device "virtio-net-pci,netdev=lab,mac=$lab_mac" \
	-netdev tap,id=side,ifname=side0,script=no,downscript=no -device "virtio-net-pci,netdev=side,mac=$side_mac"
