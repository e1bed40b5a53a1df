//! Sizes as callers write them: `50M`, `1.5GiB`, `1024`.

/// Bytes; units are powers of 1024.
pub(super) fn parse(text: &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let bytes = number * 2_f64.powi(shift);
    // The largest number that is still exact; no machine has more.
    (bytes < 2_f64.powi(62)).then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("50M", 50 << 20),
            ("1g", 1 << 30),
            ("1.5k", 1536),
            ("2GiB", 2 << 30),
            ("3 mb", 3 << 20),
            ("7B", 7),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "foo", "M", "1x", "-1", "1..2", "9999P"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
