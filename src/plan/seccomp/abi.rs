//! The architectures: how the kernel tags their calls, how it numbers them, where it puts their arguments.

use super::numbers::{Column, NAMES, NO, NUMBERS};
use anyhow::{Context, Result};
use std::ops::RangeInclusive;

/// One way to make system calls, as seccomp sees it.
#[derive(Debug)]
pub struct Abi {
    /// AUDIT_ARCH_*, <linux/audit.h>: `seccomp_data.arch`. x32 shares that of x86-64.
    pub audit: u32,
    column: Column,
    /// Added to the numbers of the table.
    base: u32,
    pub layout: Layout,
    calls: Calls,
}

/// Size of an argument that counts, and the byte order of `struct seccomp_data`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    Little32,
    Little64,
    Big32,
    Big64,
}

/// How a C library may make socket and System V IPC calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Calls {
    Direct,
    /// Also through `socketcall` and `ipc`, whose first argument says which one.
    Multiplexed,
}

use Calls::{Direct, Multiplexed};
use Layout::{Big32, Big64, Little32, Little64};

/// Bit 30 of the number marks an x32 call.
const X32: u32 = 0x4000_0000;

/// By their names in the OCI text. <linux/audit.h>; numbers of MIPS: <asm/unistd.h>.
#[rustfmt::skip]
pub const ABIS: [(&str, Abi); 23] = [
    ("SCMP_ARCH_X86",         abi(0x4000_0003, Column::X86,         0,    Little32, Multiplexed)),
    ("SCMP_ARCH_X86_64",      abi(0xc000_003e, Column::X8664,       0,    Little64, Direct)),
    ("SCMP_ARCH_X32",         abi(0xc000_003e, Column::X32,         X32,  Little32, Direct)),
    ("SCMP_ARCH_ARM",         abi(0x4000_0028, Column::Arm,         0,    Little32, Direct)),
    ("SCMP_ARCH_AARCH64",     abi(0xc000_00b7, Column::Aarch64,     0,    Little64, Direct)),
    ("SCMP_ARCH_MIPS",        abi(0x0000_0008, Column::Mips,        4000, Big32,    Multiplexed)),
    ("SCMP_ARCH_MIPS64",      abi(0x8000_0008, Column::Mips64,      5000, Big64,    Direct)),
    ("SCMP_ARCH_MIPS64N32",   abi(0xa000_0008, Column::Mips64n32,   6000, Big32,    Direct)),
    ("SCMP_ARCH_MIPSEL",      abi(0x4000_0008, Column::Mips,        4000, Little32, Multiplexed)),
    ("SCMP_ARCH_MIPSEL64",    abi(0xc000_0008, Column::Mips64,      5000, Little64, Direct)),
    ("SCMP_ARCH_MIPSEL64N32", abi(0xe000_0008, Column::Mips64n32,   6000, Little32, Direct)),
    ("SCMP_ARCH_PPC",         abi(0x0000_0014, Column::Ppc,         0,    Big32,    Multiplexed)),
    ("SCMP_ARCH_PPC64",       abi(0x8000_0015, Column::Ppc64,       0,    Big64,    Multiplexed)),
    ("SCMP_ARCH_PPC64LE",     abi(0xc000_0015, Column::Ppc64,       0,    Little64, Multiplexed)),
    ("SCMP_ARCH_S390",        abi(0x0000_0016, Column::S390,        0,    Big32,    Multiplexed)),
    ("SCMP_ARCH_S390X",       abi(0x8000_0016, Column::S390x,       0,    Big64,    Multiplexed)),
    ("SCMP_ARCH_PARISC",      abi(0x0000_000f, Column::Parisc,      0,    Big32,    Direct)),
    ("SCMP_ARCH_PARISC64",    abi(0x8000_000f, Column::Parisc64,    0,    Big64,    Direct)),
    ("SCMP_ARCH_RISCV64",     abi(0xc000_00f3, Column::Riscv64,     0,    Little64, Direct)),
    ("SCMP_ARCH_LOONGARCH64", abi(0xc000_0102, Column::Loongarch64, 0,    Little64, Direct)),
    ("SCMP_ARCH_M68K",        abi(0x0000_0004, Column::M68k,        0,    Big32,    Multiplexed)),
    ("SCMP_ARCH_SH",          abi(0x4000_002a, Column::Sh,          0,    Little32, Multiplexed)),
    ("SCMP_ARCH_SHEB",        abi(0x0000_002a, Column::Sh,          0,    Big32,    Multiplexed)),
];

