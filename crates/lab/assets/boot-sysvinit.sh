# What a container node with sysvinit runs before its init: the work that a boot loader and a kernel do on a machine.
# /sys and the cgroup hierarchies come read-only from the engine; the node's own engine writes them.
mount -o remount,rw /sys
mount -o bind,remount,rw /sys/fs/cgroup
for hierarchy in /sys/fs/cgroup/*; do
	mountpoint -q "$hierarchy" && mount -o bind,remount,rw "$hierarchy"
done
mount --make-rshared /

# A container restarts in half a second, too fast for a swarm to see it down.
state=/var/lib/careen-lab
mkdir -p "$state" /run/careen-lab
if [ -e "$state/booted" ]; then
	sleep "$(cat "$state/reboot-delay" 2>/dev/null || echo 0)"
fi
: >"$state/booted"

# All containers share the machine's boot id; a host that rebooted must show a new one. This comes after the
# delay: /run/careen-lab/boot_id exists only in a node that is on.
cat /proc/sys/kernel/random/uuid >/run/careen-lab/boot_id
mount --bind /run/careen-lab/boot_id /proc/sys/kernel/random/boot_id

# What the init scripts for a real machine would have done; runlevel(8) reads utmp.
echo "$CAREEN_LAB_IP" >/run/careen-lab/address
: >/run/utmp
mkdir -p -m 0755 /run/sshd /run/dbus
rm -f /run/nologin
ssh-keygen -A >/dev/null
exec /sbin/init
