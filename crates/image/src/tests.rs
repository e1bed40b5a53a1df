//! Images from their making to their removal.

use crate::{
    ImageConfig, Template, TemplateConfig, TemplateOptions, create, ensure_unpacked,
    layer_writer::LayerWriter, remove_image, template,
};
use sampan_snapshot::{OverlaySnapshotter, SnapshotKind, Snapshotter};
use sampan_store::{ImageRecord, NewContainer, Store, random_id};
use sampan_types::{
    ContainerConfig, ContainerType, ErrorKind, ImageRef, Mount, NetworkMode, NoProgress, Progress, Result,
    Userns, ops::TemplateName,
};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};
use tempfile::TempDir;

/// A store and a pool of its own.
struct Engine {
    root: TempDir,
    store: Store,
    snapshots: OverlaySnapshotter,
}

impl Engine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(root.path()).unwrap(),
            snapshots: OverlaySnapshotter::new(root.path()),
            root,
        }
    }

    fn create(&self, name: &str, template: &dyn Template) -> ImageRecord {
        create(&self.store, &reference(name), template, &TemplateOptions::default(), &NoProgress).unwrap()
    }

    fn unpack(&self, image: &ImageRecord) -> String {
        ensure_unpacked(&self.store, &self.snapshots, image, &NoProgress).unwrap()
    }

    fn blobs(&self) -> usize {
        fs::read_dir(self.root.path().join("content/blobs/sha256")).unwrap().count()
    }
}

fn reference(name: &str) -> ImageRef {
    name.parse().unwrap()
}

/// An archive with one file.
struct OneFile(&'static str);

impl Template for OneFile {
    fn write(
        &self,
        _: &TemplateOptions,
        archive: &mut dyn Write,
        _: &dyn Progress,
    ) -> Result<TemplateConfig> {
        let mut builder = tar::Builder::new(archive);
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o640);
        header.set_size(self.0.len() as u64);
        builder.append_data(&mut header, "file", self.0.as_bytes()).unwrap();
        builder.into_inner().unwrap();
        Ok(TemplateConfig { cmd: vec!["cat".into()], created_by: "test".into(), ..TemplateConfig::default() })
    }
}

fn root_of(mount: &Mount) -> PathBuf {
    match mount {
        Mount::Overlay { lower, .. } => lower[0].clone(),
        Mount::Bind { source, .. } => source.clone(),
    }
}

#[test]
fn busybox_from_template_to_root_filesystem() {
    let engine = Engine::new();
    let image = engine.create("tools", &*template(TemplateName::Busybox));
    let config = ImageConfig::of(&image).unwrap();
    assert_eq!(config.cmd, ["sh"]);
    assert!(!config.is_system());
    assert_eq!(engine.store.image(&reference("tools")).unwrap().digest, image.digest);
    let key = engine.unpack(&image);
    assert_eq!(key, config.diff_ids[0].hex());
    let root = root_of(&engine.snapshots.prepare("container", Some(&key)).unwrap());
    assert_eq!(fs::read_link(root.join("bin/sh")).unwrap(), Path::new("/bin/busybox"));
    assert!(fs::read_link(root.join("usr/bin/wget")).is_ok());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(root.join("tmp")).unwrap().permissions().mode() & 0o7777, 0o1777);
    assert_eq!(fs::metadata(root.join("bin/busybox")).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn unpacking_is_remembered_and_done_again_where_the_snapshot_is_gone() {
    let engine = Engine::new();
    engine.create("a", &OneFile("x"));
    let key = engine.unpack(&engine.store.image(&reference("a")).unwrap());
    let image = engine.store.image(&reference("a")).unwrap();
    assert_eq!(image.unpacked.as_deref(), Some(key.as_str()));
    engine.snapshots.remove(&key).unwrap();
    assert_eq!(engine.unpack(&image), key);
    assert_eq!(engine.snapshots.stat(&key).unwrap().kind, SnapshotKind::Committed);
}

#[test]
fn two_at_once_unpack_once() {
    let engine = Engine::new();
    let image = engine.create("a", &*template(TemplateName::Busybox));
    struct Steps(Mutex<usize>);
    impl Progress for Steps {
        fn step(&self, what: &str) {
            assert!(what.starts_with("unpacking layer "));
            *self.0.lock().unwrap() += 1;
        }
    }
    let steps = Steps(Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = Store::open(engine.root.path()).unwrap();
                ensure_unpacked(&store, &engine.snapshots, &image, &steps).unwrap();
            });
        }
    });
    assert_eq!(*steps.0.lock().unwrap(), 1);
    assert_eq!(engine.snapshots.walk().unwrap().len(), 1);
}

