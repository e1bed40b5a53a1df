//! Limits as properties of a unit (systemd.resource-control(5), org.freedesktop.systemd1(5)).
//!
//! systemd writes them to the group's files, now and whenever it sets its own affairs in order; so they must say what we
//! write there ourselves.

use super::wire::Value;
use crate::cgroup::{
    devices::Rule,
    limits_v2::{io_weight, swap, weight},
};
use sampan_types::{Result, spec::Resources};

/// A property's name and value.
pub(super) type Property = (String, Value);

/// No limit.
const INFINITY: u64 = u64::MAX;

/// The properties for limits. `unified` says whether the host has version 2.
pub(super) fn of(resources: &Resources, unified: bool) -> Result<Vec<Property>> {
    let mut all = Vec::new();
    let mut set = |name: &str, value: Value| all.push((name.to_owned(), value));
    if let Some(memory) = &resources.memory {
        let given = |value: Option<i64>| value.filter(|value| *value != 0);
        if let Some(limit) = given(memory.limit) {
            set(if unified { "MemoryMax" } else { "MemoryLimit" }, or_infinity(limit));
        }
        if let Some(low) = given(memory.reservation).filter(|_| unified) {
            set("MemoryLow", or_infinity(low));
        }
        // What means something only with what is in force is left to the file.
        if let Some(swap) = swap(memory, || None).ok().flatten().filter(|_| unified) {
            set("MemorySwapMax", or_infinity(swap));
        }
    }
    if let Some(cpu) = &resources.cpu {
        if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
            match unified {
                true if cpu.idle == Some(1) => {}
                true => set("CPUWeight", Value::U64(weight(shares))),
                false => set("CPUShares", Value::U64(shares)),
            }
        }
        if let Some(quota) = cpu.quota.filter(|quota| *quota != 0) {
            let period = cpu.period.filter(|period| *period != 0);
            set("CPUQuotaPerSecUSec", Value::U64(quota_per_second(quota, period.unwrap_or(100_000))));
            if let Some(period) = period {
                set("CPUQuotaPeriodUSec", Value::U64(period));
            }
        }
        for (name, list) in [("AllowedCPUs", &cpu.cpus), ("AllowedMemoryNodes", &cpu.mems)] {
            if let Some(list) = list.as_ref().filter(|list| unified && !list.is_empty()) {
                set(name, bits(list));
            }
        }
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        set("TasksMax", if limit == 0 { Value::U64(1) } else { or_infinity(limit) });
    }
    if let Some(value) = resources.block_io.as_ref().and_then(|io| io.weight).filter(|weight| *weight != 0) {
        match unified {
            true => set("IOWeight", Value::U64(io_weight(value))),
            false => set("BlockIOWeight", Value::U64(value.into())),
        }
    }
    for (file, value) in &resources.unified {
        set_unified(file, value, &mut set);
    }
    Ok(all)
}

fn or_infinity(value: i64) -> Value {
    Value::U64(u64::try_from(value).unwrap_or(INFINITY))
}

/// Microseconds a second; systemd knows only whole percents.
fn quota_per_second(quota: i64, period: u64) -> u64 {
    const PERCENT: u64 = 10_000;
    u64::try_from(quota)
        .map_or(INFINITY, |quota| (quota.saturating_mul(1_000_000) / period).next_multiple_of(PERCENT))
}

/// Version 2 files that systemd has a property for; the others it leaves alone.
fn set_unified(file: &str, value: &str, set: &mut impl FnMut(&str, Value)) {
    let value = value.trim();
    let number = |text: &str| if text == "max" { Some(INFINITY) } else { text.parse().ok() };
    let name = match file {
        "cpu.max" => {
            let (quota, period) = value.split_once(' ').unwrap_or((value, "100000"));
            if let (Some(quota), Ok(period @ 1..)) = (number(quota), period.trim().parse::<u64>()) {
                let quota = i64::try_from(quota).unwrap_or(-1);
                set("CPUQuotaPerSecUSec", Value::U64(quota_per_second(quota, period)));
                set("CPUQuotaPeriodUSec", Value::U64(period));
            }
            return;
        }
        "cpuset.cpus" => return set("AllowedCPUs", bits(value)),
        "cpuset.mems" => return set("AllowedMemoryNodes", bits(value)),
        "cpu.weight" => "CPUWeight",
        "memory.max" => "MemoryMax",
        "memory.high" => "MemoryHigh",
        "memory.low" => "MemoryLow",
        "memory.min" => "MemoryMin",
        "memory.swap.max" => "MemorySwapMax",
        "pids.max" => "TasksMax",
        _ => return,
    };
    if let Some(value) = number(value) {
        set(name, Value::U64(value));
    }
}

/// A list of numbers as a bit mask, the lowest first.
fn bits(list: &str) -> Value {
    let mut mask: Vec<u8> = Vec::new();
    for number in crate::cgroup::stats::list(list).into_iter().map(usize::from) {
        if mask.len() <= number / 8 {
            mask.resize(number / 8 + 1, 0);
        }
        mask[number / 8] |= 1 << (number % 8);
    }
    Value::Array("y".into(), mask.into_iter().map(Value::Byte).collect())
}

