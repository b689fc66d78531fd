//! Names and numbers of the system calls of Linux 7.2. Written by `hack/syscalls`; do not edit.
//!
//! Numbers are without the ABI's offset (`Abi::base`). All names are one text: an array of `&str` is larger.

/// The columns of `NUMBERS`. Byte orders share a column.
#[rustfmt::skip]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    X8664, X86, X32, Aarch64, Arm, Riscv64, Loongarch64, Ppc64, Ppc,
    S390x, S390, Mips64, Mips64n32, Mips, Parisc64, Parisc, M68k, Sh,
}

/// No such call on this ABI.
pub const NO: u16 = u16::MAX;

/// Names in the order of `NUMBERS`' rows, ascending.
pub const NAMES: &str = "\
_llseek _newselect _sysctl accept accept4 access acct add_key adjtimex afs_syscall alarm arch_prctl \
arm_fadvise64_64 arm_sync_file_range atomic_barrier atomic_cmpxchg_32 bdflush bind bpf break brk cachectl \
cacheflush cachestat capget capset chdir chmod chown chown32 chroot clock_adjtime clock_adjtime64 \
clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 \
clock_settime clock_settime64 clone clone3 close close_range connect copy_file_range creat create_module \
delete_module dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 \
epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 \
fadvise64_64 fallocate fanotify_init fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat \
fcntl fcntl64 fdatasync fgetxattr file_getattr file_setattr finit_module flistxattr flock fork fremovexattr \
fsconfig fsetxattr fsmount fsopen fspick fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftime ftruncate \
ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_kernel_syms \
get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid \
geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpagesize getpeername getpgid getpgrp getpid \
getpmsg getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid \
getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat gtty idle init_module \
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents \
io_pgetevents_time64 io_setup io_submit io_uring_enter io_uring_register io_uring_setup ioctl ioperm iopl \
ioprio_get ioprio_set ipc kcmp kexec_file_load kexec_load keyctl kill landlock_add_rule \
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listns \
listxattr listxattrat llistxattr lock lookup_dcookie lremovexattr lseek lsetxattr lsm_get_self_attr \
lsm_list_modules lsm_set_self_attr lstat lstat64 madvise map_shadow_stack mbind membarrier memfd_create \
memfd_secret migrate_pages mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt \
mount mount_setattr move_mount move_pages mprotect mpx mq_getsetattr mq_notify mq_open mq_timedreceive \
mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd \
msync multiplexer munlock munlockall munmap name_to_handle_at nanosleep newfstatat nfsservctl nice oldfstat \
oldlstat oldolduname oldstat olduname open open_by_handle_at open_tree open_tree_attr openat openat2 pause \
pciconfig_iobase pciconfig_read pciconfig_write perf_event_open personality pidfd_getfd pidfd_open \
pidfd_send_signal pipe pipe2 pivot_root pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl \
pread64 preadv preadv2 prlimit64 process_madvise process_mrelease process_vm_readv process_vm_writev prof \
profil pselect6 pselect6_time64 ptrace putpmsg pwrite64 pwritev pwritev2 query_module quotactl quotactl_fd \
read readahead readdir readlink readlinkat readv reboot recv recvfrom recvmmsg recvmmsg_time64 recvmsg \
remap_file_pages removexattr removexattrat rename renameat renameat2 request_key restart_syscall \
riscv_flush_icache riscv_hwprobe rmdir rseq rseq_slice_yield rt_sigaction rt_sigpending rt_sigprocmask \
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo rtas \
s390_guarded_storage s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr s390_sthyi \
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam \
sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr \
sched_setparam sched_setscheduler sched_yield seccomp security select semctl semget semop semtimedop \
semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_mempolicy set_mempolicy_home_node \
set_robust_list set_thread_area set_tid_address setdomainname setfsgid setfsgid32 setfsuid setfsuid32 setgid \
setgid32 setgroups setgroups32 sethostname setitimer setns setpgid setpriority setregid setregid32 setresgid \
setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt settimeofday setuid \
setuid32 setxattr setxattrat sgetmask shmat shmctl shmdt shmget shutdown sigaction sigaltstack signal \
signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend socket socketcall socketpair splice spu_create \
spu_run ssetmask stat stat64 statfs statfs64 statmount statx stime stty subpage_prot swapcontext swapoff \
swapon switch_endian symlink symlinkat sync sync_file_range sync_file_range2 syncfs sys_debug_setcontext \
syscall sysfs sysinfo syslog sysmips tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime \
timer_gettime64 timer_settime timer_settime64 timerfd timerfd_create timerfd_gettime timerfd_gettime64 \
timerfd_settime timerfd_settime64 times tkill truncate truncate64 tuxcall ugetrlimit ulimit umask umount \
umount2 uname unlink unlinkat unshare uprobe uretprobe uselib userfaultfd ustat utime utimensat \
utimensat_time64 utimes vfork vhangup vm86 vm86old vmsplice vserver wait4 waitid waitpid write writev\
";