#[test]
fn a_layer_with_another_content_than_the_image_says_is_refused() {
    let engine = Engine::new();
    let mut image = engine.create("a", &OneFile("x"));
    let other = engine.create("b", &OneFile("y"));
    image.config["diff_ids"] = other.config["diff_ids"].clone();
    let error = ensure_unpacked(&engine.store, &engine.snapshots, &image, &NoProgress).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.causes()[0].contains("as the image says"), "{error:?}");
    assert!(engine.snapshots.walk().unwrap().is_empty(), "what was unpacked is removed");
}

#[test]
fn a_name_moves_and_removal_takes_what_nothing_else_has() {
    let engine = Engine::new();
    let old = engine.create("app", &OneFile("old"));
    let new = engine.create("app", &OneFile("new"));
    engine.unpack(&old);
    let key = engine.unpack(&new);
    assert!(engine.store.image_by_digest(&old.digest).unwrap().references.is_empty());
    engine.store.tag(&reference("app:2"), &new.digest).unwrap();

    let removed = remove_image(&engine.store, &engine.snapshots, "app:2", false).unwrap();
    assert_eq!((removed.untagged, removed.deleted.len()), (vec![reference("app:2")], 0));
    engine.store.tag(&reference("app:2"), &new.digest).unwrap();
    let error = remove_image(&engine.store, &engine.snapshots, new.digest.short(), false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.causes(), ["it has several names: app:2, app:latest"]);

    let removed = remove_image(&engine.store, &engine.snapshots, new.digest.short(), true).unwrap();
    assert_eq!(removed.untagged.len(), 2);
    assert_eq!(removed.deleted.len(), 2);
    assert_eq!(engine.snapshots.stat(&key).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(engine.blobs(), 3, "manifest, configuration and layer of the other image stay");
    remove_image(&engine.store, &engine.snapshots, old.digest.short(), false).unwrap();
    assert_eq!(engine.blobs(), 0);
    assert!(engine.snapshots.walk().unwrap().is_empty());
}

#[test]
fn an_image_of_a_container_stays() {
    let engine = Engine::new();
    let image = engine.create("app", &OneFile("x"));
    let config = ContainerConfig {
        container_type: ContainerType::App,
        image: "app".into(),
        entrypoint: None,
        command: Vec::new(),
        env: Vec::new(),
        working_dir: None,
        user: None,
        hostname: None,
        tty: false,
        stdin_open: false,
        volumes: Vec::new(),
        ports: Vec::new(),
        network: NetworkMode::None,
        resources: Default::default(),
        userns: Userns::Own,
        auto_remove: false,
        stop_signal: None,
        labels: Default::default(),
    };
    let id = random_id().unwrap();
    let new = NewContainer {
        id: id.clone(),
        name: "web".parse().unwrap(),
        config,
        image_digest: image.digest.clone(),
        network: None,
        ip: None,
    };
    engine.store.create_container(new).unwrap();
    let error = remove_image(&engine.store, &engine.snapshots, "app", false).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot remove image {}", image.digest.short()));
    assert_eq!(error.causes(), [format!("container web ({}) was made from it", id.short())]);
    assert_eq!(error.remedy(), Some("sampan rm web, then try again"));
    let removed = remove_image(&engine.store, &engine.snapshots, "app", true).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted.len()), (1, 0));
    assert_eq!(engine.blobs(), 3);
}

