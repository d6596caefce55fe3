//! The properties of `fuzz/` on a stable compiler: of its seeds, of what is nearly like them, and of
//! noise.

#[path = "../../fuzz/src/texts.rs"]
mod texts;
#[path = "../../fuzz/src/wire.rs"]
mod wire;
#[path = "../../fuzz/src/words.rs"]
mod words;

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The seeds of a target; each begins with the byte that says what it is read as.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../fuzz/seeds", target].iter().collect();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).expect("a file")).collect()
}

/// A change of one place: another byte, one more, one less, or all that follows gone.
fn change(bytes: &mut Vec<u8>, place: &Index, byte: u8, how: u8) {
    let at = place.index(bytes.len() + 1);
    match how % 4 {
        0 if at < bytes.len() => bytes[at] = byte,
        1 if at < bytes.len() => drop(bytes.remove(at)),
        2 => bytes.truncate(at),
        _ => bytes.insert(at, byte),
    }
}

fn nearly(target: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec(any::<(Index, u8, u8)>(), 0..6);
    (select(seeds(target)), changes).prop_map(|(mut bytes, changes)| {
        for (place, byte, how) in changes {
            // Characters that texts are made of, more often than not.
            let byte = if how & 0x80 == 0 { b' ' + byte % 95 } else { byte };
            change(&mut bytes, &place, byte, how);
        }
        bytes
    })
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn documents_are_read_or_refused(bytes in prop_oneof![nearly("texts"), noise()]) {
        texts::check(&bytes);
    }

    #[test]
    fn words_are_read_or_refused(bytes in prop_oneof![nearly("words"), noise()]) {
        words::check(&bytes);
    }

    #[test]
    fn messages_are_read_or_refused(bytes in prop_oneof![nearly("wire"), noise()]) {
        wire::check(&bytes);
    }
}

#[test]
fn what_was_found_once_is_never_found_again() {
    seeds("texts").iter().for_each(|seed| texts::check(seed));
    seeds("words").iter().for_each(|seed| words::check(seed));
    seeds("wire").iter().for_each(|seed| wire::check(seed));
}
