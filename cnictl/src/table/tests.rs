use super::*;

fn table() -> Table {
    let mut table = Table::new([
        column("PORT").number(),
        column("CONTAINER").cut_to(6),
        column("NETWORK"),
        column("NOTE").optional(),
    ]);
    let id = "f3ebbdab6149a293";
    table.row(Tone::Plain, ["80", id, "net1", ""].map(str::to_owned));
    table.row(
        Tone::Bad,
        ["8080", "c\n2", "net1", "gone"].map(str::to_owned),
    );
    table
}

fn text(width: Option<usize>) -> String {
    let page = Page {
        width,
        colour: false,
    };
    table().text(page)
}

#[test]
fn columns_are_aligned_and_whole_where_nothing_limits_them() {
    let expected = "PORT  CONTAINER         NETWORK  NOTE\n\
                    \x20 80  f3ebbdab6149a293  net1\n\
                    8080  c?2               net1     gone\n";
    assert_eq!(text(None), expected);
}

#[test]
fn what_does_not_fit_is_cut_then_left_out() {
    assert!(
        text(Some(30)).contains("f3ebbdab…  net1"),
        "{}",
        text(Some(30))
    );
    let narrow = text(Some(22));
    assert!(!narrow.contains("NOTE") && narrow.contains("…"), "{narrow}");
    // What was left out makes room for the rest.
    assert!(
        text(Some(25)).contains("  f3ebbdab6…  net1"),
        "{}",
        text(Some(25))
    );
    for width in [21, 22, 25, 30, 37] {
        assert!(
            text(Some(width))
                .lines()
                .all(|line| line.chars().count() <= width)
        );
    }
}

#[test]
fn counters_are_left_out_before_anything_is_cut() {
    let mut table = Table::new([
        column("NAME").cut_to(1),
        column("BYTES").spare(),
        column("NOTE").optional(),
    ]);
    table.row(Tone::Plain, ["a-long-name", "12", "note"]);
    let page = |width| Page {
        width: Some(width),
        colour: false,
    };
    assert_eq!(
        table.text(page(17)),
        "NAME         NOTE\na-long-name  note\n"
    );
    assert_eq!(table.text(page(10)), "NAME  NOTE\na-l…  note\n");
}

#[test]
fn rows_are_ordered_by_any_column() {
    let mut table = Table::new([column("HOST"), column("BYTES").number()]);
    for (host, bytes) in [("10.0.0.10:80", 5u64), ("10.0.0.9:80", 70), ("a", 70)] {
        table.row(Tone::Plain, [host.into(), Cell::amount(bytes, "x")]);
    }
    assert_eq!(table.order("host"), [1, 0, 2]);
    assert_eq!(table.order("BYTES"), [1, 2, 0]);
    assert_eq!(table.order("none"), [0, 1, 2]);
}

#[test]
fn only_a_page_with_colours_is_coloured() {
    let page = Page {
        width: None,
        colour: true,
    };
    assert!(table().text(page).contains("\x1b[31m8080"));
    assert!(!text(None).contains('\x1b'));
}
