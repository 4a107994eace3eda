# What a transaction costs beside its command. An agent is started in a container that runs already (`docker exec`), once
# to run a command that does nothing, and once to print its version and leave. Both pay for the engine and for a process
# in that container; what is left of their difference is everything from the agent's first look at the host to its
# exit with the result. Arguments: rounds, careen's image with the payload. One line a round: version, transaction, systemd-run;
# milliseconds.
set -eu
now() { echo "${EPOCHREALTIME/./}"; }
docker run -d --name bench -v /:/host "$2" check stay >/dev/null
holder=$(docker inspect -f '{{.Id}}' bench)
cleanup() {
  docker rm -f bench >/dev/null
  careen-agent cancel --now "$id" >/dev/null
}
checks() {
  id=$(careen-agent list | awk '$3 == "check" && $4 == "running" { print $1 }')
  [ -n "$id" ] && echo "$id"
}
until_there 'the check' 30 checks
id=$(checks)
trap cleanup EXIT
for round in $(seq "$1"); do
  a=$(now)
  docker exec "$holder" /careen-agent --version >/dev/null
  b=$(now)
  docker exec -e "CAREEN_TRANSACTION=cost-$a" -e CAREEN_HOST_ENTRY=systemd "$holder" /careen-agent run nothing 2>/dev/null
  c=$(now)
  systemd-run --wait --quiet true
  d=$(now)
  awk "BEGIN { print ($b - $a) / 1000, ($c - $b) / 1000, ($d - $c) / 1000 }"
done
