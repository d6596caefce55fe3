//! The wall clock of one process, put forward or back while it runs; no other clock of it, and
//! nobody else's.
//!
//! nats-server is linked statically and asks the kernel's page of functions (the vDSO) for the time.
//! The copy of that page which one process has can be written to, as debuggers do.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Asks the kernel itself, and adds seconds to what it says of `CLOCK_REALTIME`.
const BEFORE: [u8; 17] = [
    0xb8, 0xe4, 0, 0, 0, // mov eax, 228: clock_gettime
    0x0f, 0x05, // syscall
    0x85, 0xc0, 0x75, 0x11, // if it failed, return
    0x85, 0xff, 0x75, 0x0d, // if it was another clock, return
    0x48, 0xb9, // mov rcx, the seconds that follow
];
const AFTER: [u8; 4] = [
    0x48, 0x01, 0x0e, // add [rsi], rcx
    0xc3, // return
];

/// Where an ELF image says things.
const SECTIONS: usize = 0x28;
const DYNAMIC_SYMBOLS: u32 = 11;
const SYMBOL: usize = 24;
const SECTION: usize = 64;

/// Puts the wall clock of a process of ours forward by so many seconds, or back.
pub(super) fn put_forward(pid: u32, seconds: i64) {
    if !cfg!(target_arch = "x86_64") {
        panic!("no machine code is written here for this processor");
    }
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).expect("the kernel has one");
    let (from, rest) = line.split_once('-').expect("a range");
    let to = rest.split_once(' ').map(|(to, _)| to).expect("a range");
    let address = |text| u64::from_str_radix(text, 16).expect("an address");
    let (from, to) = (address(from), address(to));
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"));
    let memory = memory.expect("it is our child");
    let mut image = vec![0; usize::try_from(to - from).expect("pages")];
    memory.read_exact_at(&mut image, from).expect("it is mapped");
    let at = find(&image, b"__vdso_clock_gettime").expect("every kernel offers that");
    let code = [BEFORE.as_slice(), &seconds.to_le_bytes(), &AFTER].concat();
    memory.write_all_at(&code, from + at).expect("debuggers write there too");
}

/// Where a function of the image begins.
fn find(image: &[u8], name: &[u8]) -> Option<u64> {
    let sections = usize::try_from(long(image, SECTIONS)).ok()?;
    let begin = |number: usize| sections + number * SECTION;
    let count = usize::from(u16::from_le_bytes(bytes(image, 0x3c)));
    let symbols = (0..count)
        .map(begin)
        .find(|at| word(image, at + 4) == DYNAMIC_SYMBOLS)
        .expect("it has some");
    let place = |at: usize| usize::try_from(long(image, at + 0x18)).expect("within the image");
    let names = place(begin(usize::try_from(word(image, symbols + 0x28)).ok()?));
    let length = usize::try_from(long(image, symbols + 0x20)).ok()?;
    (0..length / SYMBOL).map(|number| place(symbols) + number * SYMBOL).find_map(|at| {
        let text = &image[names + usize::try_from(word(image, at)).ok()?..];
        (text.starts_with(name) && text[name.len()] == 0).then(|| long(image, at + 8))
    })
}

fn bytes<const N: usize>(image: &[u8], at: usize) -> [u8; N] {
    image[at..at + N].try_into().expect("as many as were asked for")
}

fn word(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(image, at))
}

fn long(image: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes(image, at))
}
