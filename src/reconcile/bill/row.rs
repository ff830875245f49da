//! A row of the bill, cell by cell.
//!
//! - [`Row`]: reads its columns, or says what is wrong with which

use std::borrow::Cow;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::columns::{
    COUPON, CURRENCY, DAY, DEDUCTED, DISCOUNT, GROSS, ITEM, ITEM_CODE, KIND, LIST_PRICE, MORE_DISCOUNT, NET, PRODUCT,
    QUANTITY, QUANTITY_LEFT, REGION, REQUIRED,
};
use super::day::day_of;
use super::settings::Form;
use super::{BillLine, BillSettings, LineKind};
use crate::reconcile::number;
use crate::reconcile::table::{Cells, SourceError, is_total, shown, significant};

/// A row of the file, to be read by the names of its columns.
pub(super) struct Row<'a> {
    pub(super) table: &'a dyn Cells,
    pub(super) at: &'a [Option<usize>],
    pub(super) settings: &'a BillSettings,
    pub(super) form: &'a Form,
}

/// A billing item that no table knows.
pub(super) struct Unknown {
    pub(super) column: usize,
    pub(super) item: String,
    pub(super) why: String,
}

impl Row<'_> {
    /// Whether it is a row with the sum of the others: it says so, and has no day.
    pub(super) fn is_total(&self) -> Result<bool, SourceError> {
        let has_day = self
            .text(DAY)
            .is_ok_and(|day| !day.trim().is_empty() && !is_total(&day));
        Ok(!has_day && is_total(&self.table.text(0)?))
    }

    /// `None`: a line of another service.
    pub(super) fn line(&self, file: usize) -> Result<Result<Option<BillLine>, Unknown>, SourceError> {
        let product_code = match self.product()? {
            Ok(Some(product_code)) => product_code,
            Ok(None) => return Ok(Ok(None)),
            Err(unknown) => return Ok(Err(unknown)),
        };
        let mut line = BillLine {
            file,
            line: self.table.line(),
            day: self.day()?,
            product_code,
            region: self.region()?,
            kind: self.kind()?,
            quantity: self.number(QUANTITY, number::quantity)?.unwrap_or(0),
            deducted: self.number(DEDUCTED, number::quantity)?.unwrap_or(0),
            list_price: self.number(LIST_PRICE, number::unit_price)?,
            gross: self.number(GROSS, number::amount)?,
            discount: self.number(DISCOUNT, number::amount)?,
            coupon: self.number(COUPON, number::amount)?.unwrap_or_default(),
            net: Decimal::ZERO,
            currency: self.currency()?,
        };
        if let Some(left) = self.number(QUANTITY_LEFT, number::quantity)? {
            line.deducted = line.quantity - left;
        }
        if let Some(more) = self.number(MORE_DISCOUNT, number::amount)? {
            line.discount = Some(line.discount.unwrap_or_default() + more);
        }
        line.net = if self.form.net_is_derived {
            line.gross.unwrap_or_default() - line.discount.unwrap_or_default() - line.coupon
        } else {
            self.number(NET, number::amount)?.unwrap_or_default()
        };
        if self.form.tax_inclusive || self.settings.named.tax_rate.is_some() {
            line.net = self.settings.without_tax(self.form, line.net);
            // What has tax in it can't be held to what has none.
            line.gross = None;
        }
        self.check_signs(&line)?;
        Ok(Ok(Some(line)))
    }

    /// Below zero is what a refund takes back, and what an adjustment may take off; nothing else.
    fn check_signs(&self, line: &BillLine) -> Result<(), SourceError> {
        let above_zero = |number: Decimal| number > Decimal::ZERO;
        if line.kind == LineKind::Refund {
            for (column, number) in [(QUANTITY, line.quantity.into()), (NET, line.net)] {
                if above_zero(number) {
                    return Err(self.wrong(column, format!("{number} is above zero in a refund, which takes back")));
                }
            }
            return Ok(());
        }
        let below_zero = [
            (QUANTITY, line.quantity.into()),
            (DEDUCTED, line.deducted.into()),
            (COUPON, line.coupon),
            (
                NET,
                if line.kind == LineKind::Usage {
                    line.net
                } else {
                    Decimal::ZERO
                },
            ),
        ];
        for (column, number) in below_zero {
            if number < Decimal::ZERO {
                return Err(self.wrong(column, format!("{number} is below zero, and the line is no refund")));
            }
        }
        if line.deducted > line.quantity {
            let what = format!("a package paid for {} of {} calls", line.deducted, line.quantity);
            return Err(self.wrong(DEDUCTED, what));
        }
        Ok(())
    }

    fn day(&self) -> Result<Date, SourceError> {
        day_of(&self.text(DAY)?, &self.settings.named.zone).map_err(|what| self.wrong(DAY, what))
    }

    /// The product of the line; `None`: it is another service's, by its product code or by its item.
    fn product(&self) -> Result<Result<Option<String>, Unknown>, SourceError> {
        let ours = &self.settings.product_codes;
        if !ours.is_empty() && self.at[PRODUCT].is_some() && !ours.contains(&significant(&self.text(PRODUCT)?)) {
            return Ok(Ok(None));
        }
        let columns = [ITEM_CODE, ITEM]
            .into_iter()
            .filter(|column| self.at[*column].is_some());
        let mut unknown: Option<Unknown> = None;
        for column in columns {
            let text = self.text(column)?;
            match self.settings.names.product(&text) {
                Ok(product) => return Ok(Ok(product.map(str::to_owned))),
                Err(why) => {
                    let item = text.trim().to_owned();
                    let is_better = unknown
                        .as_ref()
                        .is_none_or(|first| first.item.is_empty() && !item.is_empty());
                    if is_better {
                        unknown = Some(Unknown { column, item, why });
                    }
                }
            }
        }
        Ok(Err(unknown.unwrap_or(Unknown {
            column: ITEM,
            item: String::new(),
            why: String::new(),
        })))
    }

    fn region(&self) -> Result<String, SourceError> {
        let region = self.settings.names.region(&self.text(REGION)?).map(str::to_owned);
        region.map_err(|why| self.wrong(REGION, why))
    }

    fn kind(&self) -> Result<LineKind, SourceError> {
        if self.at[KIND].is_none() {
            return Ok(LineKind::Usage);
        }
        let text = self.text(KIND)?;
        self.settings.kinds.get(&significant(&text)).copied().ok_or_else(|| {
            let what = format!(
                "{kind} is no known kind of line, such as PayAsYouGoBill, Refund and Adjustment; name it in the \
                 configuration, under [bill.kinds]: {kind} = \"usage\", \"refund\" or \"adjustment\"",
                kind = shown(&text)
            );
            self.wrong(KIND, what)
        })
    }

    fn currency(&self) -> Result<String, SourceError> {
        let text = self.text(CURRENCY)?;
        let configured = self.settings.named.currency.as_deref().unwrap_or_default();
        let text = Some(text.trim()).filter(|text| !text.is_empty()).unwrap_or(configured);
        if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(text.to_owned())
        } else {
            let what = "is not a currency such as USD; where lines say none, set [bill] currency";
            Err(self.wrong(CURRENCY, format!("{} {what}", shown(text))))
        }
    }

    /// `None` where the file doesn't have the column, or the cell of one that may be missing is blank.
    fn number<T>(&self, column: usize, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, SourceError> {
        let text = self.text(column)?;
        if text.trim().is_empty() && !REQUIRED.contains(&column) {
            return Ok(None);
        }
        read(&text).map(Some).map_err(|what| self.wrong(column, what))
    }

    pub(super) fn text(&self, column: usize) -> Result<Cow<'_, str>, SourceError> {
        self.at[column].map_or(Ok("".into()), |index| self.table.text(index))
    }

    pub(super) fn wrong(&self, column: usize, what: String) -> SourceError {
        self.table.wrong_cell(self.at[column].unwrap_or(usize::MAX), what)
    }
}
