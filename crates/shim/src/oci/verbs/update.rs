//! `update`: other limits for a container.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    kept::Held,
    place::Lock,
    words::{Flag, Kind, Order, Words},
};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{BlockIo, Cpu, IntelRdt, MemoryLimits, Pids, Resources},
};
use std::{io::Read as _, process::ExitCode};

mod size;

pub(super) const COMMAND: Command = Command {
    name: "update",
    summary: "change the limits of a container",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "\
Changes what is given and leaves the rest as it is. FILE has limits in the form
of linux.resources of a config.json, and then no other option counts; \"-\" is
standard input. A size may end with k, M, G or T; -1 is no limit.

    # sampan-runc update --memory 512M --pids-limit 100 box
",
    flags: &[
        Flag::text("resources", "file with limits as JSON").short("r"),
        Flag::new(Kind::Integer, "blkio-weight", "share of block I/O, 10 to 1000").default("0"),
        Flag::text("cpu-period", "length of a period in microseconds"),
        Flag::text("cpu-quota", "microseconds of processor time in each period"),
        Flag::text("cpu-burst", "microseconds that may be saved up for later periods"),
        Flag::text("cpu-share", "share of processor time"),
        Flag::text("cpu-rt-period", "length of a real-time period in microseconds"),
        Flag::text("cpu-rt-runtime", "microseconds of real-time scheduling in each period"),
        Flag::text("cpuset-cpus", "processors that may be used"),
        Flag::text("cpuset-mems", "memory nodes that may be used"),
        Flag::text("kernel-memory", "").hidden(),
        Flag::text("kernel-memory-tcp", "").hidden(),
        Flag::text("memory", "most memory"),
        Flag::text("cpu-idle", "1: run only when nothing else wants to"),
        Flag::text("memory-reservation", "memory to keep when it is short elsewhere"),
        Flag::text("memory-swap", "most memory and swap together"),
        Flag::new(Kind::Integer, "pids-limit", "most tasks").default("0"),
        Flag::text("l3-cache-schema", "part of the level 3 cache (Intel RDT)"),
        Flag::text("mem-bw-schema", "memory bandwidth (Intel RDT)"),
    ],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let held = Held::open(call, words.id(), Lock::Shared)?;
    held.require_alive()?;
    let resources = match words.text("resources") {
        Some(file) => read(file)?,
        None => given(words)?,
    };
    let cache = IntelRdt {
        l3_cache_schema: words.text("l3-cache-schema").map(str::to_owned),
        mem_bw_schema: words.text("mem-bw-schema").map(str::to_owned),
        ..IntelRdt::default()
    };
    if cache != IntelRdt::default() && !words.has("resources") {
        held.container.apply_rdt(&cache)?;
    }
    held.container.cgroup().apply(&resources)?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &str) -> Result<Resources> {
    let mut bytes = Vec::new();
    match file {
        "-" => std::io::stdin().read_to_end(&mut bytes).map(drop),
        file => std::fs::read(file).map(|read| bytes = read),
    }
    .map_err(|error| Error::io(format!("open {file}"), error))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(ErrorKind::InvalidInput, format!("cannot read {file}")).because(error))
}

/// What the options say.
fn given(words: &Words) -> Result<Resources> {
    let text = |name| words.text(name).map(str::to_owned);
    let cpu = Cpu {
        shares: number(words, "cpu-share")?,
        quota: number(words, "cpu-quota")?,
        burst: number(words, "cpu-burst")?,
        period: number(words, "cpu-period")?,
        realtime_runtime: number(words, "cpu-rt-runtime")?,
        realtime_period: number(words, "cpu-rt-period")?,
        cpus: text("cpuset-cpus"),
        mems: text("cpuset-mems"),
        idle: number(words, "cpu-idle")?,
    };
    let memory = MemoryLimits {
        limit: bytes(words, "memory")?,
        reservation: bytes(words, "memory-reservation")?,
        swap: bytes(words, "memory-swap")?,
        kernel: bytes(words, "kernel-memory")?,
        kernel_tcp: bytes(words, "kernel-memory-tcp")?,
        ..MemoryLimits::default()
    };
    // As runc has it, 0 is not given.
    let weight = words.integer("blkio-weight").filter(|weight| *weight != 0);
    let weight = weight.map(u16::try_from).transpose();
    let weight = weight.map_err(|_| wrong("blkio-weight", words.text("blkio-weight").unwrap_or_default()))?;
    let limit = words.integer("pids-limit").filter(|limit| *limit != 0);
    Ok(Resources {
        cpu: Some(cpu).filter(|cpu| *cpu != Cpu::default()),
        memory: Some(memory).filter(|memory| *memory != MemoryLimits::default()),
        block_io: weight.map(|weight| BlockIo { weight: Some(weight), ..BlockIo::default() }),
        pids: limit.map(|limit| Pids { limit: Some(limit) }),
        ..Resources::default()
    })
}

fn number<T: std::str::FromStr>(words: &Words, name: &str) -> Result<Option<T>> {
    let parse = |text: &str| text.parse().map_err(|_| wrong(name, text));
    words.text(name).map(parse).transpose()
}

fn bytes(words: &Words, name: &str) -> Result<Option<i64>> {
    let parse = |text: &str| match text {
        "-1" => Ok(-1),
        text => size::parse(text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("invalid value for {name}"))
                .because(format!("invalid size: '{text}'"))
        }),
    };
    words.text(name).map(parse).transpose()
}

fn wrong(name: &str, text: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("invalid value for {name}"))
        .because(format!("parsing {text:?}: invalid syntax"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        Words::parse(COMMAND.flags, COMMAND.order, &words).unwrap()
    }

    #[test]
    fn only_what_is_given_is_changed() {
        let resources =
            given(&words("id --memory 50M --memory-swap -1 --cpu-quota -1 --pids-limit 7")).unwrap();
        let memory = resources.memory.unwrap();
        assert_eq!((memory.limit, memory.swap, memory.reservation), (Some(50 << 20), Some(-1), None));
        assert_eq!(resources.cpu.unwrap(), Cpu { quota: Some(-1), ..Cpu::default() });
        assert_eq!((resources.pids.unwrap().limit, resources.block_io), (Some(7), None));
        assert_eq!(given(&words("id --pids-limit 0 --blkio-weight 0")).unwrap(), Resources::default());
    }

    #[test]
    fn what_is_no_value_is_named() {
        for (line, told) in [
            ("id --memory foo", "invalid value for memory: invalid size: 'foo'"),
            ("id --cpu-period -1", "invalid value for cpu-period: parsing \"-1\": invalid syntax"),
            ("id --blkio-weight 70000", "invalid value for blkio-weight: parsing \"70000\": invalid syntax"),
        ] {
            assert_eq!(crate::oci::tell::sentence(&given(&words(line)).unwrap_err()), told, "{line}");
        }
        let error = read("/none").unwrap_err();
        assert_eq!(crate::oci::tell::sentence(&error), "open /none: no such file or directory");
    }
}
