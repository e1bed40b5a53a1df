//! `-v`: folders of the host inside.

use sampan_tests::Sandbox;
use std::os::unix::fs::MetadataExt as _;

#[test]
fn a_volume_is_written_with_the_hosts_owners() {
    let sandbox = Sandbox::new();
    let files = sandbox.files();
    std::fs::write(files.join("in"), "from the host").unwrap();
    let volume = format!("{}:/data", files.display());
    let line = "cat /data/in; echo back > /data/out; touch /data/user; chown 1000:1001 /data/user; stat -c %u:%g /data/in";
    let said =
        sandbox.words(&["run", "--rm", "--network", "none", "-v", &volume, "busybox", "sh", "-c", line]);
    assert_eq!(said.ok(), "from the host0:0");
    assert_eq!(std::fs::read_to_string(files.join("out")).unwrap(), "back\n");
    let owner = |name: &str| {
        let entry = std::fs::metadata(files.join(name)).unwrap();
        (entry.uid(), entry.gid())
    };
    assert_eq!(owner("out"), (0, 0));
    assert_eq!(owner("user"), (1000, 1001));
}

#[test]
fn a_read_only_volume_takes_no_writes() {
    let sandbox = Sandbox::new();
    let files = sandbox.files();
    std::fs::write(files.join("in"), "text").unwrap();
    let volume = format!("{}:/data:ro", files.display());
    let words = ["run", "--rm", "--network", "none", "-v", &volume, "busybox", "touch", "/data/new"];
    sandbox.words(&words).code(1).complains("Read-only file system");
    let words =
        ["run", "--rm", "--network", "none", "-v", &volume, "busybox", "mount", "-o", "remount,rw", "/data"];
    assert_ne!(sandbox.words(&words).code, 0, "it cannot be made writable from inside");
    assert!(!files.join("new").exists());
}

#[test]
fn a_single_file_can_be_a_volume() {
    let sandbox = Sandbox::new();
    let file = sandbox.files().join("motd");
    std::fs::write(&file, "hello").unwrap();
    let volume = format!("{}:/etc/deep/motd", file.display());
    let words = ["run", "--rm", "--network", "none", "-v", &volume, "busybox", "cat", "/etc/deep/motd"];
    assert_eq!(sandbox.words(&words).ok(), "hello");
}

#[test]
fn a_link_made_inside_cannot_lead_a_volume_out() {
    let sandbox = Sandbox::new();
    let outside = tempfile::tempdir_in("/var/tmp").unwrap();
    sandbox.sleeper("box", &format!("--network none -v {}:/evil/x", sandbox.files().display()));
    // At the next start the volume's target leads over a link to a folder of the host; inside, the same path means one
    // of the container's own.
    let line = format!("mv /evil /old && ln -s {} /evil", outside.path().display());
    sandbox.words(&["exec", "box", "sh", "-c", &line]).code(0);
    sandbox.sampan("restart -t 0 box").code(0);
    sandbox
        .words(&["exec", "box", "grep", "-q", &format!(" {}/x ", outside.path().display()), "/proc/mounts"])
        .code(0);
    assert!(std::fs::read_dir(outside.path()).unwrap().next().is_none(), "the host's folder is untouched");
}