const fn abi(audit: u32, column: Column, base: u32, layout: Layout, calls: Calls) -> Abi {
    Abi { audit, column, base, layout, calls }
}

/// The architecture of this build, by its name in `ABIS`.
#[rustfmt::skip]
const NATIVE: [(bool, &str); 15] = [
    (cfg!(all(target_arch = "x86_64", target_pointer_width = "64")),  "SCMP_ARCH_X86_64"),
    (cfg!(all(target_arch = "x86_64", target_pointer_width = "32")),  "SCMP_ARCH_X32"),
    (cfg!(target_arch = "x86"),                                       "SCMP_ARCH_X86"),
    (cfg!(all(target_arch = "aarch64", target_endian = "little")),    "SCMP_ARCH_AARCH64"),
    (cfg!(all(target_arch = "arm", target_endian = "little")),        "SCMP_ARCH_ARM"),
    (cfg!(target_arch = "riscv64"),                                   "SCMP_ARCH_RISCV64"),
    (cfg!(target_arch = "loongarch64"),                               "SCMP_ARCH_LOONGARCH64"),
    (cfg!(target_arch = "s390x"),                                     "SCMP_ARCH_S390X"),
    (cfg!(all(target_arch = "powerpc64", target_endian = "little")),  "SCMP_ARCH_PPC64LE"),
    (cfg!(all(target_arch = "powerpc64", target_endian = "big")),     "SCMP_ARCH_PPC64"),
    (cfg!(target_arch = "powerpc"),                                   "SCMP_ARCH_PPC"),
    (cfg!(all(target_arch = "mips64", target_endian = "little")),     "SCMP_ARCH_MIPSEL64"),
    (cfg!(all(target_arch = "mips64", target_endian = "big")),        "SCMP_ARCH_MIPS64"),
    (cfg!(all(target_arch = "mips", target_endian = "little")),       "SCMP_ARCH_MIPSEL"),
    (cfg!(all(target_arch = "mips", target_endian = "big")),          "SCMP_ARCH_MIPS"),
];

/// Calls that ARM's table has not, since they are private to its kernel. <asm/unistd.h>, __ARM_NR_BASE.
const ARM: [(&str, u32); 6] = [
    ("breakpoint", 0xf_0001),
    ("cacheflush", 0xf_0002),
    ("usr26", 0xf_0003),
    ("usr32", 0xf_0004),
    ("set_tls", 0xf_0005),
    ("get_tls", 0xf_0006),
];

/// The number of `socketcall` and `ipc`, the same wherever they exist, and the first argument by which they make the
/// named call. <linux/net.h>, <linux/ipc.h>. Ascending by name.
const SOCKETCALL: u32 = 102;
const IPC: u32 = 117;
const MULTIPLEXED: [(&str, u32, u64); 32] = [
    ("accept", SOCKETCALL, 5),
    ("accept4", SOCKETCALL, 18),
    ("bind", SOCKETCALL, 2),
    ("connect", SOCKETCALL, 3),
    ("getpeername", SOCKETCALL, 7),
    ("getsockname", SOCKETCALL, 6),
    ("getsockopt", SOCKETCALL, 15),
    ("listen", SOCKETCALL, 4),
    ("msgctl", IPC, 14),
    ("msgget", IPC, 13),
    ("msgrcv", IPC, 12),
    ("msgsnd", IPC, 11),
    ("recv", SOCKETCALL, 10),
    ("recvfrom", SOCKETCALL, 12),
    ("recvmmsg", SOCKETCALL, 19),
    ("recvmsg", SOCKETCALL, 17),
    ("semctl", IPC, 3),
    ("semget", IPC, 2),
    ("semop", IPC, 1),
    ("semtimedop", IPC, 4),
    ("send", SOCKETCALL, 9),
    ("sendmmsg", SOCKETCALL, 20),
    ("sendmsg", SOCKETCALL, 16),
    ("sendto", SOCKETCALL, 11),
    ("setsockopt", SOCKETCALL, 14),
    ("shmat", IPC, 21),
    ("shmctl", IPC, 24),
    ("shmdt", IPC, 22),
    ("shmget", IPC, 23),
    ("shutdown", SOCKETCALL, 13),
    ("socket", SOCKETCALL, 1),
    ("socketpair", SOCKETCALL, 8),
];

