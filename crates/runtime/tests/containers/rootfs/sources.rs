//! What is bound: where from, and what is made for it to be bound on.

use crate::{
    Test,
    support::{Fixture, bind, host_tmpfs, mount, with_own_mounts},
};
use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

pub(crate) const TESTS: &[Test] = &[
    ("rootfs_sources_of_every_kind", kinds),
    ("rootfs_sources_inside_the_root_in_order", nested),
    ("rootfs_sources_inside_the_root_stay_inside", links_inside),
    ("rootfs_sources_that_mapped_ids_cannot_reach", unreachable),
    ("rootfs_sources_with_submounts", submounts),
    ("rootfs_sources_links_as_links", links),
    ("rootfs_sources_refused", refused),
    ("rootfs_targets_through_links", targets),
];

fn kinds() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture(
            "for f in fifo socket device file dir; do stat -c %F /made/$f; done; cat /made/file /twice",
        );
        let at = |name: &str| fixture.path("bundle").join(name);
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), fifo, 0o644.into(), 0).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        fs::write(at("file"), "text\n").unwrap();
        fs::create_dir(at("dir")).unwrap();
        let mut mounts = vec![bind(Path::new("/dev/null"), "/made/device", "bind")];
        for name in ["fifo", "socket", "file", "dir"] {
            // Relative to the bundle; no type, or one that says nothing.
            let mut relative = bind(Path::new(name), &format!("//made/./{name}/"), "bind");
            relative.fs_type = if name == "file" { None } else { Some("none".into()) };
            mounts.push(relative);
        }
        mounts.push(bind(Path::new("./dir/../file"), "twice", "rbind"));
        fixture.spec.mounts.extend(mounts);
        let text = fixture.says();
        let expected = "fifo\nsocket\ncharacter special file\nregular file\ndirectory\ntext\ntext\n";
        assert_eq!(text, expected);
    }
}

fn nested() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("ls /final; cat /final/file; ls /first").plain();
        for path in ["mnt", "final", "first"] {
            fs::create_dir(fixture.inside(path)).unwrap();
        }
        for number in 0..10 {
            let source = fixture.path("bundle").join(format!("bind-{number}"));
            fs::create_dir(&source).unwrap();
            fs::write(source.join("file"), format!("{number}\n")).unwrap();
            fixture.spec.mounts.push(bind(Path::new(&format!("./bind-{number}")), "/mnt", "bind"));
            if number == 0 {
                fixture.spec.mounts.push(bind(Path::new("rootfs/mnt"), "/first", "rbind"));
            }
        }
        fixture.spec.mounts.push(bind(Path::new("./rootfs/mnt"), "/final", "bind,ro"));
        assert_eq!(fixture.says(), "file\n9\nfile\n");
    }
}

fn links_inside() {
    let mut fixture = Fixture::privileged("cat /v").plain();
    fs::write(fixture.path("secret"), "the host's\n").unwrap();
    let secret = fixture.path("secret");
    // The same path in the container's root is another file.
    let inner = fixture.inside(secret.strip_prefix("/").unwrap().to_str().unwrap());
    fs::create_dir_all(inner.parent().unwrap()).unwrap();
    fs::write(inner, "its own\n").unwrap();
    symlink(&secret, fixture.inside("link")).unwrap();
    fixture.spec.mounts.push(bind(Path::new("rootfs/link"), "/v", "bind"));
    assert_eq!(fixture.says(), "its own\n");
}

fn unreachable() {
    let mut fixture = Fixture::new("cat /v/f /one");
    let deep = fixture.path("locked/deep");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("f"), "text\n").unwrap();
    // Another user's, closed to all others: the container's root is nobody there.
    std::os::unix::fs::chown(fixture.path("locked"), Some(1234), Some(1234)).unwrap();
    fs::set_permissions(fixture.path("locked"), fs::Permissions::from_mode(0o700)).unwrap();
    fixture.spec.mounts.push(bind(&deep, "/v", "bind,ro"));
    fixture.spec.mounts.push(bind(&deep.join("f"), "/one", "bind"));
    assert_eq!(fixture.says(), "text\ntext\n");
}

