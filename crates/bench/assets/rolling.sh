# What a rolling restart of engines needs at least. Sourced, on a manager, behind until.sh.

is_empty() {
  local states
  states=$(docker node ps --format '{{.CurrentState}}' "$1")
  echo "$states"
  ! grep -q ^Running <<<"$states"
}

is_ready() {
  local state
  state=$(docker node inspect --format '{{.Status.State}}' "$1")
  echo "$state"
  [ "$state" = ready ]
}

# Takes a node out, and waits until nothing of the swarm runs on it.
drain() {
  docker node update --availability drain "$1" >/dev/null
  until_there "$1 is empty" 120 is_empty "$1"
}

# Waits until the swarm calls a node ready, and gives it back.
activate() {
  until_there "$1 is ready" 120 is_ready "$1"
  docker node update --availability active "$1" >/dev/null
}
