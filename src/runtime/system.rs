//! Facts about this process and its machine, as the kernel tells them under `/proc`.

use std::fs;

/// Bytes of memory that the machine has; 0 if the kernel does not tell.
pub fn total_memory_bytes() -> u64 {
    kibibytes_in("/proc/meminfo", "MemTotal:").unwrap_or(0) * 1024
}

/// Bytes of memory that this process occupies; 0 if the kernel does not tell.
pub fn resident_bytes() -> u64 {
    kibibytes_in("/proc/self/status", "VmRSS:").unwrap_or(0) * 1024
}

/// The number on the line of a `/proc` file that begins with `label`.
fn kibibytes_in(path: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Name and release of the system and its architecture, as `uname -srm` prints them.
pub fn system_name() -> String {
    let read = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        text.trim().to_owned()
    };
    format!("{} {} {}", read("ostype"), read("osrelease"), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_occupies_memory_of_its_machine() {
        assert!(resident_bytes() > 0 && resident_bytes() < total_memory_bytes());
        assert!(system_name().starts_with("Linux "));
    }
}
