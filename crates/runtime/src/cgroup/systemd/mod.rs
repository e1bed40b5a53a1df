//! systemd makes the container's group: a transient scope (or slice) in its tree, whose limits it knows and keeps.
//!
//! A scope is made around a process. A placeholder is that process until the container's first one has been born in the group;
//! so the container is made as it is without systemd. What systemd has no property for, and on version 1 the hierarchies that it does
//! not look after, are written as without it.

mod annotation;
mod bus;
mod properties;
mod unit;
mod wire;

pub(super) use unit::Unit;

use super::{
    CgroupManager, CgroupRecord, Entry, Layout, Limits, OomWatch, Stats, SubGroups, Tolerance, Wanted,
    devices,
};
use crate::{container::reap, error::Cannot};
use bus::{Bus, Refusal};
use properties::Property;
use rustix::{
    process::{Signal, set_parent_process_death_signal},
    thread::UnshareFlags,
};
use sampan_sys::clone::{self, Child};
use sampan_types::{Error, ErrorKind, Result};
use std::cell::RefCell;
use wire::Value;

/// A group that is a unit's.
#[derive(Debug)]
pub(super) struct Systemd {
    unit: Unit,
    /// The directories.
    groups: Box<dyn CgroupManager>,
    /// What only making it needs.
    plan: Option<Plan>,
    placeholder: RefCell<Option<Child>>,
}

#[derive(Debug)]
struct Plan {
    id: String,
    record: CgroupRecord,
    properties: Vec<Property>,
}

impl Systemd {
    /// One that is to be made.
    pub(super) fn of(wanted: Wanted<'_>, path: Option<&str>, layout: Layout) -> Result<Self> {
        let user = wanted.rootless || super::unprivileged();
        let unit = Unit::parse(path, wanted.id, user)?;
        let properties = annotation::properties(wanted.annotations)?;
        let above = if user { Bus::connect(true)?.property("ControlGroup")? } else { String::new() };
        let path = format!("{}{}", above.trim_end_matches('/'), unit.path()?);
        let record = CgroupRecord { path, unit: Some(unit.clone()), layout };
        let groups = record.groups(Tolerance::None, true);
        let plan = Some(Plan { id: wanted.id.to_owned(), record, properties });
        Ok(Self { unit, groups, plan, placeholder: RefCell::new(None) })
    }

    /// One that has been made.
    pub(super) fn reopen(unit: Unit, groups: Box<dyn CgroupManager>) -> Self {
        Self { unit, groups, plan: None, placeholder: RefCell::new(None) }
    }

    /// For the container's own.
    pub(super) fn record(&self) -> CgroupRecord {
        match &self.plan {
            Some(plan) => plan.record.clone(),
            None => CgroupRecord {
                path: String::new(),
                unit: Some(self.unit.clone()),
                layout: Layout { v1: Vec::new(), unified: None },
            },
        }
    }

    fn refused(&self, verb: &str, refusal: Refusal) -> Error {
        let kind = match refusal.name.rsplit('.').next().unwrap_or_default() {
            "NoSuchUnit" => ErrorKind::NotFound,
            "UnitExists" => ErrorKind::AlreadyExists,
            "AccessDenied" | "InteractiveAuthorizationRequired" => ErrorKind::PermissionDenied,
            "PropertyReadOnly" | "InvalidArgs" => ErrorKind::InvalidInput,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, format!("cannot {verb} systemd unit {}", self.unit.name)).because(refusal.text)
    }

    /// Makes the unit. A failed one of the same name, left from an earlier container, is forgotten first.
    fn start(&self, bus: &mut Bus, properties: &[Property]) -> Result<()> {
        let arguments = [
            Value::text(&self.unit.name),
            Value::text("replace"),
            list(properties),
            Value::Array("(sa(sv))".into(), Vec::new()),
        ];
        let mut started = bus.run_job("StartTransientUnit", &arguments)?;
        if matches!(&started, Err(refusal) if refusal.name.ends_with(".UnitExists")) {
            // One that has not failed stays, and is in the way again.
            let _ = bus.call("ResetFailedUnit", &[Value::text(&self.unit.name)])?;
            started = bus.run_job("StartTransientUnit", &arguments)?;
        }
        started.map_err(|refusal| self.refused("start", refusal))
    }

    fn stop(&self, bus: &mut Bus) -> Result<()> {
        let name = Value::text(&self.unit.name);
        match bus.run_job("StopUnit", &[name.clone(), Value::text("replace")])? {
            // It goes by itself with its last process.
            Err(refusal) if !refusal.name.ends_with(".NoSuchUnit") => {
                return Err(self.refused("stop", refusal));
            }
            _ => {}
        }
        // One that did not end well would be kept; most did.
        let _ = bus.call("ResetFailedUnit", &[name])?;
        Ok(())
    }

