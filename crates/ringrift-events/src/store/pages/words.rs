//! Bytes in shared memory, word by word, and a sum that tells when they were mixed up.

use std::sync::atomic::{AtomicU64, Ordering};

/// Puts bytes into words; there are enough of them.
pub(super) fn write(words: &[AtomicU64], bytes: &[u8]) {
    for (word, eight) in words.iter().zip(bytes.chunks(8)) {
        word.store(word_of(eight), Ordering::Relaxed);
    }
}

/// So many bytes of these words; none where they hold fewer.
pub(super) fn read(words: &[AtomicU64], length: u32) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok()?;
    let used = words.get(..length.div_ceil(8))?;
    let mut bytes = Vec::with_capacity(used.len() * 8);
    for word in used {
        bytes.extend(word.load(Ordering::Relaxed).to_le_bytes());
    }
    bytes.truncate(length);
    Some(bytes)
}

/// Tells bytes that were mixed up: no more than that.
pub(super) fn sum_of(bytes: &[u8]) -> u64 {
    mixed(bytes.len() as u64, bytes.chunks(8).map(word_of))
}

/// A sum that goes on over these words.
pub(super) fn mixed(sum: u64, words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(sum, |sum, word| {
        (sum ^ word)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(29)
    })
}

fn word_of(eight: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..eight.len()].copy_from_slice(eight);
    u64::from_le_bytes(word)
}
