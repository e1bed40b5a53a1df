//! Signals as the user types them.

use crate::{Error, ErrorKind, Result};

/// The number of a signal given by name (`TERM`, `SIGTERM`, `SIGRTMIN+3`) or number, as signal(7) has them.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where there is no such signal.
pub fn parse_signal(text: &str) -> Result<i32> {
    const NAMES: &[&str] = &[
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    const RTMIN: i32 = 34;
    const RTMAX: i32 = 64;
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = match (name.parse::<i32>(), name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Ok(number), _, _) => Some(number),
        (_, Some(offset), _) => offset_of(offset).map(|offset| RTMIN + offset),
        (_, _, Some(offset)) => offset_of(offset).map(|offset| RTMAX + offset),
        _ => NAMES.iter().position(|known| *known == name).and_then(|at| i32::try_from(at + 1).ok()),
    };
    match number {
        Some(number) if (1..=RTMAX).contains(&number) && !(32..RTMIN).contains(&number) => Ok(number),
        _ => Err(Error::new(ErrorKind::InvalidInput, format!("invalid signal {text:?}"))
            .hint("a name such as TERM, HUP or RTMIN+3, or a number from 1 to 64")),
    }
}

fn offset_of(text: &str) -> Option<i32> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for (text, number) in [
            ("TERM", 15),
            ("sigkill", 9),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("9", 9),
            ("SYS", 31),
            ("RTMIN", 34),
        ] {
            assert_eq!(parse_signal(text).unwrap(), number, "{text}");
        }
        for bad in ["", "0", "65", "32", "BOGUS", "-1", "RTMAX+1"] {
            assert_eq!(parse_signal(bad).unwrap_err().to_string(), format!("invalid signal {bad:?}"));
        }
    }
}
