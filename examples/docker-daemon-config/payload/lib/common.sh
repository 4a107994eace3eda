# Shared by this payload's commands. No command itself: it lies in a directory of its own.
set -eu
umask 022
cd "$(dirname "$0")"

say() { echo "daemon-config: $*"; }
fail() { echo "daemon-config: $*" >&2; exit 1; }

state=${CAREEN_STATE:?is set by careen}/docker-daemon-config
backup=$state.before   # the file as it was before the last install that changed it
existed=$state.existed # whether there was one: yes or no
waits=$state.waits     # the engine that ran when keys were written that it reads at its start only, and these keys
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the engine reads anew at a SIGHUP ('Configuration reload behavior' in dockerd's reference). All other keys count from
# its next start.
reloadable=" allow-nondistributable-artifacts authorization-plugins debug default-runtime features insecure-registries
 labels live-restore max-concurrent-downloads max-concurrent-uploads max-download-attempts registry-mirrors runtimes
 shutdown-timeout "

engine_pid() { cat /run/docker.pid 2>/dev/null || cat /var/run/docker.pid 2>/dev/null; }

# The engine's arguments as it was really started, one a line: its unit, drop-ins and variables of it included.
engine_arguments() {
	pid=$(engine_pid) && [ -r "/proc/$pid/cmdline" ] || return 0
	tr '\0' '\n' <"/proc/$pid/cmdline" | sed 1d
}

# Which engine runs: its process, told apart from a later one with the same number.
engine_identity() {
	pid=$(engine_pid) && [ -r "/proc/$pid/stat" ] || { echo none; return 0; }
	started=$(sed 's/^.*) //' "/proc/$pid/stat" | cut -d ' ' -f 20)
	echo "$(cat /proc/sys/kernel/random/boot_id) $pid $started"
}

# The file that the engine reads: the flag says where, if it is there.
config_path() {
	path=/etc/docker/daemon.json next=no
	while IFS= read -r argument; do
		case $next$argument in
		yes*) path=$argument next=no ;;
		no--config-file=*) path=${argument#--config-file=} ;;
		no--config-file) next=yes ;;
		esac
	done <<-end
		$(engine_arguments)
	end
	echo "$path"
}
config=$(config_path)

# json_merge OPTIONS...: merges this payload's keys into the file. A link in its place is kept, what it leads to is changed.
json_merge() { careen-agent json-merge --follow "$@" "$config" daemon.json; }

# The keys that would change in the file, one a line, in $work/keys; 'same' or 'differs' in $answer.
look() {
	status=0
	json_merge --check --changed-keys >"$work/keys" || status=$?
	case $status in
	0) answer=same ;;
	2) answer=differs ;;
	*) fail "$config and this payload's daemon.json cannot be merged; nothing was changed" ;;
	esac
}

# Those of the keys on standard input that count from the engine's next start, in one line.
wait_for_start() {
	found=
	while IFS= read -r key; do
		case $reloadable in *[[:space:]]"$key"[[:space:]]*) ;; *) found="$found $key" ;; esac
	done
	echo "${found# }"
}

# The keys that are in the file and that the engine that runs has not read, because it was started before; nothing where it has.
not_read_yet() {
	[ -e "$waits" ] || return 0
	[ "$(sed -n 1p "$waits")" = "$(engine_identity)" ] || return 0
	sed -n 2p "$waits"
}

# Remembers that this engine has not read these keys, beside those that it had not read before.
remember() {
	all=$(printf '%s\n' $(not_read_yet) "$@" | sort -u | tr '\n' ' ')
	printf '%s\n%s\n' "$(engine_identity)" "${all% }" | careen-agent file --no-diff --mode 0600 --src - "$waits" >/dev/null
}

# Sends SIGHUP and waits for the engine's own 'reload' event: it sends one only when it has taken the file. A signal
# alone tells nothing, 'systemctl reload docker' included.
reload() {
	since=$(date +%s.%N)
	kill -HUP "$(engine_pid)" || return 1
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

# put_back SUFFIX: the file as it was before the last install, or, with .new, before the one that runs.
put_back() {
	if [ "$(cat "$existed$1")" = yes ]; then
		careen-agent file --follow --no-diff --src "$backup$1" "$config" >/dev/null
	else
		rm -f "$config"
	fi
}
