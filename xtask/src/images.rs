//! Images for the tests, made once: `.cache/test-images/NAME` is an engine root with the image NAME in it.

use crate::{repo, run};
use anyhow::{Context as _, Result};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each image and the words that make it.
const IMAGES: &[(&str, &[&str])] = &[
    ("busybox", &["--template", "busybox"]),
    ("debian", &["--template", "debian"]),
    ("machine", &["--template", "debian", "--include", "systemd-sysv,cron,openssh-server"]),
];

/// The crates that decide what a root looks like.
const WRITERS: &[&str] = &["types", "store", "snapshot", "image"];

/// Makes the images that are missing, or older than the code that writes them. Gives their folder and how many were made.
pub(crate) fn ensure(sampan: &Path) -> Result<(PathBuf, usize)> {
    let folder = repo::cache("test-images")?;
    let _others_wait = repo::lock("test-images")?;
    let key = key()?;
    let mut made = 0;
    for (name, words) in IMAGES {
        let root = folder.join(name);
        let mark = folder.join(format!("{name}.key"));
        if std::fs::read_to_string(&mark).is_ok_and(|made_with| made_with == key) {
            continue;
        }
        if root.exists() {
            std::fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
        }
        println!("images: making {name} …");
        make(sampan, &root, name, words)?;
        std::fs::write(&mark, &key).with_context(|| format!("cannot write {}", mark.display()))?;
        made += 1;
    }
    Ok((folder, made))
}

/// Makes one image, and runs it once so that its layers are unpacked.
fn make(sampan: &Path, root: &Path, name: &str, words: &[&str]) -> Result<()> {
    let run_dir =
        tempfile::Builder::new().prefix("sampan-images-").tempdir_in("/run").context("cannot use /run")?;
    let call = |words: &[&str]| {
        run::status(Command::new(sampan).arg("--root").arg(root).arg("--run").arg(run_dir.path()).args(words))
    };
    call(&[&["image", "create", name], words].concat())?;
    call(&["run", "--rm", "--network", "none", name, "true"])?;
    call(&["shutdown"])
}

/// A digest of the sources that decide what a root looks like.
pub(crate) fn key() -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for writer in WRITERS {
        repo::hash(&repo::root().join("crates").join(writer).join("src"), &mut hasher)?;
    }
    format!("{IMAGES:?}").hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}
