# What agent and supervisor compute and hold while a command runs and says nothing: their time on a processor (utime and stime
# of /proc/PID/stat), as a part of the time that passed, in percent, and what is theirs in memory (VmRSS). The same of a shell
# in a container that starts a second one with the docker client and waits for it.
# Arguments: seconds, careen's image with the payload, the shell's image, the one with the docker client.
# Prints percent and KiB of each: agent, supervisor, shell, docker client.
set -eu
seconds=$1 careen=$2 shell=$3 docker=$4
now() { echo "${EPOCHREALTIME/./}"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
memory() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
supervisor=''
cleanup() {
  docker rm -f bench bench-inner >/dev/null 2>&1 || :
  [ -z "$supervisor" ] || careen-agent cancel --now "$(careen-agent list | awk '$4 == "running" { print $1 }')" >/dev/null || :
}
trap cleanup EXIT

rm -rf /run/bench && mkdir /run/bench && mkfifo /run/bench/begin /run/bench/end
docker run -d --name bench -v /:/host "$careen" pour >/dev/null
until_there 'the supervisor' 30 test -s /run/bench/supervisor
supervisor=$(cat /run/bench/supervisor)
agent=$(docker inspect -f '{{.State.Pid}}' bench)

# What careen's are doing goes on meanwhile: it is little.
docker run -d --name bench-outer --rm -v /:/host "$docker" sh -c \
  "docker -H unix:///host/run/docker.sock run --rm --name bench-inner --pid host -v /:/host $shell chroot /host sleep 600; :" >/dev/null
trap 'cleanup; docker rm -f bench-outer >/dev/null 2>&1 || :' EXIT
waits() { docker inspect bench-inner >/dev/null 2>&1 && [ "$(docker inspect -f '{{.State.Running}}' bench-inner)" = true ]; }
until_there 'the inner container' 30 waits
outer=$(docker inspect -f '{{.State.Pid}}' bench-outer)
client=$(cat "/proc/$outer/task/$outer/children")
client=${client%% *}
sleep 2

before=() after=() all=("$agent" "$supervisor" "$outer" "$client")
a=$(now)
for one in "${all[@]}"; do before+=("$(ticks "$one")"); done
sleep "$seconds"
for one in "${all[@]}"; do after+=("$(ticks "$one")"); done
b=$(now)
line=''
for at in 0 1 2 3; do
  percent=$(awk "BEGIN { print 100 * (${after[$at]} - ${before[$at]}) / $(getconf CLK_TCK) / (($b - $a) / 1e6) }")
  line+="$percent $(memory "${all[$at]}") "
done
echo "$line"
