//! System containers: a whole Debian with systemd, cron and sshd.

use sampan_tests::{Sandbox, Terminal, within};
use std::process::Command;

#[test]
fn debian_boots_with_its_own_systemd() {
    let sandbox = Sandbox::machine();
    sandbox.launch("box", "");
    let state = sandbox.sampan("exec box systemctl is-system-running").out;
    let failed = sandbox.sampan("exec box systemctl list-units --failed --plain --no-legend").ok();
    assert_eq!((state.trim(), failed.as_str()), ("running", ""), "no unit fails");
    assert_eq!(sandbox.sampan("exec box cat /proc/1/comm").ok(), "systemd");
    assert_eq!(sandbox.sampan("exec box hostname").ok(), "box");
    let environment = sandbox.words(&["exec", "box", "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ"]).ok();
    assert!(environment.lines().any(|line| line == "container=sampan"), "{environment}");
    for unit in ["cron", "ssh"] {
        assert_eq!(sandbox.words(&["exec", "box", "systemctl", "is-active", unit]).ok(), "active", "{unit}");
    }
    let table = sandbox.sampan("ps").ok();
    assert!(table.lines().any(|line| line.contains("box") && line.contains("system")), "{table}");
}

#[test]
fn sshd_answers_at_the_address() {
    let sandbox = Sandbox::machine();
    sandbox.launch("box", "");
    let key = sandbox.files().join("key");
    let words = ["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()];
    assert!(Command::new("ssh-keygen").args(words).status().unwrap().success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let line =
        format!("install -d -m 700 /root/.ssh && echo '{}' > /root/.ssh/authorized_keys", public.trim());
    sandbox.words(&["exec", "box", "sh", "-c", &line]).code(0);
    let address = sandbox.address("box");
    let release = within(20, "a login by ssh", || {
        let output = Command::new("ssh")
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "ConnectTimeout=5",
            ])
            .args([
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-i",
                key.to_str().unwrap(),
                &format!("root@{address}"),
            ])
            .arg("cat /etc/hostname; systemctl is-active cron")
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    assert!(release.ends_with("active\n"), "{release}");
}

#[test]
fn stop_lets_systemd_end_in_order() {
    let sandbox = Sandbox::machine();
    sandbox.launch("box", "");
    let unit = "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\nExecStop=/bin/touch /root/stopped";
    let line = format!("printf '{unit}\\n' > /etc/systemd/system/mark.service && systemctl start mark");
    sandbox.words(&["exec", "box", "sh", "-c", &line]).code(0);
    sandbox.sampan("stop box").code(0);
    assert_eq!(sandbox.state("box"), "exited");
    assert_ne!(sandbox.inspect("box")["State"]["ExitCode"], 137, "it was not killed");
    sandbox.sampan("start box").code(0);
    sandbox.sampan("exec box test -e /root/stopped").code(0);
}

#[test]
fn disk_and_address_stay_over_stop_and_start() {
    let sandbox = Sandbox::machine();
    sandbox.launch("box", "");
    let before = sandbox.address("box");
    sandbox.words(&["exec", "box", "sh", "-c", "echo kept > /var/lib/own"]).code(0);
    sandbox.sampan("stop box").code(0);
    sandbox.sampan("start box").code(0);
    sandbox.until_booted("box");
    assert_eq!(sandbox.sampan("exec box cat /var/lib/own").ok(), "kept");
    assert_eq!(sandbox.address("box"), before);
}

#[test]
fn a_reboot_from_inside_comes_back() {
    let sandbox = Sandbox::machine();
    sandbox.launch("box", "");
    let address = sandbox.address("box");
    let boot = sandbox.sampan("exec box stat -c %Y /proc/1").ok();
    let pid = sandbox.pid("box");
    sandbox.sampan("exec box systemctl reboot");
    within(60, "it has come back", || {
        let details = sandbox.inspect("box");
        let now = details["State"]["Pid"].as_i64().unwrap_or(0);
        (now > 0 && now != i64::from(pid)).then_some(())
    });
    sandbox.until_booted("box");
    assert_ne!(sandbox.sampan("exec box stat -c %Y /proc/1").ok(), boot);
    assert_eq!(sandbox.address("box"), address);
    let shown = sandbox.sampan("exec box cat /proc/net/fib_trie").ok();
    assert!(shown.contains(&address), "the address is on its interface again");
}

#[test]
fn a_poweroff_from_inside_ends_it() {
    let sandbox = Sandbox::machine();
    sandbox.launch("box", "");
    sandbox.sampan("exec box systemctl poweroff");
    within(60, "it is off", || (sandbox.state("box") == "exited").then_some(()));
}

#[test]
fn its_control_groups_are_its_own_to_divide() {
    let sandbox = Sandbox::machine();
    sandbox.launch("box", "");
    let line = "set -e; top=/sys/fs/cgroup; test -e $top/cgroup.controllers || top=/sys/fs/cgroup/systemd; \
                mkdir $top/own.slice; echo $$ > $top/own.slice/cgroup.procs; cat /proc/self/cgroup";
    let said = sandbox.words(&["exec", "box", "sh", "-c", line]).ok();
    assert!(said.contains("own.slice"), "{said}");
    let units = sandbox.sampan("exec box systemctl show -p ControlGroup ssh").ok();
    assert_eq!(units, "ControlGroup=/system.slice/ssh.service");
}

#[test]
fn the_console_shows_a_login_and_can_be_left() {
    let sandbox = Sandbox::machine();
    sandbox.launch("box", "");
    let mut console = Terminal::new(&sandbox, &["console", "box"], 24, 80);
    console.expect("Ctrl-P Ctrl-Q");
    console.send("\n");
    console.expect("login:");
    console.send("\x10\x11");
    assert_eq!(console.end(), 0);
    assert_eq!(sandbox.state("box"), "running");
}

#[test]
fn a_system_container_is_confined_to_its_own_ids() {
    let sandbox = Sandbox::machine();
    sandbox.launch("box", "");
    let map = sandbox.sampan("exec box cat /proc/1/uid_map").ok();
    let host: u32 = map.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(host >= 65_536, "root inside is {host} outside");
    assert_ne!(sandbox.words(&["exec", "box", "mount", "-t", "proc", "proc", "/sys"]).code, 125);
    assert_ne!(sandbox.words(&["exec", "box", "sh", "-c", "echo b > /proc/sysrq-trigger"]).code, 0);
}
