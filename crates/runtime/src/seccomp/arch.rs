//! Architectures as filters see them, with their call numbers.

use std::collections::HashMap;

/// One architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arch {
    X86_64,
    /// 64-bit numbers with a bit of their own, 32-bit pointers; the same architecture to the kernel.
    X32,
    X86,
    Aarch64,
    Arm,
}

/// The bit of an x32 call's number (`__X32_SYSCALL_BIT`).
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// Calls that have other numbers in x32 than in x86-64, from 512 on in this order (arch/x86/entry/syscalls/syscall_64.tbl).
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

impl Arch {
    /// The one this program is built for.
    pub(super) const NATIVE: Self = if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };

    /// From the specification's word; `None` for one that this machine cannot run.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let arch = match word {
            "SCMP_ARCH_NATIVE" => Self::NATIVE,
            "SCMP_ARCH_X86_64" => Self::X86_64,
            "SCMP_ARCH_X32" => Self::X32,
            "SCMP_ARCH_X86" => Self::X86,
            "SCMP_ARCH_AARCH64" => Self::Aarch64,
            "SCMP_ARCH_ARM" => Self::Arm,
            _ => return None,
        };
        let intel = matches!(arch, Self::X86_64 | Self::X32 | Self::X86);
        (intel == (Self::NATIVE == Self::X86_64)).then_some(arch)
    }

    /// What the kernel calls it (`AUDIT_ARCH_…`, linux/audit.h).
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Its calls by name.
    pub(super) fn numbers(self) -> HashMap<&'static str, u32> {
        macro_rules! table {
            ($arch:ident) => {
                (0..=syscalls::$arch::Sysno::last().id())
                    .filter_map(|number| {
                        let call = syscalls::$arch::Sysno::new(number as usize)?;
                        Some((call.name(), number as u32))
                    })
                    .collect()
            };
        }
        match self {
            Self::X86_64 => table!(x86_64),
            Self::X32 => {
                let mut numbers: HashMap<_, _> = table!(x86_64);
                numbers.extend(X32_OWN.iter().zip(512..).map(|(name, number)| (*name, number)));
                numbers.values_mut().for_each(|number| *number |= X32_BIT);
                numbers
            }
            Self::X86 => table!(x86),
            Self::Aarch64 => table!(aarch64),
            Self::Arm => table!(arm),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_each_architecture() {
        assert_eq!(Arch::X86_64.numbers()["execve"], 59);
        assert_eq!(Arch::X86.numbers()["execve"], 11);
        assert_eq!(Arch::Aarch64.numbers()["execve"], 221);
        let x32 = Arch::X32.numbers();
        assert_eq!((x32["execve"], x32["read"]), (X32_BIT | 520, X32_BIT));
        assert_eq!(x32["pwritev2"], X32_BIT | 547);
    }
}
