//! How long ago something was.

use std::time::{Duration, SystemTime};

/// `5 minutes`, as `docker ps` says it.
pub(crate) fn elapsed(since: SystemTime) -> String {
    words(since.elapsed().unwrap_or_default())
}

/// `5 minutes ago`.
pub(crate) fn ago(since: SystemTime) -> String {
    format!("{} ago", elapsed(since))
}

fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 14 => format!("{} days", hours / 24),
        () if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (7200, "2 hours"),
            (864_000, "10 days"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), text);
        }
    }
}
