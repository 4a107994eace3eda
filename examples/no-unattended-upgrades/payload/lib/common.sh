# Shared by this payload's commands. No command itself: it lies in a directory of its own.
set -eu
umask 022
cd "$(dirname "$0")"

name=99careen-no-unattended-upgrades
file=/etc/apt/apt.conf.d/$name
# The timers of dnf, which we stopped: they are started again by uninstall.
stopped=${CAREEN_STATE:?is set by careen}/no-unattended-upgrades.timers
timers='dnf-automatic.timer dnf-automatic-install.timer dnf-automatic-download.timer dnf5-automatic.timer'

say() { echo "no-unattended-upgrades: $*"; }
fail() { echo "no-unattended-upgrades: $*" >&2; exit 1; }

has_apt() { command -v apt-config >/dev/null; }
has_systemd() { [ -d /run/systemd/system ]; }

# What apt's daily run would really read, whatever other files say: the last word counts.
periodic() { apt-config dump --format '%v%n' "APT::Periodic::$1" | tail -n 1; }

# Timers that would upgrade this host.
running_timers() {
	has_systemd || return 0
	for timer in $timers; do
		if [ "$(systemctl is-enabled "$timer" 2>/dev/null)" = enabled ] || systemctl is-active --quiet "$timer"; then echo "$timer"; fi
	done
}

# An upgrade that is under way is left to its end: one that is cut off leaves packages half configured.
say_under_way() {
	has_systemd || return 0
	for unit in apt-daily-upgrade.service dnf-automatic.service dnf-automatic-install.service; do
		case $(systemctl is-active "$unit" 2>/dev/null || true) in
		active | activating) say "$unit is at work now; it is left to its end" ;;
		esac
	done
}
