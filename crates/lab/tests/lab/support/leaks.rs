//! What careen must not leave on a host.

use careen_lab::Node;

/// What must not be on a host between two tests. Each line that this prints is a leak.
const LEAKS: &str = r#"
for container in $(docker ps -aq --filter label=careen.helper); do echo "helper container $container"; done
ls -A /run/careen/secrets 2>/dev/null | sed 's/^/secrets of /'
for place in /var/lib/careen /usr/local/lib/careen /opt/careen; do
	ls -A $place/payload 2>/dev/null | sed "s|^|payload $place/|"
	find $place/transactions -maxdepth 1 -name '.new-*' 2>/dev/null
	find $place/transactions -maxdepth 2 \( -name payload -o -name environment.json -o -name control.sock \) 2>/dev/null
done
systemctl list-units --plain --no-legend --state=active,activating,deactivating 'careen-*.service' | grep -v careen-lab | sed 's/^/unit /'
exit 0
"#;

/// What careen left on this host, one thing a line. Empty when all is well.
pub fn leaks(node: &Node) -> String {
    node.sh(LEAKS).map_or_else(|error| error.to_string(), |output| output.stdout)
}
