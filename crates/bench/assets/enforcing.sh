# What an enforcing agent computes and holds while nothing happens: the time of its processes on a processor (utime and stime of
# /proc/PID/stat) as a part of the time that passed, in percent, and their memory (VmRSS), in KiB. Argument: seconds. On a host that
# keep.sh has begun.
set -eu
agent=$(docker ps --quiet --filter name=careen-enforce-)
[ "$(wc -w <<<"$agent")" = 1 ] || { echo "one enforcing agent was expected; there are: $agent" >&2; exit 1; }
mapfile -t all < <(docker top "$agent" -o pid | tail -n +2)
ticks() { for one in "${all[@]}"; do cat "/proc/$one/stat"; done | awk '{ sum += $14 + $15 } END { print sum }'; }
now() { echo "${EPOCHREALTIME/./}"; }
a=$(now)
before=$(ticks)
sleep "$1"
after=$(ticks)
b=$(now)
memory=$(for one in "${all[@]}"; do cat "/proc/$one/status"; done | awk '/^VmRSS/ { sum += $2 } END { print sum }')
awk "BEGIN { print 100 * ($after - $before) / $(getconf CLK_TCK) / (($b - $a) / 1e6), $memory }"
