//! Booting qemu and listening to what comes out.

use super::payload::Disk;
use super::rootfs::Machine;
use crate::run;
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Quiet, without the guards that only cost time in a machine that runs our own tests.
const KERNEL_WORDS: &str = "console=ttyS0 quiet loglevel=4 mitigations=off audit=0 random.trust_cpu=on panic=-1 \
                            systemd.show_status=no systemd.unified_cgroup_hierarchy=1";

/// Boots the machine, hands each line of the command's output to `hear`, and gives the command's exit code.
pub(super) fn run(
    machine: &Machine,
    payload: &Disk,
    patience: Duration,
    hear: &mut dyn FnMut(&str),
) -> Result<u8> {
    let folder = tempfile::tempdir().context("cannot create a folder for the VM's ports")?;
    let code = folder.path().join("code");
    let console = folder.path().join("console");
    let mut child = qemu(machine, payload, &code, &console)?
        .spawn()
        .context("cannot run qemu-system-x86_64 (cargo xtask setup vm installs it)")?;
    let heard = listen(&mut child, patience, hear);
    if heard.is_err() {
        // The VM is past its time; nothing in it is worth an orderly end.
        child.kill().context("cannot stop qemu")?;
    }
    let status = child.wait().context("cannot wait for qemu")?;
    let said = std::fs::read_to_string(&code).unwrap_or_default();
    match (heard, said.trim().parse()) {
        (Ok(()), Ok(code)) => Ok(code),
        (Ok(()), Err(_)) => {
            bail!("the VM gave no exit code (qemu: {status}); its console ends:\n{}", run::tail(&console, 30))
        }
        (Err(error), _) => Err(error.context(format!("its console ends:\n{}", run::tail(&console, 30)))),
    }
}

/// The machine: two processors, 2 GiB, two disks, two ports, no network card.
fn qemu(machine: &Machine, payload: &Disk, code: &Path, console: &Path) -> Result<Command> {
    let disk = |path: &Path, rest: &str| format!("file={},format=raw,if=virtio,{rest}", path.display());
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"])
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none"])
        .arg("-kernel")
        .arg(&machine.kernel)
        .arg("-initrd")
        .arg(&machine.initramfs)
        .args(["-append", KERNEL_WORDS])
        .args(["-drive", &disk(&machine.disk, "snapshot=on,cache=unsafe")])
        .args(["-drive", &disk(payload.path(), "readonly=on,cache=unsafe")])
        .args(["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"])
        .args([
            "-chardev",
            "file,id=output,path=/dev/stdout",
            "-device",
            "virtserialport,name=output,chardev=output",
        ])
        .args(["-chardev", &format!("file,id=code,path={}", code.display())])
        .args(["-device", "virtserialport,name=code,chardev=code"])
        .args(["-serial", &format!("file:{}", console.display())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    Ok(command)
}

/// Hands on what qemu writes until it closes its output. Fails when that takes longer than `patience`.
fn listen(child: &mut Child, patience: Duration, hear: &mut dyn FnMut(&str)) -> Result<()> {
    let mut output = BufReader::new(child.stdout.take().context("qemu's output is not a pipe")?);
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut line = Vec::new();
        while let Ok(1..) = output.read_until(b'\n', &mut line) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + patience;
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(bytes) => hear(&String::from_utf8_lossy(&bytes)),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => bail!("the VM did not end within {} s", patience.as_secs()),
        }
    }
}
