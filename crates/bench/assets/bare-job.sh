# A global job that runs 'true' on its hosts, and nothing of careen. Arguments: the image, how many hosts. On a manager, behind
# until.sh.
set -eu
docker service create --detach --quiet --no-resolve-image --name bench-bare --mode global-job --restart-condition none \
  --constraint node.role==worker --mount type=bind,source=/,target=/host "$1" chroot /host true >/dev/null
complete_on() {
  local states
  states=$(docker service ps --format '{{.CurrentState}}' bench-bare)
  echo "$states"
  [ "$(grep -c ^Complete <<<"$states")" = "$1" ]
}
until_there 'the job' 100 complete_on "$2"
echo "complete on $2 hosts"
