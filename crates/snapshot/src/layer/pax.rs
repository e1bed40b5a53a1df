//! Pax extended headers: records `<length> <key>=<value>\n` (POSIX.1-2017, pax, "pax Extended Header").

use super::field::{damaged, decimal};
use rustix::fs::Timespec;
use std::io;

/// What the records of one or more extended headers say.
#[derive(Debug, Clone, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Timespec>,
    /// Extended attributes, by full name.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Records `GNU.sparse.*`, without that prefix, in their order.
    pub(super) sparse: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Takes in all records of one header; later ones win.
    pub(super) fn extend(&mut self, mut records: &[u8]) -> io::Result<()> {
        while !records.is_empty() {
            let (key, value, rest) = record(records)?;
            self.set(key, value)?;
            records = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value, "size")?),
            b"uid" => self.uid = Some(decimal(value, "uid")?),
            b"gid" => self.gid = Some(decimal(value, "gid")?),
            b"mtime" => self.mtime = Some(timestamp(value)?),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(other, _)| other != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// Key and value of the first record, and what follows it.
fn record(records: &[u8]) -> io::Result<(&[u8], &[u8], &[u8])> {
    let invalid = || damaged("an extended header is malformed");
    let space = records.iter().position(|byte| *byte == b' ').ok_or_else(invalid)?;
    let length = usize::try_from(decimal(&records[..space], "length")?).map_err(|_| invalid())?;
    let body =
        records.get(space + 1..length).and_then(|body| body.strip_suffix(b"\n")).ok_or_else(invalid)?;
    let equals = body.iter().position(|byte| *byte == b'=').ok_or_else(invalid)?;
    Ok((&body[..equals], &body[equals + 1..], &records[length..]))
}

/// Seconds since 1970 with a fraction, as in `1700000000.123456789` or `-1.5`.
fn timestamp(text: &[u8]) -> io::Result<Timespec> {
    let parse = || {
        let text = std::str::from_utf8(text).ok()?;
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let negative = seconds.starts_with('-');
        let mut time = Timespec { tv_sec: seconds.parse().ok()?, tv_nsec: 0 };
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let nanoseconds: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        time.tv_nsec = nanoseconds as _;
        if negative && nanoseconds > 0 {
            time.tv_sec = time.tv_sec.checked_sub(1)?;
            time.tv_nsec = (1_000_000_000 - nanoseconds) as _;
        }
        Some(time)
    };
    parse().ok_or_else(|| damaged("the record mtime is not a time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let mut pax = Pax::default();
        pax.extend(b"12 path=a/b\n30 SCHILY.xattr.user.x=a\n=b\0c\n15 mtime=-1.25\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(pax.xattrs, [(b"user.x".to_vec(), b"a\n=b\0c".to_vec())]);
        let mtime = pax.mtime.unwrap();
        assert_eq!((mtime.tv_sec, mtime.tv_nsec), (-2, 750_000_000));
    }

    #[test]
    fn malformed() {
        for bad in
            [&b"5 a=b"[..], b"999 a=b\n", b"0 a=b\n", b"x a=b\n", b"6 ab=\n\n", b"7 size=\n", b"6 abc\n"]
        {
            assert!(Pax::default().extend(bad).is_err(), "{bad:?}");
        }
    }
}
