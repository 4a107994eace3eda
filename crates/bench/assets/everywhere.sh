# Runs a script on hosts at once, over connections that are there already.
# Arguments: ssh's options, the script, the line at which the clock starts, addresses. Fails when one of them fails.
set -u
options=$1 script=$2 begin=$3
shift 3
for host in "$@"; do
  # shellcheck disable=SC2086
  ssh $options "root@$host" true </dev/null >/dev/null 2>&1 || { echo "$host cannot be reached by ssh"; exit 1; }
done
echo "$begin"
pids=()
for host in "$@"; do
  # shellcheck disable=SC2086
  ssh $options "root@$host" "$script" </dev/null &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
echo "all have ended"
exit $failed
