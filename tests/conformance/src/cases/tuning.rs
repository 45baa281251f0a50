//! tuning.

use crate::case::Table;

mod add;
mod allowlist;
mod config;
mod del;
mod drift;
mod fault;
mod gc;
mod hostile;
mod pass;

/// Everything about tuning.
pub fn cases(table: &mut Table) {
    add::cases(table);
    config::cases(table);
    drift::cases(table);
    pass::cases(table);
    del::cases(table);
    gc::cases(table);
    fault::cases(table);
    hostile::cases(table);
    allowlist::cases(table);
}