/// Device rules. What systemd cannot say (all but some), it is told to leave alone.
pub(super) fn devices(rules: &[Rule]) -> Vec<Property> {
    let plain = rules.first().is_none_or(|first| !first.allow) && rules[1..].iter().all(|rule| rule.allow);
    let policy = if plain { "strict" } else { "auto" };
    let entry = |rule: &Rule| {
        let kind = if rule.kind == Some('b') { "block" } else { "char" };
        let path = match (rule.major, rule.minor) {
            (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
            // Since systemd 240.
            (Some(major), None) => format!("{kind}-{major}"),
            (None, _) => format!("{kind}-*"),
        };
        Value::Struct(vec![Value::Text(path), Value::Text(rule.access.to_string())])
    };
    // A minor number of every major one has no word.
    let said = |rule: &&Rule| rule.kind.is_some() && !(rule.major.is_none() && rule.minor.is_some());
    let list = rules.iter().filter(|_| plain).filter(said).map(entry).collect();
    let allow = |list| ("DeviceAllow".to_owned(), Value::Array("(ss)".into(), list));
    // The empty list takes back what was allowed before.
    let mut all = vec![("DevicePolicy".to_owned(), Value::text(policy)), allow(Vec::new())];
    all.extend(plain.then(|| allow(list)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::devices::rules;
    use sampan_types::spec::{BlockIo, Cpu, DeviceRule, MemoryLimits, Pids};

    fn names(properties: &[Property]) -> Vec<(&str, &Value)> {
        properties.iter().map(|(name, value)| (name.as_str(), value)).collect()
    }

    #[test]
    fn limits_of_both_versions() {
        let resources = Resources {
            memory: Some(MemoryLimits { limit: Some(100), swap: Some(150), ..MemoryLimits::default() }),
            cpu: Some(Cpu {
                shares: Some(1024),
                quota: Some(55_555),
                period: Some(100_000),
                cpus: Some("0,9".into()),
                ..Cpu::default()
            }),
            pids: Some(Pids { limit: Some(-1) }),
            block_io: Some(BlockIo { weight: Some(10), ..BlockIo::default() }),
            ..Resources::default()
        };
        let mask = Value::Array("y".into(), vec![Value::Byte(1), Value::Byte(2)]);
        let all = of(&resources, true).unwrap();
        let expected = [
            ("MemoryMax", &Value::U64(100)),
            ("MemorySwapMax", &Value::U64(50)),
            ("CPUWeight", &Value::U64(100)),
            ("CPUQuotaPerSecUSec", &Value::U64(560_000)),
            ("CPUQuotaPeriodUSec", &Value::U64(100_000)),
            ("AllowedCPUs", &mask),
            ("TasksMax", &Value::U64(INFINITY)),
            ("IOWeight", &Value::U64(1)),
        ];
        assert_eq!(names(&all), expected);
        let all = of(&resources, false).unwrap();
        let expected: Vec<_> = names(&all).into_iter().map(|own| own.0).collect();
        assert_eq!(
            expected,
            [
                "MemoryLimit",
                "CPUShares",
                "CPUQuotaPerSecUSec",
                "CPUQuotaPeriodUSec",
                "TasksMax",
                "BlockIOWeight"
            ]
        );
    }

    #[test]
    fn files_by_name() {
        let unified = [("cpu.max", "max 50000"), ("memory.high", "7"), ("memory.oom.group", "1")];
        let unified = unified.map(|(file, value)| (file.to_owned(), value.to_owned())).into();
        let all = of(&Resources { unified, ..Resources::default() }, true).unwrap();
        let expected = [
            ("CPUQuotaPerSecUSec", &Value::U64(INFINITY)),
            ("CPUQuotaPeriodUSec", &Value::U64(50_000)),
            ("MemoryHigh", &Value::U64(7)),
        ];
        assert_eq!(names(&all), expected);
    }

    #[test]
    fn device_rules() {
        let rule =
            DeviceRule { allow: true, kind: Some("b".into()), major: Some(8), ..DeviceRule::default() };
        let all = devices(&rules(std::slice::from_ref(&rule)).unwrap());
        assert_eq!(all[0].1, Value::text("strict"));
        let Value::Array(_, list) = &all[2].1 else { panic!("{all:?}") };
        let entry = |path: &str, access: &str| Value::Struct(vec![Value::text(path), Value::text(access)]);
        assert_eq!(list[..3], [entry("block-8", "rwm"), entry("char-*", "m"), entry("block-*", "m")]);
        assert!(list.contains(&entry("/dev/char/1:3", "rwm")));
        let open = devices(
            &rules(&[
                DeviceRule { allow: true, ..DeviceRule::default() },
                DeviceRule { allow: false, ..rule },
            ])
            .unwrap(),
        );
        assert_eq!((open.len(), &open[0].1), (2, &Value::text("auto")));
    }
}
