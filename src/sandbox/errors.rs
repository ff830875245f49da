//! The bodies of the service's errors.
//!
//! - [`Refusal`]: an error before it has a body
//! - [`Form`]: the ways in which the service writes the same error

use std::borrow::Cow;

use serde_json::json;

use super::dice::Dice;

/// What the service calls itself in an error.
const HOST_ID: &str = "cloudauth-intl.sandbox.invalid";

/// The content type of nearly every answer.
pub(super) const JSON: &str = "application/json;charset=utf-8";

/// The content type of an error written as XML.
pub(super) const XML: &str = "text/xml;charset=utf-8";

/// An error of the service, before it has a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) http_status: u16,
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(http_status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            http_status,
            code,
            message: message.into(),
        }
    }

    /// The body in a form.
    pub(super) fn body(&self, form: Form, request_id: &str) -> String {
        let Self { code, message, .. } = self;
        let recommend = format!("https://api.aliyun.com/troubleshoot?q={code}&product=Cloudauth-intl");
        match form {
            Form::Usual => json!({
                "RequestId": request_id, "HostId": HOST_ID, "Code": code, "Message": message, "Recommend": recommend,
            })
            .to_string(),
            Form::LowerCase => json!({
                "requestId": request_id, "hostId": HOST_ID, "code": code, "message": message, "recommend": recommend,
            })
            .to_string(),
            Form::Xml => format!(
                "<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>{request_id}</RequestId>\
                 <HostId>{HOST_ID}</HostId><Code>{code}</Code><Message>{}</Message><Recommend>{}</Recommend></Error>",
                escape_xml(message),
                escape_xml(&recommend),
            ),
        }
    }
}

/// The ways in which the service writes the same error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON as the vendor's page has it.
    Usual,
    /// JSON whose keys begin with a lower-case letter.
    LowerCase,
    /// XML.
    Xml,
}

impl Form {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Usual | Self::LowerCase => JSON,
            Self::Xml => XML,
        }
    }
}

/// An id of an exchange, as the service writes it: `130A2C10-B9EE-4D84-88E3-5384FF030000`.
pub(super) fn request_id(dice: &mut Dice) -> String {
    let mut text = dice.hex(32);
    text.make_ascii_uppercase();
    for dash in [20, 16, 12, 8] {
        text.insert(dash, '-');
    }
    text
}

fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_looks_like_the_vendors() {
        let id = request_id(&mut Dice::of_call(1, 1));
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(
            id.chars()
                .all(|c| c == '-' || c.is_ascii_digit() || c.is_ascii_uppercase())
        );
    }

    #[test]
    fn every_form_carries_the_code() {
        let refusal = Refusal::new(400, "InvalidParameter", "<a> & b");
        for form in [Form::Usual, Form::LowerCase, Form::Xml] {
            assert!(refusal.body(form, "R").contains("InvalidParameter"));
        }
        assert!(refusal.body(Form::Xml, "R").contains("&lt;a&gt; &amp; b"));
    }
}
