//! Which system calls a container may make.
//!
//! App containers get an allow list: what is not named fails with EPERM, as Docker's default profile has it, and calls
//! newer than the list get ENOSYS from the runtime. System containers run whole operating systems whose programs expect
//! the kernel's interface to be there, so they get a deny list; their user namespace is the wall.

use sampan_types::spec::{Action, Operator, Seccomp, SyscallArg, SyscallRule};

/// `EPERM`, `ENOSYS` (errno(3)).
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// All `CLONE_NEW*` flags that make a namespace in clone(2).
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

/// `AF_VSOCK`: reaches the hypervisor past every network namespace.
const AF_VSOCK: u64 = 40;

/// What any program may do, by theme.
const FILES: &str = "
    access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
    faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
    fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr file_getattr file_setattr flistxattr
    flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64
    futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch lchown lchown32 lgetxattr link linkat listxattr listxattrat
    llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 memfd_create memfd_secret mkdir
    mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv
    preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat
    rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs
    statfs64 statx symlink symlinkat sync sync_file_range sync_file_range2 syncfs tee truncate
    truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
    listmount statmount
";
const MEMORY: &str = "
    brk get_mempolicy madvise map_shadow_stack mbind membarrier mincore mlock mlock2 mlockall mmap mmap2
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
    process_madvise process_mrelease remap_file_pages set_mempolicy set_mempolicy_home_node shmat shmctl
    shmdt shmget
";
const PROCESSES: &str = "
    alarm arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64
    futex_wait futex_waitv futex_wake getcpu getegid getegid32 geteuid geteuid32 getgid getgid32
    getgroups getgroups32 getitimer getpgid getpgrp getpid getppid getpriority getresgid getresgid32
    getresuid getresuid32 getrlimit get_robust_list getrusage getsid get_thread_area gettid getuid
    getuid32 ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
    modify_ldt pidfd_getfd pidfd_open pidfd_send_signal prctl prlimit64 ptrace process_vm_readv
    process_vm_writev kcmp restart_syscall rseq sched_getaffinity sched_getattr sched_getparam
    sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sched_yield seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
    setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32
    setreuid setreuid32 setrlimit set_robust_list setsid set_thread_area set_tid_address setuid setuid32
    tgkill tkill ugetrlimit uname vfork wait4 waitid waitpid
";
const SIGNALS: &str = "
    pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigprocmask
    sigreturn
";
const WAITING: &str = "
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 io_cancel ioctl io_destroy io_getevents io_pgetevents
    io_pgetevents_time64 io_setup io_submit _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64
    select
";
const NETWORK: &str = "
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
";
const MESSAGES: &str = "
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
    semtimedop_time64
";
const TIME: &str = "
    adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 gettimeofday nanosleep sysinfo time
    timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
    timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
    times uretprobe
";

/// What a whole operating system has no use for inside a container, or could reach past its walls with.
const SYSTEM_DENIED: &str = "
    acct delete_module finit_module init_module ioperm iopl kexec_file_load kexec_load lookup_dcookie
    nfsservctl open_by_handle_at perf_event_open quotactl quotactl_fd swapoff swapon userfaultfd vm86
    vm86old io_uring_setup io_uring_enter io_uring_register
";

/// The allow list for app containers. `capabilities` opens the calls that only have a meaning with one.
pub(super) fn app(capabilities: &[String]) -> Seccomp {
    let themes = [FILES, MEMORY, PROCESSES, SIGNALS, WAITING, NETWORK, MESSAGES, TIME];
    let names = themes.into_iter().flat_map(str::split_whitespace).collect();
    let mut syscalls = vec![rule(names, Action::Allow)];
    // personality(2): Linux, the 32-bit view, "tell me", and the two with ADDR_NO_RANDOMIZE off the table.
    for value in [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        syscalls.push(rule_if(&["personality"], &[(0, Operator::Equal, value, 0)]));
    }
    syscalls.push(rule_if(&["socket"], &[(0, Operator::NotEqual, AF_VSOCK, 0)]));
    let has = |name: &str| capabilities.iter().any(|capability| capability == name);
    if has("CAP_SYS_ADMIN") {
        syscalls.push(rule(
            vec![
                "bpf",
                "clone",
                "clone3",
                "fanotify_init",
                "fsconfig",
                "fsmount",
                "fsopen",
                "fspick",
                "mount",
                "mount_setattr",
                "move_mount",
                "open_tree",
                "perf_event_open",
                "pivot_root",
                "quotactl",
                "quotactl_fd",
                "setdomainname",
                "sethostname",
                "setns",
                "umount",
                "umount2",
                "unshare",
            ],
            Action::Allow,
        ));
    } else {
        syscalls.push(rule_if(&["clone"], &[(0, Operator::MaskedEqual, NAMESPACE_FLAGS, 0)]));
        // Its flags lie in memory where a filter cannot look; ENOSYS makes C libraries take clone(2).
        syscalls.push(SyscallRule { errno_ret: Some(ENOSYS), ..rule(vec!["clone3"], Action::Errno) });
    }
    for (capability, names) in [
        ("CAP_SYS_CHROOT", &["chroot"][..]),
        ("CAP_SYS_BOOT", &["reboot"]),
        ("CAP_SYS_TIME", &["settimeofday", "stime", "clock_settime", "clock_settime64"]),
        ("CAP_SYS_TTY_CONFIG", &["vhangup"]),
        ("CAP_SYSLOG", &["syslog"]),
        ("CAP_DAC_READ_SEARCH", &["open_by_handle_at"]),
        ("CAP_SYS_PACCT", &["acct"]),
        ("CAP_SYS_RAWIO", &["iopl", "ioperm"]),
        ("CAP_SYS_NICE", &["migrate_pages", "move_pages"]),
    ] {
        if has(capability) {
            syscalls.push(rule(names.to_vec(), Action::Allow));
        }
    }
    profile(Action::Errno, Some(EPERM), syscalls)
}

/// The deny list for system containers.
pub(super) fn system() -> Seccomp {
    let denied = SyscallRule {
        errno_ret: Some(EPERM),
        ..rule(SYSTEM_DENIED.split_whitespace().collect(), Action::Errno)
    };
    profile(Action::Allow, None, vec![denied])
}

/// The native architecture and the 32-bit ones that its kernel also runs.
fn architectures() -> Vec<String> {
    let names: &[&str] = match std::env::consts::ARCH {
        "x86_64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        _ => &[],
    };
    names.iter().map(ToString::to_string).collect()
}

fn rule(names: Vec<&str>, action: Action) -> SyscallRule {
    let names = names.into_iter().map(str::to_owned).collect();
    SyscallRule { names, action, errno_ret: None, args: Vec::new() }
}

fn rule_if(names: &[&str], args: &[(u32, Operator, u64, u64)]) -> SyscallRule {
    let args = args
        .iter()
        .map(|&(index, op, value, value_two)| SyscallArg { index, value, value_two, op })
        .collect();
    SyscallRule { args, ..rule(names.to_vec(), Action::Allow) }
}

fn profile(default_action: Action, default_errno_ret: Option<u32>, syscalls: Vec<SyscallRule>) -> Seccomp {
    Seccomp {
        default_action,
        default_errno_ret,
        architectures: architectures(),
        flags: None,
        listener_path: None,
        listener_metadata: None,
        syscalls,
    }
}
