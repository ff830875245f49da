//! How a bill names things: the vendor's forms, as data, and the configuration over them.
//!
//! - [`BillSettings`]: both; [`Named`]: what the configuration says
//! - [`Form`]: a form that the vendor exports

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::Deserialize;

use super::LineKind;
use super::columns::{BillColumns, COLUMNS, REQUIRED, REQUIRED_TO_DERIVE};
use crate::day::BillingZone;
use crate::reconcile::names::{Names, by_name};
use crate::reconcile::table::{Wanted, significant};
use crate::worker::Isolation;

/// A form that the vendor exports.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Form {
    /// What `--form` calls it.
    pub(super) name: String,
    /// The columns by which it is known; none: any header can be one of it.
    marks: Vec<String>,
    /// Whether its net amount has tax in it.
    #[serde(default)]
    pub(super) tax_inclusive: bool,
    /// Whether it has no net amount.
    #[serde(default)]
    pub(super) net_is_derived: bool,
    columns: BTreeMap<String, Vec<String>>,
    /// Its columns under the configuration's names.
    #[serde(skip)]
    pub(super) wanted: Vec<Wanted>,
}

/// The names that the vendor's exports have.
#[derive(Debug, Deserialize)]
struct BuiltIn {
    forms: Vec<Form>,
    kinds: Kinds,
    regions: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Kinds {
    usage: Vec<String>,
    refund: Vec<String>,
    adjustment: Vec<String>,
}

impl BuiltIn {
    fn new() -> Self {
        toml::from_str(include_str!("../../tables/bill.toml")).expect("the built-in table is read by a test")
    }
}

/// What the configuration says of bills.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// Columns, over those of every form.
    pub columns: BillColumns,
    /// Billing items to products, and those of other services to `-`.
    pub products: BTreeMap<String, String>,
    /// Regions by other names than their ids.
    pub regions: BTreeMap<String, String>,
    /// Kinds of lines.
    pub kinds: BTreeMap<String, LineKind>,
    /// The product codes of this service on a bill; none: every line is one of this service.
    pub product_codes: BTreeSet<String>,
    /// Tax in the amounts of a form that includes it, and of every form where this is set.
    pub tax_rate: Option<Decimal>,
    /// The currency of lines that say none.
    pub currency: Option<String>,
    /// What has one of these names is that product.
    pub known_products: BTreeSet<String>,
    /// What has one of these names is that region.
    pub known_regions: BTreeSet<String>,
    /// Where a day begins.
    pub zone: BillingZone,
}

/// How a bill names things.
#[derive(Debug, Clone)]
pub struct BillSettings {
    pub(super) forms: Vec<Form>,
    /// By what matters of their names.
    pub(super) kinds: BTreeMap<String, LineKind>,
    pub(super) product_codes: BTreeSet<String>,
    pub(super) names: Names,
    pub(super) named: Named,
    /// The form of every file, where `--form` says it.
    pub(super) form: Option<String>,
    /// Whether identical lines are lines of their own.
    pub(super) allow_identical: bool,
    /// How the files are read.
    pub isolation: Isolation,
}

impl BillSettings {
    /// The configuration over the vendor's forms.
    pub fn new(named: Named) -> Self {
        let built_in = BuiltIn::new();
        let kinds = [
            (built_in.kinds.usage, LineKind::Usage),
            (built_in.kinds.refund, LineKind::Refund),
            (built_in.kinds.adjustment, LineKind::Adjustment),
        ];
        let kinds = kinds
            .into_iter()
            .flat_map(|(names, kind)| names.into_iter().map(move |name| (name, kind)));
        let own_kinds = named.kinds.iter().map(|(name, kind)| (name.clone(), *kind));
        let mut forms = built_in.forms;
        for form in &mut forms {
            form.wanted = wanted(form, &named);
        }
        Self {
            forms,
            kinds: by_name(kinds.chain(own_kinds)),
            product_codes: named.product_codes.iter().map(|code| significant(code)).collect(),
            names: Names::new(
                &named.products,
                &named.regions,
                built_in.regions,
                &named.known_products,
                &named.known_regions,
            ),
            named,
            form: None,
            allow_identical: false,
            isolation: Isolation::default(),
        }
    }

    /// What it means by the names of products and regions.
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The same, with what the command line says; the forms that there are, where it names none of them.
    pub fn with(&self, form: Option<&str>, allow_identical: bool) -> Result<Self, String> {
        let is_known = |name: &str| self.forms.iter().any(|form| form.name == name);
        if let Some(name) = form.filter(|name| !is_known(name)) {
            let names: Vec<&str> = self.forms.iter().map(|form| form.name.as_str()).collect();
            return Err(format!("there is no form {name:?}, only {}", names.join(", ")));
        }
        Ok(Self {
            form: form.map(str::to_owned),
            allow_identical,
            ..self.clone()
        })
    }

    /// Every name that a column can have, in any form.
    pub(super) fn any_column(&self) -> Vec<Wanted> {
        self.forms.iter().flat_map(|form| form.wanted.clone()).collect()
    }

    /// The form of a header: the first whose marks are all there.
    pub(super) fn form_of(&self, header: &[String]) -> &Form {
        let has = |name: &String| header.iter().any(|column| significant(column) == significant(name));
        let is_meant = |form: &&Form| match &self.form {
            Some(name) => form.name == *name,
            None => form.marks.iter().all(has),
        };
        let last = self.forms.last().expect("the built-in table has forms");
        self.forms.iter().find(is_meant).unwrap_or(last)
    }

    /// What an amount with tax is without.
    pub(super) fn without_tax(&self, form: &Form, amount: Decimal) -> Decimal {
        let rate = self.named.tax_rate.unwrap_or_default();
        if rate.is_zero() || !(form.tax_inclusive || self.named.tax_rate.is_some()) {
            return amount;
        }
        (amount / (Decimal::ONE + rate)).round_dp(TAX_DECIMALS).normalize()
    }
}

/// Decimals of an amount from which tax was taken.
const TAX_DECIMALS: u32 = 9;

fn wanted(form: &Form, named: &Named) -> Vec<Wanted> {
    let required = if form.net_is_derived {
        REQUIRED_TO_DERIVE
    } else {
        REQUIRED
    };
    let keys = COLUMNS.iter().zip(named.columns.by_key()).enumerate();
    let wanted = keys.map(|(at, (key, own))| Wanted {
        key: format!("bill.columns.{key}"),
        names: match own {
            Some(name) => vec![name.clone()],
            None => form.columns.get(*key).cloned().unwrap_or_default(),
        },
        required: required.contains(&at),
    });
    wanted.collect()
}
