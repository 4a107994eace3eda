# The floor: nothing but the steps themselves, over ssh connections that are there already. Arguments: the line at which the clock
# starts, ssh's options, and NODE=ADDRESS for each.
set -eu
begin=$1 options=$2
shift 2
for node in "$@"; do
  # shellcheck disable=SC2086
  ssh $options "root@${node#*=}" true </dev/null >/dev/null
done
echo "$begin"
for node in "$@"; do
  drain "${node%=*}"
  # shellcheck disable=SC2086
  ssh $options "root@${node#*=}" systemctl restart docker </dev/null
  activate "${node%=*}"
  echo "${node%=*} is done"
done