#[rustfmt::skip]
pub static NUMBERS: [[u16; 18]; 503] = [
    [ NO,140, NO, NO,140, NO, NO,140,140, NO,140, NO, NO,140, NO,140,140,140], // _llseek
    [ NO,142, NO, NO,142, NO, NO,142,142, NO,142, 22, 22,142,142,142,142,142], // _newselect
    [156,149, NO, NO,149, NO, NO,149,149,149,149,152,152,153,149,149,149,149], // _sysctl
    [ 43, NO, 43,202,285,202,202,330,330, NO, NO, 42, 42,168, 35, 35, NO,344], // accept
    [288,364,288,242,366,242,242,344,344,364,364,293,297,334,320,320,361,358], // accept4
    [ 21, 33, 21, NO, 33, NO, NO, 33, 33, 33, 33, 20, 20, 33, 33, 33, 33, 33], // access
    [163, 51,163, 89, 51, 89, 89, 51, 51, 51, 51,158,158, 51, 51, 51, 51, 51], // acct
    [248,286,248,217,309,217,217,269,269,278,278,239,243,280,264,264,279,285], // add_key
    [159,124,159,171,124,171,171,124,124,124,124,154,154,124,124,124,124,124], // adjtimex
    [183,137,183, NO, NO, NO, NO,137,137,137,137,176,176,137, NO, NO, NO, NO], // afs_syscall
    [ 37, 27, 37, NO, NO, NO, NO, 27, 27, 27, 27, 37, 37, 27, 27, 27, 27, 27], // alarm
    [158,384,158, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // arch_prctl
    [ NO, NO, NO, NO,270, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // arm_fadvise64_64
    [ NO, NO, NO, NO,341, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // arm_sync_file_range
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,336, NO], // atomic_barrier
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,335, NO], // atomic_cmpxchg_32
    [ NO,134, NO, NO,134, NO, NO,134,134,134,134, NO, NO,134,134,134,134,134], // bdflush
    [ 49,361, 49,200,282,200,200,327,327,361,361, 48, 48,169, 22, 22,358,341], // bind
    [321,357,321,280,386,280,280,361,361,351,351,315,319,355,341,341,354,375], // bpf
    [ NO, 17, NO, NO, NO, NO, NO, 17, 17, NO, NO, NO, NO, 17, NO, NO, NO, NO], // break
    [ 12, 45, 12,214, 45,214,214, 45, 45, 45, 45, 12, 12, 45, 45, 45, 45, 45], // brk
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,198,198,148, NO, NO, NO, NO], // cachectl
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,197,197,147,356,356,123,123], // cacheflush
    [451,451,451,451,451,451,451,451,451,451,451,451,451,451,451,451,451,451], // cachestat
    [125,184,125, 90,184, 90, 90,183,183,184,184,123,123,204,106,106,184,184], // capget
    [126,185,126, 91,185, 91, 91,184,184,185,185,124,124,205,107,107,185,185], // capset
    [ 80, 12, 80, 49, 12, 49, 49, 12, 12, 12, 12, 78, 78, 12, 12, 12, 12, 12], // chdir
    [ 90, 15, 90, NO, 15, NO, NO, 15, 15, 15, 15, 88, 88, 15, 15, 15, 15, 15], // chmod
    [ 92,182, 92, NO,182, NO, NO,181,181,212,182, 90, 90,202,180,180, 16,182], // chown
    [ NO,212, NO, NO,212, NO, NO, NO, NO, NO,212, NO, NO, NO, NO, NO,198,212], // chown32
    [161, 61,161, 51, 61, 51, 51, 61, 61, 61, 61,156,156, 61, 61, 61, 61, 61], // chroot
    [305,343,305,266,372,266,266,347,347,337,337,300,305,341,324,324,342,361], // clock_adjtime
    [ NO,405, NO, NO,405, NO, NO, NO,405, NO,405, NO,405,405, NO,405,405,405], // clock_adjtime64
    [229,266,229,114,264,114,114,247,247,261,261,223,227,264,257,257,261,266], // clock_getres
    [ NO,406, NO, NO,406, NO, NO, NO,406, NO,406, NO,406,406, NO,406,406,406], // clock_getres_time64
    [228,265,228,113,263,113,113,246,246,260,260,222,226,263,256,256,260,265], // clock_gettime
    [ NO,403, NO, NO,403, NO, NO, NO,403, NO,403, NO,403,403, NO,403,403,403], // clock_gettime64
    [230,267,230,115,265,115,115,248,248,262,262,224,228,265,258,258,262,267], // clock_nanosleep
    [ NO,407, NO, NO,407, NO, NO, NO,407, NO,407, NO,407,407, NO,407,407,407], // clock_nanosleep_time64
    [227,264,227,112,262,112,112,245,245,259,259,221,225,262,255,255,259,264], // clock_settime
    [ NO,404, NO, NO,404, NO, NO, NO,404, NO,404, NO,404,404, NO,404,404,404], // clock_settime64
    [ 56,120, 56,220,120,220,220,120,120,120,120, 55, 55,120,120,120,120,120], // clone
    [435,435,435,435,435,435,435,435,435,435,435,435,435,435,435,435,435, NO], // clone3
    [  3,  6,  3, 57,  6, 57, 57,  6,  6,  6,  6,  3,  3,  6,  6,  6,  6,  6], // close
    [436,436,436,436,436,436,436,436,436,436,436,436,436,436,436,436,436,436], // close_range
    [ 42,362, 42,203,283,203,203,328,328,362,362, 41, 41,170, 31, 31,359,342], // connect
    [326,377,326,285,391,285,285,379,379,375,375,320,324,360,346,346,376,380], // copy_file_range
    [ 85,  8, 85, NO,  8, NO, NO,  8,  8,  8,  8, 83, 83,  8,  8,  8,  8,  8], // creat
    [174,127, NO, NO, NO, NO, NO,127,127,127,127,167,167,127, NO, NO,127, NO], // create_module
    [176,129,176,106,129,106,106,129,129,129,129,169,169,129,129,129,129,129], // delete_module
    [ 32, 41, 32, 23, 41, 23, 23, 41, 41, 41, 41, 31, 31, 41, 41, 41, 41, 41], // dup
    [ 33, 63, 33, NO, 63, NO, NO, 63, 63, 63, 63, 32, 32, 63, 63, 63, 63, 63], // dup2
    [292,330,292, 24,358, 24, 24,316,316,326,326,286,290,327,312,312,326,330], // dup3
    [213,254,213, NO,250, NO, NO,236,236,249,249,207,207,248,224,224,249,254], // epoll_create
    [291,329,291, 20,357, 20, 20,315,315,327,327,285,289,326,311,311,325,329], // epoll_create1
    [233,255,233, 21,251, 21, 21,237,237,250,250,208,208,249,225,225,250,255], // epoll_ctl
    [214, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // epoll_ctl_old
    [281,319,281, 22,346, 22, 22,303,303,312,312,272,276,313,297,297,315,319], // epoll_pwait
    [441,441,441,441,441,441,441,441,441,441,441,441,441,441,441,441,441,441], // epoll_pwait2
    [232,256,232, NO,252, NO, NO,238,238,251,251,209,209,250,226,226,251,256], // epoll_wait
    [215, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // epoll_wait_old
    [284,323,284, NO,351, NO, NO,307,307,318,318,278,282,319,304,304,319,323], // eventfd
    [290,328,290, 19,356, 19, 19,314,314,323,323,284,288,325,310,310,324,328], // eventfd2
    [ 59, 11,520,221, 11,221,221, 11, 11, 11, 11, 57, 57, 11, 11, 11, 11, 11], // execve
    [322,358,545,281,387,281,281,362,362,354,354,316,320,356,342,342,355,376], // execveat
    [ 60,  1, 60, 93,  1, 93, 93,  1,  1,  1,  1, 58, 58,  1,  1,  1,  1,  1], // exit
    [231,252,231, 94,248, 94, 94,234,234,248,248,205,205,246,222,222,247,252], // exit_group
    [269,307,269, 48,334, 48, 48,298,298,300,300,259,263,300,287,287,300,307], // faccessat
    [439,439,439,439,439,439,439,439,439,439,439,439,439,439,439,439,439,439], // faccessat2
    [221,250,221,223, NO,223,223,233,233,253,253,215,216,254, NO, NO,246,250], // fadvise64
    [ NO,272, NO, NO, NO, NO, NO, NO,254, NO,264, NO, NO, NO,236,236,267,272], // fadvise64_64
    [285,324,285, 47,352, 47, 47,309,309,314,314,279,283,320,305,305,320,324], // fallocate
    [300,338,300,262,367,262,262,323,323,332,332,295,300,336,322,322,337,337], // fanotify_init
    [301,339,301,263,368,263,263,324,324,333,333,296,301,337,323,323,338,338], // fanotify_mark
    [ 81,133, 81, 50,133, 50, 50,133,133,133,133, 79, 79,133,133,133,133,133], // fchdir
    [ 91, 94, 91, 52, 94, 52, 52, 94, 94, 94, 94, 89, 89, 94, 94, 94, 94, 94], // fchmod
    [268,306,268, 53,333, 53, 53,297,297,299,299,258,262,299,286,286,299,306], // fchmodat
    [452,452,452,452,452,452,452,452,452,452,452,452,452,452,452,452,452,452], // fchmodat2
    [ 93, 95, 93, 55, 95, 55, 55, 95, 95,207, 95, 91, 91, 95, 95, 95, 95, 95], // fchown
    [ NO,207, NO, NO,207, NO, NO, NO, NO, NO,207, NO, NO, NO, NO, NO,207,207], // fchown32
    [260,298,260, 54,325, 54, 54,289,289,291,291,250,254,291,278,278,291,298], // fchownat
    [ 72, 55, 72, 25, 55, 25, 25, 55, 55, 55, 55, 70, 70, 55, 55, 55, 55, 55], // fcntl
    [ NO,221, NO, NO,221, NO, NO, NO,204, NO,221, NO,212,220,202,202,239,221], // fcntl64
    [ 75,148, 75, 83,148, 83, 83,148,148,148,148, 73, 73,152,148,148,148,148], // fdatasync
    [193,231,193, 10,231, 10, 10,214,214,229,229,185,185,229,243,243,228,231], // fgetxattr
    [468,468,468,468,468,468,468,468,468,468,468,468,468,468,468,468,468,468], // file_getattr
    [469,469,469,469,469,469,469,469,469,469,469,469,469,469,469,469,469,469], // file_setattr
    [313,350,313,273,379,273,273,353,353,344,344,307,312,348,333,333,348,368], // finit_module
    [196,234,196, 13,234, 13, 13,217,217,232,232,188,188,232,246,246,231,234], // flistxattr
    [ 73,143, 73, 32,143, 32, 32,143,143,143,143, 71, 71,143,143,143,143,143], // flock
    [ 57,  2, 57, NO,  2, NO, NO,  2,  2,  2,  2, 56, 56,  2,  2,  2,  2,  2], // fork
    [199,237,199, 16,237, 16, 16,220,220,235,235,191,191,235,249,249,234,237], // fremovexattr
    [431,431,431,431,431,431,431,431,431,431,431,431,431,431,431,431,431,431], // fsconfig
    [190,228,190,  7,228,  7,  7,211,211,226,226,182,182,226,240,240,225,228], // fsetxattr
    [432,432,432,432,432,432,432,432,432,432,432,432,432,432,432,432,432,432], // fsmount
    [430,430,430,430,430,430,430,430,430,430,430,430,430,430,430,430,430,430], // fsopen
    [433,433,433,433,433,433,433,433,433,433,433,433,433,433,433,433,433,433], // fspick
    [  5,108,  5, 80,108, 80, 80,108,108,108,108,  5,  5,108, 28, 28,108,108], // fstat
    [ NO,197, NO, NO,197, NO, NO, NO,197, NO,197, NO, NO,215,112,112,197,197], // fstat64
    [ NO,300, NO, NO,327, NO, NO, NO,291, NO,293, NO, NO,293,280,280,293,300], // fstatat64
    [138,100,138, 44,100, 44, 44,100,100,100,100,135,135,100,100,100,100,100], // fstatfs
    [ NO,269, NO, NO,267, NO, NO,253,253,266,266, NO,218,256,299,299,264,269], // fstatfs64
    [ 74,118, 74, 82,118, 82, 82,118,118,118,118, 72, 72,118,118,118,118,118], // fsync
    [ NO, 35, NO, NO, NO, NO, NO, 35, 35, NO, NO, NO, NO, 35, NO, NO, NO, NO], // ftime
    [ 77, 93, 77, 46, 93, 46, 46, 93, 93, 93, 93, 75, 75, 93, 93, 93, 93, 93], // ftruncate
    [ NO,194, NO, NO,194, NO, NO, NO,194, NO,194, NO, NO,212,200,200,194,194], // ftruncate64
    [202,240,202, 98,240, 98, 98,221,221,238,238,194,194,238,210,210,235,240], // futex
    [456,456,456,456,456,456,456,456,456,456,456,456,456,456,456,456,456,456], // futex_requeue
    [ NO,422, NO, NO,422, NO, NO, NO,422, NO,422, NO,422,422, NO,422,422,422], // futex_time64
    [455,455,455,455,455,455,455,455,455,455,455,455,455,455,455,455,455,455], // futex_wait
    [449,449,449,449,449,449,449,449,449,449,449,449,449,449,449,449,449,449], // futex_waitv
    [454,454,454,454,454,454,454,454,454,454,454,454,454,454,454,454,454,454], // futex_wake
    [261,299,261, NO,326, NO, NO,290,290,292,292,251,255,292,279,279,292,299], // futimesat
    [177,130, NO, NO, NO, NO, NO,130,130,130,130,170,170,130, NO, NO,130, NO], // get_kernel_syms
    [239,275,239,236,320,236,236,260,260,269,269,228,232,269,261,261,269,275], // get_mempolicy
    [274,312,531,100,339,100,100,299,299,305,305,269,273,310,290,290,305,312], // get_robust_list
    [211,244, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,333, NO], // get_thread_area
    [309,318,309,168,345,168,168,302,302,311,311,271,275,312,296,296,314,318], // getcpu
    [ 79,183, 79, 17,183, 17, 17,182,182,183,183, 77, 77,203,110,110,183,183], // getcwd
    [ 78,141, 78, NO,141, NO, NO,141,141,141,141, 76, 76,141,141,141,141,141], // getdents
    [217,220,217, 61,217, 61, 61,202,202,220,220,308,299,219,201,201,220,220], // getdents64
    [108, 50,108,177, 50,177,177, 50, 50,202, 50,106,106, 50, 50, 50, 50, 50], // getegid
    [ NO,202, NO, NO,202, NO, NO, NO, NO, NO,202, NO, NO, NO, NO, NO,202,202], // getegid32
    [107, 49,107,175, 49,175,175, 49, 49,201, 49,105,105, 49, 49, 49, 49, 49], // geteuid
    [ NO,201, NO, NO,201, NO, NO, NO, NO, NO,201, NO, NO, NO, NO, NO,201,201], // geteuid32
    [104, 47,104,176, 47,176,176, 47, 47,200, 47,102,102, 47, 47, 47, 47, 47], // getgid
    [ NO,200, NO, NO,200, NO, NO, NO, NO, NO,200, NO, NO, NO, NO, NO,200,200], // getgid32
    [115, 80,115,158, 80,158,158, 80, 80,205, 80,113,113, 80, 80, 80, 80, 80], // getgroups
    [ NO,205, NO, NO,205, NO, NO, NO, NO, NO,205, NO, NO, NO, NO, NO,205,205], // getgroups32
    [ 36,105, 36,102,105,102,102,105,105,105,105, 35, 35,105,105,105,105,105], // getitimer
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,166, NO], // getpagesize
    [ 52,368, 52,205,287,205,205,332,332,368,368, 51, 51,171, 53, 53,365,346], // getpeername
    [121,132,121,155,132,155,155,132,132,132,132,119,119,132,132,132,132,132], // getpgid
    [111, 65,111, NO, 65, NO, NO, 65, 65, 65, 65,109,109, 65, 65, 65, 65, 65], // getpgrp
    [ 39, 20, 39,172, 20,172,172, 20, 20, 20, 20, 38, 38, 20, 20, 20, 20, 20], // getpid
    [181,188,181, NO, NO, NO, NO,187,187,188,188,174,174,208, NO, NO,188, NO], // getpmsg
    [110, 64,110,173, 64,173,173, 64, 64, 64, 64,108,108, 64, 64, 64, 64, 64], // getppid
    [140, 96,140,141, 96,141,141, 96, 96, 96, 96,137,137, 96, 96, 96, 96, 96], // getpriority
    [318,355,318,278,384,278,278,359,359,349,349,313,317,353,339,339,352,373], // getrandom
    [120,171,120,150,171,150,150,170,170,211,171,118,118,191,171,171,171,171], // getresgid
    [ NO,211, NO, NO,211, NO, NO, NO, NO, NO,211, NO, NO, NO, NO, NO,211,211], // getresgid32
    [118,165,118,148,165,148,148,165,165,209,165,116,116,186,165,165,165,165], // getresuid
    [ NO,209, NO, NO,209, NO, NO, NO, NO, NO,209, NO, NO, NO, NO, NO,209,209], // getresuid32
    [ 97, 76, 97,163, NO,163, NO, 76, 76,191, 76, 95, 95, 76, 76, 76, 76, 76], // getrlimit
    [ 98, 77, 98,165, 77,165,165, 77, 77, 77, 77, 96, 96, 77, 77, 77, 77, 77], // getrusage
    [124,147,124,156,147,156,156,147,147,147,147,122,122,151,147,147,147,147], // getsid
    [ 51,367, 51,204,286,204,204,331,331,367,367, 50, 50,172, 44, 44,364,345], // getsockname
    [ 55,365,542,209,295,209,209,340,340,365,365, 54, 54,173,182,182,362,354], // getsockopt
    [186,224,186,178,224,178,178,207,207,236,236,178,178,222,206,206,221,224], // gettid
    [ 96, 78, 96,169, 78,169,169, 78, 78, 78, 78, 94, 94, 78, 78, 78, 78, 78], // gettimeofday
    [102, 24,102,174, 24,174,174, 24, 24,199, 24,100,100, 24, 24, 24, 24, 24], // getuid
    [ NO,199, NO, NO,199, NO, NO, NO, NO, NO,199, NO, NO, NO, NO, NO,199,199], // getuid32
    [191,229,191,  8,229,  8,  8,212,212,227,227,183,183,227,241,241,226,229], // getxattr
    [464,464,464,464,464,464,464,464,464,464,464,464,464,464,464,464,464,464], // getxattrat
    [ NO, 32, NO, NO, NO, NO, NO, 32, 32, NO, NO, NO, NO, 32, NO, NO, NO, NO], // gtty
    [ NO,112, NO, NO, NO, NO, NO,112,112,112,112, NO, NO,112, NO, NO, NO, NO], // idle
    [175,128,175,105,128,105,105,128,128,128,128,168,168,128,128,128,128,128], // init_module
    [254,292,254, 27,317, 27, 27,276,276,285,285,244,248,285,270,270,285,291], // inotify_add_watch
    [253,291,253, NO,316, NO, NO,275,275,284,284,243,247,284,269,269,284,290], // inotify_init
    [294,332,294, 26,360, 26, 26,318,318,324,324,288,292,329,314,314,328,332], // inotify_init1
    [255,293,255, 28,318, 28, 28,277,277,286,286,245,249,286,271,271,286,292], // inotify_rm_watch
    [210,249,210,  3,247,  3,  3,231,231,247,247,204,204,245,219,219,245,249], // io_cancel
    [207,246,207,  1,244,  1,  1,228,228,244,244,201,201,242,216,216,242,246], // io_destroy
    [208,247,208,  4,245,  4,  4,229,229,245,245,202,202,243,217,217,243,247], // io_getevents
    [333,385,333,292,399,292,292,388,388,382,382,328,332,368,350,350, NO, NO], // io_pgetevents
    [ NO,416, NO, NO,416, NO, NO, NO,416, NO,416, NO,416,416, NO,416,416,416], // io_pgetevents_time64
    [206,245,543,  0,243,  0,  0,227,227,243,243,200,200,241,215,215,241,245], // io_setup
    [209,248,544,  2,246,  2,  2,230,230,246,246,203,203,244,218,218,244,248], // io_submit
    [426,426,426,426,426,426,426,426,426,426,426,426,426,426,426,426,426,426], // io_uring_enter
    [427,427,427,427,427,427,427,427,427,427,427,427,427,427,427,427,427,427], // io_uring_register
    [425,425,425,425,425,425,425,425,425,425,425,425,425,425,425,425,425,425], // io_uring_setup
    [ 16, 54,514, 29, 54, 29, 29, 54, 54, 54, 54, 15, 15, 54, 54, 54, 54, 54], // ioctl
    [173,101,173, NO, NO, NO, NO,101,101, NO,101, NO, NO,101, NO, NO, NO, NO], // ioperm
    [172,110,172, NO, NO, NO, NO,110,110, NO, NO, NO, NO,110, NO, NO, NO, NO], // iopl
    [252,290,252, 31,315, 31, 31,274,274,283,283,274,278,315,268,268,283,289], // ioprio_get
    [251,289,251, 30,314, 30, 30,273,273,282,282,273,277,314,267,267,282,288], // ioprio_set
    [ NO,117, NO, NO, NO, NO, NO,117,117,117,117, NO, NO,117, NO, NO,117,117], // ipc
    [312,349,312,272,378,272,272,354,354,343,343,306,311,347,332,332,347,367], // kcmp
    [320, NO,320,294,401,294,294,382,382,381,381, NO, NO, NO,355,355, NO, NO], // kexec_file_load
    [246,283,528,104,347,104,104,268,268,277,277,270,274,311,300,300,313,283], // kexec_load
    [250,288,250,219,311,219,219,271,271,280,280,241,245,282,266,266,281,287], // keyctl
    [ 62, 37, 62,129, 37,129,129, 37, 37, 37, 37, 60, 60, 37, 37, 37, 37, 37], // kill
    [445,445,445,445,445,445,445,445,445,445,445,445,445,445,445,445,445,445], // landlock_add_rule
    [444,444,444,444,444,444,444,444,444,444,444,444,444,444,444,444,444,444], // landlock_create_ruleset
    [446,446,446,446,446,446,446,446,446,446,446,446,446,446,446,446,446,446], // landlock_restrict_self
    [ 94, 16, 94, NO, 16, NO, NO, 16, 16,198, 16, 92, 92, 16, 16, 16,182, 16], // lchown
    [ NO,198, NO, NO,198, NO, NO, NO, NO, NO,198, NO, NO, NO, NO, NO,212,198], // lchown32
    [192,230,192,  9,230,  9,  9,213,213,228,228,184,184,228,242,242,227,230], // lgetxattr
    [ 86,  9, 86, NO,  9, NO, NO,  9,  9,  9,  9, 84, 84,  9,  9,  9,  9,  9], // link
    [265,303,265, 37,330, 37, 37,294,294,296,296,255,259,296,283,283,296,303], // linkat
    [ 50,363, 50,201,284,201,201,329,329,363,363, 49, 49,174, 32, 32,360,343], // listen
    [458,458,458,458,458,458,458,458,458,458,458,458,458,458,458,458,458,458], // listmount
    [470,470,470,470,470,470,470,470,470,470,470,470,470,470,470,470,470,470], // listns
    [194,232,194, 11,232, 11, 11,215,215,230,230,186,186,230,244,244,229,232], // listxattr
    [465,465,465,465,465,465,465,465,465,465,465,465,465,465,465,465,465,465], // listxattrat
    [195,233,195, 12,233, 12, 12,216,216,231,231,187,187,231,245,245,230,233], // llistxattr
    [ NO, 53, NO, NO, NO, NO, NO, 53, 53, NO, NO, NO, NO, 53, NO, NO, NO, NO], // lock
    [212,253,212, 18,249, 18, 18,235,235,110,110,206,206,247,223,223,248,253], // lookup_dcookie
    [198,236,198, 15,236, 15, 15,219,219,234,234,190,190,234,248,248,233,236], // lremovexattr
    [  8, 19,  8, 62, 19, 62, 62, 19, 19, 19, 19,  8,  8, 19, 19, 19, 19, 19], // lseek
    [189,227,189,  6,227,  6,  6,210,210,225,225,181,181,225,239,239,224,227], // lsetxattr
    [459,459,459,459,459,459,459,459,459,459,459,459,459,459,459,459,459,459], // lsm_get_self_attr
    [461,461,461,461,461,461,461,461,461,461,461,461,461,461,461,461,461,461], // lsm_list_modules
    [460,460,460,460,460,460,460,460,460,460,460,460,460,460,460,460,460,460], // lsm_set_self_attr
    [  6,107,  6, NO,107, NO, NO,107,107,107,107,  6,  6,107, 84, 84,107,107], // lstat
    [ NO,196, NO, NO,196, NO, NO, NO,196, NO,196, NO, NO,214,198,198,196,196], // lstat64
    [ 28,219, 28,233,220,233,233,205,205,219,219, 27, 27,218,119,119,238,219], // madvise
    [453,453,453,453,453,453,453,453,453,453,453,453,453,453,453,453,453,453], // map_shadow_stack
    [237,274,237,235,319,235,235,259,259,268,268,227,231,268,260,260,268,274], // mbind
    [324,375,324,283,389,283,283,365,365,356,356,318,322,358,343,343,374,378], // membarrier
    [319,356,319,279,385,279,279,360,360,350,350,314,318,354,340,340,353,374], // memfd_create
    [447,447,447,447, NO,447,447, NO, NO,447,447, NO, NO, NO, NO, NO, NO, NO], // memfd_secret
    [256,294,256,238,400,238,238,258,258,287,287,246,250,287,272,272,287,294], // migrate_pages
    [ 27,218, 27,232,219,232,232,206,206,218,218, 26, 26,217, 72, 72,237,218], // mincore
    [ 83, 39, 83, NO, 39, NO, NO, 39, 39, 39, 39, 81, 81, 39, 39, 39, 39, 39], // mkdir
    [258,296,258, 34,323, 34, 34,287,287,289,289,248,252,289,276,276,289,296], // mkdirat
    [133, 14,133, NO, 14, NO, NO, 14, 14, 14, 14,131,131, 14, 14, 14, 14, 14], // mknod
    [259,297,259, 33,324, 33, 33,288,288,290,290,249,253,290,277,277,290,297], // mknodat
    [149,150,149,228,150,228,228,150,150,150,150,146,146,154,150,150,150,150], // mlock
    [325,376,325,284,390,284,284,378,378,374,374,319,323,359,345,345,375,379], // mlock2
    [151,152,151,230,152,230,230,152,152,152,152,148,148,156,152,152,152,152], // mlockall
    [  9, 90,  9,222, NO,222,222, 90, 90, 90, 90,  9,  9, 90, 90, 90, 90, 90], // mmap
    [ NO,192, NO, NO,192, NO, NO, NO,192, NO,192, NO, NO,210, 89, 89,192,192], // mmap2
    [154,123,154, NO, NO, NO, NO,123,123, NO, NO, NO, NO,123, NO, NO, NO, NO], // modify_ldt
    [165, 21,165, 40, 21, 40, 40, 21, 21, 21, 21,160,160, 21, 21, 21, 21, 21], // mount
    [442,442,442,442,442,442,442,442,442,442,442,442,442,442,442,442,442,442], // mount_setattr
    [429,429,429,429,429,429,429,429,429,429,429,429,429,429,429,429,429,429], // move_mount
    [279,317,533,239,344,239,239,301,301,310,310,267,271,308,295,295,310,317], // move_pages
    [ 10,125, 10,226,125,226,226,125,125,125,125, 10, 10,125,125,125,125,125], // mprotect
    [ NO, 56, NO, NO, NO, NO, NO, 56, 56, NO, NO, NO, NO, 56, NO, NO, NO, NO], // mpx
    [245,282,245,185,279,185,185,267,267,276,276,235,239,276,234,234,276,282], // mq_getsetattr
    [244,281,527,184,278,184,184,266,266,275,275,234,238,275,233,233,275,281], // mq_notify
    [240,277,240,180,274,180,180,262,262,271,271,230,234,271,229,229,271,277], // mq_open
    [243,280,243,183,277,183,183,265,265,274,274,233,237,274,232,232,274,280], // mq_timedreceive
    [ NO,419, NO, NO,419, NO, NO, NO,419, NO,419, NO,419,419, NO,419,419,419], // mq_timedreceive_time64
    [242,279,242,182,276,182,182,264,264,273,273,232,236,273,231,231,273,279], // mq_timedsend
    [ NO,418, NO, NO,418, NO, NO, NO,418, NO,418, NO,418,418, NO,418,418,418], // mq_timedsend_time64
    [241,278,241,181,275,181,181,263,263,272,272,231,235,272,230,230,272,278], // mq_unlink
    [ 25,163, 25,216,163,216,216,163,163,163,163, 24, 24,167,163,163,163,163], // mremap
    [462,462,462,462,462,462,462,462,462,462,462,462,462,462,462,462,462,462], // mseal
    [ 71,402, 71,187,304,187,187,402,402,402,402, 69, 69,402,191,191,402,402], // msgctl
    [ 68,399, 68,186,303,186,186,399,399,399,399, 66, 66,399,190,190,399,399], // msgget
    [ 70,401, 70,188,302,188,188,401,401,401,401, 68, 68,401,189,189,401,401], // msgrcv
    [ 69,400, 69,189,301,189,189,400,400,400,400, 67, 67,400,188,188,400,400], // msgsnd
    [ 26,144, 26,227,144,227,227,144,144,144,144, 25, 25,144,144,144,144,144], // msync
    [ NO, NO, NO, NO, NO, NO, NO,201,201, NO, NO, NO, NO, NO, NO, NO, NO, NO], // multiplexer
    [150,151,150,229,151,229,229,151,151,151,151,147,147,155,151,151,151,151], // munlock
    [152,153,152,231,153,231,231,153,153,153,153,149,149,157,153,153,153,153], // munlockall
    [ 11, 91, 11,215, 91,215,215, 91, 91, 91, 91, 11, 11, 91, 91, 91, 91, 91], // munmap
    [303,341,303,264,370,264,264,345,345,335,335,298,303,339,325,325,340,359], // name_to_handle_at
    [ 35,162, 35,101,162,101,101,162,162,162,162, 34, 34,166,162,162,162,162], // nanosleep
    [262, NO,262, 79, NO, 79, 79,291, NO,293, NO,252,256, NO, NO, NO, NO, NO], // newfstatat
    [180,169, NO, 42,169, 42, 42,168,168,169,169,173,173,189, NO, NO,169,169], // nfsservctl
    [ NO, 34, NO, NO, 34, NO, NO, 34, 34, 34, 34, NO, NO, 34, 34, 34, 34, 34], // nice
    [ NO, 28, NO, NO, NO, NO, NO, 28, 28, NO, NO, NO, NO, NO, NO, NO, 28, 28], // oldfstat
    [ NO, 84, NO, NO, NO, NO, NO, 84, 84, NO, NO, NO, NO, NO, NO, NO, 84, 84], // oldlstat
    [ NO, 59, NO, NO, NO, NO, NO, 59, 59, NO, NO, NO, NO, NO, NO, NO, NO, NO], // oldolduname
    [ NO, 18, NO, NO, NO, NO, NO, 18, 18, NO, NO, NO, NO, NO, NO, NO, 18, 18], // oldstat
    [ NO,109, NO, NO, NO, NO, NO,109,109, NO, NO, NO, NO, NO, NO, NO, NO,109], // olduname
    [  2,  5,  2, NO,  5, NO, NO,  5,  5,  5,  5,  2,  2,  5,  5,  5,  5,  5], // open
    [304,342,304,265,371,265,265,346,346,336,336,299,304,340,326,326,341,360], // open_by_handle_at
    [428,428,428,428,428,428,428,428,428,428,428,428,428,428,428,428,428,428], // open_tree
    [467,467,467,467,467,467,467,467,467,467,467,467,467,467,467,467,467,467], // open_tree_attr
    [257,295,257, 56,322, 56, 56,286,286,288,288,247,251,288,275,275,288,295], // openat
    [437,437,437,437,437,437,437,437,437,437,437,437,437,437,437,437,437,437], // openat2
    [ 34, 29, 34, NO, 29, NO, NO, 29, 29, 29, 29, 33, 33, 29, 29, 29, 29, 29], // pause
    [ NO, NO, NO, NO,271, NO, NO,200,200, NO, NO, NO, NO, NO, NO, NO, NO, NO], // pciconfig_iobase
    [ NO, NO, NO, NO,272, NO, NO,198,198, NO, NO, NO, NO, NO, NO, NO, NO, NO], // pciconfig_read
    [ NO, NO, NO, NO,273, NO, NO,199,199, NO, NO, NO, NO, NO, NO, NO, NO, NO], // pciconfig_write
    [298,336,298,241,364,241,241,319,319,331,331,292,296,333,318,318,332,336], // perf_event_open
    [135,136,135, 92,136, 92, 92,136,136,136,136,132,132,136,136,136,136,136], // personality
    [438,438,438,438,438,438,438,438,438,438,438,438,438,438,438,438,438,438], // pidfd_getfd
    [434,434,434,434,434,434,434,434,434,434,434,434,434,434,434,434,434,434], // pidfd_open
    [424,424,424,424,424,424,424,424,424,424,424,424,424,424,424,424,424,424], // pidfd_send_signal
    [ 22, 42, 22, NO, 42, NO, NO, 42, 42, 42, 42, 21, 21, 42, 42, 42, 42, 42], // pipe
    [293,331,293, 59,359, 59, 59,317,317,325,325,287,291,328,313,313,327,331], // pipe2
    [155,217,155, 41,218, 41, 41,203,203,217,217,151,151,216, 67, 67,217,217], // pivot_root
    [330,381,330,289,395,289,289,384,384,385,385,324,328,364,352,352,382,385], // pkey_alloc
    [331,382,331,290,396,290,290,385,385,386,386,325,329,365,353,353,383,386], // pkey_free
    [329,380,329,288,394,288,288,386,386,384,384,323,327,363,351,351,381,384], // pkey_mprotect
    [  7,168,  7, NO,168, NO, NO,167,167,168,168,  7,  7,188,168,168,168,168], // poll
    [271,309,271, 73,336, 73, 73,281,281,302,302,261,265,302,274,274,302,309], // ppoll
    [ NO,414, NO, NO,414, NO, NO, NO,414, NO,414, NO,414,414, NO,414,414,414], // ppoll_time64
    [157,172,157,167,172,167,167,171,171,172,172,153,153,192,172,172,172,172], // prctl
    [ 17,180, 17, 67,180, 67, 67,179,179,180,180, 16, 16,200,108,108,180,180], // pread64
    [295,333,534, 69,361, 69, 69,320,320,328,328,289,293,330,315,315,329,333], // preadv
    [327,378,546,286,392,286,286,380,380,376,376,321,325,361,347,347,377,381], // preadv2
    [302,340,302,261,369,261,261,325,325,334,334,297,302,338,321,321,339,339], // prlimit64
    [440,440,440,440,440,440,440,440,440,440,440,440,440,440,440,440,440,440], // process_madvise
    [448,448,448,448,448,448,448,448,448,448,448,448,448,448,448,448,448,448], // process_mrelease
    [310,347,539,270,376,270,270,351,351,340,340,304,309,345,330,330,345,365], // process_vm_readv
    [311,348,540,271,377,271,271,352,352,341,341,305,310,346,331,331,346,366], // process_vm_writev
    [ NO, 44, NO, NO, NO, NO, NO, 44, 44, NO, NO, NO, NO, 44, NO, NO, NO, NO], // prof
    [ NO, 98, NO, NO, NO, NO, NO, 98, 98, NO, NO, NO, NO, 98, NO, NO, NO, NO], // profil
    [270,308,270, 72,335, 72, 72,280,280,301,301,260,264,301,273,273,301,308], // pselect6
    [ NO,413, NO, NO,413, NO, NO, NO,413, NO,413, NO,413,413, NO,413,413,413], // pselect6_time64
    [101, 26,521,117, 26,117,117, 26, 26, 26, 26, 99, 99, 26, 26, 26, 26, 26], // ptrace
    [182,189,182, NO, NO, NO, NO,188,188,189,189,175,175,209, NO, NO,189, NO], // putpmsg
    [ 18,181, 18, 68,181, 68, 68,180,180,181,181, 17, 17,201,109,109,181,181], // pwrite64
    [296,334,535, 70,362, 70, 70,321,321,329,329,290,294,331,316,316,330,334], // pwritev
    [328,379,547,287,393,287,287,381,381,377,377,322,326,362,348,348,378,382], // pwritev2
    [178,167, NO, NO, NO, NO, NO,166,166,167,167,171,171,187, NO, NO,167, NO], // query_module
    [179,131,179, 60,131, 60, 60,131,131,131,131,172,172,131,131,131,131,131], // quotactl
    [443,443,443,443,443,443,443,443,443,443,443,443,443,443,443,443,443,443], // quotactl_fd
    [  0,  3,  0, 63,  3, 63, 63,  3,  3,  3,  3,  0,  0,  3,  3,  3,  3,  3], // read
    [187,225,187,213,225,213,213,191,191,222,222,179,179,223,207,207,240,225], // readahead
    [ NO, 89, NO, NO, NO, NO, NO, 89, 89, 89, 89, NO, NO, 89, NO, NO, 89, 89], // readdir
    [ 89, 85, 89, NO, 85, NO, NO, 85, 85, 85, 85, 87, 87, 85, 85, 85, 85, 85], // readlink
    [267,305,267, 78,332, 78, 78,296,296,298,298,257,261,298,285,285,298,305], // readlinkat
    [ 19,145,515, 65,145, 65, 65,145,145,145,145, 18, 18,145,145,145,145,145], // readv
    [169, 88,169,142, 88,142,142, 88, 88, 88, 88,164,164, 88, 88, 88, 88, 88], // reboot
    [ NO, NO, NO, NO,291, NO, NO,336,336, NO, NO, NO, NO,175, 98, 98, NO,350], // recv
    [ 45,371,517,207,292,207,207,337,337,371,371, 44, 44,176,123,123,368,351], // recvfrom
    [299,337,537,243,365,243,243,343,343,357,357,294,298,335,319,319,371,357], // recvmmsg
    [ NO,417, NO, NO,417, NO, NO, NO,417, NO,417, NO,417,417, NO,417,417,417], // recvmmsg_time64
    [ 47,372,519,212,297,212,212,342,342,372,372, 46, 46,177,184,184,369,356], // recvmsg
    [216,257,216,234,253,234,234,239,239,267,267,210,210,251,227,227,252,257], // remap_file_pages
    [197,235,197, 14,235, 14, 14,218,218,233,233,189,189,233,247,247,232,235], // removexattr
    [466,466,466,466,466,466,466,466,466,466,466,466,466,466,466,466,466,466], // removexattrat
    [ 82, 38, 82, NO, 38, NO, NO, 38, 38, 38, 38, 80, 80, 38, 38, 38, 38, 38], // rename
    [264,302,264, 38,329, NO, NO,293,293,295,295,254,258,295,282,282,295,302], // renameat
    [316,353,316,276,382,276,276,357,357,347,347,311,315,351,337,337,351,371], // renameat2
    [249,287,249,218,310,218,218,270,270,279,279,240,244,281,265,265,280,286], // request_key
    [219,  0,219,128,  0,128,128,  0,  0,  7,  7,213,214,253,  0,  0,  0,  0], // restart_syscall
    [ NO, NO, NO, NO, NO,259, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // riscv_flush_icache
    [ NO, NO, NO, NO, NO,258, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // riscv_hwprobe
    [ 84, 40, 84, NO, 40, NO, NO, 40, 40, 40, 40, 82, 82, 40, 40, 40, 40, 40], // rmdir
    [334,386,334,293,398,293,293,387,387,383,383,327,331,367,354,354,384,387], // rseq
    [471,471,471,471,471,471,471,471,471,471,471,471,471,471,471,471,471,471], // rseq_slice_yield
    [ 13,174,512,134,174,134,134,173,173,174,174, 13, 13,194,174,174,174,174], // rt_sigaction
    [127,176,522,136,176,136,136,175,175,176,176,125,125,196,176,176,176,176], // rt_sigpending
    [ 14,175, 14,135,175,135,135,174,174,175,175, 14, 14,195,175,175,175,175], // rt_sigprocmask
    [129,178,524,138,178,138,138,177,177,178,178,127,127,198,178,178,178,178], // rt_sigqueueinfo
    [ 15,173,513,139,173,139,139,172,172,173,173,211,211,193,173,173,173,173], // rt_sigreturn
    [130,179,130,133,179,133,133,178,178,179,179,128,128,199,179,179,179,179], // rt_sigsuspend
    [128,177,523,137,177,137,137,176,176,177,177,126,126,197,177,177,177,177], // rt_sigtimedwait
    [ NO,421, NO, NO,421, NO, NO, NO,421, NO,421, NO,421,421, NO,421,421,421], // rt_sigtimedwait_time64
    [297,335,536,240,363,240,240,322,322,330,330,291,295,332,317,317,331,335], // rt_tgsigqueueinfo
    [ NO, NO, NO, NO, NO, NO, NO,255,255, NO, NO, NO, NO, NO, NO, NO, NO, NO], // rtas
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO,378,378, NO, NO, NO, NO, NO, NO, NO], // s390_guarded_storage
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO,353,353, NO, NO, NO, NO, NO, NO, NO], // s390_pci_mmio_read
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO,352,352, NO, NO, NO, NO, NO, NO, NO], // s390_pci_mmio_write
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO,342,342, NO, NO, NO, NO, NO, NO, NO], // s390_runtime_instr
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO,380,380, NO, NO, NO, NO, NO, NO, NO], // s390_sthyi
    [146,159,146,125,159,125,125,159,159,159,159,143,143,163,159,159,159,159], // sched_get_priority_max
    [147,160,147,126,160,126,126,160,160,160,160,144,144,164,160,160,160,160], // sched_get_priority_min
    [204,242,204,123,242,123,123,223,223,240,240,196,196,240,212,212,312,242], // sched_getaffinity
    [315,352,315,275,381,275,275,356,356,346,346,310,314,350,335,335,350,369], // sched_getattr
    [143,155,143,121,155,121,121,155,155,155,155,140,140,159,155,155,155,155], // sched_getparam
    [145,157,145,120,157,120,120,157,157,157,157,142,142,161,157,157,157,157], // sched_getscheduler
    [148,161,148,127,161,127,127,161,161,161,161,145,145,165,161,161,161,161], // sched_rr_get_interval
    [ NO,423, NO, NO,423, NO, NO, NO,423, NO,423, NO,423,423, NO,423,423,423], // sched_rr_get_interval_time64
    [203,241,203,122,241,122,122,222,222,239,239,195,195,239,211,211,311,241], // sched_setaffinity
    [314,351,314,274,380,274,274,355,355,345,345,309,313,349,334,334,349,370], // sched_setattr
    [142,154,142,118,154,118,118,154,154,154,154,139,139,158,154,154,154,154], // sched_setparam
    [144,156,144,119,156,119,119,156,156,156,156,141,141,160,156,156,156,156], // sched_setscheduler
    [ 24,158, 24,124,158,124,124,158,158,158,158, 23, 23,162,158,158,158,158], // sched_yield
    [317,354,317,277,383,277,277,358,358,348,348,312,316,352,338,338,380,372], // seccomp
    [185, NO,185, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // security
    [ 23, 82, 23, NO, NO, NO, NO, 82, 82,142, NO, NO, NO, NO, NO, NO, 82, NO], // select
    [ 66,394, 66,191,300,191,191,394,394,394,394, 64, 64,394,187,187,394,394], // semctl
    [ 64,393, 64,190,299,190,190,393,393,393,393, 62, 62,393,186,186,393,393], // semget
    [ 65, NO, 65,193,298,193,193, NO, NO, NO, NO, 63, 63, NO,185,185, NO, NO], // semop
    [220, NO,220,192,312,192,192,392, NO,392, NO,214,215, NO,228,228, NO, NO], // semtimedop
    [ NO,420, NO, NO,420, NO, NO, NO,420, NO,420, NO,420,420, NO,420,420,420], // semtimedop_time64
    [ NO, NO, NO, NO,289, NO, NO,334,334, NO, NO, NO, NO,178, 58, 58, NO,348], // send
    [ 40,187, 40, 71,187, 71, 71,186,186,187,187, 39, 39,207,122,122,187,187], // sendfile
    [ NO,239, NO, NO,239, NO, NO, NO,226, NO,223, NO,219,237,209,209,236,239], // sendfile64
    [307,345,538,269,374,269,269,349,349,358,358,302,307,343,329,329,372,363], // sendmmsg
    [ 46,370,518,211,296,211,211,341,341,370,370, 45, 45,179,183,183,367,355], // sendmsg
    [ 44,369, 44,206,290,206,206,335,335,369,369, 43, 43,180, 82, 82,366,349], // sendto
    [238,276,238,237,321,237,237,261,261,270,270,229,233,270,262,262,270,276], // set_mempolicy
    [450,450,450,450,450,450,450,450,450,450,450,450,450,450,450,450,450,450], // set_mempolicy_home_node
    [273,311,530, 99,338, 99, 99,300,300,304,304,268,272,309,289,289,304,311], // set_robust_list
    [205,243, NO, NO, NO, NO, NO, NO, NO, NO, NO,242,246,283, NO, NO,334, NO], // set_thread_area
    [218,258,218, 96,256, 96, 96,232,232,252,252,212,213,252,237,237,253,258], // set_tid_address
    [171,121,171,162,121,162,162,121,121,121,121,166,166,121,121,121,121,121], // setdomainname
    [123,139,123,152,139,152,152,139,139,216,139,121,121,139,139,139,139,139], // setfsgid
    [ NO,216, NO, NO,216, NO, NO, NO, NO, NO,216, NO, NO, NO, NO, NO,216,216], // setfsgid32
    [122,138,122,151,138,151,151,138,138,215,138,120,120,138,138,138,138,138], // setfsuid
    [ NO,215, NO, NO,215, NO, NO, NO, NO, NO,215, NO, NO, NO, NO, NO,215,215], // setfsuid32
    [106, 46,106,144, 46,144,144, 46, 46,214, 46,104,104, 46, 46, 46, 46, 46], // setgid
    [ NO,214, NO, NO,214, NO, NO, NO, NO, NO,214, NO, NO, NO, NO, NO,214,214], // setgid32
    [116, 81,116,159, 81,159,159, 81, 81,206, 81,114,114, 81, 81, 81, 81, 81], // setgroups
    [ NO,206, NO, NO,206, NO, NO, NO, NO, NO,206, NO, NO, NO, NO, NO,206,206], // setgroups32
    [170, 74,170,161, 74,161,161, 74, 74, 74, 74,165,165, 74, 74, 74, 74, 74], // sethostname
    [ 38,104, 38,103,104,103,103,104,104,104,104, 36, 36,104,104,104,104,104], // setitimer
    [308,346,308,268,375,268,268,350,350,339,339,303,308,344,328,328,344,364], // setns
    [109, 57,109,154, 57,154,154, 57, 57, 57, 57,107,107, 57, 57, 57, 57, 57], // setpgid
    [141, 97,141,140, 97,140,140, 97, 97, 97, 97,138,138, 97, 97, 97, 97, 97], // setpriority
    [114, 71,114,143, 71,143,143, 71, 71,204, 71,112,112, 71, 71, 71, 71, 71], // setregid
    [ NO,204, NO, NO,204, NO, NO, NO, NO, NO,204, NO, NO, NO, NO, NO,204,204], // setregid32
    [119,170,119,149,170,149,149,169,169,210,170,117,117,190,170,170,170,170], // setresgid
    [ NO,210, NO, NO,210, NO, NO, NO, NO, NO,210, NO, NO, NO, NO, NO,210,210], // setresgid32
    [117,164,117,147,164,147,147,164,164,208,164,115,115,185,164,164,164,164], // setresuid
    [ NO,208, NO, NO,208, NO, NO, NO, NO, NO,208, NO, NO, NO, NO, NO,208,208], // setresuid32
    [113, 70,113,145, 70,145,145, 70, 70,203, 70,111,111, 70, 70, 70, 70, 70], // setreuid
    [ NO,203, NO, NO,203, NO, NO, NO, NO, NO,203, NO, NO, NO, NO, NO,203,203], // setreuid32
    [160, 75,160,164, 75,164, NO, 75, 75, 75, 75,155,155, 75, 75, 75, 75, 75], // setrlimit
    [112, 66,112,157, 66,157,157, 66, 66, 66, 66,110,110, 66, 66, 66, 66, 66], // setsid
    [ 54,366,541,208,294,208,208,339,339,366,366, 53, 53,181,181,181,363,353], // setsockopt
    [164, 79,164,170, 79,170,170, 79, 79, 79, 79,159,159, 79, 79, 79, 79, 79], // settimeofday
    [105, 23,105,146, 23,146,146, 23, 23,213, 23,103,103, 23, 23, 23, 23, 23], // setuid
    [ NO,213, NO, NO,213, NO, NO, NO, NO, NO,213, NO, NO, NO, NO, NO,213,213], // setuid32
    [188,226,188,  5,226,  5,  5,209,209,224,224,180,180,224,238,238,223,226], // setxattr
    [463,463,463,463,463,463,463,463,463,463,463,463,463,463,463,463,463,463], // setxattrat
    [ NO, 68, NO, NO, NO, NO, NO, 68, 68, NO, NO, NO, NO, 68, 68, 68, 68, 68], // sgetmask
    [ 30,397, 30,196,305,196,196,397,397,397,397, 29, 29,397,192,192,397,397], // shmat
    [ 31,396, 31,195,308,195,195,396,396,396,396, 30, 30,396,195,195,396,396], // shmctl
    [ 67,398, 67,197,306,197,197,398,398,398,398, 65, 65,398,193,193,398,398], // shmdt
    [ 29,395, 29,194,307,194,194,395,395,395,395, 28, 28,395,194,194,395,395], // shmget
    [ 48,373, 48,210,293,210,210,338,338,373,373, 47, 47,182,117,117,370,352], // shutdown
    [ NO, 67, NO, NO, 67, NO, NO, 67, 67, 67, 67, NO, NO, 67, NO, NO, 67, 67], // sigaction
    [131,186,525,132,186,132,132,185,185,186,186,129,129,206,166,166,186,186], // sigaltstack
    [ NO, 48, NO, NO, NO, NO, NO, 48, 48, 48, 48, NO, NO, 48, 48, 48, 48, 48], // signal
    [282,321,282, NO,349, NO, NO,305,305,316,316,276,280,317,302,302,317,321], // signalfd
    [289,327,289, 74,355, 74, 74,313,313,322,322,283,287,324,309,309,323,327], // signalfd4
    [ NO, 73, NO, NO, 73, NO, NO, 73, 73, 73, 73, NO, NO, 73, 73, 73, 73, 73], // sigpending
    [ NO,126, NO, NO,126, NO, NO,126,126,126,126, NO, NO,126,126,126,126,126], // sigprocmask
    [ NO,119, NO, NO,119, NO, NO,119,119,119,119, NO, NO,119, NO, NO,119,119], // sigreturn
    [ NO, 72, NO, NO, 72, NO, NO, 72, 72, 72, 72, NO, NO, 72, NO, NO, 72, 72], // sigsuspend
    [ 41,359, 41,198,281,198,198,326,326,359,359, 40, 40,183, 17, 17,356,340], // socket
    [ NO,102, NO, NO, NO, NO, NO,102,102,102,102, NO, NO,102, NO, NO,102,102], // socketcall
    [ 53,360, 53,199,288,199,199,333,333,360,360, 52, 52,184, 56, 56,357,347], // socketpair
    [275,313,275, 76,340, 76, 76,283,283,306,306,263,267,304,291,291,306,313], // splice
    [ NO, NO, NO, NO, NO, NO, NO,279,279, NO, NO, NO, NO, NO, NO, NO, NO, NO], // spu_create
    [ NO, NO, NO, NO, NO, NO, NO,278,278, NO, NO, NO, NO, NO, NO, NO, NO, NO], // spu_run
    [ NO, 69, NO, NO, NO, NO, NO, 69, 69, NO, NO, NO, NO, 69, 69, 69, 69, 69], // ssetmask
    [  4,106,  4, NO,106, NO, NO,106,106,106,106,  4,  4,106, 18, 18,106,106], // stat
    [ NO,195, NO, NO,195, NO, NO, NO,195, NO,195, NO, NO,213,101,101,195,195], // stat64
    [137, 99,137, 43, 99, 43, 43, 99, 99, 99, 99,134,134, 99, 99, 99, 99, 99], // statfs
    [ NO,268, NO, NO,266, NO, NO,252,252,265,265, NO,217,255,298,298,263,268], // statfs64
    [457,457,457,457,457,457,457,457,457,457,457,457,457,457,457,457,457,457], // statmount
    [332,383,332,291,397,291,291,383,383,379,379,326,330,366,349,349,379,383], // statx
    [ NO, 25, NO, NO, NO, NO, NO, 25, 25, NO, 25, NO, NO, 25, 25, 25, 25, 25], // stime
    [ NO, 31, NO, NO, NO, NO, NO, 31, 31, NO, NO, NO, NO, 31, NO, NO, NO, NO], // stty
    [ NO, NO, NO, NO, NO, NO, NO,310,310, NO, NO, NO, NO, NO, NO, NO, NO, NO], // subpage_prot
    [ NO, NO, NO, NO, NO, NO, NO,249,249, NO, NO, NO, NO, NO, NO, NO, NO, NO], // swapcontext
    [168,115,168,225,115,225,225,115,115,115,115,163,163,115,115,115,115,115], // swapoff
    [167, 87,167,224, 87,224,224, 87, 87, 87, 87,162,162, 87, 87, 87, 87, 87], // swapon
    [ NO, NO, NO, NO, NO, NO, NO,363,363, NO, NO, NO, NO, NO, NO, NO, NO, NO], // switch_endian
    [ 88, 83, 88, NO, 83, NO, NO, 83, 83, 83, 83, 86, 86, 83, 83, 83, 83, 83], // symlink
    [266,304,266, 36,331, 36, 36,295,295,297,297,256,260,297,284,284,297,304], // symlinkat
    [162, 36,162, 81, 36, 81, 81, 36, 36, 36, 36,157,157, 36, 36, 36, 36, 36], // sync
    [277,314,277, 84, NO, 84, 84, NO, NO,307,307,264,268,305,292,292,307,314], // sync_file_range
    [ NO, NO, NO, NO, NO, NO, NO,308,308, NO, NO, NO, NO, NO, NO, NO, NO,388], // sync_file_range2
    [306,344,306,267,373,267,267,348,348,338,338,301,306,342,327,327,343,362], // syncfs
    [ NO, NO, NO, NO, NO, NO, NO,256,256, NO, NO, NO, NO, NO, NO, NO, NO, NO], // sys_debug_setcontext
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,  0, NO, NO, NO, NO], // syscall
    [139,135,139, NO,135, NO, NO,135,135,135,135,136,136,135,135,135,135,135], // sysfs
    [ 99,116, 99,179,116,179,179,116,116,116,116, 97, 97,116,116,116,116,116], // sysinfo
    [103,103,103,116,103,116,116,103,103,103,103,101,101,103,103,103,103,103], // syslog
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,199,199,149, NO, NO, NO, NO], // sysmips
    [276,315,276, 77,342, 77, 77,284,284,308,308,265,269,306,293,293,308,315], // tee
    [234,270,234,131,268,131,131,250,250,241,241,225,229,266,259,259,265,270], // tgkill
    [201, 13,201, NO, NO, NO, NO, 13, 13, NO, 13, NO, NO, 13, 13, 13, 13, 13], // time
    [222,259,526,107,257,107,107,240,240,254,254,216,220,257,250,250,254,259], // timer_create
    [226,263,226,111,261,111,111,244,244,258,258,220,224,261,254,254,258,263], // timer_delete
    [225,262,225,109,260,109,109,243,243,257,257,219,223,260,253,253,257,262], // timer_getoverrun
    [224,261,224,108,259,108,108,242,242,256,256,218,222,259,252,252,256,261], // timer_gettime
    [ NO,408, NO, NO,408, NO, NO, NO,408, NO,408, NO,408,408, NO,408,408,408], // timer_gettime64
    [223,260,223,110,258,110,110,241,241,255,255,217,221,258,251,251,255,260], // timer_settime
    [ NO,409, NO, NO,409, NO, NO, NO,409, NO,409, NO,409,409, NO,409,409,409], // timer_settime64
    [ NO, NO, NO, NO, NO, NO, NO, NO, NO,317,317,277,281,318, NO, NO, NO, NO], // timerfd
    [283,322,283, 85,350, 85, 85,306,306,319,319,280,284,321,306,306,318,322], // timerfd_create
    [287,326,287, 87,354, 87, 87,312,312,321,321,281,285,322,308,308,322,326], // timerfd_gettime
    [ NO,410, NO, NO,410, NO, NO, NO,410, NO,410, NO,410,410, NO,410,410,410], // timerfd_gettime64
    [286,325,286, 86,353, 86, 86,311,311,320,320,282,286,323,307,307,321,325], // timerfd_settime
    [ NO,411, NO, NO,411, NO, NO, NO,411, NO,411, NO,411,411, NO,411,411,411], // timerfd_settime64
    [100, 43,100,153, 43,153,153, 43, 43, 43, 43, 98, 98, 43, 43, 43, 43, 43], // times
    [200,238,200,130,238,130,130,208,208,237,237,192,192,236,208,208,222,238], // tkill
    [ 76, 92, 76, 45, 92, 45, 45, 92, 92, 92, 92, 74, 74, 92, 92, 92, 92, 92], // truncate
    [ NO,193, NO, NO,193, NO, NO, NO,193, NO,193, NO, NO,211,199,199,193,193], // truncate64
    [184, NO,184, NO, NO, NO, NO,225,225, NO, NO, NO, NO, NO, NO, NO, NO, NO], // tuxcall
    [ NO,191, NO, NO,191, NO, NO,190,190, NO,191, NO, NO, NO, NO, NO,191,191], // ugetrlimit
    [ NO, 58, NO, NO, NO, NO, NO, 58, 58, NO, NO, NO, NO, 58, NO, NO, NO, NO], // ulimit
    [ 95, 60, 95,166, 60,166,166, 60, 60, 60, 60, 93, 93, 60, 60, 60, 60, 60], // umask
    [ NO, 22, NO, NO, NO, NO, NO, 22, 22, 22, 22, NO, NO, 22, NO, NO, 22, 22], // umount
    [166, 52,166, 39, 52, 39, 39, 52, 52, 52, 52,161,161, 52, 52, 52, 52, 52], // umount2
    [ 63,122, 63,160,122,160,160,122,122,122,122, 61, 61,122, 59, 59,122,122], // uname
    [ 87, 10, 87, NO, 10, NO, NO, 10, 10, 10, 10, 85, 85, 10, 10, 10, 10, 10], // unlink
    [263,301,263, 35,328, 35, 35,292,292,294,294,253,257,294,281,281,294,301], // unlinkat
    [272,310,272, 97,337, 97, 97,282,282,303,303,262,266,303,288,288,303,310], // unshare
    [336, NO,336, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // uprobe
    [335, NO,335, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // uretprobe
    [134, 86, NO, NO, 86, NO, NO, 86, 86, 86, 86, NO, NO, 86, 86, 86, 86, 86], // uselib
    [323,374,323,282,388,282,282,364,364,355,355,317,321,357,344,344,373,377], // userfaultfd
    [136, 62,136, NO, 62, NO, NO, 62, 62, 62, 62,133,133, 62, 62, 62, 62, 62], // ustat
    [132, 30,132, NO, NO, NO, NO, 30, 30, 30, 30,130,130, 30, 30, 30, 30, 30], // utime
    [280,320,280, 88,348, 88, 88,304,304,315,315,275,279,316,301,301,316,320], // utimensat
    [ NO,412, NO, NO,412, NO, NO, NO,412, NO,412, NO,412,412, NO,412,412,412], // utimensat_time64
    [235,271,235, NO,269, NO, NO,251,251,313,313,226,230,267,336,336,266,271], // utimes
    [ 58,190, 58, NO,190, NO, NO,189,189,190,190, NO, NO, NO,113,113,190,190], // vfork
    [153,111,153, 58,111, 58, 58,111,111,111,111,150,150,111,111,111,111,111], // vhangup
    [ NO,166, NO, NO, NO, NO, NO,113,113, NO, NO, NO, NO,113, NO, NO, NO, NO], // vm86
    [ NO,113, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO], // vm86old
    [278,316,532, 75,343, 75, 75,285,285,309,309,266,270,307,294,294,309,316], // vmsplice
    [236,273, NO, NO,313, NO, NO, NO, NO, NO, NO,236,240,277, NO, NO, NO, NO], // vserver
    [ 61,114, 61,260,114,260,260,114,114,114,114, 59, 59,114,114,114,114,114], // wait4
    [247,284,529, 95,280, 95, 95,272,272,281,281,237,241,278,235,235,277,284], // waitid
    [ NO,  7, NO, NO, NO, NO, NO,  7,  7, NO, NO, NO, NO,  7,  7,  7,  7,  7], // waitpid
    [  1,  4,  1, 64,  4, 64, 64,  4,  4,  4,  4,  1,  1,  4,  4,  4,  4,  4], // write
    [ 20,146,516, 66,146, 66, 66,146,146,146,146, 19, 19,146,146,146,146,146], // writev
];
