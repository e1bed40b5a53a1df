//! Architectures as filters see them.

use super::names::Call;

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

/// A word that is no architecture of the specification's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unknown;

/// Architectures that no machine of ours is.
const OTHERS: [&str; 17] = [
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "LOONGARCH64",
    "M68K",
    "SH",
];

/// The bit of an x32 call's number (`__X32_SYSCALL_BIT`).
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// Where the numbers of 32-bit Arm's own calls begin (`__ARM_NR_BASE`).
pub(super) const ARM_OWN: u32 = 0x0f_0000;

/// Calls that have other numbers in x32 than in x86-64, from 512 on in this order (arch/x86/entry/syscalls/syscall_64.tbl).
pub(super) const X32_OWN: [&str; 36] = [
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
    pub(super) fn parse(word: &str) -> Result<Option<Self>, Unknown> {
        let arch = match word {
            "SCMP_ARCH_NATIVE" => Self::NATIVE,
            "SCMP_ARCH_X86_64" => Self::X86_64,
            "SCMP_ARCH_X32" => Self::X32,
            "SCMP_ARCH_X86" => Self::X86,
            "SCMP_ARCH_AARCH64" => Self::Aarch64,
            "SCMP_ARCH_ARM" => Self::Arm,
            word if OTHERS.contains(&word.strip_prefix("SCMP_ARCH_").unwrap_or_default()) => return Ok(None),
            _ => return Err(Unknown),
        };
        let intel = matches!(arch, Self::X86_64 | Self::X32 | Self::X86);
        Ok((intel == (Self::NATIVE == Self::X86_64)).then_some(arch))
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

    /// Whether its calls have arguments of 64 bits.
    pub(super) fn is_wide(self) -> bool {
        !matches!(self, Self::X86 | Self::Arm)
    }

    /// Its number of a call.
    pub(super) fn number(self, call: &Call) -> Option<u32> {
        let (column, bit) = match self {
            Self::X86_64 | Self::Aarch64 => (0, 0),
            Self::X32 => (1, X32_BIT),
            Self::Arm => (1, 0),
            Self::X86 => (2, 0),
        };
        Some(call.numbers[column]).filter(|number| *number != super::names::NONE).map(|number| number | bit)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::names, *};

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn numbers_of_each_architecture() {
        let number = |arch: Arch, name: &str| names::find(name).and_then(|call| arch.number(call));
        assert_eq!(number(Arch::X86_64, "execve"), Some(59));
        assert_eq!(number(Arch::X86, "execve"), Some(11));
        assert_eq!(number(Arch::X32, "execve"), Some(X32_BIT | 520));
        assert_eq!(number(Arch::X32, "read"), Some(X32_BIT));
        assert_eq!(number(Arch::X32, "socketcall"), None);
        let parse = |word: &str| Arch::parse(&format!("SCMP_ARCH_{word}"));
        assert_eq!((parse("X86"), parse("ARM"), parse("S390X")), (Ok(Some(Arch::X86)), Ok(None), Ok(None)));
        assert_eq!((parse("NONE"), Arch::parse("")), (Err(Unknown), Err(Unknown)));
    }
}
