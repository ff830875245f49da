//! What the program knows of the machine it runs on, read once by `main` and handed in.
//!
//! - [`Host`]: environment, clock, terminals

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::Clock;

/// Environment, clock and terminals, as `main` found them.
#[derive(Clone)]
pub struct Host {
    /// The environment's variables; bytes that are not UTF-8 are U+FFFD. Some are secrets, so all are wiped when they are let go of.
    pub env: BTreeMap<String, SecretString>,
    /// The machine's clock: signatures and timestamps of files always take it.
    pub clock: Arc<dyn Clock>,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
}

impl Host {
    /// An environment variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        let value = self.env.get(name)?.expose_secret();
        Some(value).filter(|value| !value.is_empty())
    }

    /// Whether what is said on standard error is colored (no-color.org, bixense.com/clicolors).
    pub fn colors_stderr(&self) -> bool {
        if self.var("NO_COLOR").is_some() {
            return false;
        }
        let forced = self.var("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        forced || (self.draws_on_stderr() && self.var("CLICOLOR") != Some("0"))
    }

    /// Whether standard error is a terminal on which something can be drawn.
    pub fn draws_on_stderr(&self) -> bool {
        self.stderr_is_terminal && self.var("TERM") != Some("dumb")
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.var("HOME").map(PathBuf::from)
    }
}

// The environment can hold secrets, so it is never printed.
impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}
