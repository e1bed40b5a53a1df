//! Finding a directory that the layer mentions without having it: as the union of all layers shows it.

use super::{
    tree::{Tree, is, open_in},
    whiteout,
};
use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2, readlinkat},
    io::Errno,
};
use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
};

/// The most symbolic links that one path may lead through, as the kernel has it (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// What the union has under a path.
enum Found {
    /// A directory, and in how many of the lower layers what is in it can be seen.
    Directory(usize),
    SymbolicLink(Vec<u8>),
    Nothing,
    Other,
}

/// One component of a path without links.
struct Step {
    path: Vec<u8>,
    /// How many of the lower layers are not hidden below it.
    visible: usize,
}

impl Tree {
    /// Makes all directories of `path` in the layer, following links of the layers below; each is made with the
    /// attributes it has there. Gives the last one.
    pub(super) fn make_path(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut pending: VecDeque<Vec<u8>> = components(path);
        let mut steps: Vec<Step> = Vec::new();
        let mut links = 0;
        while let Some(component) = pending.pop_front() {
            if component == b".." {
                steps.pop();
                continue;
            }
            let (at, visible) = match steps.last() {
                Some(step) => ([step.path.as_slice(), b"/", &component].concat(), step.visible),
                None => (component, self.lower.len()),
            };
            match self.look(&at, visible)? {
                Found::Directory(visible) => steps.push(Step { path: at, visible }),
                Found::Nothing => steps.push(Step { path: at, visible: 0 }),
                Found::Other => return Err(Errno::NOTDIR.into()),
                Found::SymbolicLink(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    if target.starts_with(b"/") {
                        steps.clear();
                    }
                    components(&target).into_iter().rev().for_each(|component| pending.push_front(component));
                }
            }
            self.make_step(&steps)?;
        }
        let last = steps.last().map_or(&[][..], |step| &step.path);
        Ok(open_in(&self.upper, last)?)
    }

    /// Makes the last step's directory in the layer, where it is not there.
    fn make_step(&mut self, steps: &[Step]) -> io::Result<()> {
        let Some(step) = steps.last() else { return Ok(()) };
        if let Some(found) = open_plain(&self.upper, &step.path)?
            && is(&fstat(&found)?, FileType::Directory)
        {
            return Ok(());
        }
        let mut source = None;
        for lower in self.lower.iter().take(step.visible) {
            if let Some(found) = open_plain(lower, &step.path)? {
                source = Some(open_in(lower, &step.path)?);
                drop(found);
                break;
            }
        }
        self.copy_directory(&step.path, source.as_ref().map(|source| source.as_fd()))
    }

    /// What the union has under a path without links, of whose directory `visible` lower layers can be seen.
    fn look(&self, path: &[u8], visible: usize) -> io::Result<Found> {
        let mut seen = None;
        let layers = std::iter::once(&self.upper).chain(self.lower.iter().take(visible));
        for (depth, layer) in layers.enumerate() {
            let Some(file) = open_plain(layer, path)? else { continue };
            let stat = fstat(&file)?;
            if !is(&stat, FileType::Directory) {
                return Ok(match seen {
                    Some(visible) => Found::Directory(visible),
                    None if whiteout::is_whiteout(&stat) => Found::Nothing,
                    None if is(&stat, FileType::Symlink) => {
                        Found::SymbolicLink(readlinkat(&file, "", Vec::new())?.into_bytes())
                    }
                    None => Found::Other,
                });
            }
            seen = Some(depth);
            if whiteout::is_opaque(open_in(layer, path)?.as_fd())? {
                break;
            }
        }
        Ok(seen.map_or(Found::Nothing, Found::Directory))
    }

    /// The file that the lower layers show under a path without links, and its place among them.
    pub(super) fn find_lower(&self, path: &[u8]) -> io::Result<Option<OwnedFd>> {
        let mut visible = self.lower.len();
        let mut at = Vec::new();
        let parts: Vec<_> = components(path).into();
        let (last, directories) = match parts.split_last() {
            Some(split) => split,
            None => return Ok(None),
        };
        for component in directories {
            at.extend_from_slice(component);
            match self.look(&at, visible)? {
                Found::Directory(below) => visible = below,
                _ => return Ok(None),
            }
            at.push(b'/');
        }
        at.extend_from_slice(last);
        for lower in self.lower.iter().take(visible) {
            if let Some(file) = open_plain(lower, &at)? {
                return Ok((!whiteout::is_whiteout(&fstat(&file)?)).then_some(file));
            }
        }
        Ok(None)
    }
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

/// What one layer has under a path, links not followed; `None` where it has nothing.
fn open_plain(layer: &OwnedFd, path: &[u8]) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat2(layer, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        opened => Ok(Some(opened?)),
    }
}