#[test]
fn what_a_killed_process_left_half_unpacked_goes_with_the_next_removal() {
    let engine = Engine::new();
    let image = engine.create("a", &OneFile("x"));
    let left = format!("unpack-{}", "0".repeat(64));
    engine.snapshots.prepare(&left, None).unwrap();
    engine.snapshots.prepare("unpack-container", None).unwrap();
    remove_image(&engine.store, &engine.snapshots, image.digest.short(), false).unwrap();
    let keys: Vec<_> = engine.snapshots.walk().unwrap().into_iter().map(|snapshot| snapshot.key).collect();
    assert_eq!(keys, ["unpack-container"]);
}

#[test]
fn layers_that_a_killed_removal_left_go_with_the_next_one() {
    let engine = Engine::new();
    let lost = engine.create("lost", &OneFile("lost"));
    let key = engine.unpack(&lost);
    // A layer upon it, as an image of two layers has.
    engine.snapshots.prepare("upper", Some(&key)).unwrap();
    engine.snapshots.commit(&"a".repeat(64), "upper").unwrap();
    engine.snapshots.prepare("other", None).unwrap();
    engine.snapshots.commit("other-kind", "other").unwrap();
    let kept = engine.unpack(&engine.create("kept", &OneFile("kept")));
    engine.store.delete_image(&lost.digest).unwrap();
    engine.create("next", &OneFile("next"));
    let removed = remove_image(&engine.store, &engine.snapshots, "next", false).unwrap();
    assert_eq!(removed.deleted.len(), 3);
    let mut keys: Vec<_> =
        engine.snapshots.walk().unwrap().into_iter().map(|snapshot| snapshot.key).collect();
    keys.sort();
    let mut expected = [kept, "other-kind".to_owned()];
    expected.sort();
    assert_eq!(keys, expected);
}

