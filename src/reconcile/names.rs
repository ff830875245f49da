//! What the vendor's exports mean by the name of a product or a region.
//!
//! - [`NOT_OURS`]: an item of another service
//! - [`Names`]: those that are built in, and those of the configuration

use std::collections::{BTreeMap, BTreeSet};

use super::table::{shown, significant};

/// What `[bill.products]` maps the billing items of other services to.
pub const NOT_OURS: &str = "-";

/// The products and regions that bills and records name.
#[derive(Debug, Clone)]
pub struct Names {
    /// Their ids, by what matters of their names.
    regions: BTreeMap<String, String>,
    /// The products of billing items, likewise; `None` for those of other services.
    items: BTreeMap<String, Option<String>>,
}

impl Names {
    /// `products` maps names to products, and those of other services to `-`; `built_in` has names of regions by their ids.
    /// What has the name of one of `known_products` is that product; so is a region that has the id of one of
    /// `known_regions`.
    pub(super) fn new(
        products: &BTreeMap<String, String>,
        regions: &BTreeMap<String, String>,
        built_in: BTreeMap<String, Vec<String>>,
        known_products: &BTreeSet<String>,
        known_regions: &BTreeSet<String>,
    ) -> Self {
        let named = built_in.into_iter();
        let named = named.flat_map(|(id, names)| names.into_iter().map(move |name| (name, id.clone())));
        let pair = |(name, meant): (&String, &String)| (name.clone(), meant.clone());
        let own = |id: &String| (id.clone(), id.clone());
        let product = |(item, product): (String, String)| (item, (product != NOT_OURS).then_some(product));
        Self {
            regions: by_name(
                named
                    .chain(known_regions.iter().map(own))
                    .chain(regions.iter().map(pair)),
            ),
            items: by_name(
                known_products
                    .iter()
                    .map(own)
                    .chain(products.iter().map(pair))
                    .map(product),
            ),
        }
    }

    /// The product of that name; `None`: it is another service's. Or a sentence on why it is none.
    pub(super) fn product(&self, text: &str) -> Result<Option<&str>, String> {
        match self.items.get(&significant(text)) {
            Some(product) => Ok(product.as_deref()),
            None => Err(format!(
                "no product is known as {item}; name it in the configuration, under [bill.products]: {item} = \
                 \"FACE_LIVENESS\", or \"{NOT_OURS}\" for another service's",
                item = shown(text)
            )),
        }
    }

    /// The id of the region of that name, or a sentence on why there is none.
    pub(super) fn region(&self, text: &str) -> Result<&str, String> {
        let region = self.regions.get(&significant(text)).map(String::as_str);
        region.ok_or_else(|| {
            format!(
                "no region is known as {name}; name it in the configuration, under [bill.regions]: {name} = \
                 \"ap-southeast-1\"",
                name = shown(text)
            )
        })
    }
}

/// The last of a name counts: what the configuration says comes last.
pub(super) fn by_name<T>(named: impl Iterator<Item = (String, T)>) -> BTreeMap<String, T> {
    named.map(|(name, meant)| (significant(&name), meant)).collect()
}
