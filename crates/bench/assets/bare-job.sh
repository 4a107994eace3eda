# A global job that runs a command on its hosts, with docker's own client. Arguments: how many hosts, the image, the command. On a
# manager, behind until.sh.
set -eu
hosts=$1
shift
docker service create --detach --quiet --no-resolve-image --name bench-bare --mode global-job --restart-condition none \
  --constraint node.role==worker --mount type=bind,source=/,target=/host "$@" >/dev/null
complete_on() {
  local states
  states=$(docker service ps --format '{{.CurrentState}}' bench-bare)
  echo "$states"
  [ "$(grep -c ^Complete <<<"$states")" = "$1" ]
}
until_there 'the job' 100 complete_on "$hosts"
echo "complete on $hosts hosts"
