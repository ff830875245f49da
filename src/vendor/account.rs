//! The answers that stop a run: the vendor refuses the credentials, the account or the clock, whatever the id.
//!
//! - [`AccountFault`]: one of them, with a sentence on what to do
//! - [`AccountFaultKind`]: which one

use std::fmt;

use jiff::Timestamp;

/// The vendor refuses a timestamp that is further off (vendor's "V3 request body and signature mechanism").
pub const MAX_CLOCK_OFFSET_SECONDS: i64 = 15 * 60;

/// What the vendor refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountFaultKind {
    /// The access key is unknown or disabled, or the secret doesn't belong to it.
    WrongKey,
    /// The RAM user or role may not call the service.
    Denied,
    /// The service is not activated, or the account is overdue. The 30 days go on running.
    Account,
    /// The machine's clock is more than 15 minutes off.
    ClockOff {
        /// By how many seconds this machine's clock is ahead of the vendor's (negative: behind), where its `Date` says so.
        seconds: Option<i64>,
    },
    /// The token of temporary credentials is expired: newer ones may help.
    ExpiredToken,
}

/// An answer that stops the run. Its `Display` names the cause and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct AccountFault {
    /// What the vendor refuses.
    pub kind: AccountFaultKind,
    /// The vendor's code.
    pub call_code: String,
}

impl AccountFault {
    /// The fault that `code` stands for, if it does; `date` is the reply's, `now` the machine's.
    pub(crate) fn of(code: &str, date: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let code_is = |names: &[&str]| names.iter().any(|name| is_or_below(code, name));
        let expired = code.to_ascii_lowercase().contains("expired");
        let kind = if code_is(&["InvalidTimeStamp", "IllegalTimestamp"]) {
            let seconds = date.map(|date| now.as_second() - date.as_second());
            AccountFaultKind::ClockOff {
                seconds: seconds.filter(|seconds| seconds.abs() > MAX_CLOCK_OFFSET_SECONDS),
            }
        } else if code_is(&["SecurityTokenExpired"]) || (expired && code_is(&["InvalidSecurityToken"])) {
            AccountFaultKind::ExpiredToken
        } else if code_is(&[
            "SignatureDoesNotMatch",
            "IncompleteSignature",
            "InvalidSignature",
            "InvalidAccessKeyId",
            "InvalidAccessKeySecret",
            "MissingAccessKeyId",
            "InvalidSecurityToken",
            "MissingSecurityToken",
            "InvalidCredentials",
        ]) {
            AccountFaultKind::WrongKey
        } else if code_is(&[
            "Forbidden.RAMUserAccessDenied",
            "Forbidden.RAM",
            "Forbidden.NoPermission",
            "Forbidden.SubUserNoPermission",
            "NoPermission",
        ]) || code.eq_ignore_ascii_case("Forbidden")
        {
            AccountFaultKind::Denied
        } else if code_is(&[
            "Forbidden.AccountAccessDenied",
            "Forbidden.AccountClosed",
            "Forbidden.Account",
            "Account.Arrearage",
            "InvalidAccountStatus",
        ]) {
            AccountFaultKind::Account
        } else {
            return None;
        };
        let call_code = code.to_owned();
        Some(Self { kind, call_code })
    }
}

/// Whether `code` is `name` or `name.something`, upper or lower case.
pub(crate) fn is_or_below(code: &str, name: &str) -> bool {
    code.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
        && matches!(code.as_bytes().get(name.len()), None | Some(b'.'))
}

impl fmt::Display for AccountFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = &self.call_code;
        match self.kind {
            AccountFaultKind::WrongKey => write!(
                f,
                "the vendor refused the credentials ({code}): check that the access key is enabled and that its \
                 secret and token belong to it"
            ),
            AccountFaultKind::Denied => write!(
                f,
                "the vendor denied access ({code}): grant the RAM user or role the permission \
                 AliyunAntCloudAuthFullAccess"
            ),
            AccountFaultKind::Account => write!(
                f,
                "the vendor refused the account ({code}): check that ID Verification is activated and that no payment \
                 is overdue; results go on expiring meanwhile"
            ),
            AccountFaultKind::ClockOff { seconds: Some(seconds) } => {
                let direction = if seconds > 0 { "ahead of" } else { "behind" };
                let (minutes, rest) = (seconds.unsigned_abs() / 60, seconds.unsigned_abs() % 60);
                write!(
                    f,
                    "this machine's clock is {minutes} min {rest} s {direction} the vendor's ({code}), which allows \
                     15 min: set the clock"
                )
            }
            AccountFaultKind::ClockOff { seconds: None } => write!(
                f,
                "the vendor refused the time of the request ({code}): check that this machine's clock is less than \
                 15 min off"
            ),
            AccountFaultKind::ExpiredToken => write!(
                f,
                "the security token is expired ({code}): renew the temporary credentials"
            ),
        }
    }
}
