//! Chance that always falls the same way.
//!
//! - [`Dice`]: a stream of numbers that follows from a text or from (seed, call), and from nothing else
//!
//! Written out here so that what an id answers stays the same whatever version a crate has.

/// A stream of numbers: `SplitMix64`.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The stream of a text. Streams with another `salt` have nothing to do with each other.
    pub(super) fn of_text(text: &str, salt: u64) -> Self {
        Self(scramble(hash(text) ^ scramble(salt)))
    }

    /// The stream of the `call`-th call under `seed`.
    pub(super) fn of_call(seed: u64, call: u64) -> Self {
        Self(scramble(scramble(seed) ^ call))
    }

    /// The next number.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        let [a, b, c, d, ..] = (u64::from(self.upper()) * u64::from(limit)).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// A number in 0..1.
    pub(super) fn share(&mut self) -> f64 {
        f64::from(self.upper()) / 4_294_967_296.0
    }

    /// True in so many of a thousand cases.
    pub(super) fn per_mille(&mut self, cases: u32) -> bool {
        self.below(1000) < cases
    }

    /// One of `table`, whose second members say how often in `total`; none where they add up to less.
    pub(super) fn pick<T: Copy>(&mut self, table: &[(T, u32)], total: u32) -> Option<T> {
        let mut left = self.below(total);
        for (value, share) in table {
            if left < *share {
                return Some(*value);
            }
            left -= share;
        }
        None
    }

    /// `digits` lower-case hex digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 15);
        while text.len() < digits {
            text.push_str(&format_hex(self.roll()));
        }
        text.truncate(digits);
        text
    }

    fn upper(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.roll().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// A 64-bit hash of a text (FNV-1a, scrambled): quick, and good enough where nobody seeks collisions.
pub(super) fn hash(text: &str) -> u64 {
    scramble(text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    }))
}

fn format_hex(number: u64) -> String {
    crate::record::hex(&number.to_be_bytes())
}

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly_and_stay_below_the_limit() {
        let mut dice = Dice::of_call(7, 0);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[dice.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
    }

    /// Other parts' fixtures hang on it: a change here changes what every id answers.
    #[test]
    fn a_text_has_the_stream_it_always_had() {
        assert_eq!(Dice::of_text("hks1", 1).hex(20), "45068ad665aadedfb631");
        assert_ne!(Dice::of_text("hks1", 1).roll(), Dice::of_text("hks1", 2).roll());
    }
}
