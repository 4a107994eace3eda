# Has the workers keep eight files with a line in each, and waits until all do. Argument: careen's image. On a manager.
set -eu
rm -rf /root/kept
mkdir /root/kept
cd /root/kept
cat >check <<'END'
#!/bin/sh
for at in 1 2 3 4 5 6 7 8; do
  line=
  read -r line 2>/dev/null <"/etc/bench-kept-$at"
  [ "$line" = kept ] || { echo "/etc/bench-kept-$at is not as it should be"; exit 2; }
done
END
cat >install <<'END'
#!/bin/sh
for at in 1 2 3 4 5 6 7 8; do echo kept >"/etc/bench-kept-$at"; done
END
chmod +x check install
owned=()
for at in 1 2 3 4 5 6 7 8; do owned+=("--owns=/etc/bench-kept-$at"); done
careen enforce . --image "$1" --name bench --constraint node.role==worker --yes "${owned[@]}" >/dev/null
careen enforce status bench --wait --timeout 2m >/dev/null
