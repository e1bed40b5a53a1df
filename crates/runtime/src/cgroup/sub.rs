//! Groups below a container's, as a process that is run beside init is asked to be in.

use crate::error::invalid;
use sampan_types::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};

/// Paths below a container's group: one for all hierarchies, or one by controller. The default is the group itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubGroups {
    all: Option<String>,
    by_controller: Vec<(String, String)>,
}

impl SubGroups {
    /// From the words of a command line: `PATH`, `CONTROLLER:PATH`, `CONTROLLER,CONTROLLER:PATH`.
    ///
    /// # Errors
    /// For a controller that is named twice or not at all, and more than one path for all.
    pub fn parse<T: AsRef<str>>(words: &[T]) -> Result<Self> {
        let mut groups = Self::default();
        for word in words.iter().map(AsRef::as_ref) {
            let bad = |why: &str| invalid(format!("invalid --cgroup argument: {word}"), why.to_owned());
            let Some((controllers, path)) = word.split_once(':') else {
                if words.len() > 1 {
                    return Err(bad("missing <controller>: prefix"));
                }
                groups.all = Some(word.to_owned());
                continue;
            };
            for controller in controllers.split(',') {
                if controller.is_empty() {
                    return Err(bad("empty <controller> prefix"));
                }
                if groups.by_controller.iter().any(|own| own.0 == controller) {
                    return Err(bad("a controller is specified more than once"));
                }
                groups.by_controller.push((controller.to_owned(), path.to_owned()));
            }
        }
        Ok(groups)
    }

    /// Whether it is the group itself everywhere.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.by_controller.is_empty()
    }

    /// The path for all hierarchies, absolute from the group; empty for the group itself.
    pub(super) fn whole(&self) -> String {
        self.all.as_ref().map_or(String::new(), |path| format!("/{}", path.trim_matches('/')))
    }

    /// The directory for the hierarchy of these controllers; `group` is the container's own there.
    pub(super) fn directory(&self, controllers: &str, group: &Path) -> Result<PathBuf> {
        let of_hierarchy = |own: &&(String, String)| {
            controllers.trim_start_matches("name=").split(',').any(|controller| controller == own.0)
        };
        let path = match &self.all {
            Some(path) => path,
            None => match self.by_controller.iter().find(of_hierarchy) {
                Some((_, path)) => path,
                None => return Ok(group.to_path_buf()),
            },
        };
        let below = Path::new(path.trim_start_matches('/'));
        if below.components().any(|part| part == Component::ParentDir) {
            return Err(invalid(
                format!("bad sub cgroup path: {path}"),
                "it must not lead out of the container's control group",
            ));
        }
        Ok(group.join(below))
    }

    /// Every controller that is named must be in one of these hierarchies.
    pub(super) fn require<'a>(&self, hierarchies: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
        let known = |controller: &str| {
            hierarchies
                .clone()
                .any(|own| own.trim_start_matches("name=").split(',').any(|own| own == controller))
        };
        match self.by_controller.iter().find(|own| !known(&own.0)) {
            None => Ok(()),
            Some((controller, _)) => Err(invalid(
                format!("unknown controller {controller} in SubCgroupPaths"),
                "no control group hierarchy of this container has it",
            )),
        }
    }
}

/// A process cannot be put into a group below the container's.
pub(super) fn cannot_add(directory: &Path, source: Error) -> Error {
    let kind = if source.kind() == ErrorKind::NotFound { ErrorKind::NotFound } else { source.kind() };
    let reason = source.causes().pop().unwrap_or_else(|| source.to_string());
    Error::new(kind, format!("cannot run in the control group {}", directory.display()))
        .because(format!("adding pid {} to it: {reason}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let group = Path::new("/c/x");
        let all = SubGroups::parse(&["/sub/"]).unwrap();
        assert_eq!(all.directory("cpu", group).unwrap(), Path::new("/c/x/sub/"));
        let some = SubGroups::parse(&["cpu,cpuacct:a", "memory:b"]).unwrap();
        assert_eq!(some.directory("cpu,cpuacct", group).unwrap(), Path::new("/c/x/a"));
        assert_eq!(some.directory("memory", group).unwrap(), Path::new("/c/x/b"));
        assert_eq!(some.directory("pids", group).unwrap(), group);
        let error = some.require(["cpu,cpuacct", "pids"].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), "unknown controller memory in SubCgroupPaths");
        assert!(SubGroups::parse::<&str>(&[]).unwrap().is_empty());
    }

    #[test]
    fn nonsense() {
        let escape = SubGroups::parse(&["a/../../b"]).unwrap();
        let error = escape.directory("cpu", Path::new("/c/x")).unwrap_err();
        assert_eq!(error.to_string(), "bad sub cgroup path: a/../../b");
        let causes = |words: &[&str]| SubGroups::parse(words).unwrap_err().causes();
        assert_eq!(causes(&["a", "b"]), ["missing <controller>: prefix"]);
        assert_eq!(causes(&[":b"]), ["empty <controller> prefix"]);
        assert_eq!(causes(&["cpu:a", "cpu:b"]), ["a controller is specified more than once"]);
    }
}