fn submounts() {
    with_own_mounts(|| {
        for fixture in [Fixture::new, Fixture::privileged] {
            let mut fixture = fixture("ls /one/sub /all/sub");
            let volume = fixture.path("vol");
            host_tmpfs(&volume.join("sub"), "rw");
            fs::write(volume.join("sub/f"), "").unwrap();
            fixture.spec.mounts.push(bind(&volume, "/one", "bind"));
            fixture.spec.mounts.push(bind(&volume, "/all", "rbind,bind"));
            let (mut container, reader) = fixture.create_piped().unwrap();
            container.start().unwrap();
            let text = crate::support::end(container.pidfd().unwrap(), reader).text;
            container.delete().unwrap();
            rustix::mount::unmount(volume.join("sub"), rustix::mount::UnmountFlags::DETACH).unwrap();
            assert_eq!(text, "/all/sub:\nf\n\n/one/sub:\n");
        }
    });
}

fn links() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("readlink /copied; readlink /itself; cat /etc/over /etc/target");
        let bundle = fixture.path("bundle");
        fs::write(bundle.join("f"), "source\n").unwrap();
        symlink("f", bundle.join("link")).unwrap();
        fs::write(fixture.path("layer/etc/target"), "target\n").unwrap();
        symlink("target", fixture.path("layer/etc/over")).unwrap();
        fixture.spec.mounts.extend([
            bind(Path::new("link"), "/copied", "bind,copy-symlink"),
            // The same link may be there already.
            bind(Path::new("link"), "/copied", "bind,copy-symlink"),
            bind(Path::new("link"), "/itself", "bind,src-nofollow"),
            bind(Path::new("f"), "/etc/over", "bind,dest-nofollow"),
            // What is no link is bound.
            bind(Path::new("f"), "/plain", "bind,copy-symlink"),
        ]);
        let text = fixture.says();
        assert_eq!(text, "f\nf\nsource\ntarget\n", "{text}");
        fixture.spec.mounts.push(bind(Path::new("link"), "/plain", "bind,copy-symlink"));
        let error = fixture.run().unwrap_err();
        assert_eq!(error.causes().join(": "), "cannot copy a symbolic link: something else is in its place");
    }
}

fn refused() {
    let mut fixture = Fixture::new("true");
    fs::write(fixture.path("layer/etc/file"), "").unwrap();
    let causes = |mount| {
        fixture.spec.mounts.push(mount);
        let error = fixture.run().unwrap_err();
        fixture.spec.mounts.pop();
        format!("{error}: {}", error.causes().join(": "))
    };
    let mut causes = causes;
    assert_eq!(
        causes(bind(Path::new("/none/of/it"), "/v", "bind")),
        "cannot bind /none/of/it: No such file or directory (os error 2)"
    );
    let mut nothing = bind(Path::new(""), "/v", "bind");
    nothing.source = None;
    assert_eq!(causes(nothing), "invalid mount on /v: it has no source");
    assert_eq!(
        causes(bind(Path::new("/etc"), "/etc/file", "bind")),
        "cannot mount on /etc/file: cannot cover /etc/file: the source is a directory, and the target a file"
    );
    assert_eq!(
        causes(bind(Path::new("/dev/null"), "/etc", "bind")),
        "cannot mount on /etc: cannot cover /etc: the source is a file, and the target a directory"
    );
    assert_eq!(
        causes(mount("/x", "nofs", "rw")),
        "cannot mount on /x: cannot open the filesystem type nofs: No such device (os error 19)"
    );
    fixture.assert_nothing_left();
}

fn targets() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture =
            fixture("cat /run/a/f /abs/dir/f /new; ls /made/deep; cat /etc/dangling; ls -d /made");
        let layer = fixture.path("layer");
        fs::create_dir_all(layer.join("var/run")).unwrap();
        let outside = fixture.path("outside");
        for (to, link) in [
            (Path::new("/var/run"), "run"),
            (Path::new("/var/run/../../var"), "abs"),
            (Path::new("/made"), "dangling-dir"),
            (Path::new("/new"), "dangling-file"),
            (outside.as_path(), "etc/dangling"),
        ] {
            symlink(to, layer.join(link)).unwrap();
        }
        let volume = fixture.path("vol");
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("f"), "text\n").unwrap();
        let file: PathBuf = volume.join("f");
        fixture.spec.mounts.extend([
            bind(&volume, "/run/a", "bind"),
            bind(&volume, "/abs/dir", "bind"),
            bind(&volume, "/dangling-dir/deep", "bind"),
            bind(&file, "/dangling-file", "bind"),
            bind(&file, "/etc/dangling", "bind"),
            mount("/../../up", "tmpfs", "rw"),
        ]);
        assert_eq!(fixture.says(), "text\ntext\ntext\nf\ntext\n/made\n");
        assert!(!outside.exists(), "nothing is made on the host");
    }
}
