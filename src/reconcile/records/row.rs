//! A row of an export of records, cell by cell.
//!
//! - [`Row`]: reads its columns, or says what is wrong with which

use std::borrow::Cow;

use jiff::Timestamp;

use super::{MERCHANT_BIZ_ID, PASSED, PRODUCT, REGION, RecordsSettings, SUB_CODE, TIME, TRANSACTION_ID, VendorRecord};
use crate::intake::moment_of;
use crate::reconcile::table::{Cells, SourceError, shown, significant};
use crate::record::{InvalidField, MerchantBizId, ProductCode, Region, TransactionId};

/// The longest sub code, in bytes: those that are known have three.
const SUB_CODE_BYTES: usize = 32;

/// A row of the file, to be read by the names of its columns.
pub(super) struct Row<'a> {
    pub(super) cells: &'a dyn Cells,
    pub(super) at: &'a [Option<usize>],
    pub(super) settings: &'a RecordsSettings,
}

impl Row<'_> {
    /// `None`: a record of another service.
    pub(super) fn record(&self) -> Result<Option<VendorRecord>, SourceError> {
        let names = &self.settings.names;
        let product = self.text(PRODUCT)?;
        let product_code = if product.trim().is_empty() {
            None
        } else {
            match names.product(&product) {
                Ok(None) => return Ok(None),
                Ok(Some(product)) => Some(self.parse(PRODUCT, product, ProductCode::parse)?),
                Err(why) => return Err(self.wrong(PRODUCT, why)),
            }
        };
        let region = self.text(REGION)?;
        let region = if region.trim().is_empty() {
            None
        } else {
            let region = names.region(&region).map_err(|why| self.wrong(REGION, why))?;
            Some(self.parse(REGION, region, Region::parse)?)
        };
        let merchant_biz_id = self.text(MERCHANT_BIZ_ID)?;
        let merchant_biz_id = (!merchant_biz_id.trim().is_empty())
            .then(|| self.parse(MERCHANT_BIZ_ID, &merchant_biz_id, MerchantBizId::parse));
        Ok(Some(VendorRecord {
            transaction_id: self.parse(TRANSACTION_ID, &self.text(TRANSACTION_ID)?, TransactionId::parse)?,
            merchant_biz_id: merchant_biz_id.transpose()?,
            product_code,
            region,
            verified_at: self.time()?,
            passed: self.passed()?,
            sub_code: self.sub_code()?,
        }))
    }

    /// Days are often written with slashes.
    fn time(&self) -> Result<Timestamp, SourceError> {
        let text = self.text(TIME)?;
        let written = text.replace('/', "-");
        match moment_of(&written, Some(&self.settings.zone)) {
            Ok(Some(time)) => Ok(time),
            Ok(None) => Err(self.wrong(TIME, "the cell is empty; each record has a time".to_owned())),
            Err(why) => Err(self.wrong(TIME, why)),
        }
    }

    fn passed(&self) -> Result<Option<bool>, SourceError> {
        let text = self.text(PASSED)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let verdict = self.settings.verdicts.get(&significant(&text)).copied();
        verdict.ok_or_else(|| self.wrong(PASSED, format!("{} is no verdict such as Y or N", shown(&text))))
    }

    fn sub_code(&self) -> Result<Option<String>, SourceError> {
        let text = self.text(SUB_CODE)?;
        let text = text.trim();
        if text.len() > SUB_CODE_BYTES || text.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(self.wrong(SUB_CODE, format!("{} is not a sub code such as 200", shown(text))));
        }
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn parse<T>(
        &self,
        column: usize,
        text: &str,
        parse: fn(&str) -> Result<T, InvalidField>,
    ) -> Result<T, SourceError> {
        parse(text).map_err(|invalid| self.wrong(column, format!("{}: {invalid}", shown(text))))
    }

    /// Empty where the file doesn't have the column.
    fn text(&self, column: usize) -> Result<Cow<'_, str>, SourceError> {
        self.at[column].map_or(Ok("".into()), |index| self.cells.text(index))
    }

    pub(super) fn wrong(&self, column: usize, what: String) -> SourceError {
        self.cells.wrong_cell(self.at[column].unwrap_or(usize::MAX), what)
    }
}
