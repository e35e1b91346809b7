//! Local time in the form of log lines.

use std::time::{SystemTime, UNIX_EPOCH};

use tz::{DateTime, TimeZone};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The rules for local time, read once: a log line must not open files.
#[derive(Debug)]
pub struct LocalTime {
    zone: TimeZone,
}

impl LocalTime {
    /// The zone that the environment variable `TZ` names, else the machine's; UTC if it cannot be read.
    pub fn system() -> LocalTime {
        let zone = match std::env::var("TZ") {
            Ok(name) => TimeZone::from_posix_tz(&name),
            Err(_) => TimeZone::local(),
        };
        LocalTime { zone: zone.unwrap_or_else(|_| TimeZone::utc()) }
    }

    /// A time in the form `21 Nov 2026 10:15:00.123`.
    pub fn format(&self, time: SystemTime) -> String {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, nanos) = (since_epoch.as_secs() as i64, since_epoch.subsec_nanos());
        let local = DateTime::from_timespec(seconds, nanos, self.zone.as_ref())
            .or_else(|_| DateTime::from_timespec(seconds, nanos, TimeZone::utc().as_ref()));
        let Ok(t) = local else {
            // Only a clock billions of years off has no calendar date.
            return format!("{seconds}.{:03}", since_epoch.subsec_millis());
        };
        format!(
            "{:02} {} {} {:02}:{:02}:{:02}.{:03}",
            t.month_day(),
            MONTHS[usize::from(t.month()) - 1],
            t.year(),
            t.hour(),
            t.minute(),
            t.second(),
            since_epoch.subsec_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn format(zone: &str, millis: u64) -> String {
        let zone = TimeZone::from_posix_tz(zone).unwrap();
        LocalTime { zone }.format(UNIX_EPOCH + Duration::from_millis(millis))
    }

    #[test]
    fn days_and_clock_are_padded_to_two_digits() {
        assert_eq!(format("UTC0", 7_509), "01 Jan 1970 00:00:07.509");
        assert_eq!(format("UTC0", 1_795_256_100_123), "21 Nov 2026 10:15:00.123");
    }

    #[test]
    fn daylight_saving_moves_the_clock() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(format(berlin, 1_782_000_000_000), "21 Jun 2026 02:00:00.000");
        assert_eq!(format(berlin, 1_795_256_100_000), "21 Nov 2026 11:15:00.000");
    }
}
