use super::*;
use sampan_types::spec::Rdma;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

#[test]
fn a_failure_takes_back_what_was_written() {
    let folder = folder(&[("a", "1\n"), ("blkio.throttle.read_bps_device", "8:0 7\n9:0 8\n")]);
    let limits = [
        Limit::new("x", "a", 2),
        Limit::new("x", "blkio.throttle.read_bps_device", "9:0 10"),
        Limit::new("x", "missing", 3),
    ];
    let error = write_all(&limits, |_| Ok(folder.path()), true).unwrap_err();
    assert_eq!(error.to_string(), "cannot set missing to \"3\"");
    assert!(error.causes()[0].contains("no such file of the x controller"), "{error:?}");
    assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap().trim(), "1");
    // A real one of these keeps its other lines.
    let throttle = fs::read_to_string(folder.path().join("blkio.throttle.read_bps_device")).unwrap();
    assert!(throttle.starts_with("9:0 8"), "{throttle}");
    assert!(write_all(&[Limit::new("x", "missing", 3).optional()], |_| Ok(folder.path()), true).is_ok());
    let gone = folder.path().join("gone");
    let error = write_all(&limits, |_| Ok(&gone), true).unwrap_err();
    assert!(error.causes()[0].ends_with("is gone"), "{error:?}");
}

#[test]
fn what_undoes_a_write() {
    let folder = folder(&[
        ("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 3\n"),
        ("io.max", "8:0 rbps=1 wbps=max riops=max wiops=max\n"),
        ("cpu.max", "max 100000\n"),
    ]);
    let old = |file: &str, value: &str| old_value(&folder.path().join(file), value).unwrap();
    assert_eq!(old("memory.oom_control", "0"), "1");
    assert_eq!(old("io.max", "8:0 wbps=3"), "8:0 rbps=1 wbps=max riops=max wiops=max");
    assert_eq!(old("io.max", "8:1 wbps=3"), "8:1 rbps=max wbps=max riops=max wiops=max");
    assert_eq!(old("cpu.max", "5000 100000"), "max 100000");
}

#[test]
fn what_is_asked_for() {
    assert_eq!(asked(&Resources::default()), None);
    let rdma = Rdma { hca_handles: Some(3), hca_objects: None };
    let resources = Resources { rdma: [("mlx4_0".to_owned(), rdma)].into(), ..Resources::default() };
    assert_eq!(asked(&resources), Some("rdma"));
    assert_eq!(super::rdma(&resources).unwrap()[0].value, "mlx4_0 hca_handle=3");
}
