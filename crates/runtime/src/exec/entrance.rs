//! A process's birth in a container: in its process namespace and its control group.

use super::not_running;
use crate::{
    Container,
    cgroup::Entry,
    container::reap,
    error::Cannot,
    init, process,
    sync::{Channel, Message, unexpected},
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    thread::{
        LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags, move_into_link_name_space,
        move_into_thread_name_spaces,
    },
};
use sampan_sys::{
    clone::{self, Child},
    exec::close_in_child,
};
use sampan_types::{Error, Result, spec::NamespaceKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The way in.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) container: &'a Container,
    pub(super) init: BorrowedFd<'a>,
    pub(super) entry: &'a Entry,
    /// Born in the version 2 group, else it moves itself.
    pub(super) born_inside: bool,
    /// Into a group below the container's.
    pub(super) sub: bool,
}

impl Way<'_> {
    /// Clones a process that does `work`, which is told what namespaces it is in already.
    ///
    /// It is cloned straight into the container's process namespace: the caller's children are born there while it asks for
    /// that, so that no process in between is needed. An ordinary user's runtime has no right to that outside of the
    /// container's user namespace; there, a process that joins both first clones the one that goes on.
    pub(super) fn enter(self, work: impl Fn(ThreadNameSpaceType) -> i32) -> Result<Child> {
        let namespaces = &self.container.namespaces;
        if !namespaces.has(NamespaceKind::Pid) {
            return self.explain(self.clone_here(|| work(ThreadNameSpaceType::empty())));
        }
        let back = rustix::fs::open("/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .cannot(|| "open the runtime's process namespace".into())?;
        match move_into_thread_name_spaces(self.init, ThreadNameSpaceType::PROCESS_ID) {
            Ok(()) => {}
            Err(Errno::PERM) if namespaces.has(NamespaceKind::User) => return self.enter_by_another(work),
            Err(errno) => return Err(self.refused(errno)),
        }
        let child = self.clone_here(|| work(ThreadNameSpaceType::empty()));
        move_into_link_name_space(back.as_fd(), Some(LinkNameSpaceType::ProcessID))
            .cannot(|| "leave the container's process namespace".into())
            .inspect_err(|_| {
                // The first failure is the one to tell.
                child.iter().for_each(|child| _ = reap(&child.pidfd));
            })?;
        self.explain(child)
    }

    fn explain(self, child: std::io::Result<Child>) -> Result<Child> {
        child.cannot(|| format!("clone a process into container {}", self.container.state.id))
    }

    fn refused(self, errno: Errno) -> Error {
        match errno {
            Errno::SRCH => not_running(self.container),
            errno => Error::io("cannot join the container's process namespace", errno.into()),
        }
    }

    fn clone_here(self, work: impl Fn() -> i32) -> std::io::Result<Child> {
        let directory = self.entry.directory().filter(|_| self.born_inside);
        let child = clone::clone(UnshareFlags::empty(), directory, &work);
        // A version 2 group that has handed its controllers down, as a system container's does, has no processes of its own.
        let busy = child.as_ref().is_err_and(|error| Errno::from_io_error(error) == Some(Errno::BUSY));
        if !busy || self.sub {
            return child;
        }
        match self.container.cgroup.entry_of(self.container.pid) {
            Ok(entry) => clone::clone(UnshareFlags::empty(), entry.directory(), &work),
            Err(error) => Err(std::io::Error::other(error)),
        }
    }

    fn enter_by_another(self, work: impl Fn(ThreadNameSpaceType) -> i32) -> Result<Child> {
        let (channel, theirs) = Channel::pair()?;
        let both = ThreadNameSpaceType::USER | ThreadNameSpaceType::PROCESS_ID;
        let first = self.clone_here(|| {
            close_in_child(channel.as_fd());
            init::report(&theirs, || {
                process::hide()?;
                move_into_thread_name_spaces(self.init, both).map_err(|errno| self.refused(errno))?;
                let child = self.explain(clone::clone_sibling(UnshareFlags::empty(), || {
                    work(ThreadNameSpaceType::USER)
                }))?;
                theirs.send(&Message::Cloned { pid: child.pid }, &[child.pidfd.as_fd()])
            })
        });
        let first = self.explain(first)?;
        drop(theirs);
        let answer = channel.expect("join the container's process namespace");
        // It has nothing more to do, whatever it has said.
        let reaped = reap(&first.pidfd);
        match answer? {
            (Message::Cloned { pid }, mut fds) => {
                reaped?;
                let pidfd: Option<OwnedFd> = fds.pop();
                pidfd.map(|pidfd| Child { pid, pidfd }).ok_or_else(|| unexpected(None))
            }
            (message, _) => Err(unexpected(Some(message))),
        }
    }
}
