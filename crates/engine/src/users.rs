//! Users and groups of a root filesystem, parsed without the C library's name services: a container's names must
//! never be looked up on the host.

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use sampan_types::{Error, ErrorKind, Mount, Result};
use std::{
    fs::File,
    io::Read,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// Longest passwd or group file that is read; a hostile image must not fill memory.
const LONGEST: u64 = 4 << 20;

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResolvedUser {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// Home directory; `/` where unknown.
    pub(crate) home: String,
}

/// The account files of a root filesystem.
pub(crate) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads them from a root filesystem that is not mounted: the topmost layer that has the file wins.
    pub(crate) fn from_mount(mount: &Mount) -> Self {
        let layers = layers(mount);
        let read = |file: &str| layers.iter().find_map(|layer| read_inside(layer, file)).unwrap_or_default();
        Self { passwd: read("etc/passwd"), group: read("etc/group") }
    }

    /// Reads them from a directory: `/proc/<pid>/root` of a running container.
    pub(crate) fn from_root(root: &Path) -> Self {
        let read = |file: &str| read_inside(root, file).unwrap_or_default();
        Self { passwd: read("etc/passwd"), group: read("etc/group") }
    }

    /// Resolves `user[:group]`, each a name or a number. An empty text is root.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where a name is not in the image.
    pub(crate) fn resolve(&self, text: &str) -> Result<ResolvedUser> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let entry = self
            .passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.len() >= 6 && (fields[0] == user || fields[2] == user));
        let (uid, gid, name, home) = match (&entry, user.parse::<u32>()) {
            (Some(fields), _) => {
                let number = |field: &str| {
                    field
                        .parse::<u32>()
                        .map_err(|_| invalid(text, format!("malformed entry {:?} in /etc/passwd", fields[0])))
                };
                (number(fields[2])?, number(fields[3])?, Some(fields[0]), fields[5])
            }
            (None, Ok(uid)) => (uid, 0, None, "/"),
            (None, Err(_)) => {
                return Err(invalid(text, format!("no user {user:?} in the image's /etc/passwd")));
            }
        };
        let groups = match (group, name) {
            (None, Some(name)) => self.memberships(name),
            _ => Vec::new(),
        };
        let gid = match group {
            None | Some("") => gid,
            Some(group) => self.group(text, group)?,
        };
        let home = if home.is_empty() { "/" } else { home };
        Ok(ResolvedUser { uid, gid, groups, home: home.to_owned() })
    }

    fn groups(&self) -> impl Iterator<Item = Vec<&str>> {
        self.group.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|fields| fields.len() >= 4)
    }

    fn group(&self, text: &str, group: &str) -> Result<u32> {
        if let Some(fields) = self.groups().find(|fields| fields[0] == group)
            && let Ok(gid) = fields[2].parse()
        {
            return Ok(gid);
        }
        group.parse().map_err(|_| invalid(text, format!("no group {group:?} in the image's /etc/group")))
    }

    fn memberships(&self, name: &str) -> Vec<u32> {
        self.groups()
            .filter(|fields| fields[3].split(',').any(|member| member == name))
            .filter_map(|fields| fields[2].parse().ok())
            .collect()
    }
}

/// The directories a root filesystem is made from, the topmost first.
pub(crate) fn layers(mount: &Mount) -> Vec<&PathBuf> {
    match mount {
        Mount::Overlay { lower, upper, .. } => upper.iter().chain(lower).collect(),
        Mount::Bind { source, .. } => vec![source],
    }
}

fn invalid(text: &str, why: String) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot run as user {text:?}")).because(why)
}

/// Reads a regular file under `root`, never following a link out of it (a FIFO or device is not opened).
fn read_inside(root: &Path, file: &str) -> Option<String> {
    let dir = File::open(root).ok()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(dir.as_fd(), file, flags, Mode::empty(), resolve).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:/bin/false\nbad:x:zz:0::/:\n"
                .into(),
            group: "root:x:0:\nwww:x:33:\nssl:x:110:www,root\nadm:x:4:www\n".into(),
        }
    }

    #[test]
    fn names_numbers_and_groups() {
        let accounts = accounts();
        let www = accounts.resolve("www").unwrap();
        assert_eq!((www.uid, www.gid, www.home.as_str()), (33, 33, "/var/www"));
        assert_eq!(www.groups, [110, 4]);
        let number = accounts.resolve("1234:adm").unwrap();
        assert_eq!((number.uid, number.gid, number.home.as_str()), (1234, 4, "/"));
        assert_eq!(accounts.resolve("").unwrap().home, "/root");
        assert_eq!(accounts.resolve("www:0").unwrap().groups, [] as [u32; 0]);
    }

    #[test]
    fn unknown_names_say_so() {
        let error = accounts().resolve("nobody").unwrap_err();
        assert_eq!(error.causes(), ["no user \"nobody\" in the image's /etc/passwd"]);
        let error = accounts().resolve("www:nogroup").unwrap_err();
        assert_eq!(error.causes(), ["no group \"nogroup\" in the image's /etc/group"]);
        assert!(accounts().resolve("bad").is_err());
    }

    #[test]
    fn a_link_does_not_lead_out_of_the_image() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/../../../../etc/passwd", dir.path().join("etc/passwd")).unwrap();
        assert_eq!(read_inside(dir.path(), "etc/passwd"), None);
    }
}
