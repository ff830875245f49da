//! How often, and in which way, the sandbox misbehaves.
//!
//! - [`Faults`]: a share of the calls for each way; written `5xx=0.3,reset=0.01`
//! - [`Fault`]: one of the ways
//! - [`FaultsError`]: why a text is no list of faults

use std::str::FromStr;

use super::dice::Dice;

/// A share of the calls, 0 to 1, for each way to misbehave. A call gets at most one fault, so the shares add up to at
/// most 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// `throttle`: 403 Throttling.Api, whatever the quota says.
    pub throttle: f64,
    /// `5xx`: 500 `InternalError`, 503 `ServiceUnavailable`, 502 without a code.
    pub server_errors: f64,
    /// `reset`: the connection is reset before any byte of the answer.
    pub resets: f64,
    /// `cut`: the connection closes in the middle of the body.
    pub cut_bodies: f64,
    /// `malformed`: a body of the right length that is not JSON.
    pub malformed: f64,
    /// `html`: the page of a proxy, with 502 or 200.
    pub proxy_html: f64,
    /// `hang`: no answer for a minute.
    pub hangs: f64,
}

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Throttle,
    ServerError,
    Reset,
    CutBody,
    Malformed,
    ProxyHtml,
    Hang,
}

/// Why a text is no list of faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultsError {
    /// A part without `=`.
    #[error("'{part}' names no share: write it like 5xx=0.05")]
    NoShare {
        /// The part.
        part: String,
    },
    /// A name that is not known.
    #[error("there is no fault '{name}'; there are throttle, 5xx, reset, cut, malformed, html and hang")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A share that is not a number from 0 to 1.
    #[error("the share of {name} is '{found}', which is not a number from 0 to 1")]
    NotAShare {
        /// The fault's name.
        name: String,
        /// What was given.
        found: String,
    },
    /// A name that came before.
    #[error("{name} is given twice")]
    Twice {
        /// The fault's name.
        name: String,
    },
    /// More faults than calls.
    #[error("the shares add up to more than 1, and a call gets at most one fault")]
    TooMany,
}

impl Faults {
    /// The fault of one call.
    pub(super) fn draw(&self, dice: &mut Dice) -> Option<Fault> {
        let mut left = dice.share();
        let shares = [
            (Fault::Throttle, self.throttle),
            (Fault::ServerError, self.server_errors),
            (Fault::Reset, self.resets),
            (Fault::CutBody, self.cut_bodies),
            (Fault::Malformed, self.malformed),
            (Fault::ProxyHtml, self.proxy_html),
            (Fault::Hang, self.hangs),
        ];
        for (fault, share) in shares {
            if left < share {
                return Some(fault);
            }
            left -= share;
        }
        None
    }

    fn total(&self) -> f64 {
        self.throttle
            + self.server_errors
            + self.resets
            + self.cut_bodies
            + self.malformed
            + self.proxy_html
            + self.hangs
    }

    fn share_mut(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "throttle" => &mut self.throttle,
            "5xx" => &mut self.server_errors,
            "reset" => &mut self.resets,
            "cut" => &mut self.cut_bodies,
            "malformed" => &mut self.malformed,
            "html" => &mut self.proxy_html,
            "hang" => &mut self.hangs,
            _ => return None,
        })
    }
}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut faults = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((name, share)) = part.split_once('=') else {
                return Err(FaultsError::NoShare { part: part.to_owned() });
            };
            let (name, found) = (name.trim(), share.trim());
            let Some(slot) = faults.share_mut(name) else {
                return Err(FaultsError::Unknown { name: name.to_owned() });
            };
            match found.parse::<f64>() {
                Ok(share) if (0.0..=1.0).contains(&share) => *slot = share,
                _ => {
                    return Err(FaultsError::NotAShare {
                        name: name.to_owned(),
                        found: found.to_owned(),
                    });
                }
            }
            if seen.contains(&name) {
                return Err(FaultsError::Twice { name: name.to_owned() });
            }
            seen.push(name);
        }
        // Ten tenths add up to a little more than 1.
        if faults.total() > 1.0 + 1e-9 {
            return Err(FaultsError::TooMany);
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_any_order_and_with_blanks() {
        let faults: Faults = " hang=0.1, throttle = 0.05,5xx=.3,reset=0.01,cut=0,malformed=0.02,html=0.03 "
            .parse()
            .unwrap();
        let expected = Faults {
            throttle: 0.05,
            server_errors: 0.3,
            resets: 0.01,
            cut_bodies: 0.0,
            malformed: 0.02,
            proxy_html: 0.03,
            hangs: 0.1,
        };
        assert_eq!(faults, expected);
        assert_eq!("".parse(), Ok(Faults::default()));
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        let error = |text: &str| text.parse::<Faults>().unwrap_err().to_string();
        assert_eq!(error("5xx"), "'5xx' names no share: write it like 5xx=0.05");
        assert_eq!(
            error("resets=0.1"),
            "there is no fault 'resets'; there are throttle, 5xx, reset, cut, malformed, html and hang"
        );
        for share in ["1.5", "-0.1", "NaN", "5%", ""] {
            assert_eq!(
                error(&format!("cut={share}")),
                format!("the share of cut is '{share}', which is not a number from 0 to 1")
            );
        }
        assert_eq!(error("cut=0.1,cut=0.2"), "cut is given twice");
        assert!(error("cut=0.6,reset=0.6").contains("more than 1"));
    }

    #[test]
    fn shares_are_kept() {
        let faults: Faults = "5xx=0.3,reset=0.1".parse().unwrap();
        let mut seen = [0_u32; 3];
        for call in 0..10_000 {
            match faults.draw(&mut Dice::of_call(3, call)) {
                Some(Fault::ServerError) => seen[0] += 1,
                Some(Fault::Reset) => seen[1] += 1,
                None => seen[2] += 1,
                Some(other) => panic!("{other:?} has no share"),
            }
        }
        assert!(seen[0].abs_diff(3000) < 150 && seen[1].abs_diff(1000) < 100, "{seen:?}");
    }
}
