pub fn cases(_t: &mut crate::case::Table) {}
