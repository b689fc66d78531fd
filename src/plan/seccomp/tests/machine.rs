//! What the kernel does with a program.

use super::super::Instruction;
use super::super::abi::Layout;

/// One call, as seccomp sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub audit: u32,
    pub number: u32,
    pub args: [u64; 6],
}

/// Runs a program as the kernel would; `layout` is for the byte order. Panics on what the kernel would not load.
pub fn run(program: &[Instruction], call: Call, layout: Layout) -> u32 {
    let big = matches!(layout, Layout::Big32 | Layout::Big64);
    let mut data = [call.number, call.audit, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (words, arg) in data[4..].chunks_exact_mut(2).zip(call.args) {
        let [h3, h2, h1, h0, low @ ..] = arg.to_be_bytes();
        let (low, high) = (u32::from_be_bytes(low), u32::from_be_bytes([h3, h2, h1, h0]));
        words.copy_from_slice(&if big { [high, low] } else { [low, high] });
    }
    let (mut accumulator, mut at) = (0u32, 0usize);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        at += 1;
        match code {
            0x20 if k.is_multiple_of(4) => accumulator = data[k as usize / 4],
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x06 => return k,
            _ => panic!("instruction {}: the compiler does not use {code:#x} {k:#x}", at - 1),
        }
    }
}

/// The instructions that the kernel's own check (`seccomp_check_filter`, `bpf_check_classic`) would refuse.
pub fn invalid(all: &[Instruction]) -> Vec<usize> {
    let inside = |at: usize, skip: u32| at + 1 + (skip as usize) < all.len();
    let valid = |at: usize, i: &Instruction| match i.code {
        0x20 => i.k.is_multiple_of(4) && i.k < 64 && inside(at, 0),
        0x54 => inside(at, 0),
        0x05 => inside(at, i.k),
        0x15 | 0x25 | 0x35 => inside(at, i.jt.into()) && inside(at, i.jf.into()),
        0x06 => true,
        _ => false,
    };
    all.iter().enumerate().filter(|(at, i)| !valid(*at, i)).map(|(at, _)| at).collect()
}
