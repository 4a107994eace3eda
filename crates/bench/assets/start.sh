# From a container's start, as the engine records it, to the first instruction of its command on the host, which prints the time;
# and a whole 'docker run'. careen in each of its ways, and beside them a shell with the docker client, which starts its command
# the same two ways by hand. Arguments: careen's image with the payload, the shell's image, the one with the docker client, rounds.
# One line a round: for each of systemd, container, chroot, shell with systemd-run, shell with the docker client the two times,
# and last a 'docker run' that prints careen's version; milliseconds.
set -eu
careen=$1 shell=$2 docker=$3
now() { date +%s%N; }
# first NAME OF A FILE FOR ITS ERRORS, WORDS OF 'docker run'...: prints the two times.
first() {
  local errors=$1 before after first started
  shift
  before=$(now)
  first=$(docker run --name bench -v /:/host "$@" 2>"$errors")
  after=$(now)
  started=$(date -d "$(docker inspect -f '{{.State.StartedAt}}' bench)" +%s%N)
  docker rm -f bench >/dev/null
  awk "BEGIN { printf \"%f %f \", ($first - $started) / 1e6, ($after - $before) / 1e6 }"
}
by_careen() {
  first /run/bench-errors -e "CAREEN_HOST_ENTRY=$1" "$careen" begin
  grep -q "host entry: $1" /run/bench-errors || { cat /run/bench-errors >&2; exit 1; }
}
trap 'docker rm -f bench >/dev/null 2>&1 || :; rm -f /run/bench-errors' EXIT
by_careen systemd >/dev/null # brings the supervisor's binary to the host, once
for _ in $(seq "$4"); do
  for way in systemd container chroot; do by_careen "$way"; done
  first /dev/null "$shell" chroot /host systemd-run --wait --pipe --quiet date +%s%N
  first /dev/null "$docker" docker -H unix:///host/run/docker.sock run --rm --pid host -v /:/host "$shell" \
    chroot /host date +%s%N
  a=$(now)
  docker run --rm --entrypoint /careen-agent "$careen" --version >/dev/null
  b=$(now)
  awk "BEGIN { print ($b - $a) / 1e6 }"
done
