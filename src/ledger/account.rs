//! The account that a ledger asks: another one's answers must not get into it.
//!
//! - [`Account`]: a configured name, and the host that is asked in each region

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, named_params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Ledger, LedgerError, changes};

/// The account that is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `account` in the configuration.
    pub name: Option<String>,
    /// The host that is asked in each region. Empty where every call stays on this machine: a sandbox takes any free port.
    pub endpoints: BTreeMap<String, String>,
}

impl Ledger {
    /// Refuses another account than the ledger has asked so far, and remembers this one.
    pub fn remember_account(&mut self, account: &Account) -> Result<(), LedgerError> {
        self.check_account(account)?;
        let failed = self.failed("remember the account");
        let mut known = self.account()?;
        known.name = account.name.clone().or(known.name);
        known.endpoints.extend(account.endpoints.clone());
        let commit = self.connection.transaction().map_err(&failed)?;
        changes::identify(&commit).map_err(&failed)?;
        let endpoints = serde_json::to_string(&known.endpoints).unwrap_or_default();
        let remembered = named_params! { ":account": known.name, ":endpoints": endpoints };
        commit
            .execute(include_str!("../../sql/identity_account.sql"), remembered)
            .map_err(&failed)?;
        commit.commit().map_err(&failed)
    }

    /// Refuses another account than the ledger has asked so far. Changes nothing.
    ///
    /// Where both have a name, the name decides: endpoints may change. Else the endpoints do.
    pub fn check_account(&self, account: &Account) -> Result<(), LedgerError> {
        let known = self.account()?;
        let refused = |what: String| {
            Err(LedgerError::OtherAccount {
                path: self.path.clone(),
                what,
            })
        };
        match (&known.name, &account.name) {
            (Some(known), Some(name)) if known == name => Ok(()),
            (Some(known), Some(name)) => refused(format!(
                "it has asked the account {known:?}, and this run would ask {name:?}"
            )),
            (Some(known), None) => refused(format!(
                "it has asked the account {known:?}, and the configuration names none; where it is the same, write account = {known:?} into it"
            )),
            (None, _) => {
                let asked = |(region, host): (&String, &String)| {
                    let now = account.endpoints.get(region)?;
                    (now != host).then(|| format!("it has asked {host} in {region}, and this run would ask {now}"))
                };
                known.endpoints.iter().find_map(asked).map_or(Ok(()), refused)
            }
        }
    }

    /// The account that the ledger has asked so far.
    pub(super) fn account(&self) -> Result<Account, LedgerError> {
        let read = || {
            let sql = include_str!("../../sql/identity_asked.sql");
            let found = self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
            let (name, endpoints): (Option<String>, Option<String>) = found.optional()?.unwrap_or_default();
            let endpoints = endpoints.and_then(|endpoints| serde_json::from_str(&endpoints).ok());
            Ok(Account {
                name,
                endpoints: endpoints.unwrap_or_default(),
            })
        };
        read().map_err(self.failed("read which account it asks"))
    }

    /// Who answers the ledger's runs, as the history keeps it: `rebuild-ledger` takes it from there.
    pub(super) fn source(&self) -> Result<Map<String, Value>, LedgerError> {
        let answered_by = self.answered_by()?.map(super::AnsweredBy::as_str);
        let Account { name, endpoints } = self.account()?;
        let source = json!({ "answered_by": answered_by, "account": name, "endpoints": endpoints });
        Ok(Map::from_iter([("source".to_owned(), source)]))
    }
}
