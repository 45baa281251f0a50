//! Objects of nf_tables and what a configuration becomes, for the fuzz targets.

use common::sys::nla::{self, Nla};
use nft::expr::Expr;
use nft::object::{Chain, Element, Rule, Set, Table};
use nft::uapi;

use super::owner;
use super::set::SetId;
use super::wanted::of_plan;
use crate::config::Config;
use crate::plan::Forwards;

/// Every element fits its set and is read back as it was written.
pub fn plan(config: &Config, forwards: &Forwards) {
    let elements = of_plan(
        forwards,
        config.masquerade,
        &owner::text(&config.attachment),
    );
    for ((id, key), element) in elements {
        let set = id.set(forwards.family);
        assert_eq!(SetId::from_name(&set.name), Some(id));
        assert_eq!(key.len(), set.key_len as usize, "{}", set.name);
        let list = Nla::nested(uapi::ELEM_LIST_ELEMENTS, [element.encode()]);
        let bytes = nla::body(&[], &[list]).unwrap_or_default();
        assert_eq!(Element::decode_list(&bytes), [element]);
    }
}

/// The attributes of an object, read as every kind of object.
pub fn object(attributes: &[u8]) {
    let _ = (Table::decode(attributes), Chain::decode(attributes));
    let set = Set::decode(attributes);
    let _ = (SetId::from_name(&set.name), set.encode(1));
    let rule = Rule::decode(attributes);
    let _ = (rule.to_string(), rule.leads_to("x"));
    rule.exprs.into_iter().for_each(again);
    for element in Element::decode_list(attributes) {
        let _ = element.is_same(&element);
        let list = Nla::nested(uapi::ELEM_LIST_ELEMENTS, [element.encode()]);
        if let Ok(bytes) = nla::body(&[], &[list]) {
            let read = Element::decode_list(&bytes);
            assert_eq!(read.len(), 1);
            let same = |e: &Element| e.key == element.key && e.data == element.data;
            assert!(read.iter().all(same), "{element:?} {read:?}");
        }
    }
}

/// What we understand is written as it was read.
fn again(expr: Expr) {
    let rule = Rule::new(vec![expr.clone()]);
    if let (false, Ok(bytes)) = (
        matches!(expr, Expr::Other(_)),
        nla::body(&[], &rule.encode()),
    ) {
        assert_eq!(Rule::decode(&bytes).exprs, [expr]);
    }
}
