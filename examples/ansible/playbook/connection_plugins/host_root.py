# A connection to the host whose root is mounted at /host: commands run by chroot, files are written below it.
# The collection community.general has a chroot connection too, but ansible-core alone has none, and the collections
# are thirty times its size.

import os
import shutil
import subprocess

from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
    name: host_root
    short_description: Run tasks on the host below /host
    description: Runs commands by chroot and copies files to and from the host whose root is mounted at /host.
    options: {}
"""

HOST = "/host"


class Connection(ConnectionBase):
    transport = "host_root"
    has_pipelining = True

    def _connect(self):
        if not os.path.isdir(os.path.join(HOST, "etc")):
            raise AnsibleConnectionFailure("the host's root is not mounted at " + HOST)
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=False):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        # A clean environment: the container's says nothing about the host.
        env = {
            "HOME": "/root",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        done = subprocess.run(
            ["chroot", HOST, "/bin/sh", "-c", cmd], input=in_data or b"", capture_output=True, env=env, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        self._copy(in_path, self._below(out_path))

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        self._copy(self._below(in_path), out_path)

    def close(self):
        self._connected = False

    @staticmethod
    def _below(path):
        # Only paths that ansible made (remote_tmp) or that a playbook names come here; a link on the host that leads to
        # an absolute path would be followed outside of /host, so it is resolved as the host would.
        resolved = subprocess.run(
            ["chroot", HOST, "readlink", "-m", path], capture_output=True, text=True, check=True
        ).stdout.rstrip("\n")
        return HOST + resolved

    @staticmethod
    def _copy(source, target):
        if not os.path.exists(to_bytes(source)):
            raise AnsibleFileNotFound("no such file: " + source)
        shutil.copyfile(source, target)
