#!/bin/bash
# Begins when it is told to, writes a large file to its standard output, says how long that took, and waits to be told
# to end. Its parent is the supervisor.
echo "$PPID" > /run/bench/supervisor
read -r _ < /run/bench/begin
a=${EPOCHREALTIME/./}
cat /var/lib/bench-source
b=${EPOCHREALTIME/./}
echo $((b - a)) > /run/bench/took
read -r _ < /run/bench/end
