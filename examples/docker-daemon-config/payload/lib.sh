# Shared by this payload's commands. No command itself: it has no execute bit.
set -eu
umask 022
cd "$(dirname "$0")"

say() { echo "daemon-config: $*"; }
fail() { echo "daemon-config: $*" >&2; exit 1; }

# A link is kept as a link: the file behind it is the one to change.
config=$(readlink -f /etc/docker/daemon.json || echo /etc/docker/daemon.json)
backup=${CAREEN_STATE:?is set by careen}/docker-daemon-config.before
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The host's file, or an empty object where there is none, and the file as it should be.
plan() {
	if [ -e "$config" ]; then cat "$config" >"$work/current"; else echo '{}' >"$work/current"; fi
	./json-merge "$work/current" daemon.json >"$work/wanted" ||
		fail "$config (above: current) and this payload's daemon.json cannot be merged; nothing was changed"
}

in_sync() { ./json-merge --same "$work/current" "$work/wanted"; }

# Engines before 23.0 have no --validate. There the reload is the test: the engine reads the file with the same checks,
# goes on as it was when they fail, and the caller puts the old file back.
validate() {
	if ! dockerd --help 2>&1 | grep -q -e --validate; then
		say "this engine has no 'dockerd --validate' (it came with 23.0): the reload will tell"
		return 0
	fi
	dockerd --validate --config-file="$1"
}

# The new file is complete and on the disk before it takes the name, with the owner and mode of the old one.
replace() {
	mkdir -p "$(dirname "$config")"
	if [ -e "$config" ]; then cp --preserve=mode,ownership "$config" "$config.careen-new"; else : >"$config.careen-new"; fi
	cat "$1" >"$config.careen-new"
	sync "$config.careen-new"
	mv -f "$config.careen-new" "$config"
	sync "$(dirname "$config")"
}

# Sends SIGHUP and waits for the engine's own 'reload' event: it sends one only when it has taken the file. A signal
# alone tells nothing, 'systemctl reload docker' included.
reload() {
	since=$(date +%s.%N)
	if [ -d /run/systemd/system ]; then
		systemctl reload docker || return 1
	else
		kill -HUP "$(cat /run/docker.pid)" || return 1
	fi
	tries=0
	while [ "$tries" -lt 20 ]; do
		tries=$((tries + 1))
		sleep 0.5
		seen=$(docker events --since "$since" --until "$(date +%s.%N)" --filter type=daemon --filter event=reload) || return 1
		[ -z "$seen" ] || return 0
	done
	if command -v journalctl >/dev/null; then
		journalctl --unit docker --since "@${since%.*}" --output cat --no-pager 2>/dev/null |
			grep -e 'level=\(error\|fatal\)' >&2 || true
	fi
	return 1
}
