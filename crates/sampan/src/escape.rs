//! The keys that leave a container running: Ctrl-P Ctrl-Q.

const CTRL_P: u8 = 0x10;
const CTRL_Q: u8 = 0x11;

/// Looks for the two keys in what is typed.
#[derive(Debug, Default)]
pub(crate) struct DetachKeys {
    held: bool,
}

impl DetachKeys {
    /// Takes typed bytes; gives those to pass on, and whether the keys were complete (what follows them is dropped).
    /// A lone Ctrl-P is held back until the next key shows what was meant.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len() + 1);
        for &byte in typed {
            match (std::mem::take(&mut self.held), byte) {
                (true, CTRL_Q) => return (passed, true),
                (true, CTRL_P) => {
                    passed.push(CTRL_P);
                    self.held = true;
                }
                (true, other) => passed.extend([CTRL_P, other]),
                (false, CTRL_P) => self.held = true,
                (false, other) => passed.push(other),
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pair_detaches() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.filter(b"ab"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"\x10"), (vec![], false));
        assert_eq!(keys.filter(b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(keys.filter(b"y\x10\x10"), (b"y\x10".to_vec(), false));
        assert_eq!(keys.filter(b"\x11z"), (vec![], true));
        assert_eq!(keys.filter(b"\x11"), (b"\x11".to_vec(), false));
    }
}