    fn properties(&self, plan: &Plan, limits: Limits<'_>, placeholder: Option<i32>) -> Result<Vec<Property>> {
        let unified = plan.record.layout.v1.is_empty();
        let mut all = vec![property("Description", Value::Text(format!("sampan container {}", plan.id)))];
        match placeholder {
            Some(pid) => {
                all.push(property("Slice", Value::text(&self.unit.slice)));
                all.push(property("Delegate", Value::Bool(true)));
                all.push(property("PIDs", Value::Array("u".into(), vec![Value::U32(pid.unsigned_abs())])));
            }
            None => {
                all.push(property("Wants", Value::Array("s".into(), vec![Value::text(&self.unit.slice)])))
            }
        }
        all.push(property("DefaultDependencies", Value::Bool(false)));
        let accounted = ["MemoryAccounting", "CPUAccounting", "TasksAccounting"];
        let io = if unified { "IOAccounting" } else { "BlockIOAccounting" };
        all.extend(accounted.into_iter().chain([io]).map(|name| property(name, Value::Bool(true))));
        all.extend(self.limits(limits, unified)?);
        all.extend(plan.properties.iter().cloned());
        Ok(all)
    }

    fn limits(&self, limits: Limits<'_>, unified: bool) -> Result<Vec<Property>> {
        let mut all = properties::of(limits.resources, unified)?;
        // A user's systemd may load no programs for devices.
        if let Some(list) = limits.devices.filter(|_| !self.unit.user) {
            all.extend(properties::devices(&devices::rules(list)?));
        }
        Ok(all)
    }

    fn release(&self) -> Result<()> {
        match self.placeholder.take() {
            Some(child) => reap(&child.pidfd),
            None => Ok(()),
        }
    }
}

fn property(name: &str, value: Value) -> Property {
    (name.to_owned(), value)
}

fn list(properties: &[Property]) -> Value {
    let one = |(name, value): &Property| {
        Value::Struct(vec![Value::text(name), Value::Variant(Box::new(value.clone()))])
    };
    Value::Array("(sv)".into(), properties.iter().map(one).collect())
}

/// A process that does nothing, and ends with the calling one.
fn placeholder() -> Result<Child> {
    clone::clone(UnshareFlags::empty(), None, || {
        if set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
            return 1;
        }
        loop {
            // Until it is killed.
            let _ = rustix::event::poll(&mut [], None);
        }
    })
    .cannot(|| "make a process for a systemd scope".into())
}

impl CgroupManager for Systemd {
    fn create(&mut self, limits: Limits<'_>) -> Result<Vec<String>> {
        let Some(plan) = self.plan.take() else { return Ok(Vec::new()) };
        self.groups.refuse_used()?;
        let mut bus = Bus::connect(self.unit.user)?;
        let child = if self.unit.is_slice() { None } else { Some(placeholder()?) };
        let pid = child.as_ref().map(|child| child.pid);
        self.placeholder.replace(child);
        let made = self
            .properties(&plan, limits, pid)
            .and_then(|properties| self.start(&mut bus, &properties))
            .and_then(|()| self.groups.create(limits));
        self.plan = Some(plan);
        made.inspect_err(|error| {
            // The first failure is the one to tell. What exists already is somebody else's.
            let _ = self.release();
            if error.kind() != ErrorKind::AlreadyExists {
                let _ = self.stop(&mut bus);
            }
        })
    }

    fn refuse_used(&self) -> Result<()> {
        self.groups.refuse_used()
    }

    fn apply(&self, limits: Limits<'_>) -> Result<()> {
        let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let properties = self.limits(limits, unified)?;
        if !properties.is_empty() {
            let arguments = [Value::text(&self.unit.name), Value::Bool(true), list(&properties)];
            let mut bus = Bus::connect(self.unit.user)?;
            bus.call("SetUnitProperties", &arguments)?
                .map_err(|refusal| self.refused("set properties of", refusal))?;
        }
        self.groups.apply(limits)
    }

    fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        self.groups.delegate(uid, gid)
    }

    /// A user may not move processes from a session into a unit; systemd may.
    fn entry(&self, sub: &SubGroups) -> Result<Entry> {
        match self.unit.user && !self.unit.is_slice() {
            true => Entry::behind_gate(sub.whole()),
            false => self.groups.entry(sub),
        }
    }

    fn admit(&self, entry: &Entry, pid: i32) -> Result<()> {
        if let Some(below) = entry.gate() {
            let arguments = [
                Value::text(&self.unit.name),
                Value::text(below),
                Value::Array("u".into(), vec![Value::U32(pid.unsigned_abs())]),
            ];
            Bus::connect(true)?.call("AttachProcessesToUnit", &arguments)?.map_err(|refusal| {
                let text = format!("adding pid {pid} to it: {}", refusal.text);
                self.refused("join", Refusal { text, ..refusal })
            })?;
            entry.open_gate()?;
        } else if self.placeholder.borrow().is_some() {
            // A version 1 group is entered by the process itself, in its own time; the scope must not run empty before.
            entry.admit(pid)?;
        }
        self.release()
    }

    fn pids(&self) -> Result<Vec<i32>> {
        self.groups.pids()
    }

    fn kill_all(&self) -> Result<()> {
        self.groups.kill_all()
    }

    fn freeze(&self, frozen: bool) -> Result<()> {
        self.groups.freeze(frozen)
    }

    fn frozen(&self) -> Result<bool> {
        self.groups.frozen()
    }

    fn stats(&self) -> Result<Stats> {
        self.groups.stats()
    }

    fn oom_kills(&self) -> Result<u64> {
        self.groups.oom_kills()
    }

    fn oom_watch(&self) -> Result<OomWatch> {
        self.groups.oom_watch()
    }

    fn delete(&self) -> Result<()> {
        self.release()?;
        self.stop(&mut Bus::connect(self.unit.user)?)?;
        self.groups.delete()
    }
}
