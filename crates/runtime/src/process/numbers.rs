//! Lists of processors and memory nodes (cpuset(7), "List format"): `0-3,7`.

/// The highest number that a list may name: no kernel is built for more processors or nodes.
const MAX: u32 = 8191;

/// The bits of a list, lowest number first; what is wrong with it otherwise. An empty list has no bits.
pub(super) fn parse(list: &str) -> Result<Vec<u64>, String> {
    let mut bits = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("the range {range:?} ends before it begins"));
        }
        for number in first..=last {
            let word = number as usize / 64;
            if word >= bits.len() {
                bits.resize(word + 1, 0);
            }
            bits[word] |= 1 << (number % 64);
        }
    }
    Ok(bits)
}

fn number(text: &str) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(number) if number <= MAX => Ok(number),
        Ok(number) => Err(format!("{number} is more than {MAX}")),
        Err(_) => Err(format!("{text:?} is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_bits() {
        assert_eq!(parse("0-2, 5,64").unwrap(), [0b10_0111, 1]);
        assert_eq!(parse("").unwrap(), [0; 0]);
        assert_eq!(parse("3-1").unwrap_err(), "the range \"3-1\" ends before it begins");
        assert_eq!(parse("0-x").unwrap_err(), "\"x\" is no number");
        assert_eq!(parse("-1").unwrap_err(), "\"\" is no number");
        assert_eq!(parse("0-4294967295").unwrap_err(), "4294967295 is more than 8191");
    }
}
