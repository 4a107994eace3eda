# Changes files that are kept by hand, one after the other: the same drift would be left at its third time. Prints a line for each: seconds
# until the agent said that it mends, and until it said that the host is in sync, both by the times that the engine gave its lines.
# Argument: how many, at most eight. Behind until.sh, on a host that keep.sh has begun.
set -eu
agent=$(docker ps --quiet --filter name=careen-enforce-)
[ "$(wc -w <<<"$agent")" = 1 ] || { echo "one enforcing agent was expected; there are: $agent" >&2; exit 1; }
# said STATE SINCE: the time of the first line of that state since then.
said() {
  local line
  line=$(docker logs --timestamps --since "$2" "$agent" 2>&1 | grep -m 1 "\"state\":\"$1\"") || return 1
  date -d "${line%% *}" +%s.%N
}
for at in $(seq "$1"); do
  # Changes that come faster than ten in a minute are looked at later.
  sleep 12
  a=$(date +%s.%N)
  echo by-hand >"/etc/bench-kept-$at"
  until_there "the file $at is mended" 60 said in-sync "$a"
  awk "BEGIN { print $(said mending "$a") - $a, $(said in-sync "$a") - $a }"
done