/// The architecture of this build.
pub fn native() -> Result<&'static Abi> {
    let (_, name) = NATIVE
        .iter()
        .find(|(here, _)| *here)
        .context("linux.seccomp: this build has no system call table for its own architecture; remove the profile")?;
    find(name).with_context(|| format!("{name} is not in the table of architectures"))
}

/// By the name in `config.json`.
pub fn find(name: &str) -> Option<&'static Abi> {
    ABIS.iter().find(|(n, _)| *n == name).map(|(_, abi)| abi)
}

impl Abi {
    /// The part of the kernel tag's numbers that belongs to this ABI.
    pub fn numbers(&self) -> RangeInclusive<u32> {
        match self.column {
            Column::X8664 => 0..=X32 - 1,
            Column::X32 => X32..=u32::MAX,
            _ => 0..=u32::MAX,
        }
    }

    /// The part of `numbers` in which the kernel adds calls from the lower end on.
    pub fn growing(&self) -> RangeInclusive<u32> {
        let end = if self.column == Column::Arm { ARM[0].1 - 1 } else { *self.numbers().end() };
        *self.numbers().start()..=end
    }

    /// The number by which s390 makes calls that are too new to fit the instruction, if the kernel does not know them.
    pub fn unknown(&self) -> Option<u32> {
        matches!(self.column, Column::S390 | Column::S390x).then_some(0)
    }

    pub fn number(&self, name: &Name) -> Option<u32> {
        let number = name.row.map(|row| NUMBERS[row][self.column as usize]).filter(|number| *number != NO);
        let private = name.private.filter(|_| self.column == Column::Arm);
        number.map(|number| self.base + u32::from(number)).or(private)
    }

    /// The multiplexing call that can stand for the named one, and its first argument.
    pub fn multiplexer(&self, name: &Name) -> Option<(u32, u64)> {
        name.multiplexed.filter(|_| self.calls == Multiplexed).map(|(number, first)| (self.base + number, first))
    }
}

/// A name, looked up once for all ABIs.
pub struct Name {
    row: Option<usize>,
    private: Option<u32>,
    multiplexed: Option<(u32, u64)>,
}

/// All names, ascending.
pub struct Names(Vec<&'static str>);

impl Names {
    pub fn new() -> Names {
        Names(NAMES.split(' ').collect())
    }

    pub fn find(&self, name: &str) -> Name {
        let multiplexed = MULTIPLEXED.binary_search_by_key(&name, |(known, ..)| known).ok();
        Name {
            row: self.0.binary_search(&name).ok(),
            private: ARM.iter().find(|(known, _)| *known == name).map(|(_, number)| *number),
            multiplexed: multiplexed.map(|at| (MULTIPLEXED[at].1, MULTIPLEXED[at].2)),
        }
    }
}

impl Layout {
    /// Offset of an argument's low word in `struct seccomp_data`, <linux/seccomp.h>.
    pub fn low(self, argument: u32) -> u32 {
        16 + 8 * argument + if matches!(self, Big32 | Big64) { 4 } else { 0 }
    }

    /// Offset of the high word. `None` if only the low one counts.
    pub fn high(self, argument: u32) -> Option<u32> {
        match self {
            Little32 | Big32 => None,
            Little64 => Some(20 + 8 * argument),
            Big64 => Some(16 + 8 * argument),
        }
    }

    /// The bits of an argument that count.
    pub fn bits(self) -> u64 {
        if matches!(self, Little32 | Big32) { u64::from(u32::MAX) } else { u64::MAX }
    }
}
