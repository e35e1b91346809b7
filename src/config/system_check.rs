//! `--check-system`: settings of the machine that hurt a server.

use std::fmt::Write;
use std::fs;

/// One look at the machine.
struct Check {
    name: &'static str,
    path: &'static str,
    is_good: fn(&str) -> bool,
    advice: &'static str,
}

const CHECKS: [Check; 4] = [
    Check {
        name: "io-uring",
        path: "/proc/sys/kernel/io_uring_disabled",
        is_good: |setting| setting == "0",
        advice: "io_uring is restricted, and Corelane cannot run without it: sysctl kernel.io_uring_disabled=0",
    },
    Check {
        name: "slow-clocksource",
        path: "/sys/devices/system/clocksource/clocksource0/current_clocksource",
        is_good: |setting| {
            matches!(setting, "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page")
        },
        advice: "The kernel's clock is read by a system call: choose tsc if the machine has it.",
    },
    Check {
        name: "somaxconn",
        path: "/proc/sys/net/core/somaxconn",
        is_good: |setting| setting.parse::<u32>().is_ok_and(|length| length >= 511),
        advice: "net.core.somaxconn is below the default tcp-backlog of 511 and cuts it.",
    },
    Check {
        name: "THP",
        path: "/sys/kernel/mm/transparent_hugepage/enabled",
        is_good: |setting| !setting.contains("[always]"),
        advice: "Transparent huge pages cost memory and latency: set them to madvise.",
    },
];

/// The report, one line per check as redis-server prints it, and whether all is well.
pub fn check_system() -> (String, bool) {
    report(&CHECKS, |path| fs::read_to_string(path).ok())
}

fn report(checks: &[Check], read: impl Fn(&str) -> Option<String>) -> (String, bool) {
    let mut report = String::new();
    let mut is_well = true;
    for check in checks {
        let _ = match read(check.path).map(|setting| (check.is_good)(setting.trim())) {
            None => writeln!(report, "[{}]...skipped", check.name),
            Some(true) => writeln!(report, "[{}]...OK", check.name),
            Some(false) => {
                is_well = false;
                writeln!(report, "[{}]...WARNING:\n{}", check.name, check.advice)
            }
        };
    }
    (report, is_well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_bad_and_unknown_settings() {
        let read = |path: &str| match path {
            "/proc/sys/kernel/io_uring_disabled" => Some("0\n".to_owned()),
            "/proc/sys/net/core/somaxconn" => Some("128\n".to_owned()),
            _ => None,
        };
        let (text, is_well) = report(&CHECKS, read);
        assert!(!is_well);
        assert!(
            text.starts_with("[io-uring]...OK\n[slow-clocksource]...skipped\n[somaxconn]...WARNING:\n"),
            "{text}"
        );
        assert!(report(&CHECKS[..1], read).1);
    }
}
