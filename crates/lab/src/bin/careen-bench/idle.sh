# What agent and supervisor compute while a command runs and says nothing: their time on a processor (utime and stime
# of /proc/PID/stat), as a part of the time that passed, in percent. Argument: seconds. Prints: agent, supervisor.
set -eu
now() { echo "${EPOCHREALTIME/./}"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
rm -rf /run/bench && mkdir /run/bench && mkfifo /run/bench/begin /run/bench/end
docker run -d --name bench -v /:/host bench pour >/dev/null
until [ -s /run/bench/supervisor ]; do sleep 0.05; done
supervisor=$(cat /run/bench/supervisor)
agent=$(docker inspect -f '{{.State.Pid}}' bench)
sleep 1
a=$(now) agent_before=$(ticks "$agent") supervisor_before=$(ticks "$supervisor")
sleep "$1"
agent_after=$(ticks "$agent") supervisor_after=$(ticks "$supervisor") b=$(now)
docker rm -f bench >/dev/null
careen-agent cancel --now "$(careen-agent list | awk '$4 == "running" { print $1 }')" >/dev/null
percent() { awk "BEGIN { print 100 * ($2 - $1) / $(getconf CLK_TCK) / (($b - $a) / 1e6) }"; }
echo "$(percent "$agent_before" "$agent_after") $(percent "$supervisor_before" "$supervisor_after")"
