//! Parts of listings: what a client asks for, and the link to the next one (wire contract R8).

use std::fmt::Write as _;

use crate::metadata::{Order, Part};
use crate::oci::{OrderedPage, Page, PageOrder, percent};

/// How many items a page has when nobody says, as in Distribution and in ACR.
const USUAL: u32 = 100;
/// How many it has at most: Distribution's `catalog.maxentries`.
const MOST: u32 = 1000;

/// A page that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    page: Page,
    order: PageOrder,
    /// `None`: everything.
    usual: Option<u32>,
}

impl Asked {
    /// Of a listing that has an order.
    pub(super) fn ordered(page: &OrderedPage) -> Self {
        Self { page: page.page.clone(), order: page.order, usual: Some(USUAL) }
    }

    /// Of a listing by name.
    pub(super) fn by_name(page: &Page) -> Self {
        Self { page: page.clone(), order: PageOrder::Name, usual: Some(USUAL) }
    }

    /// The same; all of it where no number is said.
    pub(super) fn whole(page: &Page) -> Self {
        Self { usual: None, ..Self::by_name(page) }
    }

    /// How many items it has at most.
    fn n(&self) -> Option<u32> {
        self.page.n.map(|n| n.min(MOST)).or(self.usual)
    }

    /// What to ask for. Whoever wants no item still wants to know whether there is such a listing.
    pub(super) fn part(&self) -> Part {
        let order = match self.order {
            PageOrder::Name => Order::Name,
            PageOrder::OldestFirst => Order::OldestFirst,
            PageOrder::NewestFirst => Order::NewestFirst,
        };
        Part { n: self.n().map(|n| n.max(1)), last: self.page.last.clone(), order }
    }

    /// `items`, and the value of `Link`, if there is more behind them. Without a number of items there is no next page.
    pub(super) fn cut<T>(
        &self,
        (items, next): (Vec<T>, Option<String>),
        path: &str,
        more: &[(&str, &str)],
    ) -> (Vec<T>, Option<String>) {
        match self.n() {
            Some(0) => (Vec::new(), None),
            n => (items, next.zip(n).map(|(last, n)| self.link(path, &last, n, more))),
        }
    }

    /// Every item has an `=`, and there is always an `orderby`: `az` splits on the one, and ACR writes the other.
    fn link(&self, path: &str, last: &str, n: u32, more: &[(&str, &str)]) -> String {
        let mut link = format!("<{path}?last=");
        percent::encode(&mut link, last);
        // Writing to a `String` cannot fail.
        let _ = write!(link, "&n={n}&orderby={}", self.order.as_str());
        for (key, value) in more {
            link.push('&');
            link.push_str(key);
            link.push('=');
            percent::encode(&mut link, value);
        }
        link.push_str(">; rel=\"next\"");
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(n: Option<u32>, last: Option<&str>) -> Page {
        Page { n, last: last.map(str::to_owned) }
    }

    #[test]
    fn a_page_has_a_hundred_items_and_a_thousand_at_most() {
        for (n, usual, most) in [(None, 100, None), (Some(7), 7, Some(7)), (Some(5000), 1000, Some(1000))] {
            assert_eq!(Asked::by_name(&page(n, None)).part().n, Some(usual));
            assert_eq!(Asked::whole(&page(n, None)).part().n, most);
        }
    }

    /// OCI distribution-spec, "Listing Tags": then there is no `Link` either.
    #[test]
    fn nothing_is_listed_for_whoever_wants_no_item() {
        let asked = Asked::whole(&page(Some(0), None));
        assert_eq!(asked.part().n, Some(1));
        assert_eq!(asked.cut((vec!["v1"], Some("v1".to_owned())), "/v2/a/tags/list", &[]), (vec![], None));
    }

    #[test]
    fn the_link_is_relative_and_every_item_of_it_has_a_value() {
        let ordered = OrderedPage { page: page(Some(2), Some("x")), order: PageOrder::NewestFirst };
        let link =
            |asked: Asked, more| asked.cut((vec![1], Some("b&c".to_owned())), "/acr/v1/a/_tags", more).1.unwrap();
        assert_eq!(
            link(Asked::ordered(&ordered), &[("digest", "sha256:0")]),
            "</acr/v1/a/_tags?last=b%26c&n=2&orderby=timedesc&digest=sha256:0>; rel=\"next\""
        );
        assert_eq!(
            link(Asked::by_name(&page(None, None)), &[]),
            "</acr/v1/a/_tags?last=b%26c&n=100&orderby=>; rel=\"next\""
        );
        let last = Asked::by_name(&page(None, None)).cut((vec![1], None), "/v2/_catalog", &[]);
        assert_eq!(last, (vec![1], None));
    }
}
