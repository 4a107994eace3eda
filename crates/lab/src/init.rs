//! What each init system is told. Shell scripts for a node, one for each thing the lab wants of its init.

/// What runs as PID 1 in a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    Systemd,
    /// sysvinit, with Debian's init scripts.
    Sysvinit,
}

impl Init {
    /// Reboots the node in order.
    pub fn reboot(self) -> &'static str {
        match self {
            Init::Systemd => "systemctl reboot",
            Init::Sysvinit => "reboot",
        }
    }

    /// Prints the state of the host; succeeds while it is up and not on its way down.
    pub fn is_up(self) -> &'static str {
        match self {
            Init::Systemd => {
                "state=$(systemctl is-system-running); echo \"$state\"; \
                 case $state in running|degraded) ;; *) exit 1 ;; esac"
            }
            Init::Sysvinit => {
                "state=$(runlevel); echo \"$state\"; case $state in *' 0'|*' 6') exit 1 ;; esac"
            }
        }
    }

    /// Prints the pid of the running dockerd, or 0.
    pub fn engine_pid(self) -> &'static str {
        match self {
            Init::Systemd => "systemctl show --property=MainPID --value docker.service",
            Init::Sysvinit => {
                "pid=$(cat /run/docker-ssd.pid 2>/dev/null) && kill -0 \"$pid\" 2>/dev/null || pid=0; echo \"$pid\""
            }
        }
    }

    /// Starts the engine, whatever was done to it before.
    ///
    /// Debian's docker.service starts three times a minute at most. The lab's own faults must not use that up: a
    /// test that kills the engine three times is after the engine, not after systemd's limit. reset-failed fails
    /// for a unit that is not loaded, which has nothing to forgive.
    pub fn start_engine(self) -> &'static str {
        match self {
            Init::Systemd => {
                "systemctl reset-failed docker.socket docker.service 2>/dev/null; \
                 systemctl start docker.socket docker.service"
            }
            Init::Sysvinit => "service docker start",
        }
    }

    /// Makes a kill of the engine no reason not to start it again.
    pub fn forgive_starts(self) -> &'static str {
        match self {
            Init::Systemd => "systemctl reset-failed docker.socket docker.service",
            Init::Sysvinit => ":",
        }
    }

    /// Stops the engine, so that no client starts it again by asking it something.
    pub fn stop_engine(self) -> &'static str {
        match self {
            Init::Systemd => "systemctl stop docker.socket docker.service",
            Init::Sysvinit => "service docker stop",
        }
    }

    /// Prints what is left of the engine; fails when there is something.
    pub fn engine_is_stopped(self) -> &'static str {
        match self {
            Init::Systemd => {
                "systemctl is-active docker.socket docker.service | grep -x active && exit 1; exit 0"
            }
            Init::Sysvinit => "pgrep -a dockerd && exit 1; exit 0",
        }
    }

    /// Starts a process that holds dpkg's frontend lock and outlives this script.
    pub fn hold_dpkg_lock(self) -> &'static str {
        match self {
            Init::Systemd => {
                "systemd-run --quiet --collect --unit=careen-lab-dpkg-lock.service \
                 perl /usr/lib/careen-lab/dpkg-lock.pl hold"
            }
            Init::Sysvinit => {
                "setsid perl /usr/lib/careen-lab/dpkg-lock.pl hold </dev/null >/dev/null 2>&1 & \
                 echo $! >/run/careen-lab/dpkg-lock.pid"
            }
        }
    }

    /// Ends it; nothing happens where there is none.
    pub fn release_dpkg_lock(self) -> &'static str {
        match self {
            Init::Systemd => "systemctl stop careen-lab-dpkg-lock.service 2>/dev/null || :",
            Init::Sysvinit => {
                "kill \"$(cat /run/careen-lab/dpkg-lock.pid 2>/dev/null)\" 2>/dev/null; rm -f /run/careen-lab/dpkg-lock.pid"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn every_script_is_a_shell_script() {
        for init in [Init::Systemd, Init::Sysvinit] {
            for script in [
                init.reboot(),
                init.is_up(),
                init.engine_pid(),
                init.start_engine(),
                init.forgive_starts(),
                init.stop_engine(),
                init.engine_is_stopped(),
                init.hold_dpkg_lock(),
                init.release_dpkg_lock(),
            ] {
                let status = Command::new("sh").args(["-n", "-c", script]).status().unwrap();
                assert!(status.success(), "{script}");
            }
        }
    }

    #[test]
    fn a_sysvinit_host_going_down_is_not_up() {
        let of = |level: &str| {
            let script = format!("runlevel() {{ echo '{level}'; }}; {}", Init::Sysvinit.is_up());
            Command::new("sh").args(["-c", &script]).output().unwrap().status.success()
        };
        assert!(of("N 2"));
        assert!(!of("2 6"));
        assert!(!of("2 0"));
    }

    #[test]
    fn nobody_asks_systemd_on_a_host_without_it() {
        for script in
            [Init::Sysvinit.reboot(), Init::Sysvinit.start_engine(), Init::Sysvinit.hold_dpkg_lock()]
        {
            assert!(!script.contains("systemctl") && !script.contains("systemd-run"), "{script}");
        }
    }
}
