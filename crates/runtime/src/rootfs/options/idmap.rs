//! Which ids of a bound mount appear as which: `idmap`, `ridmap`, and crun's `idmap=uids=…;gids=…`.

use crate::idmap::IdMaps;
use sampan_types::{
    Error, Result,
    spec::{IdMapping, Mount},
};

/// What the words ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Idmap {
    /// Mounts below it too.
    pub(crate) recursive: bool,
    /// The maps; empty for those of the container's user namespace.
    pub(crate) uids: Vec<IdMapping>,
    pub(crate) gids: Vec<IdMapping>,
    /// The places in the maps (users, then groups) whose host ids are ids of the container.
    relative: (Vec<usize>, Vec<usize>),
}

impl Idmap {
    /// Reads `idmap` or `ridmap`, with crun's maps or without; `None` for other words.
    pub(crate) fn parse(word: &str) -> Option<Result<Self, String>> {
        let (name, maps) = word.split_once('=').map_or((word, None), |(name, maps)| (name, Some(maps)));
        let recursive = match name {
            "idmap" => false,
            "ridmap" => true,
            _ => return None,
        };
        let mut idmap = Self { recursive, ..Self::default() };
        let read = maps.map_or(Ok(()), |maps| idmap.read(maps));
        Some(read.map(|()| idmap))
    }

    /// A later word beside an earlier one: maps stay until there are others.
    pub(crate) fn over(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) if self.uids.is_empty() => Self { recursive: self.recursive, ..earlier },
            _ => self,
        }
    }

    /// `uids=0-1000-10#20-2000-1;gids=@0-0-10`: container, host and size of each range; `@` for host ids as the
    /// container sees them.
    fn read(&mut self, text: &str) -> Result<(), String> {
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (ranges, map, relative) = match part.split_once('=') {
                Some(("uids", ranges)) => (ranges, &mut self.uids, &mut self.relative.0),
                Some(("gids", ranges)) => (ranges, &mut self.gids, &mut self.relative.1),
                _ => return Err(format!("{part:?} of its idmap is neither uids= nor gids=")),
            };
            for range in ranges.split('#') {
                let numbers = range.strip_prefix('@').unwrap_or(range);
                if numbers.len() < range.len() {
                    relative.push(map.len());
                }
                map.push(range_of(numbers).ok_or_else(|| {
                    format!("{range:?} of its idmap is no range: container-host-size, each a number")
                })?);
            }
        }
        if self.uids.is_empty() || self.gids.is_empty() {
            return Err("its idmap must have both uids= and gids=".into());
        }
        Ok(())
    }

    /// Its own maps, with ids of the container's user namespace looked up there.
    pub(crate) fn maps(&self, mount: &Mount, container: Option<&IdMaps>) -> Result<IdMaps> {
        let mut maps = IdMaps { uids: self.uids.clone(), gids: self.gids.clone() };
        for &place in &self.relative.0 {
            let uid = &mut maps.uids[place].host_id;
            *uid = container
                .and_then(|container| container.host_uid(*uid))
                .ok_or_else(|| unknown(mount, "user", *uid))?;
        }
        for &place in &self.relative.1 {
            let gid = &mut maps.gids[place].host_id;
            *gid = container
                .and_then(|container| container.host_gid(*gid))
                .ok_or_else(|| unknown(mount, "group", *gid))?;
        }
        Ok(maps)
    }
}

fn unknown(mount: &Mount, kind: &str, id: u32) -> Error {
    super::refused(mount, format!("{kind} {id} of its idmap is not in the container's user namespace"))
}

fn range_of(text: &str) -> Option<IdMapping> {
    let mut numbers = text.split('-').map(str::parse);
    let (container_id, host_id, size) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    numbers.next().is_none().then_some(IdMapping { container_id, host_id, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    #[test]
    fn maps_of_a_word() {
        let idmap = Idmap::parse("ridmap=uids=0-1000-10#@20-5-1;gids=0-0-1").unwrap().unwrap();
        assert!(idmap.recursive);
        assert_eq!(idmap.uids, [range(0, 1000, 10), range(20, 5, 1)]);
        let container = IdMaps { uids: vec![range(0, 70_000, 100)], gids: vec![range(0, 70_000, 100)] };
        let maps = idmap.maps(&Mount::default(), Some(&container)).unwrap();
        assert_eq!(maps.uids, [range(0, 1000, 10), range(20, 70_005, 1)]);
        let error = idmap.maps(&Mount::default(), None).unwrap_err();
        assert_eq!(error.causes(), ["user 5 of its idmap is not in the container's user namespace"]);
    }

    #[test]
    fn malformed_words_are_refused() {
        let refusal = |word: &str| Idmap::parse(word).unwrap().unwrap_err();
        assert_eq!(refusal("idmap=uids=0-0-1"), "its idmap must have both uids= and gids=");
        assert_eq!(refusal("idmap=x=1"), "\"x=1\" of its idmap is neither uids= nor gids=");
        for range in ["0-0", "a-0-1", "0-0-1-2", "-1-0-1"] {
            let refusal = refusal(&format!("idmap=uids={range};gids=0-0-1"));
            assert!(refusal.contains("is no range"), "{refusal}");
        }
        assert!(Idmap::parse("idmapped").is_none());
    }

    #[test]
    fn a_bare_word_keeps_earlier_maps() {
        let earlier = Idmap::parse("idmap=uids=0-1-1;gids=0-1-1").unwrap().unwrap();
        let both = Idmap::parse("ridmap").unwrap().unwrap().over(Some(earlier));
        assert!(both.recursive && both.uids == [range(0, 1, 1)]);
    }
}
