//! The hashes by which a journal file finds a value: with a key of the file, or without.
//!
//! Format: <https://systemd.io/JOURNAL_FILE_FORMAT>, "Data Objects": files with the flag
//! `KEYED_HASH` (systemd 246 and later) use `SipHash`, others `lookup3`.

use super::header::number;

/// The hash of `NAME=value` in a file; `id` is that of a file whose hashes have a key.
pub(super) fn of(text: &[u8], id: Option<&[u8; 16]>) -> u64 {
    match id {
        Some(id) => keyed(text, id),
        None => lookup3(text),
    }
}

#[expect(
    deprecated,
    reason = "the only SipHash-2-4 with a key in the standard library"
)]
fn keyed(text: &[u8], id: &[u8; 16]) -> u64 {
    use std::hash::Hasher as _;
    let key = |at| number(id, at).unwrap_or_default();
    let mut hash = std::hash::SipHasher::new_with_keys(key(0), key(8));
    hash.write(text);
    hash.finish()
}

/// `hashlittle2()` of Bob Jenkins, <https://burtleburtle.net/bob/c/lookup3.c>, begun with zeros.
fn lookup3(text: &[u8]) -> u64 {
    // The length counts modulo 2^32 there.
    let length = u32::try_from(text.len()).unwrap_or_default();
    let begin = 0xdead_beef_u32.wrapping_add(length);
    let [mut a, mut b, mut c] = [begin; 3];
    let mut rest = text;
    while let Some((part, more)) = rest
        .split_first_chunk::<12>()
        .filter(|(_, more)| !more.is_empty())
    {
        [a, b, c] = added([a, b, c], part);
        [a, b, c] = mixed([a, b, c]);
        rest = more;
    }
    if !rest.is_empty() {
        [a, b, c] = added([a, b, c], rest);
        for (turn, by) in [14, 11, 25, 16, 4, 14, 24].into_iter().enumerate() {
            match turn % 3 {
                0 => c = (c ^ b).wrapping_sub(b.rotate_left(by)),
                1 => a = (a ^ c).wrapping_sub(c.rotate_left(by)),
                _ => b = (b ^ a).wrapping_sub(a.rotate_left(by)),
            }
        }
    }
    u64::from(c) << 32 | u64::from(b)
}

/// The words with up to 12 bytes added, of which the first is the lowest.
fn added(words: [u32; 3], bytes: &[u8]) -> [u32; 3] {
    let mut words = words;
    for (word, four) in words.iter_mut().zip(bytes.chunks(4)) {
        let add = four
            .iter()
            .rev()
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        *word = word.wrapping_add(add);
    }
    words
}

fn mixed(words: [u32; 3]) -> [u32; 3] {
    let [mut a, mut b, mut c] = words;
    for (first, second, third) in [(4, 6, 8), (16, 19, 4)] {
        a = a.wrapping_sub(c) ^ c.rotate_left(first);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(second);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(third);
        b = b.wrapping_add(a);
    }
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases that stand in lookup3.c, `driver5()`, and in the paper on `SipHash`, appendix A.
    #[test]
    fn published_values() {
        assert_eq!(lookup3(b""), 0xdead_beef_dead_beef);
        let text = b"Four score and seven years ago";
        assert_eq!(lookup3(text), 0x1777_0551_ce72_26e6);
        let key = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let text: Vec<u8> = (0..15).collect();
        assert_eq!(of(&text, Some(&key)), 0xa129_ca61_49be_45e5);
    }
}
