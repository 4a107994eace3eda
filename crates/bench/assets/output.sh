# How fast output passes into output.log, beside `cat FILE | cat > OTHER` on the same file system, the source in the page
# cache both times; and the most memory that supervisor and agent ever had. The container's own log is switched off:
# what the engine does with it is not careen's.
# Arguments: rounds, mebibytes, CAREEN_OUTPUT_LIMIT, 'followed' or 'alone' (the agent was told to leave before),
# and careen's image with the payload.
# One line a round: MiB/s of cat, MiB/s of the supervisor, KiB of the supervisor, KiB of the agent (0 when it left).
set -eu
rounds=$1 size=$2 limit=$3 how=$4
now() { echo "${EPOCHREALTIME/./}"; }
peak() { awk '/^VmHWM/ { print $2 }' "/proc/$1/status" 2>/dev/null; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
source=/var/lib/bench-source
[ -e $source ] || head -c "${size}M" /dev/urandom > $source
cat $source > /dev/null
trap 'rm -f /var/lib/bench-copy; docker rm -f bench >/dev/null 2>&1 || true' EXIT

# An agent that has printed everything computes nothing any more.
wait_for_quiet() {
  local before after
  before=$(ticks "$1")
  while sleep 0.5 && after=$(ticks "$1") && [ "$after" != "$before" ]; do before=$after; done
}

for round in $(seq "$rounds"); do
  sync
  a=$(now)
  cat $source | cat > /var/lib/bench-copy
  b=$(now)
  rm /var/lib/bench-copy
  sync

  rm -rf /run/bench && mkdir /run/bench && mkfifo /run/bench/begin /run/bench/end
  docker run -d --name bench --log-driver none -e CAREEN_OUTPUT_LIMIT="$limit" -v /:/host "$5" pour >/dev/null
  until_there 'the supervisor' 30 test -s /run/bench/supervisor
  supervisor=$(cat /run/bench/supervisor)
  agent=$(docker inspect -f '{{.State.Pid}}' bench)
  [ "$how" = followed ] || docker stop bench >/dev/null
  echo > /run/bench/begin
  until_there 'all output' 300 test -s /run/bench/took
  agent_peak=0
  if [ "$how" = followed ]; then
    wait_for_quiet "$agent"
    agent_peak=$(peak "$agent")
  fi
  echo > /run/bench/end
  supervisor_peak=0
  while more=$(peak "$supervisor") && [ -n "$more" ]; do supervisor_peak=$more; done
  docker rm -f bench >/dev/null
  careen-agent sweep --all >/dev/null
  awk "BEGIN { print $size * 1e6 / ($b - $a), $size * 1e6 / $(cat /run/bench/took), $supervisor_peak, $agent_peak }"
done
