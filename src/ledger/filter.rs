//! Tells ids that certainly never came from those that perhaps did, in little memory: a Bloom filter whose bits of an id
//! lie in one cache line.

use std::hash::{DefaultHasher, Hasher};

/// Bytes of a filter: of 20 million ids it is unsure about 1 in 200, of 40 million about 1 in 20.
pub(super) const BYTES: usize = 32 * 1024 * 1024;

/// Bits that an id sets.
const BITS: u32 = 6;

/// 512 bits: a cache line.
type Block = [u64; 8];

/// The ids that came so far.
#[derive(Debug)]
pub(super) struct Filter {
    blocks: Vec<Block>,
}

impl Filter {
    /// Knows of none. `bytes` is a power of two.
    pub(super) fn new(bytes: usize) -> Self {
        debug_assert!(bytes.is_power_of_two());
        let blocks = vec![[0; 8]; bytes / size_of::<Block>()];
        Self { blocks }
    }

    /// Adds ids; tells of each whether it certainly was not added before. They are hashed first, so that several of their cache
    /// lines, which lie anywhere, are fetched at a time.
    pub(super) fn add<'id>(&mut self, ids: impl Iterator<Item = &'id str>) -> Vec<bool> {
        let hashes: Vec<u64> = ids.map(hash_of).collect();
        hashes.into_iter().map(|hash| self.add_hash(hash)).collect()
    }

    fn add_hash(&mut self, hash: u64) -> bool {
        // The low bits choose the block; the others, stirred, the bits in it.
        let last = self.blocks.len() as u64 - 1;
        #[expect(clippy::cast_possible_truncation, reason = "less than the number of blocks")]
        let block = &mut self.blocks[(hash & last) as usize];
        let mut choice = (hash | last).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut new = false;
        for _ in 0..BITS {
            let (word, bit) = ((choice >> 61) as usize, 1_u64 << ((choice >> 55) & 63));
            new |= block[word] & bit == 0;
            block[word] |= bit;
            choice = choice.rotate_left(9);
        }
        new
    }
}

fn hash_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(id.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_came_is_never_new_and_few_others_are_in_doubt() {
        // As dense as the full size with 20 million ids.
        const IDS: usize = 320_000;
        let mut filter = Filter::new(BYTES / 64);
        let ids: Vec<String> = (0..IDS).map(|number| format!("hks-{number}")).collect();
        let mut add = || -> usize {
            let added = ids.chunks(1_000).map(|ids| filter.add(ids.iter().map(String::as_str)));
            added.flatten().filter(|new| *new).count()
        };
        let new = add();
        assert!(new >= IDS - IDS / 200, "{new} of {IDS} were known to be new");
        assert_eq!(add(), 0);
    }
}
