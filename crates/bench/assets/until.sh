# until_there WHAT SECONDS COMMAND...: looks every 100 ms whether a command succeeds. When its time is up it says what was waited
# for and what the command printed last, and fails.
until_there() {
  local what=$1 deadline=$((SECONDS + $2)) seen
  shift 2
  until seen=$("$@" 2>&1); do
    [ "$SECONDS" -lt "$deadline" ] || { echo "$what: not in time; last seen: $seen" >&2; exit 1; }
    sleep 0.1
  done
}
