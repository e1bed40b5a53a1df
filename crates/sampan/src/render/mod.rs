//! Outputs to text for people.

pub(crate) mod inspect;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod time;

use sampan_types::{ContainerState, Error, ops::ContainerSummary};

/// Three lines on standard error: what failed, why, what to do.
pub(crate) fn error(error: &Error) {
    eprintln!("error: {}", printable(&error.to_string()));
    let causes = error.causes();
    if !causes.is_empty() {
        eprintln!("cause: {}", printable(&causes.join(": ")));
    }
    if let Some(hint) = error.remedy() {
        eprintln!("try: {}", printable(hint));
    }
}

/// Text that came from outside, without the control characters by which it could play with the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `Up 5 minutes`, `Exited (0) 2 hours ago`, `Created`.
pub(crate) fn status(container: &ContainerSummary) -> String {
    let since = container.since.map(time::elapsed).unwrap_or_default();
    match container.state {
        ContainerState::Created => "Created".to_owned(),
        ContainerState::Running => format!("Up {since}"),
        ContainerState::Exited => format!("Exited ({}) {since} ago", container.exit_code.unwrap_or_default()),
    }
}

/// `12.3MB`, with decimal factors as Docker has it.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return match unit {
                "B" => format!("{count}B"),
                _ if value < 10.0 => format!("{value:.2}{unit}"),
                _ if value < 100.0 => format!("{value:.1}{unit}"),
                _ => format!("{value:.0}{unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1}TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, text) in
            [(0, "0B"), (999, "999B"), (1_230, "1.23kB"), (45_600_000, "45.6MB"), (2_000_000_000, "2.00GB")]
        {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
    }
}
