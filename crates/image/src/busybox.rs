//! The smallest useful root filesystem: the host's own static busybox, with every applet it has.

use crate::{
    elf,
    template::{Template, TemplateConfig, TemplateOptions},
};
use sampan_types::{Error, ErrorKind, Progress, Result};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    time::UNIX_EPOCH,
};
use tar::{Builder, EntryType, Header};

/// Where distributions install it.
const PLACES: [&str; 3] = ["/bin/busybox", "/usr/bin/busybox", "/sbin/busybox"];

/// Directories with their modes.
const DIRECTORIES: [(&str, u32); 17] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// Files with their content. The table for init is read only where busybox's own is started.
const FILES: [(&str, &str); 4] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    ("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("etc/shadow", "root:*:::::::\nnobody:*:::::::\n"),
    ("etc/inittab", "console::respawn:-/bin/sh\n::ctrlaltdel:/sbin/reboot\n::shutdown:/bin/umount -a -r\n"),
];

/// Makes its root filesystem of one program of this machine.
#[derive(Debug, Clone, Default)]
pub struct Busybox {
    /// The program; found where distributions install it if absent.
    pub program: Option<PathBuf>,
}

impl Template for Busybox {
    fn write(
        &self,
        options: &TemplateOptions,
        archive: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<TemplateConfig> {
        if options.release.is_some() || !options.include.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "cannot make a busybox image with releases or packages",
            )
            .because("busybox is one program, and has neither")
            .hint("--template debian, or leave --release and --include out"));
        }
        let path = self.find()?;
        progress.step(&format!("packing {}", path.display()));
        let program = read_static(&path)?;
        let applets = applets(&path)?;
        let time = fs::metadata(&path).and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
        let time = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        pack(archive, &program, &applets, time)
            .map_err(|error| Error::io("cannot write the layer", error))?;
        Ok(TemplateConfig {
            cmd: vec!["sh".into()],
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()],
            created_by: "sampan image create --template busybox".into(),
            ..TemplateConfig::default()
        })
    }
}

impl Busybox {
    fn find(&self) -> Result<PathBuf> {
        let places = PLACES.iter().map(PathBuf::from);
        let mut candidates = self.program.clone().map_or_else(|| places.collect(), |program| vec![program]);
        candidates.retain(|path| path.is_file());
        match candidates.into_iter().next() {
            Some(path) => Ok(path),
            None => Err(Error::new(ErrorKind::Unsupported, "cannot make a busybox image")
                .because("this machine has no busybox")
                .hint("apt-get install busybox-static")),
        }
    }
}

fn read_static(path: &Path) -> Result<Vec<u8>> {
    let program =
        fs::read(path).map_err(|error| Error::io(format!("cannot read {}", path.display()), error))?;
    let why = match elf::is_static(&program) {
        Some(true) => return Ok(program),
        Some(false) => "needs shared libraries, which the image would not have",
        None => "is no executable of this machine",
    };
    Err(Error::new(ErrorKind::Unsupported, "cannot make a busybox image")
        .because(format!("{} {why}", path.display()))
        .hint("apt-get install busybox-static"))
}

/// Paths of all applets, such as `usr/bin/wget`.
fn applets(path: &Path) -> Result<Vec<String>> {
    let what = || format!("cannot list the applets of {}", path.display());
    let output = Command::new(path).arg("--list-full").output().map_err(|error| Error::io(what(), error))?;
    if !output.status.success() {
        return Err(Error::new(ErrorKind::Unsupported, what())
            .because(format!("it ended with {}", output.status))
            .hint("apt-get install busybox-static"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn pack(archive: &mut dyn Write, program: &[u8], applets: &[String], time: u64) -> io::Result<()> {
    let mut archive = Builder::new(archive);
    let header = |kind: EntryType, mode: u32, size: usize| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header.set_mtime(time);
        header
    };
    let mut directories: BTreeSet<String> = BTreeSet::new();
    for (path, mode) in DIRECTORIES {
        archive.append_data(&mut header(EntryType::Directory, mode, 0), format!("{path}/"), io::empty())?;
        directories.insert(path.to_owned());
    }
    for (path, content) in FILES {
        let mode = if path.ends_with("shadow") { 0o600 } else { 0o644 };
        archive.append_data(
            &mut header(EntryType::Regular, mode, content.len()),
            path,
            content.as_bytes(),
        )?;
    }
    archive.append_data(&mut header(EntryType::Regular, 0o755, program.len()), "bin/busybox", program)?;
    for applet in applets.iter().filter(|applet| *applet != "bin/busybox") {
        if let Some((directory, _)) = applet.rsplit_once('/')
            && directories.insert(directory.to_owned())
        {
            let path = format!("{directory}/");
            archive.append_data(&mut header(EntryType::Directory, 0o755, 0), path, io::empty())?;
        }
        archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), applet, "/bin/busybox")?;
    }
    archive.into_inner().map(|_| ())
}
