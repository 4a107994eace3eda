# Shared by this payload's commands. No command itself: it lies in a directory of its own.
#
# The commands run on the host. Ansible is not there: it is in the image, so they start a container of the very image that
# they came in (CAREEN_IMAGE is its id) and give it the host's root at /host. The container shares the host's process,
# network and host name spaces, so that systemctl works and facts are the host's.
set -eu

say() { echo "ansible: $*"; }
fail() { echo "ansible: $*" >&2; exit 1; }

[ -n "${CAREEN_IMAGE:-}" ] || fail "the image's id is not known, so no container can be started from it"

# playbook ARGUMENTS...: runs the image's playbook against this host. Nothing of the container stays.
playbook() {
	docker run --rm --init --name "careen-ansible-$CAREEN_TRANSACTION" \
		--pid host --network host --uts host --volume /:/host \
		--env ANSIBLE_CONFIG=/playbook/ansible.cfg --env PYTHONUNBUFFERED=1 \
		--env "CAREEN_NODE_NAME=$CAREEN_NODE_NAME" --env "CAREEN_NODE_ROLE=$CAREEN_NODE_ROLE" \
		--workdir /playbook --entrypoint ansible-playbook "$CAREEN_IMAGE" site.yml "$@"
}