#[test]
fn a_full_disk_is_said_and_given_back() {
    const SMALL: &str = "SAMPAN_TEST_SMALL_DISK";
    if let Some(root) = std::env::var_os(SMALL) {
        let root = Path::new(&root);
        let store = Store::open(root).unwrap();
        let busybox = template(TemplateName::Busybox);
        let options = TemplateOptions::default();
        let error = create(&store, &reference("tools"), &*busybox, &options, &NoProgress).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::Exhausted, "cannot write the layer".into())
        );
        assert!(error.causes()[0].contains("No space left on device"), "{error:?}");
        assert_eq!(error.remedy(), Some("free some space (sampan rmi, sampan rm), then try again"));
        assert_eq!(fs::read_dir(root.join("content/ingest")).unwrap().count(), 0);
        assert!(store.images().unwrap().is_empty());
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size=700k small {}; exec \"$@\"", root.path().display());
    let output = Command::new("unshare")
        .args(["-m", "sh", "-euc", &script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "tests::a_full_disk_is_said_and_given_back"])
        .env(SMALL, root.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn busybox_needs_a_static_program_and_no_packages() {
    let refuse = |busybox: crate::Busybox, options: TemplateOptions| {
        busybox.write(&options, &mut Vec::new(), &NoProgress).unwrap_err()
    };
    let dynamic = crate::Busybox { program: Some("/bin/sh".into()) };
    let error = refuse(dynamic, TemplateOptions::default());
    assert_eq!(error.to_string(), "cannot make a busybox image");
    assert_eq!(error.causes(), ["/bin/sh needs shared libraries, which the image would not have"]);
    assert_eq!(error.remedy(), Some("apt-get install busybox-static"));
    let missing = crate::Busybox { program: Some("/nonexistent".into()) };
    assert_eq!(refuse(missing, TemplateOptions::default()).causes(), ["this machine has no busybox"]);
    let include = TemplateOptions { release: None, include: vec!["curl".into()] };
    assert_eq!(refuse(crate::Busybox::default(), include).kind(), ErrorKind::InvalidInput);
}

#[test]
fn equal_content_has_an_equal_digest() {
    let engine = Engine::new();
    let lease = engine.store.lease().unwrap();
    let layer = || {
        let mut writer = LayerWriter::start(&lease).unwrap();
        writer.write_all(&b"content ".repeat(10_000)).unwrap();
        writer.finish().unwrap()
    };
    assert_eq!(layer(), layer());
}

/// Says what it is told, with times.
struct Spoken(std::time::Instant);

impl Progress for Spoken {
    fn step(&self, what: &str) {
        println!("{:7.2} s  {what}", self.0.elapsed().as_secs_f64());
    }
}

#[test]
#[ignore = "needs root and the Debian mirror this machine is configured for; takes minutes: cargo test -p sampan-image -- --ignored"]
fn debian_as_a_machine() {
    let engine = Engine::new();
    let options = TemplateOptions {
        release: Some("bookworm".into()),
        include: vec!["systemd-sysv".into(), "cron".into(), "openssh-server".into()],
    };
    let progress = Spoken(std::time::Instant::now());
    let image =
        create(&engine.store, &reference("machine"), &*template(TemplateName::Debian), &options, &progress)
            .unwrap();
    progress.step("made");
    let config = ImageConfig::of(&image).unwrap();
    assert!(config.is_system());
    let key = ensure_unpacked(&engine.store, &engine.snapshots, &image, &progress).unwrap();
    progress.step("unpacked");
    println!("{} bytes stored, {:?}", image.size, engine.snapshots.usage(&key).unwrap());
    let root = root_of(&engine.snapshots.prepare("box", Some(&key)).unwrap());
    assert!(fs::symlink_metadata(root.join("sbin/init")).is_ok());
    assert_eq!(fs::read(root.join("etc/machine-id")).unwrap(), b"");
    let keys = fs::read_dir(root.join("etc/ssh")).unwrap();
    assert!(
        !keys.into_iter().any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("ssh_host_"))
    );
    assert!(root.join("etc/systemd/system/ssh.service.d/host-keys.conf").exists());
    assert!(!root.join("usr/sbin/policy-rc.d").exists());
    assert!(!root.join("etc/apt/apt.conf.d/99mmdebstrap").exists());
    let lists = fs::read_dir(root.join("var/lib/apt/lists")).unwrap();
    let left = lists.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| ["lock", "partial", "auxfiles"].contains(&name.as_str())));
}

#[test]
#[ignore = "needs root and the Debian mirror this machine is configured for: cargo test -p sampan-image -- --ignored"]
fn debian_says_what_is_wrong() {
    let engine = Engine::new();
    let fails = |release: &str, include: &[&str]| {
        let include = include.iter().map(|package| (*package).to_owned()).collect();
        let options = TemplateOptions { release: Some(release.into()), include };
        let debian = template(TemplateName::Debian);
        create(&engine.store, &reference("x"), &*debian, &options, &NoProgress).unwrap_err()
    };
    let error = fails("bookworm", &["no-such-package-anywhere"]);
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    assert_eq!(error.to_string(), "cannot make an image of Debian bookworm");
    assert!(error.causes()[0].contains("Unable to locate package no-such-package-anywhere"), "{error:?}");
    assert_eq!(error.remedy(), Some("check the names after --include with apt-cache search"));
    let error = fails("nonesuch", &[]);
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let hint = error.remedy().unwrap();
    assert!(hint.starts_with("check that this machine's mirror answers and has the release: deb "), "{hint}");
    assert!(engine.store.images().unwrap().is_empty());
    assert_eq!(fs::read_dir(engine.root.path().join("content/ingest")).unwrap().count(), 0);
}
