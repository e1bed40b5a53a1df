//! Limits as the user types them.

use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The least memory a container can be given, as Docker has it: 6 MiB.
const LEAST_MEMORY: u64 = 6 << 20;

/// An amount of memory in bytes: `512m`, `2g`, `1048576`, with binary factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Memory(pub u64);

impl FromStr for Memory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: String| {
            Error::new(ErrorKind::InvalidInput, format!("invalid memory limit {text:?}"))
                .because(why)
                .hint("a number with b, k, m or g, as in 512m")
        };
        let lower = text.to_ascii_lowercase();
        let number = lower.trim_end_matches("ib").trim_end_matches('b');
        let (digits, factor) = match number.chars().last() {
            Some('k') => (&number[..number.len() - 1], 1 << 10),
            Some('m') => (&number[..number.len() - 1], 1 << 20),
            Some('g') => (&number[..number.len() - 1], 1 << 30),
            Some('t') => (&number[..number.len() - 1], 1u64 << 40),
            _ => (number, 1),
        };
        let value: f64 = digits.parse().map_err(|_| invalid(format!("{digits:?} is not a number")))?;
        let bytes = value * factor as f64;
        if !bytes.is_finite() || !(0.0..9.2e18).contains(&bytes) {
            return Err(invalid("out of range".into()));
        }
        if (bytes as u64) < LEAST_MEMORY {
            return Err(invalid("the least is 6 MiB".into()));
        }
        Ok(Self(bytes as u64))
    }
}

/// A number of processors in thousandths: `1.5` is 1500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cpus(pub u32);

impl FromStr for Cpus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.parse::<f64>() {
            Ok(cpus) if (0.01..=65536.0).contains(&cpus) => Ok(Self((cpus * 1000.0).round() as u32)),
            _ => Err(Error::new(ErrorKind::InvalidInput, format!("invalid number of processors {text:?}"))
                .because("it must be a number from 0.01 up")
                .hint("--cpus 1.5")),
        }
    }
}

/// What a container may use; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Memory, in bytes.
    pub memory: Option<Memory>,
    /// Processor time.
    pub cpus: Option<Cpus>,
    /// Processes and threads together.
    pub pids: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory() {
        for (text, bytes) in [("512m", 512 << 20), ("1G", 1 << 30), ("1.5gb", 3 << 29), ("10MiB", 10 << 20)] {
            assert_eq!(text.parse::<Memory>().unwrap().0, bytes, "{text}");
        }
        for bad in ["", "x", "1m", "-1g", "1e400", "12q", "nan"] {
            assert!(bad.parse::<Memory>().is_err(), "{bad}");
        }
    }

    #[test]
    fn cpus() {
        assert_eq!("1.5".parse::<Cpus>().unwrap().0, 1500);
        for bad in ["", "0", "-1", "inf", "x"] {
            assert!(bad.parse::<Cpus>().is_err(), "{bad}");
        }
    }
}
