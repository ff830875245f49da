//! A row of the bill, cell by cell.
//!
//! - [`Row`]: reads its columns, or says what is wrong with which

use std::borrow::Cow;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::day::day_of;
use super::{
    BillLine, BillSettings, COUPON, CURRENCY, DAY, DEDUCTED, DISCOUNT, GROSS, ITEM, ITEM_CODE, KIND, LIST_PRICE,
    LineKind, NET, QUANTITY, REGION, REQUIRED,
};
use crate::reconcile::number;
use crate::reconcile::table::{Cells, SourceError, shown, significant};

/// A row of the file, to be read by the names of its columns.
pub(super) struct Row<'a> {
    pub(super) table: &'a dyn Cells,
    pub(super) at: &'a [Option<usize>],
    pub(super) settings: &'a BillSettings,
}

impl Row<'_> {
    /// `None`: a line of another service.
    pub(super) fn line(&self, file: usize) -> Result<Option<BillLine>, SourceError> {
        let Some(product_code) = self.product()? else {
            return Ok(None);
        };
        let kind = self.kind()?;
        let line = BillLine {
            file,
            line: self.table.line(),
            day: self.day()?,
            product_code,
            region: self.region()?,
            kind,
            quantity: self.number(QUANTITY, number::quantity)?.unwrap_or(0),
            deducted: self.number(DEDUCTED, number::quantity)?.unwrap_or(0),
            list_price: self.number(LIST_PRICE, number::amount)?,
            gross: self.number(GROSS, number::amount)?,
            discount: self.number(DISCOUNT, number::amount)?.unwrap_or_default(),
            coupon: self.number(COUPON, number::amount)?.unwrap_or_default(),
            net: self.number(NET, number::amount)?.unwrap_or_default(),
            currency: self.currency()?,
        };
        self.check_signs(&line)?;
        Ok(Some(line))
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
        day_of(&self.text(DAY)?, &self.settings.zone).map_err(|what| self.wrong(DAY, what))
    }

    fn product(&self) -> Result<Option<String>, SourceError> {
        let columns = [ITEM_CODE, ITEM]
            .into_iter()
            .filter(|column| self.at[*column].is_some());
        let (mut unknown, mut is_named) = (None, false);
        for column in columns {
            let text = self.text(column)?;
            match self.settings.names.product(&text) {
                Ok(product) => return Ok(product.map(str::to_owned)),
                Err(why) => {
                    let names = !text.trim().is_empty();
                    if unknown.is_none() || names && !is_named {
                        (unknown, is_named) = (Some((column, why)), names);
                    }
                }
            }
        }
        let (column, why) = unknown.unwrap_or((ITEM, String::new()));
        Err(self.wrong(column, why))
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
            let what = format!("{} is none of PayAsYouGoBill, Refund and Adjustment", shown(&text));
            self.wrong(KIND, what)
        })
    }

    fn currency(&self) -> Result<String, SourceError> {
        let text = self.text(CURRENCY)?;
        let text = text.trim();
        if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(text.to_owned())
        } else {
            Err(self.wrong(CURRENCY, format!("{} is not a currency such as USD", shown(text))))
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

    fn text(&self, column: usize) -> Result<Cow<'_, str>, SourceError> {
        self.at[column].map_or(Ok("".into()), |index| self.table.text(index))
    }

    pub(super) fn wrong(&self, column: usize, what: String) -> SourceError {
        self.table.wrong_cell(self.at[column].unwrap_or(usize::MAX), what)
    }
}
