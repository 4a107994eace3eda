# How long a long log takes through the docker client and through careen, on a manager, into a file. Arguments: the node, the
# service of its agent, rounds. One line a round: seconds of docker, seconds of careen, careen's peak in KiB, bytes of docker,
# bytes of careen.
set -eu
node=$1 service=$2
now() { echo "${EPOCHREALTIME/./}"; }
peak() { awk '/^VmHWM/ { print $2 }' "/proc/$1/status" 2>/dev/null; }
trap 'rm -f /tmp/bench-docker /tmp/bench-careen' EXIT
for _ in $(seq "$3"); do
  a=$(now)
  docker service logs --raw "$service" >/tmp/bench-docker 2>/dev/null
  b=$(now)
  careen logs "$node" >/tmp/bench-careen
  c=$(now)
  # Once more for the memory: looking at it takes time.
  careen logs "$node" >/dev/null &
  reader=$! most=0
  while more=$(peak $reader) && [ -n "$more" ]; do most=$more; done
  wait $reader
  awk "BEGIN { print ($b - $a) / 1e6, ($c - $b) / 1e6, $most, $(stat -c %s /tmp/bench-docker), $(stat -c %s /tmp/bench-careen) }"
done
