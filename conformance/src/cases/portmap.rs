pub fn cases(_t: &mut crate::case::Table, _g: crate::group::Group) {}
